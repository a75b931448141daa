import { EnumeratedValues, enumeratedFields, noMetadata, type LiveService, type State, type Task } from '#domain';
import { extensionsAsked } from './extensions-parameter.js';
import { serviceAnswer, stateAnswer, taskAnswer, type Nested } from './service.answer.js';

const at = (minute: number) => `2009-05-07T12:0${minute}:00.000Z`;

const state = (state_id: string, minute: number, more: object = {}): State => ({
  state_id,
  state_type: 'MyState1',
  status: 'active',
  started: { timestamp: at(minute) },
  extensions: {},
  recordedAt: minute,
  ...more,
});

const task = (task_id: string, minute: number, more: object = {}): Task => ({
  task_id,
  task_type: 7,
  status: 'active',
  started: { timestamp: at(minute) },
  extensions: {},
  recordedAt: minute,
  ...more,
});

const done = (minute: number) => ({ status: 'completed', completed: { timestamp: at(minute) } });

const service: LiveService = {
  service_id: '3-s',
  customer_id: 'ABC1234',
  contact_key: '42',
  service_type: 'MyService1',
  est_duration: 86_400,
  disposition: 'sold',
  disposition_desc: 'all of it',
  auto_complete_after: 60,
  status: 'completed',
  started: { timestamp: at(1), interaction_id: '123ABCAADFJ1259ACF', media_type: 'mymedia1' },
  completed: { timestamp: at(9), application_id: 5 },
  extensions: { Feedback: [1], State: 'a name', ['__proto__']: 1 },
  states: [
    state('late', 3, { extensions: { Feedback: 'late' } }),
    state('early', 2, { est_duration: 60, previous_state_id: 'x', extensions: { Other: 2 } }),
    state('over', 2, { ...done(4), disposition: 1 }),
  ],
  tasks: [
    task('of-late', 4, { state_id: 'late', extensions: { Feedback: 'task' } }),
    task('of-over', 4, { state_id: 'over', ...done(5) }),
    task('free', 5),
    task('first', 3, done(4)),
  ],
  recordedAt: 1,
  answers: [],
  bytes: 1,
};

const nothing: Nested = { active_states: false, completed_states: false, active_tasks: false, completed_tasks: false };
const noExtensions = extensionsAsked(undefined);
const asSent = new EnumeratedValues(noMetadata, { dataValidation: true, mapNames: true });
const ids = (parts: unknown) =>
  (parts as { state_id?: string; task_id?: string }[]).map((part) => part.task_id ?? part.state_id);

