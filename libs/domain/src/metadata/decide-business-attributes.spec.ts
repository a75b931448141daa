import type { BusinessAttribute } from '#events';
import { enumeratedFields, LARGEST_DBID } from '../index.js';
import type { AttributeDefinition } from '../index.js';
import {
  createKey,
  define,
  deleteAttribute,
  extend,
  givenMetadata,
  initialize,
  metadataAfter,
} from '../testing/metadata-story.js';

const fresh = metadataAfter(initialize()).highestDbid;
const mediaType: AttributeDefinition = {
  name: 'MediaType',
  dbid: 103,
  display_name: 'Media Type',
  description: 'How they came in',
  map_name: true,
  cv_attributes: ['Service.media_type', 'State.media_type'],
  values: [
    { name: 'email', dbid: 1003, display_name: 'E-Mail', description: 'written' },
    { name: 'chat', dbid: 1006, display_name: 'Chat', description: '' },
  ],
};
const recordsAttribute = (attribute: unknown) =>
  ({ type: 'BusinessAttributeDefined', data: { attribute: attribute as BusinessAttribute } }) as const;
const valued = (name: string, ...values: NonNullable<AttributeDefinition['values']>): AttributeDefinition => ({
  name,
  values,
});
const names = (attribute: string, metadata = metadataAfter()) =>
  metadata.businessAttributes.get(attribute)?.values.map(({ name, dbid }) => [name, dbid]);

describe('defining a business attribute', () => {
  it('records it as it was sent', () =>
    givenMetadata().when(define(mediaType)).thenRecords(recordsAttribute(mediaType)));
  it('answers that it is new', () =>
    givenMetadata().when(define(mediaType)).thenAnswers({ name: 'MediaType', created: true }));
  it('answers that it is changed', () =>
    givenMetadata(define(mediaType)).when(define(mediaType)).thenAnswers({ name: 'MediaType', created: false }));
  it('records also what changes nothing, so that a repeat finds its first answer', () =>
    givenMetadata(define(mediaType)).when(define(mediaType)).thenRecords(recordsAttribute(mediaType)));
  it('makes up what is missing', () =>
    givenMetadata()
      .when(define(valued('Colour', { name: 'red' })))
      .thenRecords(
        recordsAttribute({
          name: 'Colour',
          dbid: fresh + 1,
          display_name: 'Colour',
          description: '',
          values: [{ name: 'red', dbid: fresh + 2, display_name: 'red', description: '' }],
        }),
      ));
  it('takes one without values', () =>
    givenMetadata()
      .when(define({ name: 'Colour', dbid: 9000 }))
      .thenRecords(
        recordsAttribute({ name: 'Colour', dbid: 9000, display_name: 'Colour', description: '', values: [] }),
      ));
  it('keeps default and expiration, and passes over a default that is false', () =>
    givenMetadata()
      .when(
        define({
          name: 'ServiceType',
          dbid: 9000,
          values: [
            { name: 'default', dbid: 9001, default: true, expiration: '2w' },
            { name: 'other', dbid: 9002, default: false },
          ],
        }),
      )
      .thenRecords(
        recordsAttribute({
          name: 'ServiceType',
          dbid: 9000,
          display_name: 'ServiceType',
          description: '',
          values: [
            { name: 'default', dbid: 9001, display_name: 'default', description: '', default: true, expiration: '2w' },
            { name: 'other', dbid: 9002, display_name: 'other', description: '' },
          ],
        }),
      ));
  it('refuses a second default', () =>
    givenMetadata()
      .when(define(valued('A', { name: 'a', default: true }, { name: 'b', default: true })))
      .thenRejects('metadata-invalid', 'A has more than one default value'));
  it.each(['1s', '90m', '24h', '7d', '2w', '6M', '5y', '999999999y'])('takes the expiration %s', (expiration) =>
    givenMetadata()
      .when(define(valued('A', { name: 'a', expiration })))
      .thenAnswers({ name: 'A', created: true }),
  );
  it.each(['', '5', 'y', '0d', '-1d', '1.5d', '5Y', '5 d', ' 5d', '5d ', '9999999999d', '5dd', '5d\n'])(
    'refuses the expiration %j',
    (expiration) =>
      givenMetadata()
        .when(define(valued('A', { name: 'a', expiration })))
        .thenRejects('metadata-invalid', "The expiration of A 'a' must be a number and one of s m h d w M y"),
  );
  it('refuses a type of a value that is no core attribute', () =>
    givenMetadata()
      .when(define(valued('A', { name: 'a', type: 'string' })))
      .thenRejects('metadata-invalid', "Only values of ContactAttributes have a type, 'a' is of A"));
  it('refuses two values of one name', () =>
    givenMetadata()
      .when(define(valued('A', { name: 'a' }, { name: 'b' }, { name: 'a' })))
      .thenRejects('metadata-invalid', "There is more than one value of A named 'a'"));
  it('takes names that differ in case only, with blanks and in any script', () =>
    givenMetadata()
      .when(define(valued('A b', { name: 'My Type' }, { name: 'my type' }, { name: 'Zürich 🙂' })))
      .thenAnswers({ name: 'A b', created: true }));
  it.each(['__proto__', 'constructor', 'toString', 'hasOwnProperty'])('takes %s as any other name', (name) => {
    const metadata = givenMetadata(define(mediaType)).when(define(valued(name, { name }))).outcome;
    expect(names(name, metadata)).toStrictEqual([[name, 1008]]);
    expect(metadata.businessAttributes.size).toBe(3);
    expect(Object.getPrototypeOf(metadata.businessAttributes.get(name))).toBe(Object.prototype);
  });
  it('refuses a record that the control log should not hold', () => {
    const values = Array.from({ length: 20_000 }, (_, n) => ({ name: `value ${n}` }));
    givenMetadata()
      .when(define({ name: 'A', values }))
      .thenRejects('metadata-too-large', /^This would be a record of/);
  });
});

