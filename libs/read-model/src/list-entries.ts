import type { Service } from '#domain';
import type { ListEntry, ListPlace, Owner } from './read-model.js';

/** What a save does to the lists. */
export interface ListChanges {
  readonly insert: readonly ListEntry[];
  readonly remove: readonly ListEntry[];
}

/**
 * The one list entry that a live service has: its customer's, or that of its contact key while it is anonymous.
 * Undefined when it is in no list (not live, or nobody's).
 */
export function listEntry(service: Service, tenant: string): ListEntry | undefined {
  if (service.status !== 'active' && service.status !== 'completed') return undefined;
  const owner = ownerOf(service, tenant);
  if (owner === undefined) return undefined;
  const { status, service_id, service_type, recordedAt } = service;
  const started = Date.parse(service.started.timestamp);
  return { owner, status, started, recordedAt, service_id, ...(service_type !== undefined && { service_type }) };
}

function ownerOf(
  { customer_id, contact_key }: { readonly customer_id?: string; readonly contact_key?: string },
  tenant: string,
): Owner | undefined {
  if (customer_id !== undefined) return { tenant, kind: 'customer', id: customer_id };
  return contact_key === undefined ? undefined : { tenant, kind: 'contact', id: contact_key };
}

/**
 * What one record does to the lists: from the entry before it to the one after it. An entry that only changes its type
 * is rewritten in place. Never over several records at once: one that came back to where it was would not be inserted
 * again, and another projector's step in between may have removed it.
 */
export function listChanges(before: ListEntry | undefined, after: ListEntry | undefined): ListChanges {
  const stays = before !== undefined && after !== undefined && isSameEntry(before, after);
  return {
    insert: after === undefined || (stays && before.service_type === after.service_type) ? [] : [after],
    remove: before === undefined || stays ? [] : [before],
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
