import kafkajs, { Kafka, logLevel, type Admin } from 'kafkajs';
import { toMessage } from '#event-log/kafka';
import { Program, call, describeOn, leave, newPlace, until, type Place } from '../apps/api/test/processes.js';
import { readRecords } from '../apps/api/test/valid-events.js';

const PATIENCE_MS = 240_000;
const STOPPED_WITHIN_MS = 120_000;
const LOG_SETTINGS = [
  { name: 'retention.ms', value: '-1' },
  { name: 'max.message.bytes', value: '4194304' },
  { name: 'message.timestamp.type', value: 'LogAppendTime' },
];

/** An api and a projector at work on a log that somebody damages. */
class Site {
  readonly place: Place = newPlace('distributed');
  readonly topic = `${this.place.topicPrefix}.services`;
  readonly kafka = new Kafka({ brokers: [this.place.env['CS_KAFKA_BROKERS']!], logLevel: logLevel.NOTHING });
  readonly admin: Admin = this.kafka.admin();
  private readonly running: Program[] = [];

  async start(): Promise<void> {
    const { place, running } = this;
    // One after the other: each has the machine for itself while it starts.
    for (const name of ['api', 'projector'] as const) {
      const program = await Program.start(name, place);
      running.push(program);
      await program.ready();
    }
    await this.admin.connect();
    await this.admin.fetchTopicOffsets(this.topic); // the client must have heard of the topic
  }

  get api(): Program {
    return this.running[0]!;
  }

  get projector(): Program {
    return this.running[1]!;
  }

  async service(partition?: number): Promise<string> {
    for (;;) {
      const { status, body } = await call(this.api, 'POST', 'services/start', { contact_key: 'ada' });
      expect(status).toBe(201);
      if (partition === undefined || body.service_id.startsWith(`${partition}-`)) return body.service_id;
    }
  }

  /** What was recorded is there, and more can be. */
  async expectAtWork(service: string): Promise<void> {
    expect((await call(this.api, 'GET', `services/${service}`)).status).toBe(200);
    expect((await call(this.api, 'PUT', `services/${service}/extensions/Notes`, { n: 1 })).status).toBe(200);
    expect((await call(this.api, 'GET', `services/${await this.service()}`)).status).toBe(200);
  }

  /** Neither program starts; the last line of each says why. */
  async expectRefused(why: RegExp): Promise<void> {
    const said = (['api', 'projector'] as const).map(async (name) => {
      const program = await Program.start(name, this.place);
      await until(`${name} has ended`, () => program.child.exitCode !== null, STOPPED_WITHIN_MS);
      expect(program.child.exitCode).toBe(1);
      expect(program.output.trimEnd().split('\n').at(-1)).toMatch(why);
    });
    await Promise.all(said);
  }

  async retention(ms: number): Promise<void> {
    const settings = LOG_SETTINGS.map(({ name, value }) => ({
      name,
      value: name === 'retention.ms' ? `${ms}` : value,
    }));
    await this.admin.alterConfigs({
      validateOnly: false,
      resources: [{ type: kafkajs.ConfigResourceTypes.TOPIC, name: this.topic, configEntries: settings }],
    });
  }

  async offsets(partition: number): Promise<{ low: number; high: number }> {
    const found = (await this.admin.fetchTopicOffsets(this.topic)).find((one) => one.partition === partition)!;
    return { low: Number(found.low), high: Number(found.high) };
  }

  async remove(partition: number, before: number): Promise<void> {
    await this.admin.deleteTopicRecords({ topic: this.topic, partitions: [{ partition, offset: `${before}` }] });
    expect((await this.offsets(partition)).low).toBe(before);
  }

  async deleteLog(): Promise<void> {
    const { admin, topic } = this;
    await admin.deleteTopics({ topics: [topic] });
    await until('the topic is gone', async () => !(await admin.listTopics()).includes(topic));
  }

  async end(): Promise<void> {
    await Promise.all(this.running.map((program) => program.end()));
    await this.admin.disconnect();
    leave(this.place);
  }
}

