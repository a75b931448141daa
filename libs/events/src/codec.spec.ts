import {
  decode,
  decodeControl,
  encode,
  isClaimEvent,
  isServiceEvent,
  NewerSchema,
  open,
  openControl,
  schemaVersions,
  Undecodable,
} from './codec.js';
import type { RecordedEvent } from './envelope.js';
import type { Json } from './json.js';
import type { ServiceStarted } from './service.events.js';

const started = (extensions: { [name: string]: Json } = {}): ServiceStarted => ({
  type: 'ServiceStarted',
  data: { service_id: '3-x', timestamp: '2026-03-01T10:00:00.000Z', contact_key: 'a@b', extensions },
});

const stored = (data: object) => ({ type: 'ServiceStarted', schemaVersion: 1, value: JSON.stringify(data) });

describe('an event', () => {
  it.each<Json>([
    null,
    0,
    -0.5,
    1e300,
    Number.MAX_SAFE_INTEGER,
    '',
    'é 🙂 \u2028 \u0000 "',
    [[], {}, [null]],
    { '': { a: [{ b: false }] } },
  ])('comes back as it was written, with %j in it', (value) =>
    expect(decode(encode(started({ value })))).toStrictEqual(started({ value })),
  );

  it.each(['__proto__', 'constructor', 'toString'])('may hold the name %s', (name) => {
    const decoded = decode(encode(started({ [name]: { [name]: 1 } }))) as ServiceStarted;
    const { extensions = {} } = decoded.data;
    expect(Object.getOwnPropertyNames(extensions)).toStrictEqual([name]);
    expect(Object.getPrototypeOf(extensions)).toBe(Object.prototype);
    expect(JSON.stringify(extensions)).toBe(`{"${name}":{"${name}":1}}`);
  });

  it('is written in the version of today, its data alone as the value', () =>
    expect(encode(started())).toStrictEqual({
      type: 'ServiceStarted',
      schemaVersion: schemaVersions.ServiceStarted,
      value: '{"service_id":"3-x","timestamp":"2026-03-01T10:00:00.000Z","contact_key":"a@b","extensions":{}}',
    }));

  it('is opened with its envelope', () => {
    const record: RecordedEvent = {
      kind: 'event',
      ...encode(started()),
      eventId: 'e',
      tenant: '1',
      stream: '3-x',
      partition: 3,
      offset: 17,
      version: 1,
      epoch: 0,
      correlationId: 'c',
      recordedAt: 1_772_000_000_000,
    };
    expect(open(record)).toStrictEqual({ event: started(), record });
  });

  it('belongs to a service or to a claim', () => {
    const { data: start } = started();
    const claimed = { type: 'ServiceClaimed', data: { service_id: '3-x', start, lifetime: { ttl: 1 } } } as const;
    expect([isServiceEvent(started()), isClaimEvent(started())]).toStrictEqual([true, false]);
    expect([isServiceEvent(claimed), isClaimEvent(claimed)]).toStrictEqual([false, true]);
  });
});

describe('what a newer program wrote', () => {
  it.each([
    ['a later version', { ...stored(started().data), schemaVersion: schemaVersions.ServiceStarted + 1 }],
    ['an unknown type', { ...stored({}), type: 'ServicePraised' }],
    ['a type called __proto__', { ...stored({}), type: '__proto__' }],
    ['a type called toString', { ...stored({}), type: 'toString' }],
    ['a later version that is not even JSON', { type: 'ServiceStarted', schemaVersion: 99, value: 'MessagePack' }],
  ])('is told apart: %s', (_what, record) => expect(() => decode(record)).toThrow(NewerSchema));
});

describe('what is not an event', () => {
  it.each(['', '{', 'undefined', '{"a":1}}', '[]', 'null', '1', '"x"'])('is undecodable: %j', (value) =>
    expect(() => decode({ type: 'ServiceStarted', schemaVersion: 1, value })).toThrow(Undecodable),
  );
  it.each([0, -1, 0.5, NaN])('is undecodable: version %p', (schemaVersion) =>
    expect(() => decode({ ...stored(started().data), schemaVersion })).toThrow(Undecodable),
  );
  it.each([
    ['no id', { timestamp: 't' }],
    ['a number for an id', { service_id: 3, timestamp: 't' }],
    ['no time', { service_id: '3-x' }],
    ['extensions that are a list', { service_id: '3-x', timestamp: 't', extensions: [] }],
    ['extensions that are null', { service_id: '3-x', timestamp: 't', extensions: null }],
  ])('is undecodable: %s', (_what, data) => expect(() => decode(stored(data))).toThrow(Undecodable));
});

