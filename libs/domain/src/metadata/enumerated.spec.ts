import type { BusinessAttribute, BusinessAttributeValue, Enumerated } from '#events';
import { Rejected } from '../rejected.js';
import { EnumeratedValues, type EnumeratedRules } from './enumerated.js';
import { noMetadata, type EnumeratedField, type Metadata } from './metadata.js';

const value = (dbid: number, name: string, more: Partial<BusinessAttributeValue> = {}): BusinessAttributeValue => ({
  name,
  dbid,
  display_name: `The ${name}`,
  description: '',
  ...more,
});

const attribute = (name: string, values: readonly BusinessAttributeValue[], more: Partial<BusinessAttribute> = {}) =>
  ({ name, dbid: 1, display_name: name, description: '', values, ...more }) satisfies BusinessAttribute;

const types = attribute('ServiceType', [
  value(101, 'MyService1', { default: true, expiration: '2w' }),
  value(102, 'MyService2', { display_name: 'Twice' }),
  value(103, 'MyService3', { display_name: 'Twice' }),
  value(104, 'With Blank Chars', { display_name: 'MyService1', expiration: '7d' }),
  value(105, '103'),
  value(106, '77'),
]);
const media = attribute('MediaType', [value(1003, 'email'), value(1001, 'voice')]);

/** What the fold of definitions of these attributes is, with these fields mapped on them. */
function metadata(
  mapped: readonly (readonly [EnumeratedField, BusinessAttribute])[],
  gone: readonly (readonly [EnumeratedField, number, string])[] = [],
): Metadata {
  const lastNames = new Map<EnumeratedField, Map<number, string>>();
  const name = (field: EnumeratedField, dbid: number, last: string) =>
    lastNames.set(field, new Map([...(lastNames.get(field) ?? []), [dbid, last]]));
  for (const [field, dbid, last] of gone) name(field, dbid, last);
  for (const [field, { values }] of mapped) for (const each of values) name(field, each.dbid, each.name);
  return {
    ...noMetadata,
    businessAttributes: new Map(mapped.map(([, each]) => [each.name, each])),
    mapped: new Map(mapped.map(([field, each]) => [field, each.name])),
    lastNames,
  };
}

const rules: EnumeratedRules = { dataValidation: true, mapNames: true };
const fields = [
  ['Service.type', types],
  ['State.media_type', media],
  ['State.type', attribute('StateType', [value(7, 'greeting')])],
] as const;
const values = new EnumeratedValues(metadata(fields), rules);
const unmapped = new EnumeratedValues(noMetadata, rules);

const refusal = (what: () => unknown): string => {
  try {
    what();
  } catch (error) {
    if (error instanceof Rejected) return `${error.code}: ${error.message}`;
    throw error;
  }
  return 'nothing was refused';
};
const validTypes = 'MyService1, MyService2, MyService3, With Blank Chars, 103, 77';

describe('a value that is sent', () => {
  it.each<[string, Enumerated, number]>([
    ['its DBID', 102, 102],
    ['its DBID as text', '102', 102],
    ['its name', 'MyService2', 102],
    ['a name with blanks', 'With Blank Chars', 104],
    ['a display name that only one value has', 'The 77', 106],
    ['a name that is the display name of another one', 'MyService1', 101],
    ['a name in digits', '77', 106],
    ['a name in digits, as a number', 77, 106],
    ['a DBID that is the name of another one', '103', 103],
  ])('is held as a DBID when it is %s', (_what, sent, dbid) =>
    expect(values.toStored('Service.type', sent)).toBe(dbid),
  );

  it.each<[string, Enumerated, string]>([
    ['unknown', 'MyService9', 'MyService9'],
    ['of other letters', 'myservice1', 'myservice1'],
    ['a display name of two values', 'Twice', 'Twice'],
    ['a DBID of no value', 9, '9'],
    ['a DBID of another attribute', 1003, '1003'],
    ['nearly a DBID', '0102', '0102'],
    ['no whole number', 102.5, '102.5'],
    ['empty', '', ''],
    ['a name of every object', '__proto__', '__proto__'],
    ['long', 'x'.repeat(200), 'x'.repeat(60)],
    ['long, of two units each', '😀'.repeat(200), '😀'.repeat(60)],
    ['long, and uneven', `x${'😀'.repeat(200)}`, `x${'😀'.repeat(59)}`],
  ])('is refused when it is %s', (_what, sent, shown) =>
    expect(refusal(() => values.toStored('Service.type', sent))).toBe(
      `invalid-enumerated-value: Invalid value '${shown}' for Service.type. Valid values : ${validTypes}`,
    ),
  );

  it('names the field it is refused for', () =>
    expect(refusal(() => values.toStored('State.media_type', 'fax'))).toBe(
      `invalid-enumerated-value: Invalid value 'fax' for State.media_type. Valid values : email, voice`,
    ));

  it.each<Enumerated>(['anything', 'email', 1003, '1003', '', 1e21])(
    'is held as it was sent, %p, where nothing is mapped',
    (sent) => {
      expect(values.toStored('Service.media_type', sent)).toBe(sent);
      expect(unmapped.toStored('State.media_type', sent)).toBe(sent);
    },
  );

  it('is held as it was sent when it is unknown and validation is off; known ones are DBIDs even so', () => {
    const lax = new EnumeratedValues(metadata(fields), { ...rules, dataValidation: false });
    expect(lax.toStored('Service.type', 'MyService9')).toBe('MyService9');
    expect(lax.toStored('Service.type', 9)).toBe(9);
    expect(lax.toStored('Service.type', 'MyService2')).toBe(102);
  });
});

