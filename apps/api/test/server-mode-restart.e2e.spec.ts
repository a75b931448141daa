import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { request, type IncomingMessage } from 'node:http';
import path from 'node:path';
import type { Mode } from '#events';
import type { LogRecord } from '#event-log';
import { EmbeddedEventLog } from '#event-log/embedded';
import { violations } from './mode-checker.js';
import { Recorder } from './mode-history.js';
import { Program, describeOn, leave, newPlace, until, type Place } from './processes.js';
import { validControlEvents } from './valid-events.js';

const DRAIN_MS = 3_000;
/** Besides what is under way nothing has to be waited for: there is one process, and its fences are its own commit. */
const LIMIT_MS = DRAIN_MS + 5_000;
const IDLE_SWITCHES = 20;
const IDLE_SWITCH_MS = 1_000;
/** Together more than sockets hold, so that a caller that does not read keeps its answer under way. */
const LARGE_SERVICES = 24;
const LARGE_EXTENSION = 'x'.repeat(900 * 1024);

const otherThan = (mode: Mode): Mode => (mode === 'production' ? 'maintenance' : 'production');

describeOn('embedded', 'the mode of a server that is killed', () => {
  let place: Place;
  let api: Program;
  let mode: Mode = 'production';
  const recorder = new Recorder();
  let cases = 0;

  const start = async (): Promise<Program> => {
    const env = { CS_PROJECTOR_INSIDE: 'true', CS_MODE_DATA_DRAIN_TIMEOUT_MS: String(DRAIN_MS) };
    return (await Program.start('api', place, env)).ready();
  };
  const kill = async (): Promise<void> => {
    recorder.killed.add(api.origin);
    await api.end('SIGKILL');
  };

  beforeAll(async () => {
    place = newPlace('embedded');
    api = await start();
  }, 60_000);

  afterEach(() => {
    cases += 1;
  });

  afterAll(async () => {
    await api.end();
    leave(place);
    process.stdout.write(
      `suite: ServerMode, adapter: embedded, partitions: ${place.partitions}, processes: 1, cases: ${cases}\n`,
    );
  });

  const startService = (body: object = { contact_key: 'mode' }) =>
    recorder.ask(api, { kind: 'change', correlationId: randomUUID() }, 'POST', 'services/start', body);
  const requestMode = (to: Mode) =>
    recorder.ask(api, { kind: 'switch', correlationId: randomUUID(), to }, 'POST', 'server/mode', { mode: to });

  const status = () => recorder.ask(api, { kind: 'status', correlationId: randomUUID() }, 'GET', 'server/status');

  async function switchTo(to: Mode): Promise<number> {
    const began = performance.now();
    expect((await requestMode(to))?.status).toBe(200);
    mode = to;
    return performance.now() - began;
  }

  /** The status says so, and services can be started or not. */
  async function expectMode(expected: Mode): Promise<void> {
    expect((await status())?.body).toMatchObject({ mode: expected });
    mode = expected;
    expect((await startService())?.status).toBe(mode === 'production' ? 201 : 503);
  }

  /** Resolves when it says so once more than until now. */
  function saysAgain(text: string): Promise<void> {
    const saidBefore = api.output.split(text).length;
    return until(`it says: ${text}`, () => api.output.split(text).length > saidBefore);
  }

  /** A list that is on its way to a caller who does not read it. */
  async function unreadList(): Promise<IncomingMessage> {
    for (let number = 0; number < LARGE_SERVICES; number++)
      expect((await startService({ customer_id: 'large', Large: LARGE_EXTENSION }))?.status).toBe(201);
    const asked = request(`${api.origin}/genesys/1/cs/customers/large/services?extensions=*`, { agent: false }).end();
    asked.on('error', () => undefined);
    const [answer] = (await once(asked, 'response')) as [IncomingMessage];
    answer.on('error', () => undefined);
    expect(answer.statusCode).toBe(200);
    return answer;
  }

  it('switches at once when nothing is under way', async () => {
    const durations: number[] = [];
    for (let number = 0; number < IDLE_SWITCHES; number++) durations.push(await switchTo(otherThan(mode)));
    durations.sort((a, b) => a - b);
    process.stdout.write(`idle switches, embedded, ms: ${durations.map(Math.round).join(' ')}\n`);
    expect(durations[IDLE_SWITCHES / 2]).toBeLessThan(IDLE_SWITCH_MS);
  }, 60_000);

  it('keeps mode and metadata when it is killed', async () => {
    await switchTo('maintenance');
    const attribute = { display_name: 'Media', description: '', values: [{ name: 'voice', display_name: 'Voice' }] };
    const route = 'metadata/business-attributes/KeptMedia';
    const put = recorder.ask(api, { kind: 'schema', correlationId: randomUUID() }, 'PUT', route, attribute);
    expect((await put)?.status).toBe(201);
    const kept = async (): Promise<string> => (await fetch(`${api.origin}/genesys/1/cs/${route}`)).text();
    const before = await kept();
    await kill();
    api = await start();
    await expectMode('maintenance');
    expect(await kept()).toBe(before);
    expect(before).toContain('"voice"');
  }, 60_000);

  it('waits for a call that is under way up to the limit, and no longer', async () => {
    await switchTo('production');
    const answer = await unreadList();
    const ms = await switchTo('maintenance');
    expect(ms).toBeGreaterThanOrEqual(DRAIN_MS);
    answer.destroy();
    await switchTo('production');
  }, 60_000);

  it('completes the switch that was under way when it was killed', async () => {
    const answer = await unreadList();
    const begun = saysAgain('the gate is closed');
    const switched = requestMode('maintenance');
    await begun;
    await kill();
    answer.destroy();
    expect(await switched).toBeUndefined();
    api = await start();
    await until('it is in maintenance', () => api.output.includes('complete, the gate is open'));
    await expectMode('maintenance');
    await switchTo('production');
  }, 60_000);

  it.each([
    'the gate is closed',
    'no call is under way here',
    'every live process has drained',
    'every partition is fenced',
    'complete, the gate is open',
  ])(
    'is switched when it was killed about when it said that %s',
    async (said) => {
      const target = otherThan(mode);
      const earlier = api.output.split(said).length;
      const switched = requestMode(target);
      await until('it said so', () => api.output.split(said).length > earlier);
      await kill();
      const wasAnswered = (await switched)?.status === 200;
      api = await start();
      const status = (): Promise<Response> => fetch(`${api.origin}/genesys/1/cs/server/status`);
      await until('no switch is under way', async () => (await status()).status === 200);
      const found = ((await (await status()).json()) as { mode: Mode }).mode;
      // What was said is recorded before: the switch has begun.
      expect(found).toBe(target);
      expect(wasAnswered && found !== target).toBe(false);
      await expectMode(found);
    },
    60_000,
  );

  it('has kept every promise in all of this', async () => {
    await api.end('SIGTERM');
    const services = await recordsIn(place.directory, place.partitions);
    const control = await recordsIn(path.join(place.directory, 'control'), 1);
    const { asked, pauses, killed } = recorder;
    const { partitions } = place;
    expect(violations({ asked, pauses, killed, services, control, partitions, limitMs: LIMIT_MS })).toEqual([]);
    const initialized = validControlEvents(control).filter(({ event }) => event.type === 'MetadataInitialized');
    expect(initialized).toHaveLength(1);
  }, 60_000);
});

/** Everything in a log that no process has open. */
async function recordsIn(directory: string, partitions: number): Promise<readonly LogRecord[]> {
  const log = await EmbeddedEventLog.open({ directory, partitions });
  try {
    const records: LogRecord[] = [];
    await log.follow([], (record) => records.push(record));
    return records;
  } finally {
    await log.close();
  }
}
