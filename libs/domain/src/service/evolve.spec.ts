import type { Json } from '#events';
import { firstRecordedAt, fold, foldLive, recorded } from '../testing/specification.js';
import {
  at,
  extensionMerged,
  extensionReplaced,
  otherServiceChosen,
  serviceAssociated,
  serviceDeleted,
  serviceEnded,
  serviceExpired,
  service_id,
  serviceStarted,
  serviceUpdated,
  stateEnded,
  stateStarted,
  stateTransitioned,
  stateUpdated,
  taskEnded,
  taskStarted,
  taskUpdated,
} from '../testing/conversation.js';
import { answersKeptForMs } from './answer.js';
import { evolve } from './evolve.js';
import { findState, findTask } from './find.js';
import { unstarted } from './service.js';

const hour = 60 * 60 * 1000;

describe('a started service', () => {
  it('is active, shows its fields once and its activity under started', () => {
    const activity = {
      timestamp: at(0),
      session_id: 's',
      interaction_id: 'i',
      application_type: 400,
      application_id: 40,
      resource_type: 'agent',
      resource_id: 20,
      media_type: 'voice',
    };
    const fields = {
      customer_id: 'C-1',
      contact_key: 'a@b',
      service_type: 5,
      est_duration: 60,
      auto_complete_after: 900,
      disposition: 'open',
      disposition_desc: 'just begun',
    };
    const { bytes, ...service } = foldLive([
      serviceStarted({ ...activity, ...fields, extensions: { a: [1], b: null } }),
    ]);
    expect(service).toStrictEqual({
      status: 'active',
      service_id,
      ...fields,
      started: activity,
      extensions: { a: [1], b: null },
      states: [],
      tasks: [],
      recordedAt: firstRecordedAt,
      answers: [],
    });
    expect(bytes).toBeGreaterThan(0);
  });
});

describe('an association', () => {
  it('moves the service and overwrites what came with it, but never the time of the start', () => {
    const service = foldLive([
      serviceStarted({ timestamp: at(0), session_id: 'one', media_type: 'chat', extensions: { a: 1, b: 1 } }),
      serviceAssociated({
        contact_key: 'new',
        timestamp: at(9),
        session_id: 'two',
        service_type: 7,
        est_duration: 8,
        auto_complete_after: 9,
        disposition: 'd',
        disposition_desc: 'dd',
        extensions: { b: 2 },
      }),
    ]);
    expect(service).toMatchObject({
      status: 'active',
      customer_id: 'C-1',
      contact_key: 'new',
      service_type: 7,
      est_duration: 8,
      auto_complete_after: 9,
      disposition: 'd',
      disposition_desc: 'dd',
      extensions: { a: 1, b: 2 },
    });
    expect(service.started).toStrictEqual({ timestamp: at(0), session_id: 'two', media_type: 'chat' });
    expect(service).not.toHaveProperty('previous_customer_id');
  });
  it('leaves a completed service completed', () =>
    expect(foldLive([serviceStarted(), serviceEnded(), serviceAssociated()])).toMatchObject({
      status: 'completed',
      customer_id: 'C-1',
      completed: { timestamp: at(50) },
    }));
});

describe('a service in place of which another one was chosen', () => {
  const idempotency = { key: 'k', request: 'r' };
  const chosen = [otherServiceChosen('U'), { idempotency }] as const;

  it('is not started, and can be', () => {
    expect(fold([chosen])).toMatchObject({ status: 'unstarted', answers: [{ ...idempotency, at: firstRecordedAt }] });
    expect(fold([chosen, serviceStarted()])).toMatchObject({ status: 'active', service_id });
  });
  it('forgets it after 24 h', () => {
    const late = { version: 2, recordedAt: firstRecordedAt + answersKeptForMs + 1 };
    expect(evolve(fold([chosen]), recorded(otherServiceChosen('V'), late))).toMatchObject({ answers: [] });
  });
  it('takes its answers along, and their size', () => {
    const many = Array.from({ length: 50 }, (_, n) => [otherServiceChosen(`${n}`), { idempotency }] as const);
    const { bytes, answers } = foldLive([...many, serviceStarted()]);
    expect(answers).toHaveLength(50);
    expect(bytes).toBeGreaterThan(JSON.stringify(answers).length);
    expect(fold(many)).toMatchObject({ bytes: JSON.stringify(answers).length });
  });
  it.each([[[serviceStarted()]], [[serviceStarted(), serviceDeleted]]])('was not started before (%j)', (before) =>
    expect(() => fold([...before, otherServiceChosen('U')])).toThrow('OtherServiceChosen cannot be version'),
  );
});