describe('the DBIDs of a business attribute', () => {
  it('stay with their names when they are not sent again, and new names get new ones', () => {
    const sent = define(valued('MediaType', { name: 'chat' }, { name: 'voice' }, { name: 'email' }));
    const metadata = givenMetadata(define(mediaType)).when(sent).outcome;
    expect(metadata.businessAttributes.get('MediaType')?.dbid).toBe(103);
    expect(names('MediaType', metadata)).toStrictEqual([
      ['chat', 1006],
      ['voice', 1007],
      ['email', 1003],
    ]);
  });
  it('are not given again when a value went, not to the same name either', () => {
    const metadata = metadataAfter(
      initialize(),
      define(mediaType),
      define(valued('MediaType')),
      define(valued('MediaType', { name: 'chat' })),
    );
    expect(names('MediaType', metadata)).toStrictEqual([['chat', 1007]]);
  });
  it('are not given again when the attribute went', () => {
    const metadata = metadataAfter(
      initialize(),
      define(mediaType),
      deleteAttribute('MediaType'),
      define(valued('MediaType', { name: 'chat' })),
    );
    expect(metadata.businessAttributes.get('MediaType')?.dbid).toBe(1007);
    expect(names('MediaType', metadata)).toStrictEqual([['chat', 1008]]);
  });
  it('can be brought back by the name they had', () => {
    const metadata = metadataAfter(
      initialize(),
      define(mediaType),
      deleteAttribute('MediaType'),
      define({ ...mediaType }),
    );
    expect(names('MediaType', metadata)).toStrictEqual([
      ['email', 1003],
      ['chat', 1006],
    ]);
  });
  it('follow a value that is renamed', () => {
    const metadata = givenMetadata(define(mediaType)).when(
      define(valued('MediaType', { name: 'mail', dbid: 1003 }, { name: 'chat' })),
    ).outcome;
    expect(names('MediaType', metadata)).toStrictEqual([
      ['mail', 1003],
      ['chat', 1006],
    ]);
  });
  it('may be exchanged by two values', () => {
    const metadata = givenMetadata(define(mediaType)).when(
      define(valued('MediaType', { name: 'chat', dbid: 1003 }, { name: 'email', dbid: 1006 })),
    ).outcome;
    expect(metadata.valueDbids.get(1003)).toStrictEqual({ attribute: 'MediaType', name: 'chat' });
  });
  it('cannot be taken from a value that keeps its name', () =>
    givenMetadata(define(mediaType))
      .when(define(valued('MediaType', { name: 'chat' }, { name: 'email', dbid: 1006 })))
      .thenRejects('metadata-taken', "dbid 1006 is, or was, that of MediaType 'chat'"));
  it('cannot be those of another attribute’s values', () =>
    givenMetadata(define(mediaType))
      .when(define(valued('A', { name: 'email', dbid: 1003 })))
      .thenRejects('metadata-taken', "dbid 1003 is, or was, that of MediaType 'email'"));
  it('cannot be those of a value that went, under another name', () =>
    givenMetadata(define(mediaType), define(valued('MediaType')))
      .when(define(valued('MediaType', { name: 'voice', dbid: 1003 })))
      .thenRejects('metadata-taken', "dbid 1003 is, or was, that of MediaType 'email'"));
  it('cannot be those of an attribute that went, under another name', () =>
    givenMetadata(define(mediaType), deleteAttribute('MediaType'))
      .when(define(valued('A', { name: 'email', dbid: 1003 })))
      .thenRejects('metadata-taken'));
  it('cannot be that of another attribute', () =>
    givenMetadata(define(mediaType))
      .when(define({ name: 'A', dbid: 103 }))
      .thenRejects('metadata-taken', 'dbid 103 is, or was, that of the business attribute MediaType'));
  it('are counted apart for attributes and values, as in the product', () =>
    givenMetadata()
      .when(define({ name: 'A', dbid: 500, values: [{ name: 'a', dbid: 500 }] }))
      .thenAnswers({ name: 'A', created: true }));
  it('are not sent twice in one attribute', () =>
    givenMetadata()
      .when(define(valued('A', { name: 'a', dbid: 5000 }, { name: 'b', dbid: 5000 })))
      .thenRejects('metadata-invalid', 'Two values of A have the same dbid'));
  it('are never the digits of another value’s name', () => {
    givenMetadata()
      .when(define(valued('A', { name: '5001', dbid: 5000 }, { name: 'b', dbid: 5001 })))
      .thenRejects('metadata-invalid', "In A '5001' is the name of one value and the dbid of another, 'b'");
    const given = givenMetadata().when(define(valued('A', { name: String(fresh + 2) }, { name: '5000', dbid: 5000 })));
    expect(names('A', given.outcome)).toStrictEqual([
      [String(fresh + 2), 5002],
      ['5000', 5000],
    ]);
  });
  it('end where those of the product end', () =>
    givenMetadata()
      .when(define(valued('A', { name: 'a', dbid: LARGEST_DBID }, { name: 'b' })))
      .thenRejects('metadata-taken', 'No dbid is left to be given: bring one'));
});

