import {
  evolve,
  evolveClaim,
  unclaimed,
  unstarted,
  type Answer,
  type Claim,
  type LiveService,
  type Service,
  type ServiceCommand,
} from '#domain';
import {
  advance,
  isClaimEvent,
  open,
  streamKey,
  unwritten,
  type DomainEvent,
  type Head,
  type IdempotencyDigest,
  type RecordedEvent,
} from '#events';
import type { ListPlace, Owner } from '#read-model';
import type { LogPositions } from '../apps/api/src/position.js';
import type { CompositeAnswer, CompositeElement, ServicesFilter } from '../apps/api/src/services/service.messages.js';
import type { Stored } from './simulated-log.js';

/** What somebody asks the system. */
export type Ask =
  | { readonly kind: 'command'; readonly command: ServiceCommand }
  | { readonly kind: 'composite'; readonly elements: readonly CompositeElement[]; readonly createNew: boolean }
  | { readonly kind: 'get'; readonly service_id: string }
  | {
      readonly kind: 'list';
      readonly owner: Owner;
      readonly filter: ServicesFilter;
      readonly page: { readonly limit?: number; readonly before?: ListPlace };
    };

/** What became of it, as the caller sees it. `killed`: the process died, nobody answered. */
export type Outcome =
  | { readonly kind: 'answered'; readonly answer: Answer; readonly position: LogPositions }
  | { readonly kind: 'composed'; readonly answer: CompositeAnswer['services']; readonly position: LogPositions }
  | { readonly kind: 'found'; readonly services: readonly LiveService[]; readonly position: LogPositions }
  | { readonly kind: 'rejected'; readonly code: string }
  | {
      readonly kind: 'unavailable';
      readonly exception: string;
      readonly outcome: 'not-applied' | 'unknown' | undefined;
    }
  | { readonly kind: 'failed'; readonly error: string }
  | { readonly kind: 'killed' };

/** A moment in the life of the world. */
export interface Moment {
  /** Order among all moments. */
  readonly order: number;
  /** Epoch milliseconds, true time. */
  readonly time: number;
  /** End of each partition. */
  readonly ends: readonly number[];
}

/** One request to one process. Repeats of a request have the same `request` and key. */
export interface Attempt {
  /** Its correlation id: what it recorded carries it. */
  readonly id: string;
  readonly request: number;
  readonly process: number;
  readonly ask: Ask;
  readonly idempotency?: IdempotencyDigest;
  readonly seen: LogPositions;
  readonly begin: Moment;
  end?: Moment;
  outcome?: Outcome;
}

/** A valid record, and the stream after it. `aggregate` is missing from the first record on that cannot be decoded. */
export interface Step {
  readonly record: RecordedEvent & { readonly sequence: number };
  readonly head: Head;
  readonly event?: DomainEvent;
  readonly aggregate?:
    { readonly kind: 'service'; readonly service: Service } | { readonly kind: 'claim'; readonly claim: Claim };
}

export interface StreamHistory {
  readonly tenant: string;
  readonly stream: string;
  readonly partition: number;
  /** By version, from 1. */
  readonly steps: Step[];
}

/** What the log says, by the rule alone: nothing here is taken from the code that is under test. */
export class Truth {
  readonly streams = new Map<string, StreamHistory>();
  readonly byCorrelation = new Map<string, Step[]>();
  /** Records that the protocol cannot have written. */
  readonly impossible: string[] = [];
  /** Valid records while the partition was in maintenance. */
  readonly inMaintenance: Step[] = [];

  constructor(readonly partitions: readonly (readonly Stored[])[]) {
    for (const records of partitions) {
      let epoch = 0;
      for (const record of records) {
        if (record.kind === 'fence') epoch = Math.max(epoch, record.epoch);
        if (record.kind === 'event') this.read(record, epoch);
      }
    }
  }

  history(stream: { readonly tenant: string; readonly stream: string }): StreamHistory | undefined {
    return this.streams.get(streamKey(stream));
  }

  private read(record: RecordedEvent & { readonly sequence: number }, epoch: number): void {
    const key = streamKey(record);
    const history = this.streams.get(key);
    const before = history?.steps.at(-1);
    const head = before?.head ?? unwritten;
    if (record.epoch < epoch) return;
    const { version, recordedAt, type, tenant, stream, partition } = record;
    if (record.epoch > epoch) {
      this.impossible.push(`${stream} v${version} has epoch ${record.epoch} in epoch ${epoch}`);
      return;
    }
    if (version <= head.version) return;
    if (head.expiresAt !== undefined && recordedAt >= head.expiresAt && type !== 'ServiceExpired') return;
    if (version > head.version + 1) {
      this.impossible.push(`${stream} v${version} leaves a hole after v${head.version}`);
      return;
    }
    const step: Step = { record, head: advance(head, record), ...fold(record, before, history === undefined) };
    if (history) history.steps.push(step);
    else this.streams.set(key, { tenant, stream, partition, steps: [step] });
    const { correlationId } = record;
    this.byCorrelation.set(correlationId, [...(this.byCorrelation.get(correlationId) ?? []), step]);
    if (epoch % 2 === 1) this.inMaintenance.push(step);
  }
}

function fold(record: RecordedEvent, before: Step | undefined, isFirst: boolean): Pick<Step, 'event' | 'aggregate'> {
  try {
    const envelope = open(record);
    const { event } = envelope;
    if (!isFirst && !before?.aggregate) return { event };
    if (isClaimEvent(event)) {
      const claim = before?.aggregate?.kind === 'claim' ? before.aggregate.claim : unclaimed;
      return { event, aggregate: { kind: 'claim', claim: evolveClaim(claim, { event, record }) } };
    }
    const service = before?.aggregate?.kind === 'service' ? before.aggregate.service : unstarted;
    return { event, aggregate: { kind: 'service', service: evolve(service, { event, record }) } };
  } catch {
    return {};
  }
}
