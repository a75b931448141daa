import type {
  Activity,
  EventEnvelope,
  ExtensionMerged,
  ExtensionOwner,
  Extensions,
  IdempotencyDigest,
  ServiceEvent,
  ServiceStart,
  StateStart,
  TaskStart,
} from '#events';
import { answerOf, answersKeptForMs } from './answer.js';
import { findExtension, isMergeable } from './find.js';
import type { Answer, KeptAnswer, LiveService, Service, State, Task } from './service.js';
import { measured, sizeOf } from './size.js';

type Recorded = EventEnvelope<ServiceEvent>['record'];

/**
 * The service after one more valid event. Pure; uses nothing but the event and its envelope.
 *
 * Throws an `Error` with stream and version for an event that cannot follow: valid records of this protocol never do.
 */
export function evolve(service: Service, { event, record }: EventEnvelope<ServiceEvent>): Service {
  if (event.type === 'ServiceStarted') {
    if (service.status !== 'unstarted') throw cannotFollow(event, record, `the service is ${service.status}`);
    return start(event, record, answersOf(service));
  }
  if (event.type === 'OtherServiceChosen') {
    if (service.status !== 'unstarted') throw cannotFollow(event, record, `the service is ${service.status}`);
    const answers = keep(answersOf(service), event, record);
    return { status: 'unstarted', answers, bytes: sizeOf(answers) };
  }
  if (service.status === 'unstarted' || service.status === 'gone') {
    throw cannotFollow(event, record, `the service is ${service.status}`);
  }
  if (event.type === 'ServiceDeleted' || event.type === 'ServiceExpired') {
    return gone(service);
  }
  return measured({ ...change(service, event, record), answers: keep(service.answers, event, record) }, event.data);
}

/** What is left of a service that was deleted, or whose time is up. */
export function gone({ start: first, answers }: LiveService): Service {
  const found = answers.filter(({ answer }) => isFound(answer));
  return { status: 'gone', ...(first && { start: first }), ...(found.length > 0 && { answers: found }) };
}

type Change = Exclude<
  ServiceEvent,
  { type: 'ServiceStarted' | 'ServiceDeleted' | 'ServiceExpired' | 'OtherServiceChosen' }
>;

/** What a composite start was told of a service that it found: with this its other attempts know that it had its effect. */
const isFound = ({ created, state_id, task_id }: Answer): boolean =>
  created === false && state_id === undefined && task_id === undefined;

const answersOf = (service: Service): readonly KeptAnswer[] => ('answers' in service ? (service.answers ?? []) : []);

function change(service: LiveService, event: Change, record: Recorded): LiveService {
  const { type, data } = event;
  const onState = (id: string, next: (state: State) => State): LiveService => ({
    ...service,
    states: replaced(
      service.states,
      ({ state_id }) => state_id === id,
      next,
      () => cannotFollow(event, record, `there is no state ${id}`),
    ),
  });
  const onTask = (id: string, next: (task: Task) => Task): LiveService => ({
    ...service,
    tasks: replaced(
      service.tasks,
      ({ task_id }) => task_id === id,
      next,
      () => cannotFollow(event, record, `there is no task ${id}`),
    ),
  });
  const onOwner = ({ state_id, task_id }: ExtensionOwner, next: <Item extends WithExtensions>(item: Item) => Item) =>
    task_id !== undefined ? onTask(task_id, next) : state_id !== undefined ? onState(state_id, next) : next(service);

  switch (type) {
    case 'ServiceAssociated':
      return updated({ ...service, ...pick(data, serviceFields) }, data);
    case 'ServiceUpdated':
      return updated({ ...service, ...pick(data, changeableFields) }, data);
    case 'ServiceEnded':
      return completed(service, data, data);
    case 'StateStarted':
      return { ...service, states: [...service.states, startState(data, record)] };
    case 'StateUpdated':
      return onState(data.state_id, (state) => updated({ ...state, ...pick(data, stateFields) }, data));
    case 'StateEnded':
      return onState(data.state_id, (state) => completed(state, data, data));
    case 'StateTransitioned': {
      const { service_id, from, to } = data;
      const ended = onState(from.state_id, (state) => completed(state, from, data));
      const next = { ...pick(data, activityFields), ...to, service_id, previous_state_id: from.state_id };
      return { ...ended, states: [...ended.states, startState(next, record)] };
    }
    case 'TaskStarted':
      return { ...service, tasks: [...service.tasks, startTask(data, record)] };
    case 'TaskUpdated':
      return onTask(data.task_id, (task) => updated({ ...task, ...pick(data, taskFields) }, data));
    case 'TaskEnded':
      return onTask(data.task_id, (task) => completed(task, data, data));
    case 'ExtensionReplaced':
      return onOwner(data, (item) => withExtensions(item, { [data.name]: data.value }));
    case 'ExtensionMerged':
      return onOwner(data, (item) => withExtensions(item, { [data.name]: merged(item.extensions, data) }));
    case 'ExpirationChanged':
      return service;
  }
}

