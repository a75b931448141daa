import { Inject, Module, type DynamicModule, type OnApplicationShutdown } from '@nestjs/common';
import type { Engine } from './engine/engine.js';
import { Projection } from './projection/projection.js';
import { RecordsController } from './records.controller.js';

const ENGINE = Symbol('engine');

/** Records in, rows out. */
@Module({})
export class ProjectorModule implements OnApplicationShutdown {
  static with(projection: Projection, engine: Engine): DynamicModule {
    return {
      module: ProjectorModule,
      controllers: [RecordsController],
      providers: [
        { provide: Projection, useValue: projection },
        { provide: ENGINE, useValue: engine },
      ],
    };
  }

  constructor(@Inject(ENGINE) private readonly engine: Engine) {}

  /** The only hook that Nest calls after the strategy is closed: until then records are still handled. */
  async onApplicationShutdown(): Promise<void> {
    await this.engine.close();
  }
}
