import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { LightMyRequestResponse } from 'fastify';
import type { AttributeDefinition } from '#domain';
import { ApiOptions } from '../api.options.js';
import { Engine } from '../engine/engine.js';
import { RunningApi } from '../testing/running-api.js';

type Body = { readonly [name: string]: unknown };

const typescript = fileURLToPath(new URL('../../../../libs/event-log/src/testing/run-typescript.mjs', import.meta.url));
const publicFeed = fileURLToPath(new URL('../../../projector/src/public-feed.ts', import.meta.url));

const resources = ['Service', 'State', 'Task'] as const;
const ofEach = (field: string): readonly string[] => resources.map((resource) => `${resource}.${field}`);

const serviceTypes: AttributeDefinition = {
  name: 'ServiceType',
  cv_attributes: ['Service.service_type'],
  values: [
    { name: 'default', dbid: 100, default: true },
    { name: 'Long', dbid: 101, display_name: 'A Long One', expiration: '2w' },
    { name: 'Short', dbid: 102, expiration: '1s' },
    { name: 'With Blank Chars', dbid: 103 },
    { name: 'Renamed', dbid: 104 },
    { name: 'Removed', dbid: 105 },
  ],
};
const attributes: readonly AttributeDefinition[] = [
  serviceTypes,
  {
    name: 'StateType',
    cv_attributes: ['State.type'],
    values: [{ name: 'greeting', dbid: 201, display_name: 'Hello' }],
  },
  {
    name: 'TaskType',
    map_name: false,
    cv_attributes: ['Task.type'],
    values: [{ name: 'ask', dbid: 301, display_name: 'Ask them', default: true }],
  },
  {
    name: 'ApplicationType',
    cv_attributes: ofEach('application_type'),
    values: [{ name: 'App_type_1', dbid: 401, display_name: 'The first' }],
  },
  {
    name: 'ResourceType',
    map_name: true,
    cv_attributes: ofEach('resource_type'),
    values: [{ name: 'ResType1', dbid: 501, display_name: 'Agent' }],
  },
  {
    name: 'MediaType',
    cv_attributes: ofEach('media_type'),
    values: [
      { name: 'email', dbid: 1003, display_name: 'E-mail' },
      { name: 'voice', dbid: 1001, display_name: 'Voice' },
    ],
  },
  {
    name: 'DispositionCode',
    cv_attributes: ofEach('disposition'),
    values: [{ name: 'sold', dbid: 601, display_name: 'Sold it' }],
  },
];

let api: RunningApi;
beforeAll(async () => {
  api = await RunningApi.start();
}, 60_000);
afterAll(() => api.stop());

const post = (path: string, payload: Body, headers: Record<string, string> = {}) =>
  api.request('POST', path, { payload: JSON.stringify(payload), headers });
const get = async <T = Body>(path: string): Promise<T> => {
  const answer = await api.request('GET', path);
  expect([path, answer.statusCode]).toEqual([path, 200]);
  return answer.json<T>();
};

async function switchTo(mode: 'production' | 'maintenance'): Promise<void> {
  expect((await post('server/mode', { mode })).statusCode).toBe(200);
}

/** Changes business attributes as an administrator does. */
async function inMaintenance(change: () => Promise<void>): Promise<void> {
  await switchTo('maintenance');
  await change();
  await switchTo('production');
}

async function define({ name, ...about }: AttributeDefinition): Promise<void> {
  const payload = JSON.stringify({ name, ...about });
  const answer = await api.request('PUT', `metadata/business-attributes/${name}`, { payload });
  expect([name, answer.statusCode]).toEqual([name, expect.any(Number)]);
  expect([200, 201]).toContain(answer.statusCode);
}

async function remove(name: string): Promise<void> {
  expect((await api.request('DELETE', `metadata/business-attributes/${name}`)).statusCode).toBe(204);
}

async function idOf(answer: Promise<LightMyRequestResponse>, name: string): Promise<string> {
  const { statusCode, body } = await answer;
  expect([statusCode, body]).toEqual([201, expect.any(String)]);
  return (JSON.parse(body) as Record<string, string>)[name]!;
}
const start = (body: Body, headers?: Record<string, string>) =>
  idOf(post('services/start', { contact_key: randomUUID(), ...body }, headers), 'service_id');