const activityFields = [
  'timestamp',
  'session_id',
  'interaction_id',
  'application_type',
  'application_id',
  'resource_type',
  'resource_id',
  'media_type',
] as const satisfies readonly (keyof Activity)[];

const dispositionFields = ['disposition', 'disposition_desc'] as const;

const changeableFields = ['service_type', 'est_duration', 'auto_complete_after', ...dispositionFields] as const;
const serviceFields = ['customer_id', 'contact_key', ...changeableFields] as const;

const stateFields = ['state_type', 'previous_state_id', 'est_duration'] as const;
const taskFields = ['task_type', 'state_id', 'est_duration'] as const;

function start(
  { type, data }: { type: 'ServiceStarted'; data: ServiceStart },
  record: Recorded,
  answers: readonly KeptAnswer[],
): Service {
  const { idempotency, recordedAt } = record;
  return measured(
    {
      status: 'active',
      service_id: data.service_id,
      ...pick(data, serviceFields),
      started: pick(data, activityFields),
      extensions: { ...data.extensions },
      states: [],
      tasks: [],
      recordedAt,
      ...(idempotency && { start: { ...digest(idempotency), answer: answerOf({ type, data }) } }),
      answers,
      bytes: sizeOf(answers),
    },
    data,
  );
}

const startState = (data: StateStart, { recordedAt }: Recorded): State =>
  Object.assign({ status: 'active' as const, state_id: data.state_id }, pick(data, stateFields), {
    started: pick(data, activityFields),
    extensions: { ...data.extensions },
    recordedAt,
  });

const startTask = (data: TaskStart, { recordedAt }: Recorded): Task =>
  Object.assign({ status: 'active' as const, task_id: data.task_id }, pick(data, taskFields), {
    started: pick(data, activityFields),
    extensions: { ...data.extensions },
    recordedAt,
  });

interface WithExtensions {
  readonly extensions: Extensions;
}

/** Same-named extensions give way to the new ones, the others stay (contract 2.6). */
const withExtensions = <Item extends WithExtensions>(item: Item, extensions: Extensions | undefined): Item => ({
  ...item,
  extensions: extensions === undefined ? item.extensions : { ...item.extensions, ...extensions },
});

/** At the first level; the new value wins. */
function merged(extensions: Extensions, { name, value }: ExtensionMerged['data']): Extensions {
  const stored = findExtension(extensions, name) ?? {};
  return isMergeable(stored) ? { ...stored, ...value } : value;
}

/** The time of the start stays what it was: lists are sorted by it (contract 0.3, 18). */
const updated = <Item extends LiveService | State | Task>(
  item: Item,
  data: Partial<Activity> & { readonly extensions?: Extensions },
): Item => ({
  ...withExtensions(item, data.extensions),
  started: { ...item.started, ...pick(data, activityFields), timestamp: item.started.timestamp },
});

const completed = <Item extends LiveService | State | Task>(
  item: Item,
  outcome: {
    readonly disposition?: string | number;
    readonly disposition_desc?: string;
    readonly extensions?: Extensions;
  },
  activity: Activity,
): Item =>
  Object.assign(withExtensions(item, outcome.extensions), pick(outcome, dispositionFields), {
    status: 'completed',
    completed: pick(activity, activityFields),
  });

/** Answers stay for 24 h of recorded time, which never decreases within a stream: they are sorted by it. */
function keep(answers: readonly KeptAnswer[], event: ServiceEvent, record: Recorded): readonly KeptAnswer[] {
  const at = record.recordedAt;
  const first = answers.findIndex((answer) => at - answer.at <= answersKeptForMs);
  const young = first === 0 ? answers : first === -1 ? [] : answers.slice(first);
  return record.idempotency ? [...young, { ...digest(record.idempotency), at, answer: answerOf(event) }] : young;
}

const digest = ({ key, request }: IdempotencyDigest): IdempotencyDigest => ({ key, request });

function replaced<Item>(
  items: readonly Item[],
  isIt: (item: Item) => boolean,
  next: (item: Item) => Item,
  missing: () => Error,
): readonly Item[] {
  const index = items.findIndex(isIt);
  if (index === -1) throw missing();
  return items.with(index, next(items[index] as Item));
}

/** Those of the named fields that have a value. The names are ours, never a caller's, so they may be assigned to. */
function pick<From extends object, Name extends keyof From>(from: From, names: readonly Name[]): Pick<From, Name> {
  const picked: Partial<Pick<From, Name>> = {};
  for (const name of names) if (from[name] !== undefined) picked[name] = from[name];
  return picked as Pick<From, Name>;
}

const cannotFollow = ({ type }: ServiceEvent, { tenant, stream, version }: Recorded, why: string): Error =>
  new Error(`stream ${tenant}/${stream}: ${type} cannot be version ${version}, ${why}`);
