import { streamKey, type Head, type NewRecord, type RecordedEvent } from '#events';
import type { Clock } from './clock.js';
import {
  EventLog,
  LogUnavailable,
  NotApplied,
  OutcomeUnknown,
  type RecordListener,
  type Subscriber,
  type Subscription,
  type Verdict,
} from './event-log.js';
import { fenced, judge } from './judge.js';
import type { Checkpoint, LogRecord } from './log-record.js';
import type { Following, LogTransport } from './log-transport.js';
import { Writer, defaultWriterLimits, type Ticket, type WriterLimits } from './writer.js';

export interface ArbiterOptions {
  /** For how long an append waits for its own record before its outcome is unknown, ms. */
  readonly appendTimeoutMs: number;
  /** For how long a barrier or a fence waits to be read back, ms. */
  readonly barrierTimeoutMs: number;
  readonly writer: WriterLimits;
  /** Names of markers; unique among all processes. */
  readonly newId: () => string;
  /** The tail cannot go on: the process must end, its knowledge is no longer kept current. */
  readonly onFatal: (error: Error) => void;
  readonly observer?: ArbiterObserver;
}

/** What operators want to count. */
export interface ArbiterObserver {
  batchSent(records: number): void;
  barrierPassed(ms: number): void;
}

export const defaultArbiterOptions = {
  appendTimeoutMs: 5_000,
  barrierTimeoutMs: 5_000,
  writer: defaultWriterLimits,
};

interface Waiting {
  readonly record: NewRecord;
  readonly head: Head;
  readonly ticket: Ticket;
  settle(verdict: Verdict): void;
  /** Gives up: not applied when the record was never sent, else unknown. */
  giveUp(why: string): void;
}

/**
 * For how many streams the tail's last records are remembered, and how many of each: a caller whose head is older than
 * what the tail has passed learns so. One that is older still must be noticed by the caller itself, see `EventLog.append`.
 */
const PASSED_STREAMS = 10_000;
const PASSED_RECORDS = 8;

interface Passed {
  readonly record: Pick<RecordedEvent, 'type' | 'version' | 'epoch' | 'recordedAt' | 'lifetime'>;
  readonly epoch: number;
}

interface Barrier {
  readonly id: string;
  ticket?: Ticket;
  readonly passed: Promise<void>;
  settle(error?: Error): void;
}

interface Place {
  next: number;
  epoch: number;
  /** The marker that is queued or under way. */
  barrier?: Barrier;
  /** Starts when the marker under way is done: its place in the log is after all who wait for it now. */
  following?: Promise<void>;
}

/**
 * An event log made of a log without conditions: the order in the log settles every race. One writer, one tail; every
 * append is answered only after its own record was read back and judged (design 3).
 */
export class Arbiter extends EventLog {
  private readonly writer: Writer;
  private readonly places: Place[];
  private readonly waiting = new Map<string, Set<Waiting>>();
  /** The stream whose last record is oldest comes first. */
  private readonly passed = new Map<string, readonly Passed[]>();
  private readonly fences = new Set<{
    partition: number;
    epoch: number;
    ticket: Ticket;
    settle(error?: Error): void;
  }>();
  private listener: RecordListener = () => undefined;
  private tailing: Following | undefined;
  /** The log's clock less this process's, ms. */
  private skew: number | undefined;
  private latest = 0;

  constructor(
    private readonly transport: LogTransport,
    private readonly clock: Clock,
    private readonly options: ArbiterOptions,
  ) {
    super();
    this.writer = new Writer(transport, clock, options.writer, (records) => options.observer?.batchSent(records));
    this.places = Array.from({ length: transport.partitions }, () => ({ next: 0, epoch: 0 }));
  }

  override get partitions(): number {
    return this.transport.partitions;
  }

  override async follow(checkpoints: readonly Checkpoint[], listener: RecordListener): Promise<void> {
    this.listener = listener;
    for (const { partition, next, epoch } of checkpoints) Object.assign(this.place(partition), { next, epoch });
    const everywhere = this.places.map((_, partition) => this.tail(partition));
    this.tailing = await this.transport.follow(
      everywhere,
      (records) => records.forEach((record) => this.read(record)),
      this.options.onFatal,
    );
    await Promise.all(this.places.map((_, partition) => this.reachEnd(partition)));
  }

