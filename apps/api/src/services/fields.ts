import { applyDecorators } from '@nestjs/common';
import { ApiProperty, type ApiPropertyOptions } from '@nestjs/swagger';
import { ValidateBy, validateSync } from 'class-validator';
import { parseTime } from '../http/times.js';

/** Contract 0.3, 15. */
export const MOST_BYTES = 1024;

const FIELDS = Symbol('fields of a body');

interface Field {
  /** Whether the field may hold this; undefined when it is missing. */
  readonly accepts: (value: unknown) => boolean;
  readonly isId?: boolean;
  /** Class of the body, or of each body in the list, that is the field's value. */
  readonly inner?: () => new () => object;
}

type Fields = ReadonlyMap<string, Field>;
const noFields: Fields = new Map();

/** The fields of a body class, its parents' too. */
export const fieldsOf = (prototype: object): Fields =>
  (prototype as { readonly [FIELDS]?: Fields })[FIELDS] ?? noFields;

/**
 * What is wrong with the fields of a body, as class-validator says it; undefined when nothing is. It is asked only then:
 * that all is well costs a tenth this way.
 */
export function wrongIn(body: object): string | undefined {
  const fields = fieldsOf(Object.getPrototypeOf(body) as object);
  const given = body as { readonly [name: string]: unknown };
  let isGood = true;
  for (const [name, { accepts }] of fields) isGood &&= accepts(given[name]);
  if (isGood) return undefined;
  const [error] = validateSync(body, { stopAtFirstError: true });
  return Object.values(error?.constraints ?? {}).join(', ');
}

interface Kind extends Omit<Field, 'accepts'> {
  readonly name: string;
  /** Completes the sentence `<field> must be …`. */
  readonly must: string;
  readonly isValid: (value: unknown) => boolean;
  readonly api: ApiPropertyOptions;
}

interface Meaning {
  readonly meaning: string;
  readonly required?: boolean;
}

function field(
  { name, must, isValid, api, isId, inner }: Kind,
  { meaning, required = false }: Meaning,
): PropertyDecorator {
  const accepts = (value: unknown): boolean => (value === undefined ? !required : isValid(value));
  return applyDecorators(
    (prototype: object, property: string | symbol) => {
      const known = new Map([...fieldsOf(prototype), [String(property), { accepts, isId, inner }] as const]);
      Object.defineProperty(prototype, FIELDS, { value: known, configurable: true });
    },
    ValidateBy({
      name,
      validator: {
        validate: accepts,
        defaultMessage: (about) =>
          `${about?.property} ${required && about?.value === undefined ? `is missing: it must be ${must}` : `must be ${must}`}`,
      },
    }),
    ApiProperty({ ...api, required, description: meaning } as ApiPropertyOptions),
  );
}

const isText = (value: unknown): value is string => typeof value === 'string';
const bytesOf = (text: string): number => Buffer.byteLength(text, 'utf8');

/** An id: any text that is not empty. A JSON number is read as the text that it was written as. */
export const Id = (about: Meaning): PropertyDecorator =>
  field(
    {
      name: 'id',
      must: `a text that is not empty, of at most ${MOST_BYTES} bytes`,
      isValid: (value) => isText(value) && value !== '' && bytesOf(value) <= MOST_BYTES,
      api: { type: String, minLength: 1 },
      isId: true,
    },
    about,
  );

/** An id of another system, with the product's limit in characters. It may be empty. */
export const ForeignId = (about: Meaning & { readonly max: number }): PropertyDecorator =>
  field({ ...text(about.max), isId: true }, about);

export const Text = (about: Meaning & { readonly max: number }): PropertyDecorator => field(text(about.max), about);

/** A text that is not empty. */
export const Name = (about: Meaning & { readonly max: number }): PropertyDecorator => field(name(about.max), about);

export const Names = (about: Meaning & { readonly max: number; readonly most: number }): PropertyDecorator =>
  field(
    {
      name: 'names',
      must: `a list of at most ${about.most} texts, each of 1 to ${about.max} characters`,
      isValid: (value) => Array.isArray(value) && value.length <= about.most && value.every(name(about.max).isValid),
      api: { type: String, isArray: true, maxItems: about.most },
    },
    about,
  );

