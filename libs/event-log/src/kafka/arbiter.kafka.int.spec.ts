import { randomUUID } from 'node:crypto';
import { KafkaProxy } from '../../../../tools/brokers/kafka-proxy.mjs';
import { Arbiter, defaultArbiterOptions } from '../arbiter.js';
import { SystemClock } from '../clock.js';
import type { Unplaced } from '../log-transport.js';
import { describeEventLog, type EventLogFixture } from '../testing/event-log.contract.js';
import { deleteTopics, describeOnKafka, newTopicPrefix } from '../../../../tools/brokers/real-kafka.js';
import { KafkaLogTransport, type KafkaLogTransportOptions } from './kafka-log-transport.js';
import { topicNames } from './kafka-topics.js';

type Log = NonNullable<KafkaLogTransportOptions['log']>;

/** Of the services; the control log has one. */
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
  async function openFixture(log: Log, prefix: string): Promise<EventLogFixture> {
    const proxy = await KafkaProxy.start(proxied);
    const connect = (broker: string): Promise<KafkaLogTransport> =>
      KafkaLogTransport.connect({ log, brokers: [broker], topicPrefix: prefix, partitions: PARTITIONS });
    const [first, second, reader] = await Promise.all([connect(proxy.address), connect(address), connect(address)]);
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
        return openFixture(log, prefix);
      },
      cause: (fault) => {
        switch (fault) {
          case 'lost-acknowledgement':
            void proxy.loseNextProduceAnswer(topicNames(prefix)[log]);
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

  const faults = ['lost-acknowledgement', 'duplicate'] as const;
  describeEventLog('KafkaLogTransport', () => openFixture('services', newTopicPrefix()), faults);
  describeEventLog('KafkaLogTransport of control', () => openFixture('control', newTopicPrefix()), faults);
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
