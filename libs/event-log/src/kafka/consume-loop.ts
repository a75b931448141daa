import type { Consumer, EachBatchPayload, Kafka, KafkaMessage } from 'kafkajs';
import { setTimeout as sleep } from 'node:timers/promises';
import { within } from './kafka-client.js';
import type { Offsets } from './topic-offsets.js';

export interface ConsumeLoopOptions {
  readonly topic: string;
  /** Asked for each new consumer. */
  readonly groupId: () => string;
  readonly maxBytesPerPartition: number;
  /** For how long the broker keeps a fetch when there is nothing, ms. What comes meanwhile is answered at once. */
  readonly maxWaitMs: number;
  /** Compaction has removed records: that offsets are missing means nothing. */
  readonly compacted?: boolean;
  /** Where each partition begins and ends, from the broker. */
  readonly offsets: () => Promise<readonly Offsets[]>;
  /**
   * Exactly these partitions are this reader's from now on; none after the consumer was lost. Those that have no place
   * when this returns give nothing until {@link ConsumeLoop.place}. Synchronous: nothing is fetched before it returns.
   */
  readonly onAssigned: (partitions: readonly number[]) => void;
  /** In order, none twice, none left out. `end`: one past the partition's last record as of this fetch. */
  readonly onMessages: (partition: number, messages: readonly KafkaMessage[], end: number) => void;
  /** The loop has ended: the log is not what the places promise, or `onMessages` threw. */
  readonly onFatal: (error: Error) => void;
  /** The consumer crashed or was stuck, and is replaced. */
  readonly onRestart?: (reason: Error) => void;
}

interface Place {
  next: number;
  /** How often in a row the broker's answer did not fit `next`. */
  refusals: number;
  /** Given back to the broker for a while: nothing is fetched. */
  held: boolean;
  /** Looks of the watch in a row that found records there and none coming. */
  idleLooks: number;
  /** `next` at the last look. */
  lookedAt: number;
}

/** A broker that became leader a moment ago may know less of the log's end than was read already: asked again first. */
const REFUSALS_UNTIL_FATAL = 5;
const REFUSAL_PAUSE_MS = 1_000;
const WATCH_MS = 3_000;
const IDLE_LOOKS_UNTIL_RESTART = 3;
/** kafkajs asks for the partitions in a fixed order: a backlog of this size in one can keep later ones waiting. */
const BACKLOG_RECORDS = 10_000;
const SILENCE_UNTIL_RESTART_MS = 30_000;
const FIRST_RESTART_PAUSE_MS = 100;
const LONGEST_RESTART_PAUSE_MS = 5_000;
const CLOSE_WITHIN_MS = 5_000;
const REBALANCE_MS = 10_000;

/**
 * Reads partitions and keeps its own place in each, where kafkajs forgets it (a group without commits that rejoins
 * starts anywhere) or resets it (a place that the broker does not have): the place is set in GROUP_JOIN, before
 * anything is fetched, and each batch is compared with it. Lower offsets are passed over; a hole, or a log that ends
 * before the place or begins behind it, is asked for again and then fatal. A consumer that crashes or goes quiet is
 * replaced. Wherever it begins again, it begins with the record that it read last: that must be the one it was, or the
 * log has lost its end, or was made anew, and has grown since.
 *
 * Offsets must be contiguous unless the topic is compacted: not for transactions.
 */
export class ConsumeLoop {
  private readonly places = new Map<number, Place>();
  /** By partition, however often it was lifted since: a log that has another record there is not the same log. */
  private readonly lastRead = new Map<number, { readonly offset: string; readonly what: string }>();
  private readonly closing = new AbortController();
  private consumer: Consumer | undefined;
  private replace: (reason: Error) => void = () => undefined;
  private lastSign = Date.now();
  private markJoined: () => void = () => undefined;
  private readonly working: Promise<unknown>;
  /** Resolves when partitions were assigned for the first time, or the loop was closed. */
  readonly joined: Promise<void>;

  constructor(
    private readonly kafka: Kafka,
    private readonly options: ConsumeLoopOptions,
    places: ReadonlyMap<number, number> = new Map(),
  ) {
    for (const [partition, next] of places) this.places.set(partition, placed(next));
    this.joined = new Promise((resolve) => {
      this.markJoined = resolve;
    });
    this.working = Promise.all([this.consume(), this.watch()]);
  }

  /** The partition goes on at `next`, and gives records. */
  place(partition: number, next: number): void {
    this.places.set(partition, placed(next));
    this.seek(partition);
  }

