import type { ArgumentMetadata, PipeTransform } from '@nestjs/common';
import { attributeTypes, LARGEST_DBID } from '#domain';
import type { Json, ProfileExtensionSchema } from '#events';
import { readJson, type SentBody } from '../http/json-body.js';
import { Refused } from '../http/refused.js';
import {
  Anything,
  fieldsOf,
  Flag,
  Inner,
  isObject,
  Name,
  Names,
  OneOf,
  Text,
  Whole,
  wrongIn,
} from '../services/fields.js';

/** With four bytes a character, what an enumerated field of a service can hold (contract 0.3, 15). */
const LONGEST_NAME = 256;
const LONGEST_DESCRIPTION = 1024;
/** `Service.application_type`. */
const LONGEST_FIELD = 64;
const MOST_FIELDS = 32;
/** More do not fit into one record of the control log. */
const MOST_VALUES = 20_000;
/** More than any record of a profile should have. */
const MOST_ATTRIBUTES = 500;
/** `<extension>.<attribute>`. */
const LONGEST_ATTRIBUTE = 2 * LONGEST_NAME + 1;
const LONGEST_TEXT = 1024 * 1024;

export class BusinessAttributeValueBody {
  @Name({ meaning: 'Unique within its business attribute.', max: LONGEST_NAME, required: true })
  name!: string;

  @Whole({
    meaning: 'Given by the server when missing; never that of another value, past or present.',
    min: 1,
    max: LARGEST_DBID,
  })
  dbid?: number;

  @Text({ meaning: 'What people see; the name when missing.', max: LONGEST_NAME })
  display_name?: string;

  @Text({ meaning: 'Description.', max: LONGEST_DESCRIPTION })
  description?: string;

  @Flag({ meaning: 'Fills a missing field; one value at most.' })
  default?: boolean;

  @Name({ meaning: 'Lifetime of new services of this type: a number and one of `s m h d w M y`.', max: LONGEST_FIELD })
  expiration?: string;

  @OneOf({ meaning: 'Of `ContactAttributes`: what the core attribute holds.', words: ['string', 'date'] })
  type?: string;
}

export class BusinessAttributeBody {
  @Name({ meaning: 'The same as in the URL. Another one is refused.', max: LONGEST_NAME })
  name?: string;

  @Whole({
    meaning: 'Given by the server when missing; never that of another attribute, past or present.',
    min: 1,
    max: LARGEST_DBID,
  })
  dbid?: number;

  @Text({ meaning: 'What people see; the name when missing.', max: LONGEST_NAME })
  display_name?: string;

  @Text({ meaning: 'Description.', max: LONGEST_DESCRIPTION })
  description?: string;

  @Flag({ meaning: 'Whether answers show names (true) or DBIDs.' })
  map_name?: boolean;

  @Names({
    meaning: 'Fields mapped on it: `Service.type` or `Service.service_type`, `Task.disposition`...',
    max: LONGEST_FIELD,
    most: MOST_FIELDS,
  })
  cv_attributes?: string[];

  @Inner({
    meaning: 'Its values; those that are not sent are gone.',
    type: () => BusinessAttributeValueBody,
    most: MOST_VALUES,
    least: 0,
  })
  values?: BusinessAttributeValueBody[];
}

export class AttributeSchemaBody {
  @Name({ meaning: 'A letter, then letters, digits and underscores, 26 at most.', max: LONGEST_NAME, required: true })
  name!: string;

  @OneOf({ meaning: 'What it holds.', words: attributeTypes, required: true })
  type!: string;

  @Whole({ meaning: 'Most characters of a string.', min: 1, max: LONGEST_TEXT })
  length?: number;

  @Anything({ meaning: 'Value of a record that does not bring one; of the type.' })
  default?: Json;

  @Flag({ meaning: 'Whether every record must have it; what is `unique` is.' })
  mandatory?: boolean;

  @Flag({ meaning: 'Only false: values are not encrypted here.' })
  encrypt?: boolean;
}

export class ProfileExtensionBody {
  @Name({
    meaning: 'A letter, then letters, digits and underscores, 26 at most; unique in any case.',
    max: LONGEST_NAME,
    required: true,
  })
  name!: string;

