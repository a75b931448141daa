import {
  Rejected,
  decide,
  evolve,
  gone,
  keptAnswer,
  refuseTooLarge,
  staysSmall,
  unstarted,
  type Answer,
  type Service,
  type ServiceCommand,
} from '#domain';
import {
  encode,
  streamKey,
  type DomainEvent,
  type Head,
  type IdempotencyDigest,
  type Lifetime,
  type NewRecord,
} from '#events';
import { LogUnavailable, NotApplied, OutcomeUnknown, type Clock, type EventLog, type Verdict } from '#event-log';
import { StoreUnavailable, type Aggregate, type StreamId } from '#read-model';
import { mergePositions } from '../position.js';
import { isServerMade, partitionOf } from './ids.js';
import type { KnownStream, RecentStreams } from './recent-streams.js';
import { RejectedAt } from './rejected-at.js';
import type { CommandAnswer, RequestContext } from './service.messages.js';
import { Turns } from './turns.js';
import { Unavailable } from './unavailable.js';

/** What a command path stands on. */
export interface CommandPathParts {
  readonly log: EventLog;
  readonly streams: RecentStreams;
  /** Back-pressure: throws `Unavailable` when the projector is too far behind. */
  readonly refuseWhenBehind: () => void;
  readonly newEventId: () => string;
  readonly clock: Clock;
  /** What the log made of a record, for logs and metrics. */
  readonly onVerdict?: (record: NewRecord, verdict: Verdict) => void;
}

/** How often a command decides again after another one took its place in the stream. */
const attempts = 8;

/** How long a command waits for those before it in the same stream, ms. */
const turnPatienceMs = 5_000;

/** What to record, and in whose name. */
export interface Appending {
  readonly id: StreamId;
  readonly kind: Aggregate['kind'];
  readonly event: DomainEvent;
  /** Of the stream that the event was decided on. */
  readonly head: Head;
  readonly epoch: number;
  readonly lifetime?: Lifetime;
  readonly correlationId: string;
  readonly idempotency?: IdempotencyDigest;
}

/** Another record took the place before this one was sent. */
const overtaken: Verdict = { outcome: 'void', reason: 'version' };

/** The path of one command that was admitted: turn, head, decide, append, judged answer (design 3). */
export class CommandPath {
  private readonly turns: Turns;

  constructor(private readonly parts: CommandPathParts) {
    this.turns = new Turns(parts.clock, turnPatienceMs);
  }

  /** Throws `Rejected` (after a read barrier), `Unavailable`, `BeyondTheLog`. */
  async execute(command: ServiceCommand, context: RequestContext): Promise<CommandAnswer> {
    this.parts.refuseWhenBehind();
    return truthfully(async () => {
      await this.parts.streams.catchUpWith(context.seen);
      const isNew = command.type === 'StartService' && isMadeForThis(command.data.service_id, context);
      return this.run(command, context, isNew);
    });
  }

  /** One part of a larger command. `isNew`: nobody but this command knows the service's id. */
  run(command: ServiceCommand, context: RequestContext, isNew = false): Promise<CommandAnswer> {
    const id = { tenant: context.tenant, stream: command.data.service_id };
    if (isNew) this.parts.streams.expectNew(id);
    return this.turns.take(streamKey(id), () => this.decideAndAppend(id, command, context));
  }

  /** Runs `work` when no other command of this stream is under way in this process. */
  inTurn<T>(id: StreamId, work: () => Promise<T>): Promise<T> {
    return this.turns.take(streamKey(id), work);
  }

  /**
   * Appends once, unless the stream has moved on since the event was decided: a record that the tail has already passed
   * would never meet this append, and both would be taken for valid. So nothing is awaited between the comparison and
   * the append. Throws `NotApplied`, `OutcomeUnknown`, `Unavailable`.
   */
  append({ id, kind, event, head, epoch, lifetime, correlationId, idempotency }: Appending): Promise<Verdict> {
    const partition = this.partition(id);
    const encoded = encode(event);
    refuseLongRecord(encoded.value);
    // Assigned: what is spread in the middle of a literal takes many times as long.
    const record: NewRecord = Object.assign(
      { eventId: this.parts.newEventId(), partition, version: head.version + 1, epoch, correlationId },
      encoded,
      id,
      lifetime && { lifetime },
      idempotency && { idempotency },
    );
    return this.parts.streams.use(id, partition, kind, async (known) => {
      if (known.head.version !== head.version) return overtaken;
      const verdict = await this.parts.log.append(record, head);
      this.parts.onVerdict?.(record, verdict);
      return verdict;
    });
  }

  partition({ stream }: StreamId): number {
    return partitionOf(stream, this.parts.log.partitions);
  }

