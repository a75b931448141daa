import type { AttributeSchema, Json } from '#events';
import { attributeTypes } from '../index.js';
import type { ExtensionDefinition } from '../index.js';
import { createKey, define, deleteExtension, deleteKey, extend, givenMetadata } from '../testing/metadata-story.js';

const phone: ExtensionDefinition = {
  name: 'Phone',
  type: 'multi-valued',
  attributes: [
    { name: 'PhoneType', type: 'integer', default: 0 },
    { name: 'prefix', type: 'string', length: 3 },
    { name: 'PhoneNumber', type: 'string', length: 15 },
    { name: 'start_availabilty', type: 'datetime' },
  ],
  unique: ['PhoneNumber', 'prefix'],
};
const extension = (name: string): ExtensionDefinition => ({ name, type: 'single-valued' });
const withAttribute = (attribute: AttributeSchema): ExtensionDefinition => ({
  ...extension('E'),
  attributes: [attribute],
});
const badNames = ['_x', '1x', 'a-b', 'a b', 'a.b', '', 'x'.repeat(27), 'Größe', '__proto__', 'a\n', ' a'];
const reserved = [
  'customer_id',
  'extensions',
  'include_profile',
  'INCLUDE_EXTENSIONS',
  'id_key',
  'Profile',
  'tenant_id',
];

describe('creating the schema of a profile extension', () => {
  it('records it, its unique attributes as mandatory ones', () =>
    givenMetadata()
      .when(extend(phone))
      .thenRecords({
        type: 'ProfileExtensionSchemaCreated',
        data: {
          schema: {
            ...phone,
            attributes: [
              { name: 'PhoneType', type: 'integer', default: 0 },
              { name: 'prefix', type: 'string', length: 3, mandatory: true },
              { name: 'PhoneNumber', type: 'string', length: 15, mandatory: true },
              { name: 'start_availabilty', type: 'datetime' },
            ],
            unique: ['PhoneNumber', 'prefix'],
          },
        },
      }));
  it('answers that it is new', () => givenMetadata().when(extend(phone)).thenAnswers({ name: 'Phone', created: true }));
  it('takes one without attributes', () =>
    givenMetadata()
      .when(extend(extension('E')))
      .thenRecords({
        type: 'ProfileExtensionSchemaCreated',
        data: { schema: { name: 'E', type: 'single-valued', attributes: [], unique: [] } },
      }));
  it.each(badNames)('refuses the name %j', (name) =>
    givenMetadata()
      .when(extend(extension(name)))
      .thenRejects('metadata-invalid', /must be a letter and at most 25/),
  );
  it.each(reserved)('refuses the name %s, which has a meaning of its own', (name) =>
    givenMetadata()
      .when(extend(extension(name)))
      .thenRejects('metadata-invalid', /has a meaning of its own$/),
  );
  it.each(['x'.repeat(26), 'A', 'a_1', 'constructor', 'toString', 'hasOwnProperty'])('takes the name %s', (name) => {
    const { profileExtensions } = givenMetadata().when(extend(extension(name))).outcome;
    expect([...profileExtensions.values()].map((schema) => schema.name)).toStrictEqual([name]);
  });
  it('refuses a name that is there, in any case', () =>
    givenMetadata(extend(phone))
      .when(extend(extension('PHONE')))
      .thenRejects('metadata-taken', 'There is a profile extension named Phone already'));
  it('refuses the name of a core attribute, in any case', () =>
    givenMetadata()
      .when(extend(extension('firstname')))
      .thenRejects('metadata-taken', 'FirstName is a core attribute of profiles: no extension can have its name'));
  it.each(attributeTypes)('takes attributes of type %s', (type) =>
    givenMetadata()
      .when(extend(withAttribute({ name: 'a', type })))
      .thenAnswers({ name: 'E', created: true }),
  );
  it.each(['String', 'text', '', '__proto__', 'toString', 'timestamp'])('refuses attributes of type %j', (type) =>
    givenMetadata()
      .when(extend(withAttribute({ name: 'a', type })))
      .thenRejects(
        'metadata-invalid',
        'The type of E.a must be one of string, integer, long, double, date, datetime, currency, boolean',
      ),
  );
  it.each([...badNames, ...reserved])('refuses the attribute name %j', (name) =>
    givenMetadata()
      .when(extend(withAttribute({ name, type: 'string' })))
      .thenRejects('metadata-invalid', 'attribute of E'),
  );
  it('refuses two attributes of one name, in any case', () =>
    givenMetadata()
      .when(
        extend({
          ...extension('E'),
          attributes: [
            { name: 'a', type: 'string' },
            { name: 'A', type: 'date' },
          ],
        }),
      )
      .thenRejects('metadata-invalid', "There is more than one attribute of E named 'A'"));

  const good: readonly [AttributeSchema['type'], Json][] = [
    ['string', ''],
    ['integer', -5],
    ['integer', 2 ** 31 - 1],
    ['long', Number.MAX_SAFE_INTEGER],
    ['double', 0.5],
    ['date', '1962-05-10'],
    ['date', '2009-12-18T18:30:00.000Z'],
    ['datetime', '2009-12-18T18:30:00+01:00'],
    ['currency', 12.5],
    ['currency', '12.50'],
    ['boolean', false],
  ];
  it.each(good)('takes for an attribute of type %s the default %j', (type, byDefault) =>
    givenMetadata()
      .when(extend(withAttribute({ name: 'a', type, default: byDefault })))
      .thenAnswers({ name: 'E', created: true }),
  );
  const bad: readonly [AttributeSchema['type'], Json][] = [
    ['string', 5],
    ['string', null],
    ['string', 'too long'],
    ['integer', '5'],
    ['integer', 1.5],
    ['integer', 2 ** 31],
    ['long', 0.1],
    ['double', '1'],
    ['date', 'yesterday'],
    ['date', '2009-02-29'],
    ['datetime', 5],
    ['datetime', '2009-13-01T00:00:00Z'],
    ['currency', '12 EUR'],
    ['currency', true],
    ['boolean', 'true'],
    ['boolean', {}],
  ];
  it.each(bad)('refuses for an attribute of type %s the default %j', (type, byDefault) =>
    givenMetadata()
      .when(extend(withAttribute({ name: 'a', type, length: 7, default: byDefault })))
      .thenRejects('metadata-invalid', `The default of E.a is no value of its type, ${type}`),
  );
  it('finds unique attributes in any case, and refuses one that is not there', () => {
    const attributes = [{ name: 'Id', type: 'string' }];
    const { outcome } = givenMetadata().when(extend({ ...extension('E'), attributes, unique: ['ID'] }));
    expect(outcome.profileExtensions.get('e')?.unique).toStrictEqual(['Id']);
    for (const unique of [['Ix'], ['__proto__'], ['constructor']]) {
      givenMetadata()
        .when(extend({ ...extension('E'), attributes, unique }))
        .thenRejects('metadata-invalid', `There is no attribute named '${unique[0]}' in the extension E`);
    }
    givenMetadata()
      .when(extend({ ...extension('E'), attributes, unique: ['Id', 'id'] }))
      .thenRejects('metadata-invalid', 'unique of E names an attribute twice');
  });
  it('refuses a unique attribute that may be missing', () =>
    givenMetadata()
      .when(extend({ ...withAttribute({ name: 'a', type: 'string', mandatory: false }), unique: ['a'] }))
      .thenRejects('metadata-invalid', 'E.a is unique, so it is mandatory'));
  it('keeps what is mandatory without being unique', () => {
    const attribute = { name: 'a', type: 'string', mandatory: true };
    expect(
      givenMetadata()
        .when(extend(withAttribute(attribute)))
        .outcome.profileExtensions.get('e')?.attributes,
    ).toStrictEqual([attribute]);
  });
});

