import type { RecordedEvent } from '#events';
import type { Message } from 'kafkajs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Foreign } from '../log-record.js';
import type { PublicEvent } from '../public-event.js';
import { IdempotentProducer } from './idempotent-producer.js';
import { createKafka, type KafkaOptions } from './kafka-client.js';
import { topicNames } from './kafka-topics.js';

const ackTimeoutMs = 5_000;
const MOST_MESSAGES = 500;
/** Of one batch, over all partitions: far below what a partition's share may be. */
const MOST_BYTES = 1024 * 1024;
const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 2_000;

type Sent = Message & { readonly partition: number; readonly key: string; readonly value: string };

interface Waiting {
  readonly message: Sent;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/**
 * Sends messages to one topic until they are stored, for ever if need be: one batch at a time, in the order given. What
 * is sent again may be there twice.
 */
class PersistentSender {
  private queue: Waiting[] = [];
  private working: Promise<void> | undefined;
  private readonly closing = new AbortController();

  constructor(
    private readonly producer: IdempotentProducer,
    private readonly topic: string,
    private readonly onTrouble: (error: unknown) => void,
  ) {}

  /** Resolves when the message is stored. Rejects only when the sender is closed: then it may be stored or not. */
  send(message: Sent): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.closing.signal.aborted) return reject(closed(this.topic));
      this.queue.push({ message, resolve, reject });
      this.working ??= this.work();
    });
  }

  async close(): Promise<void> {
    this.closing.abort();
    await this.working;
    await this.producer.close();
  }

  private async work(): Promise<void> {
    // Whatever is sent in this turn of the event loop goes out together.
    await Promise.resolve();
    while (this.queue.length > 0) {
      let rest = this.take();
      for (let pause = FIRST_PAUSE_MS; rest.length > 0; pause = Math.min(pause * 2, LONGEST_PAUSE_MS)) {
        if (this.closing.signal.aborted) {
          for (const { reject } of [...rest, ...this.queue.splice(0)]) reject(closed(this.topic));
          break;
        }
        const before = rest.length;
        rest = await this.deliver(rest);
        if (rest.length === before) await this.pauseFor(pause);
      }
    }
    this.working = undefined;
  }

  private take(): Waiting[] {
    let bytes = 0;
    const over = this.queue.findIndex(({ message }, i) => {
      bytes += Buffer.byteLength(message.value);
      return i >= MOST_MESSAGES || (i > 0 && bytes > MOST_BYTES);
    });
    return this.queue.splice(0, over < 0 ? this.queue.length : over);
  }

  /** What was not acknowledged, to be sent again as it is. */
  private async deliver(batch: Waiting[]): Promise<Waiting[]> {
    try {
      const messages = batch.map(({ message }) => message);
      const results = await this.producer.send([{ topic: this.topic, messages }]);
      const stored = new Set(results.map(({ partition }) => partition));
      for (const { message, resolve } of batch) if (stored.has(message.partition)) resolve();
      return batch.filter(({ message }) => !stored.has(message.partition));
    } catch (error) {
      this.onTrouble(error);
      // Also what may pass: kafkajs asks on a connection that has died without a word as long as nobody throws it away.
      await this.producer.renew().catch(this.onTrouble);
      return batch;
    }
  }

  private pauseFor(ms: number): Promise<void> {
    return sleep(ms, undefined, { signal: this.closing.signal }).catch(() => undefined);
  }
}

const closed = (topic: string): Error => new Error(`${topic} was closed before the message was acknowledged`);

async function connectSender(options: KafkaOptions, destination: 'events' | 'deadLetters'): Promise<PersistentSender> {
  const topic = topicNames(options.topicPrefix)[destination];
  const producer = new IdempotentProducer(createKafka(options, destination), ackTimeoutMs);
  await producer.connect();
  const { onClientError = () => undefined } = options;
  return new PersistentSender(producer, topic, (error) =>
    onClientError(`${topic}: ${error instanceof Error ? error.message : String(error)}`, {}),
  );
}

export interface PublicTopicOptions extends KafkaOptions {
  /** CloudEvents `source`: together with an event's id it is unique in the world. */
  readonly source?: string;
}

/**
 * `<prefix>.events`, for everybody: CloudEvents 1.0 in Kafka's binary mode, each event in the partition with the
 * source's number (design 2). At least once; first appearances are in stream order.
 */
export class KafkaPublicTopic {
  private constructor(
    private readonly sender: PersistentSender,
    private readonly source: string,
  ) {}

  /** The topic is created by the log transport. Throws when the brokers cannot be reached: try again later. */
  static async connect(options: PublicTopicOptions): Promise<KafkaPublicTopic> {
    const sender = await connectSender(options, 'events');
    return new KafkaPublicTopic(sender, options.source ?? '/context-services');
  }

  /**
   * Stored in the order given, also between calls. Resolves when all are; waits as long as the brokers are down. Throws
   * when closed meanwhile.
   */
  async publish(events: readonly PublicEvent[]): Promise<void> {
    await Promise.all(events.map((event) => this.sender.send(this.messageOf(event))));
  }

  private messageOf({ id, type, subject, sequence, time, partition, key, data }: PublicEvent): Sent {
    return {
      partition,
      key,
      value: JSON.stringify(data),
      headers: {
        ce_specversion: '1.0',
        ce_id: id,
        ce_source: this.source,
        ce_type: type,
        ce_subject: subject,
        ce_time: time,
        ce_sequence: String(sequence),
        'content-type': 'application/json',
      },
    };
  }

  async close(): Promise<void> {
    await this.sender.close();
  }
}

/** `<prefix>.dead-letters`: records that could not be projected, with the reason, kept for an operator. */
export class KafkaDeadLetters {
  private constructor(
    private readonly sender: PersistentSender,
    private readonly source: string,
  ) {}

  /** The topic is created by the log transport. Throws when the brokers cannot be reached: try again later. */
  static async connect(options: KafkaOptions): Promise<KafkaDeadLetters> {
    return new KafkaDeadLetters(await connectSender(options, 'deadLetters'), topicNames(options.topicPrefix).services);
  }

  /** Resolves when it is stored; waits as long as the brokers are down. Throws when closed meanwhile. */
  async add(record: RecordedEvent | Foreign, reason: string): Promise<void> {
    const { partition, offset } = record;
    await this.sender.send({
      partition,
      key: `${partition}:${offset}`,
      value: JSON.stringify(record),
      headers: {
        'cs-reason': reason,
        'cs-topic': this.source,
        'cs-partition': `${partition}`,
        'cs-offset': `${offset}`,
      },
    });
  }

  async close(): Promise<void> {
    await this.sender.close();
  }
}
