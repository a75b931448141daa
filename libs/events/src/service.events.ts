import type { Extensions, Json } from './json.js';

/** An enumerated value as it was sent (contract 2.3): a name or a DBID. */
export type Enumerated = string | number;

/** What every reported event may carry about who did it and where (contract 3.4, 3.5). */
export interface Activity {
  /** ISO 8601 UTC with milliseconds. The caller's word: lists and exports compare it, nothing is decided by it. */
  readonly timestamp: string;
  readonly session_id?: string;
  readonly interaction_id?: string;
  readonly application_type?: Enumerated;
  readonly application_id?: number;
  readonly resource_type?: Enumerated;
  readonly resource_id?: number;
  readonly media_type?: Enumerated;
}

export interface Disposition {
  readonly disposition?: Enumerated;
  readonly disposition_desc?: string;
}

export interface WithExtensions {
  readonly extensions?: Extensions;
}

interface Event<Type extends string, Data> {
  readonly type: Type;
  readonly data: Data;
}

/** Points at the service, or at one of its states or tasks. */
export interface ExtensionOwner {
  readonly service_id: string;
  readonly state_id?: string;
  readonly task_id?: string;
}

export interface ServiceStart extends Activity, Disposition, WithExtensions {
  readonly service_id: string;
  readonly customer_id?: string;
  readonly contact_key?: string;
  readonly service_type?: Enumerated;
  readonly est_duration?: number;
  readonly auto_complete_after?: number;
}

/** Fields that replace those the service was started with; a missing field stays as it is. */
export interface ServiceChange extends Partial<Activity>, Disposition, WithExtensions {
  readonly service_id: string;
  readonly service_type?: Enumerated;
  readonly est_duration?: number;
  readonly auto_complete_after?: number;
}

export type ServiceStarted = Event<'ServiceStarted', ServiceStart>;

/** Carries the owner before and after, so that a reader of this record alone knows every list that changes. */
export type ServiceAssociated = Event<
  'ServiceAssociated',
  ServiceChange & {
    readonly customer_id: string;
    readonly previous_customer_id?: string;
    /** As it is after this event. */
    readonly contact_key?: string;
    readonly previous_contact_key?: string;
  }
>;

/** A composite start found the service and brought new fields or extensions for it. */
export type ServiceUpdated = Event<'ServiceUpdated', ServiceChange>;

/** Carries the owner, so that a reader of this record alone knows the lists that change. */
export type ServiceEnded = Event<
  'ServiceEnded',
  Activity &
    Disposition &
    WithExtensions & { readonly service_id: string; readonly customer_id?: string; readonly contact_key?: string }
>;

export interface StateStart extends Activity, WithExtensions {
  readonly service_id: string;
  readonly state_id: string;
  readonly state_type?: Enumerated;
  readonly previous_state_id?: string;
  readonly est_duration?: number;
}
export type StateStarted = Event<'StateStarted', StateStart>;
export type StateUpdated = Event<
  'StateUpdated',
  Partial<StateStart> & { readonly service_id: string; readonly state_id: string }
>;
export type StateEnded = Event<
  'StateEnded',
  Activity & Disposition & WithExtensions & { readonly service_id: string; readonly state_id: string }
>;

/** One state ends and the next one starts, in one record. */
export type StateTransitioned = Event<
  'StateTransitioned',
  Activity & {
    readonly service_id: string;
    readonly from: Disposition & WithExtensions & { readonly state_id: string };
    readonly to: WithExtensions & {
      readonly state_id: string;
      readonly state_type?: Enumerated;
      readonly est_duration?: number;
    };
  }
>;

export interface TaskStart extends Activity, WithExtensions {
  readonly service_id: string;
  readonly task_id: string;
  readonly task_type?: Enumerated;
  readonly state_id?: string;
  readonly est_duration?: number;
}
export type TaskStarted = Event<'TaskStarted', TaskStart>;
export type TaskUpdated = Event<
  'TaskUpdated',
  Partial<TaskStart> & { readonly service_id: string; readonly task_id: string }
>;
export type TaskEnded = Event<
  'TaskEnded',
  Activity & Disposition & WithExtensions & { readonly service_id: string; readonly task_id: string }
>;

export type ExtensionReplaced = Event<
  'ExtensionReplaced',
  ExtensionOwner & { readonly name: string; readonly value: Json }
>;
/** `value` holds only the entries to add or replace. */
export type ExtensionMerged = Event<
  'ExtensionMerged',
  ExtensionOwner & { readonly name: string; readonly value: { readonly [name: string]: Json } }
>;

/** The new lifetime is in the envelope: validity is judged by headers alone. */
export type ExpirationChanged = Event<'ExpirationChanged', { readonly service_id: string }>;

/** Recorded when the service's time was up. The only event that may be recorded after the expiry. */
export type ServiceExpired = Event<'ServiceExpired', { readonly service_id: string }>;
export type ServiceDeleted = Event<'ServiceDeleted', { readonly service_id: string }>;

/**
 * A composite start with an idempotency key, which would have started the service of this stream, uses another one that
 * it found. In the stream of the service that is not started, so that all attempts of the request follow the first; not
 * published. The service may still be started at the next version.
 */
export type OtherServiceChosen = Event<
  'OtherServiceChosen',
  { readonly service_id: string; readonly other_service_id: string }
>;

export type ServiceEvent =
  | ServiceStarted
  | ServiceAssociated
  | ServiceUpdated
  | ServiceEnded
  | StateStarted
  | StateUpdated
  | StateEnded
  | StateTransitioned
  | TaskStarted
  | TaskUpdated
  | TaskEnded
  | ExtensionReplaced
  | ExtensionMerged
  | ExpirationChanged
  | ServiceExpired
  | ServiceDeleted
  | OtherServiceChosen;
