import { createLogger } from '#operations';
import { createApi, type Api } from '../api.js';
import { ApiOptions } from '../api.options.js';
import { routes } from '../testing/routes-by-mode.js';

const options = new ApiOptions();

let api: Api;
beforeAll(async () => {
  api = await createApi(options, createLogger('api', 'silent'));
  await api.app.init();
});
afterAll(() => api.app.close());

/* A process whose engine has not come up knows neither the mode nor anything else. */
it.each(routes)('$requirement: $method $pattern', async ({ requirement, method, path }) => {
  const answer = await api.app.inject({ method: method as 'GET', url: `${options.basePath}/${path}` });
  if (requirement === 'always') return expect(answer.statusCode).not.toBe(503);
  expect(answer.statusCode).toBe(503);
  expect(answer.json<{ exception: string }>().exception).toMatch(/ServiceUnavailableException$/);
  expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0);
});
