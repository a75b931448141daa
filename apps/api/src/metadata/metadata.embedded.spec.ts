import type { LightMyRequestResponse } from 'fastify';
import { RunningApi } from '../testing/running-api.js';

let api: RunningApi;

beforeAll(async () => {
  api = await RunningApi.start({ extraBasePaths: ['/cv'] });
  await mode('maintenance');
}, 60_000);
afterAll(() => api.stop());

async function mode(to: 'production' | 'maintenance'): Promise<void> {
  expect((await send('POST', 'server/mode', { mode: to })).statusCode).toBe(200);
}

const send = (method: string, path: string, body?: unknown, headers: Record<string, string> = {}) =>
  api.request(method, path, { headers, ...(body !== undefined && { payload: JSON.stringify(body) }) });
const get = (path: string, headers: Record<string, string> = {}) => send('GET', path, undefined, headers);

const refusal = ({ statusCode, json }: LightMyRequestResponse) => {
  const { exception, message } = json<{ exception: string; message: string }>();
  return [statusCode, exception.split('.').at(-1), message];
};

const phone = {
  name: 'Phone',
  type: 'multi-valued',
  attributes: [
    { name: 'PhoneType', type: 'integer', default: 0 },
    { name: 'PhoneNumber', type: 'string', length: 15 },
  ],
  unique: ['PhoneNumber'],
};

describe('the profile schema', () => {
  it('lists the core attributes', async () => {
    const answer = await get('metadata/profiles');
    expect(answer.statusCode).toBe(200);
    expect(answer.headers['x-cs-position']).toMatch(/(^|,)c:\d+$/);
    expect(answer.json<object[]>()).toHaveLength(15);
    expect(answer.json<object[]>()).toEqual(
      expect.arrayContaining([
        { name: 'FirstName', type: 'string', length: 256, encrypt: false },
        { name: 'DOB', type: 'date', encrypt: false },
      ]),
    );
  });
});

describe('profile extension schemas', () => {
  it('are created, shown by name in any case, and deleted', async () => {
    const created = await send('POST', 'metadata/profiles/extensions', phone);
    expect([created.statusCode, created.body]).toEqual([201, '']);
    expect(created.headers.location).toBe('/genesys/1/cs/metadata/profiles/extensions/Phone');
    const shown = {
      ...phone,
      attributes: [phone.attributes[0], { ...phone.attributes[1], mandatory: true }],
    };
    expect((await get(String(created.headers.location))).json()).toEqual(shown);
    expect((await get('metadata/profiles/extensions/PHONE')).json()).toEqual(shown);
    expect(
      (await send('POST', '/cv/metadata/profiles/extensions/', { ...phone, name: 'Address' })).headers.location,
    ).toBe('/cv/metadata/profiles/extensions/Address');
    const all = await get('metadata/profiles/extensions');
    expect(all.json<{ name: string }[]>().map(({ name }) => name)).toEqual(['Address', 'Phone']);
    const deleted = await send('DELETE', 'metadata/profiles/extensions/aDDRESS');
    expect([deleted.statusCode, deleted.body]).toEqual([204, '']);
    expect(refusal(await get('metadata/profiles/extensions/Address'))).toEqual([
      404,
      'NotFoundException',
      'There are no profile extension found for : Address',
    ]);
    expect((await send('DELETE', 'metadata/profiles/extensions/Address')).statusCode).toBe(404);
  });
  it('can be posted back as they were answered, once they are gone', async () => {
    const shown = (await get('metadata/profiles/extensions/Phone')).json<object>();
    expect(refusal(await send('POST', 'metadata/profiles/extensions', shown))).toEqual([
      409,
      'ConflictException',
      'There is a profile extension named Phone already',
    ]);
    await send('DELETE', 'metadata/profiles/extensions/Phone');
    expect((await send('POST', 'metadata/profiles/extensions', shown)).statusCode).toBe(201);
    expect((await get('metadata/profiles/extensions/Phone')).json()).toEqual(shown);
  });
  it('are refused with the reason', async () => {
    expect(refusal(await send('POST', 'metadata/profiles/extensions', { ...phone, name: 'firstname' }))).toEqual([
      409,
      'ConflictException',
      'FirstName is a core attribute of profiles: no extension can have its name',
    ]);
    expect(refusal(await send('POST', 'metadata/profiles/extensions', { ...phone, name: 'id_key' }))).toEqual([
      400,
      'ValidationException',
      'The profile extension cannot be named id_key: the name has a meaning of its own',
    ]);
  });
});