const startState = (service: string, body: Body) => idOf(post(`services/${service}/states/start`, body), 'state_id');
const startTask = (service: string, body: Body) => idOf(post(`services/${service}/tasks/start`, body), 'task_id');

const refusalOf = async (answer: Promise<LightMyRequestResponse>): Promise<unknown> => {
  const { statusCode, body } = await answer;
  const { message, exception } = JSON.parse(body) as { message?: string; exception?: string };
  return [statusCode, exception?.replace(/.*\./, ''), message];
};
const invalid = (message: string) => [400, 'ValidationException', message];

/** What the log holds, from its beginning, as consumers of the public events see it. */
async function publicEvents(): Promise<
  readonly { readonly subject: string; readonly type: string; readonly data: Body }[]
> {
  const { dataDir } = api.api.app.get(ApiOptions);
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('CS_')));
  const { stdout } = await promisify(execFile)(process.execPath, ['--import', typescript, publicFeed], {
    env: { ...env, CS_DATA_DIR: dataDir },
    maxBuffer: 64 * 1024 * 1024,
  });
  return stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { subject: string; type: string; data: Body });
}

/** Started before anything is mapped, so that the log holds what callers sent. */
interface Before {
  readonly contact_key: string;
  readonly named: string;
  readonly numbered: string;
  readonly digits: string;
  readonly other: string;
  /** The only service of its contact key, its type held as the name. */
  readonly lone: { readonly contact_key: string; readonly service_id: string };
}
let before: Before;

describe('before anything is mapped', () => {
  it('values are answered as they were sent, and may be missing', async () => {
    const contact_key = randomUUID();
    const named = await start({ contact_key, service_type: 'Long', media_type: 'email', disposition: 'sold' });
    const numbered = await start({ contact_key, service_type: 101 });
    const digits = await start({ contact_key, service_type: '101' });
    const other = await start({ contact_key, service_type: 'Other' });
    const lone = randomUUID();
    const service_id = await start({ contact_key: lone, service_type: 'Long' });
    before = { contact_key, named, numbered, digits, other, lone: { contact_key: lone, service_id } };
    await startState(named, { state_type: 'greeting' });
    await startState(named, {});
    expect(await get(`services/${named}`)).toMatchObject({ service_type: 'Long', disposition: 'sold' });
    expect((await get<Body[]>(`services/anonymous/${contact_key}`)).map(({ service_type }) => service_type)).toEqual([
      'Long',
      101,
      '101',
      'Other',
    ]);
  });
});

