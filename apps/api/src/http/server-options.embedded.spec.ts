import { once } from 'node:events';
import { connect } from 'node:net';
import type { AddressInfo } from 'node:net';
import { RunningApi } from '../testing/running-api.js';

let strict: RunningApi;

const exceptionOf = (answer: { json(): unknown }): string =>
  (answer.json() as { exception: string }).exception.split('.').at(-1) as string;

beforeAll(async () => {
  strict = await RunningApi.start({
    allowCustomIds: true,
    unknownIdStatus: 400,
    maxBodyBytes: 1024,
    dataValidation: false,
    mapNames: false,
  });
}, 60_000);
afterAll(() => strict.stop());

describe('options', () => {
  const send = (path: string, body: unknown) => strict.request('POST', path, { payload: JSON.stringify(body) });

  it('let a start bring its own id, but no taken one and none of the server-made form', async () => {
    const own = { service_id: 'mine/1', customer_id: 'c' };
    const first = await send('services/start', own);
    expect([first.statusCode, first.body, first.headers.location]).toEqual([
      201,
      '{"service_id":"mine/1"}',
      '/genesys/1/cs/services/mine%2F1',
    ]);
    const second = await send('services/start', own);
    expect([second.statusCode, exceptionOf(second)]).toEqual([409, 'ConflictException']);
    const forged = await send('services/start', { ...own, service_id: '999-0193542a-7c00-7fff-bfff-ffffffffffff' });
    expect([forged.statusCode, exceptionOf(forged)]).toEqual([400, 'ValidationException']);
    for (const part of ['state', 'task']) {
      const answers = [
        await send(`services/mine%2F1/${part}s/start`, { [`${part}_id`]: 5 }),
        await send(`services/mine%2F1/${part}s/start`, { [`${part}_id`]: '5' }),
      ];
      expect(answers.map(({ statusCode }) => statusCode)).toEqual([201, 409]);
      expect(answers[0]?.json()).toEqual({ [`${part}_id`]: '5' });
    }
  });

  it('answer unknown ids with the 400 of the product', async () => {
    const answer = await strict.request('GET', 'services/nope');
    expect([answer.statusCode, exceptionOf(answer)]).toEqual([400, 'NotFoundException']);
    expect((await strict.request('GET', 'nowhere')).statusCode).toBe(404);
  });

  it('limit the body', async () => {
    expect((await send('services/start', { customer_id: 'c', long: 'x'.repeat(900) })).statusCode).toBe(201);
    expect((await send('services/start', { customer_id: 'c', long: 'x'.repeat(1000) })).statusCode).toBe(413);
  });

  it('take values that are not listed as they are sent, and answer DBIDs where the attribute does not say', async () => {
    const attributes = [
      { name: 'Type', cv_attributes: ['Service.type', 'State.type'], values: [{ name: 'known', dbid: 1007 }] },
      { name: 'Media', cv_attributes: ['Service.media_type'], map_name: true, values: [{ name: 'voice', dbid: 1008 }] },
    ];
    await send('server/mode', { mode: 'maintenance' });
    for (const attribute of attributes) {
      const path = `metadata/business-attributes/${attribute.name}`;
      const defined = await strict.request('PUT', path, { payload: JSON.stringify(attribute) });
      expect([defined.statusCode, defined.body]).toEqual([201, expect.any(String)]);
    }
    await send('server/mode', { mode: 'production' });
    for (const [service_type, shown] of [
      ['known', 1007],
      ['unknown', 'unknown'],
    ]) {
      const started = await send('services/start', { contact_key: 'a', service_type, media_type: 1008 });
      expect(started.statusCode).toBe(201);
      const path = `services/${started.json<{ service_id: string }>().service_id}`;
      expect((await send(`${path}/states/start`, {})).statusCode).toBe(201);
      const service = (await strict.request('GET', `${path}?active_states=true`)).json<{ active_states: object[] }>();
      expect(service).toMatchObject({ service_type: shown, started: { media_type: 'voice' } });
      expect(service.active_states[0]).not.toHaveProperty('state_type');
    }
  });
});

describe('the end', () => {
  it('answers what is under way, then closes', async () => {
    await strict.api.app.listen(0, '127.0.0.1');
    const { port } = strict.api.app.getHttpServer().address() as AddressInfo;
    const socket = connect(port, '127.0.0.1');
    const body = '{"customer_id":"last"}';
    socket.write(
      `POST /genesys/1/cs/services/start HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n${body.slice(0, 5)}`,
    );
    await once(strict.api.app.getHttpServer(), 'request');
    const stopped = strict.api.app.close();
    socket.write(body.slice(5));
    const [answer] = (await once(socket, 'data')) as [Buffer];
    expect(answer.toString()).toMatch(/^HTTP\/1.1 201 /);
    await stopped;
    await expect(fetch(`http://127.0.0.1:${port}/health/live`)).rejects.toThrow();
  });
});
