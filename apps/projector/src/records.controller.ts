import { Catch, Controller, UseFilters, type RpcExceptionFilter } from '@nestjs/common';
import { Ctx, EventPattern, Payload } from '@nestjs/microservices';
import { schemaVersions, type RecordedEvent } from '#events';
import { ANY_OTHER_TYPE } from './event-log.strategy.js';
import { Projection, type Delivery } from './projection/projection.js';

/** Without it Nest logs the error and hands on an 'Internal server error' in its place. */
@Catch()
export class Rethrow implements RpcExceptionFilter {
  catch(error: unknown): never {
    throw error;
  }
}

/** Services and claims alike: how a record is folded is a matter of its event, not of its transport. */
@Controller()
@UseFilters(Rethrow)
export class RecordsController {
  constructor(private readonly projection: Projection) {}

  @EventPattern([...Object.keys(schemaVersions), ANY_OTHER_TYPE])
  project(@Payload() record: RecordedEvent, @Ctx() delivery: Delivery): Promise<void> {
    return this.projection.project(record, delivery);
  }
}
