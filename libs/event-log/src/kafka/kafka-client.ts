import './record-encoding.js'; // before kafkajs
import kafkajs, { Kafka, type LogEntry } from 'kafkajs';

/** What every client of the cluster needs to know. */
export interface KafkaOptions {
  /** `host:port` of brokers to ask first. */
  readonly brokers: readonly string[];
  /** First part of every topic's name. */
  readonly topicPrefix: string;
  readonly clientId?: string;
  /** To reach a broker, ms. */
  readonly connectTimeoutMs?: number;
  /** For one answer of a broker, ms. */
  readonly requestTimeoutMs?: number;
  /** What the client library reports as an error; most of it heals by itself. */
  readonly onClientError?: (message: string, details: object) => void;
}

const defaultClientId = 'context-services';
const defaultConnectTimeoutMs = 3_000;
const defaultRequestTimeoutMs = 10_000;

/**
 * Only errors: kafkajs reports each pause of a partition, and tells to retry for ever where we resend ourselves. `part`
 * tells the clients of one process apart in the broker's log and metrics.
 */
export function createKafka(options: KafkaOptions, part: string): Kafka {
  const { clientId = defaultClientId, onClientError = () => undefined } = options;
  return new Kafka({
    brokers: [...options.brokers],
    clientId: `${clientId}.${part}`,
    connectionTimeout: options.connectTimeoutMs ?? defaultConnectTimeoutMs,
    requestTimeout: options.requestTimeoutMs ?? defaultRequestTimeoutMs,
    retry: { initialRetryTime: 50, maxRetryTime: 500, retries: 5 },
    logLevel: kafkajs.logLevel.ERROR,
    logCreator:
      () =>
      ({ namespace, log: { message, timestamp: _, ...details } }: LogEntry) =>
        onClientError(`${namespace}: ${message}`, details),
  });
}

/** Waits for `work`, but not for ever: closing a connection to a broker that is gone can take as long as it likes. */
export async function within(ms: number, work: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const timeUp = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  await Promise.race([work.catch(() => undefined), timeUp]);
  clearTimeout(timer);
}
