import { randomUUID } from 'node:crypto';
import { isClaimEvent } from '#events';
import { KafkaProxy } from '../../../tools/brokers/kafka-proxy.mjs';
import {
  Program,
  call as callOnly,
  describeOn,
  leave,
  newPlace,
  until,
  type Answered,
  type Place,
} from './processes.js';
import { readLog } from './valid-events.js';

/** A conversation in progress, to do something with. */
interface Setting {
  readonly service: string;
  readonly state: string;
  readonly task: string;
}

interface Route {
  readonly name: string;
  readonly method: string;
  readonly route: (setting: Setting) => string;
  readonly body?: (setting: Setting) => unknown;
  readonly success: number;
  /** Type of the event that the route records. */
  readonly event: string;
}

const services = ({ service }: Setting): string => `services/${service}`;

/** Every route that records something. */
const routes: readonly Route[] = [
  {
    name: 'S1',
    method: 'POST',
    route: () => 'services/start',
    body: ({ service }) => ({ contact_key: `next to ${service}` }),
    success: 201,
    event: 'ServiceStarted',
  },
  {
    name: 'S2',
    method: 'POST',
    route: (at) => `customers/somebody/${services(at)}`,
    body: () => ({}),
    success: 200,
    event: 'ServiceAssociated',
  },
  {
    name: 'S3',
    method: 'POST',
    route: (at) => `${services(at)}/end`,
    body: () => ({ disposition: 'done' }),
    success: 204,
    event: 'ServiceEnded',
  },
  { name: 'S5', method: 'DELETE', route: services, success: 200, event: 'ServiceDeleted' },
  {
    name: 'S8',
    method: 'PUT',
    route: (at) => `${services(at)}/extensions/Notes`,
    body: () => ({ text: 'one' }),
    success: 200,
    event: 'ExtensionReplaced',
  },
  {
    name: 'S9',
    method: 'PUT',
    route: (at) => `${services(at)}/extensions/Kept/merge`,
    body: () => ({ more: 2 }),
    success: 200,
    event: 'ExtensionMerged',
  },
  {
    name: 'S10',
    method: 'PUT',
    route: services,
    body: () => ({ ttl: 3600 }),
    success: 200,
    event: 'ExpirationChanged',
  },
  {
    name: 'T1',
    method: 'POST',
    route: (at) => `${services(at)}/states/start`,
    body: () => ({ state_type: 'Next' }),
    success: 201,
    event: 'StateStarted',
  },
  {
    name: 'T2',
    method: 'POST',
    route: (at) => `${services(at)}/states/${at.state}/end`,
    success: 204,
    event: 'StateEnded',
  },
  {
    name: 'T3',
    method: 'POST',
    route: (at) => `${services(at)}/states/transition`,
    body: ({ state }) => ({ from: { state_id: state }, to: { state_type: 'Next' } }),
    success: 201,
    event: 'StateTransitioned',
  },
  {
    name: 'T6',
    method: 'PUT',
    route: (at) => `${services(at)}/states/${at.state}/extensions/Notes`,
    body: () => [1],
    success: 200,
    event: 'ExtensionReplaced',
  },
  {
    name: 'T7',
    method: 'PUT',
    route: (at) => `${services(at)}/states/${at.state}/extensions/Notes/merge`,
    body: () => ({ a: 1 }),
    success: 200,
    event: 'ExtensionMerged',
  },
  {
    name: 'K1',
    method: 'POST',
    route: (at) => `${services(at)}/tasks/start`,
    body: () => ({ task_type: 'Next' }),
    success: 201,
    event: 'TaskStarted',
  },
  {
    name: 'K2',
    method: 'POST',
    route: (at) => `${services(at)}/tasks/${at.task}/end`,
    success: 204,
    event: 'TaskEnded',
  },
  {
    name: 'K5',
    method: 'PUT',
    route: (at) => `${services(at)}/tasks/${at.task}/extensions/Notes`,
    body: () => 'text',
    success: 200,
    event: 'ExtensionReplaced',
  },
  {
    name: 'K6',
    method: 'PUT',
    route: (at) => `${services(at)}/tasks/${at.task}/extensions/Notes/merge`,
    body: () => ({ a: 1 }),
    success: 200,
    event: 'ExtensionMerged',
  },
  {
    name: 'S11',
    method: 'POST',
    route: () => 'services_composite/start',
    body: ({ service }) => ({
      services: [
        { service: { contact_key: `composite next to ${service}`, service_type: 'x' }, state: { state_type: 'First' } },
      ],
    }),
    success: 200,
    event: 'ServiceStarted',
  },
];