describe('an update by a composite start', () => {
  it('overwrites fields of a service, but never the time of its start', () => {
    const service = foldLive([
      serviceStarted({ timestamp: at(0), extensions: { a: 1 } }),
      serviceUpdated({ timestamp: at(9), est_duration: 8, interaction_id: 'i', extensions: { b: 2 } }),
    ]);
    expect(service).toMatchObject({ service_type: 'Claim', est_duration: 8, extensions: { a: 1, b: 2 } });
    expect(service.started).toStrictEqual({ timestamp: at(0), interaction_id: 'i' });
  });
  it('overwrites fields of a state and of a task', () => {
    const service = foldLive([
      serviceStarted(),
      stateStarted('s1', { state_type: 1 }),
      stateStarted('s2', { state_type: 2 }),
      taskStarted('t1', { task_type: 3, state_id: 's1' }),
      stateUpdated('s2', { previous_state_id: 's1', est_duration: 4, extensions: { a: 1 }, session_id: 'x' }),
      taskUpdated('t1', { est_duration: 5, extensions: { b: 1 }, media_type: 'y' }),
    ]);
    expect(findState(service, 's1')).toMatchObject({ state_type: 1, extensions: {}, started: { timestamp: at(3) } });
    expect(findState(service, 's2')).toMatchObject({
      state_type: 2,
      previous_state_id: 's1',
      est_duration: 4,
      extensions: { a: 1 },
      started: { timestamp: at(3), session_id: 'x' },
    });
    expect(findTask(service, 't1')).toMatchObject({
      task_type: 3,
      state_id: 's1',
      est_duration: 5,
      extensions: { b: 1 },
      started: { timestamp: at(7), media_type: 'y' },
    });
  });
});

describe('an end', () => {
  it('completes the service alone', () => {
    const service = foldLive([
      serviceStarted({ disposition: 'open', extensions: { a: 1, b: 1 } }),
      stateStarted('s1'),
      taskStarted('t1'),
      serviceEnded({ disposition: 'done', disposition_desc: 'well', resource_id: 7, extensions: { b: 2 } }),
    ]);
    expect(service).toMatchObject({
      status: 'completed',
      disposition: 'done',
      disposition_desc: 'well',
      completed: { timestamp: at(50), resource_id: 7 },
      extensions: { a: 1, b: 2 },
      states: [{ state_id: 's1', status: 'active' }],
      tasks: [{ task_id: 't1', status: 'active' }],
    });
  });
  it('completes the state alone, its tasks go on', () => {
    const service = foldLive([
      serviceStarted(),
      stateStarted('s1'),
      stateStarted('s2'),
      taskStarted('t1', { state_id: 's1' }),
      stateEnded('s1', { disposition: 1, extensions: { a: 1 } }),
    ]);
    expect(service.status).toBe('active');
    expect(service.states).toMatchObject([
      { state_id: 's1', status: 'completed', disposition: 1, completed: { timestamp: at(5) }, extensions: { a: 1 } },
      { state_id: 's2', status: 'active' },
    ]);
    expect(service.tasks).toMatchObject([{ task_id: 't1', status: 'active', state_id: 's1' }]);
  });
  it('completes the task alone', () => {
    const service = foldLive([
      serviceStarted(),
      taskStarted('t1'),
      taskStarted('t2'),
      taskEnded('t2', { disposition: 2 }),
    ]);
    expect(service.tasks).toMatchObject([
      { task_id: 't1', status: 'active' },
      { task_id: 't2', status: 'completed', disposition: 2, completed: { timestamp: at(9) } },
    ]);
  });
});

describe('a transition', () => {
  it('ends one state and starts the next with the same activity', () => {
    const service = foldLive([
      serviceStarted(),
      stateStarted('s1', { state_type: 1, extensions: { a: 1 } }),
      stateTransitioned(
        { state_id: 's1', disposition: 'x', disposition_desc: 'y', extensions: { b: 1 } },
        { state_id: 's2', state_type: 2, est_duration: 3, extensions: { c: 1 } },
        { interaction_id: 'i', timestamp: at(6) },
      ),
    ]);
    const activity = { timestamp: at(6), interaction_id: 'i' };
    expect(service.states).toStrictEqual([
      {
        status: 'completed',
        state_id: 's1',
        state_type: 1,
        started: { timestamp: at(3) },
        completed: activity,
        disposition: 'x',
        disposition_desc: 'y',
        extensions: { a: 1, b: 1 },
        recordedAt: firstRecordedAt + 1000,
      },
      {
        status: 'active',
        state_id: 's2',
        state_type: 2,
        previous_state_id: 's1',
        est_duration: 3,
        started: activity,
        extensions: { c: 1 },
        recordedAt: firstRecordedAt + 2000,
      },
    ]);
  });
});