describe('a service', () => {
  it('has the fields of the contract in its order, and nothing of ours', () => {
    expect(JSON.stringify(serviceAnswer(service, nothing, noExtensions, asSent))).toBe(
      JSON.stringify({
        service_id: '3-s',
        service_type: 'MyService1',
        customer_id: 'ABC1234',
        contact_key: '42',
        est_duration: 86_400,
        started: { timestamp: at(1), interaction_id: '123ABCAADFJ1259ACF', media_type: 'mymedia1' },
        completed: { timestamp: at(9), application_id: 5 },
        disposition: 'sold',
        disposition_desc: 'all of it',
      }),
    );
  });

  it('leaves out what was never given', () => {
    const {
      customer_id: _c,
      service_type: _t,
      est_duration: _e,
      disposition: _d,
      disposition_desc: _dd,
      ...rest
    } = service;
    const { completed: _end, ...bare } = { ...rest, status: 'active' } as LiveService & { completed: object };
    expect(Object.keys(serviceAnswer(bare as LiveService, nothing, noExtensions, asSent))).toEqual([
      'service_id',
      'contact_key',
      'started',
    ]);
  });

  it('holds states and tasks that were asked for, in order, without repeating service_id', () => {
    const answer = serviceAnswer(
      service,
      { ...nothing, active_states: true, completed_tasks: true },
      noExtensions,
      asSent,
    );
    expect(answer.active_states).toEqual([
      {
        state_id: 'early',
        state_type: 'MyState1',
        previous_state_id: 'x',
        est_duration: 60,
        started: { timestamp: at(2) },
        completed_tasks: [],
      },
      { state_id: 'late', state_type: 'MyState1', started: { timestamp: at(3) }, completed_tasks: [] },
    ]);
    expect(ids(answer.completed_tasks)).toEqual(['first', 'of-over']);
    expect(Object.keys(answer)).not.toEqual(expect.arrayContaining(['completed_states']));
    expect(Object.keys(answer)).not.toEqual(expect.arrayContaining(['active_tasks']));
  });

  it('holds a task in its state if that is included, in itself otherwise', () => {
    const all = serviceAnswer(
      service,
      { active_states: true, completed_states: true, active_tasks: true, completed_tasks: true },
      noExtensions,
      asSent,
    );
    expect(ids(all.active_tasks)).toEqual(['free']);
    expect(ids(all.completed_tasks)).toEqual(['first']);
    const states = [...(all.active_states as object[]), ...(all.completed_states as object[])] as {
      state_id: string;
      active_tasks: object[];
      completed_tasks: object[];
    }[];
    expect(
      states.map(({ state_id, active_tasks, completed_tasks }) => [state_id, ids(active_tasks), ids(completed_tasks)]),
    ).toEqual([
      ['early', [], []],
      ['late', ['of-late'], []],
      ['over', [], ['of-over']],
    ]);
    const tasksOnly = serviceAnswer(service, { ...nothing, active_tasks: true }, noExtensions, asSent);
    expect(tasksOnly.active_tasks).toEqual([
      { task_id: 'of-late', task_type: 7, state_id: 'late', started: { timestamp: at(4) } },
      { task_id: 'free', task_type: 7, started: { timestamp: at(5) } },
    ]);
  });
});

describe('a state or task by itself', () => {
  it('says which service it belongs to', () => {
    expect(
      JSON.stringify(
        stateAnswer(service, service.states[2] as State, { ...nothing, completed_tasks: true }, noExtensions, asSent),
      ),
    ).toBe(
      JSON.stringify({
        state_id: 'over',
        state_type: 'MyState1',
        service_id: '3-s',
        started: { timestamp: at(2) },
        completed: { timestamp: at(4) },
        disposition: 1,
        completed_tasks: [
          {
            task_id: 'of-over',
            task_type: 7,
            state_id: 'over',
            started: { timestamp: at(4) },
            completed: { timestamp: at(5) },
          },
        ],
      }),
    );
    expect(taskAnswer(service, service.tasks[0] as Task, noExtensions, asSent)).toEqual({
      task_id: 'of-late',
      task_type: 7,
      state_id: 'late',
      service_id: '3-s',
      started: { timestamp: at(4) },
    });
  });
});

describe('extensions', () => {
  const everything: Nested = {
    active_states: true,
    completed_states: false,
    active_tasks: true,
    completed_tasks: false,
  };

  /** The names of the extensions that are shown of the service, of its late state and of that state's task. */
  const shown = (...asked: string[]) => {
    const fixed = new Set(Object.keys(serviceAnswer(service, everything, noExtensions, asSent)));
    const answer = serviceAnswer(service, everything, extensionsAsked(asked), asSent);
    const late = (answer.active_states as { state_id: string; active_tasks: object[] }[]).find(
      ({ state_id }) => state_id === 'late',
    );
    return [
      Object.keys(answer).filter((name) => !fixed.has(name)),
      Object.keys(late as object).filter((name) => name === 'Feedback'),
      Object.keys(late?.active_tasks[0] as object).filter((name) => name === 'Feedback'),
    ];
  };

  it.each([
    ['nothing', [], [[], [], []]],
    ['a name', ['Feedback'], [['Feedback'], ['Feedback'], ['Feedback']]],
    ['an unknown name', ['feedback'], [[], [], []]],
    ['everything', ['*'], [['Feedback', 'State', '__proto__'], ['Feedback'], ['Feedback']]],
    ['a name of one kind', ['State.Feedback'], [[], ['Feedback'], []]],
    ['names of several kinds', ['Service.Feedback', 'Task.Feedback'], [['Feedback'], [], ['Feedback']]],
    ['all of one kind', ['Task.*'], [[], [], ['Feedback']]],
    ['all of a bare kind', ['Task'], [[], [], ['Feedback']]],
    ['all of the bare kind Service', ['Service'], [['Feedback', 'State', '__proto__'], [], []]],
    ['a bare kind that is the name of an extension here', ['State'], [['State'], [], []]],
    ['that name with the star', ['State.*'], [[], ['Feedback'], []]],
    ['a hostile name', ['__proto__'], [['__proto__'], [], []]],
    ['another hostile name', ['constructor', 'toString'], [[], [], []]],
  ])('shows %s', (_what, asked, expected) => expect(shown(...asked)).toEqual(expected));

  it('shows a name with a dot as it is', () => {
    const dotted: LiveService = { ...service, extensions: { 'State.Feedback': 1, 'a.b': 2 } };
    const answer = serviceAnswer(dotted, nothing, extensionsAsked(['State.Feedback', 'a.b']), asSent);
    expect(answer).toMatchObject({ 'State.Feedback': 1, 'a.b': 2 });
  });
});

