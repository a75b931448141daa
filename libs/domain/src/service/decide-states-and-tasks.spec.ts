import type { ServiceCommand, Sought } from './commands.js';
import { given } from '../testing/specification.js';
import {
  at,
  serviceEnded,
  service_id,
  serviceStarted,
  stateEnded,
  stateStarted,
  stateTransitioned,
  stateUpdated,
  taskEnded,
  taskStarted,
  taskUpdated,
} from '../testing/conversation.js';

type Data<Type extends ServiceCommand['type']> = Extract<ServiceCommand, { type: Type }>['data'];

const everyActivity = {
  session_id: 's',
  interaction_id: 'i',
  application_type: 400,
  application_id: 40,
  resource_type: 'agent',
  resource_id: 20,
  media_type: 'voice',
};

describe.each(['StartState', 'FindOrStartState'] as const)('starting a state (%s)', (type) => {
  const start = (data: Partial<Data<'StartState'>> = {}): ServiceCommand => ({
    type,
    data: { service_id, state_id: 's9', timestamp: at(3), ...data },
  });

  it('records what it was started with', () => {
    const data = { ...everyActivity, state_type: 8, est_duration: 60, previous_state_id: 's1', extensions: { a: [1] } };
    given(serviceStarted(), stateStarted('s1', { state_type: 'other' }))
      .when(start(data))
      .thenRecords(stateStarted('s9', data));
  });
  it('is answered with its id', () =>
    given(serviceStarted()).when(start()).thenAnswers({ service_id, state_id: 's9', created: true }));
  it('works on a completed service', () =>
    given(serviceStarted(), serviceEnded()).when(start()).thenRecords(stateStarted('s9')));
  it('may follow a completed state', () =>
    given(serviceStarted(), stateStarted('s1'), stateEnded('s1'))
      .when(start({ previous_state_id: 's1' }))
      .thenRecords(stateStarted('s9', { previous_state_id: 's1' })));
  it('is refused after a state that the service does not have', () =>
    given(serviceStarted(), taskStarted('t1'))
      .when(start({ previous_state_id: 't1' }))
      .thenRejects('state-not-found', 'There are no state found for : t1'));
  it('is refused when the id is taken', () =>
    given(serviceStarted(), stateStarted('s9', { state_type: 'x' }), stateEnded('s9'))
      .when(start({ state_type: 'y' }))
      .thenRejects('state-already-started', 'There is already a state : s9'));
});

it('starts a second state of the same type beside the first', () =>
  given(serviceStarted(), stateStarted('s1', { state_type: 8 }))
    .when({ type: 'StartState', data: stateStarted('s2', { state_type: 8 }).data })
    .thenRecords(stateStarted('s2', { state_type: 8 })));

