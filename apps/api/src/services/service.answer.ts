import { inOrder, type EnumeratedValues, type LiveService, type Resource, type State, type Task } from '#domain';
import type { Activity, Json } from '#events';
import type { ExtensionsAsked, ShowExtensions } from './extensions-parameter.js';

/** What an answer holds beside the resource itself (contract S4, T4). */
export interface Nested {
  readonly active_states: boolean;
  readonly completed_states: boolean;
  readonly active_tasks: boolean;
  readonly completed_tasks: boolean;
}

export type JsonObject = { readonly [name: string]: Json };

/** What an answer shows of states and tasks, and how. */
interface Shown {
  readonly nested: Nested;
  readonly show: ShowExtensions;
  readonly values: EnumeratedValues;
}

/** A service as callers see it (contract 3.1). Names and order are the contract's, nothing of ours is added. */
export function serviceAnswer(
  held: LiveService,
  nested: Nested,
  asked: ExtensionsAsked,
  values: EnumeratedValues,
): JsonObject {
  const service = values.shown('Service', held);
  const show = asked.of(service);
  const about = { nested, show, values };
  const states = inOrder(service.states);
  const tasks = inOrder(service.tasks);
  const shown = states.filter(({ status }) => nested[`${status}_states`]);
  const shownIds = new Set(shown.map(({ state_id }) => state_id));
  const state = (item: State): JsonObject => nestedState(item, tasksOf(item, tasks), about);
  // A task of a state that is shown is in that state (contract 3.3).
  const own = tasks.filter(({ state_id }) => state_id === undefined || !shownIds.has(state_id));
  return withoutMissing({
    service_id: service.service_id,
    service_type: service.service_type,
    customer_id: service.customer_id,
    contact_key: service.contact_key,
    est_duration: service.est_duration,
    ...lifeOf('Service', service, values),
    active_states: nested.active_states ? shown.filter(isActive).map(state) : undefined,
    completed_states: nested.completed_states ? shown.filter(isCompleted).map(state) : undefined,
    ...nestedTasks(own, about),
    ...show('Service', service.extensions),
  });
}

/** A state that stands by itself: it says which service it belongs to (contract 3.2). */
export function stateAnswer(
  service: LiveService,
  state: State,
  nested: Nested,
  asked: ExtensionsAsked,
  values: EnumeratedValues,
): JsonObject {
  const about = { nested, show: asked.of(service), values };
  const { state_id, state_type, ...rest } = nestedState(state, tasksOf(state, inOrder(service.tasks)), about);
  return withoutMissing({ state_id, state_type, service_id: service.service_id, ...rest });
}

/** A task that stands by itself (contract 3.3). */
export function taskAnswer(
  service: LiveService,
  task: Task,
  asked: ExtensionsAsked,
  values: EnumeratedValues,
): JsonObject {
  const { task_id, task_type, state_id, ...rest } = nestedTask(task, { show: asked.of(service), values });
  return withoutMissing({ task_id, task_type, state_id, service_id: service.service_id, ...rest });
}

function nestedState(held: State, tasks: readonly Task[], about: Shown): JsonObject {
  const state = about.values.shown('State', held);
  return withoutMissing({
    state_id: state.state_id,
    state_type: state.state_type,
    previous_state_id: state.previous_state_id,
    est_duration: state.est_duration,
    ...lifeOf('State', state, about.values),
    ...nestedTasks(tasks, about),
    ...about.show('State', state.extensions),
  });
}

function nestedTask(held: Task, { show, values }: Pick<Shown, 'show' | 'values'>): JsonObject {
  const task = values.shown('Task', held);
  return withoutMissing({
    task_id: task.task_id,
    task_type: task.task_type,
    state_id: task.state_id,
    est_duration: task.est_duration,
    ...lifeOf('Task', task, values),
    ...show('Task', task.extensions),
  });
}

const nestedTasks = (tasks: readonly Task[], about: Shown) => ({
  active_tasks: about.nested.active_tasks ? tasks.filter(isActive).map((task) => nestedTask(task, about)) : undefined,
  completed_tasks: about.nested.completed_tasks
    ? tasks.filter(isCompleted).map((task) => nestedTask(task, about))
    : undefined,
});

const lifeOf = (resource: Resource, item: LiveService | State | Task, values: EnumeratedValues) => ({
  started: activityAnswer(values.shown(resource, item.started)),
  completed: item.status === 'completed' ? activityAnswer(values.shown(resource, item.completed)) : undefined,
  disposition: item.disposition,
  disposition_desc: item.disposition_desc,
});

const activityAnswer = (activity: Activity): JsonObject => withoutMissing({ ...activity });

const isActive = ({ status }: State | Task): boolean => status === 'active';
const isCompleted = ({ status }: State | Task): boolean => status === 'completed';

const tasksOf = ({ state_id: id }: State, tasks: readonly Task[]): readonly Task[] =>
  tasks.filter(({ state_id }) => state_id === id);

const withoutMissing = (fields: { readonly [name: string]: Json | undefined }): JsonObject =>
  Object.fromEntries(Object.entries(fields).filter((field): field is [string, Json] => field[1] !== undefined));
