import type { LightMyRequestResponse } from 'fastify';
import type { OpenAPIObject } from '@nestjs/swagger';
import { ApiOptions } from '../api.options.js';
import { OpenApi } from '../http/open-api.js';
import { RunningApi } from '../testing/running-api.js';

/*
 * Every route of the contract, and every kind of request that must be refused there, as rows of a table that is made from
 * the routes of the running program: a route without a sample, or a parameter or field without rows, fails.
 */

const { basePath } = new ApiOptions();
const packageOfExceptions = 'com.genesyslab.gsg.services.contextservices.exceptions.';

type Json = unknown;

interface Asked {
  readonly path: string;
  readonly body?: Json;
}

interface World {
  /** Unlike those of any other world. */
  readonly customer: string;
  readonly contact: string;
  readonly service: string;
  readonly state: string;
  readonly completedState: string;
  readonly task: string;
  readonly completedTask: string;
  /** A state and a task of another service. */
  readonly foreignState: string;
  readonly foreignTask: string;
  readonly completedService: string;
  /** Its number: metadata of its own is named after it. */
  readonly n: number;
}

interface Sample {
  readonly status: number;
  readonly ask: (world: World) => Asked;
  /** In which it must be asked; production when missing. */
  readonly mode?: 'maintenance';
}

/** Schema, identification key or business attribute of a world, by the letter of its kind. */
const part = (letter: string, { n }: World): string => `${letter}${n}`;
/** An extension, one that a key uses, keys of the latter and of the profile, a business attribute. */
const [EXTENSION, USED_EXTENSION, KEY, PROFILE_KEY, ATTRIBUTE] = ['E', 'U', 'K', 'P', 'A'] as const;
const oneAttribute = [{ name: 'code', type: 'integer', length: 5, default: 0, mandatory: false, encrypt: false }];
const oneValue = [
  { name: 'red', dbid: 900_000, display_name: 'Red', description: '', default: true, expiration: '2w' },
];

/** One good request for each operation, and what it is answered with. */
const samples: Readonly<Record<string, Sample>> = {
  S1: { status: 201, ask: ({ customer }) => ({ path: 'services/start', body: { customer_id: customer } }) },
  S2: {
    status: 200,
    ask: ({ customer, service }) => ({ path: `customers/${customer}/services/${service}`, body: {} }),
  },
  S3: { status: 204, ask: ({ service }) => ({ path: `services/${service}/end`, body: {} }) },
  S4: { status: 200, ask: ({ service }) => ({ path: `services/${service}` }) },
  S5: { status: 200, ask: ({ service }) => ({ path: `services/${service}` }) },
  S6_all: { status: 200, ask: ({ customer }) => ({ path: `customers/${customer}/services` }) },
  S6_active: { status: 200, ask: ({ customer }) => ({ path: `customers/${customer}/services/active` }) },
  S6_completed: { status: 200, ask: ({ customer }) => ({ path: `customers/${customer}/services/completed` }) },
  S7_all: { status: 200, ask: ({ contact }) => ({ path: `services/anonymous/${contact}` }) },
  S7_active: { status: 200, ask: ({ contact }) => ({ path: `services/anonymous/${contact}/active` }) },
  S7_completed: { status: 200, ask: ({ contact }) => ({ path: `services/anonymous/${contact}/completed` }) },
  S8: { status: 200, ask: ({ service }) => ({ path: `services/${service}/extensions/Survey`, body: { a: 1 } }) },
  S9: { status: 200, ask: ({ service }) => ({ path: `services/${service}/extensions/Survey/merge`, body: { a: 1 } }) },
  S10: { status: 200, ask: ({ service }) => ({ path: `services/${service}`, body: { ttl: 3600 } }) },
  S11: {
    status: 200,
    ask: ({ customer }) => ({
      path: 'services_composite/start',
      body: { services: [{ service: { customer_id: customer }, state: { state_type: 1 }, task: { task_type: 2 } }] },
    }),
  },
  T1: { status: 201, ask: ({ service }) => ({ path: `services/${service}/states/start`, body: { state_type: 'A' } }) },
  T2: { status: 204, ask: ({ service, state }) => ({ path: `services/${service}/states/${state}/end`, body: {} }) },
  T3: {
    status: 201,
    ask: ({ service, state }) => ({
      path: `services/${service}/states/transition`,
      body: { from: { state_id: state }, to: { state_type: 'B' } },
    }),
  },
  T4_all: { status: 200, ask: ({ service }) => ({ path: `services/${service}/states` }) },
  T4_active: { status: 200, ask: ({ service }) => ({ path: `services/${service}/states/active` }) },
  T4_completed: { status: 200, ask: ({ service }) => ({ path: `services/${service}/states/completed` }) },
  T5: { status: 200, ask: ({ service, state }) => ({ path: `services/${service}/states/${state}` }) },
  T6: {
    status: 200,
    ask: ({ service, state }) => ({ path: `services/${service}/states/${state}/extensions/Survey`, body: [1] }),
  },
  T7: {
    status: 200,
    ask: ({ service, state }) => ({ path: `services/${service}/states/${state}/extensions/Survey/merge`, body: {} }),
  },
  K1: { status: 201, ask: ({ service }) => ({ path: `services/${service}/tasks/start`, body: { task_type: 'A' } }) },
  K2: { status: 204, ask: ({ service, task }) => ({ path: `services/${service}/tasks/${task}/end`, body: {} }) },
  K3_all: { status: 200, ask: ({ service }) => ({ path: `services/${service}/tasks` }) },
  K3_active: { status: 200, ask: ({ service }) => ({ path: `services/${service}/tasks/active` }) },
  K3_completed: { status: 200, ask: ({ service }) => ({ path: `services/${service}/tasks/completed` }) },
  K4: { status: 200, ask: ({ service, task }) => ({ path: `services/${service}/tasks/${task}` }) },
  K5: {
    status: 200,
    ask: ({ service, task }) => ({ path: `services/${service}/tasks/${task}/extensions/Survey`, body: 'x' }),
  },
  K6: {
    status: 200,
    ask: ({ service, task }) => ({ path: `services/${service}/tasks/${task}/extensions/Survey/merge`, body: {} }),
  },
  C1: { status: 200, ask: () => ({ path: 'metadata/profiles' }) },
  C2: {
    status: 201,
    ask: (world) => ({
      path: 'metadata/profiles/extensions',
      body: { name: part('N', world), type: 'multi-valued', attributes: oneAttribute, unique: [] },
    }),
  },
  C3_all: { status: 200, ask: () => ({ path: 'metadata/profiles/extensions' }) },
  C3_one: { status: 200, ask: (world) => ({ path: `metadata/profiles/extensions/${part(EXTENSION, world)}` }) },
  C4: {
    status: 204,
    mode: 'maintenance',
    ask: (world) => ({ path: `metadata/profiles/extensions/${part(EXTENSION, world)}` }),
  },
  C5: {
    status: 201,
    mode: 'maintenance',
    ask: (world) => ({
      path: 'metadata/identification-keys',
      body: { name: part('N', world), source: part(EXTENSION, world), attributes: ['code'], unique: true },
    }),
  },
  C6_all: { status: 200, ask: () => ({ path: 'metadata/identification-keys' }) },
  C6_one: { status: 200, ask: (world) => ({ path: `metadata/identification-keys/${part(KEY, world)}` }) },
  C7: {
    status: 204,
    mode: 'maintenance',
    ask: (world) => ({ path: `metadata/identification-keys/${part(KEY, world)}` }),
  },
  C9: { status: 200, ask: () => ({ path: 'metadata' }) },
  C10: { status: 200, ask: () => ({ path: 'metadata/cache' }) },
  C11: { status: 200, ask: () => ({ path: 'metadata/cache' }) },
  M4_all: { status: 200, ask: () => ({ path: 'metadata/business-attributes' }) },
  M4_one: { status: 200, ask: (world) => ({ path: `metadata/business-attributes/${part(ATTRIBUTE, world)}` }) },
  B1: {
    status: 200,
    mode: 'maintenance',
    ask: (world) => ({
      path: `metadata/business-attributes/${part(ATTRIBUTE, world)}`,
      body: {
        name: part(ATTRIBUTE, world),
        dbid: 800_000 + world.n,
        display_name: 'Colour',
        description: '',
        map_name: true,
        cv_attributes: [],
        values: oneValue.map((value) => ({ ...value, dbid: value.dbid + world.n })),
      },
    }),
  },
  B2: {
    status: 204,
    mode: 'maintenance',
    ask: (world) => ({ path: `metadata/business-attributes/${part(ATTRIBUTE, world)}` }),
  },
  V1: { status: 200, ask: () => ({ path: 'server/status' }) },
  V2: { status: 200, ask: () => ({ path: 'server/mode', body: { mode: 'production' } }) },
};

