import { LRUCache } from 'lru-cache';
import { evolve, evolveClaim, unclaimed, unstarted } from '#domain';
import {
  advance,
  isClaimEvent,
  open,
  streamKey,
  unwritten,
  type DomainEvent,
  type EventEnvelope,
  type RecordedEvent,
} from '#events';
import { judge, type Clock, type EventLog, type LogRecord } from '#event-log';
import {
  ownersOf,
  precedingClaim,
  precedingService,
  type Aggregate,
  type Owner,
  type ReadModel,
  type StreamId,
  type StreamRow,
} from '#read-model';
import type { LogPositions } from '../position.js';
import { Unavailable } from './unavailable.js';

/** A stream as far as its last valid record that this process knows. */
export type KnownStream = Pick<StreamRow, 'head' | 'aggregate' | 'offset'>;

export interface RecentStreamsOptions {
  /** Memory for streams whose head is kept, bytes. */
  readonly knownBytes: number;
  /** For how long a request waits for a row that the tail knows to be newer, ms (design 3, reading your own writes). */
  readonly rowPatienceMs: number;
}

export const defaultRecentStreamsOptions: RecentStreamsOptions = {
  knownBytes: 256 * 1024 * 1024,
  rowPatienceMs: 2_000,
};

const firstPauseMs = 2;
const longestPauseMs = 50;

/** The newest record of a stream that the projector has not confirmed. */
interface Unconfirmed {
  version: number;
  offset: number;
  readonly owners: Set<string>;
}

/** The request says it has seen a place in the log that does not exist. */
export class BeyondTheLog extends Error {}

/**
 * What this process knows from its tail: the heads of streams that it works on, kept current, and for every stream that
 * the projector has not confirmed the version its row must have before it is used (design 3, step 2).
 */
export class RecentStreams {
  private readonly known: LRUCache<string, KnownStream>;
  /** By partition, ordered by offset. */
  private readonly unconfirmed: Map<string, Unconfirmed>[];
  private readonly byOwner = new Map<string, Map<string, StreamId>>();
  /** Row reads under way, oldest first. */
  private readonly reads = new Set<number>();
  private lastRead = 0;
  private confirmations: { partition: number; next: number; lastRead: number }[] = [];
  /** By partition: where the projector is, as far as this process was told. It may be ahead of the tail. */
  private readonly confirmed: number[];

  constructor(
    private readonly log: EventLog,
    private readonly readModel: ReadModel,
    private readonly clock: Clock,
    private readonly options: RecentStreamsOptions = defaultRecentStreamsOptions,
  ) {
    this.known = new LRUCache({ maxSize: options.knownBytes, sizeCalculation: bytesOf });
    this.unconfirmed = Array.from({ length: log.partitions }, () => new Map());
    this.confirmed = this.unconfirmed.map(() => 0);
  }

  /** The tail's listener. Synchronous, so that whoever is answered after a record finds it here. */
  readonly listen = (record: LogRecord, epoch: number): void => {
    if (record.kind !== 'event' || record.epoch < epoch) return;
    const key = streamKey(record);
    const known = this.known.get(key);
    const judgement = known && judge(record, known.head, epoch);
    if (judgement && !judgement.valid && judgement.reason !== 'impossible') return;
    const envelope = known || namesOwners(record.type) ? decoded(record) : undefined;
    if (known) this.keepCurrent(key, known, judgement?.valid ? envelope : undefined);
    this.remember(key, record, envelope?.event);
  };

  /** The stream at a version that this process knows to be valid, kept current from here on. Throws `Unavailable`. */
  load(id: StreamId, partition: number, kind: Aggregate['kind']): Promise<KnownStream> {
    return this.use(id, partition, kind, (stream) => stream);
  }