  @OneOf({ meaning: 'How many records a profile can have.', words: ['single-valued', 'multi-valued'], required: true })
  type!: ProfileExtensionSchema['type'];

  @Inner({ meaning: 'Its attributes.', type: () => AttributeSchemaBody, most: MOST_ATTRIBUTES, least: 0 })
  attributes?: AttributeSchemaBody[];

  @Names({
    meaning: 'Attributes whose values together tell the records of one profile apart.',
    max: LONGEST_NAME,
    most: MOST_ATTRIBUTES,
  })
  unique?: string[];
}

export class IdentificationKeyBody {
  @Name({
    meaning: 'A letter, then letters, digits and underscores, 26 at most; unique in any case.',
    max: LONGEST_NAME,
    required: true,
  })
  name!: string;

  @Name({
    meaning: '`profile` or the name of an extension; by default what the attributes say, else `profile`.',
    max: LONGEST_NAME,
  })
  source?: string;

  @Names({
    meaning: 'Attributes of the source, one or more, with or without its name in front: `ext.code`.',
    max: LONGEST_ATTRIBUTE,
    most: MOST_ATTRIBUTES,
    required: true,
  })
  attributes!: string[];

  @Flag({ meaning: 'Whether no two customers may share the values.' })
  unique?: boolean;
}

/** What an installation brings in a file. */
export class MetadataFileBody {
  @Inner({ meaning: 'Business attributes.', type: () => BusinessAttributeBody, most: MOST_VALUES, least: 0 })
  business_attributes?: BusinessAttributeBody[];

  @Inner({ meaning: 'Schemas of profile extensions.', type: () => ProfileExtensionBody, most: MOST_VALUES, least: 0 })
  profile_extensions?: ProfileExtensionBody[];

  @Inner({ meaning: 'Identification keys.', type: () => IdentificationKeyBody, most: MOST_VALUES, least: 0 })
  identification_keys?: IdentificationKeyBody[];
}

type BodyClass<Body extends object> = new () => Body;

/** Reads the bytes of a request as the body class that the handler names. Without a body much would be gone: it is refused. */
export class MetadataBody implements PipeTransform<SentBody | undefined, object> {
  transform(sent: SentBody | undefined, { metatype }: ArgumentMetadata): object {
    if (!metatype) throw new Error('a handler must name the class of its body');
    const value = sent && readJson(sent, []);
    if (value === undefined) throw new Refused('invalid', 'The body is missing: it must be a JSON object');
    return readMetadata(metatype as BodyClass<object>, value);
  }
}

/**
 * The fields of a body class, and nothing else: what is not known would be lost, so it is refused (contract 0.3, 9).
 * Throws `Refused`. `where` stands before the names in messages: `values[0].`.
 */
export function readMetadata<Body extends object>(Body: BodyClass<Body>, value: Json, where = ''): Body {
  if (!isObject(value)) throw new Refused('invalid', `${where === '' ? 'The body' : where} must be a JSON object`);
  const fields = fieldsOf(Body.prototype as object);
  const body = new Body();
  for (const [name, given] of Object.entries(value)) {
    if (!fields.has(name))
      throw new Refused('invalid', `${where}${name.slice(0, 60)} is not known here and would be lost`);
    Reflect.set(body, name, given);
  }
  const wrong = wrongIn(body);
  if (wrong !== undefined) throw new Refused('invalid', where + wrong);
  for (const [name, { inner }] of fields) {
    const given: unknown = Reflect.get(body, name);
    if (inner === undefined || !Array.isArray(given)) continue;
    Reflect.set(
      body,
      name,
      given.map((item: Json, place) => readMetadata(inner(), item, `${where}${name}[${place}].`)),
    );
  }
  return body;
}

/** A name in the path that is about to be defined. */
export class AttributeName implements PipeTransform<string, string> {
  transform(name: string): string {
    if ([...name].length <= LONGEST_NAME) return name;
    throw new Refused('invalid', `The name in the path must be of at most ${LONGEST_NAME} characters`);
  }
}
