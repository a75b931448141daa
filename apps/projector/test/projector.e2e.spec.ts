import { fork, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { evolve, unstarted, type Service } from '#domain';
import { advance, encode, unwritten, type DomainEvent, type Head, type NewRecord, type ServiceEvent } from '#events';
import { EmbeddedEventLog } from '#event-log/embedded';
import { EmbeddedReadModel } from '#read-model/embedded';
import { newSeed, Random } from '../src/testing/random.js';

const PROGRAM = resolve('dist/apps/projector/src/main.js');
const TENANT = '1';
const PARTITIONS = 3;
const LOOK_AGAIN_MS = 10;
const CASE_TIMEOUT_MS = 120_000;

let directory: string;
let log: EmbeddedEventLog | undefined;
let views: EmbeddedReadModel | undefined;
let processes: ChildProcess[];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'projector-'));
  processes = [];
});

afterEach(async () => {
  for (const child of processes) {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
  }
  await log?.close();
  await views?.close();
  log = views = undefined;
  await rm(directory, { recursive: true });
});

const environment = (more: Record<string, string> = {}) => ({
  PATH: process.env['PATH'],
  CS_DATA_DIR: directory,
  CS_HTTP_PORT: '0',
  ...more,
});

const openViews = (): Promise<EmbeddedReadModel> =>
  EmbeddedReadModel.open({ directory, readOnly: true, patienceMs: CASE_TIMEOUT_MS });

interface Program {
  readonly child: ChildProcess;
  readonly output: () => string;
  readonly errors: () => string;
}

function run(more?: Record<string, string>): Program {
  return observed(spawn(process.execPath, [PROGRAM], { env: environment(more), stdio: ['ignore', 'pipe', 'pipe'] }));
}

function observed(child: ChildProcess): Program {
  processes.push(child);
  let output = '';
  let errors = '';
  child.stdout?.on('data', (chunk: Buffer) => (output += chunk.toString()));
  child.stderr?.on('data', (chunk: Buffer) => (errors += chunk.toString()));
  return { child, output: () => output, errors: () => errors };
}

/** Looks again and again; the case's own time limit ends it. */
async function eventually<T>(look: () => Promise<T | undefined> | T | undefined): Promise<T> {
  for (;;) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
    await sleep(LOOK_AGAIN_MS);
  }
}

const addressOf = (program: Program): Promise<string> =>
  eventually(() => /"address":"([^"]+)"/.exec(program.output())?.[1]);

const exitOf = async (child: ChildProcess): Promise<number | string | null> =>
  child.exitCode ??
  child.signalCode ??
  ((await once(child, 'exit')) as [number | null, string | null]).find((x) => x !== null) ??
  null;

/** The log's only writer, as the api is; and what the valid records of each stream fold to. */
class Recorder {
  readonly services = new Map<string, { head: Head; service: Service }>();

  private constructor(private readonly log: EmbeddedEventLog) {}

  static async open(onCommit?: () => void): Promise<Recorder> {
    log = await EmbeddedEventLog.open({ directory, partitions: PARTITIONS, ...(onCommit && { onCommit }) });
    await log.follow([], () => undefined);
    return new Recorder(log);
  }

  async record(stream: string, event: ServiceEvent): Promise<void> {
    const { head, service } = this.services.get(stream) ?? { head: unwritten, service: unstarted };
    const record: NewRecord = {
      ...encode(event as DomainEvent),
      eventId: `${stream}-${head.version + 1}`,
      tenant: TENANT,
      stream,
      partition: Number(stream[0]),
      version: head.version + 1,
      epoch: 0,
      correlationId: 'a-call',
    };
    const verdict = await this.log.append(record, head);
    if (verdict.outcome !== 'accepted') throw new Error(`${stream}: ${verdict.reason}`);
    const recorded = { kind: 'event', ...record, ...verdict.position, recordedAt: verdict.recordedAt } as const;
    this.services.set(stream, {
      head: advance(head, recorded),
      service: evolve(service, { event, record: recorded }),
    });
  }

  async start(stream: string): Promise<void> {
    await this.record(stream, {
      type: 'ServiceStarted',
      data: { service_id: stream, timestamp: '2026-01-01T00:00:00.000Z' },
    });
  }

  async update(stream: string, session_id: string): Promise<void> {
    await this.record(stream, { type: 'ServiceUpdated', data: { service_id: stream, session_id } });
  }

  /** Every row shows every valid record. */
  async projected(): Promise<void> {
    views ??= await openViews();
    const { length } = await eventually(async () => {
      const rows = await Promise.all(
        [...this.services].map(async ([stream, { head }]) => {
          const row = await views!.find({ tenant: TENANT, stream });
          return row?.head.version === head.version ? row : undefined;
        }),
      );
      return rows.every((row) => row !== undefined) ? rows : undefined;
    });
    expect(length).toBe(this.services.size);
    for (const [stream, { head, service }] of this.services) {
      expect(await views.find({ tenant: TENANT, stream })).toMatchObject({
        head,
        aggregate: { kind: 'service', service },
      });
    }
  }
}

