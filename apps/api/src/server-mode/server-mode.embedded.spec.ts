import { jest } from '@jest/globals';
import type { LightMyRequestResponse } from 'fastify';
import { ApiOptions } from '../api.options.js';
import { Engine } from '../engine/engine.js';
import { switching } from '../services/command-path.js';
import { RunningApi } from '../testing/running-api.js';
import { routes } from '../testing/routes-by-mode.js';

const { basePath } = new ApiOptions();
const packageOfExceptions = 'com.genesyslab.gsg.services.contextservices.exceptions.';

const exceptionOf = (answer: LightMyRequestResponse): string =>
  answer.json<{ exception: string }>().exception.replace(packageOfExceptions, '');

/** Past the gate: whatever the answer is, it is not the gate's. An open mode switch would change the table's state. */
const asked = routes.filter(({ pattern }) => pattern !== 'server/mode');

let running: RunningApi;
beforeAll(async () => {
  running = await RunningApi.start();
});
afterAll(async () => {
  await running.stop();
  process.stdout.write(`suite: RoutesByMode, cases: ${routes.length}\n`);
});

const switchTo = (mode: string): Promise<LightMyRequestResponse> =>
  running.request('POST', 'server/mode', { payload: JSON.stringify({ mode }) });

/** Holds the switch to this mode open for the time of `work`, by a call in flight that it waits for. */
async function whileSwitchingTo(mode: 'production' | 'maintenance', work: () => Promise<void>): Promise<void> {
  const { gate, control } = running.api.app.get(Engine).running();
  const leave = gate.enter(mode === 'production' ? 'schema' : 'data');
  const begun = new Promise<void>((resolve) => {
    const unwatch = control.watch(() => {
      if (!control.serverMode.switching) return;
      unwatch();
      resolve();
    });
  });
  const answer = switchTo(mode);
  await begun;
  try {
    await work();
  } finally {
    leave();
    await answer;
  }
  expect((await answer).statusCode).toBe(200);
}

it('every route of the program is in the table, and no other', () => {
  const served = running.api.routes
    .all()
    .filter(({ method, pattern }) => method !== 'HEAD' && pattern.startsWith(`${basePath}/`))
    .map(({ method, pattern }) => `${method} ${pattern.slice(basePath.length + 1).replaceAll(/:\w+/g, ':')}`);
  const expected = routes.map(({ method, pattern }) => `${method} ${pattern.replaceAll(/:\w+/g, ':')}`);
  expect([...new Set(served)].sort()).toStrictEqual(expected.sort());
});

describe.each(['production', 'maintenance'] as const)('in %s', (mode) => {
  const queries = asked.filter(({ method, requirement }) => method === 'GET' && [mode, 'both'].includes(requirement));
  const other = mode === 'production' ? 'maintenance' : 'production';
  beforeAll(async () => expect((await switchTo(mode)).statusCode).toBe(200));

  it.each(asked)('$requirement: $method $pattern', async ({ requirement, method, path }) => {
    const answer = await running.request(method, path);
    const refused = requirement === other;
    if (!refused) return expect(answer.statusCode).not.toBe(503);
    expect(answer.statusCode).toBe(503);
    expect(exceptionOf(answer)).toBe('ModeException');
    expect(answer.json<{ message: string }>().message).toBe(
      `The method '${method} /${path}' is not available while the system is in '${mode}' mode.`,
    );
    expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0);
    expect(answer.headers['x-cs-outcome']).toBe(method === 'GET' ? undefined : 'not-applied');
  });

  it.each(queries)('GET $pattern is not answered when the gate has closed meanwhile', async ({ path }) => {
    const { gate } = running.api.app.get(Engine).running();
    const closed = jest.spyOn(gate, 'readmit').mockImplementation(() => {
      throw switching();
    });
    try {
      const answer = await running.request('GET', path);
      expect(answer.statusCode).toBe(503);
      expect(exceptionOf(answer)).toBe('SwitchingException');
    } finally {
      closed.mockRestore();
    }
  });

  it('the same mode again is answered at once, without a record', async () => {
    const { control } = running.api.app.get(Engine).running();
    const before = control.position;
    const answer = await switchTo(mode.toUpperCase());
    expect(answer.statusCode).toBe(200);
    expect(answer.json()).toStrictEqual({ 'server changed': mode });
    expect(control.position).toBe(before);
  });

  it('the status says it', async () => {
    const answer = await running.request('GET', 'server/status');
    expect(answer.json()).toMatchObject({ mode });
  });

  describe('switching to the other mode', () => {
    it('every route of the contract answers 503, all others answer, and the switch is completed', () =>
      whileSwitchingTo(other, async () => {
        for (const { requirement, method, path } of routes) {
          const answer = await running.request(method, path);
          if (requirement === 'always') expect(answer.statusCode).not.toBe(503);
          else {
            expect([method, path, answer.statusCode]).toStrictEqual([method, path, 503]);
            expect(exceptionOf(answer)).toBe('SwitchingException');
            expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0);
          }
        }
        expect((await running.request('GET', '/health/ready')).statusCode).toBe(200);
        expect((await running.request('GET', '/metrics')).body).toContain('cs_mode{mode="switching"} 1');
      }));

    it('is over then', async () => {
      const { control } = running.api.app.get(Engine).running();
      expect(control.serverMode).toMatchObject({ mode: other });
      expect(control.serverMode.switching).toBeUndefined();
    });
  });
});