describe('enumerated values', () => {
  /** Of each field the DBID 1 is called by the field's own name. */
  const values = new EnumeratedValues(
    { ...noMetadata, lastNames: new Map(enumeratedFields.map((field) => [field, new Map([[1, field]])])) },
    { dataValidation: true, mapNames: true },
  );
  const activity = (minute: number) => ({
    timestamp: at(minute),
    application_type: 1,
    resource_type: 1,
    media_type: 1,
  });
  const shown = (resource: string, minute: number) => ({
    timestamp: at(minute),
    application_type: `${resource}.application_type`,
    resource_type: `${resource}.resource_type`,
    media_type: `${resource}.media_type`,
  });
  const ended = { started: activity(2), status: 'completed', completed: activity(3), disposition: 1 };
  const mapped: LiveService = {
    ...service,
    service_type: 1,
    disposition: 1,
    started: activity(1),
    completed: activity(4),
    extensions: { media_type: 1 },
    states: [state('s', 2, { ...ended, state_type: 1 })],
    tasks: [
      task('in-state', 2, { ...ended, task_type: 1, state_id: 's' }),
      task('free', 2, { ...ended, task_type: 2 }),
    ],
  } as LiveService;
  const inner = (resource: string) => ({
    started: shown(resource, 2),
    completed: shown(resource, 3),
    disposition: `${resource}.disposition`,
  });
  const inState = { task_id: 'in-state', task_type: 'Task.type', state_id: 's', ...inner('Task') };
  const everything: Nested = {
    active_states: false,
    completed_states: true,
    active_tasks: false,
    completed_tasks: true,
  };

  it('are shown at every depth, each as a field of its own resource, and extensions are not', () => {
    expect(serviceAnswer(mapped, everything, extensionsAsked(['*']), values)).toEqual({
      service_id: '3-s',
      service_type: 'Service.type',
      customer_id: 'ABC1234',
      contact_key: '42',
      est_duration: 86_400,
      started: shown('Service', 1),
      completed: shown('Service', 4),
      disposition: 'Service.disposition',
      disposition_desc: 'all of it',
      media_type: 1,
      completed_states: [{ state_id: 's', state_type: 'State.type', ...inner('State'), completed_tasks: [inState] }],
      completed_tasks: [{ task_id: 'free', task_type: 2, ...inner('Task') }],
    });
  });
  it('are shown of a state and a task by themselves', () => {
    expect(stateAnswer(mapped, mapped.states[0] as State, everything, noExtensions, values)).toEqual({
      state_id: 's',
      state_type: 'State.type',
      service_id: '3-s',
      ...inner('State'),
      completed_tasks: [inState],
    });
    expect(taskAnswer(mapped, mapped.tasks[0] as Task, noExtensions, values)).toEqual({
      ...inState,
      service_id: '3-s',
    });
  });
});
