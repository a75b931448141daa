import { jest } from '@jest/globals';
import { Kafka, logLevel, type Admin } from 'kafkajs';
import { deleteTopics, describeOnKafka, newTopicPrefix } from '../../../../tools/brokers/real-kafka.js';
import { KafkaProxy } from '../../../../tools/brokers/kafka-proxy.mjs';
import { LogUnavailable } from '../event-log.js';
import { describePresence } from '../testing/presence.contract.js';
import { KafkaLogTransport } from './kafka-log-transport.js';
import { KafkaPresence, type KafkaPresenceOptions } from './kafka-presence.js';
import { topicNames } from './kafka-topics.js';

const CASE_TIMEOUT_MS = 120_000;
const HOUR_MS = 60 * 60 * 1000;
const LONG_MS = 60_000;
const SHORT_MS = 1_500;
const TIMEOUT_MS = 1_000;

describeOnKafka('Presence on Kafka', ({ address, proxied }) => {
  /** As the engine does: opening the logs makes the topics. */
  const makeTopics = async (topicPrefix: string): Promise<void> => {
    const log = await KafkaLogTransport.connect({ log: 'control', brokers: [address], topicPrefix, partitions: 1 });
    await log.close();
  };

  describePresence(
    'KafkaPresence',
    async () => {
      const topicPrefix = newTopicPrefix();
      await makeTopics(topicPrefix);
      return {
        open: () => KafkaPresence.connect({ brokers: [address], topicPrefix }),
        close: () => deleteTopics(address, topicPrefix),
      };
    },
    { processes: 'several', shortLeaseMs: SHORT_MS },
  );

  describe('KafkaPresence', () => {
    const kafka = new Kafka({ brokers: [address], logLevel: logLevel.NOTHING });
    const opened: { close(): Promise<void> }[] = [];
    let prefix = '';
    let topic = '';
    let cases = 0;

    const connect = async (options: Partial<KafkaPresenceOptions> = {}): Promise<KafkaPresence> => {
      const presence = await KafkaPresence.connect({ brokers: [address], topicPrefix: prefix, ...options });
      opened.push(presence);
      return presence;
    };

    const administer = async <T>(work: (admin: Admin) => Promise<T>): Promise<T> => {
      const admin = kafka.admin();
      await admin.connect();
      try {
        return await work(admin);
      } finally {
        await admin.disconnect();
      }
    };

    beforeEach(async () => {
      prefix = newTopicPrefix();
      topic = topicNames(prefix).presence;
      await makeTopics(prefix);
    }, CASE_TIMEOUT_MS);

    afterEach(async () => {
      jest.restoreAllMocks();
      cases += 1;
      for (const one of opened.splice(0).toReversed()) await one.close();
      await deleteTopics(address, prefix);
    }, CASE_TIMEOUT_MS);

    afterAll(() => {
      process.stdout.write(`suite: KafkaPresence, cases: ${cases}\n`);
    });

    const namesSeenBy = async (presence: KafkaPresence): Promise<readonly string[]> =>
      (await presence.live()).map(({ process: name }) => name).toSorted();

    /** Asks until it answers. */
    const answered = async <T>(ask: () => Promise<T>): Promise<T> => {
      for (;;) {
        try {
          return await ask();
        } catch (error) {
          expect(error).toBeInstanceOf(LogUnavailable);
        }
      }
    };

    it.each([HOUR_MS, -HOUR_MS])(
      'judges by the clock of the broker where its own is %d ms wrong',
      async (offsetMs) => {
        const [one, right] = [await connect(), await connect()];
        const now = Date.now.bind(Date);
        jest.spyOn(Date, 'now').mockImplementation(() => now() + offsetMs);
        const wrong = await connect();
        await Promise.all([right.renew(LONG_MS), wrong.renew(LONG_MS)]);
        const until = await one.renew(SHORT_MS);
        const everybody = [one, right, wrong].map(({ process: name }) => name).toSorted();
        expect(await namesSeenBy(wrong)).toEqual(everybody);
        while ((await namesSeenBy(wrong)).length > 2) await new Promise(setImmediate);
        expect(performance.now()).toBeGreaterThanOrEqual(until);
        const leases = await wrong.live();
        expect(leases.map(({ process: name }) => name).toSorted()).toEqual([right.process, wrong.process].toSorted());
        for (const lease of leases) expect(Math.abs(lease.until - now())).toBeLessThan(2 * LONG_MS);
      },
      CASE_TIMEOUT_MS,
    );

    it.each(['silence', 'unplug'] as const)(
      'fails in time while the broker is away (%s), and goes on when it is back',
      async (fault) => {
        const between = await KafkaProxy.start(proxied);
        opened.push(between);
        const other = await connect();
        const presence = await connect({ brokers: [between.address], timeoutMs: TIMEOUT_MS });
        await presence.renew(LONG_MS);
        between[fault]();
        for (const ask of [() => presence.renew(SHORT_MS), () => presence.live()]) {
          const began = performance.now();
          await expect(ask()).rejects.toBeInstanceOf(LogUnavailable);
          expect(performance.now() - began).toBeLessThan(3 * TIMEOUT_MS);
        }
        await other.renew(LONG_MS);
        between.heal();
        const both = [presence.process, other.process].toSorted();
        await answered(() => presence.renew(LONG_MS));
        expect(await answered(() => namesSeenBy(presence))).toEqual(both);
        expect(await namesSeenBy(other)).toEqual(both);
      },
      CASE_TIMEOUT_MS,
    );

    it(
      'closes in time while the broker is away; its lease runs out',
      async () => {
        const between = await KafkaProxy.start(proxied);
        opened.push(between);
        const other = await connect();
        const presence = await connect({ brokers: [between.address], timeoutMs: TIMEOUT_MS });
        const until = await presence.renew(SHORT_MS);
        between.unplug();
        await presence.close();
        while ((await namesSeenBy(other)).length > 0) await new Promise(setImmediate);
        expect(performance.now()).toBeGreaterThanOrEqual(until);
      },
      CASE_TIMEOUT_MS,
    );

    it(
      'does not wait for ever for a topic that cannot be read',
      async () => {
        await administer((admin) => admin.deleteTopics({ topics: [topic] }));
        await expect(connect({ joinTimeoutMs: 1 })).rejects.toBeInstanceOf(LogUnavailable);
      },
      CASE_TIMEOUT_MS,
    );

    it(
      'passes over what it cannot have written',
      async () => {
        const presence = await connect();
        await presence.renew(LONG_MS);
        const key = presence.process;
        const lease = JSON.stringify({ lease_ms: LONG_MS });
        const producer = kafka.producer();
        await producer.connect();
        await producer.send({
          topic,
          messages: [
            { key: 'a', value: 'nonsense' },
            { key: 'b', value: 'null' },
            { key: 'c', value: '{"lease_ms":"60000"}' },
            { key: 'd', value: '{"lease_ms":1e15}' },
            { key: 'e', value: '{"lease_ms":-1}' },
            { key, value: '[]' },
            { key: 'marker', value: lease },
            { key: 'marker', value: null, headers: { 'cs-marker-id': ['one', 'two'] } },
            { key: '__proto__', value: lease },
          ],
        });
        await producer.disconnect();
        expect(await namesSeenBy(presence)).toEqual(['__proto__', key].toSorted());
        expect(await namesSeenBy(await connect())).toEqual(['__proto__', key].toSorted());
      },
      CASE_TIMEOUT_MS,
    );

    it(
      'never answers an old picture, not even when somebody takes its partition away',
      async () => {
        const reasons: string[] = [];
        const presence = await connect({
          timeoutMs: TIMEOUT_MS,
          onConsumerRestart: ({ message }) => reasons.push(message),
        });
        const other = await connect();
        await other.renew(LONG_MS);
        expect(await namesSeenBy(presence)).toEqual([other.process]);
        const { groups } = await administer((admin) => admin.listGroups());
        const tails = groups.filter(({ groupId }) => groupId.startsWith(`${topic}.tail.`));
        const leave = await Promise.all(tails.map(({ groupId }) => intrude(address, groupId, topic)));
        await other.close();
        const answers: (readonly string[] | 'unavailable')[] = [];
        do {
          answers.push(
            await namesSeenBy(presence).catch((error: unknown) => {
              expect(error).toBeInstanceOf(LogUnavailable);
              return 'unavailable' as const;
            }),
          );
        } while (reasons.length === 0 || answers.at(-1) === 'unavailable');
        expect(answers).toContain('unavailable');
        expect(answers.filter((answer) => answer !== 'unavailable' && answer.length > 0)).toEqual([]);
        await Promise.all(leave.map((go) => go()));
      },
      CASE_TIMEOUT_MS,
    );

    it(
      'reads on over what compaction has removed',
      async () => {
        await administer((admin) =>
          admin.alterConfigs({
            validateOnly: false,
            resources: [
              {
                type: 2,
                name: topic,
                configEntries: [
                  { name: 'cleanup.policy', value: 'compact' },
                  { name: 'message.timestamp.type', value: 'LogAppendTime' },
                  { name: 'segment.ms', value: '1' },
                  { name: 'min.cleanable.dirty.ratio', value: '0.01' },
                  { name: 'delete.retention.ms', value: '0' },
                ],
              },
            ],
          }),
        );
        const one = await connect();
        const gone = await connect();
        await gone.renew(LONG_MS);
        for (let n = 0; n < 30; n += 1) await one.renew(LONG_MS);
        await gone.close();
        let left: readonly number[] = [];
        do {
          await one.renew(LONG_MS);
          left = await offsetsLeft(kafka, topic);
        } while (left.length > left.at(-1)! - 10);
        expect(await namesSeenBy(await connect())).toEqual([one.process]);
        expect(await namesSeenBy(one)).toEqual([one.process]);
        process.stdout.write(`KafkaPresence: ${left.length} of ${left.at(-1)! + 1} records left by compaction\n`);
      },
      CASE_TIMEOUT_MS,
    );

    it(
      'begins anew on a topic that was made anew',
      async () => {
        const reasons: string[] = [];
        const one = await connect({ timeoutMs: TIMEOUT_MS, onConsumerRestart: ({ message }) => reasons.push(message) });
        const two = await connect({ timeoutMs: TIMEOUT_MS });
        for (let n = 0; n < 100; n += 1) await two.renew(LONG_MS);
        expect(await namesSeenBy(one)).toEqual([two.process]);
        await administer((admin) => admin.deleteTopics({ topics: [topic] }));
        await answered(async () => {
          await makeTopics(prefix).catch((cause: unknown) => {
            throw new LogUnavailable('the topic is not gone yet', { cause });
          });
        });
        await answered(() => one.renew(LONG_MS));
        expect(await answered(() => namesSeenBy(one))).toEqual([one.process]);
        expect(reasons.length).toBeGreaterThan(0);
        await answered(() => two.renew(LONG_MS));
        expect(await answered(() => namesSeenBy(one))).toEqual([one.process, two.process].toSorted());
      },
      CASE_TIMEOUT_MS,
    );
  });
});

