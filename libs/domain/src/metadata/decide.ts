import type {
  AttributeSchema,
  BusinessAttribute,
  BusinessAttributeValue,
  IdentificationKey,
  MetadataEvent,
  MetadataInitialized,
  ProfileExtensionSchema,
} from '#events';
import { Rejected } from '../rejected.js';
import { sizeOf } from '../service/size.js';
import { isOfType } from './attribute-value.js';
import type {
  AttributeDefinition,
  ExtensionDefinition,
  InitialMetadata,
  KeyDefinition,
  MetadataCommand,
  ValueDefinition,
} from './commands.js';
import { changed, metadataAnswerOf } from './evolve.js';
import {
  caseless,
  enumeratedField,
  enumeratedFields,
  noMetadata,
  type Metadata,
  type MetadataAnswer,
} from './metadata.js';
import { refuseBadName, refuseTwice } from './names.js';
import {
  attributeNamed,
  CONTACT_ATTRIBUTES,
  coreAttributes,
  defaultContactAttributes,
  profileSchema,
} from './profile-schema.js';

export interface MetadataDecision {
  /** What to record; missing when the metadata was initialized before. */
  readonly event?: MetadataEvent;
  readonly answer: MetadataAnswer;
}

/** Types of the attributes of an extension (contract 6.2). */
export const attributeTypes = [
  'string',
  'integer',
  'long',
  'double',
  'date',
  'datetime',
  'currency',
  'boolean',
] as const;

/** What a DBID can be in the product: a number of 31 bits. */
export const LARGEST_DBID = 2 ** 31 - 1;

/** The control log is replayed whole at every start: a record of it stays small (1 MiB with its headers). */
const largestRecordBytes = 1_000_000;

/** Of a profile itself, as the source of a key. */
const PROFILE = 'profile';

const expirationForm = /^[1-9]\d{0,8}[smhdwMy]$/;

/**
 * What this command changes in the metadata. Pure. Throws `Rejected`. A repeat with an idempotency key is answered before
 * (`keptMetadataAnswer`); so that it can be, every change is recorded, also one that changes nothing.
 */
export function decideMetadata(command: MetadataCommand, metadata: Metadata): MetadataDecision {
  if (command.type === 'InitializeMetadata') {
    if (metadata.initialized) return { answer: { name: '', created: false } };
    return recorded(initialize(command.data), metadata);
  }
  if (!metadata.initialized) throw new Error('metadata cannot be changed before its first record');
  return recorded(decideChange(command, metadata), metadata);
}

function recorded(event: MetadataEvent, metadata: Metadata): MetadataDecision {
  const bytes = sizeOf(event.data);
  if (bytes > largestRecordBytes) {
    throw new Rejected(
      'metadata-too-large',
      `This would be a record of ${bytes} bytes, ${largestRecordBytes} are allowed`,
    );
  }
  return { event, answer: metadataAnswerOf(event, metadata) };
}

type Change = Exclude<MetadataCommand, { type: 'InitializeMetadata' }>;

function decideChange({ type, data }: Change, metadata: Metadata): MetadataEvent {
  switch (type) {
    case 'DefineBusinessAttribute':
      return { type: 'BusinessAttributeDefined', data: { attribute: defineAttribute(data, metadata) } };
    case 'DeleteBusinessAttribute':
      return deleteAttribute(data.name, metadata);
    case 'CreateProfileExtensionSchema':
      return { type: 'ProfileExtensionSchemaCreated', data: { schema: createExtension(data, metadata) } };
    case 'DeleteProfileExtensionSchema':
      return deleteExtension(data.name, metadata);
    case 'CreateIdentificationKey':
      return { type: 'IdentificationKeyCreated', data: { key: createKey(data, metadata) } };
    case 'DeleteIdentificationKey': {
      const key = metadata.identificationKeys.get(caseless(data.name));
      if (!key) throw notFound('identification key', data.name);
      return { type: 'IdentificationKeyDeleted', data: { name: key.name } };
    }
  }
}

