import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import type { Kafka, KafkaMessage, Message } from 'kafkajs';
import { LogUnavailable } from '../event-log.js';
import { LONGEST_LEASE_MS, Presence, checkLease, type Lease } from '../presence.js';
import { ConsumeLoop } from './consume-loop.js';
import { IdempotentProducer } from './idempotent-producer.js';
import { createKafka, type KafkaOptions } from './kafka-client.js';
import { topicNames } from './kafka-topics.js';
import { TopicOffsets } from './topic-offsets.js';

export interface KafkaPresenceOptions extends KafkaOptions {
  /** For one renewal, and for one answer who is alive, ms. */
  readonly timeoutMs?: number;
  /** For beginning to read, ms. */
  readonly joinTimeoutMs?: number;
  /** The consumer crashed or was stuck, and is replaced. */
  readonly onConsumerRestart?: (reason: Error) => void;
}

const defaultTimeoutMs = 3_000;
const defaultJoinTimeoutMs = 30_000;
const BYTES_PER_FETCH = 1024 * 1024;
/** How long the broker keeps a fetch when there is nothing. What comes meanwhile is answered at once. */
const MAX_WAIT_MS = 500;

/** Key of what is written only to be read back; every other key is the name of a process. */
const MARKER_KEY = 'marker';
const MARKER_ID = 'cs-marker-id';

/**
 * The leases in `<prefix>.presence`, a compacted topic of one partition. A record's key is the name of a process, its
 * value says for how long the lease runs from the append on; null ends it. Only times of the broker are compared with
 * each other, never with a clock of this process. They are cut to milliseconds, so a lease lasts for all of its last one.
 */
export class KafkaPresence extends Presence {
  override readonly process = randomUUID();
  private readonly leases = new Map<string, Lease>();
  /** By the marker's id; told the time at which it was appended. */
  private readonly markers = new Map<string, (appendedAt: number) => void>();
  private loop: ConsumeLoop;
  /** The last of those that wait for their turn to send. */
  private sending: Promise<unknown> = Promise.resolve();
  /** The last record was not acknowledged: its producer is thrown away before anything else is sent. */
  private isProducerSpoilt = false;
  private hasRenewed = false;
  private closing: Promise<void> | undefined;

  private constructor(
    private readonly kafka: Kafka,
    private readonly topic: string,
    private readonly producer: IdempotentProducer,
    private readonly offsets: TopicOffsets,
    private readonly timeoutMs: number,
    private readonly onConsumerRestart: (reason: Error) => void,
  ) {
    super();
    this.loop = this.read();
  }

  /** The topic is created by the log transport. Throws when the brokers do not answer: try again later. */
  static async connect(options: KafkaPresenceOptions): Promise<KafkaPresence> {
    const { timeoutMs = defaultTimeoutMs, requestTimeoutMs = timeoutMs, onConsumerRestart = () => undefined } = options;
    const kafka = createKafka({ ...options, requestTimeoutMs: Math.min(requestTimeoutMs, timeoutMs) }, 'presence');
    const producer = new IdempotentProducer(kafka, timeoutMs);
    await producer.connect();
    const topic = topicNames(options.topicPrefix).presence;
    const presence = new KafkaPresence(
      kafka,
      topic,
      producer,
      new TopicOffsets(kafka, topic),
      timeoutMs,
      onConsumerRestart,
    );
    try {
      const { joinTimeoutMs = defaultJoinTimeoutMs } = options;
      await inTime(presence.loop.joined, joinTimeoutMs, `${topic} could not be read`);
      return presence;
    } catch (error) {
      await presence.close();
      throw error;
    }
  }

  override async renew(leaseMs: number): Promise<number> {
    checkLease(leaseMs);
    this.refuseWhenClosed();
    this.hasRenewed = true;
    const began = performance.now();
    await this.append({ key: this.process, value: JSON.stringify({ lease_ms: leaseMs, host: hostname() }) });
    return began + leaseMs;
  }

