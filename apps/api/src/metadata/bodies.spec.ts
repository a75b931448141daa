import type { ArgumentMetadata } from '@nestjs/common';
import { Refused } from '../http/refused.js';
import { BusinessAttributeBody, IdentificationKeyBody, MetadataBody, ProfileExtensionBody } from './bodies.js';
import { attributeDefinition, extensionDefinition } from './from-body.js';

type Class = new () => object;
const read = <Body extends object>(metatype: new () => Body, text: string): Body =>
  new MetadataBody().transform({ bytes: Buffer.from(text) }, {
    type: 'body',
    metatype: metatype as Class,
  } as ArgumentMetadata) as Body;
const body = <Body extends object>(metatype: new () => Body, value: unknown): Body =>
  read(metatype, JSON.stringify(value));

it('is read with all that it holds', () => {
  const value = {
    name: 'a',
    dbid: 5,
    display_name: '',
    description: 'd',
    default: true,
    expiration: '2w',
    type: 'date',
  };
  const attribute = {
    name: 'A',
    dbid: 4,
    display_name: 'A',
    description: '',
    map_name: false,
    cv_attributes: ['Service.type'],
    values: [value],
  };
  expect(JSON.parse(JSON.stringify(body(BusinessAttributeBody, attribute)))).toEqual(attribute);
});

it.each<[string, Class, string]>([
  ['a text', BusinessAttributeBody, '"x"'],
  ['a list', BusinessAttributeBody, '[]'],
  ['null', BusinessAttributeBody, 'null'],
  ['nothing', BusinessAttributeBody, ''],
  ['blanks', BusinessAttributeBody, ' \n'],
])('must be an object: not %s', (_what, metatype, text) =>
  expect(() => read(metatype, text)).toThrow(/^The body .*must be a JSON object$/),
);

it.each<[string, Class, string]>([
  ['mine', BusinessAttributeBody, '{"mine":1}'],
  ['__proto__', BusinessAttributeBody, '{"__proto__":1}'],
  ['constructor', ProfileExtensionBody, '{"constructor":1}'],
  ['values[1].__proto__', BusinessAttributeBody, '{"values":[{"name":"a"},{"name":"b","__proto__":{}}]}'],
  ['values[0].service_id', BusinessAttributeBody, '{"values":[{"name":"a","service_id":"x"}]}'],
  [
    'attributes[0].unique',
    ProfileExtensionBody,
    '{"name":"E","type":"single-valued","attributes":[{"name":"a","type":"long","unique":true}]}',
  ],
  ['timestamp', IdentificationKeyBody, '{"name":"K","attributes":["a"],"timestamp":"x"}'],
])('names what it does not know, so that nothing is lost: %s', (name, metatype, text) =>
  expect(() => read(metatype, text)).toThrow(new Refused('invalid', `${name} is not known here and would be lost`)),
);

it.each<[Class, unknown, RegExp]>([
  [BusinessAttributeBody, { name: '' }, /^name must be a text of 1 to 256 characters$/],
  [BusinessAttributeBody, { name: 'x'.repeat(257) }, /^name must be/],
  [BusinessAttributeBody, { dbid: 0 }, /^dbid must be a whole number, 1 or more, at most 2147483647$/],
  [BusinessAttributeBody, { dbid: 2 ** 31 }, /^dbid must be/],
  [BusinessAttributeBody, { dbid: '5' }, /^dbid must be/],
  [BusinessAttributeBody, { map_name: 'true' }, /^map_name must be true or false$/],
  [BusinessAttributeBody, { cv_attributes: 'Service.type' }, /^cv_attributes must be a list/],
  [BusinessAttributeBody, { cv_attributes: [''] }, /^cv_attributes must be a list/],
  [BusinessAttributeBody, { values: {} }, /^values must be a list of objects, at most 20000$/],
  [BusinessAttributeBody, { values: [5] }, /^values must be/],
  [BusinessAttributeBody, { values: [{}] }, /^values\[0\]\.name is missing: it must be a text/],
  [BusinessAttributeBody, { values: [{ name: 'a', type: 'long' }] }, /^values\[0\]\.type must be one of string, date$/],
  [
    BusinessAttributeBody,
    { values: [{ name: 'a', description: 'd'.repeat(1025) }] },
    /^values\[0\]\.description must be/,
  ],
  [ProfileExtensionBody, { type: 'single-valued' }, /^name is missing/],
  [ProfileExtensionBody, { name: 'E' }, /^type is missing/],
  [ProfileExtensionBody, { name: 'E', type: 'classifier' }, /^type must be one of single-valued, multi-valued$/],
  [
    ProfileExtensionBody,
    { name: 'E', type: 'single-valued', attributes: [{ name: 'a', type: 'text' }] },
    /^attributes\[0\]\.type must be one of string, /,
  ],
  [
    ProfileExtensionBody,
    { name: 'E', type: 'single-valued', attributes: [{ name: 'a', type: 'string', length: 0 }] },
    /^attributes\[0\]\.length must be/,
  ],
  [ProfileExtensionBody, { name: 'E', type: 'single-valued', unique: [1] }, /^unique must be a list/],
  [IdentificationKeyBody, { name: 'K' }, /^attributes is missing/],
  [IdentificationKeyBody, { name: 'K', attributes: ['a'], unique: 1 }, /^unique must be true or false$/],
  [IdentificationKeyBody, { name: 'K', attributes: ['a'], source: '' }, /^source must be/],
])('%p with %j is refused', (metatype, value, message) => expect(() => body(metatype, value)).toThrow(message));

it('of an attribute is of the one that the path names', () => {
  expect(attributeDefinition('A', body(BusinessAttributeBody, {}))).toEqual({ name: 'A' });
  expect(attributeDefinition('A', body(BusinessAttributeBody, { name: 'A' }))).toEqual({ name: 'A' });
  expect(() => attributeDefinition('A', body(BusinessAttributeBody, { name: 'a' }))).toThrow(
    "name in the body is 'a', in the path 'A'",
  );
});

it('of an extension takes encrypt from an answer and keeps nothing of it', () => {
  const extension = (encrypt: boolean) =>
    extensionDefinition(
      body(ProfileExtensionBody, {
        name: 'E',
        type: 'single-valued',
        attributes: [{ name: 'a', type: 'string', encrypt }],
      }),
    );
  expect(extension(false)).toEqual({ name: 'E', type: 'single-valued', attributes: [{ name: 'a', type: 'string' }] });
  expect(() => extension(true)).toThrow('encrypt of a must be false: values are not encrypted here');
});
