import { randomUUID } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { advance, streamKey, type Head, type NewRecord } from '#events';
import { SystemClock, type Clock } from '../clock.js';
import {
  EventLog,
  LogUnavailable,
  NotApplied,
  OutcomeUnknown,
  type RecordListener,
  type Subscriber,
  type Subscription,
  type Verdict,
} from '../event-log.js';
import { fenced, judge } from '../judge.js';
import type { Checkpoint, Fence } from '../log-record.js';
import { RefusedStart } from '../refused-start.js';
import { Feed, readOn } from './feed.js';
import { CommitFailed, DamagedLog, isDamage, LogFile, MAX_PARTITIONS, type Stored, type Tip } from './log-file.js';
import { lockDirectory, type Lock } from './single-writer.js';
import { LOG_FILE, verifyFromMarks } from './verify.js';
import { damageInWal } from './wal.js';

const COMMIT_RECORDS = 1_000;
const COMMIT_SIZE = 8 * 1024 * 1024;

export interface EmbeddedEventLogOptions {
  /** Made when it is not there. */
  readonly directory: string;
  /** Of a new log; another number than that of an existing log refuses the start. */
  readonly partitions: number;
  /** Where the read model stands: a log that ends before has lost records. */
  readonly checkpoints?: readonly Checkpoint[];
  readonly clock?: Clock;
  /** Called after each durable commit, to wake readers in other threads and processes. */
  readonly onCommit?: () => void;
  /** Called with the reason when nothing can be stored any more, and without one when it can again. */
  readonly onTrouble?: (reason: Error | undefined) => void;
}

/** The program asked for a record that no program of this protocol writes. Nothing was stored. */
export class ImpossibleRecord extends Error {
  readonly code = 'impossible-record';
}

/** One who waits for a commit. `decide` runs inside the transaction and returns what to say once it is durable. */
interface Waiting {
  readonly size: number;
  decide(draft: Draft): () => void;
  reject(error: Error): void;
}

/**
 * The log in one SQLite file with one writing process. Appends that arrive together are judged and stored in one
 * transaction, synced to the disk before anybody is answered; what is void is not stored at all. A process that is
 * killed leaves every answered append and, of those not answered, each one whole or not at all.
 */
export class EmbeddedEventLog extends EventLog {
  private readonly logIds: readonly string[];
  private readonly feeds = new Set<Feed>();
  private readonly tails: Checkpoint[];
  private tips: readonly Tip[];
  /** Recorded time of the newest record: the log's clock never goes back, whatever the machine's does. */
  private latest: number;
  private listener: RecordListener | undefined;
  private isFollowing = false;
  private isClosed = false;
  private isCommitDue = false;
  private waiting: Waiting[] = [];
  /** A commit of which it is not known whether it is in the file. Nothing else is written until it is. */
  private doubt: Draft | undefined;
  private isTroubled = false;

  private constructor(
    private readonly directory: string,
    private readonly file: LogFile,
    private readonly lock: Lock,
    private readonly clock: Clock,
    private readonly onCommit: () => void,
    private readonly onTrouble: (reason: Error | undefined) => void,
  ) {
    super();
    const partitions = Array.from({ length: file.partitions }, (_, partition) => partition);
    this.tips = partitions.map((partition) => file.tip(partition));
    this.latest = Math.max(...this.tips.map(({ recordedAt }) => recordedAt));
    this.logIds = partitions.map((partition) => file.logId(partition));
    this.tails = partitions.map((partition) => ({ partition, next: 0, epoch: 0 }));
  }

