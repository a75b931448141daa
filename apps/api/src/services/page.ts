import { startedAt, type State, type Task } from '#domain';
import type { ListPlace } from '#read-model';
import type { QueryParameters } from '../http/query-parameters.js';
import { Refused } from '../http/refused.js';

export interface PageAsked {
  readonly limit?: number;
  readonly before?: ListPlace;
}

/** `limit` and `page` (contract 0.3, 16): without `limit` everything, the first page is the newest. Throws `Refused`. */
export function pageAsked(query: QueryParameters): PageAsked {
  const limit = query.count('limit');
  const cursor = query.single('page');
  if (limit === undefined) {
    if (cursor !== undefined) throw new Refused('invalid', 'The query parameter page needs limit beside it');
    return {};
  }
  return cursor === undefined ? { limit } : { limit, before: placeOf(cursor) };
}

/** A place in a list as a text for callers, who need not understand it. */
export const cursorOf = ({ started, recordedAt, service_id }: ListPlace): string =>
  Buffer.from(JSON.stringify([started, recordedAt, service_id])).toString('base64url');

function placeOf(cursor: string): ListPlace {
  try {
    const [started, recordedAt, service_id, ...more] = JSON.parse(
      Buffer.from(cursor, 'base64url').toString(),
    ) as readonly unknown[];
    if (
      Number.isSafeInteger(started) &&
      Number.isSafeInteger(recordedAt) &&
      typeof service_id === 'string' &&
      more.length === 0
    ) {
      return { started: started as number, recordedAt: recordedAt as number, service_id };
    }
  } catch {
    // Not ours.
  }
  throw new Refused('invalid', 'The query parameter page must be taken from the Link of the page before');
}

const idOf = (part: State | Task): string => ('task_id' in part ? part.task_id : part.state_id);

const place = (part: State | Task): ListPlace => ({
  started: startedAt(part),
  recordedAt: part.recordedAt,
  service_id: idOf(part),
});

const isBefore = (a: ListPlace, b: ListPlace): boolean =>
  a.started !== b.started
    ? a.started < b.started
    : a.recordedAt !== b.recordedAt
      ? a.recordedAt < b.recordedAt
      : a.service_id < b.service_id;

/** The page of parts that are in order already, and where the next (older) one goes on. */
export function pageOf<Part extends State | Task>(
  parts: readonly Part[],
  { limit, before }: PageAsked,
): { readonly parts: readonly Part[]; readonly next?: ListPlace } {
  const older = before === undefined ? parts : parts.filter((part) => isBefore(place(part), before));
  const [first] = limit === undefined || older.length <= limit ? [] : older.slice(-limit);
  if (first === undefined) return { parts: older };
  return { parts: older.slice(older.indexOf(first)), next: place(first) };
}