/** Names that the contract gives a meaning to (2.6). */
const reserved =
  'service_id state_id task_id customer_id contact_key service_type state_type task_type previous_state_id session_id interaction_id application_type application_id resource_type resource_id media_type est_duration timestamp disposition disposition_desc ttl expiration_time auto_complete_after started completed active_states completed_states active_tasks completed_tasks'.split(
    ' ',
  );

interface Operation {
  readonly id: string;
  readonly method: string;
  readonly pattern: string;
  readonly pathParameters: readonly string[];
  readonly queryParameters: readonly string[];
  /** Of its body; missing, it takes none. */
  readonly body?: Schema;
}

interface Schema {
  readonly $ref?: string;
  readonly type?: string;
  readonly format?: string;
  readonly oneOf?: readonly Schema[];
  readonly allOf?: readonly Schema[];
  readonly items?: Schema;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly properties?: Readonly<Record<string, Schema>>;
}

/** A request that differs from the operation's sample in one thing only, and how it must be answered. */
interface Row {
  readonly kind: string;
  readonly what: string;
  readonly status: number;
  readonly exception?: string;
  readonly says?: RegExp | ((world: World) => RegExp);
  readonly method?: string;
  readonly path?: (path: string, world: World) => string;
  readonly body?: (body: Json, world: World) => Json;
  readonly raw?: string | Buffer;
  readonly headers?: Readonly<Record<string, string>>;
}

let api: RunningApi;
let document: OpenAPIObject;

beforeAll(async () => {
  api = await RunningApi.start();
  document = api.api.app.get(OpenApi).document;
  const other = { dbid: 700_000, cv_attributes: ['Task.resource_type'], values: [{ name: 'a', dbid: 700_000 }] };
  await inMode('maintenance', () => send('PUT', { path: 'metadata/business-attributes/Other', body: other }));
}, 60_000);

let refusals = 0;

afterAll(async () => {
  await api.stop();
  process.stdout.write(`suite: RouteTable, cases: ${refusals}\n`);
});

/* ---- what the program says of itself ---- */