describe('the projector as a process', () => {
  it(
    'is alive but not ready until there is a log, projects it, and ends with 0 on SIGTERM',
    async () => {
      const program = run();
      const address = await addressOf(program);
      expect((await fetch(`${address}/health/live`)).status).toBe(200);
      expect((await fetch(`${address}/health/ready`)).status).toBe(503);

      const recorder = await Recorder.open();
      await recorder.start('0-1');
      await recorder.projected();
      await eventually(async () => (await fetch(`${address}/health/ready`)).ok || undefined);
      const metrics = await (await fetch(`${address}/metrics`)).text();
      expect(metrics).toContain('cs_projected_records_total{type="ServiceStarted"} 1');
      expect(metrics).toContain('cs_projector_lag_records{partition="0"} 0');

      program.child.kill('SIGTERM');
      expect(await exitOf(program.child)).toBe(0);
    },
    CASE_TIMEOUT_MS,
  );

  it(
    'ends with 0 on SIGTERM while it waits for a log',
    async () => {
      const program = run();
      await addressOf(program);
      program.child.kill('SIGTERM');
      expect(await exitOf(program.child)).toBe(0);
    },
    CASE_TIMEOUT_MS,
  );

  it(
    'shows every record after it was killed again and again',
    async () => {
      const seed = newSeed();
      const random = new Random(seed);
      const recorder = await Recorder.open();
      const streams = Array.from({ length: 12 }, (_, n) => `${n % PARTITIONS}-${n}`);
      for (const stream of streams) await recorder.start(stream);
      const placeOf = async (): Promise<number> =>
        (await views!.checkpoints()).reduce((sum, { next }) => sum + next, 0);
      for (let round = 0; round < 3; round += 1) {
        const { child } = run();
        views ??= await openViews();
        const before = await placeOf();
        await recorder.update(random.pick(streams), `session ${round}`);
        await eventually(async () => (await placeOf()) > before || undefined);
        const records = Array.from({ length: random.below(100) }, (_, n) => `session ${round}-${n}`);
        for (const session of records) await recorder.update(random.pick(streams), session);
        child.kill('SIGKILL');
        expect([seed, await exitOf(child)]).toEqual([seed, 'SIGKILL']);
      }
      run();
      await recorder.projected();
    },
    CASE_TIMEOUT_MS,
  );

  it(
    'ends with the process that forked it',
    async () => {
      const child = fork(PROGRAM, { env: environment(), stdio: ['ignore', 'pipe', 'pipe', 'ipc'] });
      await addressOf(observed(child));
      child.disconnect();
      expect(await exitOf(child)).toBe(0);
    },
    CASE_TIMEOUT_MS,
  );

  it.each([
    ['a bad value', { CS_STREAMS_AT_ONCE: '0' }, /^CS_STREAMS_AT_ONCE=0: .*\n$/],
    ['an unknown name', { CS_STREAMS: '1' }, /^CS_STREAMS: unknown option.*\n$/],
  ])(
    'refuses %s of an option in one line',
    async (_, more, line) => {
      const program = run(more);
      expect(await exitOf(program.child)).toBe(1);
      await eventually(() => program.errors() || undefined);
      expect(program.errors()).toMatch(line);
    },
    CASE_TIMEOUT_MS,
  );

  it(
    'refuses a folder on which another projector works',
    async () => {
      await Recorder.open();
      await addressOf(run());
      views = await openViews();
      const second = run();
      expect(await exitOf(second.child)).toBe(1);
      expect(second.errors()).toMatch(/^another process writes the read model.*\n$/);
    },
    CASE_TIMEOUT_MS,
  );
});

describe('the projector as a thread', () => {
  const begin = (): Worker => new Worker(PROGRAM, { env: environment({ CS_LOG_LEVEL: 'silent' }) });

  it(
    'is woken by a message, tells its metrics, and ends when told to',
    async () => {
      const worker = begin();
      const messages: unknown[] = [];
      worker.on('message', (message) => messages.push(message));
      const recorder = await Recorder.open(() => worker.postMessage('committed'));
      await recorder.start('0-1');
      await recorder.projected();

      worker.postMessage('metrics');
      await eventually(() =>
        messages.find((message) => typeof message === 'object' && message !== null && 'metrics' in message),
      );

      worker.postMessage('stop');
      expect(await once(worker, 'exit')).toEqual([0]);
    },
    CASE_TIMEOUT_MS,
  );

  it(
    'ends when told to while it waits for a log',
    async () => {
      const worker = begin();
      await once(worker, 'online');
      worker.postMessage('stop');
      expect(await once(worker, 'exit')).toEqual([0]);
    },
    CASE_TIMEOUT_MS,
  );

  it(
    'tells why its start is refused',
    async () => {
      const first = begin();
      views = await openViews();
      const [error] = (await once(begin(), 'error')) as [Error];
      expect(error.message).toContain('another process writes the read model');
      first.postMessage('stop');
      expect(await once(first, 'exit')).toEqual([0]);
    },
    CASE_TIMEOUT_MS,
  );
});
