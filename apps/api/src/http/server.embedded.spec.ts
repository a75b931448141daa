import { once } from 'node:events';
import { connect } from 'node:net';
import type { AddressInfo } from 'node:net';
import { RunningApi } from '../testing/running-api.js';

let api: RunningApi;
let customers = 0;
const newCustomer = () => `someone-${++customers}`;

beforeAll(async () => {
  api = await RunningApi.start({ extraBasePaths: ['/cv', '/', '/genesys/1'] });
}, 60_000);
afterAll(() => api.stop());

const post = (path: string, payload: unknown, headers: Record<string, string> = {}) =>
  api.request('POST', path, { payload: JSON.stringify(payload), headers });

async function started(body: object): Promise<string> {
  const answer = await post('services/start', body);
  expect(answer.statusCode).toBe(201);
  return answer.json<{ service_id: string }>().service_id;
}

const exceptionOf = (answer: { json(): unknown }): string =>
  (answer.json() as { exception: string }).exception.split('.').at(-1) as string;

describe('a path', () => {
  it('is served under every prefix, and Location carries the one of the request', async () => {
    for (const prefix of ['/genesys/1/cs', '/cv', '', '/genesys/1']) {
      const answer = await post(`${prefix}/services/start`, { customer_id: newCustomer() });
      expect({ prefix, status: answer.statusCode }).toEqual({ prefix, status: 201 });
      const { service_id } = answer.json<{ service_id: string }>();
      expect(answer.headers.location).toBe(`${prefix}/services/${service_id}`);
      expect((await api.request('GET', String(answer.headers.location))).json()).toMatchObject({ service_id });
    }
    expect((await api.request('GET', '/health/live')).json()).toEqual({ status: 'live' });
    expect((await api.request('GET', '/other/services/x')).statusCode).toBe(404);
  });

  it('keeps an encoded slash, percent sign and any text in its segment', async () => {
    for (const key of ['a/b', '100%', '%2F', 'Zoë Ünïcode 😀', '__proto__', '...', 'a?b#c&d=e+f', '{}"\'']) {
      await started({ contact_key: key });
      const answer = await api.request('GET', `services/anonymous/${encodeURIComponent(key)}`);
      expect({ key, found: answer.json<{ contact_key: string }[]>().map(({ contact_key }) => contact_key) }).toEqual({
        key,
        found: [key],
      });
    }
  });

  it('takes a contact key of 1024 bytes, each of them percent-encoded', async () => {
    const key = 'ü'.repeat(512);
    await started({ contact_key: key });
    expect((await api.request('GET', `services/anonymous/${encodeURIComponent(key)}/active`)).json()).toHaveLength(1);
  });

  it('needs a contact key and a customer id', async () => {
    for (const path of [
      'services/anonymous',
      'services/anonymous/',
      'services/anonymous//active',
      'customers//services',
    ]) {
      expect({ path, status: (await api.request('GET', path)).statusCode }).toEqual({ path, status: 400 });
    }
  });

  it('of health and metrics reads no headers of the contract', async () => {
    const headers = { 'x-cs-position': 'garbage', contactcenterid: 'other' };
    for (const path of ['/health/live', '/metrics'])
      expect((await api.request('GET', path, { headers })).statusCode).toBe(200);
    expect((await api.request('GET', 'services/nope', { headers: { contactcenterid: '1' } })).statusCode).toBe(404);
  });

  it('answers HEAD without a body and OPTIONS with what is allowed', async () => {
    const id = await started({ customer_id: newCustomer() });
    const head = await api.request('HEAD', `services/${id}`);
    expect({ status: head.statusCode, body: head.body }).toEqual({ status: 200, body: '' });
    const options = await api.request('OPTIONS', `services/${id}`);
    expect({ status: options.statusCode, allow: options.headers.allow }).toEqual({
      status: 204,
      allow: 'DELETE, GET, HEAD, PUT',
    });
    expect((await api.request('OPTIONS', 'nowhere')).statusCode).toBe(404);
  });

  it('allows with 405 the methods of every pattern that it matches', async () => {
    const answer = await api.request('PATCH', 'services/start');
    expect({ status: answer.statusCode, allow: answer.headers.allow }).toEqual({
      status: 405,
      allow: 'DELETE, GET, HEAD, POST, PUT',
    });
    expect(exceptionOf(answer)).toBe('MethodNotAllowedException');
    expect(exceptionOf(await api.request('GET', 'services_composite'))).toBe('NotFoundException');
  });

  it.each<[string, Record<string, string>]>([
    ['PATCH', { 'x-cs-position': 'garbage' }],
    ['TRACE', { contactcenterid: 'other' }],
    ['QUERY', {}],
    ['PUT', { 'content-encoding': 'gzip' }],
  ])('says of %s with %j that the method is wrong, not the headers', async (method, headers) => {
    const answer = await api.request(method, 'services/anonymous/some', { headers });
    expect({ status: answer.statusCode, allow: answer.headers.allow }).toEqual({ status: 405, allow: 'GET, HEAD' });
    expect((await api.request(method, 'nowhere', { headers })).statusCode).toBe(404);
  });
});

