import type { Admin, Kafka } from 'kafkajs';
import { within } from './kafka-client.js';

const CLOSE_WITHIN_MS = 5_000;

export interface Offsets {
  /** The first record that is there. */
  readonly low: number;
  /** One past the last. */
  readonly high: number;
}

/**
 * Asks the partitions' leaders where a topic begins and ends. kafkajs goes on asking a former leader until its metadata
 * is old, so a connection that failed once is thrown away.
 */
export class TopicOffsets {
  private admin: Admin | undefined;
  private closed = false;
  private readonly asking = new Set<Promise<unknown>>();

  constructor(
    private readonly kafka: Kafka,
    private readonly topic: string,
  ) {}

  /** By partition. Throws when the brokers do not answer. */
  async fetch(): Promise<readonly Offsets[]> {
    if (this.closed) throw new Error('closed');
    const admin = (this.admin ??= this.kafka.admin());
    const answer = this.ask(admin);
    this.asking.add(answer);
    try {
      return await answer;
    } catch (error) {
      if (this.admin === admin) this.admin = undefined;
      await within(CLOSE_WITHIN_MS, admin.disconnect());
      throw error;
    } finally {
      this.asking.delete(answer);
    }
  }

  private async ask(admin: Admin): Promise<readonly Offsets[]> {
    await admin.connect();
    const offsets = await admin.fetchTopicOffsets(this.topic);
    return offsets
      .toSorted((a, b) => a.partition - b.partition)
      .map(({ low, high }) => ({ low: Number(low), high: Number(high) }));
  }

  /** Lets questions under way end first: kafkajs reconnects for them. */
  async close(): Promise<void> {
    this.closed = true;
    await within(CLOSE_WITHIN_MS, Promise.allSettled(this.asking));
    if (this.admin) await within(CLOSE_WITHIN_MS, this.admin.disconnect());
  }
}
