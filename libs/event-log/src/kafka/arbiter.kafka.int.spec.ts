import { randomUUID } from 'node:crypto';
import { KafkaProxy } from '../../../../tools/brokers/kafka-proxy.mjs';
import { Arbiter, defaultArbiterOptions } from '../arbiter.js';
import { SystemClock } from '../clock.js';
import type { Unplaced } from '../log-transport.js';
import { describeEventLog, type EventLogFixture } from '../testing/event-log.contract.js';
import { deleteTopics, describeOnKafka, newTopicPrefix } from '../../../../tools/brokers/real-kafka.js';
import { KafkaLogTransport } from './kafka-log-transport.js';
import { topicNames } from './kafka-topics.js';

const PARTITIONS = 3;

const arbitrate = (transport: KafkaLogTransport): Arbiter =>
  new Arbiter(transport, new SystemClock(), {
    ...defaultArbiterOptions,
    newId: randomUUID,
    onFatal: (error) => {
      throw error;
    },
  });

describeOnKafka('on Kafka', ({ address, proxied }) => {
  const connect = (brokers: string, topicPrefix: string): Promise<KafkaLogTransport> =>
    KafkaLogTransport.connect({ brokers: [brokers], topicPrefix, partitions: PARTITIONS });

  async function openFixture(prefix: string): Promise<EventLogFixture> {
    const proxy = await KafkaProxy.start(proxied);
    const [first, second, reader] = await Promise.all([
      connect(proxy.address, prefix),
      connect(address, prefix),
      connect(address, prefix),
    ]);
    const producers = [arbitrate(first), arbitrate(second)] as const;
    const close = async (): Promise<void> => {
      await Promise.all([...producers, reader].map((log) => log.close()));
      await proxy.close();
    };
    return {
      producers,
      reader,
      restart: async () => {
        await close();
        return openFixture(prefix);
      },
      cause: (fault) => {
        switch (fault) {
          case 'lost-acknowledgement':
            void proxy.loseNextProduceAnswer(topicNames(prefix).services);
            return;
          case 'duplicate':
            return storeNextTwice(first);
        }
      },
      close: async () => {
        await close();
        await deleteTopics(address, prefix);
      },
    };
  }

  describeEventLog('KafkaLogTransport', () => openFixture(newTopicPrefix()), ['lost-acknowledgement', 'duplicate']);
});

/** As a producer does that was thrown away after a lost answer, and whose successor sends the records again. */
function storeNextTwice(transport: KafkaLogTransport): void {
  const append = transport.append.bind(transport);
  transport.append = async (batch: readonly Unplaced[]) => {
    transport.append = append;
    await append(batch);
    return append(batch);
  };
}