function operations(): readonly Operation[] {
  const ofTheContract = Object.entries(document.paths).filter(([path]) => path.startsWith(`${basePath}/`));
  return ofTheContract.flatMap(([path, item]) =>
    Object.entries(item as Record<string, Record<string, never>>).map(([method, about]) => {
      const parameters = (about.parameters ?? []) as { name: string; in: string }[];
      const named = (where: string) => parameters.filter((one) => one.in === where).map(({ name }) => name);
      const body = about.requestBody as { content: { 'application/json': { schema: Schema } } } | undefined;
      return {
        id: String(about.operationId).replace(/_[A-Z]\w+$/, ''),
        method: method.toUpperCase(),
        pattern: path.replaceAll(/\{(\w+)\}/g, ':$1'),
        pathParameters: named('path'),
        queryParameters: named('query'),
        ...(body && { body: body.content['application/json'].schema }),
      };
    }),
  );
}

function resolved(schema: Schema): Schema {
  const name = (schema.$ref ?? schema.allOf?.[0]?.$ref)?.split('/').at(-1);
  return name === undefined ? schema : (document.components?.schemas?.[name] as Schema);
}

/* ---- rows ---- */

const long = (bytes: number) => 'ü'.repeat(bytes / 2);
const notObjects = [42, null, 'x', []];

/** Values that a field of this schema must refuse. A schema that is not known here has no rows, and that fails. */
function wrongValues(name: string, given: Schema): readonly Json[] {
  const schema = resolved(given);
  // Any JSON that fits the type of the attribute, a whole number in the samples.
  if (name === 'default' && schema.type === 'object') return ['x', 1.5, true, null, {}, []];
  if (schema.oneOf) return [true, null, {}, [], `${long(1024)}x`];
  switch (schema.type) {
    case 'string': {
      const never = [true, null, {}, ['x']];
      if (schema.format === 'date-time')
        return [...never, 42, '', 'yesterday', '2016-Dec-12T10:00:00.000Z', '2009-02-29T00:00:00Z'];
      if (schema.maxLength !== undefined) {
        return [
          ...never,
          'x'.repeat(schema.maxLength + 1),
          '😀'.repeat(schema.maxLength + 1),
          ...(schema.minLength === undefined ? [] : ['']),
          ...(name === 'disposition_desc' ? [42] : []),
        ];
      }
      return [...never, '', `${long(1024)}x`];
    }
    case 'integer':
      return [
        '5',
        1.5,
        true,
        null,
        {},
        [],
        ...(schema.minimum === undefined ? [] : [schema.minimum - 1, -1]),
        ...(schema.maximum === undefined ? [] : [schema.maximum + 1]),
      ];
    case 'boolean':
      return ['true', 1, null, {}];
    case 'array':
      return [
        ...notObjects.filter((value) =>
          schema.minItems !== 0 && schema.items?.type !== 'string' ? true : !Array.isArray(value),
        ),
        {},
        [42],
        [null],
        ...(schema.maxItems === undefined ? [] : [Array.from({ length: schema.maxItems + 1 }, () => ({}))]),
      ];
    case 'object':
      return notObjects;
    default:
      return [];
  }
}

/** The fields of a body and of the bodies in it, with a way to put a value there. */
function fields(
  schema: Schema,
  put: (body: Json, value: Json) => Json = (_, value) => value,
  get: (body: Json) => Json = (body) => body,
  where = '',
): readonly {
  readonly name: string;
  readonly where: string;
  readonly schema: Schema;
  readonly put: (body: Json, value: Json) => Json;
}[] {
  return Object.entries(resolved(schema).properties ?? {}).flatMap(([name, field]) => {
    const putHere = (body: Json, value: Json) => put(body, { ...(get(body) as object), [name]: value });
    const here = { name, where: `${where}${name}`, schema: field, put: putHere };
    const { type, items } = resolved(field);
    if (type === 'object') {
      return [
        here,
        ...fields(field, putHere, (body) => (get(body) as Record<string, Json>)?.[name], `${where}${name}.`),
      ];
    }
    if (type === 'array' && items) {
      const first = (body: Json) => ((get(body) as Record<string, Json[]>)?.[name] ?? [])[0];
      return [here, ...fields(items, (body, value) => putHere(body, [value]), first, `${where}${name}[0].`)];
    }
    return [here];
  });
}

const bad = (kind: string, what: string, rest: Partial<Row> = {}): Row => ({ kind, what, status: 400, ...rest });

function rowsOf(operation: Operation): readonly Row[] {
  return [
    ...pathRows(operation),
    ...headerRows(operation),
    ...queryRows(operation),
    ...bodyRows(operation),
    ...idRows(operation),
    ...(rowsOfOneOperation[operation.id] ?? []),
  ];
}

function pathRows({ method, pathParameters }: Operation): readonly Row[] {
  return [
    { kind: 'method', what: 'a method that is not there', status: 405, method: 'PATCH', says: /PATCH is not allowed/ },
    bad('path', 'an empty segment', {
      path: (path) => (path.includes('/') ? path.replace('/', '//') : `${path}//`),
      exception: 'BadRequestException',
    }),
    bad('path', 'bad percent-encoding', { path: (path) => `${path}/%zz`, exception: 'BadRequestException' }),
    bad('path', 'percent-encoding that is not UTF-8', {
      path: (path) => `${path}/%ff`,
      exception: 'BadRequestException',
    }),
    { kind: 'path', what: 'one segment too many', status: 404, path: (path) => `${path}/a/b/c/d`, says: /no resource/ },
    ...pathParameters.flatMap((name): readonly Row[] => {
      const put = (world: World, value: string) => (path: string) => path.replace(worldValue(name, world, path), value);
      switch (name) {
        case 'customer_id':
        case 'contact_key':
          return [
            bad('length', `a ${name} of 1026 bytes`, {
              path: (path, world) => put(world, encodeURIComponent(long(1026)))(path),
            }),
          ];
        case 'ext_name':
          return [
            ...reserved.map((word) =>
              bad('reserved name', `the extension ${word}`, {
                path: (path) => path.replace('Survey', word),
                exception: 'ValidationException',
              }),
            ),
            bad('length', 'an extension name of 1026 bytes', {
              path: (path) => path.replace('Survey', encodeURIComponent(long(1026))),
            }),
          ];
        default:
          return [];
      }
    }),
    ...(method === 'GET'
      ? []
      : [
          bad('header', 'an Idempotency-Key of 256 characters', { headers: { 'idempotency-key': 'k'.repeat(256) } }),
        ].filter(() => method !== 'DELETE')),
  ];
}

