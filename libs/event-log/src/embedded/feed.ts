import type { Clock } from '../clock.js';
import type { Batch, Subscriber, Subscription } from '../event-log.js';
import { fenced } from '../judge.js';
import type { Checkpoint } from '../log-record.js';
import type { LogFile, Stored } from './log-file.js';
import { isPassing } from './sqlite.js';

const BATCH_RECORDS = 500;
const BATCH_SIZE = 4 * 1024 * 1024;
const FIRST_PAUSE_MS = 20;
const LONGEST_PAUSE_MS = 2_000;

/** Up to a bounded number of records from the checkpoint on, with the epochs in force. Empty at the end of the log. */
export function readOn(file: LogFile, { partition, next, epoch }: Checkpoint): { records: Stored[]; epochs: number[] } {
  const records: Stored[] = [];
  const epochs: number[] = [];
  let total = 0;
  for (const { record, size } of file.records(partition, next)) {
    records.push(record);
    epochs.push(record.kind === 'fence' ? fenced(epochs.at(-1) ?? epoch, record.epoch) : (epochs.at(-1) ?? epoch));
    total += size;
    if (records.length === BATCH_RECORDS || total >= BATCH_SIZE) break;
  }
  return { records, epochs };
}

/** Hands the log to one subscriber: each partition by itself, one batch after the other. */
export class Feed implements Subscription {
  private readonly asleep = new Map<number, () => void>();
  private readonly running: Promise<unknown>;
  private isClosed = false;

  constructor(
    private readonly file: LogFile,
    private readonly subscriber: Subscriber,
    private readonly clock: Clock,
  ) {
    this.running = Promise.all(Array.from({ length: file.partitions }, (_, partition) => this.run(partition)));
  }

  /** There may be new records, in one partition or in any. */
  wake(partition?: number): void {
    if (partition === undefined) for (const awake of [...this.asleep.values()]) awake();
    else this.asleep.get(partition)?.();
  }

  async close(): Promise<void> {
    this.isClosed = true;
    this.wake();
    await this.running;
  }

  private async run(partition: number): Promise<void> {
    let at: Checkpoint | undefined;
    let pause = FIRST_PAUSE_MS;
    while (!this.isClosed) {
      try {
        at ??= await this.subscriber.checkpoint(partition);
        const batch = this.fetch({ ...at, partition });
        if (batch === undefined) {
          await this.sleep(partition);
          continue;
        }
        if (this.isClosed) return;
        await this.subscriber.handle(batch);
        at = { partition, next: at.next + batch.records.length, epoch: batch.epochs.at(-1)! };
        pause = FIRST_PAUSE_MS;
      } catch {
        // The subscriber threw it and knows it; what it has finished it says when asked for its checkpoint again.
        at = undefined;
        await this.sleep(partition, pause);
        pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
      }
    }
  }

  /** Undefined at the end of the log. A damaged log ends the whole feed: nobody can go on from there by himself. */
  private fetch(at: Checkpoint): Batch | undefined {
    try {
      const { records, epochs } = readOn(this.file, at);
      if (records.length === 0) return undefined;
      return { partition: at.partition, records, epochs, end: this.file.end(at.partition), isStale: () => false };
    } catch (error) {
      if (isPassing(error)) throw error;
      const wasClosed = this.isClosed;
      this.isClosed = true;
      this.wake();
      if (!wasClosed) this.subscriber.onFatal(error instanceof Error ? error : new Error(String(error)));
      return undefined;
    }
  }

  /** Until woken, or at most for `ms`. */
  private sleep(partition: number, ms?: number): Promise<void> {
    if (this.isClosed) return Promise.resolve();
    return new Promise((resolve) => {
      const awake = (): void => {
        cancel?.();
        this.asleep.delete(partition);
        resolve();
      };
      const cancel = ms === undefined ? undefined : this.clock.after(ms, awake);
      this.asleep.set(partition, awake);
    });
  }
}
