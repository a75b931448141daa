import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import kafkajs, { Kafka, logLevel, type Admin, type ITopicConfig } from 'kafkajs';
import { kill, start } from '../../../../tools/brokers/brokers.mjs';
import { KafkaProxy } from '../../../../tools/brokers/kafka-proxy.mjs';
import { LogUnavailable, type Batch, type Subscriber } from '../event-log.js';
import type { Checkpoint, LogRecord } from '../log-record.js';
import { PassingFailure, type Unplaced } from '../log-transport.js';
import { RefusedStart } from '../refused-start.js';
import { deleteTopics, describeOnKafka, newTopicPrefix } from '../../../../tools/brokers/real-kafka.js';
import { KafkaLogTransport, type KafkaLogTransportOptions } from './kafka-log-transport.js';
import { topicNames } from './kafka-topics.js';

const PARTITIONS = 4;
const CASE_TIMEOUT_MS = 60_000;
const RESTART_TIMEOUT_MS = 180_000;

describeOnKafka('KafkaLogTransport', ({ address, proxied }) => {
  let prefix = '';
  let topic = '';
  let admin: Admin;
  let cases = 0;
  const opened: { close(): Promise<void> }[] = [];

  const kafka = new Kafka({ brokers: [address], logLevel: logLevel.NOTHING });

  const connect = async (options: Partial<KafkaLogTransportOptions> = {}): Promise<KafkaLogTransport> => {
    const transport = await KafkaLogTransport.connect({
      brokers: [address],
      topicPrefix: prefix,
      partitions: PARTITIONS,
      ...options,
    });
    opened.push(transport);
    return transport;
  };

  const proxy = async (): Promise<KafkaProxy> => {
    const started = await KafkaProxy.start(proxied);
    opened.unshift(started);
    return started;
  };

  beforeEach(async () => {
    prefix = newTopicPrefix();
    topic = topicNames(prefix).services;
    admin = kafka.admin();
    await admin.connect();
  });

  afterEach(async () => {
    cases += 1;
    await admin.disconnect();
    for (const one of opened.splice(0).toReversed()) await one.close();
    await deleteTopics(address, prefix);
  }, CASE_TIMEOUT_MS);

  afterAll(() => {
    process.stdout.write(`suite: KafkaLogTransport, partitions: ${PARTITIONS}, cases: ${cases}\n`);
  });

  describe('starting', () => {
    it(
      'names an empty log once, whoever starts at the same time',
      async () => {
        const transports = await Promise.all([connect(), connect(), connect()]);
        const [first, ...others] = transports.map((transport) => names(transport));
        expect(new Set(first).size).toBe(PARTITIONS);
        for (const other of others) expect(other).toEqual(first);
        expect(names(await connect())).toEqual(first);

        const seen = new Seen(PARTITIONS);
        await transports[0]!.follow(seen.from, seen.take, seen.fail);
        await seen.reaches(await transports[0]!.ends());
        seen.records.forEach((records, partition) => {
          expect(records[0]).toMatchObject({ kind: 'fence', epoch: 0, offset: 0, logId: first![partition] });
        });
      },
      CASE_TIMEOUT_MS,
    );

    it(
      'opens two logs of several processes at the same time: that of the services and that of control',
      async () => {
        const kinds = ['services', 'control', 'control', 'services', 'control'] as const;
        const transports = await Promise.all(
          kinds.map((log) =>
            KafkaLogTransport.connect({ log, brokers: [address], topicPrefix: prefix, partitions: 2 }),
          ),
        );
        opened.push(...transports);
        expect(transports.map(({ partitions }) => partitions)).toEqual([2, 1, 1, 2, 1]);
        const [services, control] = transports as [KafkaLogTransport, KafkaLogTransport];
        expect(transports.map(names)).toEqual(kinds.map((log) => names(log === 'services' ? services : control)));
        expect(names(services)).not.toContain(control.logId(0));

        // One group name for both: each reader still gets its own log, whole.
        const group = `both-${prefix}`;
        const readers = [new CountingSubscriber(2, group), new CountingSubscriber(1, group)] as const;
        const seen = new Seen(1);
        await control.follow(seen.from, seen.take, seen.fail);
        await Promise.all([services.subscribe(readers[0]), control.subscribe(readers[1])]);
        await appendPersistently(services, [...markers(0, 4), ...markers(1, 3)]);
        await appendPersistently(transports[2]!, markers(0, 2, 'control'));
        const [ends, controlEnds] = [await services.ends(), await control.ends()];
        expect([ends.length, controlEnds.length]).toEqual([2, 1]);
        await Promise.all([readers[0].reaches(ends), readers[1].reaches(controlEnds), seen.reaches(controlEnds)]);
        expect(seen.ids(0)).toEqual(markers(0, 2, 'control').map(({ id }) => id));
        expect(readers.flatMap(({ gaps }) => gaps)).toEqual([]);
      },
      CASE_TIMEOUT_MS,
    );

    it(
      'gives up in time when the names cannot be read, and can be tried again',
      async () => {
        await connect();
        const between = await proxy();
        const began = performance.now();
        between.delay(50);
        const starting = connect({ brokers: [between.address], namingTimeoutMs: 1 });
        await expect(starting).rejects.toBeInstanceOf(LogUnavailable);
        await expect(starting).rejects.toThrow(/record 0 of 4 partitions was not read within 1 ms/);
        expect(performance.now() - began).toBeLessThan(CASE_TIMEOUT_MS / 2);
        between.heal();
        await connect({ brokers: [between.address] });
      },
      CASE_TIMEOUT_MS,
    );

    it(
      'makes the topics as they must be',
      async () => {
        await connect();
        const names = topicNames(prefix);
        const { topics } = await admin.fetchTopicMetadata({ topics: Object.values(names) });
        const counts = Object.fromEntries(topics.map(({ name, partitions }) => [name, partitions.length]));
        expect(counts).toEqual({
          [names.services]: PARTITIONS,
          [names.control]: 1,
          [names.presence]: 1,
          [names.deadLetters]: PARTITIONS,
          [names.events]: PARTITIONS,
        });
        expect(await settingsOf(admin, names.services)).toMatchObject({
          'cleanup.policy': 'delete',
          'retention.ms': '-1',
          'max.message.bytes': '4194304',
          'message.timestamp.type': 'LogAppendTime',
        });
        expect(await settingsOf(admin, names.control)).toMatchObject(await settingsOf(admin, names.services));
        expect(await settingsOf(admin, names.presence)).toMatchObject({
          'cleanup.policy': 'compact',
          'message.timestamp.type': 'LogAppendTime',
          'segment.ms': '600000',
        });
        expect(await settingsOf(admin, names.events)).toMatchObject({ 'retention.ms': '2592000000' });
      },
      CASE_TIMEOUT_MS,
    );

    const refused = async (options: Partial<KafkaLogTransportOptions> = {}): Promise<string> => {
      const error: unknown = await connect(options).then(
        () => undefined,
        (reason: unknown) => reason,
      );
      expect(error).toBeInstanceOf(RefusedStart);
      return (error as RefusedStart).message;
    };

    const good: ITopicConfig['configEntries'] = [
      { name: 'retention.ms', value: '-1' },
      { name: 'max.message.bytes', value: '4194304' },
      { name: 'message.timestamp.type', value: 'LogAppendTime' },
    ];
    /** Without kafkajs's waiting for leaders, which fails when the broker has not heard of the topic itself yet. */
    const createTopic = async (configEntries: ITopicConfig['configEntries']): Promise<void> => {
      await admin.createTopics({
        waitForLeaders: false,
        topics: [{ topic, numPartitions: PARTITIONS, ...(configEntries && { configEntries }) }],
      });
    };

    it.each([
      ['retention.ms', '604800000', '-1'],
      ['retention.bytes', '1000000', '-1'],
      ['cleanup.policy', 'compact', 'delete'],
      ['max.message.bytes', '1048588', 'at least 4194304'],
      ['message.timestamp.type', 'CreateTime', 'LogAppendTime'],
      ['unclean.leader.election.enable', 'true', 'false'],
    ])(
      'is refused on a topic with %s of %s',
      async (name, value, needed) => {
        const configEntries = [...good.filter((entry) => entry.name !== name), { name, value }];
        await createTopic(configEntries);
        expect(await refused()).toContain(`topic ${topic}: ${name} is ${value}, needed is ${needed}`);
      },
      CASE_TIMEOUT_MS,
    );

    it(
      'is refused with another number of partitions, or more replicas than there are',
      async () => {
        await connect();
        expect(await refused({ partitions: PARTITIONS + 1 })).toContain(
          `topic ${topic}: it has ${PARTITIONS} partitions, ${PARTITIONS + 1} are configured`,
        );
        expect(await refused({ replicationFactor: 3 })).toContain(
          `topic ${topic}: its replication factor is 1, at least 3 is configured`,
        );
      },
      CASE_TIMEOUT_MS,
    );

    const addPartition = async (): Promise<void> => {
      const { services, deadLetters, events } = topicNames(prefix);
      await admin.createPartitions({
        topicPartitions: [services, deadLetters, events].map((name) => ({ topic: name, count: PARTITIONS + 1 })),
      });
      await until(async () => (await admin.fetchTopicOffsets(services)).length > PARTITIONS);
    };

    it(
      'is refused when partitions were added, also when as many are configured',
      async () => {
        await connect();
        await addPartition();
        expect(await refused()).toContain(
          `topic ${topic}: it has ${PARTITIONS + 1} partitions, ${PARTITIONS} are configured`,
        );
        expect(await refused({ partitions: PARTITIONS + 1 })).toContain(
          `topic ${topic}: it has ${PARTITIONS + 1} partitions, its log was begun with ${PARTITIONS}`,
        );
      },
      CASE_TIMEOUT_MS,
    );

    it(
      'leaves partitions alone that are added later',
      async () => {
        const transport = await connect();
        const group = `shared-${prefix}`;
        const first = new CountingSubscriber(PARTITIONS, group);
        const subscription = await transport.subscribe(first);
        await addPartition();
        await subscription.close();
        // The group is told of the new partition when somebody joins it.
        const second = new CountingSubscriber(PARTITIONS, group);
        await transport.subscribe(second);
        await appendMarkers(transport, 3);
        await second.reaches((await transport.ends()).slice(0, PARTITIONS));
        expect([...first.asked, ...second.asked]).not.toContain(PARTITIONS);
        expect(second.gaps).toEqual([]);
      },
      CASE_TIMEOUT_MS,
    );

    it(
      'is refused on a log whose beginning was removed',
      async () => {
        const transport = await connect();
        await appendMarkers(transport, 5);
        await admin.fetchTopicOffsets(topic); // the client must have heard of the topic
        await admin.deleteTopicRecords({ topic, partitions: [{ partition: 1, offset: '1' }] });
        expect(await refused()).toContain('partition 1: records 0 to 0 were removed');
      },
      CASE_TIMEOUT_MS,
    );

    it(
      'is refused on a topic that somebody else filled',
      async () => {
        await createTopic(good);
        const producer = kafka.producer();
        await producer.connect();
        await producer.send({ topic, messages: [{ partition: 0, key: 'a', value: 'b' }] });
        await producer.disconnect();
        expect(await refused()).toContain('partition 0: record 0 does not name a log');
      },
      CASE_TIMEOUT_MS,
    );

    it(
      'is refused on a log that ends before the checkpoint, and on another log than that of the checkpoint',
      async () => {
        const transport = await connect();
        await appendMarkers(transport, 5);
        const [end] = await transport.ends();
        const checkpoint = { partition: 0, next: end!, logId: transport.logId(0) };
        await connect({ checkpoints: [checkpoint] });
        expect(await refused({ checkpoints: [{ ...checkpoint, next: end! + 1 }] })).toContain(
          `partition 0: the log ends at ${end}, the read model has seen it up to ${end! + 1}`,
        );
        expect(await refused({ checkpoints: [{ ...checkpoint, logId: 'another' }] })).toContain(
          'partition 0: the read model was built from log another',
        );
      },
      CASE_TIMEOUT_MS,
    );
  });

  describe('appending', () => {
    it(
      'says which partitions have it, and gives it back in order with the time of the broker',
      async () => {
        const transport = await connect();
        const seen = new Seen(PARTITIONS);
        await transport.follow(seen.from, seen.take, seen.fail);
        const began = Date.now();
        expect(await transport.append([...markers(1, 3), ...markers(3, 2)])).toEqual(new Set([1, 3]));
        await seen.reaches(await transport.ends());
        expect(seen.ids(1)).toEqual(markers(1, 3).map(({ id }) => id));
        expect(seen.ids(3)).toEqual(markers(3, 2).map(({ id }) => id));
        const times = seen.records[1]!.slice(1).map(({ recordedAt }) => recordedAt);
        expect(times).toEqual([...times].sort((a, b) => a - b));
        // Broker and test share one machine, whose clock may be set while this runs.
        expect(Math.abs(times[0]! - began)).toBeLessThan(CASE_TIMEOUT_MS);
      },
      CASE_TIMEOUT_MS,
    );

    it.each(['loseNextProduceAnswer', 'loseNextProduceRequest'] as const)(
      'stores a batch once after %s',
      async (fault) => {
        const between = await proxy();
        const transport = await connect({ brokers: [between.address] });
        const happened = between[fault](topic);
        await appendPersistently(transport, markers(0, 3));
        await happened;
        await appendPersistently(transport, markers(0, 1, 'next'));

        const seen = new Seen(PARTITIONS);
        await transport.follow(seen.from, seen.take, seen.fail);
        await seen.reaches(await transport.ends());
        expect(seen.ids(0)).toEqual([...markers(0, 3), ...markers(0, 1, 'next')].map(({ id }) => id));
      },
      CASE_TIMEOUT_MS,
    );

    it(
      'asks to be called again when the brokers are away, and is heard when they are back',
      async () => {
        const between = await proxy();
        const transport = await connect({ brokers: [between.address], requestTimeoutMs: 1_000 });
        between.unplug();
        await expect(transport.append(markers(0, 2))).rejects.toBeInstanceOf(PassingFailure);
        await expect(transport.renew()).rejects.toThrow();
        between.heal();
        await transport.renew();
        expect(await transport.append(markers(0, 2))).toEqual(new Set([0]));
      },
      CASE_TIMEOUT_MS,
    );

    it(
      'does not ask to be called again with a record that the topic refuses',
      async () => {
        const transport = await connect();
        const tooLarge: Unplaced = { kind: 'marker', partition: 0, id: 'x'.repeat(5 * 1024 * 1024) };
        const error: unknown = await transport.append([tooLarge]).catch((reason: unknown) => reason);
        expect(error).toBeInstanceOf(Error);
        expect(error).not.toBeInstanceOf(PassingFailure);
        await transport.renew();
        expect(await transport.append(markers(0, 1))).toEqual(new Set([0]));
      },
      CASE_TIMEOUT_MS,
    );
  });

  describe('following', () => {
    it(
      'passes on what is not ours as foreign',
      async () => {
        const transport = await connect();
        const producer = kafka.producer();
        await producer.connect();
        await producer.send({ topic, messages: [{ partition: 2, value: 'hello' }] });
        await producer.disconnect();
        const seen = new Seen(PARTITIONS);
        await transport.follow(seen.from, seen.take, seen.fail);
        await seen.reaches(await transport.ends());
        expect(seen.records[2]![1]).toMatchObject({ kind: 'foreign', offset: 1, reason: 'it has no key' });
      },
      CASE_TIMEOUT_MS,
    );

    it(
      'says so when the log ends before its place',
      async () => {
        const transport = await connect();
        const seen = new Seen(PARTITIONS);
        const from = seen.from.map((at) => (at.partition === 2 ? { ...at, next: 100 } : at));
        await transport.follow(from, seen.take, seen.fail);
        await expect(seen.fatal).resolves.toMatchObject({ message: expect.stringContaining('partition 2') as string });
      },
      CASE_TIMEOUT_MS,
    );

    it(
      'says so when what is next was removed, and nothing has come since',
      async () => {
        const transport = await connect();
        await appendMarkers(transport, 5);
        const [end] = await transport.ends();
        await admin.fetchTopicOffsets(topic); // the client must have heard of the topic
        await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: String(end) }] });
        const seen = new Seen(PARTITIONS);
        await transport.follow(seen.from, seen.take, seen.fail);
        await expect(seen.fatal).resolves.toMatchObject({
          message: `${topic}, partition 0: the next offset is 0, but the log begins at ${end}`,
        });
      },
      CASE_TIMEOUT_MS,
    );

    it(
      'says so when the log was made anew, and has grown beyond its place',
      async () => {
        const transport = await connect();
        const seen = new Seen(PARTITIONS);
        await transport.follow(seen.from, seen.take, seen.fail);
        await appendMarkers(transport, 5);
        const ends = await transport.ends();
        await seen.reaches(ends);
        await admin.deleteTopics({ topics: [topic] });
        await until(async () => !(await admin.listTopics()).includes(topic));
        await appendMarkers(await connect(), 20, 'anew');
        await expect(seen.fatal).resolves.toMatchObject({ message: expect.stringContaining(topic) as string });
        expect(seen.records.map((_, partition) => seen.ids(partition).some((id) => id.startsWith('anew')))).toEqual(
          ends.map(() => false),
        );
      },
      CASE_TIMEOUT_MS,
    );

    it(
      'goes on after the broker was silent and after it was away',
      async () => {
        const between = await proxy();
        const writer = await connect();
        const transport = await connect({ brokers: [between.address], requestTimeoutMs: 2_000 });
        const seen = new Seen(PARTITIONS);
        await transport.follow(seen.from, seen.take, seen.fail);
        for (const fault of ['silence', 'unplug'] as const) {
          between[fault]();
          await appendMarkers(writer, 10, fault);
          between.heal();
          await seen.reaches(await writer.ends());
        }
        seen.expectWhole();
      },
      CASE_TIMEOUT_MS,
    );
  });

  it(
    'replaces a consumer whose partitions somebody else has taken',
    async () => {
      const reasons: string[] = [];
      const transport = await connect({ onConsumerRestart: ({ message }) => reasons.push(message) });
      const seen = new Seen(PARTITIONS);
      await transport.follow(seen.from, seen.take, seen.fail);
      const { groups } = await admin.listGroups();
      const tail = groups.find(({ groupId }) => groupId.startsWith(`${topic}.tail.`))!;
      const leave = await intrude(kafka, tail.groupId, topic);
      await appendMarkers(transport, 3);
      await seen.reaches(await transport.ends());
      seen.expectWhole();
      expect(reasons).toEqual([expect.stringMatching(/^partition \d stays at \d+, the log goes on to \d+$/)]);
      await leave();
    },
    CASE_TIMEOUT_MS,
  );

  it(
    'closes while the brokers are away',
    async () => {
      const between = await proxy();
      const transport = await connect({ brokers: [between.address], requestTimeoutMs: 1_000 });
      const seen = new Seen(PARTITIONS);
      await transport.follow(seen.from, seen.take, seen.fail);
      between.unplug();
      await transport.close();
    },
    CASE_TIMEOUT_MS,
  );

  describe('while records flow', () => {
    let data = '';

    beforeAll(async () => {
      data = await mkdtemp(join(tmpdir(), 'kafka-restart-'));
    });

    afterAll(async () => {
      await kill('kafka', { data });
      await rm(data, { recursive: true, force: true });
    });

    it(
      'misses nothing and repeats nothing through two rebalances and a broker that is killed and comes back',
      async () => {
        const broker = await start('kafka', { data });
        const brokers = [broker.address];
        const [writer, follower] = [await connect({ brokers }), await connect({ brokers })];
        const seen = new Seen(PARTITIONS);
        await follower.follow(seen.from, seen.take, seen.fail);
        const projector = new CountingSubscriber(PARTITIONS);
        await follower.subscribe(projector);

        let flowing = true;
        const acknowledged: string[] = [];
        const flow = (async () => {
          for (let n = 0; flowing; n += 1) {
            const batch = Array.from({ length: PARTITIONS }, (_, partition) => markers(partition, 5, String(n))).flat();
            await appendPersistently(writer, batch);
            acknowledged.push(...batch.map(({ id }) => id));
          }
        })();
        const flowsOn = async (): Promise<void> => {
          const ends = await writer.ends();
          await Promise.all([seen.exceeds(ends), projector.exceeds(ends)]);
        };

        await flowsOn();
        const local = new Kafka({ brokers, logLevel: logLevel.NOTHING });
        const watching = local.admin();
        await watching.connect();
        const { groups } = await watching.listGroups();
        await watching.disconnect();
        const tail = groups.find(({ groupId }) => groupId.startsWith(`${topic}.tail.`))!;
        for (const groupId of [tail.groupId, projector.group]) {
          const leave = await intrude(local, groupId, topic);
          await leave();
          await flowsOn();
        }

        await kill('kafka', { data });
        await start('kafka', { data });
        await flowsOn();

        flowing = false;
        await flow;
        const ends = await writer.ends();
        await Promise.all([seen.reaches(ends), projector.reaches(ends)]);
        seen.expectWhole();
        const ids = new Set(seen.records.flatMap((_, partition) => seen.ids(partition)));
        expect(acknowledged.filter((id) => !ids.has(id))).toEqual([]);
        expect(projector.gaps).toEqual([]);
        expect(projector.together).toBe(1);
        process.stdout.write(
          `KafkaLogTransport: ${seen.records.flat().length} records through 4 rebalances and a broker kill, ` +
            `${acknowledged.length} acknowledged, 0 missing; the projector repeated ${projector.repeats}\n`,
        );
        for (const one of opened.splice(0).toReversed()) await one.close();
      },
      RESTART_TIMEOUT_MS,
    );
  });
});

