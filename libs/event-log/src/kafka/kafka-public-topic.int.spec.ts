import type { RecordedEvent } from '#events';
import { Kafka, logLevel, type KafkaMessage } from 'kafkajs';
import { KafkaProxy } from '../../../../tools/brokers/kafka-proxy.mjs';
import type { PublicEvent } from '../public-event.js';
import { deleteTopics, describeOnKafka, newTopicPrefix } from '../../../../tools/brokers/real-kafka.js';
import { KafkaLogTransport } from './kafka-log-transport.js';
import { KafkaDeadLetters, KafkaPublicTopic } from './kafka-public-topic.js';
import { topicNames } from './kafka-topics.js';

const PARTITIONS = 3;
const CASE_TIMEOUT_MS = 60_000;

const event = (sequence: number, partition = 1): PublicEvent => ({
  id: `id-${partition}-${sequence}`,
  type: 'ServiceUpdated',
  subject: `subject-${partition}`,
  sequence,
  time: '2026-11-22T08:00:00.123Z',
  partition,
  key: `1/subject-${partition}`,
  data: { service_id: 'ü', ['__proto__']: { status: 'Active' }, n: sequence },
});

describeOnKafka('the public topic', ({ address, proxied }) => {
  let prefix = '';
  let cases = 0;
  const opened: { close(): Promise<void> }[] = [];

  beforeEach(async () => {
    prefix = newTopicPrefix();
    const log = await KafkaLogTransport.connect({ brokers: [address], topicPrefix: prefix, partitions: PARTITIONS });
    await log.close();
  }, CASE_TIMEOUT_MS);

  afterEach(async () => {
    cases += 1;
    for (const one of opened.splice(0).toReversed()) await one.close();
    await deleteTopics(address, prefix);
  }, CASE_TIMEOUT_MS);

  afterAll(() => {
    process.stdout.write(`suite: KafkaPublicTopic, partitions: ${PARTITIONS}, cases: ${cases}\n`);
  });

  const proxy = async (): Promise<KafkaProxy> => {
    const started = await KafkaProxy.start(proxied);
    opened.unshift(started);
    return started;
  };

  const publicTopic = async (brokers = address): Promise<KafkaPublicTopic> => {
    const connected = await KafkaPublicTopic.connect({
      brokers: [brokers],
      topicPrefix: prefix,
      source: '/here',
      requestTimeoutMs: 1_000,
    });
    opened.push(connected);
    return connected;
  };

  /** The first so many messages of a topic, as any consumer reads them. */
  const read = async (topic: string, count: number): Promise<readonly (KafkaMessage & { partition: number })[]> => {
    const consumer = new Kafka({ brokers: [address], logLevel: logLevel.NOTHING }).consumer({
      groupId: newTopicPrefix(),
    });
    const messages: (KafkaMessage & { partition: number })[] = [];
    await consumer.connect();
    await consumer.subscribe({ topic, fromBeginning: true });
    await new Promise<void>((resolve, reject) => {
      consumer
        .run({
          eachMessage: async ({ partition, message }) => {
            messages.push({ ...message, partition });
            if (messages.length === count) resolve();
          },
        })
        .catch(reject);
    });
    await consumer.disconnect();
    return messages;
  };

  const headersOf = ({ headers }: KafkaMessage) =>
    Object.fromEntries(Object.entries(headers ?? {}).map(([name, value]) => [name, String(value)]));

  it(
    'carries CloudEvents in binary mode, in the partition of the source',
    async () => {
      await (await publicTopic()).publish([event(7, 2)]);
      const [message] = await read(topicNames(prefix).events, 1);
      expect(message).toMatchObject({ partition: 2, key: Buffer.from('1/subject-2') });
      expect(headersOf(message!)).toEqual({
        ce_specversion: '1.0',
        ce_id: 'id-2-7',
        ce_source: '/here',
        ce_type: 'ServiceUpdated',
        ce_subject: 'subject-2',
        ce_time: '2026-11-22T08:00:00.123Z',
        ce_sequence: '7',
        'content-type': 'application/json',
      });
      expect(JSON.parse(String(message!.value))).toEqual(event(7).data);
    },
    CASE_TIMEOUT_MS,
  );

  it(
    'keeps the order of what is published at once, and of what has to be sent again',
    async () => {
      const between = await proxy();
      const topic = await publicTopic(between.address);
      const events = Array.from({ length: 1_200 }, (_, n) => event(n + 1, n % PARTITIONS));
      const lost = between.loseNextProduceAnswer(topicNames(prefix).events);
      await Promise.all([topic.publish(events.slice(0, 500)), topic.publish(events.slice(500))]);
      await lost;
      const messages = await read(topicNames(prefix).events, events.length);
      for (let partition = 0; partition < PARTITIONS; partition += 1) {
        const seen = messages.filter((message) => message.partition === partition);
        const firsts = [...new Set(seen.map((message) => headersOf(message)['ce_id']))];
        expect(firsts).toEqual(events.filter((one) => one.partition === partition).map(({ id }) => id));
      }
    },
    CASE_TIMEOUT_MS,
  );

  it(
    'waits while the brokers are away',
    async () => {
      const between = await proxy();
      const topic = await publicTopic(between.address);
      await topic.publish([event(1)]);
      between.unplug();
      let stored = false;
      const publishing = topic.publish([event(2)]).then(() => (stored = true));
      const other = await publicTopic();
      await other.publish([event(1, 0)]);
      expect(stored).toBe(false);
      between.heal();
      await publishing;
      const ids = (await read(topicNames(prefix).events, 3)).map((message) => headersOf(message)['ce_id']);
      expect(new Set(ids)).toEqual(new Set(['id-0-1', 'id-1-1', 'id-1-2']));
    },
    CASE_TIMEOUT_MS,
  );

  it.each(['requests', 'answers'] as const)(
    'does not wait for ever on a connection that has died without a word, and loses its %s',
    async (direction) => {
      const between = await proxy();
      const topic = await publicTopic(between.address);
      await topic.publish([event(1)]);
      between.halfOpen(direction);
      await Promise.all([topic.publish([event(2)]), topic.publish([event(3)])]);
      const ids = (await read(topicNames(prefix).events, 3)).map(({ headers }) => String(headers!['ce_id']));
      expect([...new Set(ids)]).toEqual(['id-1-1', 'id-1-2', 'id-1-3']);
    },
    CASE_TIMEOUT_MS,
  );

  it(
    'says that it was closed to whoever still waits',
    async () => {
      const between = await proxy();
      const topic = await publicTopic(between.address);
      between.unplug();
      const publishing = topic.publish([event(1)]);
      const closing = topic.close();
      await expect(publishing).rejects.toThrow('was closed before the message was acknowledged');
      await closing;
      await expect(topic.publish([event(2)])).rejects.toThrow('was closed');
    },
    CASE_TIMEOUT_MS,
  );

  it(
    'has dead letters beside it, with the record and the reason',
    async () => {
      const letters = await KafkaDeadLetters.connect({ brokers: [address], topicPrefix: prefix });
      opened.push(letters);
      const record: RecordedEvent = {
        kind: 'event',
        eventId: 'e',
        type: 'ServiceUpdated',
        schemaVersion: 1,
        tenant: '1',
        stream: 's',
        partition: 2,
        offset: 41,
        version: 3,
        epoch: 0,
        recordedAt: 1,
        correlationId: 'c',
        value: '{',
      };
      await letters.add(record, 'the value is not JSON, ü');
      const [message] = await read(topicNames(prefix).deadLetters, 1);
      expect(message).toMatchObject({ partition: 2, key: Buffer.from('2:41') });
      expect(headersOf(message!)).toEqual({
        'cs-reason': 'the value is not JSON, ü',
        'cs-topic': topicNames(prefix).services,
        'cs-partition': '2',
        'cs-offset': '41',
      });
      expect(JSON.parse(String(message!.value))).toEqual(record);
    },
    CASE_TIMEOUT_MS,
  );
});
