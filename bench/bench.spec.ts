import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { evolve, unstarted, type Service } from '#domain';
import { advance, open, unwritten } from '#events';
import { judge } from '#event-log';
import { CALLS, conversation, type Call } from './conversation.js';
import { goals } from './goals.js';
import { History } from './history.js';
import { Latencies } from './latencies.js';
import { EMBEDDED, EMMETT } from './peers.js';
import { cpuSeconds, cpuSecondsOfFamily } from './processes.js';

const ids = { service_id: '1-s', state_id: 'st', task_id: 't' };

function all(isRead?: boolean): readonly Call[] {
  const calls = conversation('c', isRead);
  const found: Call[] = [];
  for (let next = calls.next(); !next.done; next = calls.next(ids)) found.push(next.value);
  return found;
}

describe('the conversation', () => {
  it('has the calls of the published load', () => {
    const calls = all();
    const count = (kind: Call['kind']): number => calls.filter((call) => call.kind === kind).length;
    expect(calls).toHaveLength(CALLS);
    expect([count('start service'), count('start state'), count('start task'), count('get service')]).toEqual([
      1, 5, 10, 1,
    ]);
    expect([count('end service'), count('end state'), count('end task')]).toEqual([1, 5, 10]);
    expect(all(false)).toHaveLength(CALLS - 1);
  });

  it('brings about 10 kB', () => {
    const bytes = all().reduce((sum, { body }) => sum + Buffer.byteLength(body ?? ''), 0);
    expect(bytes).toBeGreaterThan(9_000);
    expect(bytes).toBeLessThan(12_000);
  });
});

describe('a history', () => {
  it('is valid, and has what the conversation says', () => {
    const history = new History(4);
    let head = unwritten;
    let service: Service = unstarted;
    const records = [...history.conversation('c')].map((record, offset) => ({
      ...record,
      kind: 'event' as const,
      offset,
      recordedAt: Date.now(),
    }));
    for (const record of records) {
      expect(judge(record, head, 0)).toEqual({ valid: true });
      head = advance(head, record);
      const { event } = open(record);
      if (event.type !== 'ServiceClaimed') service = evolve(service, { event, record });
    }
    expect(records).toHaveLength(CALLS - 1);
    expect(service.status).toBe('completed');
  });
});

describe('latencies', () => {
  it('are told by kind and together, in ms', () => {
    const latencies = new Latencies();
    for (let ms = 1; ms <= 100; ms++) latencies.add(ms % 2 ? 'odd' : 'even', ms);
    expect(latencies.of()).toMatchObject({ count: 100, p50: expect.closeTo(50, 0), max: expect.closeTo(100, 0) });
    expect(latencies.byKind()['odd']).toMatchObject({ count: 50, p99: expect.closeTo(99, 0) });
    expect(latencies.of(() => false)).toBeUndefined();
  });
});

describe('a goal', () => {
  it('is neither reached nor missed when it was not measured', () => {
    const none = goals({ machine: {}, settings: {}, scenario: {}, commandPath: {}, projector: {}, growth: {} });
    expect(none.map(({ reached }) => reached)).toEqual(none.map(() => undefined));
  });

  it('is told with what was measured', () => {
    const round = (requestsPerSecond: number) => [{ requestsPerSecond, cpuPerRequest: 1, errors: 0 }];
    const found = goals({
      machine: {},
      settings: {},
      scenario: {},
      commandPath: { distributed: { api: round(59), 'fastify-kafka': round(100) } },
      projector: { embedded: [{ events: 1, eventsPerSecond: 20_000 }] },
      growth: {},
      peers: { rounds: { [EMBEDDED]: round(4_000), [EMMETT]: round(1_000) }, settings: {} },
    });
    expect(found.filter(({ reached }) => reached !== undefined)).toEqual([
      { goal: expect.stringContaining('command path'), measured: '0.59', reached: false },
      { goal: expect.stringContaining('Emmett'), measured: '4.00', reached: true },
      { goal: expect.stringContaining('replay'), measured: '20000', reached: true },
    ]);
  });
});

it('CPU of a process grows while it works', () => {
  const before = cpuSeconds(process.pid);
  while (cpuSeconds(process.pid) - before < 0.05);
  expect(cpuSeconds(process.pid)).toBeGreaterThan(before);
});

it('CPU of a family has that of the children', async () => {
  const child = spawn(process.execPath, ['-e', 'for (;;);']);
  const ofChildren = (): number => cpuSecondsOfFamily(process.pid) - cpuSeconds(process.pid);
  const before = ofChildren();
  while (ofChildren() - before < 0.05);
  child.kill();
  await once(child, 'exit');
  expect(cpuSecondsOfFamily(process.pid)).toBeGreaterThan(cpuSeconds(process.pid));
});