describe('identification keys', () => {
  it('are created, shown with the prefix of their extension, and deleted', async () => {
    const created = await send('POST', 'metadata/identification-keys', {
      name: 'ByPhone',
      source: 'phone',
      attributes: ['phonenumber'],
    });
    expect([created.statusCode, created.body, created.headers.location]).toEqual([
      201,
      '',
      '/genesys/1/cs/metadata/identification-keys/ByPhone',
    ]);
    const shown = { name: 'ByPhone', source: 'Phone', attributes: ['Phone.PhoneNumber'], unique: false };
    expect((await get('metadata/identification-keys/BYPHONE')).json()).toEqual(shown);
    expect(refusal(await send('DELETE', 'metadata/profiles/extensions/Phone'))).toEqual([
      409,
      'ConflictException',
      'The profile extension Phone is used by the identification key ByPhone',
    ]);
    expect((await send('DELETE', 'metadata/identification-keys/byphone')).statusCode).toBe(204);
    expect((await send('DELETE', 'metadata/identification-keys/byphone')).statusCode).toBe(404);
    expect((await get('metadata/identification-keys/ByPhone')).statusCode).toBe(404);
    expect((await send('POST', 'metadata/identification-keys', shown)).statusCode).toBe(201);
    expect((await get('metadata/identification-keys')).json()).toEqual([shown]);
  });
  it('are of what is there', async () => {
    expect(
      refusal(await send('POST', 'metadata/identification-keys', { name: 'K', attributes: ['PhoneNumber', 'Nope'] })),
    ).toEqual([400, 'ValidationException', "There is no attribute named 'Nope' in the profile"]);
  });
});