const worldValue = (name: string, world: World, path: string): string =>
  ({
    customer_id: world.customer,
    contact_key: world.contact,
    service_id: world.service,
    state_id: world.state,
    task_id: world.task,
  })[name] ?? path;

const headerRows = ({ id }: Operation): readonly Row[] => [
  bad('tenant', 'a ContactCenterId that is not configured', {
    headers: { contactcenterid: 'wrong value' },
    exception: 'ContextServicesExceptionResource',
    says: /^Invalid tenant specified : specified tenant in HTTP header 'ContactCenterId'='wrong value' not configured\. Verify configuration\.$/,
  }),
  ...['x', 's1', 's1:-1', 's1:1,', 's1:1 p', 'c', 'c1:1', 'c:-1'].map((position) =>
    bad('position', `X-CS-Position ${JSON.stringify(position)}`, { headers: { 'x-cs-position': position } }),
  ),
  ...['c:999999999', ...(isOfServices(id) ? ['s1:999999999'] : [])].map((position) =>
    bad('position', `a position behind the end of the log, ${position}`, { headers: { 'x-cs-position': position } }),
  ),
];

/** The others do not read what is recorded of services. */
const isOfServices = (id: string): boolean => /^[STK]\d/.test(id);

const wrongQueries: Readonly<Record<string, readonly string[]>> = {
  ...Object.fromEntries(
    ['active_states', 'completed_states', 'active_tasks', 'completed_tasks', 'create_new_services'].map((flag) => [
      flag,
      ['yes', '1', '', 'true,false', 'true&FLAG=true'.replace('FLAG', flag)],
    ]),
  ),
  started_from: ['yesterday', '', '2009-05-12', '2009-13-01T00:00:00Z'],
  started_to: ['yesterday', '', '2009-05-12', '2009-13-01T00:00:00Z'],
  limit: ['0', '-1', '1.5', 'all', '', '1&limit=2'],
  page: ['1', 'bm90IG91cnM&limit=1', 'W10&limit=1', ''],
  'cv-attribute': [
    '',
    'Service',
    'Service.state_type',
    'service.type',
    '__proto__',
    'Service.type&cv-attribute=Task.type',
  ],
};
/** Any text is good here. */
const anyText = new Set(['extensions', 'service_types', 'state_types', 'task_types', 'state_id']);

const queryRows = ({ queryParameters }: Operation): readonly Row[] => [
  bad('query', 'bad percent-encoding', { path: (path) => `${path}?a=%zz`, exception: 'BadRequestException' }),
  ...queryParameters
    .filter((name) => !anyText.has(name))
    .flatMap((name) =>
      (wrongQueries[name] ?? []).map((value) =>
        bad('query', `${name}=${value}`, {
          path: (path) => `${path}?${name}=${value}`,
          exception: 'ValidationException',
          says: new RegExp(name),
        }),
      ),
    ),
];

function bodyRows(operation: Operation): readonly Row[] {
  const { id, body: schema } = operation;
  if (!schema) return [];
  const takesAnyJson = ['S8', 'T6', 'K5'].includes(id);
  const takesObject = !takesAnyJson;
  const half = String.raw`{"a":"\ud800"}`;
  return [
    ...['{', '{"a":}', 'a=b', "{'a':1}", '{"a":1} x'].map((raw) =>
      bad('broken JSON', raw, { raw, exception: 'BadRequestException' }),
    ),
    bad('encoding', 'bytes that are not UTF-8', { raw: Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]) }),
    bad('encoding', 'half of a surrogate pair', { raw: half, says: /surrogate/ }),
    bad('depth', 'a document of 100,000 levels', { raw: '['.repeat(100_000), says: /levels/ }),
    bad('number', 'an integer beyond 2^53', { raw: '{"a":9007199254740993}', says: /send it as text/ }),
    bad('number', 'an overflow', { raw: '{"a":[1e400]}', says: /send it as text/ }),
    {
      kind: 'limit',
      what: 'a body of more than 1 MiB',
      status: 413,
      raw: JSON.stringify('x'.repeat(1024 * 1024)),
      exception: 'PayloadTooLargeException',
    },
    ...['application/x-www-form-urlencoded', 'text/plain', 'multipart/form-data; boundary=x'].map((type) => ({
      kind: 'content type',
      what: `${type} that is not JSON`,
      status: 415,
      raw: 'name=value',
      headers: { 'content-type': type },
      exception: 'UnsupportedMediaTypeException',
    })),
    {
      kind: 'content type',
      what: 'a compressed body',
      status: 415,
      raw: '{}',
      headers: { 'content-encoding': 'gzip' },
    },
    ...(takesObject
      ? notObjects.map((value) => bad('not an object', JSON.stringify(value), { body: () => value }))
      : []),
    ...(takesAnyJson ? [bad('missing body', 'no body at all', { body: () => undefined, raw: '' })] : []),
    ...fields(schema).flatMap(({ name, where, schema: field, put }) => [
      ...wrongValues(name, field).map((value) =>
        bad('type', `${where}: ${JSON.stringify(value).slice(0, 40)}`, {
          body: (body) => put(body, value),
          exception: 'ValidationException',
          says: new RegExp(name),
        }),
      ),
      ...(name === 'expiration_time'
        ? ['2009-05-12T12:05:12.145Z', '0001-01-01T00:00:00Z'].map((value) =>
            bad('past', `${where}: ${value}`, {
              body: (body) => put(without(body, 'ttl'), value),
              says: /in the future/,
            }),
          )
        : []),
    ]),
    ...(isOfMetadata(id)
      ? [
          bad('missing', 'no body', { body: () => undefined, raw: '', says: /body is missing/ }),
          ...['mine', '__proto__', 'service_id'].map((name) =>
            bad('lost', `the name ${name}`, {
              body: (body) => ({ ...(body as object), ...Object.fromEntries([[name, 1]]) }),
              says: new RegExp(`^${name} is not known here`),
            }),
          ),
        ]
      : []),
    ...(resolved(schema).properties === undefined || id === 'V2'
      ? []
      : [
          bad('length', 'an extension name of 1026 bytes', {
            body: (body) => ({ ...(body as object), [long(1026)]: 1 }),
          }),
        ]),
  ];
}