describe('POST server/mode', () => {
  it('answers as the contract says', async () => {
    const answer = await switchTo('Maintenance');
    expect(answer.statusCode).toBe(200);
    expect(answer.body).toBe('{"server changed":"maintenance"}');
    expect(answer.headers['location']).toBe(`${basePath}/server/status`);
    expect(answer.headers['x-cs-position']).toMatch(/^c:\d+$/);
  });

  it.each([
    ['nothing', undefined],
    ['an empty object', '{}'],
    ['another mode', '{"mode":"off"}'],
    ['a number', '{"mode":1}'],
    ['null', '{"mode":null}'],
    ['a list', '["production"]'],
    ['broken JSON', '{"mode":'],
    ['a hostile name', '{"__proto__":{"mode":"production"}}'],
  ])('refuses %s with 400', async (_name, payload) => {
    const answer = await running.request('POST', 'server/mode', payload === undefined ? {} : { payload });
    expect(answer.statusCode).toBe(400);
  });

  it('a second one is refused while the first is under way', () =>
    whileSwitchingTo('production', async () => {
      expect((await switchTo('production')).statusCode).toBe(503);
      expect((await switchTo('maintenance')).statusCode).toBe(503);
    }));

  it('of many at once one switches, and none is told what is not so', async () => {
    const answers = await Promise.all(Array.from({ length: 8 }, () => switchTo('maintenance')));
    const statuses = answers.map(({ statusCode }) => statusCode);
    expect(statuses.filter((status) => status === 200).length).toBeGreaterThan(0);
    expect(statuses.every((status) => status === 200 || status === 503)).toBe(true);
    const status = await running.request('GET', 'server/status');
    expect(status.json()).toMatchObject({ mode: 'maintenance' });
  });
});

describe('GET server/status', () => {
  it('answers every field with its true value', async () => {
    const before = await running.request('GET', 'server/status');
    await running.request('GET', 'server/nothing');
    const answer = await running.request('GET', 'server/status');
    const counted = (one: LightMyRequestResponse) => one.json<{ request_today: number; client_errors_today: number }>();
    expect(counted(answer).request_today).toBe(counted(before).request_today + 2);
    expect(counted(answer).client_errors_today).toBe(counted(before).client_errors_today + 1);
    const status = answer.json<Record<string, unknown>>();
    expect(Object.keys(status)).toStrictEqual([
      'version',
      'mode',
      'system_time',
      'started',
      'last_request',
      'max_memory',
      'allocated_memory',
      'used_memory',
      'free_memory',
      'request_today',
      'client_errors_today',
      'server_errors_today',
    ]);
    const { max_memory, allocated_memory, used_memory, free_memory } = status as Record<string, number>;
    expect(max_memory).toBeGreaterThan(used_memory!);
    expect(Math.abs(allocated_memory! - used_memory! - free_memory!)).toBeLessThanOrEqual(2);
    for (const time of ['system_time', 'started', 'last_request'])
      expect(status[time]).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  });
});
