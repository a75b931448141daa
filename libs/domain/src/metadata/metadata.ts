import type { BusinessAttribute, IdempotencyDigest, IdentificationKey, ProfileExtensionSchema } from '#events';

const RESOURCES = ['Service', 'State', 'Task'] as const;
const FIELDS = ['type', 'disposition', 'application_type', 'resource_type', 'media_type'] as const;

/** A field whose values a business attribute can list, as the contract spells it (10.2). */
export type EnumeratedField = `${(typeof RESOURCES)[number]}.${(typeof FIELDS)[number]}`;

export const enumeratedFields: readonly EnumeratedField[] = RESOURCES.flatMap((resource) =>
  FIELDS.map((field) => `${resource}.${field}` as const),
);

/** The metadata of one tenant: the fold of its stream in the control log. */
export interface Metadata {
  /** By name, as spelled. */
  readonly businessAttributes: ReadonlyMap<string, BusinessAttribute>;
  /** Name of the attribute that a field is mapped on. */
  readonly mapped: ReadonlyMap<EnumeratedField, string>;
  /**
   * By field, the last known name of every DBID that its values ever had, those of today too: old records stay readable
   * when a value, a mapping or an attribute goes.
   */
  readonly lastNames: ReadonlyMap<EnumeratedField, ReadonlyMap<number, string>>;
  /** Highest DBID that was ever given, here or by a caller. */
  readonly highestDbid: number;
  /** By name in small letters. */
  readonly profileExtensions: ReadonlyMap<string, ProfileExtensionSchema>;
  /** By name in small letters. */
  readonly identificationKeys: ReadonlyMap<string, IdentificationKey>;
  /** First answers of requests with an `Idempotency-Key`, by the digest of the key. */
  readonly answered: ReadonlyMap<string, AnsweredRequest>;
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
  businessAttributes: new Map(),
  mapped: new Map(),
  lastNames: new Map(),
  highestDbid: 0,
  profileExtensions: new Map(),
  identificationKeys: new Map(),
  answered: new Map(),
};