  /** A tail that has much to catch up with gets there as long as it moves. */
  private async reachEnd(partition: number): Promise<void> {
    for (;;) {
      const { next } = this.tail(partition);
      try {
        return await this.barrier(partition);
      } catch (error) {
        if (this.tail(partition).next === next) throw error;
      }
    }
  }

  override append(record: NewRecord, head: Head): Promise<Verdict> {
    const key = streamKey(record);
    return new Promise((resolve, reject) => {
      if (record.epoch < this.place(record.partition).epoch) return resolve({ outcome: 'void', reason: 'epoch' });
      if (this.isBehind(key, head)) return resolve({ outcome: 'void', reason: 'version' });
      const ticket = this.writer.write({ kind: 'event', ...record });
      const streams = this.waiting.get(key) ?? new Set();
      this.waiting.set(key, streams);
      const leave = () => {
        cancel();
        streams.delete(waiting);
        if (streams.size === 0 && this.waiting.get(key) === streams) this.waiting.delete(key);
      };
      const { appendTimeoutMs } = this.options;
      const cancel = this.clock.after(appendTimeoutMs, () => waiting.giveUp(`within ${appendTimeoutMs} ms`));
      const waiting: Waiting = {
        record,
        head,
        ticket,
        settle: (verdict) => {
          leave();
          // Void before it was sent: then it need not be sent at all.
          ticket.withdraw();
          resolve(verdict);
        },
        giveUp: (why) => {
          leave();
          if (ticket.withdraw()) reject(new NotApplied(`${key}: version ${record.version} was not sent ${why}`));
          else reject(new OutcomeUnknown(`${key}: version ${record.version} was sent, but not read back ${why}`));
        },
      };
      streams.add(waiting);
    });
  }

  override barrier(partition: number): Promise<void> {
    const place = this.place(partition);
    if (place.barrier === undefined) return this.startBarrier(place, partition);
    if (place.barrier.ticket?.sentAt === undefined) return place.barrier.passed;
    place.following ??= place.barrier.passed.then(ignore, ignore).then(() => {
      place.following = undefined;
      return place.barrier?.passed ?? this.startBarrier(place, partition);
    });
    return place.following;
  }

  private startBarrier(place: Place, partition: number): Promise<void> {
    const began = this.clock.now();
    let settle: Barrier['settle'] = ignore;
    const passed = new Promise<void>((resolve, reject) => {
      settle = (error) => {
        cancel();
        place.barrier = undefined;
        if (error) return reject(error);
        this.options.observer?.barrierPassed(this.clock.now() - began);
        resolve();
      };
    });
    const cancel = this.clock.after(this.options.barrierTimeoutMs, () => {
      barrier.ticket?.withdraw();
      barrier.settle(
        new LogUnavailable(
          `partition ${partition}: a marker was not read back within ${this.options.barrierTimeoutMs} ms`,
        ),
      );
    });
    const barrier: Barrier = { id: this.options.newId(), passed, settle };
    place.barrier = barrier;
    barrier.ticket = this.writer.write({ kind: 'marker', partition, id: barrier.id });
    return passed;
  }

