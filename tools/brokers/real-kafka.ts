import { randomUUID } from 'node:crypto';
import { Kafka, logLevel } from 'kafkajs';

export interface RealKafka {
  /** `host:port` for clients. */
  readonly address: string;
  /** `host:port` of the listener that sends its clients to the fault proxy. */
  readonly proxied: string;
}

/** Runs the suite on the Kafka of the environment. Without one it is skipped, loudly; where CI=true it fails. */
export function describeOnKafka(name: string, suite: (kafka: RealKafka) => void): void {
  const { CS_TEST_KAFKA: address, CS_TEST_KAFKA_PROXIED: proxied, CI } = process.env;
  if (address !== undefined && proxied !== undefined) return describe(name, () => suite({ address, proxied }));
  const missing = 'CS_TEST_KAFKA and CS_TEST_KAFKA_PROXIED are not set: use npm test, or npm run brokers';
  if (CI === 'true') {
    return describe(name, () => {
      it('finds a real Kafka', () => {
        throw new Error(missing);
      });
    });
  }
  process.stderr.write(`\n!!! SKIPPED, ${name}: ${missing}\n`);
  describe.skip(name, () => {
    it('needs a real Kafka', () => undefined);
  });
}

/** A prefix that no other run has used. */
export const newTopicPrefix = (): string => `test-${randomUUID().slice(0, 8)}`;

/** Cleans up after a suite, so that a broker that serves many runs stays small. */
export async function deleteTopics(address: string, prefix: string): Promise<void> {
  const admin = new Kafka({ brokers: [address], logLevel: logLevel.NOTHING }).admin();
  await admin.connect();
  try {
    const topics = (await admin.listTopics()).filter((topic) => topic.startsWith(`${prefix}.`));
    if (topics.length > 0) await admin.deleteTopics({ topics });
  } finally {
    await admin.disconnect();
  }
}