export const OneOf = (about: Meaning & { readonly words: readonly string[] }): PropertyDecorator =>
  field(
    {
      name: 'word',
      must: `one of ${about.words.join(', ')}`,
      isValid: (value) => isText(value) && about.words.includes(value),
      api: { type: String, enum: [...about.words] },
    },
    about,
  );

/** Any JSON. */
export const Anything = (about: Meaning): PropertyDecorator =>
  field({ name: 'anything', must: 'JSON', isValid: () => true, api: { type: Object } }, about);

const text = (max: number): Kind => ({
  name: 'text',
  must: `a text of at most ${max} characters`,
  isValid: (value) => isText(value) && value.length <= 2 * max && [...value].length <= max,
  api: { type: String, maxLength: max },
});

const name = (max: number): Kind => ({
  name: 'name',
  must: `a text of 1 to ${max} characters`,
  isValid: (value) => value !== '' && text(max).isValid(value),
  api: { type: String, minLength: 1, maxLength: max },
});

/** A name or a DBID (contract 2.3). Whether a mapped field has such a value is asked of the metadata, not here. */
export const EnumeratedValue = ({ meaning, ...about }: Meaning): PropertyDecorator =>
  field(
    {
      name: 'enumerated',
      must: `a text of at most ${MOST_BYTES} bytes or a number`,
      isValid: (value) => (isText(value) ? bytesOf(value) <= MOST_BYTES : typeof value === 'number'),
      api: { oneOf: [{ type: 'string' }, { type: 'number' }] },
    },
    {
      ...about,
      meaning: `${meaning} If a business attribute is mapped on it: the DBID, name or display name of one of its values.`,
    },
  );

export const Whole = (about: Meaning & { readonly min?: number; readonly max?: number }): PropertyDecorator => {
  const { min = Number.MIN_SAFE_INTEGER, max = Number.MAX_SAFE_INTEGER } = about;
  const from = about.min === undefined ? '' : `, ${min} or more`;
  const to = about.max === undefined ? '' : `, at most ${max}`;
  return field(
    {
      name: 'whole',
      must: `a whole number${from}${to}`,
      isValid: (value) => typeof value === 'number' && Number.isSafeInteger(value) && value >= min && value <= max,
      api: {
        type: 'integer',
        format: 'int64',
        ...(about.min !== undefined && { minimum: min }),
        ...(about.max !== undefined && { maximum: max }),
      },
    },
    about,
  );
};

export const Time = (about: Meaning): PropertyDecorator =>
  field(
    {
      name: 'time',
      must: 'a date and time, for example 2009-05-12T12:05:12.145Z',
      isValid: (value) => isText(value) && parseTime(value) !== undefined,
      api: { type: String, format: 'date-time', example: '2009-05-12T12:05:12.145Z' },
    },
    about,
  );

export const Flag = (about: Meaning): PropertyDecorator =>
  field(
    { name: 'flag', must: 'true or false', isValid: (value) => typeof value === 'boolean', api: { type: Boolean } },
    about,
  );

/** A body within the body, or with `most` a list of so many (`least`: 1 when missing); its own class reads it. */
export const Inner = (
  about: Meaning & { readonly type: () => new () => object; readonly most?: number; readonly least?: 0 | 1 },
): PropertyDecorator => {
  const { type, most, least = 1 } = about;
  const kind: Pick<Kind, 'must' | 'isValid' | 'api'> =
    most === undefined
      ? { must: 'an object', isValid: isObject, api: { type } }
      : {
          must: `a list of objects, ${least === 1 ? 'one or more, ' : ''}at most ${most}`,
          isValid: (value) =>
            Array.isArray(value) && value.length >= least && value.length <= most && value.every(isObject),
          api: { type, isArray: true, minItems: least, maxItems: most },
        };
  return field({ name: 'inner', ...kind, inner: type }, about);
};

export const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
