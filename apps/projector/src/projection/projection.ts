import { LRUCache } from 'lru-cache';
import { evolve, evolveClaim } from '#domain';
import {
  advance,
  isClaimEvent,
  isPublicEvent,
  NewerSchema,
  open,
  streamKey,
  unwritten,
  type Head,
  type RecordedEvent,
} from '#events';
import {
  judge,
  RefusedStart,
  type Batch,
  type Checkpoint,
  type Clock,
  type LogReader,
  type LogRecord,
  type PublicEvent,
} from '#event-log';
import {
  bothChanges,
  listChangesBetween,
  noListChanges,
  precedingClaim,
  precedingService,
  type ListChanges,
  type ReadModel,
  type StoredCheckpoint,
  type StreamRow,
} from '#read-model';
import { inStreamOrder } from './in-stream-order.js';
import { unwatched, type DeadLetters, type ProjectionWatch, type PublicEvents } from './ports.js';
import { publicEvent } from './public-event.js';

export interface ProjectionOptions {
  readonly log: Pick<LogReader, 'logId'>;
  readonly readModel: ReadModel;
  /** Missing where the public feed is read from the log itself. */
  readonly publicEvents?: PublicEvents | undefined;
  readonly deadLetters: DeadLetters;
  readonly clock: Clock;
  readonly watch?: ProjectionWatch;
  readonly limits?: Partial<ProjectionLimits>;
}

export interface ProjectionLimits {
  /** Streams of one batch that are projected at the same time. */
  readonly streamsAtOnce: number;
  /** What the rows kept in memory may take, bytes per partition. */
  readonly rowBytes: number;
  /** How often a record is tried, each time on a row read anew, before its stream is parked. */
  readonly attempts: number;
  /** Pause after the store was found in trouble, ms; doubled each time up to the longest. */
  readonly firstPauseMs: number;
  readonly longestPauseMs: number;
  /** A store cannot die and come back in less, ms: for so long its checkpoint is believed to be the one last written. */
  readonly storeRestartMs: number;
}

export const defaultProjectionLimits: ProjectionLimits = {
  streamsAtOnce: 64,
  rowBytes: 8 * 1024 * 1024,
  attempts: 3,
  firstPauseMs: 100,
  longestPauseMs: 10_000,
  storeRestartMs: 1_000,
};

/** The store's checkpoint is lower than one it has acknowledged: rows are lost too, and are projected again from there. */
export class StoreWentBack extends Error {
  readonly code = 'store-went-back';
}

/** A partition as long as it is ours. A new one begins each time the partition comes to us: it knows nothing yet. */
interface Assignment {
  readonly partition: number;
  readonly rows: LRUCache<string, StreamRow>;
  /** Rows of the batch in hand that the store does not have yet, by stream. */
  readonly unsaved: Map<string, Unsaved>;
  /** `next` of the checkpoint that the store acknowledged last. */
  saved: number;
  /** When the store last showed that checkpoint, ms of the clock; -Infinity when it must be asked again. */
  shownAt: number;
}

/** A row, and the records since the one that the store has. */
interface Unsaved {
  readonly row: StreamRow;
  readonly lists: ListChanges;
  readonly records: RecordedEvent[];
  readonly unpublished: PublicEvent[];
}

/** What a handler must know of a record beside itself. */
export interface Delivery {
  /** The partition's epoch at the record. */
  readonly epoch: number;
  readonly assignment: Assignment;
}

export type ProjectRecord = (record: RecordedEvent, delivery: Delivery) => Promise<void>;

const GENERATION = 1;

/**
 * Folds the log into the read model (design 5). Everything may be repeated at any place: a row is fed by one stream
 * alone and knows the offset up to which it is folded. So a crash, a second projector on the same partition, or a batch
 * that comes again change nothing.
 */
export class Projection {
  private readonly limits: ProjectionLimits;
  private readonly watch: ProjectionWatch;
  private readonly assignments = new Map<number, Assignment>();
  private readonly pauses = new Set<() => void>();
  private closing = false;
  private readonly isPublic: boolean;

  constructor(private readonly options: ProjectionOptions) {
    this.limits = { ...defaultProjectionLimits, ...options.limits };
    this.watch = options.watch ?? unwatched;
    this.isPublic = options.publicEvents !== undefined;
  }

  /**
   * Where the partition goes on; asked each time it comes to this process. What was known of it is forgotten.
   * Throws `RefusedStart` when the rows were built from another log.
   */
  async checkpoint(partition: number): Promise<Checkpoint> {
    this.assignments.delete(partition);
    const stored = await this.stored(partition);
    const logId = this.options.log.logId(partition);
    if (stored && stored.logId !== logId) {
      throw new RefusedStart(
        `partition ${partition}: the read model was built from log ${stored.logId}, this is log ${logId}`,
      );
    }
    const { next, epoch } = stored ?? { next: 0, epoch: 0 };
    this.assignments.set(partition, {
      partition,
      rows: new LRUCache({ maxSize: this.limits.rowBytes, sizeCalculation: sizeOf }),
      unsaved: new Map(),
      saved: next,
      shownAt: this.options.clock.now(),
    });
    return { partition, next, epoch };
  }