  /** Nothing is fetched of the partition until {@link release}; what was fetched already still comes. */
  hold(partition: number): void {
    const place = this.places.get(partition);
    if (!place || place.held) return;
    place.held = true;
    this.pause(partition);
  }

  release(partition: number): void {
    const place = this.places.get(partition);
    if (!place?.held) return;
    place.held = false;
    this.resume(partition);
  }

  /** The partition has no place any more: whatever comes of it is passed over until {@link place}. */
  lift(partition: number): void {
    if (this.places.delete(partition)) this.pause(partition);
  }

  liftAll(): void {
    for (const partition of this.places.keys()) this.lift(partition);
  }

  async close(): Promise<void> {
    this.closing.abort();
    this.replace(new Error('closed'));
    await this.working;
    this.markJoined();
  }

  private get closed(): boolean {
    return this.closing.signal.aborted;
  }

  /** One consumer after the other, each as long as it lives. */
  private async consume(): Promise<void> {
    let pause = FIRST_RESTART_PAUSE_MS;
    while (!this.closed) {
      const began = Date.now();
      const reason = await this.consumeUntilLost();
      if (this.closed) return;
      this.options.onRestart?.(reason);
      pause = Date.now() - began > LONGEST_RESTART_PAUSE_MS ? FIRST_RESTART_PAUSE_MS : pause * 2;
      await this.pauseFor(Math.min(pause, LONGEST_RESTART_PAUSE_MS));
    }
  }