/** The content of a first record: everything given, one after another, by the rules of the single changes. */
function initialize(initial: InitialMetadata): MetadataInitialized {
  const { business_attributes = [], profile_extensions = [], identification_keys = [] } = initial;
  refuseTwice('business attribute', business_attributes);
  const attributes = business_attributes.some(({ name }) => name === CONTACT_ATTRIBUTES)
    ? business_attributes
    : [...business_attributes, defaultContactAttributes];
  const commands: readonly Change[] = [
    ...attributes.map((data) => ({ type: 'DefineBusinessAttribute', data }) as const),
    ...profile_extensions.map((data) => ({ type: 'CreateProfileExtensionSchema', data }) as const),
    ...identification_keys.map((data) => ({ type: 'CreateIdentificationKey', data }) as const),
  ];
  // DBIDs are given above every one that is brought, so that no order of the file makes them meet.
  const given = attributes.flatMap(({ dbid = 0, values = [] }) => [dbid, ...values.map((value) => value.dbid ?? 0)]);
  const empty: Metadata = { ...noMetadata, highestDbid: given.reduce((highest, dbid) => Math.max(highest, dbid), 0) };
  const all = commands.reduce((metadata, command) => changed(metadata, decideChange(command, metadata)), empty);
  return {
    type: 'MetadataInitialized',
    data: {
      business_attributes: [...all.businessAttributes.values()],
      profile_extensions: [...all.profileExtensions.values()],
      identification_keys: [...all.identificationKeys.values()],
    },
  };
}

/* ---- business attributes ---- */

function defineAttribute(definition: AttributeDefinition, metadata: Metadata): BusinessAttribute {
  const { name, display_name = name, description = '', map_name, cv_attributes, values = [] } = definition;
  refuseTwice(`value of ${name}`, values);
  if (values.filter((value) => value.default).length > 1) throw invalid(`${name} has more than one default value`);
  for (const value of values) refuseBadValue(value, definition);
  const fields = cv_attributes && mappedFields(name, cv_attributes, metadata);
  const dbids = new Dbids(definition, metadata);
  const attribute: BusinessAttribute = {
    name,
    dbid: dbids.ofAttribute(),
    display_name,
    description,
    ...(map_name !== undefined && { map_name }),
    ...(fields && { cv_attributes: fields }),
    values: values.map((value) => defineValue(value, dbids.ofValue(value))),
  };
  refuseAmbiguousNumbers(attribute);
  if (name === CONTACT_ATTRIBUTES) refuseBadCoreAttributes(attribute, metadata);
  return attribute;
}

const defineValue = (
  { name, display_name = name, description = '', default: isDefault, expiration, type }: ValueDefinition,
  dbid: number,
): BusinessAttributeValue => ({
  name,
  dbid,
  display_name,
  description,
  ...(isDefault && { default: true }),
  ...(expiration !== undefined && { expiration }),
  ...((type === 'string' || type === 'date') && { type }),
});

function refuseBadValue({ name, expiration, type }: ValueDefinition, { name: attribute }: AttributeDefinition): void {
  if (expiration !== undefined && !expirationForm.test(expiration)) {
    throw invalid(`The expiration of ${attribute} '${name}' must be a number and one of s m h d w M y, for example 2w`);
  }
  if (type === undefined) return;
  if (attribute !== CONTACT_ATTRIBUTES)
    throw invalid(`Only values of ${CONTACT_ATTRIBUTES} have a type, '${name}' is of ${attribute}`);
  if (type !== 'string' && type !== 'date') throw invalid(`The type of ${attribute} '${name}' must be string or date`);
}

/** One spelling, each field once (contract 10.2). */
function mappedFields(name: string, spelled: readonly string[], metadata: Metadata): readonly string[] {
  const fields = spelled.map((text) => {
    const field = enumeratedField(text);
    if (!field) throw invalid(`'${text}' in cv_attributes is none of ${enumeratedFields.join(', ')}`);
    const owner = metadata.mapped.get(field);
    if (owner !== undefined && owner !== name)
      throw taken(`${field} is mapped on the business attribute ${owner} already`);
    return field;
  });
  return [...new Set(fields)];
}

/**
 * The DBIDs of one definition. Who has one keeps it, by its name; a brought one must be new, or stay with its owner: what
 * is recorded by DBID would change its meaning. Whoever is left gets the next ones.
 */
class Dbids {
  private readonly current: BusinessAttribute | undefined;
  private readonly currentByName: ReadonlyMap<string, number>;
  private readonly currentDbids: ReadonlySet<number>;
  private readonly names: ReadonlySet<string>;
  private readonly brought: ReadonlySet<number>;
  private highest: number;