describe('with business attributes mapped on every field', () => {
  beforeAll(() =>
    inMaintenance(async () => {
      for (const attribute of attributes) await define(attribute);
    }),
  );

  const forms = {
    DBID: { type: [101, 201, 301], rest: [401, 501, 1003, 601] },
    'DBID as text': { type: ['101', '201', '301'], rest: ['401', '501', '1003', '601'] },
    name: { type: ['Long', 'greeting', 'ask'], rest: ['App_type_1', 'ResType1', 'email', 'sold'] },
    'display name': {
      type: ['A Long One', 'Hello', 'Ask them'],
      rest: ['The first', 'Agent', 'E-mail', 'Sold it'],
    },
  } as const;
  const held = { application_type: 401, resource_type: 501, media_type: 1003 };
  /** Services that were told all this. */
  const taken: string[] = [];
  const shown = { application_type: 'App_type_1', resource_type: 'ResType1', media_type: 'email' };

  it.each(Object.entries(forms))(
    'takes the %s of every value, keeps the DBID and answers as the attribute says',
    async (_form, { type: [service_type, state_type, task_type], rest }) => {
      const [application_type, resource_type, media_type, disposition] = rest;
      const activity = { application_type, resource_type, media_type };
      const id = await start({ service_type, ...activity, disposition });
      const first = await startState(id, { state_type, ...activity });
      const moved = await idOf(
        post(`services/${id}/states/transition`, {
          ...activity,
          from: { state_id: first, disposition },
          to: { state_type },
        }),
        'state_id',
      );
      const task = await startTask(id, { task_type, ...activity });
      // A start's body is sent again at the end; what has no meaning there is not looked at.
      const end = { ...activity, disposition, service_type: 'odd', state_type: 'odd', task_type: 'odd' };
      for (const path of [
        `services/${id}/states/${moved}/end`,
        `services/${id}/tasks/${task}/end`,
        `services/${id}/end`,
      ]) {
        expect((await post(path, end)).statusCode).toBe(204);
      }

      const done = { started: shown, completed: shown, disposition: 'sold' };
      const [state, next, asked] = [
        { state_id: first, state_type: 'greeting', ...done },
        { state_id: moved, state_type: 'greeting', ...done },
        { task_id: task, task_type: 301, ...done },
      ];
      const whole = await get(`services/${id}?completed_states=true&completed_tasks=true`);
      expect(whole).toMatchObject({
        service_type: 'Long',
        ...done,
        completed_states: [state, next],
        completed_tasks: [asked],
      });
      expect(await get(`services/${id}/states/completed`)).toMatchObject([state, next]);
      expect(await get(`services/${id}/states/${moved}`)).toMatchObject(next);
      expect(await get(`services/${id}/tasks`)).toMatchObject([asked]);
      expect(await get(`services/${id}/tasks/${task}`)).toMatchObject(asked);
      taken.push(id);
    },
  );

  it('has only DBIDs in its events', async () => {
    const events = await publicEvents();
    expect(taken).toHaveLength(Object.keys(forms).length);
    for (const id of taken) {
      const own = events.filter(({ subject }) => subject.endsWith(id));
      expect(own.map(({ type, data }) => [type.replace(/.*\./, ''), data])).toMatchObject([
        ['ServiceStarted', { service_type: 101, ...held, disposition: 601 }],
        ['StateStarted', { state_type: 201, ...held }],
        ['StateTransitioned', { ...held, from: { disposition: 601 }, to: { state_type: 201 } }],
        ['TaskStarted', { task_type: 301, ...held }],
        ['StateEnded', { ...held, disposition: 601 }],
        ['TaskEnded', { ...held, disposition: 601 }],
        ['ServiceEnded', { ...held, disposition: 601 }],
      ]);
    }
    expect(events.find(({ subject }) => subject.endsWith(before.named))?.data).toMatchObject({ service_type: 'Long' });
  });

  describe('refuses a value that is not listed', () => {
    const allTypes = 'default, Long, Short, With Blank Chars, Renamed, Removed';
    it.each<[string, Body, string]>([
      ['service_type', { service_type: 'Wrong' }, `Invalid value 'Wrong' for Service.type. Valid values : ${allTypes}`],
      ['service_type', { service_type: 99 }, `Invalid value '99' for Service.type. Valid values : ${allTypes}`],
      ['disposition', { disposition: '' }, `Invalid value '' for Service.disposition. Valid values : sold`],
      [
        'application_type',
        { application_type: 'x' },
        `Invalid value 'x' for Service.application_type. Valid values : App_type_1`,
      ],
      ['resource_type', { resource_type: 'x' }, `Invalid value 'x' for Service.resource_type. Valid values : ResType1`],
      ['media_type', { media_type: 1.5 }, `Invalid value '1.5' for Service.media_type. Valid values : email, voice`],
    ])('in the %s of a service', async (_field, body, message) => {
      const contact_key = randomUUID();
      expect(await refusalOf(post('services/start', { contact_key, ...body }))).toEqual(invalid(message));
      expect(
        await refusalOf(post('services_composite/start', { services: [{ service: { contact_key, ...body } }] })),
      ).toEqual(invalid(message));
      expect(await get(`services/anonymous/${contact_key}`)).toEqual([]);
    });

    it('in everything that changes a service, its states and tasks', async () => {
      const id = await start({});
      const state_id = await startState(id, { state_type: 'greeting' });
      const task_id = await startTask(id, {});
      const wrong = (field: string) => invalid(`Invalid value 'x' for ${field}. Valid values : email, voice`);
      const media = { media_type: 'x' };
      expect(await refusalOf(post(`customers/c/services/${id}`, media))).toEqual(wrong('Service.media_type'));
      expect(await refusalOf(post(`services/${id}/end`, media))).toEqual(wrong('Service.media_type'));
      expect(await refusalOf(post(`services/${id}/states/start`, { state_type: 201, ...media }))).toEqual(
        wrong('State.media_type'),
      );
      expect(
        await refusalOf(
          post(`services/${id}/states/transition`, { ...media, from: { state_id }, to: { state_type: 201 } }),
        ),
      ).toEqual(wrong('State.media_type'));
      expect(await refusalOf(post(`services/${id}/states/${state_id}/end`, media))).toEqual(wrong('State.media_type'));
      expect(await refusalOf(post(`services/${id}/tasks/start`, media))).toEqual(wrong('Task.media_type'));
      expect(await refusalOf(post(`services/${id}/tasks/${task_id}/end`, media))).toEqual(wrong('Task.media_type'));
      expect(
        await refusalOf(
          post(`services/${id}/states/transition`, { from: { state_id, disposition: 'x' }, to: { state_type: 201 } }),
        ),
      ).toEqual(invalid(`Invalid value 'x' for State.disposition. Valid values : sold`));
      expect(
        await refusalOf(post(`services/${id}/states/transition`, { from: { state_id }, to: { state_type: 'x' } })),
      ).toEqual(invalid(`Invalid value 'x' for State.type. Valid values : greeting`));
      expect(await refusalOf(post(`services/${id}/tasks/start`, { task_type: 'greeting' }))).toEqual(
        invalid(`Invalid value 'greeting' for Task.type. Valid values : ask`),
      );
      expect(await get(`services/${id}?active_states=true&active_tasks=true`)).toMatchObject({
        active_states: [{ state_id }],
        active_tasks: [{ task_id }],
      });
    });
  });

  it('gives the default type to what starts without one, and refuses that where there is no default', async () => {
    const id = await start({});
    expect(await get(`services/${id}`)).toMatchObject({ service_type: 'default' });
    const task = await startTask(id, {});
    expect(await get(`services/${id}/tasks/${task}`)).toMatchObject({ task_type: 301 });
    const missing = invalid('Missing value for State.type, which has no default. Valid values : greeting');
    expect(await refusalOf(post(`services/${id}/states/start`, {}))).toEqual(missing);
    const state_id = await startState(id, { state_type: 201 });
    expect(await refusalOf(post(`services/${id}/states/transition`, { from: { state_id }, to: {} }))).toEqual(missing);
    // Associating is no start.
    const customer = randomUUID();
    const other = await start({ service_type: 'Long' });
    expect((await post(`customers/${customer}/services/${other}`, { media_type: 'voice' })).statusCode).toBe(200);
    expect(await get(`services/${other}`)).toMatchObject({ service_type: 'Long', started: { media_type: 'voice' } });
  });

  it('answers what was held before the mapping by its meaning, or as it was sent', async () => {
    const services = await get<Body[]>(`services/anonymous/${before.contact_key}`);
    expect(services.map(({ service_type }) => service_type)).toEqual(['Long', 'Long', 'Long', 'Other']);
    expect(await get(`services/${before.named}?active_states=true`)).toMatchObject({
      started: { media_type: 'email' },
      disposition: 'sold',
      active_states: [{ state_type: 'greeting' }, { started: {} }],
    });
  });

  describe('finds by every form', () => {
    let id: string;
    const contact_key = randomUUID();
    beforeAll(async () => {
      id = await start({ contact_key, service_type: 'Long' });
      await start({ contact_key, service_type: 'With Blank Chars' });
      await startState(id, { state_type: 201 });
      await startTask(id, { task_type: 301 });
    });
    const found = async (path: string) => (await get<Body[]>(path)).length;

    it.each(['101', 'Long', 'A%20Long%20One'])('service_types=%s', async (asked) => {
      expect(await found(`services/anonymous/${contact_key}?service_types=${asked}`)).toBe(1);
      expect(await found(`services/anonymous/${contact_key}/active?service_types=103,${asked}`)).toBe(2);
      expect(await found(`services/anonymous/${contact_key}?service_types=Removed,${asked}&limit=5`)).toBe(1);
      const services = await get<Body[]>(`services/anonymous/${before.contact_key}?service_types=${asked}`);
      expect(services.map(({ service_id }) => service_id)).toEqual([before.named, before.numbered, before.digits]);
    });
    it.each(['201', 'greeting', 'Hello'])('state_types=%s', async (asked) => {
      expect(await found(`services/${id}/states?state_types=${asked}`)).toBe(1);
      expect(await found(`services/${id}/states/completed?state_types=${asked}`)).toBe(0);
      expect(await found(`services/${before.named}/states?state_types=${asked}`)).toBe(1);
    });
    it.each(['301', 'ask', 'Ask%20them'])('task_types=%s', async (asked) =>
      expect(await found(`services/${id}/tasks/active?task_types=x&task_types=${asked}`)).toBe(1),
    );
    it('nothing by what has no meaning', async () => {
      expect(await found(`services/anonymous/${contact_key}?service_types=Nothing`)).toBe(0);
      expect(await found(`services/${id}/states?state_types=301,ask`)).toBe(0);
      expect(await found(`services/${id}/tasks?task_types=greeting`)).toBe(0);
    });
  });

  describe('a composite start', () => {
    const composed = async (element: Body, headers: Record<string, string> = {}) => {
      const answer = await post('services_composite/start', { services: [element] }, headers);
      expect([answer.statusCode, answer.body]).toEqual([200, expect.any(String)]);
      return answer.json<{ services: Record<string, unknown>[] }>().services[0]!;
    };

    it('finds what another form, or the log from before the mapping, calls the same', async () => {
      const contact_key = randomUUID();
      const forms = [
        { service_type: 'Long', state_type: 'greeting', task_type: 'ask' },
        { service_type: 101, state_type: '201', task_type: 301 },
        { service_type: 'A Long One', state_type: 'Hello', task_type: 'Ask them' },
      ];
      const element = ({ service_type, state_type, task_type }: (typeof forms)[number]) => ({
        service: { contact_key, service_type, media_type: 'voice' },
        state: { state_type },
        task: { task_type },
      });
      const made = await composed(element(forms[0]!));
      expect(made).toMatchObject({ service_created: true, state_created: true, task_created: true });
      for (const form of forms) {
        expect(await composed(element(form))).toEqual({
          ...made,
          service_created: false,
          state_created: false,
          task_created: false,
        });
      }
      const { service_id } = made as { service_id: string };
      expect(await get(`services/${service_id}?active_states=true&active_tasks=true`)).toMatchObject({
        service_type: 'Long',
        started: { media_type: 'voice' },
        active_states: [{ state_type: 'greeting' }],
        active_tasks: [{ task_type: 301 }],
      });

      for (const service_type of [101, 'Long', 'A Long One']) {
        const { contact_key: alone, service_id: old } = before.lone;
        expect(await composed({ service: { contact_key: alone, service_type } })).toEqual({
          service_id: old,
          service_created: false,
        });
      }
      expect(
        await composed({ service: { contact_key: before.contact_key, service_type: 'With Blank Chars' } }),
      ).toMatchObject({ service_created: true });
    });

    it('does not compare a type that it does not bring, and starts with the default', async () => {
      const contact_key = randomUUID();
      const service_id = await start({ contact_key, service_type: 'Long' });
      const task_id = await startTask(service_id, { task_type: 'ask' });
      expect(await composed({ service: { contact_key }, task: {} })).toEqual({
        service_id,
        service_created: false,
        task_id,
        task_created: false,
      });
      const { service_id: made } = await composed({ service: { contact_key: randomUUID() }, task: {} });
      expect(await get(`services/${String(made)}?active_tasks=true`)).toMatchObject({
        service_type: 'default',
        active_tasks: [{ task_type: 301 }],
      });
      const missing = invalid('Missing value for State.type, which has no default. Valid values : greeting');
      expect(
        await refusalOf(post('services_composite/start', { services: [{ service: { contact_key }, state: {} }] })),
      ).toEqual(missing);
    });
  });

  describe('the lifetime of a service', () => {
    const twoWeeks = 14 * 86_400;
    const slideOf = async (stream: string) => {
      const { backend } = api.api.app.get(Engine).running();
      return (await backend.readModel.find({ tenant: '1', stream }))?.head.slide;
    };

    it('is that of its type when it brings none of its own', async () => {
      const id = await start({ service_type: 'A Long One' });
      await get(`services/${id}`);
      expect(await slideOf(id)).toBe(twoWeeks);
      const { service_id } = (
        await post('services_composite/start', {
          services: [{ service: { contact_key: randomUUID(), service_type: 101 } }],
        })
      ).json<{ services: [{ service_id: string }] }>().services[0];
      await get(`services/${service_id}`);
      expect(await slideOf(service_id)).toBe(twoWeeks);
    });
    it('is its own, or the default where the type says nothing', async () => {
      const own = await start({ service_type: 'Short', ttl: 60 });
      const plain = await start({ service_type: 'With Blank Chars' });
      await get(`services/${own}`);
      await get(`services/${plain}`);
      expect([await slideOf(own), await slideOf(plain)]).toEqual([undefined, 5 * 365 * 86_400]);
    });
    it('ends it', async () => {
      const id = await start({ service_type: 'Short' });
      let status = 200;
      while (status === 200) status = (await api.request('GET', `services/${id}`)).statusCode;
      expect(status).toBe(404);
    });
  });
});