describe('mapping fields on a business attribute', () => {
  it.each(enumeratedFields)('takes %s', (field) => {
    const metadata = givenMetadata().when(define({ name: 'A', cv_attributes: [field] })).outcome;
    expect([...metadata.mapped]).toStrictEqual([[field, 'A']]);
  });
  it.each([
    ['Service.service_type', 'Service.type'],
    ['State.state_type', 'State.type'],
    ['Task.task_type', 'Task.type'],
  ])('takes %s for %s', (spelled, field) =>
    expect(
      givenMetadata()
        .when(define({ name: 'A', cv_attributes: [spelled, field] }))
        .outcome.businessAttributes.get('A')?.cv_attributes,
    ).toStrictEqual([field]),
  );
  it.each([
    'Service.state_type',
    'service.type',
    'Service.Type',
    'type',
    '',
    'Service.',
    '__proto__',
    'Service.est_duration',
  ])('refuses %j', (field) =>
    givenMetadata()
      .when(define({ name: 'A', cv_attributes: [field] }))
      .thenRejects('metadata-invalid', /in cv_attributes is none of Service\.type, Service\.disposition, /),
  );
  it('refuses a field of another attribute, in either spelling', () =>
    givenMetadata(define({ name: 'ServiceType', cv_attributes: ['Service.type'] }))
      .when(define({ name: 'A', cv_attributes: ['Service.service_type'] }))
      .thenRejects('metadata-taken', 'Service.type is mapped on the business attribute ServiceType already'));
  it('frees the fields that are not sent again', () => {
    const metadata = givenMetadata(
      define({ name: 'A', cv_attributes: ['Service.type', 'Task.type'] }),
      define({ name: 'A', cv_attributes: ['Task.type'] }),
    ).when(define({ name: 'B', cv_attributes: ['Service.type'] })).outcome;
    expect([...metadata.mapped]).toStrictEqual([
      ['Task.type', 'A'],
      ['Service.type', 'B'],
    ]);
  });
  it('frees the fields of an attribute that goes', () =>
    expect(givenMetadata(define(mediaType)).when(deleteAttribute('MediaType')).outcome.mapped.size).toBe(0));
});

