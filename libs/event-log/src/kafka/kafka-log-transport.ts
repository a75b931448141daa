import { randomUUID } from 'node:crypto';
import type { Kafka } from 'kafkajs';
import { setTimeout as sleep } from 'node:timers/promises';
import { LogUnavailable, type Subscriber, type Subscription } from '../event-log.js';
import type { Checkpoint, LogRecord } from '../log-record.js';
import { LogTransport, type Following, type Unplaced } from '../log-transport.js';
import { RefusedStart } from '../refused-start.js';
import { ConsumeLoop } from './consume-loop.js';
import { IdempotentProducer } from './idempotent-producer.js';
import { createKafka, within, type KafkaOptions } from './kafka-client.js';
import { fromMessage, toMessage } from './kafka-record.js';
import { KafkaSubscription } from './kafka-subscription.js';
import { MAX_RECORD_BYTES, prepareTopics, topicNames, type TopicOptions } from './kafka-topics.js';
import { TopicOffsets, type Offsets } from './topic-offsets.js';

interface KafkaLogOptions extends KafkaOptions, Partial<Omit<TopicOptions, 'topicPrefix'>> {
  /** For reading record 0 of each partition when connecting, ms. */
  readonly namingTimeoutMs?: number;
  /** A consumer crashed or was stuck, and is replaced. */
  readonly onConsumerRestart?: (reason: Error) => void;
}

/** `<prefix>.services`, in as many partitions as are configured. */
export interface ServicesLogOptions extends KafkaLogOptions {
  readonly log?: 'services';
  /** What the read model was built from: a log that is another, or shorter, refuses the start. */
  readonly checkpoints?: readonly StoredCheckpoint[];
}

/** `<prefix>.control`, always of one partition, read from its beginning by everybody: there are no checkpoints of it. */
export interface ControlLogOptions extends KafkaLogOptions {
  readonly log: 'control';
  readonly checkpoints?: never;
}

export type KafkaLogTransportOptions = ServicesLogOptions | ControlLogOptions;

interface StoredCheckpoint {
  readonly partition: number;
  readonly next: number;
  readonly logId: string;
}

const DAY_MS = 24 * 60 * 60 * 1000;

const defaultTopicOptions = { partitions: 12, replicationFactor: 1, publicRetentionMs: 30 * DAY_MS };

/** How long a broker waits for its replicas before it says that it cannot acknowledge. */
const ackTimeoutMs = 5_000;

const CLOSE_WITHIN_MS = 5_000;

const defaultNamingTimeoutMs = 30_000;

const ATTEMPTS_WHILE_ELECTED = 10;
const ELECTION_PAUSE_MS = 100;

/**
 * The largest record batch: kafkajs asks for the partitions in a fixed order, and the broker gives a batch that exceeds
 * the limit only when no partition before it has anything. A busy one would hold it up for ever.
 */
const BYTES_PER_PARTITION = MAX_RECORD_BYTES;

/** Room for record 0, so that reading it does not fetch a megabyte of each partition. */
const ONE_RECORD_BYTES = 4 * 1024;

/** How long the broker keeps a fetch when there is nothing. What comes meanwhile is answered at once. */
const MAX_WAIT_MS = { services: 50, control: 250 };

/**
 * A topic as a log without conditions. Record 0 of each partition is a fence of epoch 0 with a
 * random id: the log's identity, since a topic that was deleted and created again looks like the old one otherwise.
 */
export class KafkaLogTransport extends LogTransport {
  private readonly readers = new Set<{ close(): Promise<void> }>();

  private constructor(
    private readonly kafka: Kafka,
    private readonly log: 'services' | 'control',
    private readonly topic: string,
    private readonly logIds: readonly string[],
    private readonly producer: IdempotentProducer,
    private readonly offsets: TopicOffsets,
    private readonly options: KafkaLogTransportOptions,
  ) {
    super();
  }

