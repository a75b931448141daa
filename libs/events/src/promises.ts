import type { ControlEvent } from './control.events.js';
import type { DomainEvent } from './envelope.js';

type EventType = (DomainEvent | ControlEvent)['type'];
type Fields = { readonly [name: string]: unknown };

const isObject = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const hasTexts = (data: unknown, ...names: readonly string[]): boolean =>
  isObject(data) && names.every((name) => Object.hasOwn(data, name) && typeof data[name] === 'string');

const hasCount = (data: unknown, name: string): boolean => isObject(data) && Number.isSafeInteger(data[name]);

const isListOf = (value: unknown, isItem: (item: unknown) => boolean): boolean =>
  Array.isArray(value) && value.every(isItem);

const isText = (value: unknown): boolean => typeof value === 'string';
const isNamed = (value: unknown): boolean => hasTexts(value, 'name');
const isNumbered = (value: unknown): boolean => isNamed(value) && hasCount(value, 'dbid');
const isBusinessAttribute = (value: unknown): boolean =>
  isNumbered(value) && isObject(value) && isListOf(value['values'], isNumbered);
const isExtensionSchema = (value: unknown): boolean =>
  hasTexts(value, 'name', 'type') &&
  isObject(value) &&
  isListOf(value['attributes'], isNamed) &&
  isListOf(value['unique'], isText);
const isIdentificationKey = (value: unknown): boolean =>
  hasTexts(value, 'name', 'source') && isObject(value) && isListOf(value['attributes'], isText);

/**
 * What folding relies on, by type of today's shape: the ids, the caller's time, the parts. All else may be missing, and
 * values are whatever a caller sent.
 */
const promises: Record<EventType, (data: Fields) => boolean> = {
  ServiceStarted: (data) => hasTexts(data, 'service_id', 'timestamp'),
  ServiceAssociated: (data) => hasTexts(data, 'service_id', 'customer_id'),
  ServiceUpdated: (data) => hasTexts(data, 'service_id'),
  ServiceEnded: (data) => hasTexts(data, 'service_id', 'timestamp'),
  StateStarted: (data) => hasTexts(data, 'service_id', 'state_id', 'timestamp'),
  StateUpdated: (data) => hasTexts(data, 'service_id', 'state_id'),
  StateEnded: (data) => hasTexts(data, 'service_id', 'state_id', 'timestamp'),
  StateTransitioned: (data) =>
    hasTexts(data, 'service_id', 'timestamp') &&
    [data['from'], data['to']].every((side) => hasTexts(side, 'state_id') && hasExtensions(side)),
  TaskStarted: (data) => hasTexts(data, 'service_id', 'task_id', 'timestamp'),
  TaskUpdated: (data) => hasTexts(data, 'service_id', 'task_id'),
  TaskEnded: (data) => hasTexts(data, 'service_id', 'task_id', 'timestamp'),
  ExtensionReplaced: (data) => hasTexts(data, 'service_id', 'name') && Object.hasOwn(data, 'value'),
  ExtensionMerged: (data) => hasTexts(data, 'service_id', 'name') && isObject(data['value']),
  ExpirationChanged: (data) => hasTexts(data, 'service_id'),
  ServiceExpired: (data) => hasTexts(data, 'service_id'),
  ServiceDeleted: (data) => hasTexts(data, 'service_id'),
  ServiceClaimed: (data) =>
    hasTexts(data, 'service_id') && hasTexts(data['start'], 'service_id', 'timestamp') && isObject(data['lifetime']),
  ModeSwitchStarted: (data) => hasTexts(data, 'target', 'process') && hasCount(data, 'epoch'),
  ModeSwitched: (data) => hasTexts(data, 'mode') && hasCount(data, 'epoch'),
  ProcessDrained: (data) => hasTexts(data, 'process') && hasCount(data, 'epoch'),
  MetadataInitialized: (data) =>
    isListOf(data['business_attributes'], isBusinessAttribute) &&
    isListOf(data['profile_extensions'], isExtensionSchema) &&
    isListOf(data['identification_keys'], isIdentificationKey),
  BusinessAttributeDefined: (data) => isBusinessAttribute(data['attribute']),
  BusinessAttributeDeleted: (data) => hasTexts(data, 'name'),
  ProfileExtensionSchemaCreated: (data) => isExtensionSchema(data['schema']),
  ProfileExtensionSchemaDeleted: (data) => hasTexts(data, 'name'),
  IdentificationKeyCreated: (data) => isIdentificationKey(data['key']),
  IdentificationKeyDeleted: (data) => hasTexts(data, 'name'),
};

const hasExtensions = (data: unknown): boolean =>
  isObject(data) && (data['extensions'] === undefined || isObject(data['extensions']));

/** Whether a value is an event of this type, as far as anything built on events needs it to be. */
export const keepsPromise = (type: EventType, data: unknown): boolean =>
  isObject(data) && hasExtensions(data) && promises[type](data);