const names = (transport: KafkaLogTransport): readonly string[] =>
  Array.from({ length: transport.partitions }, (_, partition) => transport.logId(partition));

type Marker = Extract<Unplaced, { kind: 'marker' }>;

const markers = (partition: number, count: number, name = 'marker'): readonly Marker[] =>
  Array.from({ length: count }, (_, n) => ({ kind: 'marker', partition, id: `${name}-${partition}-${n}` }));

const appendMarkers = (transport: KafkaLogTransport, count: number, name?: string): Promise<void> =>
  appendPersistently(
    transport,
    Array.from({ length: PARTITIONS }, (_, partition) => markers(partition, count, name)).flat(),
  );

/** As a writer must: the identical batch again, what was left out again, after anything else with a new producer. */
async function appendPersistently(transport: KafkaLogTransport, batch: readonly Unplaced[]): Promise<void> {
  let rest = batch;
  while (rest.length > 0) {
    try {
      const stored = await transport.append(rest);
      rest = rest.filter(({ partition }) => !stored.has(partition));
    } catch (error) {
      if (!(error instanceof PassingFailure)) await transport.renew().catch(() => undefined);
    }
  }
}

/** The case's own time limit ends it. */
async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition().catch(() => false))) await new Promise(setImmediate);
}

async function settingsOf(admin: Admin, name: string): Promise<Record<string, string>> {
  const { resources } = await admin.describeConfigs({
    includeSynonyms: false,
    resources: [{ type: kafkajs.ConfigResourceTypes.TOPIC, name }],
  });
  return Object.fromEntries(
    resources[0]!.configEntries.map(({ configName, configValue }) => [configName, configValue]),
  );
}

