import {
  evolve,
  evolveClaim,
  evolveMetadata,
  noMetadata,
  unclaimed,
  unstarted,
  type Answer,
  type Claim,
  type LiveService,
  type Metadata,
  type MetadataAnswer,
  type MetadataCommand,
  type Service,
  type ServiceCommand,
} from '#domain';
import {
  advance,
  isClaimEvent,
  open,
  openControl,
  streamKey,
  unwritten,
  type ControlEvent,
  type DomainEvent,
  type EventEnvelope,
  type Head,
  type IdempotencyDigest,
  type MetadataEvent,
  type Mode,
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
    }
  | { readonly kind: 'switch'; readonly target: Mode }
  | { readonly kind: 'metadata'; readonly command: MetadataCommand };

/** What became of it, as the caller sees it. `killed`: the process died, nobody answered. */
export type Outcome =
  | { readonly kind: 'answered'; readonly answer: Answer; readonly position: LogPositions }
  | { readonly kind: 'composed'; readonly answer: CompositeAnswer['services']; readonly position: LogPositions }
  | { readonly kind: 'found'; readonly services: readonly LiveService[]; readonly position: LogPositions }
  | { readonly kind: 'switched'; readonly controlPosition: number }
  | { readonly kind: 'changed'; readonly answer: MetadataAnswer; readonly controlPosition: number }
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
  readonly controlEnd: number;
}

/** A gate was open: where the control log ended then, and up to where the process had read it. */
export interface Passed {
  readonly controlEnd: number;
  readonly position: number;
}

/** One request to one process. Repeats of a request have the same `request` and key. */
export interface Attempt {
  /** Its correlation id: what it recorded carries it. */
  readonly id: string;
  readonly request: number;
  readonly process: number;
  /** Of the process from its start to its death: the name of its lease. */
  readonly life: string;
  readonly ask: Ask;
  readonly idempotency?: IdempotencyDigest;
  readonly seen: LogPositions;
  /** What the caller has seen of the control log. */
  readonly seenControl?: number;
  readonly begin: Moment;
  /** The epoch in which the gate let it in. */
  admitted?: { readonly epoch: number } & Passed;
  /** A query whose answer the gate let out. */
  passedOut?: Passed;
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

/** A switch of the mode that has begun. */
interface Begun {
  readonly target: Mode;
  readonly epoch: number;
  /** Epoch milliseconds of the log's clock. */
  readonly since: number;
}

/** A valid record of the control log, and what the log says after it. */
export interface ControlStep {
  readonly record: RecordedEvent & { readonly sequence: number };
  readonly event: ControlEvent;
  readonly mode: Mode;
  /** Of the mode. */
  readonly epoch: number;
  readonly begun?: Begun;
  readonly metadata: Metadata;
}

type Settled = Pick<ControlStep, 'mode' | 'epoch' | 'begun' | 'metadata'>;

const freshControl: Settled = { mode: 'production', epoch: 0, metadata: noMetadata };

/** What the control log says, by the rule alone, as far as it was read. */
export class ControlTruth {
  readonly steps: ControlStep[] = [];
  readonly byCorrelation = new Map<string, ControlStep[]>();
  /** Records that the protocol cannot have written. */
  readonly impossible: string[] = [];
  private readonly heads = new Map<string, Head>();
  private epoch = 0;
  private next = 0;

  constructor(private readonly records: readonly Stored[]) {}

  /** Reads what is new. */
  read(): this {
    for (; this.next < this.records.length; this.next++) {
      const record = this.records[this.next]!;
      if (record.kind === 'fence') this.epoch = Math.max(this.epoch, record.epoch);
      if (record.kind === 'event') this.judge(record);
    }
    return this;
  }

  get last(): Settled {
    return this.steps.at(-1) ?? freshControl;
  }

  /** What the log said when it ended here. */
  at(end: number): Settled {
    return this.steps.findLast(({ record }) => record.offset < end) ?? freshControl;
  }

  /** What the log said when something else was recorded. */
  before(sequence: number): Settled {
    return this.steps.findLast(({ record }) => record.sequence < sequence) ?? freshControl;
  }

  private judge(record: RecordedEvent & { readonly sequence: number }): void {
    const key = streamKey(record);
    const head = this.heads.get(key) ?? unwritten;
    const { epoch, version, type, offset, correlationId } = record;
    if (epoch < this.epoch || (epoch === this.epoch && version <= head.version)) return;
    if (epoch > this.epoch || version > head.version + 1) {
      this.impossible.push(`${type} v${version} of epoch ${epoch} at c0:${offset}`);
      return;
    }
    const envelope = openControl(record);
    const step = { record, event: envelope.event, ...settled(this.last, envelope) };
    this.steps.push(step);
    this.heads.set(key, advance(head, record));
    this.byCorrelation.set(correlationId, [...(this.byCorrelation.get(correlationId) ?? []), step]);
  }
}

function settled({ mode, epoch, begun, metadata }: Settled, envelope: EventEnvelope<ControlEvent>): Settled {
  const { event, record } = envelope;
  switch (event.type) {
    case 'ModeSwitchStarted': {
      const { target, epoch: next } = event.data;
      return { mode, epoch, metadata, begun: { target, epoch: next, since: record.recordedAt } };
    }
    case 'ModeSwitched':
      return { mode: event.data.mode, epoch: event.data.epoch, metadata };
    case 'ProcessDrained':
      return { mode, epoch, metadata, ...(begun && { begun }) };
    default:
      return {
        mode,
        epoch,
        ...(begun && { begun }),
        metadata: evolveMetadata(metadata, envelope as EventEnvelope<MetadataEvent>),
      };
  }
}

type Fence = Extract<Stored, { readonly kind: 'fence' }>;

/** What the log says, by the rule alone: nothing here is taken from the code that is under test. */
export class Truth {
  readonly streams = new Map<string, StreamHistory>();
  readonly byCorrelation = new Map<string, Step[]>();
  /** Records that the protocol cannot have written. */
  readonly impossible: string[] = [];
  /** By partition. */
  readonly fences: readonly Fence[][];

  constructor(readonly partitions: readonly (readonly Stored[])[]) {
    this.fences = partitions.map((records) => records.filter((record) => record.kind === 'fence'));
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
  }
}

function fold(record: RecordedEvent, before: Step | undefined, isFirst: boolean): Pick<Step, 'event' | 'aggregate'> {
  try {
    const envelope = open(record);
    const { event } = envelope;
    if (!isFirst && !before?.aggregate) return { event };
    if (before?.aggregate && (before.aggregate.kind === 'claim') !== isClaimEvent(event)) return { event };
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