describe('business attributes', () => {
  const media = {
    name: 'Media Type',
    display_name: 'Media Type',
    description: '',
    map_name: true,
    cv_attributes: ['Service.media_type', 'Service.type'],
    values: [
      { name: 'email', dbid: 1003, display_name: 'E-Mail', description: 'written' },
      { name: 'voice', default: true, expiration: '2w' },
    ],
  };
  const path = 'metadata/business-attributes/Media%20Type';

  it('are defined, given their DBIDs, and shown', async () => {
    const created = await send('PUT', path, {
      ...media,
      cv_attributes: ['Service.media_type', 'Service.service_type'],
    });
    expect([created.statusCode, created.body, created.headers.location]).toEqual([
      201,
      '',
      '/genesys/1/cs/metadata/business-attributes/Media%20Type',
    ]);
    const shown = {
      ...media,
      dbid: 1004,
      values: [
        media.values[0],
        { name: 'voice', dbid: 1005, display_name: 'voice', description: '', default: true, expiration: '2w' },
      ],
    };
    expect((await get(path)).json()).toEqual(shown);
    for (const field of ['Service.media_type', 'Service.type', 'Service.service_type'])
      expect((await get(`metadata/business-attributes?cv-attribute=${field}`)).json()).toEqual(shown);
    const all = await get('metadata/business-attributes');
    expect(all.json<{ name: string }[]>().map(({ name }) => name)).toEqual(['ContactAttributes', 'Media Type']);
  });
  it('can be put back as they were answered', async () => {
    const shown = (await get(path)).json<object>();
    const changed = await send('PUT', path, shown);
    expect([changed.statusCode, changed.headers.location, changed.body]).toEqual([200, undefined, '']);
    expect((await get(path)).json()).toEqual(shown);
  });
  it('share no field', async () =>
    expect(refusal(await send('PUT', 'metadata/business-attributes/A', { cv_attributes: ['Service.type'] }))).toEqual([
      409,
      'ConflictException',
      'Service.type is mapped on the business attribute Media Type already',
    ]));
  it('are not found where there are none', async () => {
    expect(refusal(await get('metadata/business-attributes/media%20type'))).toEqual([
      404,
      'NotFoundException',
      'There are no business attribute found for : media type',
    ]);
    expect(refusal(await get('metadata/business-attributes?cv-attribute=Task.type'))).toEqual([
      404,
      'NotFoundException',
      'There are no business attribute found for : Task.type',
    ]);
    expect(refusal(await get('metadata/business-attributes?cv-attribute=Task.service_type')).slice(0, 2)).toEqual([
      400,
      'ValidationException',
    ]);
  });
  it('have any name', async () => {
    for (const name of ['__proto__', 'constructor', 'a/b%', 'Zoë 🙂']) {
      const there = `metadata/business-attributes/${encodeURIComponent(name)}`;
      expect((await send('PUT', there, { name, values: [{ name }] })).statusCode).toBe(201);
      expect((await get(there)).json()).toMatchObject({ name, display_name: name, values: [{ name }] });
      expect((await send('DELETE', there)).statusCode).toBe(204);
      expect((await send('DELETE', there)).statusCode).toBe(404);
    }
    expect((await get('metadata/business-attributes')).json()).toHaveLength(2);
  });
  it('refuse a name in the body that is not that of the path', async () =>
    expect(refusal(await send('PUT', path, { name: 'other' }))).toEqual([
      400,
      'ValidationException',
      "name in the body is 'other', in the path 'Media Type'",
    ]));
  it('are the core attributes of profiles too', async () => {
    const contact = 'metadata/business-attributes/ContactAttributes';
    const before = (await get(contact)).json<{ values: object[] }>();
    await send('PUT', contact, { ...before, values: [...before.values, { name: 'Birthday', type: 'date' }] });
    const schema = (await get('metadata/profiles')).json<object[]>();
    expect(schema.at(-1)).toEqual({ name: 'Birthday', type: 'date', encrypt: false });
  });
});

describe('a repeated request', () => {
  const key = { 'idempotency-key': 'once' };

  it('gets its first answer, and the same key with another request is refused', async () => {
    const ask = () => send('POST', 'metadata/profiles/extensions', { ...phone, name: 'Fax' }, key);
    const first = await ask();
    expect(first.statusCode).toBe(201);
    const second = await ask();
    expect([second.statusCode, second.headers.location]).toEqual([201, first.headers.location]);
    expect(refusal(await send('POST', 'metadata/profiles/extensions', phone, key)).slice(0, 2)).toEqual([
      422,
      'UnprocessableEntityException',
    ]);
  });
  it('stays new for who asked first', async () => {
    const ask = () => send('PUT', 'metadata/business-attributes/Colour', {}, { 'idempotency-key': 'colour' });
    expect([(await ask()).statusCode, (await ask()).statusCode]).toEqual([201, 201]);
    expect((await send('PUT', 'metadata/business-attributes/Colour', {})).statusCode).toBe(200);
  });
});

