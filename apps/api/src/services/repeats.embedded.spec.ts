import { randomUUID } from 'node:crypto';
import { RunningApi } from '../testing/running-api.js';

let api: RunningApi;

beforeAll(async () => {
  api = await RunningApi.start();
}, 60_000);
afterAll(() => api.stop());

/** Within which a busy machine may answer the first attempts; doubled until it does. */
const FIRST_PATIENCE_MS = 1_000;

const send = async (method: string, path: string, body: object, key?: string) => {
  const headers: Record<string, string> = key === undefined ? {} : { 'idempotency-key': key };
  const answer = await api.request(method, path, { payload: JSON.stringify(body), headers });
  return { status: answer.statusCode, body: answer.body };
};

async function started(): Promise<string> {
  const { body } = await send('POST', 'services/start', { contact_key: randomUUID() });
  return (JSON.parse(body) as { service_id: string }).service_id;
}

/** Until what is asked without a key, and finds nothing, is refused for the time. */
async function untilPast(expiration_time: string): Promise<void> {
  while ((await send('PUT', 'services/nobody', { expiration_time })).status === 404);
}

interface Asked {
  readonly method: string;
  readonly path: string;
  readonly body: object;
  readonly key: string;
}

const ask = ({ method, path, body, key }: Asked) => send(method, path, body, key);

/** One request of each kind that takes an `expiration_time`. */
function requestsWith(time: object, lasting: string, ending: string): readonly Asked[] {
  const service = { contact_key: randomUUID(), ...time };
  const state = { state_type: 'greeting', ...time };
  const task = { task_type: 'call', ...time };
  const requests = [
    ['POST', 'services/start', service],
    ['POST', 'services/start', { ...service, ttl: 3_600 }],
    ['PUT', `services/${lasting}`, time],
    ['POST', `customers/${randomUUID()}/services/${lasting}`, time],
    ['POST', `services/${lasting}/states/start`, state],
    ['POST', `services/${lasting}/tasks/start`, task],
    ['POST', `services/${ending}/end`, time],
    ['POST', 'services_composite/start', { create_new_services: true, services: [{ service }] }],
    [
      'POST',
      'services_composite/start',
      { services: [{ service: { contact_key: randomUUID(), ...time }, state, task }] },
    ],
  ] as const;
  return requests.map(([method, path, body]) => ({ method, path, body, key: randomUUID() }));
}

describe('a repeat that comes after the expiration_time in its body', () => {
  it('gets the first answer', async () => {
    for (let patienceMs = FIRST_PATIENCE_MS; ; patienceMs *= 2) {
      const [lasting, ending] = [await started(), await started()];
      const expiration_time = new Date(Date.now() + patienceMs).toISOString();
      const requests = requestsWith({ expiration_time }, lasting, ending);
      const first = await Promise.all(requests.map(ask));
      if (first.some(({ status }) => status === 400)) continue; // not in time
      expect(first.map(({ status }) => status)).toEqual([201, 201, 200, 200, 201, 201, 204, 200, 200]);
      // An expired service keeps the answer to its start; those to all else are kept while it lives.
      const { services } = JSON.parse(first.at(-1)!.body) as { services: readonly { service_id: string }[] };
      const stay = [lasting, ending, services[0]!.service_id].map((id) =>
        send('PUT', `services/${id}`, { ttl: 3_600 }),
      );
      if ((await Promise.all(stay)).some(({ status }) => status !== 200)) continue; // not in time

      await untilPast(expiration_time);

      expect(await Promise.all(requests.map(ask))).toEqual(first);
      const fresh = await Promise.all(requests.map((request) => ask({ ...request, key: randomUUID() })));
      expect(fresh.map(({ status }) => status)).toEqual(requests.map(() => 400));
      return;
    }
  }, 60_000);
});
