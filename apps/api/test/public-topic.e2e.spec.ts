import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Kafka, logLevel } from 'kafkajs';
import { Program, call, describeOn, leave, newPlace, until, type Place } from './processes.js';
import { readLog, type ValidEvent } from './valid-events.js';

const example = fileURLToPath(new URL('../../../examples/consume-events.mjs', import.meta.url));

interface Published {
  readonly id: string;
  readonly subject: string;
  readonly sequence: number;
}

describeOn('distributed', 'the public topic', () => {
  let place: Place;
  let programs: Program[] = [];
  let cases = 0;

  beforeAll(async () => {
    place = newPlace('distributed');
    programs = await Promise.all(
      (['projector', 'projector', 'api', 'api'] as const).map((name) => Program.start(name, place)),
    );
    await Promise.all(programs.map((program) => program.ready()));
  }, 120_000);

  afterEach(() => {
    cases += 1;
  });

  afterAll(async () => {
    await Promise.all(programs.map((program) => program.end()));
    leave(place);
    process.stdout.write(
      `suite: PublicTopic, adapter: distributed, partitions: ${place.partitions}, processes: 4, cases: ${cases}\n`,
    );
  });

  it('has each valid event once or more, in stream order, and no void one', async () => {
    const [firstProjector, , one, two] = programs as [Program, Program, Program, Program];
    const converse = async (number: number) => {
      const { service_id: id } = (
        await call(one, 'POST', 'services/start', { customer_id: `c${number}`, service_type: 'Loan' })
      ).body;
      await call(two, 'POST', `services/${id}/states/start`, { state_type: 'Waiting' });
      // Races make void records.
      await Promise.all(Array.from({ length: 4 }, (_, n) => call(n % 2 ? one : two, 'POST', `services/${id}/end`)));
    };
    await Promise.all(Array.from({ length: 30 }, (_, number) => converse(number)));
    await firstProjector.end('SIGKILL');
    await Promise.all(Array.from({ length: 30 }, (_, number) => converse(30 + number)));

    const { valid, records } = await readLog(place);
    expect(records.filter(({ kind }) => kind === 'event').length).toBeGreaterThan(valid.length);

    const published: Published[] = [];
    const kafka = new Kafka({ brokers: [process.env.CS_TEST_KAFKA!], logLevel: logLevel.NOTHING });
    const consumer = kafka.consumer({ groupId: `${place.topicPrefix}.test` });
    await consumer.connect();
    try {
      await consumer.subscribe({ topic: `${place.topicPrefix}.events`, fromBeginning: true });
      await consumer.run({
        eachMessage: async ({ message: { headers = {} } }) => {
          const text = (name: string): string => String(headers[name]);
          published.push({ id: text('ce_id'), subject: text('ce_subject'), sequence: Number(text('ce_sequence')) });
        },
      });
      await until('every valid event is published', () => new Set(published.map(({ id }) => id)).size >= valid.length);
    } finally {
      await consumer.disconnect();
    }
    expect(new Set(published.map(({ id }) => id))).toEqual(new Set(valid.map(({ record }) => record.eventId)));
    const last = new Map<string, number>();
    for (const { subject, sequence } of published) {
      if (sequence <= (last.get(subject) ?? 0)) continue;
      expect(sequence).toBe((last.get(subject) ?? 0) + 1);
      last.set(subject, sequence);
    }
  }, 120_000);

  it('is printed by the example, each valid event once and in stream order', async () => {
    const [, , one, two] = programs as [Program, Program, Program, Program];
    const { service_id: id } = (await call(one, 'POST', 'services/start', { contact_key: 'Zoë and more' })).body;
    await Promise.all([one, two].map((api) => call(api, 'POST', `services/${id}/end`)));
    const { valid } = await readLog(place);

    const child = spawn(process.execPath, [example, process.env.CS_TEST_KAFKA!, `${place.topicPrefix}.events`], {
      env: { PATH: process.env.PATH },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const ended = once(child, 'exit');
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
    const lines = () => output.split('\n').slice(0, -1);
    await until('the example has printed every valid event', () => lines().length >= valid.length);
    child.kill('SIGTERM');
    expect(await ended).toEqual([0, null]);

    const printed = lines().map((line) => {
      const [, partition, time, subject, sequence, type, data] = printedLine.exec(line) ?? [];
      return { partition, time, subject, sequence, type, data: JSON.parse(data ?? line) as object };
    });
    const bySubject = new Map(
      printed.map(({ subject }) => [subject, printed.filter((one) => one.subject === subject)]),
    );
    const expected = new Map<string, ValidEvent[]>();
    for (const one of valid) expected.set(one.record.stream, [...(expected.get(one.record.stream) ?? []), one]);
    expect([...bySubject.keys()].sort()).toEqual([...expected.keys()].sort());
    for (const [subject, events] of expected)
      expect(bySubject.get(subject)).toMatchObject(
        events.map(({ record, event }) => ({
          partition: String(record.partition),
          time: new Date(record.recordedAt).toISOString(),
          sequence: String(record.version),
          type: event.type,
          data: event.data,
        })),
      );
  }, 120_000);
});

const printedLine = /^(\d+):\d+ (\S+) (\S+) (\d+) (\S+) (\{.*\})$/;