describe('finding or starting a state', () => {
  const find = (data: Partial<Data<'FindOrStartState'>> = {}, sought?: Sought): ServiceCommand => ({
    type: 'FindOrStartState',
    data: { service_id, state_id: 'new', timestamp: at(4), ...data },
    ...(sought && { sought }),
  });
  const found = (state_id: string) => ({ service_id, state_id, created: false });

  it('has nothing to do when one of this type is active', () =>
    given(serviceStarted(), stateStarted('s1', { state_type: 'Wait' }))
      .when(find({ state_type: 'Wait' }))
      .thenNothing(found('s1')));
  it('compares types as text', () =>
    given(serviceStarted(), stateStarted('s1', { state_type: 5 }))
      .when(find({ state_type: '5' }))
      .thenNothing(found('s1')));
  it('takes one of any text that means the type it looks for', () =>
    given(serviceStarted(), stateStarted('s1', { state_type: 'Wait' }))
      .when(find({ state_type: 5 }, { types: ['5', 'Wait'] }))
      .thenNothing(found('s1')));
  it('starts one of its type when it finds none that it looks for', () =>
    given(serviceStarted(), stateStarted('s1', { state_type: 'Other' }))
      .when(find({ state_type: 5 }, { types: ['5', 'Wait'] }))
      .thenRecords(stateStarted('new', { state_type: 5, timestamp: at(4) })));
  it('looks for one of any type with a type for what it would start', () =>
    given(serviceStarted(), stateStarted('s1', { state_type: 'Other' }))
      .when(find({ state_type: 5 }, {}))
      .thenNothing(found('s1')));
  it('does not compare a missing type', () =>
    given(serviceStarted(), stateStarted('s1', { state_type: 5 }))
      .when(find())
      .thenNothing(found('s1')));
  it('does not take a state without a type for one of a type', () =>
    given(serviceStarted(), stateStarted('s1'))
      .when(find({ state_type: 5 }))
      .thenRecords(stateStarted('new', { state_type: 5, timestamp: at(4) })));
  it('does not take a completed one', () =>
    given(serviceStarted(), stateStarted('s1', { state_type: 5 }), stateEnded('s1'))
      .when(find({ state_type: 5 }))
      .thenRecords(stateStarted('new', { state_type: 5, timestamp: at(4) })));
  it('takes the newest by the time of the start', () =>
    given(serviceStarted(), stateStarted('late', { timestamp: at(9) }), stateStarted('early', { timestamp: at(8) }))
      .when(find())
      .thenNothing(found('late')));
  it('takes the one recorded last of those that started at the same time', () =>
    given(serviceStarted(), stateStarted('z'), stateStarted('a')).when(find()).thenNothing(found('a')));
  it('records the news it brings, without the type', () => {
    const news = { ...everyActivity, est_duration: 1, extensions: { a: 1 } };
    given(serviceStarted(), stateStarted('s1', { state_type: 5 }))
      .when(find({ state_type: '5', ...news }))
      .thenRecords(stateUpdated('s1', news));
  });
  it('records a new predecessor', () =>
    given(serviceStarted(), stateStarted('s0', { state_type: 1 }), stateStarted('s1', { state_type: 5 }))
      .when(find({ state_type: 5, previous_state_id: 's0' }))
      .thenRecords(stateUpdated('s1', { previous_state_id: 's0' })));
  it('records an explicit lifetime', () =>
    given(serviceStarted(), stateStarted('s1'))
      .when({ ...find(), lifetime: { ttl: 60 } })
      .thenRecords(stateUpdated('s1')));
  it('is refused after a state that the service does not have, found or not', () =>
    given(serviceStarted(), stateStarted('s1'))
      .when(find({ previous_state_id: 'foreign' }))
      .thenRejects('state-not-found'));
});

describe('ending a state', () => {
  const end = (data: Partial<Data<'EndState'>> = {}): ServiceCommand => ({
    type: 'EndState',
    data: { service_id, state_id: 's1', timestamp: at(5), ...data },
  });

  it('records how it went', () => {
    const data = { ...everyActivity, disposition: 1, disposition_desc: 'ok', extensions: { a: 1 } };
    given(serviceStarted(), stateStarted('s1')).when(end(data)).thenRecords(stateEnded('s1', data));
  });
  it('is answered with its id', () =>
    given(serviceStarted(), stateStarted('s1')).when(end()).thenAnswers({ service_id, state_id: 's1' }));
  it('works on a completed service', () =>
    given(serviceStarted(), stateStarted('s1'), serviceEnded()).when(end()).thenRecords(stateEnded('s1')));
  it('is refused for a state that the service does not have', () =>
    given(serviceStarted(), stateStarted('s2'), taskStarted('s1'))
      .when(end())
      .thenRejects('state-not-found', 'There are no state found for : s1'));
  it('is refused the second time, with the time of the first', () =>
    given(serviceStarted(), stateStarted('s1'), stateEnded('s1', { timestamp: at(33) }))
      .when(end())
      .thenRejects('state-already-completed', 'The state s1 was completed at 2026-03-01T09:33:00.000Z'));
  it('is refused after a transition ended it', () =>
    given(serviceStarted(), stateStarted('s1'), stateTransitioned({ state_id: 's1' }, { state_id: 's2' }))
      .when(end())
      .thenRejects('state-already-completed'));
});

