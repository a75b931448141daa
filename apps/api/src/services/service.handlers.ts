import { CommandHandler, QueryHandler, type ICommandHandler, type IQueryHandler } from '@nestjs/cqrs';
import { Rejected } from '#domain';
import { Engine } from '../engine/engine.js';
import { Instruments } from '../engine/instruments.js';
import { ExecuteServiceCommand, GetService, ListServices, StartComposite } from './service.messages.js';
import { Unavailable } from './unavailable.js';

@CommandHandler(ExecuteServiceCommand)
export class ExecuteServiceCommandHandler implements ICommandHandler<ExecuteServiceCommand> {
  constructor(
    private readonly engine: Engine,
    private readonly instruments: Instruments,
  ) {}

  execute({ command, context }: ExecuteServiceCommand) {
    return counted(this.instruments, command.type, () => this.engine.running().commands.execute(command, context));
  }
}

@CommandHandler(StartComposite)
export class StartCompositeHandler implements ICommandHandler<StartComposite> {
  constructor(
    private readonly engine: Engine,
    private readonly instruments: Instruments,
  ) {}

  execute({ elements, createNewServices, context }: StartComposite) {
    return counted(this.instruments, 'StartComposite', () =>
      this.engine.running().composites.start(elements, createNewServices, context),
    );
  }
}

@QueryHandler(GetService)
export class GetServiceHandler implements IQueryHandler<GetService> {
  constructor(private readonly engine: Engine) {}

  async execute({ serviceId, context, has }: GetService) {
    return this.engine.running().queries.get(serviceId, context, has);
  }
}

@QueryHandler(ListServices)
export class ListServicesHandler implements IQueryHandler<ListServices> {
  constructor(private readonly engine: Engine) {}

  async execute({ owner, filter, page, context }: ListServices) {
    return this.engine.running().queries.list({ tenant: context.tenant, ...owner }, filter, page, context);
  }
}

export const serviceHandlers = [
  ExecuteServiceCommandHandler,
  StartCompositeHandler,
  GetServiceHandler,
  ListServicesHandler,
];

async function counted<T>(instruments: Instruments, type: string, work: () => Promise<T>): Promise<T> {
  try {
    const answer = await work();
    instruments.command(type, 'accepted');
    return answer;
  } catch (error) {
    const outcome =
      error instanceof Unavailable
        ? (error.outcome ?? 'not-applied')
        : error instanceof Rejected
          ? 'refused'
          : 'unknown';
    instruments.command(type, outcome);
    throw error;
  }
}
