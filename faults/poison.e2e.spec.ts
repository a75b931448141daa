import { randomUUID } from 'node:crypto';
import { Kafka, logLevel } from 'kafkajs';
import { encode, schemaVersions, type NewRecord } from '#events';
import { KafkaLogTransport } from '#event-log/kafka';
import {
  Program,
  call,
  describeOn,
  leave,
  newPlace,
  until,
  type Answered,
  type Place,
} from '../apps/api/test/processes.js';

const PATIENCE_MS = 240_000;
const WITHIN_MS = 120_000;
const timestamp = '2026-01-01T00:00:00.000Z';

/** Two apis and a projector on topics of their own, and somebody who writes past the protocol. */
class Site {
  readonly place: Place = newPlace('distributed');
  programs: Program[] = [];
  private log: KafkaLogTransport | undefined;

  async start(): Promise<this> {
    const { place } = this;
    // One after the other: each has the machine for itself while it starts.
    for (const name of ['projector', 'api', 'api'] as const) {
      const program = await Program.start(name, place);
      this.programs.push(program);
      await program.ready();
    }
    const { topicPrefix, partitions, env } = place;
    this.log = await KafkaLogTransport.connect({ brokers: [env['CS_KAFKA_BROKERS']!], topicPrefix, partitions });
    return this;
  }

  get projector(): Program {
    return this.programs[0]!;
  }

  get apis(): readonly Program[] {
    return this.programs.slice(1);
  }

  /** In this place of the list, after the one that is there has ended. */
  async replace(number: number, env: Readonly<Record<string, string>> = {}): Promise<void> {
    const old = this.programs[number]!;
    await old.end('SIGTERM');
    this.programs[number] = await Program.start(old.name, this.place, env);
    await this.programs[number].ready();
  }

  /** Known to the api that started it. */
  async started(api: Program, partition?: number): Promise<string> {
    for (;;) {
      const { body } = await call(api, 'POST', 'services/start', { contact_key: 'ada' });
      const id = body.service_id;
      if (partition === undefined || id.startsWith(`${partition}-`)) return id;
    }
  }

  /** Known to both apis. */
  async service(partition?: number): Promise<string> {
    const [one, two] = this.apis as [Program, Program];
    const id = await this.started(one, partition);
    expect((await call(two, 'PUT', `services/${id}/extensions/Notes`, { n: 1 })).status).toBe(200);
    return id;
  }

  async append(stream: string, record: Pick<NewRecord, 'type' | 'value'> & Partial<NewRecord>): Promise<void> {
    const [partition] = stream.split('-');
    const whole = {
      schemaVersion: 1,
      version: 3,
      epoch: 0,
      tenant: '1',
      correlationId: 'poison',
      eventId: randomUUID(),
    };
    await this.log!.append([{ kind: 'event', ...whole, ...record, stream, partition: Number(partition) }]);
  }

  async end(): Promise<void> {
    await Promise.all(this.programs.map((program) => program.end()));
    await this.log?.close();
    leave(this.place);
  }
}

async function metric(program: Program, name: string): Promise<number> {
  const text = await (await fetch(`${program.origin}/metrics`)).text();
  const line = text.split('\n').find((one) => one.startsWith(`${name} `));
  return Number(line?.slice(name.length) ?? 0);
}

/** Every command and every read of the service, on this process. */
const ask = (api: Program, id: string): Promise<readonly Answered[]> =>
  Promise.all([
    call(api, 'POST', `services/${id}/end`, {}),
    call(api, 'PUT', `services/${id}`, { ttl: 60 }),
    call(api, 'DELETE', `services/${id}`),
    call(api, 'GET', `services/${id}`),
  ]);