describe('the last known names of a field', () => {
  const email = (name: string) => valued('MediaType', { name, dbid: 1003 });
  const last = (...definitions: readonly AttributeDefinition[]) => [
    ...(metadataAfter(initialize(), ...definitions.map(define)).lastNames.get('Service.media_type') ?? []),
  ];

  it('are those of the values of today', () =>
    expect(last(mediaType)).toStrictEqual([
      [1003, 'email'],
      [1006, 'chat'],
    ]));
  it('stay when a value, a mapping or the attribute goes', () => {
    expect(last(mediaType, { ...mediaType, values: [] })).toHaveLength(2);
    expect(last(mediaType, { ...mediaType, cv_attributes: [] })).toHaveLength(2);
    const gone = metadataAfter(initialize(), define(mediaType), deleteAttribute('MediaType'));
    expect(gone.lastNames.get('State.media_type')?.get(1006)).toBe('chat');
  });
  it('change with a value that is renamed', () =>
    expect(last(mediaType, { ...email('mail'), cv_attributes: ['Service.media_type'] })).toStrictEqual([
      [1003, 'mail'],
      [1006, 'chat'],
    ]));
  it('begin with the mapping', () => {
    expect(last(email('email'))).toStrictEqual([]);
    expect(last(email('email'), { ...email('mail'), cv_attributes: ['Service.media_type'] })).toStrictEqual([
      [1003, 'mail'],
    ]);
  });
});

describe('deleting a business attribute', () => {
  it('is recorded', () =>
    givenMetadata(define(mediaType))
      .when(deleteAttribute('MediaType'))
      .thenRecords({ type: 'BusinessAttributeDeleted', data: { name: 'MediaType' } }));
  it.each(['MediaType', 'contactattributes', '__proto__', 'constructor', ''])(
    'is refused for %j, which is not there',
    (name) =>
      givenMetadata()
        .when(deleteAttribute(name))
        .thenRejects('metadata-not-found', `There are no business attribute found for : ${name}`),
  );
  it('makes room for a new one of the name', () =>
    givenMetadata(define(mediaType), deleteAttribute('MediaType'))
      .when(define(mediaType))
      .thenAnswers({ name: 'MediaType', created: true }));
});

describe('the core attributes of profiles', () => {
  const contact = (...values: NonNullable<AttributeDefinition['values']>) =>
    define(valued('ContactAttributes', ...values));
  const key = createKey({ name: 'ByName', attributes: ['FirstName', 'LastName'] });

  it.each(['_x', '1x', 'E-mail', 'First Name', 'a.b', '', 'x'.repeat(27), 'Größe', '__proto__', 'a\n'])(
    'are not named %j',
    (name) =>
      givenMetadata()
        .when(contact({ name }))
        .thenRejects('metadata-invalid', /must be a letter and at most 25/),
  );
  it.each(['customer_id', 'Extensions', 'INCLUDE_PROFILE', 'include_extensions', 'id_key', 'profile', 'tenant_id'])(
    'are not named %s, which has a meaning of its own',
    (name) =>
      givenMetadata()
        .when(contact({ name }))
        .thenRejects('metadata-invalid', /has a meaning of its own$/),
  );
  it('are told apart without regard to case', () =>
    givenMetadata()
      .when(contact({ name: 'Phone' }, { name: 'PHONE' }))
      .thenRejects('metadata-invalid', "There is more than one core attribute named 'PHONE'"));
  it('hold texts or dates', () => {
    const { outcome } = givenMetadata().when(contact({ name: 'a', type: 'string' }, { name: 'b', type: 'date' }));
    expect(outcome.businessAttributes.get('ContactAttributes')?.values.map(({ type }) => type)).toStrictEqual([
      'string',
      'date',
    ]);
  });
  it.each(['integer', 'Date', '', 'toString'])('hold nothing of type %j', (type) =>
    givenMetadata()
      .when(contact({ name: 'a', type }))
      .thenRejects('metadata-invalid', "The type of ContactAttributes 'a' must be string or date"),
  );
  it('are not named like an extension', () =>
    givenMetadata(extend({ name: 'Phone', type: 'multi-valued' }))
      .when(contact({ name: 'phone' }))
      .thenRejects('metadata-taken', 'There is a profile extension named Phone: no core attribute can have its name'));
  it('stay while an identification key is made of them', () => {
    givenMetadata(key)
      .when(contact({ name: 'FirstName' }))
      .thenRejects('metadata-in-use', 'The core attribute LastName is used by the identification key ByName');
    givenMetadata(key).when(contact()).thenRejects('metadata-in-use');
    givenMetadata(key).when(deleteAttribute('ContactAttributes')).thenRejects('metadata-in-use');
  });
  it('keep their names while an identification key is made of them', () => {
    const { values = [] } = metadataAfter(initialize()).businessAttributes.get('ContactAttributes') ?? {};
    const renamed = values.map((value) => (value.name === 'LastName' ? { ...value, name: 'lastName' } : value));
    givenMetadata(key)
      .when(contact(...renamed))
      .thenRejects('metadata-in-use');
  });
  it('may go with no key in the way', () =>
    givenMetadata(createKey({ name: 'ByMail', attributes: ['EmailAddress'] }))
      .when(contact({ name: 'EmailAddress' }))
      .thenAnswers({ name: 'ContactAttributes', created: false }));
});