/** Another member joins the group and takes its only partition, until it leaves. */
async function intrude(address: string, groupId: string, topic: string): Promise<() => Promise<void>> {
  // kafkajs gives the partition to the first by name, and names begin with the client's.
  const kafka = new Kafka({ brokers: [address], clientId: 'a', logLevel: logLevel.NOTHING });
  const consumer = kafka.consumer({ groupId, sessionTimeout: 10_000, rebalanceTimeout: 10_000 });
  const joined = new Promise<void>((resolve) => {
    consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
      if ((payload.memberAssignment[topic] ?? []).length > 0) resolve();
    });
  });
  await consumer.connect();
  await consumer.subscribe({ topic });
  await consumer.run({ autoCommit: false, eachBatch: () => Promise.resolve() });
  await joined;
  return () => consumer.disconnect();
}

/** The offsets that a fresh reader finds. */
async function offsetsLeft(kafka: Kafka, topic: string): Promise<readonly number[]> {
  const consumer = kafka.consumer({ groupId: `left-${newTopicPrefix()}`, maxWaitTimeInMs: 10 });
  const offsets: number[] = [];
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  await new Promise<void>((resolve, reject) => {
    consumer
      .run({
        autoCommit: false,
        eachBatch: async ({ batch }) => {
          offsets.push(...batch.messages.map(({ offset }) => Number(offset)));
          if (offsets.at(-1)! + 1 === Number(batch.highWatermark)) resolve();
        },
      })
      .catch(reject);
  });
  await consumer.disconnect();
  return offsets;
}
