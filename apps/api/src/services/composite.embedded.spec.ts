import { randomUUID } from 'node:crypto';
import { RunningApi } from '../testing/running-api.js';

let api: RunningApi;

beforeAll(async () => {
  api = await RunningApi.start({ allowCustomIds: true });
}, 60_000);
afterAll(() => api.stop());

interface Composed {
  readonly service_id: string;
  readonly service_created: boolean;
}

const post = (path: string, payload: object, headers: Record<string, string> = {}) =>
  api.request('POST', path, { payload: JSON.stringify(payload), headers });

async function started(body: object): Promise<string> {
  const answer = await post('services/start', body);
  expect(answer.statusCode).toBe(201);
  return answer.json<{ service_id: string }>().service_id;
}

async function composed(service: object, headers: Record<string, string> = {}): Promise<Composed> {
  const answer = await post('services_composite/start', { services: [{ service }] }, headers);
  expect({ status: answer.statusCode, body: answer.json<object>() }).toMatchObject({ status: 200 });
  return answer.json<{ services: [Composed] }>().services[0];
}

async function associated(service_id: string, body: object = {}): Promise<void> {
  expect((await post(`customers/${randomUUID()}/services/${service_id}`, body)).statusCode).toBe(200);
}

const anonymous = async (contact_key: string): Promise<readonly string[]> =>
  (await api.request('GET', `services/anonymous/${contact_key}/active`))
    .json<{ service_id: string }[]>()
    .map(({ service_id }) => service_id);

describe('a composite start by contact key alone', () => {
  it('finds a service that was started with a customer too', async () => {
    const contact_key = randomUUID();
    const service_id = await started({ contact_key, customer_id: randomUUID() });
    expect(await composed({ contact_key })).toEqual({ service_id, service_created: false });
    expect(await anonymous(contact_key)).toEqual([]);
  });

  it('finds a service that was given a customer later, and under a new contact key by that alone', async () => {
    const [contact_key, another] = [randomUUID(), randomUUID()];
    const service_id = await started({ contact_key });
    await associated(service_id);
    expect(await composed({ contact_key })).toEqual({ service_id, service_created: false });
    await associated(service_id, { contact_key: another });
    expect(await composed({ contact_key: another })).toEqual({ service_id, service_created: false });
    expect(await composed({ contact_key })).toMatchObject({ service_created: true });
  });

  it('takes the newest, whether or not it has a customer', async () => {
    const contact_key = randomUUID();
    const withCustomer = { contact_key, customer_id: randomUUID() };
    await started({ ...withCustomer, timestamp: '2026-01-01T00:00:00Z' });
    const second = await started({ contact_key, timestamp: '2026-01-02T00:00:00Z' });
    expect(await composed({ contact_key })).toMatchObject({ service_id: second });
    const third = await started({ ...withCustomer, timestamp: '2026-01-03T00:00:00Z' });
    expect(await composed({ contact_key })).toMatchObject({ service_id: third });
    await post(`services/${third}/end`, {});
    expect(await composed({ contact_key })).toMatchObject({ service_id: second });
  });

  it('does not find what compares differently', async () => {
    const contact_key = randomUUID();
    await started({ contact_key, customer_id: randomUUID(), service_type: 'sales' });
    expect(await composed({ contact_key, service_type: 'support' })).toMatchObject({ service_created: true });
  });
});

describe('a composite start with an idempotency key', () => {
  const keyed = () => ({ 'idempotency-key': randomUUID() });
  const get = async (id: string) => (await api.request('GET', `services/${id}`)).statusCode;

  it('gets the service that it found again, whatever has happened since', async () => {
    const [contact_key, key] = [randomUUID(), keyed()];
    const service_id = await started({ contact_key });
    const found = { service_id, service_created: false };
    expect(await composed({ contact_key }, key)).toEqual(found);
    const newer = await started({ contact_key, timestamp: '2030-01-01T00:00:00Z' });
    expect(await composed({ contact_key })).toMatchObject({ service_id: newer });
    expect(await composed({ contact_key }, key)).toEqual(found);
    expect((await post(`services/${service_id}/end`, {})).statusCode).toBe(204);
    expect(await composed({ contact_key }, key)).toEqual(found);
    expect((await api.request('DELETE', `services/${service_id}`)).statusCode).toBe(200);
    expect(await composed({ contact_key }, key)).toEqual(found);
  });

  it('does not use up the id that it brings for what is found', async () => {
    const [contact_key, brought, key] = [randomUUID(), randomUUID(), keyed()];
    const service_id = await started({ contact_key });
    const found = { service_id, service_created: false };
    expect(await composed({ contact_key, service_id: brought }, key)).toEqual(found);
    expect(await get(brought)).toBe(404);
    expect(await anonymous(contact_key)).toEqual([service_id]);
    expect(await started({ service_id: brought, contact_key: randomUUID() })).toBe(brought);
    expect(await get(brought)).toBe(200);
    expect(await composed({ contact_key, service_id: brought }, key)).toEqual(found);
  });

  it('creates the service with an id that others have passed over', async () => {
    const [contact_key, brought, first, second] = [randomUUID(), randomUUID(), keyed(), keyed()];
    const service_id = await started({ contact_key });
    expect(await composed({ contact_key, service_id: brought }, first)).toEqual({ service_id, service_created: false });
    const created = { service_id: brought, service_created: true };
    const another = { contact_key: randomUUID(), service_id: brought };
    expect(await composed(another, second)).toEqual(created);
    expect(await composed(another, second)).toEqual(created);
    expect(await composed({ contact_key, service_id: brought }, first)).toEqual({ service_id, service_created: false });
  });

  it.each([{}, keyed()])('is refused with an id that is another service than the one found (%j)', async (headers) => {
    const [contact_key, brought] = [randomUUID(), randomUUID()];
    await started({ contact_key });
    await started({ service_id: brought, contact_key: randomUUID() });
    const services = [{ service: { contact_key, service_id: brought } }];
    expect((await post('services_composite/start', { services }, headers)).statusCode).toBe(409);
  });

  it('finds the service whose id it brings', async () => {
    const [contact_key, brought, key] = [randomUUID(), randomUUID(), keyed()];
    await started({ service_id: brought, contact_key });
    const found = { service_id: brought, service_created: false };
    for (let n = 0; n < 2; n++) expect(await composed({ contact_key, service_id: brought }, key)).toEqual(found);
    expect((await post(`services/${brought}/end`, {})).statusCode).toBe(204);
    expect(await composed({ contact_key, service_id: brought }, key)).toEqual(found);
  });

  it('is refused when the key comes with other fields', async () => {
    const [contact_key, key] = [randomUUID(), keyed()];
    await started({ contact_key });
    await composed({ contact_key }, key);
    const services = [{ service: { contact_key: randomUUID() } }];
    expect((await post('services_composite/start', { services }, key)).statusCode).toBe(422);
  });
});