const without = (body: Json, name: string): Json =>
  Object.fromEntries(Object.entries(body as object).filter(([other]) => other !== name));

const isOfMetadata = (id: string): boolean => /^[BCM]\d/.test(id);

const firstElement = (body: Json): Json => (body as { services: Json[] }).services[0];

/** What only one operation refuses. */
const rowsOfOneOperation: Readonly<Record<string, readonly Row[]>> = {
  S1: [
    bad('missing', 'neither customer_id nor contact_key', {
      body: () => ({ service_type: 'A' }),
      says: /customer_id or contact_key/,
    }),
  ],
  S10: [
    bad('missing', 'neither ttl nor expiration_time', { body: () => ({}), says: /ttl or expiration_time/ }),
    bad('missing', 'no body', { body: () => undefined, raw: '' }),
    bad('lost', 'an extension', { body: () => ({ ttl: 1, mine: 1 }), says: /mine is not known/ }),
  ],
  S11: [
    bad('missing', 'no services', { body: () => ({}), says: /services is missing/ }),
    bad('missing', 'no body', { body: () => undefined, raw: '' }),
    bad('missing', 'no service in the second element', {
      body: (body) => ({ services: [firstElement(body), { state: {} }] }),
      says: /services\[1\]\.service is missing/,
    }),
    bad('missing', 'a service of nobody', {
      body: () => ({ services: [{ service: {} }] }),
      says: /services\[0\]\.service\.customer_id or/,
    }),
    bad('lost', 'a name beside services', { body: (body) => ({ ...(body as object), mine: 1 }) }),
    bad('missing', 'a task tied to no state', {
      body: (body) => ({
        services: [{ ...(without(firstElement(body), 'state') as object), associate_state_task: true }],
      }),
    }),
    bad('lost', 'a task tied to the state of its element and to another one', {
      body: (body, { state }) => ({
        services: [{ ...(firstElement(body) as object), task: { state_id: state }, associate_state_task: true }],
      }),
      says: /both name/,
    }),
    {
      kind: 'foreign id',
      what: 'a task in the state of another service',
      status: 404,
      body: (_, { customer, foreignState }) => ({
        services: [{ service: { customer_id: customer }, task: { state_id: foreignState } }],
      }),
      says: /no state found/,
    },
  ],
  S2: [
    bad('other id', 'another customer in the body', {
      body: () => ({ customer_id: 'other' }),
      says: /customer_id in the body/,
    }),
  ],
  ...Object.fromEntries(
    ['S4', 'T4_all', 'T5', 'K3_all', 'K4'].map((id) => [
      id,
      [bad('query', 'at', { path: (path: string) => `${path}?at=2020-01-01T00:00:00Z`, says: /not served yet/ })],
    ]),
  ),
  T1: [foreignState('previous_state_id')],
  K1: [foreignState('state_id')],
  T3: [
    bad('missing', 'no from', { body: () => ({ to: {} }), says: /from is missing/ }),
    bad('missing', 'no to', { body: (_, { state }) => ({ from: { state_id: state } }), says: /to is missing/ }),
    bad('missing', 'no from.state_id', { body: () => ({ from: {}, to: {} }), says: /from\.state_id is missing/ }),
    bad('missing', 'no body', { body: () => undefined, raw: '' }),
    bad('lost', 'an extension beside from and to', {
      body: (body) => ({ ...(body as object), mine: 1 }),
      says: /mine is not known/,
    }),
    ...['disposition', 'disposition_desc', 'est_duration', 'state_type'].map((name) =>
      bad('lost', `${name} beside from and to`, {
        body: (body: Json) => ({ ...(body as object), [name]: 5 }),
        says: new RegExp(`^${name} is not known`),
      }),
    ),
    ...(['nowhere', 'foreignState'] as const).map((which) => ({
      kind: 'foreign id',
      what: `from.state_id: ${which}`,
      status: 404,
      body: (body: Json, world: World) => ({
        ...(body as object),
        from: { state_id: which === 'nowhere' ? which : world[which] },
      }),
      says: /no state found/,
    })),
    {
      kind: 'second end',
      what: 'a state that is completed',
      status: 409,
      exception: 'ConflictException',
      body: (body, { completedState }) => ({ ...(body as object), from: { state_id: completedState } }),
      says: /was completed at 20/,
    },
  ],
  S3: [
    {
      kind: 'second end',
      what: 'a service that is completed',
      status: 409,
      exception: 'ConflictException',
      path: (path, { service, completedService }) => path.replace(service, completedService),
      says: /was completed at 20/,
    },
  ],
  T2: [
    {
      kind: 'second end',
      what: 'a state that is completed',
      status: 409,
      exception: 'ConflictException',
      path: (path, { state, completedState }) => path.replace(state, completedState),
      says: /was completed at 20/,
    },
    bad('other id', 'the id of another state in the body', {
      body: () => ({ state_id: 'other' }),
      says: /state_id in the body/,
    }),
  ],
  K2: [
    {
      kind: 'second end',
      what: 'a task that is completed',
      status: 409,
      exception: 'ConflictException',
      path: (path, { task, completedTask }) => path.replace(task, completedTask),
      says: /was completed at 20/,
    },
    bad('other id', 'the id of another task in the body', {
      body: () => ({ task_id: 'other' }),
      says: /task_id in the body/,
    }),
  ],
  ...Object.fromEntries(['S9', 'T7', 'K6'].map((id) => [id, [bad('merge', 'a list', { body: () => [1] })]])),
  C2: [
    conflict('an extension that is there', (_, world) => ({ name: part('e', world) })),
    conflict('the name of a core attribute', () => ({ name: 'FIRSTNAME' })),
    ...['id_key', '1a', 'a-b', 'x'.repeat(27)].map((name) => changedTo(`the name ${name}`, () => ({ name }), /name/)),
    changedTo('a unique attribute that is not there', () => ({ unique: ['nope'] }), /named 'nope'/),
    changedTo('an attribute twice', () => ({ attributes: [...oneAttribute, ...oneAttribute] }), /more than one/),
    changedTo('values that are encrypted', () => ({ attributes: [{ ...oneAttribute[0], encrypt: true }] }), /encrypt/),
  ],
  C4: [inUse(USED_EXTENSION)],
  C5: [
    conflict('a key that is there', (_, world) => ({ name: part('k', world) })),
    changedTo('no attributes', () => ({ attributes: [] }), /no attributes/),
    changedTo('an attribute that is not there', () => ({ attributes: ['nope'] }), /named 'nope'/),
    changedTo('a source that is not there', () => ({ source: 'nope' }), /no profile extension named nope/),
    changedTo(
      'a mix of sources',
      (_, world) => ({ attributes: ['code', `${part(USED_EXTENSION, world)}.code`] }),
      /another source/,
    ),
  ],
  B1: [
    changedTo('another name than in the path', () => ({ name: 'other' }), /name in the body is 'other'/),
    bad('length', 'a name of 257 characters', {
      path: (path, world) => path.replace(part(ATTRIBUTE, world), 'x'.repeat(257)),
      says: /256 characters/,
    }),
    changedTo('a field that is not there', () => ({ cv_attributes: ['Service.id'] }), /cv_attributes/),
    changedTo(
      'two default values',
      () => ({ values: ['a', 'b'].map((name) => ({ name, default: true })) }),
      /more than one default/,
    ),
    changedTo('a value twice', () => ({ values: ['a', 'a'].map((name) => ({ name })) }), /more than one value/),
    changedTo('a bad expiration', () => ({ values: [{ name: 'a', expiration: '2' }] }), /expiration/),
    changedTo('a type', () => ({ values: [{ name: 'a', type: 'date' }] }), /have a type/),
    conflict('a field of another attribute', () => ({ cv_attributes: ['Task.resource_type'] })),
    conflict('the DBID of another attribute', () => ({ dbid: 700_000 })),
    conflict('the DBID of a value of another attribute', () => ({ values: [{ name: 'a', dbid: 700_000 }] })),
  ],
  B2: [
    {
      kind: 'in use',
      what: 'core attributes that a key is made of',
      status: 409,
      exception: 'ConflictException',
      path: (path, world) => path.replace(part(ATTRIBUTE, world), 'ContactAttributes'),
      says: /is used by the identification key/,
    },
  ],
};