/** Another member joins the group, and takes partitions away from those that are in it, until it leaves. */
async function intrude(kafka: Kafka, groupId: string, topic: string): Promise<() => Promise<void>> {
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

/** Conditions that are looked at again whenever something came. */
class Waiting {
  private readonly looks = new Set<() => void>();

  changed(): void {
    for (const look of this.looks) look();
  }

  until(holds: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const look = (): void => {
        if (!holds()) return;
        this.looks.delete(look);
        resolve();
      };
      this.looks.add(look);
      look();
    });
  }
}

/** Everything that a tail was shown. */
class Seen {
  readonly records: LogRecord[][];
  readonly from: readonly Checkpoint[];
  readonly fatal: Promise<Error>;
  fail!: (error: Error) => void;
  private readonly waiting = new Waiting();

  constructor(partitions: number) {
    this.records = Array.from({ length: partitions }, () => []);
    this.from = this.records.map((_, partition) => ({ partition, next: 0, epoch: 0 }));
    this.fatal = new Promise((resolve) => {
      this.fail = resolve;
    });
  }

  readonly take = (records: readonly LogRecord[]): void => {
    for (const record of records) this.records[record.partition]!.push(record);
    this.waiting.changed();
  };

  reaches = (ends: readonly number[]): Promise<void> =>
    this.waiting.until(() => ends.every((end, partition) => this.records[partition]!.length >= end));