  /**
   * Resolves when every record of the batch is in the read model and the checkpoint is behind them. While the store is
   * in trouble the whole batch is done again, with growing pauses, on rows read anew: what it acknowledged just before
   * may be lost. Rejects when the partition cannot go on by itself. A stale batch is left where it is.
   */
  async handle(
    batch: Batch,
    project: ProjectRecord = (record, delivery) => this.project(record, delivery),
  ): Promise<void> {
    const last = batch.records.at(-1);
    const assignment = this.assignments.get(batch.partition);
    if (!last) return;
    if (!assignment) throw new Error(`partition ${batch.partition}: a batch came before its checkpoint was asked for`);
    const next = last.offset + 1;
    const deliver = (record: LogRecord, epoch: number): Promise<void> =>
      this.deliver(record, { epoch, assignment }, project);
    this.watch.batchStarted(batch.partition, batch.records.length, batch.records[0]!.recordedAt);

    for (let pauseMs = this.limits.firstPauseMs; ; pauseMs = Math.min(pauseMs * 2, this.limits.longestPauseMs)) {
      try {
        await inStreamOrder(batch, this.limits.streamsAtOnce, deliver, (stream) => this.save(stream, assignment));
        if (batch.isStale()) return this.watch.batchLeft(batch.partition);
        await this.moveCheckpoint(assignment, next, batch.epochs.at(-1)!);
        break;
      } catch (error) {
        if (!isPassing(error)) {
          this.watch.stopped(batch.partition, error);
          throw error;
        }
        this.watch.waiting(batch.partition, error);
        assignment.rows.clear();
        assignment.unsaved.clear();
        assignment.shownAt = -Infinity;
        await this.pause(pauseMs);
        if (this.closing) throw error;
        if (batch.isStale()) return this.watch.batchLeft(batch.partition);
      }
    }
    this.watch.batchDone(batch.partition);
  }

  /**
   * One record of a stream, after all before it. After the last one of the stream in this batch its valid events are
   * published, and then the row is saved: a crash in between repeats both, and a record that the row already holds was
   * published before the row was saved, so it needs nothing more.
   */
  async project(record: RecordedEvent, { epoch, assignment }: Delivery): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      const row = await this.load(record, assignment);
      if (row && record.offset <= row.offset) return;
      const head = row?.head ?? unwritten;
      if (row?.parkedAtVersion !== undefined) return this.setAside(record, head, epoch);

      const judgement = judge(record, head, epoch);
      if (!judgement.valid && judgement.reason !== 'impossible') return this.watch.passedOver(record, judgement.reason);
      const folded = judgement.valid ? fold(record, row, this.isPublic) : { reason: impossible(record, head, epoch) };
      if ('row' in folded) return this.keep(record, folded, assignment);

