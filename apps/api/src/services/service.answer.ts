import { inOrder, type LiveService, type State, type Task } from '#domain';
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

/** A service as callers see it (contract 3.1). Names and order are the contract's, nothing of ours is added. */
export function serviceAnswer(service: LiveService, nested: Nested, asked: ExtensionsAsked): JsonObject {
  const show = asked.of(service);
  const states = inOrder(service.states);
  const tasks = inOrder(service.tasks);
  const shown = states.filter(({ status }) => nested[`${status}_states`]);
  const shownIds = new Set(shown.map(({ state_id }) => state_id));
  const state = (item: State): JsonObject => nestedState(item, tasksOf(item, tasks), nested, show);
  // A task of a state that is shown is in that state (contract 3.3).
  const own = tasks.filter(({ state_id }) => state_id === undefined || !shownIds.has(state_id));
  return withoutMissing({
    service_id: service.service_id,
    service_type: service.service_type,
    customer_id: service.customer_id,
    contact_key: service.contact_key,
    est_duration: service.est_duration,
    ...lifeOf(service),
    active_states: nested.active_states ? shown.filter(isActive).map(state) : undefined,
    completed_states: nested.completed_states ? shown.filter(isCompleted).map(state) : undefined,
    ...nestedTasks(own, nested, show),
    ...show('Service', service.extensions),
  });
}

/** A state that stands by itself: it says which service it belongs to (contract 3.2). */
export function stateAnswer(service: LiveService, state: State, nested: Nested, asked: ExtensionsAsked): JsonObject {
  const { state_id, state_type, ...rest } = nestedState(
    state,
    tasksOf(state, inOrder(service.tasks)),
    nested,
    asked.of(service),
  );
  return withoutMissing({ state_id, state_type, service_id: service.service_id, ...rest });
}

/** A task that stands by itself (contract 3.3). */
export function taskAnswer(service: LiveService, task: Task, asked: ExtensionsAsked): JsonObject {
  const { task_id, task_type, state_id, ...rest } = nestedTask(task, asked.of(service));
  return withoutMissing({ task_id, task_type, state_id, service_id: service.service_id, ...rest });
}

function nestedState(state: State, tasks: readonly Task[], nested: Nested, show: ShowExtensions): JsonObject {
  return withoutMissing({
    state_id: state.state_id,
    state_type: state.state_type,
    previous_state_id: state.previous_state_id,
    est_duration: state.est_duration,
    ...lifeOf(state),
    ...nestedTasks(tasks, nested, show),
    ...show('State', state.extensions),
  });
}

const nestedTask = (task: Task, show: ShowExtensions): JsonObject =>
  withoutMissing({
    task_id: task.task_id,
    task_type: task.task_type,
    state_id: task.state_id,
    est_duration: task.est_duration,
    ...lifeOf(task),
    ...show('Task', task.extensions),
  });

const nestedTasks = (tasks: readonly Task[], nested: Nested, show: ShowExtensions) => ({
  active_tasks: nested.active_tasks ? tasks.filter(isActive).map((task) => nestedTask(task, show)) : undefined,
  completed_tasks: nested.completed_tasks ? tasks.filter(isCompleted).map((task) => nestedTask(task, show)) : undefined,
});

const lifeOf = (item: LiveService | State | Task) => ({
  started: activityAnswer(item.started),
  completed: item.status === 'completed' ? activityAnswer(item.completed) : undefined,
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