  exceeds = (ends: readonly number[]): Promise<void> => this.reaches(ends.map((end) => end + 1));

  ids = (partition: number): readonly string[] =>
    this.records[partition]!.flatMap((record) => (record.kind === 'marker' ? [record.id] : []));

  /** Offsets from 0 on: none is missing, repeated or out of order. */
  expectWhole(): void {
    for (const records of this.records) {
      expect(records.findIndex(({ offset }, n) => offset !== n)).toBe(-1);
    }
  }
}

/** Keeps its checkpoints as a projector does, and counts what comes again and what does not come. */
class CountingSubscriber implements Subscriber {
  readonly gaps: string[] = [];
  readonly asked: number[] = [];
  repeats = 0;
  /** Batches of one partition in hand at once, at most. */
  together = 0;
  private readonly next: number[];
  private readonly inHand: number[];
  private readonly waiting = new Waiting();

  constructor(
    partitions: number,
    readonly group = `counting-${newTopicPrefix()}`,
  ) {
    this.inHand = Array.from({ length: partitions }, () => 0);
    this.next = Array.from({ length: partitions }, () => 0);
  }

  async checkpoint(partition: number): Promise<Checkpoint> {
    this.asked.push(partition);
    return { partition, next: this.next[partition]!, epoch: 0 };
  }

  async handle({ partition, records }: Batch): Promise<void> {
    this.inHand[partition]! += 1;
    this.together = Math.max(this.together, this.inHand[partition]!);
    await new Promise(setImmediate);
    for (const { offset } of records) {
      const due = this.next[partition]!;
      if (offset > due) this.gaps.push(`${partition}: ${offset} came where ${due} was due`);
      if (offset < due) this.repeats += 1;
      else this.next[partition] = offset + 1;
    }
    this.inHand[partition]! -= 1;
    this.waiting.changed();
  }

  onFatal(error: Error): void {
    this.gaps.push(error.message);
  }

  reaches = (ends: readonly number[]): Promise<void> =>
    this.waiting.until(() => ends.every((end, partition) => this.next[partition]! >= end));

  exceeds = (ends: readonly number[]): Promise<void> => this.reaches(ends.map((end) => end + 1));
}