  /** Hands the stream of {@link load} to `work` at a moment at which the tail has seen nothing newer. */
  use<T>(
    id: StreamId,
    partition: number,
    kind: Aggregate['kind'],
    work: (stream: KnownStream) => T | Promise<T>,
  ): Promise<T> {
    const key = streamKey(id);
    const known = this.known.get(key);
    if (known) return Promise.resolve(work(known));
    return this.withFreshRow(id, partition, (row) => {
      const stream = this.known.get(key) ?? row ?? nothingKnown(kind);
      this.known.set(key, stream);
      return work(stream);
    });
  }

  /** The service's id was made just now: nobody else can have written to it, so nothing needs to be read. */
  expectNew(id: StreamId): void {
    this.known.set(streamKey(id), nothingKnown('service'));
  }

  /**
   * The stream's row, not older than what the tail has seen of it. Throws `Unavailable` when the projector does not get
   * there in time, or when the stream is parked.
   */
  freshRow(id: StreamId, partition: number): Promise<StreamRow | undefined> {
    return this.withFreshRow(id, partition, (row) => row);
  }

  /** Streams that came to or left this owner in records that the projector has not confirmed. */
  recentOf(owner: Owner): readonly StreamId[] {
    return [...(this.byOwner.get(ownerKey(owner))?.values() ?? [])];
  }

  /** Whether the tail has seen a record of this stream that the projector has not confirmed. */
  isUnconfirmed(id: StreamId, partition: number): boolean {
    return this.unconfirmed[partition]!.has(streamKey(id));
  }

  /** Waits until the tail has passed what the caller has seen. Throws {@link BeyondTheLog}, `LogUnavailable`. */
  async catchUpWith(seen: LogPositions): Promise<void> {
    for (const [partition, offset] of seen) {
      if (partition >= this.log.partitions)
        throw new BeyondTheLog(`X-CS-Position names partition ${partition} of ${this.log.partitions}`);
      if (this.log.tail(partition).next > offset) continue;
      await this.log.barrier(partition);
      if (this.log.tail(partition).next <= offset)
        throw new BeyondTheLog(`X-CS-Position s${partition}:${offset} is beyond the end of the log`);
    }
  }

  /** The projector has finished everything before `next`. */
  confirm(partition: number, next: number): void {
    this.confirmed[partition] = next;
    this.confirmations.push({ partition, next, lastRead: this.lastRead });
    this.forgetConfirmed();
  }

  /** Nothing is awaited between the comparison of the row with the tail's memory and `use`. */
  private async withFreshRow<T>(
    id: StreamId,
    partition: number,
    use: (row: StreamRow | undefined) => T | Promise<T>,
  ): Promise<T> {
    const key = streamKey(id);
    const deadline = this.clock.now() + this.options.rowPatienceMs;
    for (let pause = firstPauseMs; ; pause = Math.min(2 * pause, longestPauseMs)) {
      const read = ++this.lastRead;
      this.reads.add(read);
      try {
        const row = await this.readModel.find(id);
        if (row?.parkedAtVersion !== undefined) throw parked(id);
        const needed = this.unconfirmed[partition]!.get(key)?.version ?? 0;
        // oxlint-disable-next-line typescript/return-await -- the read is over as soon as `use` was called
        if ((row?.head.version ?? 0) >= needed) return use(row);
      } finally {
        this.reads.delete(read);
        // Nothing else may come for a long time: a void record would keep its stream from being read until then.
        this.forgetConfirmed();
      }
      if (this.clock.now() >= deadline) throw this.behind(partition);
      await this.clock.sleep(pause);
    }
  }

  private keepCurrent(key: string, known: KnownStream, envelope: EventEnvelope | undefined): void {
    try {
      if (envelope) {
        this.known.set(key, {
          head: advance(known.head, envelope.record),
          aggregate: apply(known, envelope),
          offset: envelope.record.offset,
        });
        return;
      }
    } catch {
      // What cannot be folded here cannot be projected either: the projector parks the stream.
    }
    this.known.delete(key);
  }

