import { Command, Query } from '@nestjs/cqrs';
import type { Answer, CommandTerms, LiveService, ServiceCommand, Sought } from '#domain';
import type { IdempotencyDigest, Lifetime, ServiceStart, StateStart, TaskStart } from '#events';
import type { ListPlace, Owner } from '#read-model';
import type { LogPositions } from '../position.js';
import type { Admitted } from './admission.js';

/** What comes with every request beside its body. */
export interface RequestContext {
  readonly tenant: string;
  readonly correlationId: string;
  /** Digests of the `Idempotency-Key` and of what it came with. */
  readonly idempotency?: IdempotencyDigest;
  readonly admitted: Admitted;
  /** What the caller has seen (`X-CS-Position`); the answer is not older. */
  readonly seen: LogPositions;
}

/** Every answer says where in the log it stands. */
export interface Positioned {
  readonly position: LogPositions;
}

export interface CommandAnswer extends Positioned {
  readonly answer: Answer;
}

/** Nest routes commands by class, so one class carries the whole union. `stream` is the service's id. */
export class ExecuteServiceCommand extends Command<CommandAnswer> {
  constructor(
    readonly command: ServiceCommand,
    readonly context: RequestContext,
  ) {
    super();
  }
}

/** One part of an element: what is looked for, and what starts when that is not there. */
interface CompositePart<Start> extends CommandTerms {
  readonly start: Start;
  readonly sought?: Sought;
}

/**
 * One element of a composite start (contract S11). Ids in it are those of what would be created; states and tasks have one
 * only when the caller brought it, since others carry the number of the service that is found.
 */
export interface CompositeElement {
  /** `lifetimeOfNew`: of a service that is created and brings no lifetime of its own; missing, the default. */
  readonly service: CompositePart<ServiceStart> & { readonly lifetimeOfNew?: Lifetime };
  readonly state?: CompositePart<Omit<StateStart, 'service_id' | 'state_id'> & { readonly state_id?: string }>;
  readonly task?: CompositePart<Omit<TaskStart, 'service_id' | 'task_id'> & { readonly task_id?: string }>;
  readonly associateStateTask: boolean;
}

export interface CompositeAnswer extends Positioned {
  readonly services: readonly {
    readonly service_id: string;
    readonly service_created: boolean;
    readonly state_id?: string;
    readonly state_created?: boolean;
    readonly task_id?: string;
    readonly task_created?: boolean;
  }[];
}

export class StartComposite extends Command<CompositeAnswer> {
  constructor(
    readonly elements: readonly CompositeElement[],
    readonly createNewServices: boolean,
    readonly context: RequestContext,
  ) {
    super();
  }
}

export interface ServiceFound extends Positioned {
  readonly service: LiveService;
}

/** Throws `Rejected('service-not-found')`, after a read barrier. */
export class GetService extends Query<ServiceFound> {
  constructor(
    readonly serviceId: string,
    readonly context: RequestContext,
    /** What is looked for in the service: only where it is missing a read barrier is needed. */
    readonly has?: (service: LiveService) => boolean,
  ) {
    super();
  }
}

export interface ServicesFilter {
  readonly status: 'active' | 'completed' | 'all';
  /** Epoch milliseconds: started at or after, started before. */
  readonly startedFrom?: number;
  readonly startedTo?: number;
  readonly serviceTypes?: readonly string[];
}

export interface ServicesFound extends Positioned {
  /** Ascending by `started.timestamp`, then recorded time, then id. All waiting for the projector is already done. */
  readonly services: AsyncIterable<LiveService>;
  /** Where the next (older) page goes on; only with `limit`, missing on the last page. */
  readonly next?: ListPlace;
}

/** Without `limit` everything; with it the newest, or the newest before `before`. */
export class ListServices extends Query<ServicesFound> {
  constructor(
    readonly owner: Omit<Owner, 'tenant'>,
    readonly filter: ServicesFilter,
    readonly page: { readonly limit?: number; readonly before?: ListPlace },
    readonly context: RequestContext,
  ) {
    super();
  }
}
