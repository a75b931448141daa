import type { DomainEvent, EventEnvelope, RecordedEvent } from './envelope.js';
import type { ClaimEvent } from './claim.events.js';
import type { ControlEvent } from './control.events.js';
import type { OtherServiceChosen, ServiceEvent } from './service.events.js';
import { keepsPromise } from './promises.js';
import { upcast } from './upcasters.js';

/** The schema version in which this program writes each event type. A missing type does not compile. */
export const schemaVersions = {
  ServiceStarted: 1,
  ServiceAssociated: 1,
  ServiceUpdated: 1,
  ServiceEnded: 1,
  StateStarted: 1,
  StateUpdated: 1,
  StateEnded: 1,
  StateTransitioned: 1,
  TaskStarted: 1,
  TaskUpdated: 1,
  TaskEnded: 1,
  ExtensionReplaced: 1,
  ExtensionMerged: 1,
  ExpirationChanged: 1,
  ServiceExpired: 1,
  ServiceDeleted: 1,
  OtherServiceChosen: 1,
  ServiceClaimed: 1,
} as const satisfies Record<DomainEvent['type'], number>;

/** The same for the control log. */
export const controlSchemaVersions = {
  ModeSwitchStarted: 1,
  ModeSwitched: 1,
  ProcessDrained: 1,
  MetadataInitialized: 1,
  BusinessAttributeDefined: 1,
  BusinessAttributeDeleted: 1,
  ProfileExtensionSchemaCreated: 1,
  ProfileExtensionSchemaDeleted: 1,
  IdentificationKeyCreated: 1,
  IdentificationKeyDeleted: 1,
} as const satisfies Record<ControlEvent['type'], number>;

const newest = { ...schemaVersions, ...controlSchemaVersions };

type Encoded = Pick<RecordedEvent, 'type' | 'schemaVersion' | 'value'>;

/** The record says it is of a type or schema version that a newer program wrote: stop, do not park. */
export class NewerSchema extends Error {
  readonly code = 'newer-schema';
}

/** The value is not what its type and schema version promise: the stream is parked. */
export class Undecodable extends Error {
  readonly code = 'undecodable';
}

/** The one place where values pass on their way into the log. */
export function encode(event: DomainEvent | ControlEvent): Encoded {
  const { type, data } = event;
  return { type, schemaVersion: newest[type], value: JSON.stringify(data) };
}

/** The one place where values come out. Throws {@link NewerSchema} or {@link Undecodable}. */
export const decode = (record: Encoded): DomainEvent => decodeOneOf(schemaVersions, record);

/** The same for the control log. */
export const decodeControl = (record: Encoded): ControlEvent => decodeOneOf(controlSchemaVersions, record);

function decodeOneOf<Event extends DomainEvent | ControlEvent>(
  versions: Readonly<Record<Event['type'], number>>,
  { type, schemaVersion, value }: Encoded,
): Event {
  const isKnown = (name: string): name is Event['type'] => Object.hasOwn(versions, name);
  if (!isKnown(type) || schemaVersion > versions[type]) {
    throw new NewerSchema(`event type ${type} version ${schemaVersion} is newer than this program`);
  }
  if (!Number.isInteger(schemaVersion) || schemaVersion < 1) {
    throw new Undecodable(`there is no version ${schemaVersion} of ${type}`);
  }
  const data = upcast(type, schemaVersion, parse(type, value));
  if (!keepsPromise(type, data)) throw new Undecodable(`the value is not that of a ${type}`);
  return { type, data } as unknown as Event;
}

function parse(type: string, value: string): object {
  let data: unknown;
  try {
    data = JSON.parse(value);
  } catch (cause) {
    throw new Undecodable(`the value of a ${type} is not JSON`, { cause });
  }
  if (typeof data !== 'object' || data === null) throw new Undecodable(`the value of a ${type} is not an object`);
  return data;
}

/** The record as a decoded event in its envelope. Throws as {@link decode}. */
export function open(record: RecordedEvent): EventEnvelope {
  return { event: decode(record), record };
}

/** The same for a record of the control log. */
export function openControl(record: RecordedEvent): EventEnvelope<ControlEvent> {
  return { event: decodeControl(record), record };
}

export const isClaimEvent = (event: DomainEvent): event is ClaimEvent => event.type === 'ServiceClaimed';
export const isServiceEvent = (event: DomainEvent): event is ServiceEvent => !isClaimEvent(event);
/** Whether the event tells something of a service; the others are how composite starts agree, and of no interest outside. */
export const isPublicEvent = (event: DomainEvent): event is PublishedServiceEvent =>
  isServiceEvent(event) && event.type !== 'OtherServiceChosen';
export type PublishedServiceEvent = Exclude<ServiceEvent, OtherServiceChosen>;
