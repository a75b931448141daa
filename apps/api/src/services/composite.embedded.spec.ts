import { randomUUID } from 'node:crypto';
import { RunningApi } from '../testing/running-api.js';

let api: RunningApi;

beforeAll(async () => {
  api = await RunningApi.start();
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
