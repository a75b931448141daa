import type { ControlEvent } from './control.events.js';
import type { DomainEvent } from './envelope.js';

type EventType = (DomainEvent | ControlEvent)['type'];
type Fields = { readonly [name: string]: unknown };

const isObject = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const hasTexts = (data: unknown, ...names: readonly string[]): boolean =>
  isObject(data) && names.every((name) => Object.hasOwn(data, name) && typeof data[name] === 'string');

const hasCount = (data: unknown, name: string): boolean =>
  isObject(data) && Object.hasOwn(data, name) && Number.isSafeInteger(data[name]) && Number(data[name]) >= 0;

const hasListOf = (data: unknown, name: string, isItem: (item: unknown) => boolean): boolean => {
  const list = isObject(data) && Object.hasOwn(data, name) ? data[name] : undefined;
  return Array.isArray(list) && list.every(isItem);
};

const isText = (value: unknown): boolean => typeof value === 'string';
const isMode = (value: unknown): boolean => value === 'production' || value === 'maintenance';

const isBusinessAttribute = (value: unknown): boolean =>
  hasTexts(value, 'name', 'display_name', 'description') &&
  hasCount(value, 'dbid') &&
  hasListOf(value, 'values', isAttributeValue) &&
  isObject(value) &&
  (value['cv_attributes'] === undefined || hasListOf(value, 'cv_attributes', isText));
const isAttributeValue = (value: unknown): boolean =>
  hasTexts(value, 'name', 'display_name', 'description') && hasCount(value, 'dbid');
const isExtensionSchema = (value: unknown): boolean =>
  hasTexts(value, 'name', 'type') &&
  hasListOf(value, 'attributes', (attribute) => hasTexts(attribute, 'name', 'type')) &&
  hasListOf(value, 'unique', isText);
const isIdentificationKey = (value: unknown): boolean =>
  hasTexts(value, 'name', 'source') &&
  hasListOf(value, 'attributes', isText) &&
  isObject(value) &&
  typeof value['unique'] === 'boolean';

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
  OtherServiceChosen: (data) => hasTexts(data, 'service_id', 'other_service_id'),
  ServiceClaimed: (data) =>
    hasTexts(data, 'service_id') &&
    hasTexts(data['start'], 'service_id', 'timestamp') &&
    isObject(data['lifetime']) &&
    (data['place'] === undefined || (hasCount(data, 'place') && data['place'] !== 0)),
  ModeSwitchStarted: (data) => isMode(data['target']) && hasTexts(data, 'process') && hasCount(data, 'epoch'),
  ModeSwitched: (data) => isMode(data['mode']) && hasCount(data, 'epoch'),
  ProcessDrained: (data) => hasTexts(data, 'process') && hasCount(data, 'epoch'),
  MetadataInitialized: (data) =>
    hasListOf(data, 'business_attributes', isBusinessAttribute) &&
    hasListOf(data, 'profile_extensions', isExtensionSchema) &&
    hasListOf(data, 'identification_keys', isIdentificationKey),
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
