import { Logger as NestsOwn } from '@nestjs/common';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import { Counter } from 'prom-client';
import { createLogger, metricsText, NestLogger, OperationsModule, Readiness, registry, retryUntilUp } from './index.js';

const linesOf = (level: 'info' | 'debug' = 'info') => {
  const lines: Record<string, unknown>[] = [];
  const log = createLogger('spec', level, { write: (line: string) => void lines.push(JSON.parse(line)) });
  return { log, lines };
};

describe('the log', () => {
  it('is one JSON object per line with level, time and program', () => {
    const { log, lines } = linesOf();
    log.info({ stream: '1/5', version: 3 }, 'accepted');
    expect(lines).toEqual([
      expect.objectContaining({ level: 'info', program: 'spec', msg: 'accepted', stream: '1/5', version: 3 }),
    ]);
    expect(String(lines[0]?.['time'])).toMatch(/^\d{4}-\d\d-\d\dT/);
  });

  it('keeps nothing of customers', () => {
    const { log, lines } = linesOf();
    log.info(
      { contact_key: 'anna', data: { customer_id: 'anna', extensions: { a: 'anna' }, service_id: '0-1' } },
      'seen',
    );
    expect(JSON.stringify(lines)).not.toContain('anna');
    expect(lines[0]).toMatchObject({ data: { service_id: '0-1' } });
  });

  it('holds the lines of Nest, start-up noise for debugging only', () => {
    const { log, lines } = linesOf('debug');
    const nest = new NestLogger(log);
    nest.log('routes', 'RouterExplorer');
    nest.log('said', 'Speaker');
    nest.error('broke', 'Error: broke\n  at here', 'Speaker');
    expect(lines).toMatchObject([
      { level: 'debug', msg: 'routes', context: 'RouterExplorer' },
      { level: 'info', msg: 'said', context: 'Speaker' },
      { level: 'error', msg: 'broke', context: 'Speaker', error: { stack: 'Error: broke\n  at here' } },
    ]);
  });
});

describe('readiness', () => {
  it('waits for every condition, and remembers since when', () => {
    let second = 0;
    const readiness = new Readiness(['event log', 'read model'], () => new Date(1_000 * second++));
    expect(readiness.report().status).toBe('not ready');
    readiness.ready('event log');
    expect(readiness.isReady).toBe(false);
    readiness.ready('read model');
    expect(readiness.report().status).toBe('ready');
    readiness.notReady('read model', 'no answer');
    const { since } = readiness.report().conditions['read model'] ?? {};
    readiness.notReady('read model', 'still no answer');
    expect(readiness.report()).toMatchObject({
      status: 'not ready',
      conditions: { 'event log': { ready: true }, 'read model': { ready: false, reason: 'still no answer', since } },
    });
  });
});

describe('health and metrics over HTTP', () => {
  const readiness = new Readiness(['event log']);
  let app: NestFastifyApplication;
  beforeAll(async () => {
    const module = await Test.createTestingModule({ imports: [OperationsModule.with(readiness)] }).compile();
    app = module.createNestApplication<NestFastifyApplication>(new FastifyAdapter(), {
      logger: new NestLogger(linesOf().log),
    });
    await app.init();
  });
  afterAll(async () => {
    await app.close();
    NestsOwn.overrideLogger(true);
  });

  it('is live at once', async () => {
    expect(await app.inject('/health/live')).toMatchObject({ statusCode: 200, body: '{"status":"live"}' });
  });

  it('is ready when all conditions hold, else 503 with the reason', async () => {
    const before = await app.inject('/health/ready');
    expect(before.statusCode).toBe(503);
    expect(before.json()).toMatchObject({ conditions: { 'event log': { ready: false, reason: 'not started' } } });
    readiness.ready('event log');
    expect((await app.inject('/health/ready')).statusCode).toBe(200);
  });

  it('shows the metrics of the process in the text form of Prometheus', async () => {
    const { headers, body } = await app.inject('/metrics');
    expect(headers['content-type']).toContain('text/plain');
    expect(body).toMatch(/^process_cpu_user_seconds_total \d/m);
  });
});

describe('metrics of worker threads', () => {
  it('are added to those of the process, each metric once', async () => {
    const counter = new Counter({ name: 'cs_spec_total', help: 'for this spec', registers: [registry] });
    counter.inc(2);
    const worker = (await registry.getMetricsAsJSON()).filter(({ name }) => name === 'cs_spec_total');
    const text = await metricsText([worker]);
    expect(text.match(/^# TYPE cs_spec_total counter$/gm)).toHaveLength(1);
    expect(text).toContain('\ncs_spec_total 4\n');
    expect(text).toMatch(/^process_start_time_seconds \d/m);
  });
});

describe('waiting for what a program needs', () => {
  const pauses: number[] = [];
  const pause = async (ms: number) => void pauses.push(ms);

  it('tries until it is there, with growing pauses and one line per attempt', async () => {
    const { log, lines } = linesOf();
    const failures: string[] = [];
    let attempts = 0;
    const connect = async () => {
      attempts += 1;
      if (attempts < 8) throw new Error(`refused ${attempts}`);
      return 'connected';
    };
    const onFailure = (reason: string) => void failures.push(reason);
    expect(await retryUntilUp('kafka', connect, { log, pause, onFailure })).toBe('connected');
    expect(pauses).toEqual([200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
    expect(failures.at(-1)).toBe('refused 7');
    expect(lines.map(({ level, what, attempt }) => [level, what, attempt])).toEqual([
      ...[1, 2, 3, 4, 5, 6, 7].map((attempt) => ['warn', 'kafka', attempt]),
      ['info', 'kafka', 8],
    ]);
  });

  it('gives up at once when the start is refused', async () => {
    const refused = Object.assign(new Error('12 partitions, not 6'), { code: 'refused-start' });
    const refuse = (error: unknown): never => {
      throw new Error('the process ends', { cause: error });
    };
    const connect = () => Promise.reject(refused);
    const start = retryUntilUp('kafka', connect, { log: linesOf().log, refuse });
    await expect(start).rejects.toMatchObject({ message: 'the process ends', cause: refused });
  });

  it('stops when told to', async () => {
    const stop = new AbortController();
    const start = retryUntilUp('kafka', () => Promise.reject(new Error('no')), {
      log: linesOf().log,
      signal: stop.signal,
      onFailure: () => stop.abort(),
    });
    await expect(start).rejects.toMatchObject({ name: 'AbortError' });
  });
});