describe('a transition', () => {
  const transition = (data: Partial<Data<'TransitionState'>> = {}): ServiceCommand => ({
    type: 'TransitionState',
    data: { service_id, timestamp: at(6), from: { state_id: 's1' }, to: { state_id: 's2' }, ...data },
  });

  it('records both sides in one event', () => {
    const from = { state_id: 's1', disposition: 'x', disposition_desc: 'y', extensions: { feedback: 1 } };
    const to = { state_id: 's2', state_type: 'Deliver', est_duration: 3, extensions: { sponsor: null } };
    given(serviceStarted(), stateStarted('s1'))
      .when(transition({ ...everyActivity, from, to }))
      .thenRecords(stateTransitioned(from, to, everyActivity));
  });
  it('is answered with the id of the new state', () =>
    given(serviceStarted(), stateStarted('s1'))
      .when(transition())
      .thenAnswers({ service_id, state_id: 's2', created: true }));
  it('works on a completed service', () =>
    given(serviceStarted(), stateStarted('s1'), serviceEnded())
      .when(transition())
      .thenRecords(stateTransitioned({ state_id: 's1' }, { state_id: 's2' })));
  it('is refused from a state that the service does not have', () =>
    given(serviceStarted(), stateStarted('s0'))
      .when(transition())
      .thenRejects('state-not-found', 'There are no state found for : s1'));
  it('is refused from a completed state', () =>
    given(serviceStarted(), stateStarted('s1'), stateEnded('s1', { timestamp: at(33) }))
      .when(transition())
      .thenRejects('state-already-completed', 'The state s1 was completed at 2026-03-01T09:33:00.000Z'));
  it('is refused from a state that another transition ended', () =>
    given(serviceStarted(), stateStarted('s1'), stateTransitioned({ state_id: 's1' }, { state_id: 's2' }))
      .when(transition({ to: { state_id: 's3' } }))
      .thenRejects('state-already-completed'));
  it('is refused when the new id is taken', () =>
    given(serviceStarted(), stateStarted('s1'), stateStarted('s2'))
      .when(transition())
      .thenRejects('state-already-started'));
  it('is refused from a state to itself', () =>
    given(serviceStarted(), stateStarted('s1'))
      .when(transition({ to: { state_id: 's1' } }))
      .thenRejects('state-already-started'));
});

describe.each(['StartTask', 'FindOrStartTask'] as const)('starting a task (%s)', (type) => {
  const start = (data: Partial<Data<'StartTask'>> = {}): ServiceCommand => ({
    type,
    data: { service_id, task_id: 't9', timestamp: at(7), ...data },
  });

  it('records what it was started with', () => {
    const data = { ...everyActivity, task_type: 1, state_id: 's1', est_duration: 60, extensions: { a: { b: 1 } } };
    given(serviceStarted(), stateStarted('s1')).when(start(data)).thenRecords(taskStarted('t9', data));
  });
  it('is answered with its id', () =>
    given(serviceStarted()).when(start()).thenAnswers({ service_id, task_id: 't9', created: true }));
  it('works on a completed service and in a completed state', () =>
    given(serviceStarted(), stateStarted('s1'), stateEnded('s1'), serviceEnded())
      .when(start({ state_id: 's1' }))
      .thenRecords(taskStarted('t9', { state_id: 's1' })));
  it('is refused in a state that the service does not have', () =>
    given(serviceStarted(), stateStarted('s1'))
      .when(start({ state_id: 's2' }))
      .thenRejects('state-not-found', 'There are no state found for : s2'));
  it('is refused when the id is taken', () =>
    given(serviceStarted(), taskStarted('t9', { task_type: 'x' }))
      .when(start({ task_type: 'y' }))
      .thenRejects('task-already-started', 'There is already a task : t9'));
});