describe('an event of the control log', () => {
  const value = { name: 'a', dbid: 5, display_name: 'a', description: '' };
  const attribute = { name: 'A', dbid: 4, display_name: 'A', description: '', values: [value] };
  const schema = { name: 'E', type: 'single-valued', attributes: [{ name: 'a', type: 'string' }], unique: ['a'] };
  const key = { name: 'K', source: 'profile', attributes: ['PIN'], unique: false };
  const control = (type: string, data: object) =>
    decodeControl({ type, schemaVersion: 1, value: JSON.stringify(data) });

  it('comes back in its envelope', () => {
    const record: RecordedEvent = {
      kind: 'event',
      ...encode({ type: 'BusinessAttributeDeleted', data: { name: '__proto__' } }),
      eventId: 'e',
      tenant: '1',
      stream: 'metadata',
      partition: 0,
      offset: 17,
      version: 2,
      epoch: 0,
      correlationId: 'c',
      recordedAt: 1_772_000_000_000,
    };
    expect(openControl(record)).toStrictEqual({
      event: { type: 'BusinessAttributeDeleted', data: { name: '__proto__' } },
      record,
    });
  });
  it.each([
    ['BusinessAttributeDefined', { attribute }],
    ['BusinessAttributeDefined', { attribute: { ...attribute, values: [], cv_attributes: [] } }],
    ['ProfileExtensionSchemaCreated', { schema: { ...schema, attributes: [], unique: [] } }],
    ['IdentificationKeyCreated', { key }],
    ['MetadataInitialized', { business_attributes: [], profile_extensions: [], identification_keys: [] }],
  ])('is taken as it should be: %s', (type, data) => expect(control(type, data)).toStrictEqual({ type, data }));
  it.each([
    ['ModeSwitched', { mode: 'Production', epoch: 1 }],
    ['ModeSwitched', { mode: 'production', epoch: -1 }],
    ['ModeSwitched', { mode: 'production', epoch: 0.5 }],
    ['ModeSwitched', { mode: 'production', epoch: '1' }],
    ['ModeSwitchStarted', { target: 'toString', epoch: 1, process: 'p' }],
    ['ModeSwitchStarted', { target: 'production', epoch: 1, process: 5 }],
    ['BusinessAttributeDefined', { attribute: [attribute] }],
    ['BusinessAttributeDefined', { attribute: { ...attribute, dbid: '4' } }],
    ['BusinessAttributeDefined', { attribute: { ...attribute, description: null } }],
    ['BusinessAttributeDefined', { attribute: { ...attribute, values: {} } }],
    ['BusinessAttributeDefined', { attribute: { ...attribute, values: [value, { ...value, dbid: undefined }] } }],
    ['BusinessAttributeDefined', { attribute: { ...attribute, values: [{ ...value, name: 5 }] } }],
    ['BusinessAttributeDefined', { attribute: { ...attribute, values: [null] } }],
    ['BusinessAttributeDefined', { attribute: { ...attribute, cv_attributes: 'Service.type' } }],
    ['BusinessAttributeDefined', { attribute: { ...attribute, cv_attributes: [5] } }],
    ['ProfileExtensionSchemaCreated', { schema: { ...schema, attributes: [{ name: 'a' }] } }],
    ['ProfileExtensionSchemaCreated', { schema: { ...schema, unique: undefined } }],
    ['ProfileExtensionSchemaDeleted', { name: 5 }],
    ['IdentificationKeyCreated', { key: { ...key, unique: 'no' } }],
    ['IdentificationKeyCreated', { key: { ...key, attributes: [{}] } }],
    [
      'MetadataInitialized',
      { business_attributes: [attribute], profile_extensions: [schema], identification_keys: [{}] },
    ],
  ])('is undecodable when a part is not what it should be: %s %j', (type, data) =>
    expect(() => control(type, data)).toThrow(Undecodable),
  );
});