  /**
   * Opens or makes the log. Throws {@link RefusedStart} when another process writes it, its partition count is another
   * one, it is damaged before its last commit, or it ends before a checkpoint.
   */
  static async open(options: EmbeddedEventLogOptions): Promise<EmbeddedEventLog> {
    const { directory, partitions, checkpoints = [], clock = new SystemClock(), onCommit = () => undefined } = options;
    const { onTrouble = () => undefined } = options;
    if (!Number.isInteger(partitions) || partitions < 1 || partitions > MAX_PARTITIONS) {
      throw new RefusedStart(`${partitions} is not a number of partitions from 1 to ${MAX_PARTITIONS}`);
    }
    mkdirSync(directory, { recursive: true });
    const lock = await lockDirectory(directory);
    let file: LogFile | undefined;
    try {
      const damage = damageInWal(join(directory, `${LOG_FILE}-wal`));
      if (damage !== undefined) throw new DamagedLog(damage);
      file = await LogFile.openToWrite(join(directory, LOG_FILE), partitions, () => firstFences(partitions, clock));
      // Leftovers of a torn commit must not end up behind the frames of a later one: that would look like damage.
      if (!file.emptyWal()) throw new Error(`somebody reads the log in ${directory} and does not end`);
      refuseOtherPartitions(file, directory, partitions);
      verifyFromMarks(file);
      refuseLoss(file, directory, checkpoints);
      return new EmbeddedEventLog(directory, file, lock, clock, onCommit, onTrouble);
    } catch (cause) {
      file?.close();
      lock.release();
      throw isDamage(cause) ? damaged(directory, cause) : cause;
    }
  }

  override get partitions(): number {
    return this.file.partitions;
  }

  override logId(partition: number): string {
    return this.logIds[partition]!;
  }

  override async follow(checkpoints: readonly Checkpoint[], listener: RecordListener): Promise<void> {
    if (this.listener !== undefined) throw new Error('the log is followed already');
    this.listener = listener;
    for (const checkpoint of checkpoints) this.tails[checkpoint.partition] = checkpoint;
    try {
      await this.catchUp();
    } catch (cause) {
      throw isDamage(cause) ? damaged(this.directory, cause) : cause;
    }
    this.isFollowing = true;
  }

  private async catchUp(): Promise<void> {
    for (let partition = 0; partition < this.partitions; partition += 1) {
      while (!this.isClosed && this.tail(partition).next < this.tips[partition]!.next) {
        const { records, epochs } = readOn(this.file, this.tail(partition));
        for (const [n, record] of records.entries()) this.show(record, epochs[n]!);
        await new Promise(setImmediate); // a long way to catch up must not hold up the process
      }
    }
  }

  override append(record: NewRecord, head: Head): Promise<Verdict> {
    const key = streamKey(record);
    const texts = [record.eventId, record.type, record.correlationId, record.causationId, record.value];
    // SQLite's interface would give such a text back cut short. Values are JSON and ids are encoded: it is a bug.
    if (texts.some((text) => text?.includes('\0'))) return Promise.reject(new TypeError('a text contains NUL'));
    return this.enqueue(record.partition, record.value.length, (draft, resolve, reject) => {
      const tip = draft.tip(record.partition);
      const stored = this.file.head(key);
      const event = Object.assign({ kind: 'event' as const, offset: tip.next, recordedAt: draft.now }, record);
      const judgement = judge(event, stored, tip.epoch);
      if (judgement.valid) {
        draft.store(event, advance(stored, event));
        const position = { partition: event.partition, offset: event.offset };
        return () => resolve({ outcome: 'accepted', position, recordedAt: event.recordedAt });
      }
      const { reason } = judgement;
      if (reason !== 'impossible') return () => resolve({ outcome: 'void', reason });
      const place = `version ${record.version} of ${key} in epoch ${record.epoch}`;
      const truth = `the stream is at version ${stored.version}, the partition in epoch ${tip.epoch}`;
      return () => reject(new ImpossibleRecord(`${place} cannot be after version ${head.version}: ${truth}`));
    });
  }

  /** Commits are shown to the listener in the turn in which they are made, so there is nothing to wait for. */
  override async barrier(_partition: number): Promise<void> {
    if (!this.isFollowing || this.isClosed) throw new LogUnavailable('the log is not followed');
    if (!this.isSettled()) throw new LogUnavailable('it is not known how the last commit ended');
  }

