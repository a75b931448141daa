import { randomUUID } from 'node:crypto';
import { Kafka, logLevel, type Message, type Producer } from 'kafkajs';

interface Waiting {
  readonly partition: number;
  readonly message: Message;
  readonly id: string;
  readonly resolve: () => void;
}

const MOST_TOGETHER = 1_000;
/** As many bytes as the records of the server have there. */
const HEADERS = {
  type: 'TaskStarted',
  schema: '1',
  version: '12',
  epoch: '0',
  correlation: 'f3b1c2d4-0000-4000-8000-000000000000',
  lifetime: 'sliding 157680000000',
};

/**
 * What the protocol physically needs: one batch under way at a time, and each record answered when this process's own
 * consumer has read it. Nothing is decided, judged or kept.
 */
export class KafkaFloor {
  private waiting: Waiting[] = [];
  private readonly unread = new Map<string, () => void>();
  private isSending = false;

  private constructor(
    private readonly producer: Producer,
    private readonly topic: string,
    private readonly partitions: number,
  ) {}

  static async open(broker: string, partitions: number): Promise<KafkaFloor> {
    const kafka = new Kafka({ brokers: [broker], logLevel: logLevel.NOTHING });
    const topic = `floor-${randomUUID()}`;
    const admin = kafka.admin();
    await admin.connect();
    await admin.createTopics({ topics: [{ topic, numPartitions: partitions }], waitForLeaders: true });
    await admin.disconnect();
    const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1, allowAutoTopicCreation: false });
    await producer.connect();
    const floor = new KafkaFloor(producer, topic, partitions);
    const consumer = kafka.consumer({ groupId: topic, minBytes: 1, maxWaitTimeInMs: 100 });
    await consumer.connect();
    await consumer.subscribe({ topic, fromBeginning: true });
    const joined = new Promise<void>((resolve) => consumer.on(consumer.events.GROUP_JOIN, () => resolve()));
    await consumer.run({
      autoCommit: false,
      eachBatch: async ({ batch }) => {
        for (const { headers } of batch.messages) floor.read(headers!['id']!.toString());
      },
    });
    await joined;
    return floor;
  }

  /** Resolves when the record was read back. */
  append(key: string, value: string): Promise<void> {
    return new Promise((resolve) => {
      const id = randomUUID();
      const partition = hash(key) % this.partitions;
      this.waiting.push({ partition, message: { key, value, headers: { ...HEADERS, id } }, id, resolve });
      void this.send();
    });
  }

  private read(id: string): void {
    this.unread.get(id)?.();
    this.unread.delete(id);
  }

  private async send(): Promise<void> {
    if (this.isSending) return;
    this.isSending = true;
    while (this.waiting.length > 0) {
      const together = this.waiting.splice(0, MOST_TOGETHER);
      for (const { id, resolve } of together) this.unread.set(id, resolve);
      const messages = together.map(({ message, partition }) => ({ ...message, partition }));
      await this.producer.sendBatch({ acks: -1, topicMessages: [{ topic: this.topic, messages }] });
    }
    this.isSending = false;
  }
}

function hash(key: string): number {
  let value = 0;
  for (let at = 0; at < key.length; at++) value = (Math.imul(value, 31) + key.charCodeAt(at)) | 0;
  return value >>> 0;
}
