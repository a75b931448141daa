import type { Service } from '#domain';
import type { ListEntry, ListPlace, Owner } from './read-model.js';

/** What a save does to the lists. */
export interface ListChanges {
  readonly insert: readonly ListEntry[];
  readonly remove: readonly ListEntry[];
}

/** Whose service it is. */
export interface Belonging {
  readonly customer_id?: string;
  readonly contact_key?: string;
}

/**
 * The owners in whose lists a service is: its customer, or its contact key while it is anonymous. One that has both can
 * be found by its contact key too. None when it is nobody's.
 */
export function ownersOf({ customer_id, contact_key }: Belonging, tenant: string): readonly Owner[] {
  const isAnonymous = customer_id === undefined;
  return [
    ...(isAnonymous ? [] : [{ tenant, kind: 'customer', id: customer_id } as const]),
    ...(contact_key === undefined
      ? []
      : [{ tenant, kind: isAnonymous ? 'contact' : 'associated', id: contact_key } as const]),
  ];
}

/** The entries that a service has, one for each of its owners; none when it is not live. */
export function listEntries(service: Service, tenant: string): readonly ListEntry[] {
  if (service.status !== 'active' && service.status !== 'completed') return [];
  const { status, service_id, service_type, recordedAt } = service;
  const started = Date.parse(service.started.timestamp);
  const entry = { status, started, recordedAt, service_id, ...(service_type !== undefined && { service_type }) };
  return ownersOf(service, tenant).map((owner) => ({ owner, ...entry }));
}

export const noListChanges: ListChanges = { insert: [], remove: [] };

/** What one event does to the lists of a service. Most of them nothing: those are told by a glance. */
export function listChangesBetween(before: Service, after: Service, tenant: string): ListChanges {
  return isListedAlike(before, after)
    ? noListChanges
    : listChanges(listEntries(before, tenant), listEntries(after, tenant));
}

function isListedAlike(before: Service, after: Service): boolean {
  if (!('service_id' in before) || !('service_id' in after)) return false;
  return (
    before.status === after.status &&
    before.customer_id === after.customer_id &&
    before.contact_key === after.contact_key &&
    before.service_type === after.service_type &&
    before.started.timestamp === after.started.timestamp &&
    before.recordedAt === after.recordedAt &&
    before.service_id === after.service_id
  );
}

/**
 * What one record does to the lists: from the entries before it to those after it. An entry that only changes its type
 * is rewritten in place. For several records see {@link bothChanges}.
 */
export function listChanges(before: readonly ListEntry[], after: readonly ListEntry[]): ListChanges {
  const same = (entries: readonly ListEntry[], entry: ListEntry) => entries.find((other) => isSameEntry(other, entry));
  return {
    insert: after.filter((entry) => {
      const stays = same(before, entry);
      return !stays || stays.service_type !== entry.service_type;
    }),
    remove: before.filter((entry) => !same(after, entry)),
  };
}

/**
 * What two records do to the lists, one after the other, in one save. Not simply from the entries before to those after:
 * what came back to where it was is inserted again, and what was there only in between is removed, because another
 * projector may have saved the step in between.
 */
export function bothChanges(first: ListChanges, second: ListChanges): ListChanges {
  if (second === noListChanges) return first;
  const without = (entries: readonly ListEntry[], others: readonly ListEntry[]): readonly ListEntry[] =>
    entries.filter((entry) => !others.some((other) => isSameEntry(entry, other)));
  const { insert, remove } = second;
  return {
    insert: [...without(first.insert, [...remove, ...insert]), ...insert],
    remove: [...without(first.remove, [...insert, ...remove]), ...remove],
  };
}

const isSameEntry = (one: ListEntry, other: ListEntry): boolean =>
  one.status === other.status &&
  one.owner.tenant === other.owner.tenant &&
  one.owner.kind === other.owner.kind &&
  one.owner.id === other.owner.id &&
  comparePlaces(one, other) === 0;

/** Oldest first, as every store orders them: equal times by the bytes of the id in UTF-8. */
export function comparePlaces(one: ListPlace, other: ListPlace): number {
  return (
    one.started - other.started ||
    one.recordedAt - other.recordedAt ||
    Buffer.compare(Buffer.from(one.service_id), Buffer.from(other.service_id))
  );
}
