import type { Clock } from './clock.js';
import { PassingFailure, type LogTransport, type Unplaced } from './log-transport.js';

/** A record given to the writer. */
export interface Ticket {
  /** Process time at which the record was first handed to the transport; undefined while it waits in the queue. */
  readonly sentAt: number | undefined;
  /** Takes the record back. False when it is too late: it was sent, and the log alone knows what became of it. */
  withdraw(): boolean;
}

export interface WriterLimits {
  /** Records of one batch. */
  readonly records: number;
  /** Bytes of one batch within a partition; a single larger record goes alone. */
  readonly bytesPerPartition: number;
  /** For how long an identical batch is sent again before its producer is thrown away, ms. */
  readonly persistenceMs: number;
}

export const defaultWriterLimits: WriterLimits = {
  records: 1000,
  bytesPerPartition: 1024 * 1024,
  persistenceMs: 10_000,
};

const firstPauseMs = 20;
const longestPauseMs = 500;

class Entry implements Ticket {
  sentAt: number | undefined;

  constructor(
    readonly record: Unplaced,
    private readonly queue: Set<Entry>,
  ) {}

  withdraw(): boolean {
    this.queue.delete(this);
    return this.sentAt === undefined;
  }
}

/**
 * The one writer of a producer: what arrives while a batch is under way joins the next one, and two batches are never
 * outstanding. A batch that failed for a passing reason is sent again identically; after any other failure the producer
 * is thrown away. The writer never says what became of a record: the tail does (design 3).
 */
export class Writer {
  private readonly queue = new Set<Entry>();
  private working: Promise<void> | undefined;
  private closed = false;

  constructor(
    private readonly transport: LogTransport,
    private readonly clock: Clock,
    private readonly limits: WriterLimits = defaultWriterLimits,
    private readonly onBatch: (records: number) => void = () => undefined,
  ) {}

  write(record: Unplaced): Ticket {
    const entry = new Entry(record, this.queue);
    if (!this.closed) {
      this.queue.add(entry);
      this.working ??= this.work();
    }
    return entry;
  }

  /** Resolves when the batch under way is done; what is still queued is dropped unsent. */
  async close(): Promise<void> {
    this.closed = true;
    await this.working;
  }

  private async work(): Promise<void> {
    // Whatever is written in this turn of the event loop goes out together.
    await Promise.resolve();
    for (let batch = this.take(); batch.length > 0; batch = this.take()) {
      this.onBatch(batch.length);
      await this.deliver(batch);
    }
    this.working = undefined;
  }

  private take(): Unplaced[] {
    if (this.closed) this.queue.clear();
    const batch: Unplaced[] = [];
    const bytes = new Map<number, number>();
    const now = this.clock.now();
    for (const entry of this.queue) {
      const { partition } = entry.record;
      const size = (bytes.get(partition) ?? 0) + sizeOf(entry.record);
      // Once a partition is full, its later records wait as well: their order is kept.
      const full =
        batch.length >= this.limits.records || (size > this.limits.bytesPerPartition && bytes.has(partition));
      if (full) {
        bytes.set(partition, Number.POSITIVE_INFINITY);
        continue;
      }
      bytes.set(partition, size);
      this.queue.delete(entry);
      entry.sentAt = now;
      batch.push(entry.record);
    }
    return batch;
  }

  private async deliver(batch: readonly Unplaced[]): Promise<void> {
    const giveUpAt = this.clock.now() + this.limits.persistenceMs;
    let rest = batch;
    for (let pause = firstPauseMs; ; pause = Math.min(pause * 2, longestPauseMs)) {
      try {
        const acknowledged = await this.transport.append(rest);
        // A resolved append proves nothing for a partition that its result does not name.
        rest = rest.filter(({ partition }) => !acknowledged.has(partition));
        if (rest.length === 0) return;
      } catch (error) {
        if (!(error instanceof PassingFailure)) return this.startOver();
      }
      if (this.closed || this.clock.now() >= giveUpAt) return this.startOver();
      await this.clock.sleep(pause);
    }
  }

  /** What the last batch did is the log's to tell; other records never follow it on the same producer. */
  private async startOver(): Promise<void> {
    for (let pause = firstPauseMs; !this.closed; pause = Math.min(pause * 2, longestPauseMs)) {
      try {
        return await this.transport.renew();
      } catch {
        await this.clock.sleep(pause);
      }
    }
  }
}

const headersAllowance = 512;

const sizeOf = (record: Unplaced): number =>
  record.kind === 'event' ? Buffer.byteLength(record.value) + headersAllowance : headersAllowance;