function changedTo(what: string, change: (body: Json, world: World) => object, says: RegExp): Row {
  return bad('rule', what, {
    body: (body, world) => ({ ...(body as object), ...change(body, world) }),
    exception: 'ValidationException',
    says,
  });
}

function conflict(what: string, change: (body: Json, world: World) => object): Row {
  return { ...changedTo(what, change, /./), kind: 'conflict', status: 409, exception: 'ConflictException' };
}

function inUse(letter: string): Row {
  return {
    kind: 'in use',
    what: 'an extension that a key uses',
    status: 409,
    exception: 'ConflictException',
    path: (path, world) => path.replace(part(EXTENSION, world), part(letter, world)),
    says: /is used by the identification key/,
  };
}

function foreignState(name: string): Row {
  return {
    kind: 'foreign id',
    what: `${name} of another service`,
    status: 404,
    body: (_, world) => ({ [name]: world.foreignState }),
    says: ({ foreignState: id }) => new RegExp(`There are no state found for : ${id}`),
  };
}

function idRows({ id, method, pathParameters, body }: Operation): readonly Row[] {
  const unknown = (what: string, says: RegExp, path: Row['path']): Row => ({
    kind: 'unknown id',
    what,
    status: 404,
    exception: 'NotFoundException',
    says,
    ...(path && { path }),
  });
  return [
    ...(pathParameters.includes('name') && method !== 'PUT'
      ? ['nope', '__proto__', 'constructor', 'a%2Fb%25'].map((other) =>
          unknown(`the name ${other}`, new RegExp(` found for : ${decodeURIComponent(other)}$`), (path) =>
            path.replace(/[^/]+$/, other),
          ),
        )
      : []),
    ...(pathParameters.includes('service_id')
      ? [
          ...[
            'nope',
            '9-0193542a-7c00-7fff-bfff-ffffffffffff',
            '361-a3793cef-d559-4f9f-a95d-64555a4ba371',
            '__proto__',
            'a%2Fb%25',
          ].map((other) =>
            unknown(
              `the service ${other}`,
              new RegExp(`^There are no service found for : ${decodeURIComponent(other)}$`),
              (path, { service }) => path.replace(service, other),
            ),
          ),
          ...(body && resolved(body).properties
            ? [
                bad('other id', 'the id of another service in the body', {
                  body: (given: Json) => ({ ...(given as object), service_id: 'other' }),
                  says: /service_id in the body/,
                }),
              ]
            : []),
        ]
      : []),
    ...(pathParameters.includes('state_id')
      ? [
          unknown('a state', /^There are no state found for : nope$/, (path, { state }) => path.replace(state, 'nope')),
          unknown(
            'a state of another service',
            /^There are no state found for : /,
            (path, { state, foreignState: other }) => path.replace(state, other),
          ),
        ]
      : []),
    ...(pathParameters.includes('task_id')
      ? [
          unknown('a task', /^There are no task found for : nope$/, (path, { task }) => path.replace(task, 'nope')),
          unknown('a task of another service', /^There are no task found for : /, (path, { task, foreignTask }) =>
            path.replace(task, foreignTask),
          ),
        ]
      : []),
  ].filter(() => id !== '');
}

