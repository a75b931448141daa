import type { BusinessAttribute, IdempotencyDigest, IdentificationKey, ProfileExtensionSchema } from '#events';

const RESOURCES = ['Service', 'State', 'Task'] as const;
const FIELDS = ['type', 'disposition', 'application_type', 'resource_type', 'media_type'] as const;

/** A field whose values a business attribute can list, as the contract spells it (10.2). */
export type EnumeratedField = `${(typeof RESOURCES)[number]}.${(typeof FIELDS)[number]}`;

export const enumeratedFields: readonly EnumeratedField[] = RESOURCES.flatMap((resource) =>
  FIELDS.map((field) => `${resource}.${field}` as const),
);

/** Both spellings of the type fields are in use: `Service.type` and `Service.service_type` (contract 10.2). */
const fieldBySpelling: ReadonlyMap<string, EnumeratedField> = new Map([
  ...enumeratedFields.map((field) => [field, field] as const),
  ...RESOURCES.map((resource) => [`${resource}.${resource.toLowerCase()}_type`, `${resource}.type`] as const),
]);

/** The field that a caller means; undefined for a text that names none. */
export const enumeratedField = (spelled: string): EnumeratedField | undefined => fieldBySpelling.get(spelled);

/** Names of schemas, keys and their attributes are compared like this: without regard to case (contract 6.3). */
export const caseless = (name: string): string => name.toLowerCase();

/** The metadata of one tenant: the fold of its stream in the control log. */
export interface Metadata {
  /** Whether the first record of the stream is there; nothing can be changed before it is. */
  readonly initialized: boolean;
  /** By name, as spelled. */
  readonly businessAttributes: ReadonlyMap<string, BusinessAttribute>;
  /** Name of the attribute that a field is mapped on. */
  readonly mapped: ReadonlyMap<EnumeratedField, string>;
  /**
   * By field, the last known name of every DBID that its values ever had, those of today too: old records stay readable
   * when a value, a mapping or an attribute goes.
   */
  readonly lastNames: ReadonlyMap<EnumeratedField, ReadonlyMap<number, string>>;
  /** Highest DBID that was ever given, here or by a caller, to an attribute or a value. */
  readonly highestDbid: number;
  /** To whom each DBID was given, also when it is gone. Attributes and values are numbered apart, as in the product. */
  readonly attributeDbids: ReadonlyMap<number, string>;
  readonly valueDbids: ReadonlyMap<number, NamedValue>;
  /** By {@link caseless} name. */
  readonly profileExtensions: ReadonlyMap<string, ProfileExtensionSchema>;
  /** By {@link caseless} name. */
  readonly identificationKeys: ReadonlyMap<string, IdentificationKey>;
  /** First answers of requests with an `Idempotency-Key`, by the digest of the key. */
  readonly answered: ReadonlyMap<string, AnsweredRequest>;
}

export interface NamedValue {
  readonly attribute: string;
  /** The last one, if it was renamed. */
  readonly name: string;
}

export interface AnsweredRequest {
  readonly digest: IdempotencyDigest;
  /** Epoch milliseconds of the log's clock. */
  readonly recordedAt: number;
  readonly answer: MetadataAnswer;
}

/** What a caller is told of its change; `created`: 201 rather than 200. */
export interface MetadataAnswer {
  readonly name: string;
  readonly created: boolean;
}

/** Before the first record. */
export const noMetadata: Metadata = {
  initialized: false,
  businessAttributes: new Map(),
  mapped: new Map(),
  lastNames: new Map(),
  highestDbid: 0,
  attributeDbids: new Map(),
  valueDbids: new Map(),
  profileExtensions: new Map(),
  identificationKeys: new Map(),
  answered: new Map(),
};
