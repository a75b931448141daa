import { randomUUID } from 'node:crypto';
import { readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import kafkajs, { Kafka, logLevel } from 'kafkajs';
import type { NewRecord, RecordedEvent } from '#events';
import { KafkaLogTransport, toMessage } from '#event-log/kafka';
import { Program, call, describeOn, leave, newPlace, type Place } from '../apps/api/test/processes.js';
import { violations } from './checker.js';
import { readStored, type Stored } from './evidence.js';
import { clockOffset } from './server.js';
import { shown } from './run.js';

const DAY_SECONDS = 24 * 60 * 60;
const DAY_MS = DAY_SECONDS * 1_000;
/** Days before today on which callers were at work; after each of them the process ended. */
const [FIRST, SECOND, LAST] = [365, 200, 1];
const EXTENSIONS = 25;
const PATIENCE_MS = 240_000;
const contact_key = 'ada';

interface YearOld {
  readonly place: Place;
  /** By what became of them until today. */
  readonly services: Readonly<Record<Fate, string>>;
  /** As it was projected while it was recorded. */
  readonly stored: Stored;
}

const fates = ['extended', 'sliding', 'ended', 'composite', 'expiredSoon', 'expiredLater', 'deleted'] as const;
type Fate = (typeof fates)[number];
const live: readonly Fate[] = ['extended', 'sliding', 'ended', 'composite'];
const gone: readonly Fate[] = ['expiredSoon', 'expiredLater', 'deleted'];

async function ok(api: Program, method: string, route: string, body?: unknown): Promise<Record<string, unknown>> {
  const answer = await call(api, method, route, body);
  if (answer.status >= 300) throw new Error(`${method} ${route}: ${answer.status} ${JSON.stringify(answer.body)}`);
  return answer.body as unknown as Record<string, unknown>;
}

/** A log that one process after the other has recorded in the course of a year. */
async function recordYear(): Promise<YearOld> {
  const place = newPlace('embedded');
  const on = async <T>(daysAgo: number, work: (api: Program) => Promise<T>): Promise<T> => {
    const env = { ...clockOffset(-daysAgo * DAY_MS), CS_PROJECTOR_INSIDE: 'true' };
    const api = await Program.start('api', place, env);
    try {
      await api.ready();
      return await work(api);
    } finally {
      await api.end('SIGTERM');
    }
  };
  const extend = async (api: Program, id: string, days: number, times = EXTENSIONS): Promise<void> => {
    for (let n = 1; n <= times; n += 1) await ok(api, 'PUT', `services/${id}`, { ttl: days * DAY_SECONDS + n });
  };
  const services = await on(FIRST, async (api) => {
    const started: [Fate, string][] = [];
    for (const fate of fates.filter((one) => one !== 'composite')) {
      const { service_id } = await ok(api, 'POST', 'services/start', { contact_key, service_type: fate });
      started.push([fate, String(service_id)]);
    }
    const body = { services: [{ service: { contact_key: 'x' }, state: { state_type: 'First' } }] };
    const composite = (await ok(api, 'POST', 'services_composite/start', body)) as {
      services: { service_id: string }[];
    };
    started.push(['composite', composite.services[0]!.service_id]);
    const ids = Object.fromEntries(started) as Record<Fate, string>;
    await extend(api, ids.extended, 200);
    await extend(api, ids.ended, 400, 1);
    await extend(api, ids.expiredSoon, 1);
    await extend(api, ids.expiredLater, 170);
    await ok(api, 'POST', `services/${ids.extended}/states/start`, { state_type: 'First' });
    return ids;
  });
  await on(SECOND, async (api) => {
    await extend(api, services.extended, 250);
    await extend(api, services.expiredLater, 100);
    await ok(api, 'PUT', `services/${services.sliding}/extensions/Notes`, { seen: true });
    await ok(api, 'POST', `services/${services.ended}/end`, {});
    await ok(api, 'DELETE', `services/${services.deleted}`);
    const late = await call(api, 'PUT', `services/${services.expiredSoon}`, { ttl: DAY_SECONDS });
    expect(late.status).toBe(404);
  });
  const stored = await on(LAST, async (api) => {
    const late = await call(api, 'PUT', `services/${services.expiredLater}`, { ttl: DAY_SECONDS });
    expect(late.status).toBe(404);
    await ok(api, 'POST', `services/${services.extended}/states/start`, { state_type: 'Last' });
    return readStored(place);
  });
  return { place, services, stored };
}

let recording: Promise<YearOld> | undefined;
const yearOld = (): Promise<YearOld> => (recording ??= recordYear());

/** Live services are shown and can be changed, the others are not there, alone or in a list. */
async function expectOnlyLive(api: Program, services: YearOld['services']): Promise<void> {
  for (const fate of live)
    expect([fate, (await call(api, 'GET', `services/${services[fate]}`)).status]).toEqual([fate, 200]);
  for (const fate of gone) {
    expect([fate, (await call(api, 'GET', `services/${services[fate]}`)).status]).toEqual([fate, 404]);
    const late = await call(api, 'PUT', `services/${services[fate]}`, { ttl: DAY_SECONDS });
    expect([fate, late.status]).toEqual([fate, 404]);
  }
  const listed = (await call(api, 'GET', `services/anonymous/${contact_key}`)).body as unknown as {
    service_id: string;
  }[];
  const shouldBe = live.filter((fate) => fate !== 'composite').map((fate) => services[fate]);
  expect(listed.map(({ service_id }) => service_id).sort()).toEqual(shouldBe.sort());
}

/** Whatever is derived from the log is its fold, whoever asked for what. */
function expectFold(stored: Stored, partitions: number): void {
  const asked = stored.services.flatMap((record) => (record.kind === 'event' ? [record.correlationId] : []));
  const found = violations({ ...stored, partitions, calls: [], planted: new Set(asked) });
  expect(found.map(shown).join('\n\n')).toBe('');
}

const inOrder = ({ rows, entries }: Pick<Stored, 'rows' | 'entries'>) => ({
  rows: rows.toSorted((a, b) => (a.stream < b.stream ? -1 : 1)),
  entries: entries.map((entry) => JSON.stringify(entry)).sort(),
});

describeOn('embedded', 'the replay of a log of a year', () => {
  let year: YearOld;
  let api: Program | undefined;

  beforeAll(async () => {
    year = await yearOld();
    const { directory } = year.place;
    const readModel = readdirSync(directory).filter((file) => file.startsWith('views.db'));
    expect(readModel).toContain('views.db');
    for (const file of readModel) rmSync(path.join(directory, file));
    api = await Program.start('api', year.place, { CS_PROJECTOR_INSIDE: 'true' });
    await api.ready();
  }, PATIENCE_MS);

  afterAll(async () => {
    await api?.end();
    process.stdout.write('suite: YearOldLog, adapter: embedded, cases: 2\n');
  });

  it('makes the same rows and lists, which are the fold of the log', async () => {
    const stored = await readStored(year.place);
    const span = stored.services.map(({ recordedAt }) => recordedAt).sort((a, b) => a - b);
    expect(span.at(-1)! - span[0]!).toBeGreaterThan((FIRST - LAST) * DAY_MS - DAY_MS);
    expectFold(stored, year.place.partitions);
    expect(inOrder(stored)).toEqual(inOrder(year.stored));
  });

  it('brings live services back, and keeps gone what has expired', async () => {
    await expectOnlyLive(api!, year.services);
  });
});

/** The same records, each in its place with its time, in topics that nobody has used. */
async function move({ stored }: YearOld, { topicPrefix, partitions, env }: Place): Promise<void> {
  const topic = `${topicPrefix}.services`;
  const kafka = new Kafka({ brokers: [env['CS_KAFKA_BROKERS']!], logLevel: logLevel.NOTHING });
  const [admin, producer] = [kafka.admin(), kafka.producer()];
  const settings = (timestampType: string) => [
    { name: 'retention.ms', value: '-1' },
    { name: 'max.message.bytes', value: '4194304' },
    { name: 'message.timestamp.type', value: timestampType },
  ];
  await Promise.all([admin.connect(), producer.connect()]);
  try {
    await admin.createTopics({
      topics: [{ topic, numPartitions: partitions, configEntries: settings('CreateTime') }],
    });
    for (const record of stored.services.toSorted((a, b) => a.offset - b.offset)) {
      if (record.kind === 'foreign') throw new Error('the embedded log has no foreign records');
      const [placed] = await producer.send({
        topic,
        messages: [{ ...toMessage(record), timestamp: String(record.recordedAt) }],
      });
      expect(placed?.baseOffset).toBe(String(record.offset));
    }
    await admin.alterConfigs({
      validateOnly: false,
      resources: [{ type: kafkajs.ConfigResourceTypes.TOPIC, name: topic, configEntries: settings('LogAppendTime') }],
    });
  } finally {
    await Promise.all([admin.disconnect(), producer.disconnect()]);
  }
}

describeOn('distributed', 'the replay of a log of a year', () => {
  let year: YearOld;
  let place: Place;
  let programs: readonly Program[] = [];

  beforeAll(async () => {
    year = await yearOld();
    place = newPlace('distributed');
    await move(year, place);
    programs = await Promise.all([Program.start('projector', place), Program.start('api', place)]);
    await Promise.all(programs.map((program) => program.ready()));
  }, PATIENCE_MS);

  afterAll(async () => {
    await Promise.all(programs.map((program) => program.end()));
    if (place) leave(place);
    process.stdout.write('suite: YearOldLog, adapter: distributed, cases: 3\n');
  });

  it('makes the rows and lists that the embedded engine makes of the same log', async () => {
    const stored = await readStored(place);
    expectFold(stored, place.partitions);
    expect(inOrder(stored)).toEqual(inOrder(year.stored));
  });

  it('brings live services back, and keeps gone what has expired', async () => {
    await expectOnlyLive(programs[1]!, year.services);
  });

  it('does not bring back what has expired for a record that comes after', async () => {
    const { env, topicPrefix, partitions } = place;
    const stream = year.services.expiredLater;
    const last = year.stored.services.findLast(
      (record): record is RecordedEvent => record.kind === 'event' && record.stream === stream,
    )!;
    const late: NewRecord = {
      type: last.type,
      schemaVersion: last.schemaVersion,
      value: last.value,
      lifetime: { ttl: DAY_SECONDS },
      tenant: last.tenant,
      stream,
      partition: last.partition,
      version: last.version + 1,
      epoch: last.epoch,
      eventId: randomUUID(),
      correlationId: 'late',
    };
    const log = await KafkaLogTransport.connect({ brokers: [env['CS_KAFKA_BROKERS']!], topicPrefix, partitions });
    await log.append([{ kind: 'event', ...late }]);
    await log.close();
    const stored = await readStored(place);
    expect(stored.services).toContainEqual(
      expect.objectContaining({ correlationId: 'late', partition: last.partition }),
    );
    expectFold(stored, partitions);
    expect(inOrder(stored)).toEqual(inOrder(year.stored));
    await expectOnlyLive(programs[1]!, year.services);
  });
});

afterAll(async () => {
  if (recording) leave((await recording).place);
});