  /** A marker that comes back has everything before it behind it, and brings the broker's time. */
  override async live(): Promise<readonly Lease[]> {
    this.refuseWhenClosed();
    const id = randomUUID();
    const passed = new Promise<number>((resolve) => this.markers.set(id, resolve));
    const marker = this.append({ key: MARKER_KEY, value: null, headers: { [MARKER_ID]: id } });
    try {
      const [now] = await inTime(
        Promise.all([passed, marker]),
        this.timeoutMs,
        `${this.topic} was not read to its end`,
      );
      return [...this.leases.values()].filter(({ until }) => until >= now);
    } finally {
      this.markers.delete(id);
    }
  }

  override close(): Promise<void> {
    this.closing ??= this.end();
    return this.closing;
  }

  private async end(): Promise<void> {
    if (this.hasRenewed) await this.append({ key: this.process, value: null }).catch(() => undefined);
    await this.loop.close();
    await Promise.all([this.producer.close(), this.offsets.close()]);
  }

  private refuseWhenClosed(): void {
    if (this.closing) throw new LogUnavailable('the lease of this process was closed');
  }

  /** One record at a time, in order. What nobody waits for any more when its turn comes is not sent. */
  private async append(message: Message): Promise<void> {
    let isLate = false;
    const sent = this.sending.then(async () => {
      if (!isLate) await this.send(message);
    });
    this.sending = sent.catch(() => undefined);
    try {
      await inTime(sent, this.timeoutMs, `${this.topic} did not acknowledge a record`);
    } finally {
      isLate = true;
    }
  }

  private async send(message: Message): Promise<void> {
    if (this.isProducerSpoilt) await this.producer.renew();
    this.isProducerSpoilt = true;
    const acknowledged = await this.producer.send([{ topic: this.topic, messages: [{ ...message, partition: 0 }] }]);
    if (acknowledged.length === 0) throw new Error('its partition has no leader');
    this.isProducerSpoilt = false;
  }

  /** From the beginning of the topic on. */
  private read(): ConsumeLoop {
    return new ConsumeLoop(
      this.kafka,
      {
        topic: this.topic,
        groupId: () => `${this.topic}.tail.${randomUUID()}`,
        maxBytesPerPartition: BYTES_PER_FETCH,
        maxWaitMs: MAX_WAIT_MS,
        compacted: true,
        offsets: () => this.offsets.fetch(),
        onAssigned: () => undefined,
        onMessages: (_, messages) => messages.forEach((message) => this.see(message)),
        onRestart: this.onConsumerRestart,
        // The topic is not the one that was read until now: what counts is in this one.
        onFatal: (error) => {
          this.onConsumerRestart(error);
          this.leases.clear();
          this.loop = this.read();
        },
      },
      new Map([[0, 0]]),
    );
  }

  /** The last record of a process counts. What this program cannot have written is passed over. */
  private see({ key, value, headers, timestamp }: KafkaMessage): void {
    const appendedAt = Number(timestamp);
    for (const { process, until } of this.leases.values()) if (until < appendedAt) this.leases.delete(process);
    const name = key?.toString();
    if (name === undefined) return;
    if (name === MARKER_KEY) return this.markers.get(String(headers?.[MARKER_ID]))?.(appendedAt);
    if (value === null) return void this.leases.delete(name);
    const leaseMs = readLease(value);
    if (leaseMs !== undefined) this.leases.set(name, { process: name, until: appendedAt + leaseMs });
  }
}

function readLease(value: Buffer): number | undefined {
  try {
    const { lease_ms: leaseMs } = JSON.parse(value.toString()) as { lease_ms?: unknown };
    return typeof leaseMs === 'number' && leaseMs > 0 && leaseMs <= LONGEST_LEASE_MS ? leaseMs : undefined;
  } catch {
    return undefined;
  }
}

/** Throws {@link LogUnavailable} when the work fails or takes longer. */
async function inTime<T>(work: Promise<T>, ms: number, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const timeUp = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new LogUnavailable(`${what} within ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([work, timeUp]);
  } catch (cause) {
    throw cause instanceof LogUnavailable ? cause : new LogUnavailable(what, { cause });
  } finally {
    clearTimeout(timer);
  }
}