describe('an error', () => {
  it('is a problem for a caller that asks for one', async () => {
    const answer = await api.request('GET', 'services/nope', {
      headers: { accept: 'application/problem+json, */*;q=0.1' },
    });
    expect(answer.headers['content-type']).toBe('application/problem+json;charset=UTF-8');
    expect(answer.json()).toEqual({
      type: 'about:blank',
      title: 'NotFoundException',
      status: 404,
      detail: 'There are no service found for : nope',
      message: 'There are no service found for : nope',
      exception: 'com.genesyslab.gsg.services.contextservices.exceptions.NotFoundException',
    });
  });

  it('has the same form where only Fastify or Node could answer', async () => {
    const url = await api.api.app.listen(0, '127.0.0.1').then(() => api.api.app.getUrl());
    const { port } = api.api.app.getHttpServer().address() as AddressInfo;
    const bad = await fetch(`${url}/genesys/1/cs/services/%zz`);
    expect({ status: bad.status, body: await bad.json() }).toMatchObject({
      status: 400,
      body: { message: /percent/ as never },
    });
    for (const [request, status] of [
      [`GET / HTTP/1.1\r\nHost: x\r\nA: ${'x'.repeat(20_000)}\r\n\r\n`, 431],
      ['nonsense\r\n\r\n', 400],
      ['BREW / HTTP/1.1\r\nHost: x\r\n\r\n', 400],
      ['GET / HTTP/1.1\r\nConnection: close\r\n\r\n', 400],
      ['GET / HTTP/1.1\r\nHost: x\r\nExpect: the-impossible\r\n\r\n', 417],
    ] as const) {
      const [head, body] = (await raw(port, request)).split('\r\n\r\n');
      expect(head).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
      expect(JSON.parse(body as string)).toEqual({
        message: expect.any(String),
        exception: expect.stringMatching(/^com\.genesyslab\./),
      });
    }
    const id = await started({ customer_id: newCustomer() });
    const absolute = `GET http://somewhere:80/genesys/1/cs/services/${id} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`;
    expect(await raw(port, absolute)).toMatch(new RegExp(`^HTTP/1.1 200 [^]*"service_id":"${id}"`));
  });

  it('is never said in the place of an answer that is owed', async () => {
    const { port } = api.api.app.getHttpServer().address() as AddressInfo;
    const start = (customer_id: string): string => {
      const body = JSON.stringify({ customer_id });
      return `POST /genesys/1/cs/services/start HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
    };
    const customers = [newCustomer(), newCustomer()];
    const answered = await raw(port, `${customers.map(start).join('')}nonsense\r\n\r\n`);
    expect(answered.match(/HTTP\/1.1 \d+/g)).toEqual(['HTTP/1.1 201', 'HTTP/1.1 201']);
    const ids = answered.match(/(?<="service_id":")[^"]+/g);
    const found = customers.map((customer) => api.request('GET', `customers/${customer}/services`));
    expect((await Promise.all(found)).flatMap((list) => list.json<{ service_id: string }[]>())).toEqual(
      ids?.map((service_id) => expect.objectContaining({ service_id }) as object),
    );
    const broken = `POST /genesys/1/cs/services/start HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n`;
    expect(await raw(port, broken)).toMatch(/^HTTP\/1.1 400 /);
  });

  it('of a compressed body says that it is not known here', async () => {
    const headers = { 'content-encoding': 'gzip' };
    expect((await api.request('POST', 'services/start', { payload: '\u001f', headers })).statusCode).toBe(415);
    expect((await api.request('GET', 'server/status', { headers })).statusCode).toBe(200);
  });

  it('says where in the log a refusal stands', async () => {
    const id = await started({ customer_id: newCustomer() });
    await post(`services/${id}/end`, {});
    const position = /^s\d+:\d+/;
    expect((await post(`services/${id}/end`, {})).headers['x-cs-position']).toMatch(position);
    expect((await api.request('GET', 'services/nope')).headers['x-cs-position']).toMatch(position);
  });
});

async function raw(port: number, text: string): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  socket.write(text); // all of these ask for the end of the connection, or get it
  let answer = '';
  socket.on('data', (chunk) => (answer += String(chunk)));
  await once(socket, 'close');
  return answer;
}

describe('the correlation id', () => {
  it('is the one sent, or a new one when there is none that can be kept', async () => {
    const sent = await api.request('GET', 'services/nope', { headers: { 'x-correlation-id': 'call-42' } });
    expect(sent.headers['x-correlation-id']).toBe('call-42');
    for (const bad of ['', 'x'.repeat(129), 'a b']) {
      const answer = await api.request('GET', 'services/nope', { headers: { 'x-correlation-id': bad } });
      expect(answer.headers['x-correlation-id']).toMatch(/^[0-9a-f-]{36}$/);
    }
  });
});

describe('a repeat with the same Idempotency-Key', () => {
  it('gets the first answer', async () => {
    const key = { 'idempotency-key': 'repeat me' };
    const body = { customer_id: newCustomer() };
    const first = await post('services/start', body, key);
    const second = await post('services/start/', body, key);
    expect(second.statusCode).toBe(201);
    expect(second.json()).toEqual(first.json());
    expect(second.headers.location).toBe(first.headers.location);
    const { service_id } = first.json<{ service_id: string }>();
    expect((await api.request('GET', `customers/${body.customer_id}/services`)).json()).toHaveLength(1);

    const [one, two] = [
      await post(`services/${service_id}/states/start`, {}, key),
      await post(`services/${service_id}/states/start`, {}, key),
    ];
    expect([one.statusCode, two.statusCode]).toEqual([422, 422]);
    const other = { 'idempotency-key': 'a state' };
    const state = await post(`services/${service_id}/states/start`, { state_type: 1 }, other);
    expect((await post(`services/${service_id}/states/start`, { state_type: 1 }, other)).json()).toEqual(state.json());
    expect((await post(`services/${service_id}/states/start`, { state_type: 2 }, other)).statusCode).toBe(422);
    const named = { 'idempotency-key': 'a name' };
    for (const name of ['a%2Fb', 'a%2fb', '%61%2Fb', 'a%2Fb/'])
      expect(
        (await api.request('PUT', `services/${service_id}/extensions/${name}`, { payload: '1', headers: named }))
          .statusCode,
      ).toBe(200);
    expect(
      (await api.request('PUT', `services/${service_id}/extensions/a%252Fb`, { payload: '1', headers: named }))
        .statusCode,
    ).toBe(422);
    const ended = { 'idempotency-key': 'the end' };
    expect((await post(`services/${service_id}/end`, {}, ended)).statusCode).toBe(204);
    expect((await post(`services/${service_id}/end`, {}, ended)).statusCode).toBe(204);
    expect((await post(`services/${service_id}/end`, {})).statusCode).toBe(409);
  });
});

describe('an own id', () => {
  it('is passed over unless the option allows it', async () => {
    const id = await started({ service_id: 'mine', customer_id: newCustomer() });
    expect(id).toMatch(/^\d+-/);
    expect((await api.request('GET', 'services/mine')).statusCode).toBe(404);
  });
});

describe('a body', () => {
  const hostile =
    '{"__proto__":{"polluted":1},"constructor":{"prototype":[2]},"hasOwnProperty":3,"toString":null,"":"empty name","a.b":4}';

  it('keeps hostile names as plain data, on services, states and tasks', async () => {
    const expected = JSON.parse(hostile) as object;
    const customer = newCustomer();
    const body = `{"customer_id":"${customer}",${hostile.slice(1)}`;
    const start = await api.request('POST', 'services/start', { payload: body });
    const { service_id } = start.json<{ service_id: string }>();
    for (const [path, kind] of [
      [`services/${service_id}/states/start`, 'states'],
      [`services/${service_id}/tasks/start`, 'tasks'],
    ] as const) {
      expect((await api.request('POST', path, { payload: hostile })).statusCode).toBe(201);
      const [part] = (await api.request('GET', `services/${service_id}/${kind}?extensions=*`)).json<object[]>();
      expect(Object.entries(part as object)).toEqual(expect.arrayContaining(Object.entries(expected)));
    }
    const answer = await api.request('GET', `services/${service_id}?extensions=*`);
    for (const [name, value] of Object.entries(expected)) {
      expect(Object.entries(answer.json<object>()).find(([found]) => found === name)).toEqual([name, value]);
    }
    expect(({} as { polluted?: number }).polluted).toBeUndefined();
    for (const name of ['__proto__', 'constructor']) {
      expect(
        (await api.request('PUT', `services/${service_id}/extensions/${name}`, { payload: '{"x":1}' })).statusCode,
      ).toBe(200);
      expect(
        (await api.request('PUT', `services/${service_id}/extensions/${name}/merge`, { payload: '{"__proto__":2}' }))
          .statusCode,
      ).toBe(200);
      const [, value] = Object.entries(
        (await api.request('GET', `services/${service_id}?extensions=${name}`)).json<object>(),
      ).find(([found]) => found === name) as [string, object];
      expect(Object.entries(value)).toEqual([
        ['x', 1],
        ['__proto__', 2],
      ]);
    }
  });

  it('is passed over by DELETE, however broken', async () => {
    for (const payload of ['{', '[]', Buffer.from([0xff])]) {
      const id = await started({ customer_id: newCustomer() });
      const answer = await api.request('DELETE', `services/${id}`, {
        payload,
        headers: { 'content-type': 'application/json' },
      });
      expect({ status: answer.statusCode, body: answer.body }).toEqual({ status: 200, body: '' });
      expect((await api.request('GET', `services/${id}`)).statusCode).toBe(404);
      expect((await api.request('DELETE', `services/${id}`)).statusCode).toBe(404);
    }
  });

  it('may be an answer, posted back', async () => {
    const id = await started({ customer_id: newCustomer(), mine: 1 });
    const answer = await api.request('GET', `services/${id}?active_states=true&extensions=*`);
    expect((await post(`services/${id}/end`, answer.json())).statusCode).toBe(204);
  });
});

describe('a list', () => {
  it('goes page by page from the newest to the oldest, each page ascending', async () => {
    const customer = newCustomer();
    const ids: string[] = [];
    for (let n = 0; n < 5; n++)
      ids.push(await started({ customer_id: customer, timestamp: `2020-01-0${n + 1}T00:00:00Z` }));
    const pages: string[][] = [];
    for (let path: string | undefined = `customers/${customer}/services?limit=2&extensions=*`; path;) {
      const answer = await api.request('GET', path);
      pages.push(answer.json<{ service_id: string }[]>().map(({ service_id }) => service_id));
      path = /^<(.+)>; rel="next"$/.exec(String(answer.headers.link))?.[1];
    }
    expect(pages).toEqual([[ids[3], ids[4]], [ids[1], ids[2]], [ids[0]]]);
  });

  it('of states goes page by page too', async () => {
    const id = await started({ customer_id: newCustomer() });
    const states: string[] = [];
    for (let n = 0; n < 3; n++) {
      const answer = await post(`services/${id}/states/start`, { timestamp: `2020-01-0${n + 1}T00:00:00Z` });
      states.push(answer.json<{ state_id: string }>().state_id);
    }
    const first = await api.request('GET', `services/${id}/states/active?limit=2`);
    expect(first.json<{ state_id: string }[]>().map(({ state_id }) => state_id)).toEqual(states.slice(1));
    const next = /^<(.+)>; rel="next"$/.exec(String(first.headers.link))?.[1] as string;
    const second = await api.request('GET', next);
    expect(second.json<{ state_id: string }[]>().map(({ state_id }) => state_id)).toEqual(states.slice(0, 1));
    expect(second.headers.link).toBeUndefined();
  });
});

describe('a composite start', () => {
  it('may ask to tie a task that is not there', async () => {
    const element = { service: { customer_id: newCustomer() }, associate_state_task: true };
    for (const state of [{}, { state: {} }])
      expect((await post('services_composite/start', { services: [{ ...element, ...state }] })).statusCode).toBe(200);
  });

  it('gives states and tasks the number of the service that it finds', async () => {
    const numberOf = (id: string) => id.split('-')[0];
    for (let place = 0; place < 8; place++) {
      const service = { customer_id: newCustomer() };
      const service_id = await started(service);
      const answer = await post('services_composite/start', { services: [{ service, state: {}, task: {} }] });
      const [element] = answer.json<{ services: { service_id: string; state_id: string; task_id: string }[] }>()
        .services;
      expect(element).toMatchObject({ service_id, service_created: false, state_created: true, task_created: true });
      expect([element!.state_id, element!.task_id].map(numberOf)).toEqual([numberOf(service_id), numberOf(service_id)]);
    }
  });
});