describe('the ways into the metadata', () => {
  const links = (prefix: string) => ({
    'identification-keys schemas': `${prefix}/metadata/identification-keys`,
    'business-attributes mapping': `${prefix}/metadata/business-attributes`,
    'Profile Extensions': `${prefix}/metadata/profiles/extensions`,
    'Profile Schema': `${prefix}/metadata/profiles`,
  });

  it.each([
    {},
    { accept: '*/*' },
    { accept: 'application/json, text/html' },
    { 'content-type': 'application/json', accept: 'text/html' },
  ])('are JSON for %j', async (headers) => {
    const answer = await get('metadata', headers as Record<string, string>);
    expect(answer.headers['content-type']).toBe('application/json;charset=UTF-8');
    expect(answer.json()).toEqual(links('/genesys/1/cs'));
  });
  it.each([
    { 'content-type': 'text/html' },
    { 'content-type': 'text/html;charset=UTF-8', accept: 'application/json' },
    { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' },
  ])('are a page for %j', async (headers) => {
    const answer = await get('/cv/metadata', headers as Record<string, string>);
    expect(answer.headers['content-type']).toBe('text/html;charset=UTF-8');
    for (const [title, path] of Object.entries(links('/cv'))) {
      expect(answer.body).toContain(`<a href="${path}">${title}</a>`);
      expect((await get(path)).statusCode).toBe(200);
    }
  });
});

it('the cache names what is in memory, and is read again when asked to', async () => {
  const before = (await get('metadata/cache')).json<{ loaded: string }>();
  expect(before).toEqual({
    'profiles-extensions': ['Fax', 'Phone'],
    'identification-keys': ['ByPhone'],
    loaded: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
  });
  const after = await send('PUT', 'metadata/cache');
  expect([after.statusCode, after.json()]).toEqual([200, { ...before, loaded: expect.any(String) }]);
  expect(after.json<{ loaded: string }>().loaded > before.loaded).toBe(true);
});

describe('an error', () => {
  it('tells of the request, as the half of profiles does, and of the exception, as the other half', async () => {
    expect((await get('/cv/metadata/profiles/extensions/Nope?a=b')).json()).toEqual({
      http_method: 'GET',
      http_uri: '/metadata/profiles/extensions/Nope',
      http_code: 404,
      code: 404,
      error: 'Not Found',
      message: 'There are no profile extension found for : Nope',
      exception: 'com.genesyslab.gsg.services.contextservices.exceptions.NotFoundException',
    });
    expect(Object.keys((await get('services/nope', { accept: 'application/json' })).json<object>())).toEqual([
      'message',
      'exception',
    ]);
  });
  it('is a problem for who asks for one', async () =>
    expect(
      (await get('metadata/profiles/extensions/Nope', { accept: 'application/problem+json' })).json(),
    ).toMatchObject({
      title: 'NotFoundException',
      status: 404,
    }));
});

describe('in production', () => {
  beforeAll(() => mode('production'));

  it('metadata is read', async () => {
    for (const path of [
      'metadata',
      'metadata/cache',
      'metadata/profiles',
      'metadata/profiles/extensions',
      'metadata/profiles/extensions/Phone',
      'metadata/identification-keys',
      'metadata/identification-keys/ByPhone',
      'metadata/business-attributes',
      'metadata/business-attributes/ContactAttributes',
    ])
      expect({ path, status: (await get(path)).statusCode }).toEqual({ path, status: 200 });
  });
  it('an extension can be created, and no other change is possible', async () => {
    expect((await send('POST', 'metadata/profiles/extensions', { ...phone, name: 'Mail' })).statusCode).toBe(201);
    for (const [method, path, body] of [
      ['DELETE', 'metadata/profiles/extensions/Mail', undefined],
      ['POST', 'metadata/identification-keys', { name: 'K', attributes: ['PIN'] }],
      ['DELETE', 'metadata/identification-keys/ByPhone', undefined],
      ['PUT', 'metadata/business-attributes/A', {}],
      ['DELETE', 'metadata/business-attributes/ContactAttributes', undefined],
    ] as const) {
      const [, [name]] = [method, path.split('?')];
      expect(refusal(await send(method, path, body))).toEqual([
        503,
        'ModeException',
        `The method '${method} /${name}' is not available while the system is in 'production' mode.`,
      ]);
    }
  });
});

it('metadata is there after a restart', async () => {
  const before = await Promise.all(
    ['metadata/business-attributes', 'metadata/identification-keys'].map((path) => get(path)),
  );
  await api.restart();
  const after = await Promise.all(
    ['metadata/business-attributes', 'metadata/identification-keys'].map((path) => get(path)),
  );
  expect(after.map((answer) => answer.json<unknown>())).toEqual(before.map((answer) => answer.json<unknown>()));
});
