import { randomBytes } from 'node:crypto';
import { Kafka, logLevel, type Producer } from 'kafkajs';
import { deleteTopics, describeOnKafka, newTopicPrefix } from './real-kafka.js';
import { KafkaProxy } from './kafka-proxy.mjs';

const CASE_TIMEOUT_MS = 60_000;

describeOnKafka('the fault proxy', ({ address, proxied }) => {
  const prefix = newTopicPrefix();
  const [topic, other] = [`${prefix}.one`, `${prefix}.two`];
  const direct = new Kafka({ brokers: [address], logLevel: logLevel.NOTHING });
  let proxy: KafkaProxy;
  let producer: Producer;

  beforeAll(async () => {
    const admin = direct.admin();
    await admin.connect();
    await admin.createTopics({ topics: [{ topic }, { topic: other }], waitForLeaders: false });
    await admin.disconnect();
    // Tries again until the new topics have leaders.
    const first = direct.producer();
    await first.connect();
    for (const name of [topic, other]) await first.send({ topic: name, messages: [{ partition: 0, value: 'first' }] });
    await first.disconnect();
  }, CASE_TIMEOUT_MS);

  afterAll(() => deleteTopics(address, prefix), CASE_TIMEOUT_MS);

  beforeEach(async () => {
    proxy = await KafkaProxy.start(proxied);
    producer = await connect();
  }, CASE_TIMEOUT_MS);

  afterEach(async () => {
    await producer.disconnect();
    await proxy.close();
  }, CASE_TIMEOUT_MS);

  const connect = async (): Promise<Producer> => {
    const retry = { retries: 0 };
    const brokers = [proxy.address];
    const kafka = new Kafka({ brokers, logLevel: logLevel.NOTHING, requestTimeout: 1_000, retry });
    const connected = kafka.producer({ retry });
    await connected.connect();
    return connected;
  };

  const send = (to: string): Promise<unknown> =>
    producer.send({ topic: to, messages: [{ partition: 0, key: `about ${topic}`, value: 'x' }] });

  /** Records in the topic, asked past the proxy. */
  const stored = async (): Promise<number> => {
    const admin = direct.admin();
    await admin.connect();
    const [offsets] = await admin.fetchTopicOffsets(topic);
    await admin.disconnect();
    return Number(offsets!.offset);
  };

  it(
    'passes everything on when nothing was asked for',
    async () => {
      const before = await stored();
      await send(topic);
      expect(await stored()).toBe(before + 1);
    },
    CASE_TIMEOUT_MS,
  );

  it(
    'loses the answer of the next produce request to the topic, and of no other',
    async () => {
      const before = await stored();
      const lost = proxy.loseNextProduceAnswer(topic);
      await send(other);
      await expect(send(topic)).rejects.toThrow();
      await lost;
      expect(await stored()).toBe(before + 1);
      await send(topic);
      expect(await stored()).toBe(before + 2);
    },
    CASE_TIMEOUT_MS,
  );

  it(
    'loses the request itself',
    async () => {
      const before = await stored();
      const lost = proxy.loseNextProduceRequest(topic);
      await expect(send(topic)).rejects.toThrow();
      await lost;
      expect(await stored()).toBe(before);
    },
    CASE_TIMEOUT_MS,
  );

  it(
    'loses all answers while it is silent, though the broker takes what is sent',
    async () => {
      await send(topic); // connected, and it knows the leader
      const before = await stored();
      proxy.silence();
      await expect(send(topic)).rejects.toThrow();
      proxy.heal();
      expect(await stored()).toBe(before + 1);
      await send(topic);
    },
    CASE_TIMEOUT_MS,
  );

  it(
    'keeps back what contains a text until it is released, and lets everything else through',
    async () => {
      const before = await stored();
      const about = (key: string) => ({ topic, messages: [{ partition: 0, key, value: 'x' }] });
      const hold = proxy.hold(topic, 'held');
      await producer.send(about('free'));
      const held = producer.send(about('held')).catch(() => undefined);
      await hold.reached;
      expect(await stored()).toBe(before + 1);
      hold.release();
      await held;
      expect(await stored()).toBe(before + 2);
      await producer.send(about('held'));
      expect(await stored()).toBe(before + 3);
    },
    CASE_TIMEOUT_MS,
  );

  it(
    'lets nobody through while it is unplugged',
    async () => {
      const before = await stored();
      proxy.unplug();
      await expect(send(topic)).rejects.toThrow();
      expect(await stored()).toBe(before);
      proxy.heal();
      await send(topic);
      expect(await stored()).toBe(before + 1);
    },
    CASE_TIMEOUT_MS,
  );

  it(
    'answers later, not earlier',
    async () => {
      const delay = 300;
      proxy.delay(delay);
      const began = performance.now();
      await send(topic);
      expect(performance.now() - began).toBeGreaterThanOrEqual(delay - 1);
    },
    CASE_TIMEOUT_MS,
  );

  it(
    'carries no more than so many bytes a second, and all of them',
    async () => {
      await send(topic);
      const before = await stored();
      const [bytes, bytesPerSecond] = [8_000, 16_000];
      proxy.throttle(bytesPerSecond);
      const began = performance.now();
      await producer.send({ topic, messages: [{ partition: 0, value: randomBytes(bytes) }] });
      expect(performance.now() - began).toBeGreaterThan((bytes / bytesPerSecond) * 900);
      expect(await stored()).toBe(before + 1);
      proxy.heal();
      await send(topic);
    },
    CASE_TIMEOUT_MS,
  );

  it.each([
    { direction: 'requests', arrived: 0 },
    { direction: 'answers', arrived: 1 },
  ] as const)(
    'loses all $direction of a connection for good, and leaves new ones alone',
    async ({ direction, arrived }) => {
      await send(topic);
      const before = await stored();
      proxy.halfOpen(direction);
      await expect(send(topic)).rejects.toThrow();
      proxy.heal();
      expect(await stored()).toBe(before + arrived);
      await producer.disconnect();
      producer = await connect();
      await send(topic);
      expect(await stored()).toBe(before + arrived + 1);
    },
    CASE_TIMEOUT_MS,
  );

  it(
    'loses an answer of whatever kind, once the request went through',
    async () => {
      await send(topic);
      const before = await stored();
      const lost = proxy.loseNextAnswer();
      await expect(send(topic)).rejects.toThrow();
      await lost;
      expect(await stored()).toBe(before + 1);
    },
    CASE_TIMEOUT_MS,
  );
});