  constructor(
    private readonly definition: AttributeDefinition,
    private readonly metadata: Metadata,
  ) {
    const { name, dbid = 0, values = [] } = definition;
    this.current = metadata.businessAttributes.get(name);
    this.currentByName = new Map(this.current?.values.map((value) => [value.name, value.dbid]));
    this.currentDbids = new Set(this.currentByName.values());
    this.names = new Set(values.map((value) => value.name));
    const brought = values.flatMap((value) => (value.dbid === undefined ? [] : [value.dbid]));
    this.brought = new Set(brought);
    if (this.brought.size < brought.length) throw invalid(`Two values of ${name} have the same dbid`);
    this.highest = brought.reduce((highest, one) => Math.max(highest, one), Math.max(metadata.highestDbid, dbid));
  }

  ofAttribute(): number {
    const { name, dbid } = this.definition;
    if (dbid === undefined) return this.current?.dbid ?? this.next();
    const owner = this.metadata.attributeDbids.get(dbid);
    if (owner !== undefined && owner !== name)
      throw taken(`dbid ${dbid} is, or was, that of the business attribute ${owner}`);
    return dbid;
  }

  ofValue({ name, dbid }: ValueDefinition): number {
    if (dbid === undefined) {
      const kept = this.currentByName.get(name);
      if (kept !== undefined && this.brought.has(kept)) throw this.owned(kept, name);
      return kept ?? this.next();
    }
    const owner = this.metadata.valueDbids.get(dbid);
    const isSame = owner?.attribute === this.definition.name && owner.name === name;
    const isRenamed = this.currentDbids.has(dbid);
    if (owner && !isSame && !isRenamed) throw this.owned(dbid, owner.name, owner.attribute);
    return dbid;
  }

  /** The next number that nobody has; a text of it must not mean another value by its name. */
  private next(): number {
    do this.highest++;
    while (this.names.has(String(this.highest)));
    if (this.highest > LARGEST_DBID) throw taken('No dbid is left to be given: bring one');
    return this.highest;
  }

  private owned(dbid: number, value: string, attribute = this.definition.name): Rejected {
    return taken(`dbid ${dbid} is, or was, that of ${attribute} '${value}'`);
  }
}

/** Callers write DBIDs as digits too: such a text must mean one value (contract 10.2). */
function refuseAmbiguousNumbers({ name, values }: BusinessAttribute): void {
  const byDbid = new Map(values.map((value) => [String(value.dbid), value.name]));
  for (const value of values) {
    const other = byDbid.get(value.name);
    if (other !== undefined && other !== value.name) {
      throw invalid(`In ${name} '${value.name}' is the name of one value and the dbid of another, '${other}'`);
    }
  }
}

function refuseBadCoreAttributes(contact: BusinessAttribute, metadata: Metadata): void {
  const core = coreAttributes(contact);
  for (const { name } of core) {
    refuseBadName('core attribute', name);
    const extension = metadata.profileExtensions.get(caseless(name));
    if (extension)
      throw taken(`There is a profile extension named ${extension.name}: no core attribute can have its name`);
  }
  refuseTwice('core attribute', core, caseless);
  refuseDropping(new Set(core.map(({ name }) => name)), metadata);
}

/** What an identification key is made of stays, under its name. */
function refuseDropping(left: ReadonlySet<string>, metadata: Metadata): void {
  for (const key of metadata.identificationKeys.values()) {
    const missing = key.source === PROFILE ? key.attributes.filter((attribute) => !left.has(attribute)) : [];
    if (missing.length > 0) throw inUse(`The core attribute ${missing.join(', ')}`, [key]);
  }
}

/** Without `ContactAttributes` there is no profile schema (contract 0.3, 12). */
function deleteAttribute(name: string, metadata: Metadata): MetadataEvent {
  if (!metadata.businessAttributes.has(name)) throw notFound('business attribute', name);
  if (name === CONTACT_ATTRIBUTES) refuseDropping(new Set(), metadata);
  return { type: 'BusinessAttributeDeleted', data: { name } };
}

/* ---- profile extensions ---- */

function createExtension(
  { name, type, attributes = [], unique = [] }: ExtensionDefinition,
  metadata: Metadata,
): ProfileExtensionSchema {
  refuseBadName('profile extension', name);
  const known = metadata.profileExtensions.get(caseless(name));
  if (known) throw taken(`There is a profile extension named ${known.name} already`);
  const core = attributeNamed(profileSchema(metadata), name);
  if (core) throw taken(`${core.name} is a core attribute of profiles: no extension can have its name`);
  refuseTwice(`attribute of ${name}`, attributes, caseless);
  for (const attribute of attributes) refuseBadAttribute(attribute, name);
  const names = unique.map((one) => attributeOf(attributes, one, `the extension ${name}`).name);
  if (new Set(names).size < names.length) throw invalid(`unique of ${name} names an attribute twice`);
  return {
    name,
    type,
    attributes: attributes.map((attribute) =>
      names.includes(attribute.name) ? mandatory(attribute, name) : attribute,
    ),
    unique: names,
  };
}