describe('the fields of a body', () => {
  it('are each looked up as a field of their own resource', () => {
    const sent = { state_type: 'greeting', media_type: 'email', disposition: 'sold', service_id: '3-s' };
    expect(values.stored('State', sent)).toEqual({ ...sent, state_type: 7, media_type: 1003 });
    expect(values.stored('Task', sent)).toEqual(sent);
    expect(sent.media_type).toBe('email');
  });
  it('are the same object where nothing was ever mapped', () => {
    const sent = { state_type: 'greeting' };
    expect(unmapped.areAsSent).toBe(true);
    expect(unmapped.stored('State', sent)).toBe(sent);
    expect(unmapped.started('State', sent)).toBe(sent);
    expect(unmapped.shown('State', sent)).toBe(sent);
  });
  it('may be missing, but for the type of what starts', () => {
    expect(values.stored('State', {})).toEqual({});
    expect(values.stored('Service', {})).toEqual({});
    expect(refusal(() => values.started('State', { media_type: 1001 }))).toBe(
      'invalid-enumerated-value: Missing value for State.type, which has no default. Valid values : greeting',
    );
  });
  it('get the default type when something starts', () => {
    expect(values.started('Service', { media_type: 'x' })).toEqual({ service_type: 101, media_type: 'x' });
    expect(values.started('Service', { service_type: 'MyService2' })).toEqual({ service_type: 102 });
    expect(values.started('Task', {})).toEqual({});
  });
  it('get none without a default when validation is off', () => {
    const lax = new EnumeratedValues(metadata(fields), { ...rules, dataValidation: false });
    expect(lax.started('State', {})).toEqual({});
    expect(lax.started('Service', {})).toEqual({ service_type: 101 });
  });
});

describe('a value that is held', () => {
  const shown = (stored: Enumerated, map_name?: boolean, mapNames = true) =>
    new EnumeratedValues(
      metadata(
        [['Service.type', { ...types, ...(map_name !== undefined && { map_name }) }]],
        [['Service.type', 50, 'Gone']],
      ),
      { ...rules, mapNames },
    ).toShown('Service.type', stored);

  it.each<[string, Enumerated, Enumerated, Enumerated]>([
    ['a DBID', 102, 'MyService2', 102],
    ['a DBID as text, from before the mapping', '102', 'MyService2', 102],
    ['a name, from before the mapping', 'MyService2', 'MyService2', 102],
    ['a display name, from before the mapping', 'The 77', '77', 106],
    ['a DBID that is the name of another one', 103, 'MyService3', 103],
    ['a DBID of a value that is gone', 50, 'Gone', 'Gone'],
    ['the name of a value that is gone, from before the mapping', 'Gone', 'Gone', 'Gone'],
    ['a text that looks like a DBID that is gone', '50', '50', '50'],
    ['a text that means nothing', 'Other', 'Other', 'Other'],
    ['a number that means nothing', 4.5, 4.5, 4.5],
    ['a hostile name', 'constructor', 'constructor', 'constructor'],
  ])('%s', (_what, stored, name, dbid) => {
    expect(shown(stored)).toBe(name);
    expect(shown(stored, true, false)).toBe(name);
    expect(shown(stored, undefined, false)).toBe(dbid);
    expect(shown(stored, false, true)).toBe(dbid);
  });

  it('is shown by its last known name when the mapping or the attribute is gone', () => {
    const without = new EnumeratedValues(metadata([], [['Service.type', 102, 'MyService2']]), rules);
    expect(without.toShown('Service.type', 102)).toBe('MyService2');
    expect(without.toShown('Service.type', '102')).toBe('102');
    expect(without.toShown('Service.type', 9)).toBe(9);
    expect(without.toShown('Service.media_type', 102)).toBe(102);
    expect(without.toStored('Service.type', 102)).toBe(102);
    expect(without.areAsSent).toBe(false);
  });
  it('is shown by its name of now when it was renamed', () => {
    const renamed = attribute('ServiceType', [value(101, 'Renamed')]);
    expect(new EnumeratedValues(metadata([['Service.type', renamed]]), rules).toShown('Service.type', 101)).toBe(
      'Renamed',
    );
  });
  it('is shown as a field of its own resource, beside what is not enumerated, in the same order', () => {
    const held = { timestamp: 't', media_type: 1003, application_type: 1003 };
    expect(JSON.stringify(values.shown('State', held))).toBe(JSON.stringify({ ...held, media_type: 'email' }));
    expect(values.shown('Task', held)).toEqual(held);
  });
});

