import type { Claim, Service } from '#domain';
import type { Enumerated, Head } from '#events';

export interface StreamId {
  readonly tenant: string;
  readonly stream: string;
}

/** What a stream folds to: the row's content. */
export type Aggregate =
  { readonly kind: 'service'; readonly service: Service } | { readonly kind: 'claim'; readonly claim: Claim };

/** One row per stream, fed by that stream alone. */
export interface StreamRow extends StreamId {
  readonly head: Head;
  /** Offset of the last valid record: with the stream's partition the position of what the row shows. */
  readonly offset: number;
  readonly aggregate: Aggregate;
  /** Set when a record could not be projected: from this version on the row does not know the truth. */
  readonly parkedAtVersion?: number;
}

/** Whose list. */
export interface Owner {
  readonly tenant: string;
  /** `contact`: anonymous services only; `associated`: those of a contact key that have a customer too. */
  readonly kind: 'customer' | 'contact' | 'associated';
  /** A customer id, or a contact key. */
  readonly id: string;
}

/** The order of every list (contract 0.3, 32): `started.timestamp`, then recorded time, then the bytes of the id. */
export interface ListPlace {
  /** Epoch milliseconds. */
  readonly started: number;
  readonly recordedAt: number;
  readonly service_id: string;
}

/** A candidate: the service's own row decides whether it belongs to the list and what is shown. */
export interface ListEntry extends ListPlace {
  readonly owner: Owner;
  readonly status: 'active' | 'completed';
  readonly service_type?: Enumerated;
}

export interface ListQuery {
  readonly owner: Owner;
  readonly status: 'active' | 'completed';
  readonly order: 'oldest-first' | 'newest-first';
  /** Leaves this place and everything before it (in the given order) out. */
  readonly after?: ListPlace;
  /** `started` at or after, epoch milliseconds. */
  readonly startedFrom?: number;
  /** `started` before, epoch milliseconds. */
  readonly startedTo?: number;
  /** Compared as text: `5` equals `"5"`. Entries without a type do not match. */
  readonly serviceTypes?: readonly string[];
  /** At most so many entries (default 500); fewer only when there are no more. */
  readonly limit?: number;
}

export interface StoredCheckpoint {
  readonly generation: number;
  readonly partition: number;
  readonly next: number;
  readonly epoch: number;
  /** Identity of the log that the rows were built from. */
  readonly logId: string;
}

/** The store did not answer, or not in time. Try again; nothing is known about what was written. */
export class StoreUnavailable extends Error {
  readonly code = 'store-unavailable';
}

/**
 * Everything that can be thrown away and rebuilt from the log. Repeating any write changes nothing, and an older write
 * (of a lower offset) never covers a newer one, whoever sends it and whenever (design 5).
 * Every method throws {@link StoreUnavailable}.
 */
export abstract class ReadModel {
  /** The row as of now: never older than one whose save was confirmed before the call. */
  abstract find(id: StreamId): Promise<StreamRow | undefined>;

  abstract list(query: ListQuery): Promise<readonly ListEntry[]>;

  /**
   * Writes the row and moves its list entries. New entries first, then the removal of old ones, the row last: a crash
   * in the middle leaves candidates too many, never one too few, and the same save again completes it. The row of the
   * record before has been saved, by whomever; a row without `parkedAtVersion` ends a parking at this record or before.
   */
  abstract save(
    row: StreamRow,
    lists: { readonly insert: readonly ListEntry[]; readonly remove: readonly ListEntry[] },
  ): Promise<void>;

  /**
   * Marks a row as parked at this version. `offset`: of the record that was not projected. Creates the row when there is
   * none: unstarted, version 0, offset -1.
   */
  abstract park(id: StreamId, version: number, offset: number): Promise<void>;

  /** By partition; a partition without one is missing. */
  abstract checkpoints(): Promise<readonly StoredCheckpoint[]>;

  /** After the rows. A lower `next` than the stored one changes nothing. */
  abstract saveCheckpoint(checkpoint: StoredCheckpoint): Promise<void>;

  abstract close(): Promise<void>;
}
