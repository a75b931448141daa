import { randomUUID } from 'node:crypto';
import type { Mode } from '#events';
import { kill, start as startBroker } from '../../../tools/brokers/brokers.mjs';
import { KafkaProxy } from '../../../tools/brokers/kafka-proxy.mjs';
import { Random } from '../../../simulation/random.js';
import { violations } from './mode-checker.js';
import { Recorder } from './mode-history.js';
import { Traffic } from './mode-traffic.js';
import type { LogRecord } from '#event-log';
import { Program, describeOn, leave, newPlace, until, type Answered, type Place } from './processes.js';
import { readRecords, validControlEvents, validEvents } from './valid-events.js';

const LEASE_MS = 2_000;
const DRAIN_MS = 3_000;
const LOG_PATIENCE_MS = 5_000;
/** What a switch gives processes to say that they have drained, beyond the time for it. */
const DRAIN_GRACE_MS = 2_000;
/** Whoever asks waits for the calls that are under way, for leases that run out, and for the fences. */
const LIMIT_MS = DRAIN_MS + DRAIN_GRACE_MS + LEASE_MS + LOG_PATIENCE_MS;

const limits = {
  CS_LEASE_MS: String(LEASE_MS),
  CS_MODE_DATA_DRAIN_TIMEOUT_MS: String(DRAIN_MS),
  CS_MODE_SCHEMA_DRAIN_TIMEOUT_MS: String(DRAIN_MS),
  CS_APPEND_TIMEOUT_MS: String(LOG_PATIENCE_MS),
  CS_BARRIER_TIMEOUT_MS: String(LOG_PATIENCE_MS),
  CS_ROW_PATIENCE_MS: String(LOG_PATIENCE_MS),
};

const SWITCHES = 20;
const CALLERS_OF_EACH_PROCESS = 3;
/** So many changes succeed in each time of production. */
const CHANGES_BETWEEN_SWITCHES = 20;
/** And so many of metadata in each time of maintenance. */
const DEFINITIONS_BETWEEN_SWITCHES = 5;
const TWO_AT_ONCE = 0.3;

const otherThan = (mode: Mode): Mode => (mode === 'production' ? 'maintenance' : 'production');

/** Where the process that switches is caught: its request to this topic that contains this text is kept back. */
interface Step {
  readonly step: string;
  readonly topic: 'services' | 'control';
  readonly text: string;
}

const asked: Step = { step: 'has only been asked', topic: 'control', text: 'ModeSwitchStarted' };
const begun: Step = { step: 'has begun', topic: 'control', text: 'ProcessDrained' };
const drained: Step = { step: 'has seen that all have drained', topic: 'services', text: 'fence' };
const dataFenced: Step = { step: 'has fenced the data', topic: 'control', text: 'fence' };
const fenced: Step = { step: 'has fenced everything', topic: 'control', text: 'ModeSwitched' };

const seed = Number(process.env['CS_TEST_SEED'] ?? Date.now() % 2 ** 31);