describeOn('distributed', 'a record that nobody can fold', () => {
  const site = new Site();
  const ended = encode({ type: 'ServiceEnded', data: { service_id: 'x', timestamp } });
  const claim = { service_id: 'x', start: { service_id: 'x', timestamp }, lifetime: { ttl: 60 } };
  let cases = 0;
  let parked = 0;
  let last: string | undefined;

  beforeAll(() => site.start(), PATIENCE_MS);

  afterEach(() => {
    cases += 1;
  });

  afterAll(async () => {
    await site.end();
    process.stdout.write(`suite: ParkedStreams, adapter: distributed, partitions: 4, cases: ${cases}\n`);
  });

  it.each<[string, Pick<NewRecord, 'type' | 'value'> & Partial<NewRecord>, RegExp]>([
    ['cannot be decoded', { ...ended, value: 'not JSON' }, /is not JSON/],
    ['leaves a hole', { ...ended, version: 9 }, /its version 9 leaves a hole after 2/],
    ['is of an epoch that nobody has opened', { ...ended, epoch: 5 }, /its epoch 5 is newer than the partition's, 0/],
    ['is of a stream of another kind', encode({ type: 'ServiceClaimed', data: claim }), /in the stream of a service/],
  ])(
    'and %s parks its stream, with an alarm; every process refuses it, and goes on with all others',
    async (_what, record, reason) => {
      const victim = await site.service();
      await site.append(victim, record);
      parked += 1;
      await until('the alarm', async () => (await metric(site.projector, 'cs_parked_streams_total')) >= parked);
      const line = site.projector.output
        .split('\n')
        .find((one) => one.includes('stream parked') && one.includes(victim));
      expect(line).toMatch(reason);
      for (const api of site.apis) {
        for (const { status, body, headers } of await ask(api, victim)) {
          expect([status, body.exception]).toEqual([503, expect.stringMatching(/\.StreamParkedException$/)]);
          expect(headers.get('retry-after')).toMatch(/^\d+$/);
        }
      }
      const other = await site.service(Number(victim.split('-')[0]));
      for (const api of site.apis) expect((await call(api, 'GET', `services/${other}`)).status).toBe(200);
      expect((await fetch(`${site.projector.origin}/health/ready`)).status).toBe(200);
      last = victim;
    },
    WITHIN_MS,
  );

  it(
    'is refused by a process that is started later, too',
    async () => {
      await site.replace(2);
      for (const { status } of await ask(site.apis[1]!, last!)) expect(status).toBe(503);
    },
    WITHIN_MS,
  );

  it(
    'because it is not of this program stops nothing, and is told',
    async () => {
      const { env, topicPrefix } = site.place;
      const producer = new Kafka({ brokers: [env['CS_KAFKA_BROKERS']!], logLevel: logLevel.NOTHING }).producer();
      await producer.connect();
      await producer.send({ topic: `${topicPrefix}.services`, messages: [{ partition: 1, value: 'hello' }] });
      await producer.disconnect();
      const foreign = 'cs_dead_letters_total{reason="foreign"}';
      await until('the alarm', async () => (await metric(site.projector, foreign)) === 1);
      expect(site.projector.output).toContain('foreign record in the log set aside');
      await site.service(1);
    },
    WITHIN_MS,
  );
});

describeOn('distributed', 'a record that a newer program has written', () => {
  const site = new Site();
  const newer = { NODE_OPTIONS: `--import=${new URL('newer-program.mjs', import.meta.url).href}` };

  beforeAll(() => site.start(), PATIENCE_MS);

  afterAll(async () => {
    await site.end();
    process.stdout.write('suite: NewerSchema, adapter: distributed, partitions: 4, cases: 1\n');
  });

  it(
    'stops its partition, with an alarm, until the programs are newer',
    async () => {
      const service = await site.service(0);
      const ended = encode({ type: 'ServiceEnded', data: { service_id: service, timestamp, contact_key: 'ada' } });
      await site.append(service, { ...ended, schemaVersion: schemaVersions.ServiceEnded + 1 });
      const ready = () => fetch(`${site.projector.origin}/health/ready`);
      await until('the alarm', async () => (await ready()).status === 503);
      expect(await (await ready()).text()).toMatch(
        /partition 0: event type ServiceEnded version 2 is newer than this program/,
      );

      const [one, two] = site.apis as [Program, Program];
      const refused = await ask(one, service);
      expect(refused.map(({ status }) => status)).toEqual([503, 503, 503, 503]);
      const elsewhere = await site.service(1);
      for (const api of [one, two]) expect((await call(api, 'GET', `services/${elsewhere}`)).status).toBe(200);
      // It is recorded, and shown once the partition goes on; or before, since streams of a batch do not wait for each other.
      const waiting = await site.started(two, 0);
      expect([200, 503]).toContain((await call(two, 'GET', `services/${waiting}`)).status);
      expect(await metric(site.projector, 'cs_parked_streams_total')).toBe(0);

      await site.replace(0, newer);
      await site.replace(1, newer);
      await until('the partition goes on', async () => (await call(two, 'GET', `services/${waiting}`)).status === 200);
      const { body } = await call(site.apis[0]!, 'GET', `services/${service}`);
      expect(body).toMatchObject({ service_id: service, completed: { timestamp } });
      const late = await call(site.apis[0]!, 'POST', `services/${service}/end`, {});
      expect(late.status).toBe(409);
      expect((await ready()).status).toBe(200);
    },
    PATIENCE_MS,
  );
});
