import type { Clock } from '../clock.js';
import type { Batch, Subscriber, Subscription } from '../event-log.js';
import { fenced } from '../judge.js';
import type { Checkpoint } from '../log-record.js';
import type { LogFile, Stored } from './log-file.js';
import { isPassing } from './sqlite.js';

const BATCH_RECORDS = 500;
const BATCH_SIZE = 4 * 1024 * 1024;
/** Read in one go for all partitions: after so many the process may do something else in between. */
const LOOK_RECORDS = 2_000;
const FIRST_PAUSE_MS = 20;
const LONGEST_PAUSE_MS = 2_000;

/** Where reading goes on. `checksum`: of the record before, when it was just read. */
interface Place extends Checkpoint {
  readonly checksum?: string;
}

interface Read {
  readonly records: readonly Stored[];
  readonly epochs: readonly number[];
  readonly next: Place;
  /** Nothing comes after these records. */
  readonly isAtEnd: boolean;
}

/** Up to a bounded number of records from the checkpoint on, with the epochs in force. None at the end of the log. */
export function readOn(file: LogFile, { partition, next, epoch, checksum }: Place): Read {
  const records: Stored[] = [];
  const epochs: number[] = [];
  let last: Place = { partition, next, epoch, ...(checksum !== undefined && { checksum }) };
  let total = 0;
  for (const link of file.records(partition, next, checksum)) {
    const { record, size } = link;
    const inForce = record.kind === 'fence' ? fenced(last.epoch, record.epoch) : last.epoch;
    records.push(record);
    epochs.push(inForce);
    last = { partition, next: record.offset + 1, epoch: inForce, checksum: link.checksum };
    total += size;
    if (records.length === BATCH_RECORDS || total >= BATCH_SIZE) return { records, epochs, next: last, isAtEnd: false };
  }
  return { records, epochs, next: last, isAtEnd: true };
}

interface Fetched {
  readonly batch: Batch;
  readonly next: Place;
}

/** A partition that is ready for its next batch. */
interface Waiting {
  readonly at: Place;
  resolve(fetched: Fetched | undefined): void;
  reject(error: unknown): void;
}

/**
 * Hands the log to one subscriber: each partition by itself, one batch after the other. Those that are ready at the same
 * time are looked at together: a transaction for each would cost more than what it reads.
 */
export class Feed implements Subscription {
  /** Whoever waits longest comes first. */
  private readonly waiting = new Map<number, Waiting>();
  private readonly pauses = new Set<() => void>();
  private readonly running: Promise<unknown>;
  private isLookDue = false;
  private isClosed = false;

  constructor(
    private readonly file: LogFile,
    private readonly subscriber: Subscriber,
    private readonly clock: Clock,
  ) {
    this.running = Promise.all(Array.from({ length: file.partitions }, (_, partition) => this.run(partition)));
  }

  /** There may be new records. Cheap: what is told in one turn of the event loop is looked for once. */
  wake(): void {
    if (this.isLookDue || this.waiting.size === 0) return;
    this.isLookDue = true;
    setImmediate(() => {
      this.isLookDue = false;
      this.look();
    });
  }

  async close(): Promise<void> {
    this.end();
    await this.running;
  }

  private end(): void {
    this.isClosed = true;
    for (const { resolve } of this.waiting.values()) resolve(undefined);
    this.waiting.clear();
    for (const awake of this.pauses) awake();
  }

  private async run(partition: number): Promise<void> {
    let at: Place | undefined;
    let pause = FIRST_PAUSE_MS;
    while (!this.isClosed) {
      try {
        at ??= { ...(await this.subscriber.checkpoint(partition)), partition };
        const fetched = await this.fetched(at);
        if (fetched === undefined || this.isClosed) return;
        await this.subscriber.handle(fetched.batch);
        at = fetched.next;
        pause = FIRST_PAUSE_MS;
      } catch {
        // The subscriber threw it and knows it; what it has finished it says when asked for its checkpoint again.
        at = undefined;
        await this.sleep(pause);
        pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
      }
    }
  }

  /** As soon as there is something; undefined when closed. Rejects when the file does not answer for the moment. */
  private fetched(at: Place): Promise<Fetched | undefined> {
    if (this.isClosed) return Promise.resolve(undefined);
    return new Promise((resolve, reject) => {
      this.waiting.set(at.partition, { at, resolve, reject });
      this.wake();
    });
  }

  /** A damaged log ends the whole feed: nobody can go on from there by himself. */
  private look(): void {
    if (this.isClosed) return;
    try {
      this.file.reading(() => this.lookThrough());
    } catch (error) {
      if (isPassing(error)) {
        const all = [...this.waiting.values()];
        this.waiting.clear();
        for (const { reject } of all) reject(error);
        return;
      }
      this.end();
      this.subscriber.onFatal(error instanceof Error ? error : new Error(String(error)));
    }
  }

  private lookThrough(): void {
    let count = 0;
    for (const [partition, { at, resolve }] of this.waiting) {
      if (count >= LOOK_RECORDS) return this.wake();
      const { records, epochs, next, isAtEnd } = readOn(this.file, at);
      if (records.length === 0) continue;
      count += records.length;
      const end = isAtEnd ? next.next : this.file.end(partition);
      this.waiting.delete(partition);
      resolve({ batch: { partition, records, epochs, end, isStale: () => false }, next });
    }
  }

  /** For so long, or until closed. */
  private sleep(ms: number): Promise<void> {
    if (this.isClosed) return Promise.resolve();
    return new Promise((resolve) => {
      const awake = (): void => {
        cancel();
        this.pauses.delete(awake);
        resolve();
      };
      const cancel = this.clock.after(ms, awake);
      this.pauses.add(awake);
    });
  }
}