describe('when values change', () => {
  let renamed: string;
  let removed: string;
  const contact_key = randomUUID();
  const keyed = { 'Idempotency-Key': randomUUID() };
  const composite = { services: [{ service: { contact_key: randomUUID(), service_type: 'Removed' } }] };
  let composed: string;

  beforeAll(async () => {
    renamed = await start({ contact_key, service_type: 'Renamed' });
    removed = await start({ contact_key, service_type: 'Removed' }, keyed);
    composed = (await post('services_composite/start', composite, keyed)).body;
    await inMaintenance(() =>
      define({
        ...serviceTypes,
        values: [
          ...serviceTypes.values!.filter(({ name }) => name !== 'Renamed' && name !== 'Removed'),
          { name: 'New name', dbid: 104 },
        ],
      }),
    );
  });
  const typesIn = async (path: string) => (await get<Body[]>(path)).map(({ service_type }) => service_type);

  it('a renamed one is answered and found by its name of now', async () => {
    expect(await get(`services/${renamed}`)).toMatchObject({ service_type: 'New name' });
    expect(await typesIn(`services/anonymous/${contact_key}?service_types=New%20name`)).toEqual(['New name']);
    expect(await typesIn(`services/anonymous/${contact_key}?service_types=Renamed`)).toEqual([]);
  });
  it('a removed one is answered and found by its last known name, and not taken any more', async () => {
    expect(await get(`services/${removed}`)).toMatchObject({ service_type: 'Removed' });
    for (const asked of ['Removed', '105'])
      expect(await typesIn(`services/anonymous/${contact_key}?service_types=${asked}`)).toEqual(['Removed']);
    expect(await refusalOf(post('services/start', { contact_key, service_type: 'Removed' }))).toEqual(
      invalid(
        `Invalid value 'Removed' for Service.type. Valid values : default, Long, Short, With Blank Chars, New name`,
      ),
    );
  });
  it('a repeat with a key is told what the first attempt was told', async () => {
    expect(await start({ contact_key, service_type: 'Removed' }, keyed)).toBe(removed);
    const again = await post('services_composite/start', composite, keyed);
    expect([again.statusCode, again.body]).toEqual([200, composed]);
  });
  it('a new key does not help', async () => {
    const headers = { 'Idempotency-Key': randomUUID() };
    const message = expect.stringContaining(`Invalid value 'Removed' for Service.type`) as string;
    expect(await refusalOf(post('services/start', { contact_key, service_type: 'Removed' }, headers))).toEqual(
      invalid(message),
    );
    expect(await refusalOf(post('services_composite/start', composite, headers))).toEqual(invalid(message));
    expect(await typesIn(`services/anonymous/${contact_key}`)).toEqual(['New name', 'Removed']);
  });
  it('and when the attribute goes, old values keep their names and new ones are held as they are sent', async () => {
    await inMaintenance(() => remove('ServiceType'));
    const raw = await start({ contact_key, service_type: 'Anything' });
    const untyped = await start({ contact_key });
    expect(await typesIn(`services/anonymous/${contact_key}`)).toEqual(['New name', 'Removed', 'Anything', undefined]);
    expect(await get(`services/${raw}`)).toMatchObject({ service_type: 'Anything' });
    expect(await get(`services/${untyped}`)).not.toHaveProperty('service_type');
    expect(await typesIn(`services/anonymous/${contact_key}?service_types=Removed`)).toEqual(['Removed']);
    expect(await typesIn(`services/anonymous/${before.contact_key}?service_types=Other`)).toEqual(['Other']);
  });
});