function refuseBadAttribute(attribute: AttributeSchema, extension: string): void {
  const { name, type, default: byDefault } = attribute;
  refuseBadName(`attribute of ${extension}`, name);
  if (!attributeTypes.some((one) => one === type)) {
    throw invalid(`The type of ${extension}.${name} must be one of ${attributeTypes.join(', ')}`);
  }
  if (byDefault !== undefined && !isOfType(byDefault, attribute)) {
    throw invalid(`The default of ${extension}.${name} is no value of its type, ${type}`);
  }
}

/** Records are told apart by what is unique in them: it is never missing (contract 6.3). */
function mandatory(attribute: AttributeSchema, extension: string): AttributeSchema {
  if (attribute.mandatory === false) throw invalid(`${extension}.${attribute.name} is unique, so it is mandatory`);
  return { ...attribute, mandatory: true };
}

function deleteExtension(name: string, metadata: Metadata): MetadataEvent {
  const schema = metadata.profileExtensions.get(caseless(name));
  if (!schema) throw notFound('profile extension', name);
  const keys = [...metadata.identificationKeys.values()].filter(({ source }) => source === schema.name);
  if (keys.length > 0) throw inUse(`The profile extension ${schema.name}`, keys);
  return { type: 'ProfileExtensionSchemaDeleted', data: { name: schema.name } };
}

/* ---- identification keys ---- */

function createKey({ name, source, attributes, unique = false }: KeyDefinition, metadata: Metadata): IdentificationKey {
  refuseBadName('identification key', name);
  const known = metadata.identificationKeys.get(caseless(name));
  if (known) throw taken(`There is an identification key named ${known.name} already`);
  if (attributes.length === 0) throw invalid(`The identification key ${name} has no attributes`);
  const from = sourceOf(source ?? sharedPrefix(attributes) ?? PROFILE, metadata);
  const names = attributes.map((attribute) => {
    const [prefix, bare] = parted(attribute);
    if (prefix !== undefined && caseless(prefix) !== caseless(from.name)) {
      throw invalid(`The identification key ${name} is of ${from.name}: '${attribute}' is of another source`);
    }
    return attributeOf(from.attributes, bare, from.name === PROFILE ? 'the profile' : `the extension ${from.name}`)
      .name;
  });
  if (new Set(names).size < names.length) throw invalid(`The identification key ${name} names an attribute twice`);
  return { name, source: from.name, attributes: names, unique };
}

interface Source {
  readonly name: string;
  readonly attributes: readonly AttributeSchema[];
}

function sourceOf(name: string, metadata: Metadata): Source {
  if (caseless(name) === PROFILE) return { name: PROFILE, attributes: profileSchema(metadata) };
  const schema = metadata.profileExtensions.get(caseless(name));
  if (!schema) throw invalid(`There is no profile extension named ${name}`);
  return schema;
}

/** `ext.code` is `code` of the extension `ext`; names themselves hold no dot. */
function parted(attribute: string): readonly [string | undefined, string] {
  const dot = attribute.indexOf('.');
  return dot === -1 ? [undefined, attribute] : [attribute.slice(0, dot), attribute.slice(dot + 1)];
}

/** The product's own answers name no source, their prefixes do (contract 6.4). */
function sharedPrefix(attributes: readonly string[]): string | undefined {
  const prefixes = new Set(attributes.map((attribute) => parted(attribute)[0]));
  return prefixes.size === 1 ? [...prefixes][0] : undefined;
}

function attributeOf(attributes: readonly AttributeSchema[], name: string, owner: string): AttributeSchema {
  const found = attributeNamed(attributes, name);
  if (!found) throw invalid(`There is no attribute named '${name}' in ${owner}`);
  return found;
}

/* ---- refusals ---- */

const invalid = (message: string): Rejected => new Rejected('metadata-invalid', message);
const taken = (message: string): Rejected => new Rejected('metadata-taken', message);
const notFound = (what: string, name: string): Rejected =>
  new Rejected('metadata-not-found', `There are no ${what} found for : ${name}`);
const inUse = (what: string, keys: readonly IdentificationKey[]): Rejected =>
  new Rejected(
    'metadata-in-use',
    `${what} is used by the identification key ${keys.map(({ name }) => name).join(', ')}`,
  );