describeOn('distributed', 'the mode of three processes', () => {
  let place: Place;
  let proxy: KafkaProxy;
  /** Talks to Kafka through the proxy. */
  let one: Program;
  let two: Program;
  let three: Program;
  const programs = new Set<Program>();
  const recorder = new Recorder();
  const random = new Random(seed);
  let mode: Mode = 'production';
  /** Of the last switch. */
  let position = '';
  let cases = 0;

  const start = async (name: Program['name'], env: Record<string, string> = {}) => {
    const program = await Program.start(name, place, { ...limits, ...env });
    programs.add(program);
    return program;
  };
  const startBehindProxy = () => start('api', { CS_KAFKA_BROKERS: proxy.address });

  beforeAll(async () => {
    process.stdout.write(`seed: ${seed}\n`);
    place = newPlace('distributed');
    proxy = await KafkaProxy.start(process.env.CS_TEST_KAFKA_PROXIED!);
    [one, two, three] = await Promise.all([startBehindProxy(), start('api'), start('api')]);
    const projectors = await Promise.all([start('projector'), start('projector')]);
    await Promise.all([one, two, three, ...projectors].map((program) => program.ready()));
  }, 120_000);

  afterEach(() => {
    cases += 1;
    proxy.heal();
  });

  afterAll(async () => {
    await Promise.all([...programs].map((program) => program.end()));
    await proxy?.close();
    leave(place);
    process.stdout.write(
      `suite: ServerMode, adapter: distributed, partitions: ${place.partitions}, processes: 5, cases: ${cases}\n`,
    );
  });

  const ask = (api: Program, method: string, route: string, body?: unknown, kind: 'change' | 'read' = 'change') =>
    recorder.ask(api, { kind, correlationId: randomUUID() }, method, route, body);
  const startService = (api: Program) => ask(api, 'POST', 'services/start', { contact_key: 'mode' });
  const readService = (api: Program) => ask(api, 'GET', 'services/0-unknown', undefined, 'read');

  /** With the position of the last switch: a process that has not heard of that one yet catches up first. */
  async function requestMode(api: Program, to: Mode): Promise<Answered | undefined> {
    const about = { kind: 'switch', correlationId: randomUUID(), to } as const;
    const headers: Record<string, string> = position === '' ? {} : { 'x-cs-position': position };
    const answer = await recorder.ask(api, about, 'POST', 'server/mode', { mode: to }, headers);
    if (answer?.status === 200) position = answer.headers.get('x-cs-position')!;
    return answer;
  }

  /**
   * Switches by one of these processes, asked at once, and returns how long the answer took, ms. Who is refused asks
   * again: on a machine that is very busy a process can be late with its lease.
   */
  async function switchTo(to: Mode, ...apis: Program[]): Promise<number> {
    let ms = 0;
    await until(`the mode is ${to}`, async () => {
      const began = performance.now();
      const answers = await Promise.all(apis.map((api) => requestMode(api, to)));
      ms = performance.now() - began;
      return answers.some((answer) => answer?.status === 200);
    });
    mode = to;
    return ms;
  }

  /** What the process says of itself; undefined while its gate is closed. */
  async function modeOf(api: Program): Promise<Mode | undefined> {
    const answer = await recorder.ask(api, { kind: 'status', correlationId: randomUUID() }, 'GET', 'server/status');
    return answer?.status === 200 ? (answer.body as unknown as { mode: Mode }).mode : undefined;
  }

  /** No data in maintenance, whoever is asked. */
  async function expectNoData(apis: readonly Program[]): Promise<void> {
    const answers = await Promise.all(apis.flatMap((api) => [startService(api), readService(api)]));
    expect(answers.map((answer) => answer?.status)).toEqual(answers.map(() => 503));
  }

  const serves = async (api: Program): Promise<boolean> => (await startService(api))?.status === 201;

  const areIn = async (expected: Mode, apis: readonly Program[]): Promise<boolean> =>
    (await Promise.all(apis.map(modeOf))).every((found) => found === expected);

  /** All know the mode, and do what it allows. */
  async function expectAllIn(expected: Mode, apis: readonly Program[]): Promise<void> {
    await until(`all are in ${expected}`, () => areIn(expected, apis));
    mode = expected;
    if (mode === 'maintenance') await expectNoData(apis);
    else await until('all serve', async () => (await Promise.all(apis.map(serves))).every(Boolean));
  }

  const holdAt = ({ topic, text }: Step) => proxy.hold(`${place.topicPrefix}.${topic}`, text);

  /** This process will not answer any more. */
  async function killHard(api: Program): Promise<void> {
    recorder.killed.add(api.origin);
    await api.end('SIGKILL');
    programs.delete(api);
  }

  async function history() {
    const [services, control] = await Promise.all([readRecords(place, 'services'), readRecords(place, 'control')]);
    const { asked, pauses, killed } = recorder;
    return { asked, pauses, killed, services, control, partitions: place.partitions, limitMs: LIMIT_MS };
  }

  it(`keeps its promises in ${SWITCHES} switches under load`, async () => {
    const apis = [one, two, three];
    const traffic = new Traffic(recorder, apis, CALLERS_OF_EACH_PROCESS, seed);
    const durations: number[] = [];
    try {
      for (let number = 0; number < SWITCHES; number++) {
        const { changed, defined } = traffic;
        await until('changes are accepted', () =>
          mode === 'production'
            ? traffic.changed >= changed + CHANGES_BETWEEN_SWITCHES
            : traffic.defined >= defined + DEFINITIONS_BETWEEN_SWITCHES,
        );
        const target = otherThan(mode);
        const asking = [...apis].sort(() => random.fraction() - 0.5).slice(0, random.chance(TWO_AT_ONCE) ? 2 : 1);
        durations.push(await switchTo(target, ...asking));
        traffic.switched();
        if (mode === 'maintenance') await expectNoData(apis);
      }
    } finally {
      await traffic.end();
    }
    process.stdout.write(
      `switches under load, ms: ${inOrder(durations)}; ${traffic.changed} changes, ${traffic.defined} of metadata\n`,
    );
    const all = await history();
    expect(violations(all)).toEqual([]);
    const switched = validControlEvents(all.control).filter(({ event }) => event.type === 'ModeSwitched');
    expect(switched).toHaveLength(SWITCHES);
    expect(traffic.changed).toBeGreaterThan((SWITCHES / 2) * CHANGES_BETWEEN_SWITCHES);
  }, 120_000);

  it('switches fast when nothing is under way', async () => {
    const durations: number[] = [];
    for (let number = 0; number < SWITCHES; number++)
      durations.push(await switchTo(otherThan(mode), random.pick([one, two, three])));
    process.stdout.write(`idle switches, ms: ${inOrder(durations)}\n`);
    expect(median(durations)).toBeLessThan(LEASE_MS);
  }, 60_000);

  it('waits for the calls that are under way in another process', async () => {
    if (mode === 'maintenance') await switchTo('production', two);
    await expectAllIn('production', [one, two, three]);
    const correlationId = randomUUID();
    const held = proxy.hold(`${place.topicPrefix}.services`, correlationId);
    const body = { contact_key: 'slow' };
    const slow = recorder.ask(one, { kind: 'change', correlationId }, 'POST', 'services/start', body);
    await held.reached;
    const switched = requestMode(two, 'maintenance');
    await until('all are closed', async () => (await Promise.all([one, two, three].map(modeOf))).every((is) => !is));
    const control = await readRecords(place, 'control');
    expect(validControlEvents(control).at(-1)?.event.type).not.toBe('ModeSwitched');
    held.release();
    expect((await slow)?.status).toBe(201);
    expect((await switched)?.status).toBe(200);
    await expectAllIn('maintenance', [one, two, three]);
    await switchTo('production', one);
    await expectAllIn('production', [one, two, three]);
  }, 60_000);

  it('does not wait for a process that hangs, whose calls come too late', async () => {
    const traffic = new Traffic(recorder, [one, two, three], CALLERS_OF_EACH_PROCESS, seed + 1);
    const services = `${place.topicPrefix}.services`;
    try {
      await until('changes are accepted', () => traffic.changed >= CHANGES_BETWEEN_SWITCHES);
      const [late, queued] = [randomUUID(), randomUUID()];
      const held = proxy.hold(services, late);
      const askLate = (correlationId: string) =>
        recorder.ask(one, { kind: 'change', correlationId }, 'POST', 'services/start', { contact_key: 'late' });
      const lateAnswers = await recorder.whilePaused(one.origin, async () => {
        const first = askLate(late);
        await held.reached;
        // It has been let in, and waits for a marker behind the record that is kept back.
        const read = readService(one);
        await until('it has', async () => (await modeOf(one)) === 'production');
        one.signal('SIGSTOP');
        // These wait in the socket.
        const queuedAnswers = [askLate(queued), readService(one)];
        const ms = await switchTo('maintenance', two);
        process.stdout.write(`switch with a process that hangs, ms: ${Math.round(ms)}\n`);
        expect(ms).toBeLessThan(DRAIN_MS + DRAIN_GRACE_MS);
        traffic.switched();
        await expectNoData([two, three]);
        // What the process had sent arrives only now.
        held.release();
        await until('the late record is in the log', async () =>
          (await readRecords(place, 'services')).some(
            (record) => record.kind === 'event' && record.correlationId === late,
          ),
        );
        one.signal('SIGCONT');
        return Promise.all([first, read, ...queuedAnswers]);
      });
      expect(lateAnswers.map((answer) => answer?.status)).toEqual([503, 503, 503, 503]);
      const records = await readRecords(place, 'services');
      expect(validEvents(records).some(({ record }) => record.correlationId === late)).toBe(false);
      await until('it knows the mode', async () => (await modeOf(one)) === 'maintenance');
      await expectNoData([one]);
      await switchTo('production', one);
      traffic.switched();
      const before = traffic.changed;
      await until('changes are accepted', () => traffic.changed >= before + CHANGES_BETWEEN_SWITCHES);
      await until('it serves', () => serves(one));
    } finally {
      one.signal('SIGCONT');
      await traffic.end();
    }
    expect(violations(await history())).toEqual([]);
  }, 90_000);

  it.each([asked, begun, drained, dataFenced, fenced])(
    'is switched by others when the process that $step is killed',
    async (step) => {
      const target = otherThan(mode);
      const held = holdAt(step);
      const answer = requestMode(one, target);
      await held.reached;
      await killHard(one);
      expect(await answer).toBeUndefined();
      proxy.heal();
      const expected = step === asked ? mode : target;
      await until('the others have completed it', () => areIn(expected, [two, three]), LIMIT_MS);
      one = await (await startBehindProxy()).ready();
      await expectAllIn(expected, [one, two, three]);
    },
    60_000,
  );

  it('is switched by others when the process that asked lives and cannot complete it', async () => {
    const target = otherThan(mode);
    const held = holdAt(drained);
    await recorder.whilePaused(undefined, async () => {
      const answer = requestMode(one, target);
      await held.reached;
      await expectAllIn(target, [one, two, three]);
      expect((await answer)?.status).toBe(200);
    });
    held.release();
    await expectAllIn(target, [one, two, three]);
  }, 60_000);

  it('stays switched when the process is killed that has completed it and not answered', async () => {
    const target = otherThan(mode);
    const held = holdAt(fenced);
    const answer = requestMode(one, target);
    await held.reached;
    one.signal('SIGSTOP');
    held.release();
    await until('the mode is open', () => areIn(target, [two, three]));
    await killHard(one);
    expect(await answer).toBeUndefined();
    one = await (await startBehindProxy()).ready();
    await expectAllIn(target, [one, two, three]);
  }, 60_000);

  it.each([asked, drained, dataFenced, fenced])(
    'is not changed by what a process that $step does after the next switch',
    async (step) => {
      const target = otherThan(mode);
      const before = await readRecords(place, 'control');
      const epoch = 1 + validControlEvents(before).filter(({ event }) => event.type === 'ModeSwitched').length;
      const held = holdAt(step);
      await recorder.whilePaused(one.origin, async () => {
        const answer = requestMode(one, target);
        await held.reached;
        one.signal('SIGSTOP');
        try {
          if (step === asked) {
            // Nobody knows of it: another process switches, without waiting for one whose lease runs out.
            await switchTo(target, two);
          } else await until('the others have completed it', () => areIn(target, [two, three]));
          mode = target;
          await switchTo(otherThan(target), three);
          held.release();
          await until('the late record is in the log', async () =>
            comesLate(await readRecords(place, step.topic), step.text, epoch),
          );
        } finally {
          one.signal('SIGCONT');
        }
        await answer;
      });
      await expectAllIn(mode, [one, two, three]);
    },
    60_000,
  );

  it('is closed in a process that joins in the middle, which does not hold the switch up', async () => {
    const target = otherThan(mode);
    const held = holdAt(drained);
    const answer = requestMode(one, target);
    await held.reached;
    const four = await start('api');
    await until('it knows of the switch', () => four.output.includes('the gate is closed'));
    const refused = await recorder.ask(four, { kind: 'status', correlationId: randomUUID() }, 'GET', 'server/status');
    expect(refused?.body.exception).toMatch(/SwitchingException$|ServiceUnavailableException$/);
    held.release();
    expect((await answer)?.status).toBe(200);
    await four.ready();
    await expectAllIn(target, [one, two, three, four]);
    await four.end('SIGTERM');
    programs.delete(four);
  }, 60_000);

  it('is switched when the broker is restarted in the middle', async () => {
    const data = process.env.CS_TEST_BROKERS_DATA!;
    const target = otherThan(mode);
    const held = holdAt(drained);
    await recorder.whilePaused(undefined, async () => {
      const answer = requestMode(one, target);
      await held.reached;
      await kill('kafka', { data });
      held.release();
      await startBroker('kafka', { data });
      await expectAllIn(target, [one, two, three]);
      expect([200, 503]).toContain((await answer)?.status);
    });
  }, 120_000);

  it('is not served by a process that has lost its lease, until it has it again', async () => {
    if (mode === 'maintenance') await switchTo('production', two);
    await expectAllIn('production', [one, two, three]);
    const { service_id: id } = (await startService(one))!.body;
    const read = (kind: 'read' | 'status' = 'read') =>
      recorder.ask(
        one,
        { kind, correlationId: randomUUID() },
        'GET',
        kind === 'read' ? `services/${id}` : 'server/status',
      );
    await until('it is shown', async () => (await read())?.status === 200);
    proxy.unplug();
    const cutAt = Date.now();
    let lastServedAt = cutAt;
    await until('its gate is closed', async () => {
      const sentAt = Date.now();
      const answer = await read();
      if (answer?.status === 200) lastServedAt = sentAt;
      return answer?.status === 503;
    });
    expect(lastServedAt - cutAt).toBeLessThanOrEqual(LEASE_MS);
    expect((await read())?.body.exception).toMatch(/ServiceUnavailableException$/);
    expect((await read('status'))?.status).toBe(503);
    await until('it says so', async () => (await fetch(`${one.origin}/health/ready`)).status === 503);
    await switchTo('maintenance', two);
    await expectNoData([one, two, three]);
    proxy.heal();
    await one.ready();
    await expectAllIn('maintenance', [one, two, three]);
    await switchTo('production', one);
    await expectAllIn('production', [one, two, three]);
  }, 60_000);

  it('has kept every promise in all of this', async () => {
    expect(violations(await history())).toEqual([]);
  }, 60_000);
});

/** Whether a fence, or an event of this type, of this epoch stands behind a higher fence of its partition. */
function comesLate(records: readonly LogRecord[], what: string, epoch: number): boolean {
  const higher = new Map<number, number>();
  for (const record of records)
    if (record.kind === 'fence' && record.epoch > epoch)
      higher.set(record.partition, Math.min(record.offset, higher.get(record.partition) ?? record.offset));
  return records.some((record) => {
    const { partition, offset } = record;
    const isMeant =
      record.kind === 'fence' ? what === 'fence' && record.epoch === epoch : isModeEvent(record, what, epoch);
    return isMeant && offset > (higher.get(partition) ?? Number.POSITIVE_INFINITY);
  });
}

const isModeEvent = (record: LogRecord, type: string, epoch: number): boolean =>
  record.kind === 'event' && record.type === type && (JSON.parse(record.value) as { epoch?: number }).epoch === epoch;

const median = (durations: readonly number[]): number =>
  durations.toSorted((a, b) => a - b)[Math.floor(durations.length / 2)]!;

const inOrder = (durations: readonly number[]): string =>
  durations
    .toSorted((a, b) => a - b)
    .map(Math.round)
    .join(' ');