  /**
   * Creates the topics that are missing, checks those that are there, and names an empty log. Any number of processes
   * may do it at once, and a crash in the middle is completed by the next start. Throws {@link RefusedStart} when the
   * start would lose data or has found it lost; after any other error try again later.
   */
  static async connect(options: KafkaLogTransportOptions): Promise<KafkaLogTransport> {
    const { log = 'services', checkpoints = [], namingTimeoutMs = defaultNamingTimeoutMs } = options;
    const kafka = createKafka(options, log);
    const topic = topicNames(options.topicPrefix)[log];
    const admin = kafka.admin();
    const producer = new IdempotentProducer(kafka, ackTimeoutMs);
    const offsets = new TopicOffsets(kafka, topic);
    try {
      await admin.connect();
      await prepareTopics(admin, { ...defaultTopicOptions, ...options });
      await producer.connect();
      const logIds = await nameLog(kafka, topic, producer, offsets, namingTimeoutMs);
      checkAgainst(checkpoints, logIds, await offsets.fetch());
      return new KafkaLogTransport(kafka, log, topic, logIds, producer, offsets, options);
    } catch (error) {
      await Promise.all([producer.close(), offsets.close()]);
      throw error;
    } finally {
      await within(CLOSE_WITHIN_MS, admin.disconnect());
    }
  }

  override get partitions(): number {
    return this.logIds.length;
  }

  override logId(partition: number): string {
    const logId = this.logIds[partition];
    if (logId === undefined) throw new RangeError(`partition ${partition} of ${this.partitions}`);
    return logId;
  }

  /**
   * kafkajs makes one record batch of what goes into one partition; one that exceeds the topic's limit fails as a whole
   * while other partitions' are stored. Whoever writes keeps each partition's share well below {@link MAX_RECORD_BYTES}.
   */
  override async append(batch: readonly Unplaced[]): Promise<ReadonlySet<number>> {
    const results = await this.producer.send([{ topic: this.topic, messages: batch.map(toMessage) }]);
    return new Set(results.map(({ partition }) => partition));
  }

  override async renew(): Promise<void> {
    await this.producer.renew();
  }

  override async follow(
    checkpoints: readonly Checkpoint[],
    onRecords: (records: readonly LogRecord[]) => void,
    onFatal: (error: Error) => void,
  ): Promise<Following> {
    const from = new Map(checkpoints.map(({ partition, next }) => [partition, next]));
    const loop = new ConsumeLoop(
      this.kafka,
      {
        topic: this.topic,
        maxWaitMs: MAX_WAIT_MS[this.log],
        // A group of its own for each consumer: nobody to share with, and no ghost of a former one to wait for.
        groupId: () => `${this.topic}.tail.${randomUUID()}`,
        maxBytesPerPartition: BYTES_PER_PARTITION,
        offsets: () => this.offsets.fetch(),
        onAssigned: () => undefined,
        onMessages: (partition, messages) => onRecords(messages.map((message) => fromMessage(partition, message))),
        onFatal,
        ...this.restarts(),
      },
      new Map(this.logIds.map((_, partition) => [partition, from.get(partition) ?? 0])),
    );
    return this.track(loop);
  }

  override async subscribe(subscriber: Subscriber): Promise<Subscription> {
    const subscription = new KafkaSubscription(
      subscriber,
      (hooks) =>
        new ConsumeLoop(this.kafka, {
          topic: this.topic,
          maxWaitMs: MAX_WAIT_MS[this.log],
          // kafkajs gives every topic of a group to each of its members, whether they read it or not.
          groupId: () => (this.log === 'services' ? subscriber.group : `${subscriber.group}.${this.log}`),
          maxBytesPerPartition: BYTES_PER_PARTITION,
          offsets: () => this.offsets.fetch(),
          ...hooks,
          // Partitions that were added while this process runs are no part of the log.
          onAssigned: (assigned) => hooks.onAssigned(assigned.filter((partition) => partition < this.partitions)),
          ...this.restarts(),
        }),
    );
    return this.track(subscription);
  }

  override async ends(): Promise<readonly number[]> {
    try {
      return (await this.offsets.fetch()).map(({ high }) => high);
    } catch (cause) {
      throw new LogUnavailable(`${this.topic}: its ends are not known`, { cause });
    }
  }

  override async close(): Promise<void> {
    await Promise.all([...this.readers].map((reader) => reader.close()));
    await Promise.all([this.producer.close(), this.offsets.close()]);
  }

  private restarts() {
    const { onConsumerRestart: onRestart } = this.options;
    return onRestart ? { onRestart } : {};
  }

  /** Once it consumes; whoever forgets to close it is reminded by {@link close}. */
  private async track(reader: {
    readonly joined: Promise<void>;
    close(): Promise<void>;
  }): Promise<{ close(): Promise<void> }> {
    this.readers.add(reader);
    await reader.joined;
    return {
      close: async () => {
        this.readers.delete(reader);
        await reader.close();
      },
    };
  }
}