describeOn('distributed', 'a log whose topic was changed', () => {
  let site: Site;
  let service: string;
  let partition: number;
  let cases = 0;

  beforeAll(async () => {
    site = new Site();
    await site.start();
    service = await site.service();
    partition = Number(service.split('-')[0]);
  }, PATIENCE_MS);

  afterEach(() => {
    cases += 1;
  });

  afterAll(async () => {
    await site.end();
    process.stdout.write(`suite: ChangedTopic, adapter: distributed, partitions: 4, cases: ${cases}\n`);
  });

  it(
    'refuses a start when the topic does not keep everything for ever',
    async () => {
      await site.retention(604_800_000);
      await site.expectRefused(/\.services: retention\.ms is 604800000, needed is -1/);
      await site.expectAtWork(service);
      await site.retention(-1);
    },
    PATIENCE_MS,
  );

  it(
    'refuses a start when its beginning was removed, and goes on in programs that have it behind them',
    async () => {
      await site.expectAtWork(service);
      await site.remove(partition, 2);
      await site.expectRefused(
        new RegExp(
          `partition ${partition}: records 0 to 1 were removed from the log: .*; restore the topic from a copy`,
        ),
      );
      await site.expectAtWork(service);
    },
    PATIENCE_MS,
  );

  it(
    'refuses a start when partitions were added, and goes on in programs that know the old ones',
    async () => {
      const { partitions } = site.place;
      await site.admin.createPartitions({ topicPartitions: [{ topic: site.topic, count: partitions + 1 }] });
      await site.expectRefused(/\.services: it has 5 partitions, 4 are configured: ids would not find their partition/);
      await site.expectAtWork(service);
    },
    PATIENCE_MS,
  );

  it(
    'stops a projector for which records were removed, and nobody is told that they are not there',
    async () => {
      site.projector.signal('SIGSTOP');
      // A fetch of the stopped projector may still wait at the broker: it is answered with another record.
      await site.service((partition + 1) % site.place.partitions);
      const unseen = await site.service(partition);
      const { high } = await site.offsets(partition);
      await site.remove(partition, high);
      site.projector.signal('SIGCONT');
      const hasEnded = (): boolean => site.projector.child.exitCode !== null;
      await until('the projector has ended', hasEnded, STOPPED_WITHIN_MS);
      expect(site.projector.child.exitCode).toBe(1);
      expect(site.projector.output).toMatch(
        new RegExp(
          `${site.topic}, partition ${partition}: the next offset is \\d+, but the (log begins|broker goes on) at \\d+`,
        ),
      );
      const told = await call(site.api, 'GET', `services/${unseen}`);
      expect(told.status).toBe(503);
      expect(told.headers.get('retry-after')).toMatch(/^\d+$/);
    },
    PATIENCE_MS,
  );
});

describeOn('distributed', 'a log that was lost', () => {
  let site: Site;

  beforeAll(async () => {
    site = new Site();
    await site.start();
  }, PATIENCE_MS);

  afterAll(async () => {
    await site.end();
    process.stdout.write('suite: LostLog, adapter: distributed, partitions: 4, cases: 1\n');
  });

  it(
    'and made anew ends every program; none accepts anything, or says that what was there is not',
    async () => {
      const services = await Promise.all(Array.from({ length: 8 }, () => site.service()));
      const known = await call(site.api, 'GET', `services/${services[0]}`);
      const before = await readRecords(site.place, 'services');
      await site.deleteLog();
      const untrue: string[] = [];
      const hasEnded = (): boolean => site.api.child.exitCode !== null && site.projector.child.exitCode !== null;
      const talk = async (number: number): Promise<void> => {
        for (let n = number; !hasEnded(); n += 1) {
          const service = services[n % services.length];
          const isRead = n % 2 === 0;
          const asked = isRead
            ? call(site.api, 'GET', `services/${service}`)
            : call(site.api, 'PUT', `services/${service}/extensions/Notes`, { n });
          const answer = await asked.catch(() => undefined);
          const isRight = isRead ? answer?.body?.service_id === service : false;
          if (answer && answer.status !== 503 && !isRight) untrue.push(`${isRead} ${service}: ${answer.status}`);
        }
      };
      const talking = Promise.all([0, 1, 2, 3].map(talk));
      expect(known.status).toBe(200);
      // They make the topic anew, and find that the read model is that of another log; or a program has written first.
      await site.expectRefused(
        /the read model was built from log .*, this is .*: connect the two|record 0 does not name a log/,
      );
      await until('every program has ended', hasEnded, STOPPED_WITHIN_MS);
      await talking;
      expect(untrue).toEqual([]);
      for (const { child, output } of [site.api, site.projector]) {
        expect(child.exitCode).toBe(1);
        expect(output).toMatch(/the log ends at|is not the one that was read before|the broker goes on at/);
      }

      // The same log again, from a copy that is not the newest.
      await site.deleteLog();
      const { topic, kafka, admin, place } = site;
      const copied = before.filter(({ offset }) => offset === 0);
      const config = { topic, numPartitions: place.partitions, configEntries: LOG_SETTINGS };
      await admin.createTopics({ topics: [config] });
      const producer = kafka.producer();
      await producer.connect();
      const messages = copied.map((record) => toMessage(record as Parameters<typeof toMessage>[0]));
      await producer.send({ topic, messages });
      await producer.disconnect();
      await site.expectRefused(
        /partition \d: the log ends at 1, the read model has seen it up to \d+: acknowledged events are lost; restore/,
      );
    },
    PATIENCE_MS,
  );
});