describe('extensions', () => {
  it('give way to later ones of the same name, whole', () => {
    const service = foldLive([
      serviceStarted({ extensions: { a: { x: 1 }, b: 1 } }),
      extensionReplaced('a', { y: 2 }),
      extensionReplaced('c', null),
    ]);
    expect(service.extensions).toStrictEqual({ a: { y: 2 }, b: 1, c: null });
  });
  it('merge at their first level, the new value wins', () => {
    const service = foldLive([
      serviceStarted({ extensions: { a: { x: { deep: 1 }, y: 1 } } }),
      extensionMerged('a', { x: { other: 2 }, z: 3 }),
      extensionMerged('b', { new: 1 }),
    ]);
    expect(service.extensions).toStrictEqual({ a: { x: { other: 2 }, y: 1, z: 3 }, b: { new: 1 } });
  });
  it('belong to the state or task that they were given to', () => {
    const service = foldLive([
      serviceStarted(),
      stateStarted('s1'),
      taskStarted('t1'),
      extensionReplaced('a', 'of the service'),
      extensionReplaced('a', 'of the state', { state_id: 's1' }),
      extensionMerged('a', { of: 'the task' }, { task_id: 't1' }),
    ]);
    expect(service.extensions).toStrictEqual({ a: 'of the service' });
    expect(findState(service, 's1')?.extensions).toStrictEqual({ a: 'of the state' });
    expect(findTask(service, 't1')?.extensions).toStrictEqual({ a: { of: 'the task' } });
  });

  const ownNames = (extensions: object) => Object.getOwnPropertyNames(extensions);
  it.each(['__proto__', 'constructor', 'toString', 'hasOwnProperty'])('called %s are plain data', (name) => {
    const named = (value: Json) => Object.fromEntries([[name, value]]);
    const service = foldLive([
      serviceStarted({ extensions: named({ polluted: 1 }) }),
      stateStarted('s1', { extensions: named(1) }),
      taskStarted('t1', { extensions: named([]) }),
      extensionMerged(name, named({ deep: 1 })),
      serviceEnded({ extensions: { ...named('end') } }),
      extensionReplaced(name, named(1)),
      extensionMerged(name, { more: 2 }),
    ]);
    for (const { extensions } of [service, ...service.states, ...service.tasks]) {
      expect(ownNames(extensions)).toStrictEqual([name]);
      expect(Object.getPrototypeOf(extensions)).toBe(Object.prototype);
    }
    expect(JSON.stringify(service.extensions)).toBe(`{"${name}":{"${name}":1,"more":2}}`);
    expect(({} as { polluted?: number }).polluted).toBeUndefined();
  });
});

describe('a service that is gone', () => {
  const start = { key: 'k', request: 'r' };

  it.each([serviceDeleted, serviceExpired])('keeps nothing ($type)', (last) =>
    expect(fold([serviceStarted({ extensions: { a: 1 } }), stateStarted('s1'), last])).toStrictEqual({
      status: 'gone',
    }),
  );
  it.each([serviceDeleted, serviceExpired])('keeps but what its start was asked with ($type)', (last) =>
    expect(fold([[serviceStarted(), { idempotency: start }], stateStarted('s1'), last])).toStrictEqual({
      status: 'gone',
      start: { ...start, answer: { service_id, created: true } },
    }),
  );
});

describe('answers', () => {
  const keyed = (n: number) => ({ idempotency: { key: `key ${n}`, request: `request ${n}` } });

  it('are kept with key, request and recorded time, that of the start apart', () => {
    const service = foldLive([
      [serviceStarted(), keyed(1)],
      stateStarted('s0'),
      [stateStarted('s1'), keyed(3)],
      [serviceEnded(), keyed(4)],
    ]);
    expect(service.start).toStrictEqual({ key: 'key 1', request: 'request 1', answer: { service_id, created: true } });
    expect(service.answers).toStrictEqual([
      {
        key: 'key 3',
        request: 'request 3',
        at: firstRecordedAt + 2000,
        answer: { service_id, state_id: 's1', created: true },
      },
      { key: 'key 4', request: 'request 4', at: firstRecordedAt + 3000, answer: { service_id } },
    ]);
  });
  it('go after 24 h of recorded time, with the next event of any kind', () => {
    const kept = (last: number) =>
      foldLive([
        [serviceStarted(), keyed(1)],
        [stateStarted('s1'), { ...keyed(2), recordedAt: firstRecordedAt }],
        [stateStarted('s2'), { ...keyed(3), recordedAt: firstRecordedAt + 2 * hour }],
        [stateStarted('s3'), { recordedAt: last }],
      ]).answers.map(({ key }) => key);
    expect(kept(firstRecordedAt + answersKeptForMs)).toStrictEqual(['key 2', 'key 3']);
    expect(kept(firstRecordedAt + answersKeptForMs + 1)).toStrictEqual(['key 3']);
    expect(kept(firstRecordedAt + answersKeptForMs + 3 * hour)).toStrictEqual([]);
  });
  it('have nothing to do with what callers say about the time', () => {
    const service = foldLive([
      [serviceStarted({ timestamp: '1970-01-01T00:00:00.000Z' }), keyed(1)],
      [stateStarted('s1', { timestamp: '1970-01-01T00:00:00.000Z' }), keyed(2)],
      stateStarted('s2', { timestamp: '2999-01-01T00:00:00.000Z' }),
    ]);
    expect(service.answers).toHaveLength(1);
  });
});