  private remember(key: string, record: RecordedEvent, event: DomainEvent | undefined): void {
    const partition = this.unconfirmed[record.partition]!;
    const entry = partition.get(key) ?? { version: 0, offset: 0, owners: new Set() };
    entry.version = Math.max(entry.version, record.version);
    entry.offset = record.offset;
    // Last in the map: it stays ordered by offset.
    partition.delete(key);
    partition.set(key, entry);
    for (const owner of event ? ownersIn(record.tenant, event) : []) {
      entry.owners.add(owner);
      const streams = this.byOwner.get(owner) ?? new Map<string, StreamId>();
      this.byOwner.set(owner, streams.set(key, { tenant: record.tenant, stream: record.stream }));
    }
    const confirmed = this.confirmed[record.partition]!;
    if (record.offset < confirmed) this.confirm(record.partition, confirmed);
  }

  /** An entry goes only when its confirmation was known before every row read still under way was sent. */
  private forgetConfirmed(): void {
    const [oldest = Number.POSITIVE_INFINITY] = this.reads;
    while (this.confirmations[0] !== undefined && this.confirmations[0].lastRead < oldest) {
      const { partition, next } = this.confirmations.shift()!;
      const entries = this.unconfirmed[partition]!;
      for (const [key, { offset, owners }] of entries) {
        if (offset >= next) break;
        entries.delete(key);
        for (const owner of owners) {
          const streams = this.byOwner.get(owner);
          streams?.delete(key);
          if (streams?.size === 0) this.byOwner.delete(owner);
        }
      }
    }
  }

  private behind(partition: number): Unavailable {
    const [first] = this.unconfirmed[partition]!.values();
    const lag = first === undefined ? 0 : this.log.tail(partition).next - first.offset;
    return new Unavailable(
      'ServiceUnavailableException',
      `The read model is ${lag} records behind in partition ${partition}. Try again later.`,
    );
  }
}

const empty: Record<Aggregate['kind'], Aggregate> = {
  service: { kind: 'service', service: unstarted },
  claim: { kind: 'claim', claim: unclaimed },
};

/** Before the first record. */
const nothingKnown = (kind: Aggregate['kind']): KnownStream => ({
  head: unwritten,
  aggregate: empty[kind],
  offset: -1,
});

/** More than keys and heads take. */
const bytesPerStream = 1024;

const bytesOf = ({ aggregate }: KnownStream): number =>
  bytesPerStream + (aggregate.kind === 'service' && 'bytes' in aggregate.service ? aggregate.service.bytes : 0);

function decoded(record: RecordedEvent): EventEnvelope | undefined {
  try {
    return open(record);
  } catch {
    return undefined;
  }
}

/** Throws when the event cannot follow: then it cannot be projected either. */
function apply({ head, aggregate }: KnownStream, { event, record }: EventEnvelope): Aggregate {
  const before = head.version === 0 ? undefined : aggregate;
  return isClaimEvent(event)
    ? { kind: 'claim', claim: evolveClaim(precedingClaim(before), { event, record }) }
    : { kind: 'service', service: evolve(precedingService(before), { event, record }) };
}

const parked = ({ stream }: StreamId): Unavailable =>
  new Unavailable(
    'StreamParkedException',
    `A record of ${stream} could not be projected; an operator must look at it.`,
    undefined,
    60,
  );

const ownerKey = ({ tenant, kind, id }: Owner): string => JSON.stringify([tenant, kind, id]);

const namesOwners = (type: string): boolean =>
  type === 'ServiceStarted' || type === 'ServiceAssociated' || type === 'ServiceEnded';

/** The owners whose lists this event changes: those before it and those after it. */
function ownersIn(tenant: string, { type, data }: DomainEvent): string[] {
  switch (type) {
    case 'ServiceStarted':
    case 'ServiceEnded':
      return ownersOf(data, tenant).map(ownerKey);
    case 'ServiceAssociated': {
      const { previous_customer_id, previous_contact_key } = data;
      const before = {
        ...(previous_customer_id !== undefined && { customer_id: previous_customer_id }),
        ...(previous_contact_key !== undefined && { contact_key: previous_contact_key }),
      };
      return [...ownersOf(before, tenant), ...ownersOf(data, tenant)].map(ownerKey);
    }
    default:
      return [];
  }
}
