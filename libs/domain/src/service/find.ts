import type { Enumerated, Extensions, Json } from '#events';
import type { LiveService, State, Task } from './service.js';

type Part = State | Task;

/** A value, or every text that means it. */
export type Wanted = Enumerated | readonly string[];

export const findState = (service: LiveService, id: string): State | undefined =>
  service.states.find(({ state_id }) => state_id === id);

export const findTask = (service: LiveService, id: string): Task | undefined =>
  service.tasks.find(({ task_id }) => task_id === id);

const idOf = (item: LiveService | Part): string =>
  'task_id' in item ? item.task_id : 'states' in item ? item.service_id : item.state_id;

/** Epoch milliseconds of the caller's word for the start: what lists are sorted and filtered by. */
export const startedAt = (item: LiveService | Part): number => Date.parse(item.started.timestamp);

/** The order of every list (contract 0.3, 32): `started.timestamp` as an instant, then recorded time, then id. */
export const inOrder = <Item extends LiveService | Part>(items: readonly Item[]): readonly Item[] =>
  items
    .map((item) => ({ item, started: startedAt(item), id: idOf(item) }))
    .sort(
      (a, b) =>
        a.started - b.started || a.item.recordedAt - b.item.recordedAt || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0),
    )
    .map(({ item }) => item);

/** Composite start (contract 0.3, 31): of several active ones the newest; a missing type is not compared. */
export const newestActiveState = (service: LiveService, type?: Wanted): State | undefined =>
  inOrder(service.states.filter(({ status, state_type }) => status === 'active' && matches(state_type, type))).at(-1);

/** As {@link newestActiveState}; a missing `state_id` is not compared either. */
export const newestActiveTask = (service: LiveService, type?: Wanted, stateId?: string): Task | undefined =>
  inOrder(
    service.tasks.filter(
      ({ status, task_type, state_id }) =>
        status === 'active' && matches(task_type, type) && (stateId === undefined || state_id === stateId),
    ),
  ).at(-1);

/** Whether a stored value is the wanted one, as text: `5` equals `"5"`. A missing wanted one is not compared. */
export const matches = (stored: Enumerated | undefined, wanted: Wanted | undefined): boolean =>
  wanted === undefined ||
  (stored !== undefined &&
    (Array.isArray(wanted) ? wanted.includes(String(stored)) : String(stored) === String(wanted)));

/** An extension's value; undefined when there is none of this name, however the name sounds (`constructor`). */
export const findExtension = (extensions: Extensions, name: string): Json | undefined =>
  Object.hasOwn(extensions, name) ? extensions[name] : undefined;

/** Whether a value can be merged into (contract S9): an object, not a list. */
export const isMergeable = (value: Json): value is Extensions =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