describe('finding or starting a task', () => {
  const find = (data: Partial<Data<'FindOrStartTask'>> = {}, sought?: Sought): ServiceCommand => ({
    type: 'FindOrStartTask',
    data: { service_id, task_id: 'new', timestamp: at(8), ...data },
    ...(sought && { sought }),
  });
  const found = (task_id: string) => ({ service_id, task_id, created: false });

  it('has nothing to do when one of this type is active', () =>
    given(serviceStarted(), taskStarted('t1', { task_type: 5 }))
      .when(find({ task_type: '5' }))
      .thenNothing(found('t1')));
  it('takes one of any text that means the type it looks for', () =>
    given(serviceStarted(), taskStarted('t1', { task_type: 'Call' }), taskStarted('t2', { task_type: 6 }))
      .when(find({ task_type: 5 }, { types: ['5', 'Call'] }))
      .thenNothing(found('t1')));
  it('looks for one of any type with a type for what it would start', () =>
    given(serviceStarted(), taskStarted('t1', { task_type: 'Call' }))
      .when(find({ task_type: 5 }, {}))
      .thenNothing(found('t1')));
  it('does not compare a missing type', () =>
    given(serviceStarted(), taskStarted('t1', { task_type: 5 }))
      .when(find())
      .thenNothing(found('t1')));
  it('does not take a completed one', () =>
    given(serviceStarted(), taskStarted('t1'), taskEnded('t1'))
      .when(find())
      .thenRecords(taskStarted('new', { timestamp: at(8) })));
  it('takes one of another state when it is tied to none', () =>
    given(serviceStarted(), stateStarted('s1'), taskStarted('t1', { state_id: 's1' }))
      .when(find())
      .thenNothing(found('t1')));
  it('takes one of its state', () =>
    given(serviceStarted(), stateStarted('s1'), taskStarted('t1', { state_id: 's1' }), taskStarted('t2'))
      .when(find({ state_id: 's1' }))
      .thenNothing(found('t1')));
  it('does not take one of another state when it is tied to one', () =>
    given(serviceStarted(), stateStarted('s1'), stateStarted('s2'), taskStarted('t1', { state_id: 's1' }))
      .when(find({ state_id: 's2' }))
      .thenRecords(taskStarted('new', { state_id: 's2', timestamp: at(8) })));
  it('takes the newest', () =>
    given(serviceStarted(), taskStarted('late', { timestamp: at(9) }), taskStarted('early', { timestamp: at(8) }))
      .when(find())
      .thenNothing(found('late')));
  it('records the news it brings, without what was compared', () => {
    const news = { ...everyActivity, est_duration: 1, extensions: { a: 1 } };
    given(serviceStarted(), stateStarted('s1'), taskStarted('t1', { task_type: 5, state_id: 's1' }))
      .when(find({ task_type: 5, state_id: 's1', ...news }))
      .thenRecords(taskUpdated('t1', news));
  });
  it('records an explicit lifetime', () =>
    given(serviceStarted(), taskStarted('t1'))
      .when({ ...find(), lifetime: { until: 1 } })
      .thenRecords(taskUpdated('t1')));
});

describe('ending a task', () => {
  const end = (data: Partial<Data<'EndTask'>> = {}): ServiceCommand => ({
    type: 'EndTask',
    data: { service_id, task_id: 't1', timestamp: at(9), ...data },
  });

  it('records how it went', () => {
    const data = { ...everyActivity, disposition: 1, disposition_desc: 'ok', extensions: { a: 1 } };
    given(serviceStarted(), taskStarted('t1')).when(end(data)).thenRecords(taskEnded('t1', data));
  });
  it('is answered with its id', () =>
    given(serviceStarted(), taskStarted('t1')).when(end()).thenAnswers({ service_id, task_id: 't1' }));
  it('works on a completed service', () =>
    given(serviceStarted(), taskStarted('t1'), serviceEnded()).when(end()).thenRecords(taskEnded('t1')));
  it('works after the end of its state', () =>
    given(serviceStarted(), stateStarted('s1'), taskStarted('t1', { state_id: 's1' }), stateEnded('s1'))
      .when(end())
      .thenRecords(taskEnded('t1')));
  it('is refused for a task that the service does not have', () =>
    given(serviceStarted(), stateStarted('t1'))
      .when(end())
      .thenRejects('task-not-found', 'There are no task found for : t1'));
  it('is refused the second time, with the time of the first', () =>
    given(serviceStarted(), taskStarted('t1'), taskEnded('t1', { timestamp: at(33) }))
      .when(end())
      .thenRejects('task-already-completed', 'The task t1 was completed at 2026-03-01T09:33:00.000Z'));
});