describe('what is asked for', () => {
  /** 50 and 51 are gone, and 52 too: its name is now that of 102. */
  const asked = new EnumeratedValues(
    metadata(fields, [
      ['Service.type', 50, 'Gone'],
      ['Service.type', 51, 'Gone'],
      ['Service.type', 52, 'MyService2'],
      ['Task.type', 60, 'Old'],
    ]),
    rules,
  );
  it.each<[EnumeratedField, Enumerated, string[]]>([
    ['Service.type', '101', ['101', 'MyService1', 'The MyService1']],
    ['Service.type', 101, ['101', 'MyService1', 'The MyService1']],
    ['Service.type', 'MyService1', ['101', 'MyService1', 'The MyService1']],
    ['Service.type', 'With Blank Chars', ['104', 'With Blank Chars']],
    ['Service.type', 'The 77', ['106', '77', 'The 77']],
    ['Service.type', '103', ['103', 'MyService3']],
    ['Service.type', 'The 103', ['105', 'The 103']],
    ['Service.type', 'Twice', ['Twice']],
    ['Service.type', 'Gone', ['50', '51', 'Gone']],
    ['Service.type', '50', ['50', 'Gone']],
    ['Service.type', 'MyService2', ['102', '52', 'MyService2']],
    ['Service.type', '102', ['102', 'MyService2']],
    ['Service.type', '52', ['52']],
    ['Service.type', 'nothing', ['nothing']],
    ['Service.type', '', ['']],
    ['Task.type', 'Old', ['60', 'Old']],
    ['Task.type', '60', ['60', 'Old']],
    ['Task.type', 'toString', ['toString']],
    ['Task.media_type', '1003', ['1003']],
  ])('%s %p is held as one of %j', (field, text, forms) =>
    expect([...asked.storedForms(field, text)].sort()).toEqual([...forms].sort()),
  );

  it('is held as it was sent where nothing was ever mapped', () =>
    expect(unmapped.storedForms('Service.type', 5)).toEqual(['5']));
  it('is what is shown: whatever a value is shown as finds it', () => {
    for (const stored of [101, '101', 'MyService1', 102, 103, 104, 105, 106, '106', 'Other', 50, 51, 'Gone']) {
      for (const mapNames of [true, false]) {
        const seen = new EnumeratedValues(
          metadata(fields, [
            ['Service.type', 50, 'Gone'],
            ['Service.type', 51, 'Gone'],
          ]),
          { ...rules, mapNames },
        );
        const shown = seen.toShown('Service.type', stored);
        // Digits are a DBID before they are a name: the value named 103 is asked for by its own DBID.
        if (shown === '103') continue;
        expect(seen.storedForms('Service.type', shown)).toContain(String(stored));
      }
    }
  });
});

describe('what a composite start looks for', () => {
  it('is its type in every form', () =>
    expect(values.sought('Service', { service_type: 'MyService2', media_type: 'x' })).toEqual({
      types: expect.arrayContaining(['102', 'MyService2']),
    }));
  it('is any type where it brings none, also when there is a default', () =>
    expect(values.sought('Service', { media_type: 'x' })).toEqual({}));
  it('is what was sent where nothing was ever mapped', () =>
    expect(unmapped.sought('Task', { task_type: 5 })).toEqual({ types: ['5'] }));
});

describe('the expiration of a type', () => {
  it.each<[Enumerated | undefined, string | undefined]>([
    [101, '2w'],
    ['MyService1', '2w'],
    ['With Blank Chars', '7d'],
    [102, undefined],
    ['unknown', undefined],
    [undefined, '2w'],
  ])('of %p is %p', (type, expiration) => expect(values.expirationOf(type)).toBe(expiration));
  it('is nothing where no attribute is mapped', () => expect(unmapped.expirationOf(101)).toBeUndefined());
});