  override fence(partition: number, epoch: number): Promise<void> {
    return this.enqueue<void>(partition, 0, (draft, resolve) => {
      const tip = draft.tip(partition);
      // One that comes late changes nothing and is not stored: so the last record always has the partition's epoch.
      if (epoch > tip.epoch) {
        draft.store({ kind: 'fence', partition, offset: tip.next, recordedAt: draft.now, epoch }, undefined);
      }
      return resolve;
    });
  }

  override tail(partition: number): Checkpoint {
    return this.tails[partition]!;
  }

  override now(): number {
    return Math.max(Math.trunc(this.clock.now()), this.latest);
  }

  override async ends(): Promise<readonly number[]> {
    if (!this.isSettled()) throw new LogUnavailable('it is not known how the last commit ended');
    return this.tips.map(({ next }) => next);
  }

  override async subscribe(subscriber: Subscriber): Promise<Subscription> {
    const feed = new Feed(this.file, subscriber, this.clock);
    this.feeds.add(feed);
    return {
      close: async () => {
        await feed.close();
        this.feeds.delete(feed);
      },
    };
  }

  /** Commits what waits, then ends everything. What is asked for afterwards is not applied. */
  override async close(): Promise<void> {
    if (this.isClosed) return;
    while (this.waiting.length > 0) this.commit();
    this.isClosed = true;
    await Promise.all([...this.feeds].map((feed) => feed.close()));
    try {
      this.file.emptyWal();
    } catch {
      // It stays for the next start, with everything that was answered.
    }
    this.file.close();
    this.lock.release();
  }

  private enqueue<T>(
    partition: number,
    size: number,
    decide: (draft: Draft, resolve: (answer: T) => void, reject: (error: Error) => void) => () => void,
  ): Promise<T> {
    return new Promise((resolve, reject) => {
      if (!this.isFollowing || this.isClosed) {
        reject(new NotApplied('the log is not followed'));
        return;
      }
      if (this.tips[partition] === undefined) {
        reject(new RangeError(`the log has no partition ${partition}`));
        return;
      }
      this.waiting.push({ size, decide: (draft) => decide(draft, resolve, reject), reject });
      this.commitSoon();
    });
  }

  /** After the work at hand: who comes until then joins the commit. */
  private commitSoon(): void {
    if (this.isCommitDue) return;
    this.isCommitDue = true;
    setImmediate(() => {
      this.isCommitDue = false;
      if (this.waiting.length > 0) this.commit();
      if (this.waiting.length > 0) this.commitSoon();
    });
  }

  private commit(): void {
    const together = this.takeTogether();
    if (!this.isSettled()) {
      for (const { reject } of together) reject(new NotApplied('the log could not finish an earlier commit'));
      return;
    }
    const draft = new Draft(this.file, this.tips, this.now());
    let answers: readonly (() => void)[] = [];
    try {
      this.file.transaction(() => (answers = together.map(({ decide }) => decide(draft))));
    } catch (cause) {
      this.tell(rootOf(cause));
      if (!(cause instanceof CommitFailed)) {
        for (const { reject } of together) reject(new NotApplied('the log could not store it', { cause }));
        return;
      }
      const outcome = settle(this.file, draft);
      if (outcome === 'unknown') this.doubt = draft;
      if (outcome !== 'stored') {
        const Answer = outcome === 'gone' ? NotApplied : OutcomeUnknown;
        for (const { reject } of together) reject(new Answer('the log could not confirm it', { cause }));
        return;
      }
    }
    this.adopt(draft);
    for (const answer of answers) answer();
  }

  /** Once: a full disk fails every commit. */
  private tell(reason: Error | undefined): void {
    const isTroubled = reason !== undefined;
    if (isTroubled === this.isTroubled) return;
    this.isTroubled = isTroubled;
    this.onTrouble(reason);
  }

