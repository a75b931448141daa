import type {
  BusinessAttribute,
  EventEnvelope,
  IdempotencyDigest,
  IdentificationKey,
  MetadataEvent,
  ProfileExtensionSchema,
} from '#events';
import { Rejected } from '../rejected.js';
import { answersKeptForMs } from '../service/answer.js';
import { caseless, enumeratedField, noMetadata, type Metadata, type MetadataAnswer } from './metadata.js';

/** The metadata after one more valid event. Pure; uses nothing but the event and its envelope. */
export function evolveMetadata(
  metadata: Metadata,
  { event, record: { idempotency, recordedAt } }: EventEnvelope<MetadataEvent>,
): Metadata {
  const young = [...metadata.answered].filter(([, kept]) => recordedAt - kept.recordedAt <= answersKeptForMs);
  const { key, request } = idempotency ?? {};
  return {
    ...changed(metadata, event),
    answered: new Map(
      key === undefined || request === undefined
        ? young
        : [...young, [key, { digest: { key, request }, recordedAt, answer: metadataAnswerOf(event, metadata) }]],
    ),
  };
}

/** What a caller is told once this event is recorded on top of `before`. Deciding and folding both ask here. */
export function metadataAnswerOf({ type, data }: MetadataEvent, before: Metadata): MetadataAnswer {
  switch (type) {
    case 'MetadataInitialized':
      return { name: '', created: true };
    case 'BusinessAttributeDefined':
      return { name: data.attribute.name, created: !before.businessAttributes.has(data.attribute.name) };
    case 'ProfileExtensionSchemaCreated':
      return { name: data.schema.name, created: true };
    case 'IdentificationKeyCreated':
      return { name: data.key.name, created: true };
    case 'BusinessAttributeDeleted':
    case 'ProfileExtensionSchemaDeleted':
    case 'IdentificationKeyDeleted':
      return { name: data.name, created: false };
  }
}

/**
 * The first answer to a request with this key, undefined when the key is new to the tenant's metadata. `now`: recorded
 * time; kept for 24 h. Throws `Rejected` when the key came with another request.
 */
export function keptMetadataAnswer(
  metadata: Metadata,
  digest: IdempotencyDigest,
  now: number,
): MetadataAnswer | undefined {
  const kept = metadata.answered.get(digest.key);
  if (kept === undefined || now - kept.recordedAt > answersKeptForMs) return undefined;
  if (kept.digest.request !== digest.request) {
    throw new Rejected('idempotency-key-reused', 'This Idempotency-Key came before with another method, path or body');
  }
  return kept.answer;
}

/** The same without the envelope: what the event itself says. */
export function changed(metadata: Metadata, { type, data }: MetadataEvent): Metadata {
  switch (type) {
    case 'MetadataInitialized': {
      const defined = data.business_attributes.reduce(withAttribute, { ...noMetadata, initialized: true });
      const extended = data.profile_extensions.reduce(withExtension, defined);
      return data.identification_keys.reduce(withKey, extended);
    }
    case 'BusinessAttributeDefined':
      return withAttribute(metadata, data.attribute);
    case 'BusinessAttributeDeleted':
      return withoutAttribute(metadata, data.name);
    case 'ProfileExtensionSchemaCreated':
      return withExtension(metadata, data.schema);
    case 'ProfileExtensionSchemaDeleted':
      return { ...metadata, profileExtensions: without(metadata.profileExtensions, caseless(data.name)) };
    case 'IdentificationKeyCreated':
      return withKey(metadata, data.key);
    case 'IdentificationKeyDeleted':
      return { ...metadata, identificationKeys: without(metadata.identificationKeys, caseless(data.name)) };
  }
}

function withAttribute(before: Metadata, attribute: BusinessAttribute): Metadata {
  const { name, dbid, values } = attribute;
  const metadata = withoutAttribute(before, name);
  // A field that this program does not know was defined by another one: nothing is mapped by it here.
  const fields = (attribute.cv_attributes ?? []).map(enumeratedField).filter((field) => field !== undefined);
  const names = values.map((value) => [value.dbid, value.name] as const);
  return {
    ...metadata,
    businessAttributes: new Map([...before.businessAttributes, [name, attribute]]),
    mapped: new Map([...metadata.mapped, ...fields.map((field) => [field, name] as const)]),
    lastNames: new Map([
      ...metadata.lastNames,
      ...fields.map((field) => [field, new Map([...(metadata.lastNames.get(field) ?? []), ...names])] as const),
    ]),
    highestDbid: values.reduce((highest, value) => Math.max(highest, value.dbid), Math.max(metadata.highestDbid, dbid)),
    attributeDbids: new Map([...metadata.attributeDbids, [dbid, name]]),
    valueDbids: new Map([
      ...metadata.valueDbids,
      ...values.map((value) => [value.dbid, { attribute: name, name: value.name }] as const),
    ]),
  };
}

const withoutAttribute = (metadata: Metadata, name: string): Metadata => ({
  ...metadata,
  businessAttributes: without(metadata.businessAttributes, name),
  mapped: new Map([...metadata.mapped].filter(([, attribute]) => attribute !== name)),
});

const withExtension = (metadata: Metadata, schema: ProfileExtensionSchema): Metadata => ({
  ...metadata,
  profileExtensions: new Map([...metadata.profileExtensions, [caseless(schema.name), schema]]),
});

const withKey = (metadata: Metadata, key: IdentificationKey): Metadata => ({
  ...metadata,
  identificationKeys: new Map([...metadata.identificationKeys, [caseless(key.name), key]]),
});

const without = <Value>(map: ReadonlyMap<string, Value>, name: string): ReadonlyMap<string, Value> =>
  new Map([...map].filter(([key]) => key !== name));
