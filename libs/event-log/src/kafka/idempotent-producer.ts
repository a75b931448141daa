import './record-encoding.js'; // before kafkajs
import { Partitioners, type Kafka, type Producer, type RecordMetadata, type TopicMessages } from 'kafkajs';
import { PassingFailure } from '../log-transport.js';
import { within } from './kafka-client.js';

const CLOSE_WITHIN_MS = 5_000;
/** Few: whoever sends decides himself for how long the same batch is sent again. At least one, or kafkajs refuses. */
const RETRIES = 2;

/**
 * One idempotent producer at a time. kafkajs numbers the records of a batch anew when others follow a failed one, and
 * mixes them up when two are under way (both lose acknowledged records), so: one call at a time, and after a failure
 * the identical batch or {@link renew}.
 */
export class IdempotentProducer {
  private producer: Producer | undefined;

  constructor(
    private readonly kafka: Kafka,
    private readonly ackTimeoutMs: number,
  ) {}

  async connect(): Promise<void> {
    const producer = this.kafka.producer({
      idempotent: true,
      maxInFlightRequests: 1,
      allowAutoTopicCreation: false,
      createPartitioner: Partitioners.DefaultPartitioner,
      retry: { retries: RETRIES },
    });
    try {
      await producer.connect();
    } catch (error) {
      await within(CLOSE_WITHIN_MS, producer.disconnect());
      throw error;
    }
    this.producer = producer;
  }

  /**
   * Resolves with one result for each partition that acknowledged its records: one that is missing did not. Throws
   * {@link PassingFailure} when the identical batch should be sent again, after any other error {@link renew} comes first.
   */
  async send(topicMessages: TopicMessages[]): Promise<RecordMetadata[]> {
    if (!this.producer) throw new Error('the producer was thrown away and not renewed');
    try {
      const results = await this.producer.sendBatch({ topicMessages, acks: -1, timeout: this.ackTimeoutMs });
      return results.filter(({ errorCode }) => errorCode === 0);
    } catch (error) {
      const { message, retriable } = rootOf(error);
      if (!retriable) throw error;
      throw new PassingFailure(`nothing is known of a batch: ${message}`, { cause: error });
    }
  }

  /** Throws the producer away and connects a fresh one. Throws when that cannot be done now; then call it again. */
  async renew(): Promise<void> {
    await this.close();
    await this.connect();
  }

  async close(): Promise<void> {
    const { producer } = this;
    this.producer = undefined;
    if (producer) await within(CLOSE_WITHIN_MS, producer.disconnect());
  }
}

/** kafkajs wraps what went wrong, and the wrapping ("retries exceeded") says nothing about the reason. */
function rootOf(error: unknown): { message: string; retriable: boolean } {
  let root = error;
  while (root instanceof Error && root.cause instanceof Error) root = root.cause;
  if (!(root instanceof Error)) return { message: String(root), retriable: false };
  return { message: root.message, retriable: 'retriable' in root && root.retriable === true };
}