describe('deleting the schema of a profile extension', () => {
  it('is recorded under the name of the schema, asked for in any case', () =>
    givenMetadata(extend(phone))
      .when(deleteExtension('pHONE'))
      .thenRecords({ type: 'ProfileExtensionSchemaDeleted', data: { name: 'Phone' } }));
  it.each(['Phone', '__proto__', 'constructor', ''])('is refused for %j, which is not there', (name) =>
    givenMetadata()
      .when(deleteExtension(name))
      .thenRejects('metadata-not-found', `There are no profile extension found for : ${name}`),
  );
  it('is refused while an identification key uses it', () =>
    givenMetadata(
      extend(phone),
      createKey({ name: 'A', source: 'Phone', attributes: ['prefix'] }),
      createKey({ name: 'B', source: 'Phone', attributes: ['PhoneNumber'] }),
    )
      .when(deleteExtension('Phone'))
      .thenRejects('metadata-in-use', 'The profile extension Phone is used by the identification key A, B'));
  it('is possible when the keys are gone', () =>
    givenMetadata(extend(phone), createKey({ name: 'A', source: 'Phone', attributes: ['prefix'] }), deleteKey('a'))
      .when(deleteExtension('Phone'))
      .thenAnswers({ name: 'Phone', created: false }));
  it('makes room for another of the name', () =>
    givenMetadata(extend(phone), deleteExtension('Phone'))
      .when(extend(extension('phone')))
      .thenAnswers({ name: 'phone', created: true }));
  it('makes room for a core attribute of the name', () =>
    givenMetadata(extend(phone), deleteExtension('Phone'))
      .when(define({ name: 'ContactAttributes', values: [{ name: 'Phone' }] }))
      .thenAnswers({ name: 'ContactAttributes', created: false }));
});

