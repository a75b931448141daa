import { comparePlaces } from './list-entries.js';
import type { ListPlace, ListQuery } from './read-model.js';

/** Entries that a list query leaves over: at or after `from`, before `to`, whatever the order. */
export interface PlaceRange {
  readonly from: ListPlace;
  readonly to: ListPlace;
}

const DEFAULT_LIMIT = 500;

const firstAt = (started: number): ListPlace => ({ started, recordedAt: Number.MIN_SAFE_INTEGER, service_id: '' });

/** Between a place and this one there is none: no text lies between an id and the same id with a NUL behind it. */
const nextAfter = (place: ListPlace): ListPlace => ({ ...place, service_id: `${place.service_id}\0` });

/** One range of places for `after`, `startedFrom` and `startedTo`, so that a store reads no row outside of it. */
export function placeRange({ order, after, startedFrom, startedTo }: ListQuery): PlaceRange {
  const from = firstAt(startedFrom ?? Number.MIN_SAFE_INTEGER);
  const to = firstAt(startedTo ?? Number.MAX_SAFE_INTEGER);
  if (after === undefined) return { from, to };
  return order === 'oldest-first' ? { from: latest(from, nextAfter(after)), to } : { from, to: earliest(to, after) };
}

export const limitOf = ({ limit = DEFAULT_LIMIT }: ListQuery): number => limit;

const latest = (one: ListPlace, other: ListPlace): ListPlace => (comparePlaces(one, other) < 0 ? other : one);
const earliest = (one: ListPlace, other: ListPlace): ListPlace => (comparePlaces(one, other) < 0 ? one : other);
