import { Refused } from '../http/refused.js';
import {
  AssociateServiceBody,
  CompositeBody,
  ContractBody,
  EndServiceBody,
  EndStateBody,
  EndTaskBody,
  ExpirationBody,
  isReserved,
  readBody,
  StartServiceBody,
  StartStateBody,
  StartTaskBody,
  TransitionBody,
} from './bodies.js';
import { activityOf, lifetimeIn, serviceStartOf } from './from-body.js';

const now = Date.parse('2026-11-22T08:00:00.000Z');

const refusal = (attempt: () => unknown): string => {
  try {
    attempt();
  } catch (error) {
    if (error instanceof Refused) return error.message;
    throw error;
  }
  return 'taken';
};

describe('the body of an event', () => {
  it('gives its fields to the event and every other name to the extensions', () => {
    const body = readBody(
      StartServiceBody,
      JSON.parse(`{
      "contact_key": "42", "service_type": "MyService1", "interaction_id": "123ABCAADFJ1259ACF", "application_type": 400,
      "est_duration": 60, "timestamp": "2009-5-12T12:05:12.1", "disposition": "DG", "ttl": 5,
      "relatedOffers": [{ "type": "9" }], "__proto__": { "x": 1 }, "constructor": null, "from": 1, "services": []
    }`),
    );
    expect(serviceStartOf(body, 'id', now)).toEqual({
      service_id: 'id',
      contact_key: '42',
      service_type: 'MyService1',
      interaction_id: '123ABCAADFJ1259ACF',
      application_type: 400,
      est_duration: 60,
      timestamp: '2009-05-12T12:05:12.100Z',
      disposition: 'DG',
      extensions: Object.fromEntries([
        ['relatedOffers', [{ type: '9' }]],
        ['__proto__', { x: 1 }],
        ['constructor', null],
        ['from', 1],
        ['services', []],
      ]),
    });
    expect(Object.getPrototypeOf(body)).toBe(StartServiceBody.prototype);
  });

  it('may be empty, and is then of now', () => {
    expect(activityOf(readBody(EndServiceBody, {}), now)).toEqual({ timestamp: '2026-11-22T08:00:00.000Z' });
    expect(new ContractBody().transform(undefined, { type: 'body', metatype: EndServiceBody })).toEqual(
      readBody(EndServiceBody, {}),
    );
  });

  it('may hold reserved fields of other events and of answers, which are no extensions', () => {
    for (const Body of [
      StartServiceBody,
      AssociateServiceBody,
      EndServiceBody,
      EndStateBody,
      EndTaskBody,
      StartStateBody,
      StartTaskBody,
    ]) {
      const body = readBody(Body, {
        started: {},
        completed: 1,
        active_states: [],
        completed_states: 0,
        active_tasks: '',
        completed_tasks: null,
      });
      expect(body.extensions).toEqual({});
    }
    expect(readBody(EndServiceBody, { service_type: {}, customer_id: 5, state_type: [] }).extensions).toEqual({});
    expect(['started', 'ttl', 'previous_state_id', 'auto_complete_after'].every(isReserved)).toBe(true);
    expect(['Feedback', '__proto__', 'constructor', 'toString', 'from', 'status'].some(isReserved)).toBe(false);
  });

  it('reads ids that are numbers as texts', () => {
    const body = readBody(StartServiceBody, {
      customer_id: 5,
      contact_key: 0,
      session_id: 1,
      interaction_id: 2,
      service_id: 3,
    });
    expect(body).toMatchObject({
      customer_id: '5',
      contact_key: '0',
      session_id: '1',
      interaction_id: '2',
      service_id: '3',
    });
  });

  it.each([
    ['session_id', 'x'.repeat(32), 'x'.repeat(33)],
    ['session_id', '😀'.repeat(32), '😀'.repeat(33)],
    ['interaction_id', 'x'.repeat(50), 'x'.repeat(51)],
    ['disposition_desc', 'x'.repeat(64), 'x'.repeat(65)],
    ['contact_key', 'ü'.repeat(512), `${'ü'.repeat(512)}x`],
    ['customer_id', 'x'.repeat(1024), 'x'.repeat(1025)],
    ['contact_key', ' ', ''],
    ['customer_id', '0', ''],
    ['ttl', 1, 0],
    ['ttl', 100_000_000_000, 100_000_000_001],
    ['est_duration', 0, -1],
    ['auto_complete_after', 1, 0],
    ['application_id', -1, 1.5],
    ['service_type', 1.5, true],
    ['service_type', '', null],
  ])('%s: takes %j and refuses %j', (field, good, bad) => {
    expect(refusal(() => readBody(StartServiceBody, { [field]: good }))).toBe('taken');
    expect(refusal(() => readBody(StartServiceBody, { [field]: bad }))).toMatch(new RegExp(`^${field} must be`));
  });

  it('takes extension names of 1024 bytes', () => {
    expect(refusal(() => readBody(EndServiceBody, { ['ü'.repeat(512)]: 1 }))).toBe('taken');
    expect(refusal(() => readBody(EndServiceBody, { [`${'ü'.repeat(512)}x`]: 1 }))).toMatch(/1024 bytes/);
  });

  it('names the place of what it refuses', () => {
    expect(refusal(() => readBody(TransitionBody, { from: { state_id: '1' }, to: { est_duration: 'x' } }))).toBe(
      'to.est_duration must be a whole number, 0 or more',
    );
    expect(
      refusal(() => readBody(CompositeBody, { services: [{ service: {} }, { service: {}, task: { state_id: '' } }] })),
    ).toMatch(/^services\[1\]\.task\.state_id must be/);
    expect(refusal(() => readBody(CompositeBody, { services: [{ service: {}, mine: 1 }] }))).toBe(
      'services[0].mine is not known here and would be lost',
    );
  });

  it('keeps the extensions of each part apart', () => {
    const { from, to } = readBody(TransitionBody, {
      from: { state_id: 7, Feedback: 1, disposition: 2 },
      to: { Sponsoring: [2], ttl: 1 },
    });
    expect([from, to]).toMatchObject([
      { state_id: '7', disposition: 2, extensions: { Feedback: 1 } },
      { extensions: { Sponsoring: [2] } },
    ]);
    expect(to.extensions).toEqual({ Sponsoring: [2] });
  });
});

describe('the lifetime in a body', () => {
  const read = (body: object) => lifetimeIn(readBody(ExpirationBody, body as never), now);

  it('is ttl, which wins, or a time in the future', () => {
    expect(read({ ttl: 5, expiration_time: '2027-01-01T00:00:00Z' })).toEqual({ lifetime: { ttl: 5 } });
    expect(read({ expiration_time: '2027-01-01T00:00:00+01:00' })).toEqual({
      lifetime: { until: Date.parse('2026-12-31T23:00:00Z') },
    });
    expect(read({})).toEqual({});
  });

  it('is a refusal of the command when the time has passed, beside a ttl too', () => {
    for (const ttl of [{}, { ttl: 5 }])
      expect(read({ ...ttl, expiration_time: '2026-11-22T08:00:00.000Z' }).refusal).toMatchObject({
        code: 'expiration-not-in-future',
      });
    expect(refusal(() => read({ ttl: 5, expiration_time: 'soon' }))).toMatch(/expiration_time must be a date/);
  });
});