  override fence(partition: number, epoch: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const ticket = this.writer.write({ kind: 'fence', partition, epoch });
      const fence = {
        partition,
        epoch,
        ticket,
        settle: (error?: Error) => {
          cancel();
          this.fences.delete(fence);
          if (error) reject(error);
          else resolve();
        },
      };
      const cancel = this.clock.after(this.options.barrierTimeoutMs, () =>
        fence.settle(
          ticket.withdraw()
            ? new NotApplied(`partition ${partition}: the fence of epoch ${epoch} was not sent in time`)
            : new OutcomeUnknown(`partition ${partition}: the fence of epoch ${epoch} was not read back in time`),
        ),
      );
      this.fences.add(fence);
    });
  }

  override tail(partition: number): Checkpoint {
    const { next, epoch } = this.place(partition);
    return { partition, next, epoch };
  }

  override now(): number {
    if (this.skew === undefined) throw new LogUnavailable("the log's clock is not known yet");
    return Math.max(this.clock.now() + this.skew, this.latest);
  }

  override logId(partition: number): string {
    return this.transport.logId(partition);
  }

  override subscribe(subscriber: Subscriber): Promise<Subscription> {
    return this.transport.subscribe(subscriber);
  }

  override ends(): Promise<readonly number[]> {
    return this.transport.ends();
  }

  /** Whatever still waits learns what is known. */
  override async close(): Promise<void> {
    await this.writer.close();
    await this.tailing?.close();
    const why = 'before the log was closed';
    for (const streams of this.waiting.values()) for (const waiting of streams) waiting.giveUp(why);
    for (const place of this.places) place.barrier?.settle(new LogUnavailable(`a marker was not read back ${why}`));
    for (const fence of this.fences)
      fence.settle(new OutcomeUnknown(`the fence of epoch ${fence.epoch} was not read back ${why}`));
    await this.transport.close();
  }

  private place(partition: number): Place {
    const place = this.places[partition];
    if (place === undefined) throw new RangeError(`partition ${partition} of ${this.partitions}`);
    return place;
  }

  /** One record of the tail. Synchronous: whoever is answered afterwards finds the listener informed. */
  private read(record: LogRecord): void {
    const place = this.place(record.partition);
    if (record.offset < place.next) return;
    if (record.offset > place.next) {
      const { partition, offset } = record;
      return this.options.onFatal(
        new Error(`partition ${partition}: offset ${offset} came where ${place.next} was due`),
      );
    }
    place.next = record.offset + 1;
    this.latest = Math.max(this.latest, record.recordedAt);
    if (record.kind === 'fence') place.epoch = fenced(place.epoch, record.epoch);
    this.listener(record, place.epoch);
    switch (record.kind) {
      case 'event':
        return this.judgeWaiting(record, place.epoch);
      case 'fence':
        return this.passFence(record.partition, record.epoch, place.epoch);
      case 'marker':
        if (place.barrier?.id !== record.id) return;
        this.learnTime(place.barrier.ticket, record.recordedAt);
        return place.barrier.settle();
      case 'foreign':
        return;
    }
  }

  /** The tail has passed a valid record of the stream that `head` does not know of: what would follow it is void. */
  private isBehind(key: string, head: Head): boolean {
    return (this.passed.get(key) ?? []).some(({ record, epoch }) => {
      const judgement = judge(record, head, epoch);
      return judgement.valid || (judgement.reason === 'impossible' && record.epoch === epoch);
    });
  }

  private remember(key: string, { type, version, epoch, recordedAt, lifetime }: RecordedEvent, ofFence: number): void {
    const passed = { record: { type, version, epoch, recordedAt, ...(lifetime && { lifetime }) }, epoch: ofFence };
    const before = this.passed.get(key) ?? [];
    this.passed.delete(key);
    this.passed.set(key, [...before, passed].slice(-PASSED_RECORDS));
    if (this.passed.size <= PASSED_STREAMS) return;
    for (const oldest of this.passed.keys()) return void this.passed.delete(oldest);
  }

  private judgeWaiting(record: LogRecord & { readonly kind: 'event' }, epoch: number): void {
    const key = streamKey(record);
    this.remember(key, record, epoch);
    for (const waiting of this.waiting.get(key) ?? []) {
      const judgement = judge(record, waiting.head, epoch);
      const own = record.eventId === waiting.record.eventId;
      if (own) this.learnTime(waiting.ticket, record.recordedAt);
      if (judgement.valid) {
        const { partition, offset, recordedAt } = record;
        waiting.settle(
          own
            ? { outcome: 'accepted', position: { partition, offset }, recordedAt }
            : { outcome: 'void', reason: 'version' },
        );
      } else if (own) {
        // An epoch ahead of the partition's cannot come from an admitted command; for the caller it is a closed gate.
        waiting.settle({ outcome: 'void', reason: judgement.reason === 'impossible' ? 'epoch' : judgement.reason });
      }
    }
  }

  /** Whatever was not read before the fence comes after it, and is void. */
  private passFence(partition: number, fence: number, epoch: number): void {
    for (const waitings of this.waiting.values()) {
      for (const waiting of waitings) {
        const { record } = waiting;
        if (record.partition === partition && record.epoch < epoch)
          waiting.settle({ outcome: 'void', reason: 'epoch' });
      }
    }
    for (const waiting of this.fences) if (waiting.partition === partition && waiting.epoch === fence) waiting.settle();
  }

  /** An own record got its time between its sending and its coming back: that bounds the skew from both sides. */
  private learnTime(ticket: Ticket | undefined, recordedAt: number): void {
    if (ticket?.sentAt === undefined) return;
    const lowest = recordedAt - this.clock.now();
    const highest = recordedAt - ticket.sentAt;
    this.skew = this.skew === undefined ? (lowest + highest) / 2 : Math.min(Math.max(this.skew, lowest), highest);
  }
}

const ignore = (): void => undefined;