/* ---- sending ---- */

let worlds = 0;

async function makeWorld(): Promise<World> {
  const [customer, contact] = [`customer-${++worlds}`, `contact-${worlds}`];
  const start = async (path: string, body: Json): Promise<string> => {
    const answer = await send('POST', { path, body });
    expect({ path, status: answer.statusCode, body: answer.body }).toMatchObject({ status: 201 });
    return Object.values(answer.json<Record<string, string>>())[0] as string;
  };
  const end = async (path: string): Promise<void> => {
    expect((await send('POST', { path, body: {} })).statusCode).toBe(204);
  };
  const service = await start('services/start', { customer_id: customer, contact_key: contact });
  const other = await start('services/start', { contact_key: contact });
  const world = {
    customer,
    contact,
    service,
    state: await start(`services/${service}/states/start`, {}),
    completedState: await start(`services/${service}/states/start`, {}),
    task: await start(`services/${service}/tasks/start`, {}),
    completedTask: await start(`services/${service}/tasks/start`, {}),
    foreignState: await start(`services/${other}/states/start`, {}),
    foreignTask: await start(`services/${other}/tasks/start`, {}),
    completedService: other,
    n: worlds,
  };
  await end(`services/${service}/states/${world.completedState}/end`);
  await end(`services/${service}/tasks/${world.completedTask}/end`);
  await end(`services/${other}/end`);
  return world;
}

/** Does the work in this mode, and goes back to production. */
async function inMode<T>(mode: 'production' | 'maintenance', work: () => Promise<T>): Promise<T> {
  if (mode === 'production') return work();
  await switchTo(mode);
  try {
    return await work();
  } finally {
    await switchTo('production');
  }
}

async function switchTo(mode: string): Promise<void> {
  expect((await send('POST', { path: 'server/mode', body: { mode } })).statusCode).toBe(200);
}

/** The schemas, keys and attributes of a world; to be made in maintenance mode. */
async function makeMetadata(world: World): Promise<void> {
  const extension = (letter: string) => ({
    name: part(letter, world),
    type: 'single-valued',
    attributes: oneAttribute,
  });
  const made: readonly (readonly [string, Asked])[] = [
    ['POST', { path: 'metadata/profiles/extensions', body: extension(EXTENSION) }],
    ['POST', { path: 'metadata/profiles/extensions', body: extension(USED_EXTENSION) }],
    [
      'POST',
      {
        path: 'metadata/identification-keys',
        body: { name: part(KEY, world), attributes: [`${part(USED_EXTENSION, world)}.code`] },
      },
    ],
    [
      'POST',
      { path: 'metadata/identification-keys', body: { name: part(PROFILE_KEY, world), attributes: ['FirstName'] } },
    ],
    ['PUT', { path: `metadata/business-attributes/${part(ATTRIBUTE, world)}`, body: {} }],
  ];
  for (const [method, asked] of made) {
    const answer = await send(method, asked);
    expect({ asked, status: answer.statusCode, body: answer.body }).toEqual({ asked, status: 201, body: '' });
  }
}

const send = (
  method: string,
  { path, body }: Asked,
  rest: { raw?: string | Buffer; headers?: Record<string, string> } = {},
) =>
  api.request(method, path, {
    ...(rest.raw !== undefined ? { payload: rest.raw } : body !== undefined && { payload: JSON.stringify(body) }),
    ...(rest.headers && { headers: rest.headers }),
  });

function sendRow({ method }: Operation, row: Row, world: World, sample: Asked): Promise<LightMyRequestResponse> {
  const path = row.path?.(sample.path, world) ?? sample.path;
  const body = row.body ? row.body(sample.body, world) : sample.body;
  return send(row.method ?? method, { path, body }, row as never);
}

const everything = 'active_states=true&completed_states=true&active_tasks=true&completed_tasks=true&extensions=*';

/** All that a refused request must leave as it was. */
async function seen(world: World): Promise<Json> {
  const answers = await Promise.all([
    send('GET', { path: `services/${world.service}?${everything}` }),
    send('GET', { path: `customers/${world.customer}/services?${everything}` }),
    send('GET', { path: `services/anonymous/${world.contact}?${everything}` }),
    ...['profiles/extensions', 'identification-keys', 'business-attributes'].map((path) =>
      send('GET', { path: `metadata/${path}` }),
    ),
  ]);
  return answers.map((answer) => answer.json<Json>());
}

/* ---- the table ---- */