      await this.save(streamKey(record), assignment);
      assignment.rows.delete(streamKey(record)); // what was believed until now may be why
      if (attempt >= this.limits.attempts) return this.park(record, head, folded.reason, assignment);
    }
  }

  /**
   * Throws {@link StoreWentBack} when the store has lost the checkpoint of a partition: ask for it again, nothing of the
   * partition is handled before. Throws `StoreUnavailable`.
   */
  async verify(): Promise<void> {
    for (const assignment of this.assignments.values()) await this.expectCheckpoint(assignment);
  }

  /** Batches that wait for the store give up, those that do not are finished. */
  close(): void {
    this.closing = true;
    for (const wake of this.pauses) wake();
  }

  private async deliver(record: LogRecord, delivery: Delivery, project: ProjectRecord): Promise<void> {
    switch (record.kind) {
      case 'event':
        return project(record, delivery);
      case 'foreign':
        await this.options.deadLetters.add(record, record.reason);
        return this.watch.foreign(record);
      case 'fence':
      case 'marker':
        return;
    }
  }

  private async load(record: RecordedEvent, { rows, unsaved }: Assignment): Promise<StreamRow | undefined> {
    const key = streamKey(record);
    const known = unsaved.get(key)?.row ?? rows.get(key);
    if (known) return known;
    const { tenant, stream } = record;
    const row = await this.options.readModel.find({ tenant, stream });
    if (row) rows.set(key, row);
    return row;
  }

  private keep(record: RecordedEvent, { row, lists, published }: Folded, { unsaved }: Assignment): void {
    const key = streamKey(record);
    const { lists: before, records = [], unpublished = [] } = unsaved.get(key) ?? {};
    records.push(record);
    if (published) unpublished.push(published);
    unsaved.set(key, { row, lists: before ? bothChanges(before, lists) : lists, records, unpublished });
  }

  /** For all records of the stream that this batch has brought so far: their events are published, then one row saved. */
  private async save(stream: string, { rows, unsaved }: Assignment): Promise<void> {
    const folded = unsaved.get(stream);
    if (!folded) return;
    const { row, lists, unpublished } = folded;
    if (unpublished.length > 0) await this.options.publicEvents?.publish(unpublished);
    await this.options.readModel.save(row, lists);
    unsaved.delete(stream);
    rows.set(stream, row);
    for (const record of folded.records) this.watch.projected(record);
  }

  /** The dead letter first: a crash in between repeats it, and never leaves a parked stream without its first record. */
  private async park(record: RecordedEvent, head: Head, reason: string, assignment: Assignment): Promise<void> {
    await this.expectCheckpoint(assignment); // a row that the store has lost looks like a hole in the stream
    await this.options.deadLetters.add(record, reason);
    const { tenant, stream, offset } = record;
    await this.options.readModel.park({ tenant, stream }, head.version + 1, offset);
    this.watch.parked(record, reason);
  }

  /** What is void whatever the parked record said is passed over; the rest waits for an operator. */
  private async setAside(record: RecordedEvent, head: Head, epoch: number): Promise<void> {
    if (record.epoch < epoch) return this.watch.passedOver(record, 'epoch');
    if (record.version <= head.version) return this.watch.passedOver(record, 'version');
    await this.options.deadLetters.add(record, 'an earlier record of the stream could not be projected');
    this.watch.setAside(record);
  }

  private async moveCheckpoint(assignment: Assignment, next: number, epoch: number): Promise<void> {
    const { clock, log, readModel } = this.options;
    if (clock.now() - assignment.shownAt >= this.limits.storeRestartMs) await this.expectCheckpoint(assignment);
    const { partition } = assignment;
    await readModel.saveCheckpoint({ generation: GENERATION, partition, next, epoch, logId: log.logId(partition) });
    assignment.saved = next;
  }

  private async expectCheckpoint(assignment: Assignment): Promise<void> {
    const { partition, saved } = assignment;
    const next = (await this.stored(partition))?.next ?? 0;
    if (next < saved) {
      if (this.assignments.get(partition) === assignment) this.assignments.delete(partition);
      throw new StoreWentBack(`partition ${partition}: the store has checkpoint ${next}, it had ${saved} already`);
    }
    assignment.shownAt = this.options.clock.now();
  }

  private async stored(partition: number): Promise<StoredCheckpoint | undefined> {
    const checkpoints = await this.options.readModel.checkpoints();
    return checkpoints.find((one) => one.generation === GENERATION && one.partition === partition);
  }

  private pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      if (this.closing) return resolve();
      const wake = (): void => {
        cancel();
        this.pauses.delete(wake);
        resolve();
      };
      const cancel = this.options.clock.after(ms, wake);
      this.pauses.add(wake);
    });
  }
}

interface Folded {
  readonly row: StreamRow;
  readonly lists: ListChanges;
  /** Missing for what is only of interest to this system, and where nothing is published. */
  readonly published?: PublicEvent;
}

/** The row after a valid record, or why there is none. Throws `NewerSchema`: then this program must not go on. */
function fold(
  record: RecordedEvent,
  row: StreamRow | undefined,
  isPublic: boolean,
): Folded | { readonly reason: string } {
  try {
    const { event } = open(record);
    const { tenant, stream, offset } = record;
    const place = { tenant, stream, head: advance(row?.head ?? unwritten, record), offset };
    if (isClaimEvent(event)) {
      const claim = evolveClaim(precedingClaim(row?.aggregate), { event, record });
      return { row: { ...place, aggregate: { kind: 'claim', claim } }, lists: noListChanges };
    }
    const before = precedingService(row?.aggregate);
    const service = evolve(before, { event, record });
    return {
      row: { ...place, aggregate: { kind: 'service', service } },
      lists: listChangesBetween(before, service, tenant),
      ...(isPublic && isPublicEvent(event) && { published: publicEvent({ event, record }, before, service) }),
    };
  } catch (error) {
    if (error instanceof NewerSchema) throw error;
    return { reason: error instanceof Error ? error.message : String(error) };
  }
}

const impossible = (record: RecordedEvent, head: Head, epoch: number): string =>
  record.epoch > epoch
    ? `its epoch ${record.epoch} is newer than the partition's, ${epoch}`
    : `its version ${record.version} leaves a hole after ${head.version}`;

const ROW_OVERHEAD_BYTES = 1_000;

/** Roughly: enough to keep memory bounded. */
function sizeOf({ aggregate }: StreamRow): number {
  const bytes = aggregate.kind === 'service' && 'bytes' in aggregate.service ? aggregate.service.bytes : 0;
  return bytes + ROW_OVERHEAD_BYTES;
}

/** The world got in the way: trying again may help. */
const isPassing = (error: unknown): error is Error =>
  error instanceof Error && 'code' in error && (error.code === 'store-unavailable' || error.code === 'passing-failure');
