import { setTimeout as sleep } from 'node:timers/promises';
import type { Batch, Subscriber, Subscription } from '../event-log.js';
import { fenced } from '../judge.js';
import { RefusedStart } from '../refused-start.js';
import type { ConsumeLoop, ConsumeLoopOptions } from './consume-loop.js';
import { fromMessage } from './kafka-record.js';

/** Batches that wait for a handler, per partition: enough to fetch while one is handled. */
const QUEUED_BATCHES = 2;
/** Of one batch: what a handler does between two checkpoints is a second of work, not a minute. */
const BATCH_RECORDS = 500;
const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 5_000;

type Fetched = Pick<Batch, 'records' | 'end'>;

/**
 * Reads partitions in a group and hands them to a subscriber. A handler may take as long as it likes: batches wait in a
 * short queue per partition while the consume loop goes on, keeps the group's session alive and serves the others.
 */
export class KafkaSubscription implements Subscription {
  private readers = new Map<number, PartitionReader>();
  /** By partition: what its readers still do, one after the other. */
  private readonly working = new Map<number, Promise<void>>();
  private readonly loop: ConsumeLoop;
  private closed = false;

  constructor(
    private readonly subscriber: Subscriber,
    startLoop: (hooks: Pick<ConsumeLoopOptions, 'onAssigned' | 'onMessages' | 'onFatal'>) => ConsumeLoop,
  ) {
    this.loop = startLoop({
      onAssigned: (partitions) => this.assign(partitions),
      onMessages: (partition, messages, end) =>
        this.readers.get(partition)?.take({ records: messages.map((message) => fromMessage(partition, message)), end }),
      onFatal: (error) => this.fail(error),
    });
  }

  /** Resolves when the group has given this reader its partitions. */
  get joined(): Promise<void> {
    return this.loop.joined;
  }

  /** The batch in flight is told that it is stale, so that closing does not wait for a store that is down. */
  async close(): Promise<void> {
    this.closed = true;
    this.dropReaders();
    await Promise.all(this.working.values());
    await this.loop.close();
  }

  /** Even a partition that stays is asked for its checkpoint again: in between it may have been somebody else's. */
  private assign(partitions: readonly number[]): void {
    this.dropReaders();
    if (this.closed) return;
    this.loop.liftAll();
    for (const partition of partitions) {
      const reader = new PartitionReader(partition, this.subscriber, this.loop, (error) => this.fail(error));
      this.readers.set(partition, reader);
      const before = this.working.get(partition) ?? Promise.resolve();
      this.working.set(
        partition,
        before.then(() => reader.run()),
      );
    }
  }

  private dropReaders(): void {
    for (const reader of this.readers.values()) reader.drop();
    this.readers = new Map();
  }

  private fail(error: Error): void {
    if (this.closed) return;
    this.dropReaders();
    this.subscriber.onFatal(error);
  }
}

/** A partition for as long as it is ours. */
class PartitionReader {
  private readonly dropped = new AbortController();
  private queue: Fetched[] = [];
  private arrived: () => void = () => undefined;
  private pause = FIRST_PAUSE_MS;

  constructor(
    private readonly partition: number,
    private readonly subscriber: Subscriber,
    private readonly loop: ConsumeLoop,
    private readonly onFatal: (error: Error) => void,
  ) {}

  private get isStale(): boolean {
    return this.dropped.signal.aborted;
  }

  drop(): void {
    this.dropped.abort();
    this.arrived();
  }

  take({ records, end }: Fetched): void {
    for (let from = 0; from < records.length; from += BATCH_RECORDS) {
      this.queue.push({ records: records.slice(from, from + BATCH_RECORDS), end });
    }
    if (this.queue.length >= QUEUED_BATCHES) this.loop.hold(this.partition);
    this.arrived();
  }

  /** From the checkpoint on; after a failure, again from the checkpoint as it is then. Never rejects. */
  async run(): Promise<void> {
    while (!this.isStale) {
      try {
        await this.readFromCheckpoint();
      } catch (error) {
        if (this.isStale) return;
        this.loop.lift(this.partition);
        this.queue = [];
        if (error instanceof RefusedStart) return this.onFatal(error);
        await sleep(this.pause, undefined, { signal: this.dropped.signal }).catch(() => undefined);
        this.pause = Math.min(this.pause * 2, LONGEST_PAUSE_MS);
      }
    }
  }

  private async readFromCheckpoint(): Promise<void> {
    const { partition, subscriber } = this;
    const checkpoint = await subscriber.checkpoint(partition);
    if (this.isStale) return;
    let { epoch } = checkpoint;
    this.loop.place(partition, checkpoint.next);
    for (let fetched = await this.next(); fetched; fetched = await this.next()) {
      const { records, end } = fetched;
      const epochs = records.map((record) => (record.kind === 'fence' ? (epoch = fenced(epoch, record.epoch)) : epoch));
      await subscriber.handle({ partition, records, epochs, end, isStale: () => this.isStale });
      this.pause = FIRST_PAUSE_MS;
    }
  }

  /** Undefined once the partition is not ours any more. */
  private async next(): Promise<Fetched | undefined> {
    while (!this.isStale && this.queue.length === 0) {
      await new Promise<void>((resolve) => {
        this.arrived = resolve;
      });
    }
    if (this.isStale) return undefined;
    const fetched = this.queue.shift();
    if (this.queue.length < QUEUED_BATCHES) this.loop.release(this.partition);
    return fetched;
  }
}