describe('creating an identification key', () => {
  const recordsKey = (key: { name: string; source: string; attributes: readonly string[]; unique: boolean }) =>
    ({ type: 'IdentificationKeyCreated', data: { key } }) as const;

  it('is of the profile when it does not say otherwise', () =>
    givenMetadata()
      .when(createKey({ name: 'ByMail', attributes: ['EmailAddress'] }))
      .thenRecords(recordsKey({ name: 'ByMail', source: 'profile', attributes: ['EmailAddress'], unique: false })));
  it('spells source and attributes as the schema does', () => {
    givenMetadata(extend(phone))
      .when(createKey({ name: 'K', source: 'PHONE', attributes: ['phonenumber', 'PREFIX'], unique: true }))
      .thenRecords(recordsKey({ name: 'K', source: 'Phone', attributes: ['PhoneNumber', 'prefix'], unique: true }));
    givenMetadata()
      .when(createKey({ name: 'K', source: 'Profile', attributes: ['firstname'] }))
      .thenRecords(recordsKey({ name: 'K', source: 'profile', attributes: ['FirstName'], unique: false }));
  });
  it('takes the prefixes of answers, and their source when none is said', () => {
    for (const source of [{ source: 'Phone' }, {}]) {
      givenMetadata(extend(phone))
        .when(createKey({ name: 'K', ...source, attributes: ['Phone.prefix', 'Phone.PhoneNumber'] }))
        .thenRecords(recordsKey({ name: 'K', source: 'Phone', attributes: ['prefix', 'PhoneNumber'], unique: false }));
    }
    givenMetadata()
      .when(createKey({ name: 'K', attributes: ['profile.PIN'] }))
      .thenRecords(recordsKey({ name: 'K', source: 'profile', attributes: ['PIN'], unique: false }));
  });
  it('refuses a mix of sources', () => {
    const both = [extend(phone), extend({ ...phone, name: 'Fax' })];
    givenMetadata(...both)
      .when(createKey({ name: 'K', source: 'Phone', attributes: ['prefix', 'Fax.prefix'] }))
      .thenRejects('metadata-invalid', "The identification key K is of Phone: 'Fax.prefix' is of another source");
    for (const attributes of [
      ['Phone.prefix', 'Fax.prefix'],
      ['FirstName', 'Phone.prefix'],
      ['Phone.prefix', 'FirstName'],
    ]) {
      givenMetadata(...both)
        .when(createKey({ name: 'K', attributes }))
        .thenRejects('metadata-invalid', /is of another source$/);
    }
    givenMetadata(...both)
      .when(createKey({ name: 'K', source: 'Phone', attributes: ['prefix', 'FirstName'] }))
      .thenRejects('metadata-invalid', "There is no attribute named 'FirstName' in the extension Phone");
  });
  it.each(['Fax', '', '__proto__', 'constructor'])('refuses the source %j, which is not there', (source) =>
    givenMetadata()
      .when(createKey({ name: 'K', source, attributes: ['a'] }))
      .thenRejects('metadata-invalid', `There is no profile extension named ${source}`),
  );
  it.each(['Phone', '', '__proto__', 'constructor', 'toString'])(
    'refuses the attribute %j, which is not there',
    (name) =>
      givenMetadata()
        .when(createKey({ name: 'K', attributes: [name] }))
        .thenRejects('metadata-invalid', `There is no attribute named '${name}' in the profile`),
  );
  it('refuses one without attributes', () =>
    givenMetadata()
      .when(createKey({ name: 'K', attributes: [] }))
      .thenRejects('metadata-invalid', 'The identification key K has no attributes'));
  it('refuses an attribute that is named twice', () =>
    givenMetadata()
      .when(createKey({ name: 'K', attributes: ['PIN', 'pin'] }))
      .thenRejects('metadata-invalid', 'The identification key K names an attribute twice'));
  it.each([...badNames, ...reserved])('refuses the name %j', (name) =>
    givenMetadata()
      .when(createKey({ name, attributes: ['PIN'] }))
      .thenRejects('metadata-invalid', 'identification key'),
  );
  it('refuses a name that is there, in any case', () =>
    givenMetadata(createKey({ name: 'ByPin', attributes: ['PIN'] }))
      .when(createKey({ name: 'BYPIN', attributes: ['Title'] }))
      .thenRejects('metadata-taken', 'There is an identification key named ByPin already'));
  it('may have the name of an extension or a core attribute', () =>
    givenMetadata(extend(phone), createKey({ name: 'Phone', source: 'Phone', attributes: ['prefix'] }))
      .when(createKey({ name: 'FirstName', attributes: ['FirstName'] }))
      .thenAnswers({ name: 'FirstName', created: true }));
});

describe('deleting an identification key', () => {
  const key = createKey({ name: 'ByPin', attributes: ['PIN'] });
  it('is recorded under its own name, asked for in any case', () =>
    givenMetadata(key)
      .when(deleteKey('BYPIN'))
      .thenRecords({ type: 'IdentificationKeyDeleted', data: { name: 'ByPin' } }));
  it('leaves the others', () =>
    expect([
      ...givenMetadata(key, createKey({ name: 'B', attributes: ['Title'] }))
        .when(deleteKey('bypin'))
        .outcome.identificationKeys.keys(),
    ]).toStrictEqual(['b']));
  it.each(['ByPin', '__proto__', 'constructor', ''])('is refused for %j, which is not there', (name) =>
    givenMetadata()
      .when(deleteKey(name))
      .thenRejects('metadata-not-found', `There are no identification key found for : ${name}`),
  );
});