describe('folding', () => {
  const frozen = <T>(value: T): T => {
    if (typeof value === 'object' && value !== null) Object.values(Object.freeze(value)).forEach(frozen);
    return value;
  };
  const life = [
    serviceStarted({ extensions: { a: {} } }),
    serviceAssociated(),
    serviceUpdated({ est_duration: 1 }),
    stateStarted('s1'),
    stateUpdated('s1', { est_duration: 2 }),
    stateTransitioned({ state_id: 's1' }, { state_id: 's2' }),
    taskStarted('t1', { state_id: 's2' }),
    taskUpdated('t1', { est_duration: 3 }),
    extensionReplaced('b', 1),
    extensionMerged('a', { c: 1 }, { task_id: 't1' }),
    { type: 'ExpirationChanged', data: { service_id } },
    taskEnded('t1'),
    stateEnded('s2'),
    serviceEnded(),
    serviceDeleted,
  ] as const;

  it('changes neither the service before nor the event', () => {
    life.reduce(
      (service, event, index) => frozen(evolve(service, frozen(recorded(event, { version: index + 1 })))),
      frozen(unstarted),
    );
  });
  it('gives plain JSON: what a store gives back goes on like the original', () => {
    const stored = life.reduce(
      (service, event, index) =>
        JSON.parse(JSON.stringify(evolve(service, recorded(event, { version: index + 1 })))) as typeof service,
      unstarted,
    );
    expect(stored).toStrictEqual(fold(life));
  });
  it('depends on nothing of the place but the recorded time', () => {
    const event = recorded(stateStarted('s1'), { version: 2 });
    const elsewhere = { ...event, record: { ...event.record, offset: 99, epoch: 7, partition: 3, version: 2 } };
    const service = fold([serviceStarted()]);
    expect(evolve(service, elsewhere)).toStrictEqual(evolve(service, event));
  });

  const place = `stream 1/${service_id}: `;
  it.each([
    [
      'a second start',
      [serviceStarted(), serviceStarted()],
      'ServiceStarted cannot be version 2, the service is active',
    ],
    ['anything before the start', [stateStarted('s1')], 'StateStarted cannot be version 1, the service is unstarted'],
    [
      'anything after the end of all',
      [serviceStarted(), serviceDeleted, serviceExpired],
      'ServiceExpired cannot be version 3, the service is gone',
    ],
    [
      'the end of no state',
      [serviceStarted(), stateEnded('s1')],
      'StateEnded cannot be version 2, there is no state s1',
    ],
    [
      'an update of no state',
      [serviceStarted(), stateUpdated('s1')],
      'StateUpdated cannot be version 2, there is no state s1',
    ],
    [
      'a transition from no state',
      [serviceStarted(), stateTransitioned({ state_id: 's1' }, { state_id: 's2' })],
      'StateTransitioned cannot be version 2, there is no state s1',
    ],
    ['the end of no task', [serviceStarted(), taskEnded('t1')], 'TaskEnded cannot be version 2, there is no task t1'],
    [
      'an update of no task',
      [serviceStarted(), taskUpdated('t1')],
      'TaskUpdated cannot be version 2, there is no task t1',
    ],
    [
      'an extension of no state',
      [serviceStarted(), extensionReplaced('a', 1, { state_id: 's1' })],
      'ExtensionReplaced cannot be version 2, there is no state s1',
    ],
    [
      'an extension of no task',
      [serviceStarted(), extensionMerged('a', {}, { task_id: 't1' })],
      'ExtensionMerged cannot be version 2, there is no task t1',
    ],
  ] as const)('names stream and version of %s', (_what, events, message) =>
    expect(() => fold(events)).toThrow(place + message),
  );
});