  private async consumeUntilLost(): Promise<Error> {
    const { topic, groupId, maxBytesPerPartition, maxWaitMs } = this.options;
    const consumer = this.kafka.consumer({
      groupId: groupId(),
      sessionTimeout: 10_000,
      rebalanceTimeout: REBALANCE_MS,
      heartbeatInterval: 1_000,
      minBytes: 1,
      maxBytesPerPartition,
      maxWaitTimeInMs: maxWaitMs,
      allowAutoTopicCreation: false,
      // A crashed consumer is replaced here: a restart by kafkajs itself would wait for its own ghost in the group.
      retry: { retries: 20, restartOnFailure: () => Promise.resolve(false) },
    });
    const lost = new Promise<Error>((resolve) => {
      this.replace = resolve;
      consumer.on(consumer.events.CRASH, ({ payload }) => resolve(payload.error));
    });
    consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
      if (consumer === this.consumer) this.join(payload.memberAssignment[topic] ?? []);
    });
    consumer.on(consumer.events.FETCH, () => {
      if (consumer === this.consumer) this.lastSign = Date.now();
    });
    this.consumer = consumer;
    this.lastSign = Date.now();
    const running = this.run(consumer);
    const failed = running.then(
      () => lost,
      (error: unknown) => asError(error),
    );
    const reason = await Promise.race([failed, lost]);
    this.consumer = undefined;
    this.options.onAssigned([]);
    // Leaving while it still joins would leave a ghost behind that joins after all.
    await within(REBALANCE_MS + CLOSE_WITHIN_MS, running);
    await within(CLOSE_WITHIN_MS, consumer.disconnect());
    return reason;
  }

  private async run(consumer: Consumer): Promise<void> {
    await consumer.connect();
    await consumer.subscribe({ topic: this.options.topic, fromBeginning: true });
    await consumer.run({ autoCommit: false, eachBatch: async (payload) => this.read(consumer, payload) });
  }

  /** Synchronous, between the join and the first fetch. */
  private join(partitions: readonly number[]): void {
    this.lastSign = Date.now();
    this.options.onAssigned(partitions);
    for (const partition of partitions) {
      const place = this.places.get(partition);
      if (place) this.seek(partition);
      if (!place || place.held) this.pause(partition);
    }
    this.markJoined();
  }

  private read(consumer: Consumer, payload: EachBatchPayload): void {
    const { batch } = payload;
    const { partition } = batch;
    const place = this.places.get(partition);
    // Batches that were fetched before a seek, or for a consumer that was given up, are still handed out.
    if (this.closed || consumer !== this.consumer || payload.isStale() || !place) return;
    const end = Number(batch.highWatermark);
    const known = this.lastRead.get(partition);
    const again = batch.messages.find(({ offset }) => offset === known?.offset);
    if (again && whatIs(again) !== known?.what)
      return this.fail(
        new Error(
          `${batch.topic}, partition ${partition}: record ${again.offset} is not the one that was read before: the log has lost its end, or is another one`,
        ),
      );
    const fresh = batch.messages.filter(({ offset }) => Number(offset) >= place.next);
    const hole = this.options.compacted ? -1 : fresh.findIndex(({ offset }, i) => Number(offset) !== place.next + i);
    const good = hole < 0 ? fresh : fresh.slice(0, hole);
    if (end < place.next) return this.refuse(partition, place, `the log ends at ${end}`);
    const last = good.at(-1);
    if (last) {
      place.next = Number(last.offset) + 1;
      this.lastRead.set(partition, { offset: last.offset, what: whatIs(last) });
      place.refusals = 0;
      try {
        this.options.onMessages(partition, good, end);
      } catch (error) {
        return this.fail(asError(error));
      }
    }
    const missed = fresh[hole];
    if (missed) this.refuse(partition, place, `the broker goes on at ${missed.offset}`);
  }

  private refuse(partition: number, place: Place, found: string): void {
    place.refusals += 1;
    if (place.refusals >= REFUSALS_UNTIL_FATAL) {
      const { topic } = this.options;
      return this.fail(new Error(`${topic}, partition ${partition}: the next offset is ${place.next}, but ${found}`));
    }
    this.pause(partition);
    void this.pauseFor(REFUSAL_PAUSE_MS).then(() => {
      if (this.places.get(partition) === place && !place.held) this.seek(partition);
    });
  }

  private fail(error: Error): void {
    if (this.closed) return;
    this.closing.abort();
    this.replace(error);
    this.options.onFatal(error);
  }

  /** Notices a consumer that stopped without a word, one that is stuck, and a log that lost its end or what is next. */
  private async watch(): Promise<void> {
    for (;;) {
      await this.pauseFor(WATCH_MS);
      if (this.closed) return;
      if (Date.now() - this.lastSign > SILENCE_UNTIL_RESTART_MS) this.replace(new Error('the consumer went quiet'));
      const asked = [...this.places].map(([partition, place]) => ({ partition, place, next: place.next }));
      const offsets = await this.options.offsets().catch(() => undefined);
      if (!offsets || this.closed) continue;
      const found = asked.map((one) => {
        const { low, high } = offsets[one.partition] ?? { low: 0, high: 0 };
        return { ...one, begin: this.options.compacted ? 0 : low, end: high };
      });
      const catchingUp = found.some(
        ({ place, next, end }) => place.lookedAt !== place.next && end - next > BACKLOG_RECORDS,
      );
      for (const { partition, place, next, begin, end } of found) {
        if (this.places.get(partition) !== place) continue;
        if (end < next) this.refuse(partition, place, `the log ends at ${end}`);
        else if (begin > place.next) this.refuse(partition, place, `the log begins at ${begin}`);
        else this.look(partition, place, end, catchingUp);
      }
    }
  }

  private look(partition: number, place: Place, end: number, catchingUp: boolean): void {
    const idle = !place.held && end > place.next && place.lookedAt === place.next && !catchingUp;
    place.lookedAt = place.next;
    place.idleLooks = idle ? place.idleLooks + 1 : 0;
    if (place.idleLooks < IDLE_LOOKS_UNTIL_RESTART) return;
    place.idleLooks = 0;
    this.replace(new Error(`partition ${partition} stays at ${place.next}, the log goes on to ${end}`));
  }

  private seek(partition: number): void {
    const { topic } = this.options;
    const place = this.places.get(partition);
    if (!place) return;
    const from = Number(this.lastRead.get(partition)?.offset) === place.next - 1 ? place.next - 1 : place.next;
    whileRunning(() => this.consumer?.seek({ topic, partition, offset: String(from) }));
    if (!place.held) this.resume(partition);
  }

  private pause(partition: number): void {
    whileRunning(() => this.consumer?.pause([{ topic: this.options.topic, partitions: [partition] }]));
  }

  private resume(partition: number): void {
    whileRunning(() => this.consumer?.resume([{ topic: this.options.topic, partitions: [partition] }]));
  }

  private pauseFor(ms: number): Promise<void> {
    return sleep(ms, undefined, { signal: this.closing.signal }).catch(() => undefined);
  }
}

const placed = (next: number): Place => ({ next, refusals: 0, held: false, idleLooks: 0, lookedAt: -1 });

/** Enough to tell it from any other record at its place. */
const whatIs = ({ timestamp, key, value, headers = {} }: KafkaMessage): string =>
  [timestamp, String(key), value?.length ?? -1, ...Object.values(headers).map(String)].join('\n');

const asError = (error: unknown): Error => (error instanceof Error ? error : new Error(String(error)));

/** A consumer that has just stopped refuses to be told; all is said again when its successor joins. */
function whileRunning(tell: () => void): void {
  try {
    tell();
  } catch {
    return;
  }
}
