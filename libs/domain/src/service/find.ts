import type { Enumerated, Extensions, Json } from '#events';
import type { LiveService, State, Task } from './service.js';

type Part = State | Task;

/** Enumerated values are equal when they are equal as text: `5` equals `"5"`. */
export const sameEnumerated = (one: Enumerated, other: Enumerated): boolean => String(one) === String(other);

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
export const newestActiveState = (service: LiveService, type?: Enumerated): State | undefined =>
  inOrder(service.states.filter(({ status, state_type }) => status === 'active' && matches(state_type, type))).at(-1);

/** As {@link newestActiveState}; a missing `state_id` is not compared either. */
export const newestActiveTask = (service: LiveService, type?: Enumerated, stateId?: string): Task | undefined =>
  inOrder(
    service.tasks.filter(
      ({ status, task_type, state_id }) =>
        status === 'active' && matches(task_type, type) && (stateId === undefined || state_id === stateId),
    ),
  ).at(-1);

/** Whether a stored value equals the wanted one as text; a missing wanted one is not compared. */
export const matches = (stored: Enumerated | undefined, wanted: Enumerated | undefined): boolean =>
  wanted === undefined || (stored !== undefined && sameEnumerated(stored, wanted));

/** An extension's value; undefined when there is none of this name, however the name sounds (`constructor`). */
export const findExtension = (extensions: Extensions, name: string): Json | undefined =>
  Object.hasOwn(extensions, name) ? extensions[name] : undefined;

/** Whether a value can be merged into (contract S9): an object, not a list. */
export const isMergeable = (value: Json): value is Extensions =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