/** Writes record 0 where there is none, and reads it back: of several that were written at once the first counts. */
async function nameLog(
  kafka: Kafka,
  topic: string,
  producer: IdempotentProducer,
  offsets: TopicOffsets,
  timeoutMs: number,
): Promise<readonly string[]> {
  const found = await fetchOnceLed(offsets);
  found.forEach(({ low }, partition) => {
    if (low > 0) {
      throw new RefusedStart(
        `topic ${topic}, partition ${partition}: records 0 to ${low - 1} were removed from the log: ` +
          'nothing can be built from it any more; restore the topic from a copy, or begin with new topics and an empty read model',
      );
    }
  });
  const messages = found.flatMap(({ high }, partition) =>
    high === 0
      ? [toMessage({ kind: 'fence', partition, epoch: 0, logId: randomUUID(), partitions: found.length })]
      : [],
  );
  if (messages.length > 0) {
    const named = await producer.send([{ topic, messages }]);
    if (named.length < messages.length) {
      throw new Error(`topic ${topic}: record 0 was acknowledged by ${named.length} of ${messages.length} partitions`);
    }
  }
  const records = await readFirstRecords(kafka, topic, offsets, found.length, timeoutMs);
  return records.map((record, partition) => {
    if (record.kind === 'fence' && record.epoch === 0 && record.logId !== undefined) {
      const { partitions = found.length } = record;
      if (partitions !== found.length) {
        throw new RefusedStart(
          `topic ${topic}: it has ${found.length} partitions, its log was begun with ${partitions}: ids would not find ` +
            `their partition; move the records of the first ${partitions} to a topic with as many, each to the place it has`,
        );
      }
      return record.logId;
    }
    throw new RefusedStart(
      `topic ${topic}, partition ${partition}: record 0 does not name a log, so this topic was not created by this program, ` +
        'or made anew while programs wrote to it: choose another topic prefix, or restore the topic from a copy',
    );
  });
}

/** A leader that was elected a moment ago may not know it yet. */
async function fetchOnceLed(offsets: TopicOffsets): Promise<readonly Offsets[]> {
  for (let attempts = 1; ; attempts += 1) {
    try {
      return await offsets.fetch();
    } catch (error) {
      if (attempts >= ATTEMPTS_WHILE_ELECTED) throw error;
      await sleep(ELECTION_PAUSE_MS);
    }
  }
}

async function readFirstRecords(
  kafka: Kafka,
  topic: string,
  offsets: TopicOffsets,
  partitions: number,
  timeoutMs: number,
): Promise<readonly LogRecord[]> {
  const first = new Map<number, LogRecord>();
  let loop: ConsumeLoop | undefined;
  let timer: NodeJS.Timeout | undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      timer = setTimeout(() => {
        const missing = `topic ${topic}: record 0 of ${partitions - first.size} partitions was not read`;
        reject(new LogUnavailable(`${missing} within ${timeoutMs} ms`));
      }, timeoutMs);
      loop = new ConsumeLoop(
        kafka,
        {
          topic,
          groupId: () => `${topic}.name.${randomUUID()}`,
          maxBytesPerPartition: ONE_RECORD_BYTES,
          maxWaitMs: MAX_WAIT_MS.services,
          offsets: () => offsets.fetch(),
          onAssigned: () => undefined,
          onMessages: (partition, [message]) => {
            if (message && !first.has(partition)) first.set(partition, fromMessage(partition, message));
            loop?.hold(partition);
            if (first.size === partitions) resolve();
          },
          onRestart: reject,
          onFatal: reject,
        },
        new Map(Array.from({ length: partitions }, (_, partition) => [partition, 0])),
      );
    });
  } finally {
    clearTimeout(timer);
    await loop?.close();
  }
  return [...first].toSorted(([a], [b]) => a - b).map(([, record]) => record);
}

function checkAgainst(
  checkpoints: readonly StoredCheckpoint[],
  logIds: readonly string[],
  offsets: readonly Offsets[],
): void {
  for (const { partition, next, logId } of checkpoints) {
    const found = logIds[partition];
    if (found !== logId) {
      throw new RefusedStart(
        `partition ${partition}: the read model was built from log ${logId}, this is ${found ?? 'none'}: ` +
          'connect the two that belong together, or restore the topic from a copy; for a new log begin with an empty read model',
      );
    }
    const end = offsets[partition]?.high ?? 0;
    if (end < next) {
      throw new RefusedStart(
        `partition ${partition}: the log ends at ${end}, the read model has seen it up to ${next}: acknowledged events are lost; ` +
          'restore the topic from a copy, or empty the read model and go on without them',
      );
    }
  }
}