  private async decideAndAppend(
    id: StreamId,
    command: ServiceCommand,
    context: RequestContext,
  ): Promise<CommandAnswer> {
    const { log, streams } = this.parts;
    const partition = this.partition(id);
    const { idempotency, correlationId } = context;
    const answered = (answer: Answer, offset: number): CommandAnswer => ({
      answer,
      position: mergePositions(context.seen, new Map([[partition, offset]])),
    });
    // The read model may be ahead of the tail.
    const answeredFrom = (known: KnownStream, answer: Answer): CommandAnswer =>
      answered(answer, Math.max(known.offset, log.tail(partition).next - 1));
    // A refusal, or an answer that records nothing, is given only from knowledge that a read barrier has confirmed.
    let barrierPassed = false;
    // Whether an update with a key came in time is for the log to say: so all attempts learn the same.
    let isExpired = command.type !== 'UpdateService' || idempotency === undefined;
    for (let attempt = 0; attempt < attempts;) {
      const known = await streams.load(id, partition, 'service');
      const service = isExpired ? living(known, log.now()) : serviceIn(known);
      let decision;
      try {
        const kept = idempotency && keptAnswer(service, idempotency, log.now());
        if (kept) return answeredFrom(known, kept);
        const made = decide(command, service, idempotency !== undefined);
        if (made.event && !staysSmall(service, longestValue))
          refuseTooLarge(this.foreseen(service, known.head, made.event, id, context));
        decision = made;
      } catch (error) {
        if (!(error instanceof Rejected)) throw error;
        if (barrierPassed) throw new RejectedAt(error, answeredFrom(known, {}).position);
      }
      if (decision?.event) {
        const { event, answer } = decision;
        const verdict = await this.append({
          id,
          kind: 'service',
          event,
          head: known.head,
          epoch: context.admitted.epoch,
          correlationId,
          ...lifetimeOf(command),
          ...(idempotency && { idempotency }),
        });
        if (verdict.outcome === 'accepted') return answered(answer, verdict.position.offset);
        if (verdict.reason === 'epoch') throw switching();
        // Somebody else was first, or the service expired: decide again about what is true now.
        attempt++;
        barrierPassed = false;
        isExpired ||= verdict.reason === 'expired';
      } else if (decision && barrierPassed) {
        return answeredFrom(known, decision.answer);
      } else {
        await log.barrier(partition);
        barrierPassed = true;
      }
    }
    throw new Unavailable(
      'OverloadedException',
      `Others changed ${id.stream} ${attempts} times before this could be recorded. Try again.`,
      'not-applied',
    );
  }

  /** The service as it would be after the event: limits are checked on it before anything is recorded. */
  private foreseen(
    service: Service,
    head: Head,
    event: NonNullable<ReturnType<typeof decide>['event']>,
    id: StreamId,
    context: RequestContext,
  ): Service {
    const record = {
      kind: 'event' as const,
      ...id,
      eventId: '',
      type: event.type,
      schemaVersion: 0,
      partition: 0,
      offset: 0,
      version: head.version + 1,
      epoch: 0,
      correlationId: context.correlationId,
      recordedAt: this.parts.log.now(),
      ...(context.idempotency && { idempotency: context.idempotency }),
    };
    return evolve(service, { event, record });
  }
}

/** Bytes of an event's value. Kafka takes 4 MiB, and what is published of the event is a little longer. */
const longestValue = 3 * 1024 * 1024;

const mostBytesPerCharacter = 3;

function refuseLongRecord(value: string): void {
  if (value.length * mostBytesPerCharacter <= longestValue) return;
  const bytes = Buffer.byteLength(value);
  if (bytes <= longestValue) return;
  throw new Rejected('service-too-large', `The event would have ${bytes} bytes, ${longestValue} are allowed`);
}

/** The service as it is now by the log's clock: what has expired is gone, whether or not that was recorded yet. */
export function living({ head, aggregate }: KnownStream, now: number): Service {
  const service = serviceIn({ aggregate });
  if (head.expiresAt === undefined || now < head.expiresAt || !('states' in service)) return service;
  return gone(service);
}

/** The service as its records tell it, whatever time it is. */
export const serviceIn = ({ aggregate }: Pick<KnownStream, 'aggregate'>): Service =>
  aggregate.kind === 'service' ? aggregate.service : unstarted;

/** Without a key and of the server's own form, the id was made for this very request. */
export const isMadeForThis = (serviceId: string, { idempotency }: RequestContext): boolean =>
  idempotency === undefined && isServerMade(serviceId);

const lifetimeOf = ({ lifetime }: ServiceCommand): { lifetime?: Lifetime } => (lifetime ? { lifetime } : {});

export const switching = (): Unavailable =>
  new Unavailable('SwitchingException', 'The system is switching its mode. Try again.', 'not-applied');

/** What the log and the stores throw, as what it means for the caller of a command: never more than is known. */
export async function truthfully<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw asUnavailable(error) ?? error;
  }
}

function asUnavailable(cause: unknown): Unavailable | undefined {
  if (cause instanceof OutcomeUnknown) {
    const message =
      'The request was sent to the log, but its outcome is not known. Repeat it with the same Idempotency-Key.';
    return new Unavailable('OutcomeUnknownException', message, 'unknown', 1, { cause });
  }
  if (cause instanceof NotApplied) {
    return new Unavailable(
      'OverloadedException',
      'The log does not keep up; nothing was recorded. Try again.',
      'not-applied',
      1,
      { cause },
    );
  }
  if (cause instanceof LogUnavailable || cause instanceof StoreUnavailable) {
    return new Unavailable(
      'ServiceUnavailableException',
      'The log or the read model does not answer. Try again.',
      'not-applied',
      1,
      { cause },
    );
  }
  if (cause instanceof Unavailable && cause.outcome === undefined) {
    return new Unavailable(cause.exception, cause.message, 'not-applied', cause.retryAfterSeconds, { cause });
  }
  return undefined;
}