  private takeTogether(): readonly Waiting[] {
    let size = 0;
    const beyond = this.waiting.findIndex((waiting, n) => {
      size += waiting.size;
      return n > 0 && (n === COMMIT_RECORDS || size > COMMIT_SIZE);
    });
    return this.waiting.splice(0, beyond < 0 ? this.waiting.length : beyond);
  }

  /** The draft is durable: it becomes what everybody sees. */
  private adopt(draft: Draft): void {
    if (draft.stored.length === 0) return;
    this.tell(undefined);
    this.tips = draft.tips;
    this.latest = draft.now;
    for (const record of draft.stored) this.show(record, record.epoch);
    for (const feed of this.feeds) feed.wake();
    this.onCommit();
  }

  /** Finds out how a commit in doubt ended. False as long as the disk does not let it know. */
  private isSettled(): boolean {
    if (this.doubt === undefined) return true;
    const draft = this.doubt;
    const outcome = settle(this.file, draft);
    if (outcome === 'unknown') return false;
    this.doubt = undefined;
    if (outcome === 'stored') this.adopt(draft);
    return true;
  }

  private show(record: Stored, epoch: number): void {
    this.tails[record.partition] = { partition: record.partition, next: record.offset + 1, epoch };
    this.listener?.(record, epoch);
  }
}

/** The records of one transaction on their way into the file. */
class Draft {
  readonly stored: Stored[] = [];
  readonly tips: Tip[];

  constructor(
    private readonly file: LogFile,
    tips: readonly Tip[],
    /** The recorded time of all of them. */
    readonly now: number,
  ) {
    this.tips = [...tips];
  }

  tip(partition: number): Tip {
    return this.tips[partition]!;
  }

  store(record: Stored, head: Head | undefined): void {
    const { epoch, checksum: previous } = this.tip(record.partition);
    const checksum = this.file.insert(record, head, previous);
    this.tips[record.partition] = {
      next: record.offset + 1,
      epoch: record.kind === 'fence' ? fenced(epoch, record.epoch) : epoch,
      recordedAt: record.recordedAt,
      checksum,
    };
    this.stored.push(record);
  }
}

function rootOf(error: unknown): Error {
  if (error instanceof CommitFailed) return rootOf(error.cause);
  return error instanceof Error ? error : new Error(String(error));
}

/**
 * How a commit ended that was not confirmed. Its frames may lie in the write-ahead log, unknown to SQLite until a
 * recovery after a crash believes them; only when that file was emptied is it certain that what SQLite shows is all.
 */
function settle(file: LogFile, { stored: [first] }: Draft): 'stored' | 'gone' | 'unknown' {
  try {
    file.rollback();
    if (!file.emptyWal()) return 'unknown';
    return first !== undefined && file.end(first.partition) > first.offset ? 'stored' : 'gone';
  } catch {
    return 'unknown';
  }
}

const firstFences = (partitions: number, clock: Clock): readonly Fence[] =>
  Array.from({ length: partitions }, (_, partition) => ({
    kind: 'fence',
    partition,
    offset: 0,
    recordedAt: Math.trunc(clock.now()),
    epoch: 0,
    logId: randomUUID(),
  }));

const damaged = (directory: string, cause: unknown): RefusedStart =>
  new RefusedStart(`the log in ${directory} is damaged: ${String(cause)}`, { cause });

function refuseOtherPartitions(file: LogFile, directory: string, partitions: number): void {
  if (file.partitions === partitions) return;
  throw new RefusedStart(
    `the log in ${directory} has ${file.partitions} partitions, not ${partitions}: the number of an existing log cannot be changed`,
  );
}

function refuseLoss(file: LogFile, directory: string, checkpoints: readonly Checkpoint[]): void {
  for (const { partition, next, epoch } of checkpoints) {
    const tip = file.tip(partition);
    if (next <= tip.next && epoch <= tip.epoch) continue;
    throw new RefusedStart(
      `the log in ${directory} has lost records: partition ${partition} ends at ${tip.next} in epoch ${tip.epoch}, ` +
        `the read model was at ${next} in epoch ${epoch}`,
    );
  }
}
