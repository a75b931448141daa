import type { Head, NewRecord } from '#events';
import type { VoidReason } from './judge.js';
import type { Checkpoint, LogRecord, Position } from './log-record.js';

/** What became of an append. Never a guess: the record was read back and judged. */
export type Verdict =
  | { readonly outcome: 'accepted'; readonly position: Position; readonly recordedAt: number }
  /** In the log or not, no reader counts it. `version`: another record took the place first. */
  | { readonly outcome: 'void'; readonly reason: VoidReason };

/** The command left the queue before it was sent: nothing of it is in the log, nor ever will be. */
export class NotApplied extends Error {
  readonly code = 'not-applied';
}

/** Sent, and not read back in time: it may be in the log, now or later. Repeat with the same idempotency key. */
export class OutcomeUnknown extends Error {
  readonly code = 'outcome-unknown';
}

/** The log did not answer a question (a barrier, its ends) in time. Nothing was changed. */
export class LogUnavailable extends Error {
  readonly code = 'log-unavailable';
}

/** Sees every record of every partition, in order, before anything that waits for it goes on. Must not await. */
export type RecordListener = (record: LogRecord, epoch: number) => void;

/** Part of one partition, in order. `epochs[i]` is the partition's epoch at `records[i]` (a fence counts for itself). */
export interface Batch {
  readonly partition: number;
  readonly records: readonly LogRecord[];
  readonly epochs: readonly number[];
  /** One past the last record of the partition as of this fetch. */
  readonly end: number;
  /** True as soon as the partition was taken away: stop, what follows is somebody else's. */
  isStale(): boolean;
}

export interface Subscriber {
  /** Readers of one group share the partitions. */
  readonly group: string;
  /** Asked each time a partition comes to this reader; from there it goes on. */
  checkpoint(partition: number): Promise<Checkpoint>;
  /**
   * The promise is the acknowledgement: the partition's next batch comes after it, so this is never called twice at
   * once for one partition of one reader, not even when the partition was taken away and came back. When it rejects, the
   * batch comes again from {@link checkpoint} after a pause; other partitions go on.
   */
  handle(batch: Batch): Promise<void>;
  /** The reader cannot go on by itself (a hole in the log, a log that ends before the checkpoint). */
  onFatal(error: Error): void;
}

export interface Subscription {
  /** Resolves once the batches in flight are done and no other will come. */
  close(): Promise<void>;
}

/** What the projector needs of the log. An abstract class, so that it is the injection token as well. */
export abstract class LogReader {
  abstract readonly partitions: number;
  /** Random identity of each partition's log, from its record 0. */
  abstract logId(partition: number): string;
  abstract subscribe(subscriber: Subscriber): Promise<Subscription>;
  /** One past the last record, by partition. Throws {@link LogUnavailable}. */
  abstract ends(): Promise<readonly number[]>;
  abstract close(): Promise<void>;
}

/**
 * The source of truth. Appends are conditional: of several records for one place in a stream exactly one is accepted,
 * and everybody learns the truth (design 3).
 */
export abstract class EventLog extends LogReader {
  /**
   * Starts the tail: from `checkpoints` on, `listener` sees every record. Resolves when it has passed the end as of
   * now and the log's clock is known. Appends and barriers work only after that.
   */
  abstract follow(checkpoints: readonly Checkpoint[], listener: RecordListener): Promise<void>;

  /**
   * Records the event as number `head.version + 1` of its stream, or learns that it is void. `head` must be the
   * stream's after a version that this process knows to be valid, compared with what the listener has seen in the same
   * turn as this call: nothing is awaited in between. The listener has seen the record when this resolves.
   *
   * Throws {@link NotApplied} or {@link OutcomeUnknown}. A crash in the middle leaves none or one valid record.
   */
  abstract append(record: NewRecord, head: Head): Promise<Verdict>;

  /**
   * Resolves when the listener has seen every record that was in the partition when this was called: what it knows
   * then is new enough to refuse. Throws {@link LogUnavailable}.
   */
  abstract barrier(partition: number): Promise<void>;

  /** Voids what comes later with an older epoch. Resolves when it was read back. Throws {@link OutcomeUnknown}. */
  abstract fence(partition: number, epoch: number): Promise<void>;

  /** Where this process's tail stands. */
  abstract tail(partition: number): Checkpoint;

  /** Epoch milliseconds by the log's clock, as far as this process knows it. */
  abstract now(): number;
}