it('knows every operation of the contract and no other', () => {
  expect(
    operations()
      .map(({ id }) => id)
      .sort(),
  ).toEqual(Object.keys(samples).sort());
  const served = api.api.routes
    .all()
    .filter(
      ({ method, pattern }) =>
        method !== 'HEAD' && pattern.startsWith(`${basePath}/`) && !/\/(docs|openapi\.json)/.test(pattern),
    )
    .map(({ method, pattern }) => `${method} ${pattern}`);
  expect(served.sort()).toEqual(
    operations()
      .map(({ method, pattern }) => `${method} ${pattern}`)
      .sort(),
  );
  expect(served).toHaveLength(50);
});

it('offers Idempotency-Key, and its refusal, where the header is read', () => {
  for (const [path, item] of Object.entries(document.paths)) {
    for (const [method, about] of Object.entries(item as Record<string, Record<string, never>>)) {
      const parameters = (about.parameters ?? []) as { name: string }[];
      const offered = parameters.some(({ name }) => name === 'Idempotency-Key');
      const reads =
        path.startsWith(`${basePath}/`) && (method === 'post' || method === 'put') && !isWithoutKey(path, method);
      expect({ path, method, offered, refused: '422' in ((about.responses ?? {}) as object) }).toEqual({
        path,
        method,
        offered: reads,
        refused: reads,
      });
    }
  }
});

/** Nothing is recorded: the same once or twice. */
const isWithoutKey = (path: string, method: string): boolean =>
  method === 'put' && path === `${basePath}/metadata/cache`;

it('has rows for every parameter and field', () => {
  for (const operation of operations()) {
    for (const name of operation.queryParameters) {
      expect({ name, known: anyText.has(name) || name in wrongQueries }).toEqual({ name, known: true });
    }
    for (const { where, name, schema } of operation.body ? fields(operation.body) : []) {
      expect({ where, rows: wrongValues(name, schema).length > 0 }).toEqual({ where, rows: true });
    }
    const kinds = new Set(rowsOf(operation).map(({ kind }) => kind));
    const needed = ['method', 'path', 'position', 'query'];
    if (operation.body) needed.push('broken JSON', 'encoding', 'depth', 'number', 'limit', 'content type');
    if (operation.pathParameters.includes('service_id')) needed.push('unknown id');
    if (operation.pathParameters.includes('ext_name')) needed.push('reserved name', 'length');
    if (/\/end$|\/transition$/.test(operation.pattern)) needed.push('second end');
    expect({ id: operation.id, missing: needed.filter((kind) => !kinds.has(kind)) }).toEqual({
      id: operation.id,
      missing: [],
    });
  }
});

describe.each(Object.keys(samples))('%s', (id) => {
  let operation: Operation;
  let world: World;

  beforeAll(async () => {
    operation = operations().find((one) => one.id === id) as Operation;
    world = await makeWorld();
    if (isOfMetadata(id)) await inMode('maintenance', () => makeMetadata(world));
  });

  it('refuses every row of its table, and nothing changes', async () => {
    const before = await seen(world);
    const { ask, mode = 'production' } = samples[id] as Sample;
    const sample = ask(world);
    const rows = rowsOf(operation);
    const wrong: string[] = [];
    await inMode(mode, async () => {
      for (const row of rows) {
        const answer = await sendRow(operation, row, world, sample);
        refusals += 1;
        const fault = faultOf(answer, row, world, operation);
        if (fault !== undefined) wrong.push(`${row.kind} / ${row.what}: ${fault}`);
      }
    });
    expect(wrong).toEqual([]);
    expect(rows.length).toBeGreaterThan(10);
    expect(await seen(world)).toEqual(before);
  });

  it('answers a good request as the contract says, with any content type, under any prefix', async () => {
    const { status, ask, mode = 'production' } = samples[id] as Sample;
    const { path, body } = ask(world);
    const slash = await inMode(mode, () =>
      send(operation.method, { path: `${path}/`, body }, { headers: { 'content-type': 'nonsense' } }),
    );
    expect({ status: slash.statusCode, body: slash.body }).toMatchObject({ status });
    expect(slash.headers['x-cs-position']).toMatch(/^(s\d+|c):\d+/);
    expect(slash.headers['x-correlation-id']).toBeDefined();
    if (slash.body === '') expect(slash.headers['content-type']).toBeUndefined();
    else expect(slash.headers['content-type']).toBe('application/json;charset=UTF-8');
    if (status === 204) expect(slash.body).toBe('');
  });
});

/** What errors of this half say beside message and exception (contract 1.6). */
const ofTheRequest = ['code', 'error', 'http_code', 'http_method', 'http_uri'];

function faultOf(answer: LightMyRequestResponse, row: Row, world: World, { id }: Operation): string | undefined {
  const shown = `${answer.statusCode} ${answer.body.slice(0, 200)}`;
  if (answer.statusCode !== row.status) return `expected ${row.status}, answered ${shown}`;
  if (answer.headers['content-type'] !== 'application/json;charset=UTF-8')
    return `is ${String(answer.headers['content-type'])}`;
  const { message, exception, ...more } = answer.json<{ message: string; exception: string }>();
  const added = isOfServices(id) ? [] : ofTheRequest;
  if (Object.keys(more).sort().join() !== added.join() || typeof message !== 'string')
    return `has another form: ${shown}`;
  if (!exception.startsWith(packageOfExceptions)) return `has another exception: ${exception}`;
  if (row.exception !== undefined && exception !== packageOfExceptions + row.exception)
    return `has another exception: ${shown}`;
  const says = typeof row.says === 'function' ? row.says(world) : row.says;
  if (says && !says.test(message)) return `says something else: ${message}`;
  if (row.status === 405 && !answer.headers.allow) return 'has no Allow';
  return undefined;
}