/** What an api process said of one change that it was asked for. */
interface Acknowledgement {
  readonly correlationId: string;
  readonly status: number;
  readonly outcome: string | null;
  /** A composite records as many events as it has parts. */
  readonly isComposite: boolean;
}

const nothingListensHere = '127.0.0.1:1';
const stopsWithinMs = 10_000;
/** Long enough to stop a process before it reads back what it has recorded. */
const answerDelayMs = 2_000;

describeOn('distributed', 'when things fail', () => {
  let place: Place;
  let proxy: Awaited<ReturnType<typeof KafkaProxy.start>>;
  /** Talks to Kafka through the proxy. */
  let behindProxy: Program;
  let other: Program;
  let projector: Program;
  const programs = new Set<Program>();
  /** Every answer to a change that this suite was given. */
  const acknowledgements: Acknowledgement[] = [];
  let cases = 0;

  const start = async (name: Program['name'], env: Record<string, string> = {}, at = place) => {
    const program = await Program.start(name, at, env);
    programs.add(program);
    return program;
  };
  const startBehindProxy = async () => (await start('api', { CS_KAFKA_BROKERS: proxy.address })).ready();

  beforeAll(async () => {
    place = newPlace('distributed');
    proxy = await KafkaProxy.start(process.env.CS_TEST_KAFKA_PROXIED!);
    projector = await start('projector');
    other = await (await start('api', { CS_ROW_PATIENCE_MS: '2000' })).ready();
    behindProxy = await startBehindProxy();
    await projector.ready();
  }, 120_000);

  afterEach(() => {
    cases += 1;
  });

  afterAll(async () => {
    await Promise.all([...programs].map((program) => program.end()));
    await proxy?.close();
    leave(place);
    process.stdout.write(
      `suite: Faults, adapter: distributed, partitions: ${place.partitions}, processes: 3, cases: ${cases}\n`,
    );
  });

  /** Asks, and keeps what was answered to a change. */
  async function call(...request: Parameters<typeof callOnly>): Promise<Answered> {
    const answer = await callOnly(...request);
    const [, method, route] = request;
    if (method !== 'GET') {
      const correlationId = answer.headers.get('x-correlation-id')!;
      const outcome = answer.headers.get('x-cs-outcome');
      const isComposite = route.startsWith('services_composite/');
      acknowledgements.push({ correlationId, status: answer.status, outcome, isComposite });
    }
    return answer;
  }

  async function newSetting(): Promise<Setting> {
    const { service_id: service } = (
      await call(other, 'POST', 'services/start', { contact_key: randomUUID(), Kept: { one: 1 } })
    ).body;
    const { state_id: state } = (await call(other, 'POST', `services/${service}/states/start`, { state_type: 'First' }))
      .body;
    const { task_id: task } = (await call(other, 'POST', `services/${service}/tasks/start`, { task_type: 'First' }))
      .body;
    return { service, state, task };
  }

  const send = (
    api: Program,
    { method, route, body }: Route,
    setting: Setting,
    headers: Record<string, string>,
  ): Promise<Answered> => call(api, method, route(setting), body?.(setting), headers);

  /** What these requests were answered agrees with the log. A request that was repeated has still but one effect. */
  async function expectTrueAnswers(correlationIds: readonly string[]): Promise<void> {
    const { valid } = await readLog(place);
    const recorded = new Map<string, number>();
    for (const { record, event } of valid) {
      if (!isClaimEvent(event)) recorded.set(record.correlationId, (recorded.get(record.correlationId) ?? 0) + 1);
    }
    const asked = new Set(correlationIds);
    const answers = acknowledgements.filter(({ correlationId }) => asked.has(correlationId));
    expect(answers.length).toBeGreaterThanOrEqual(asked.size);
    const untrue = answers.filter(({ correlationId, status, outcome, isComposite }) => {
      const events = recorded.get(correlationId) ?? 0;
      const most = isComposite ? Number.POSITIVE_INFINITY : 1;
      if (status < 300) return events < 1 || events > most;
      return events > (outcome === 'unknown' ? most : 0);
    });
    expect(untrue).toEqual([]);
  }

  /** Valid events that one request recorded. */
  async function recordedBy(correlationId: string, event: string): Promise<number> {
    const { valid } = await readLog(place);
    return valid.filter(({ record }) => record.correlationId === correlationId && record.type === event).length;
  }

  it.each(routes)(
    'answers $name truly when the answer of the broker is lost',
    async (route) => {
      const setting = await newSetting();
      const correlationId = randomUUID();
      const lost = proxy.loseNextProduceAnswer(`${place.topicPrefix}.services`);
      const answer = await send(behindProxy, route, setting, { 'x-correlation-id': correlationId });
      await lost;
      const recorded = await recordedBy(correlationId, route.event);
      if (answer.status === route.success) expect(recorded).toBe(1);
      else {
        expect(answer.status).toBe(503);
        expect(answer.headers.get('retry-after')).toMatch(/^\d+$/);
        if (answer.headers.get('x-cs-outcome') === 'not-applied') expect(recorded).toBe(0);
        else expect(answer.headers.get('x-cs-outcome')).toBe('unknown');
      }
    },
    60_000,
  );

  const killed = routes.filter(({ name }) => ['S1', 'S2', 'S3', 'S8', 'T1', 'T3', 'S11'].includes(name));

  it.each(killed)(
    'gives the first answer of $name on the other process after kill -9 behind the append',
    async (route) => {
      const setting = await newSetting();
      const correlationId = randomUUID();
      const headers = { 'x-correlation-id': correlationId, 'idempotency-key': randomUUID() };
      // The record reaches the broker; nothing comes back, so the process cannot answer.
      proxy.silence();
      const unanswered = send(behindProxy, route, setting, headers).then(
        () => 'answered',
        () => 'cut off',
      );
      await until('the record is in the log', async () => {
        const { records } = await readLog(place);
        return records.some((record) => record.kind === 'event' && record.correlationId === correlationId);
      });
      await behindProxy.end('SIGKILL');
      expect(await unanswered).toBe('cut off');
      proxy.heal();

      const repeated = await send(other, route, setting, headers);
      expect(repeated.status).toBe(route.success);
      expect(await send(other, route, setting, headers)).toMatchObject({ status: route.success, body: repeated.body });
      expect(await recordedBy(correlationId, route.event)).toBe(1);
      const { valid } = await readLog(place);
      const ids = Object.values((route.name === 'S11' ? repeated.body.services[0] : (repeated.body ?? {})) as object);
      for (const id of ids.filter((value) => typeof value === 'string')) {
        expect(valid.filter(({ event }) => JSON.stringify(event.data).includes(id)).length).toBeGreaterThan(0);
      }
      behindProxy = await startBehindProxy();
    },
    90_000,
  );

  it('uses one service for two attempts of a composite start, the first of which hangs when it has claimed another', async () => {
    const contact_key = randomUUID();
    const correlationId = randomUUID();
    const headers = { 'x-correlation-id': correlationId, 'idempotency-key': randomUUID() };
    const body = { services: [{ service: { contact_key }, state: { state_type: 'First' } }] };
    const attempt = (api: Program) => call(api, 'POST', 'services_composite/start', body, headers);
    // It has found nothing and is about to create: the claim is there, its process does not know.
    proxy.delay(answerDelayMs);
    const first = attempt(behindProxy);
    try {
      await until('the claim is in the log', async () => (await recordedBy(correlationId, 'ServiceClaimed')) === 1);
      behindProxy.signal('SIGSTOP');
      const { body: found } = await call(other, 'POST', 'services/start', { contact_key });
      const second = await attempt(other);
      expect(second).toMatchObject({
        status: 200,
        body: { services: [{ service_id: found.service_id, service_created: false, state_created: true }] },
      });
      proxy.heal();
      behindProxy.signal('SIGCONT');
      const late = await first;
      // Stopped for too long it does not know what became of its claim, and says so.
      if (late.status === 200) expect(late.body).toEqual(second.body);
      else expect([late.status, late.headers.get('x-cs-outcome')]).toEqual([503, 'unknown']);
      await until('it is answered', async () => (await attempt(behindProxy)).status === 200);
      expect((await attempt(behindProxy)).body).toEqual(second.body);
      const { body: listed } = await call(other, 'GET', `services/anonymous/${contact_key}`);
      expect(listed).toMatchObject([{ service_id: found.service_id }]);
      expect(listed).toHaveLength(1);
    } finally {
      proxy.heal();
      behindProxy.signal('SIGCONT');
    }
  }, 90_000);

  it('answers 503 with the lag while the projector hangs, and the body when it goes on', async () => {
    const { body } = await call(other, 'POST', 'services/start', { contact_key: 'patience' });
    expect((await call(other, 'GET', `services/${body.service_id}`)).status).toBe(200);
    projector.signal('SIGSTOP');
    try {
      expect((await call(other, 'PUT', `services/${body.service_id}/extensions/Late`, { seen: true })).status).toBe(
        200,
      );
      const waiting = await call(other, 'GET', `services/${body.service_id}?extensions=*`);
      expect(waiting.status).toBe(503);
      expect(waiting.headers.get('retry-after')).toMatch(/^\d+$/);
      expect(waiting.body.message).toMatch(/\d+ records behind/);
      const list = await call(other, 'GET', 'services/anonymous/patience');
      expect(list.status).toBe(503);
    } finally {
      projector.signal('SIGCONT');
    }
    await until(
      'the projector has caught up',
      async () => (await call(other, 'GET', `services/${body.service_id}`)).status === 200,
    );
    const { body: late } = await call(other, 'GET', `services/${body.service_id}?extensions=*`);
    expect(late).toMatchObject({ service_id: body.service_id, Late: { seen: true } });
  }, 60_000);

  it('waits for a broker that is not there at its start, and says so', async () => {
    proxy.unplug();
    const api = await start('api', { CS_KAFKA_BROKERS: proxy.address });
    try {
      const isUp = async () => (await fetch(`${api.origin}/health/live`).catch(() => undefined))?.status === 200;
      await until('the process answers', isUp);
      await until('an attempt has failed', () => api.output.includes('not there yet, will try again'));
      expect((await fetch(`${api.origin}/health/ready`)).status).toBe(503);
      const refused = await call(api, 'POST', 'services/start', { contact_key: 'early' });
      expect(refused.status).toBe(503);
      expect(refused.headers.get('retry-after')).toMatch(/^\d+$/);
      expect(refused.headers.get('x-cs-outcome')).toBe('not-applied');
    } finally {
      proxy.heal();
    }
    await api.ready();
    expect((await call(api, 'POST', 'services/start', { contact_key: 'early' })).status).toBe(201);
  }, 90_000);

  it('keeps its word about what a silent broker was sent and what stayed in the queue', async () => {
    const hurried = { CS_APPEND_TIMEOUT_MS: '1500', CS_BARRIER_TIMEOUT_MS: '1500' };
    const api = await (await start('api', { ...hurried, CS_KAFKA_BROKERS: proxy.address })).ready();
    const correlationIds = Array.from({ length: 6 }, () => randomUUID());
    const startService = (correlationId: string) =>
      call(api, 'POST', 'services/start', { contact_key: 'silence' }, { 'x-correlation-id': correlationId });
    const [sent, ...queued] = correlationIds as [string, ...string[]];
    try {
      proxy.silence();
      const first = startService(sent);
      await until('the first record is in the log', async () => {
        const { records } = await readLog(place);
        return records.some((record) => record.kind === 'event' && record.correlationId === sent);
      });
      const behind = await Promise.all(queued.map(startService));
      for (const { status, headers } of [await first, ...behind]) {
        expect(status).toBe(503);
        expect(headers.get('retry-after')).toMatch(/^\d+$/);
      }
      expect((await first).headers.get('x-cs-outcome')).toBe('unknown');
      expect(behind.map(({ headers }) => headers.get('x-cs-outcome'))).toContain('not-applied');
    } finally {
      proxy.heal();
    }
    // Whatever was still to be sent goes before this one.
    await until('commands are accepted again', async () => (await startService(randomUUID())).status === 201);
    await expectTrueAnswers(correlationIds);
    await api.end();
  }, 90_000);

  it('refuses commands while the projector is too far behind, and takes them again when it has caught up', async () => {
    const maxLag = 5;
    const api = await (await start('api', { CS_MAX_LAG_RECORDS: String(maxLag) })).ready();
    const startService = () => call(api, 'POST', 'services/start', { contact_key: 'lag' });
    expect((await startService()).status).toBe(201);
    projector.signal('SIGSTOP');
    try {
      const answers: Answered[] = [];
      do answers.push(await startService());
      while (answers.at(-1)!.status === 201 && answers.length <= maxLag + 1);
      const refused = answers.at(-1)!;
      expect(refused.status).toBe(503);
      expect(refused.body.exception).toMatch(/\.OverloadedException$/);
      expect(refused.headers.get('retry-after')).toMatch(/^\d+$/);
      expect(refused.headers.get('x-cs-outcome')).toBe('not-applied');
    } finally {
      projector.signal('SIGCONT');
    }
    await until('commands are accepted again', async () => (await startService()).status === 201);
    await api.end();
  }, 90_000);

  it('waits for a Cassandra that is not there at its start, and stops when told to', async () => {
    const elsewhere = newPlace('distributed');
    const env = { CS_CASSANDRA_CONTACT_POINTS: nothingListensHere };
    try {
      const waiting = await Promise.all((['api', 'projector'] as const).map((name) => start(name, env, elsewhere)));
      for (const program of waiting) {
        await until('an attempt has failed', () => program.output.includes('not there yet, will try again'));
        expect((await fetch(`${program.origin}/health/live`)).status).toBe(200);
        expect((await fetch(`${program.origin}/health/ready`)).status).toBe(503);
      }
      const refused = await call(waiting[0]!, 'POST', 'services/start', { contact_key: 'early' });
      expect(refused.status).toBe(503);
      expect(refused.headers.get('retry-after')).toMatch(/^\d+$/);
      for (const { name, child } of waiting) {
        expect(child.exitCode).toBeNull();
        child.kill('SIGTERM');
        await until(`${name} has ended`, () => child.exitCode !== null, stopsWithinMs);
        expect(child.exitCode).toBe(0);
      }
    } finally {
      leave(elsewhere);
    }
  }, 90_000);

  it('has told the truth about every change that it was asked for', async () => {
    await newSetting();
    await expectTrueAnswers(acknowledgements.map(({ correlationId }) => correlationId));
  }, 60_000);
});
