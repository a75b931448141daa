import {
  answersKeptForMs,
  decideMetadata,
  evolveMetadata,
  hasProfileSchema,
  keptMetadataAnswer,
  noMetadata,
  profileSchema,
} from '../index.js';
import type { MetadataCommand } from '../index.js';
import {
  createKey,
  define,
  deleteAttribute,
  extend,
  givenMetadata,
  initialize,
  metadataAfter,
  recordedMetadata,
} from '../testing/metadata-story.js';
import { firstRecordedAt, rejection } from '../testing/specification.js';

const text = (name: string) => ({ name, type: 'string', length: 256 });
const date = (name: string) => ({ name, type: 'date' });

describe('the first record of a tenant’s metadata', () => {
  it('holds the core attributes of a fresh installation', () => {
    const fresh = metadataAfter(initialize());
    expect(profileSchema(fresh)).toStrictEqual([
      ...['FirstName', 'LastName', 'Title', 'PhoneNumber', 'EmailAddress', 'PIN', 'CustomerSegment'].map(text),
      ...['AccountNumber', 'ContactId'].map(text),
      date('DOB'),
      ...['Cellular', 'Group', 'LastCalledAgent_EmployeeID'].map(text),
      date('LastCalledAgent_TimeStamp'),
      text('PreferredAgent_EmployeeID'),
    ]);
    expect([...fresh.businessAttributes.keys()]).toStrictEqual(['ContactAttributes']);
    expect([fresh.profileExtensions.size, fresh.identificationKeys.size, fresh.highestDbid]).toStrictEqual([0, 0, 16]);
  });
  it('holds what the installation brings, each part by its own rules', () => {
    const brought = metadataAfter(
      initialize({
        business_attributes: [
          { name: 'A', values: [{ name: 'a' }] },
          { name: 'B', dbid: 7, cv_attributes: ['Service.service_type'], values: [{ name: 'b', dbid: 1 }] },
        ],
        profile_extensions: [{ name: 'Phone', type: 'multi-valued', attributes: [{ name: 'n', type: 'string' }] }],
        identification_keys: [
          { name: 'K', attributes: ['Phone.n'] },
          { name: 'L', attributes: ['pin'] },
        ],
      }),
    );
    expect([...brought.businessAttributes.values()].map(({ name, dbid }) => [name, dbid])).toStrictEqual([
      ['A', 8],
      ['B', 7],
      ['ContactAttributes', 10],
    ]);
    expect(brought.businessAttributes.get('A')?.values[0]?.dbid).toBe(9);
    expect([...brought.mapped]).toStrictEqual([['Service.type', 'B']]);
    expect([...brought.identificationKeys.values()]).toStrictEqual([
      { name: 'K', source: 'Phone', attributes: ['n'], unique: false },
      { name: 'L', source: 'profile', attributes: ['PIN'], unique: false },
    ]);
  });
  it('is answered without another record when it is there', () => {
    const { event, answer } = decideMetadata(initialize(), metadataAfter(initialize()));
    expect([event, answer.created]).toStrictEqual([undefined, false]);
  });
  it.each<[string, MetadataCommand]>([
    ['an attribute twice', initialize({ business_attributes: [{ name: 'A' }, { name: 'A' }] })],
    [
      'an extension named like a core attribute',
      initialize({ profile_extensions: [{ name: 'dob', type: 'single-valued' }] }),
    ],
    ['a key of what is not there', initialize({ identification_keys: [{ name: 'K', attributes: ['Phone.n'] }] })],
    [
      'a field mapped twice',
      initialize({
        business_attributes: [
          { name: 'A', cv_attributes: ['Task.type'] },
          { name: 'B', cv_attributes: ['Task.task_type'] },
        ],
      }),
    ],
  ])('is refused with %s', (_what, command) =>
    expect(rejection(() => decideMetadata(command, noMetadata)).code).toMatch(/^metadata-/),
  );
  it('comes before any other', () =>
    expect(() => decideMetadata(define({ name: 'A' }), noMetadata)).toThrow('before its first record'));
});

describe('the profile schema', () => {
  it('lists the core attributes in the order of ContactAttributes', () =>
    expect(
      profileSchema(
        givenMetadata().when(
          define({
            name: 'ContactAttributes',
            values: [
              { name: 'z', type: 'date' },
              { name: 'a', type: 'string' },
            ],
          }),
        ).outcome,
      ),
    ).toStrictEqual([date('z'), text('a')]));
  it('is there until somebody takes it away: by no values, or with the attribute', () => {
    const empty = define({ name: 'ContactAttributes', values: [] });
    expect(hasProfileSchema(noMetadata)).toBe(true);
    expect(hasProfileSchema(metadataAfter(initialize()))).toBe(true);
    expect(hasProfileSchema(givenMetadata().when(empty).outcome)).toBe(false);
    expect(hasProfileSchema(givenMetadata().when(deleteAttribute('ContactAttributes')).outcome)).toBe(false);
    expect(hasProfileSchema(metadataAfter(initialize({ business_attributes: [{ name: 'ContactAttributes' }] })))).toBe(
      false,
    );
  });
  it('comes back with the attribute', () => {
    const { outcome } = givenMetadata(deleteAttribute('ContactAttributes')).when(
      define({ name: 'ContactAttributes', values: [{ name: 'a' }] }),
    );
    expect(hasProfileSchema(outcome)).toBe(true);
  });
});

describe('a repeated request', () => {
  const digest = { key: 'key', request: 'request' };
  const hour = 60 * 60 * 1000;
  const initial = metadataAfter(initialize());
  const created = {
    type: 'ProfileExtensionSchemaCreated',
    data: { schema: { name: 'E', type: 'single-valued', attributes: [], unique: [] } },
  } as const;
  const after = (at: number) =>
    evolveMetadata(initial, recordedMetadata(created, { recordedAt: at, idempotency: digest }));
  const first = { name: 'E', created: true };

  it('gets the first answer, for a day of recorded time', () => {
    const metadata = after(firstRecordedAt);
    expect(keptMetadataAnswer(metadata, digest, firstRecordedAt)).toStrictEqual(first);
    expect(keptMetadataAnswer(metadata, digest, firstRecordedAt + answersKeptForMs)).toStrictEqual(first);
    expect(keptMetadataAnswer(metadata, digest, firstRecordedAt + answersKeptForMs + 1)).toBeUndefined();
  });
  it('is unknown with another key', () => {
    for (const key of ['other', '__proto__', 'constructor'])
      expect(keptMetadataAnswer(after(firstRecordedAt), { ...digest, key }, firstRecordedAt)).toBeUndefined();
  });
  it('is refused when the key came with another request', () =>
    expect(
      rejection(() => keptMetadataAnswer(after(firstRecordedAt), { ...digest, request: 'other' }, firstRecordedAt))
        .code,
    ).toBe('idempotency-key-reused'));
  it('keeps its answer when others come, and loses it when they come a day later', () => {
    const next = (at: number) =>
      evolveMetadata(
        after(firstRecordedAt),
        recordedMetadata(
          { type: 'ProfileExtensionSchemaDeleted', data: { name: 'E' } },
          { version: 2, recordedAt: at },
        ),
      );
    expect(keptMetadataAnswer(next(firstRecordedAt + hour), digest, firstRecordedAt)).toStrictEqual(first);
    expect(next(firstRecordedAt + answersKeptForMs + 1).answered.size).toBe(0);
  });
  it('tells a new attribute from a changed one, as it was', () => {
    const defined = decideMetadata(define({ name: 'A' }), initial).event!;
    const twice = [1, 2].reduce(
      (metadata, version) =>
        evolveMetadata(
          metadata,
          recordedMetadata(defined, { version, idempotency: { key: `${version}`, request: 'r' } }),
        ),
      initial,
    );
    expect(keptMetadataAnswer(twice, { key: '1', request: 'r' }, firstRecordedAt)?.created).toBe(true);
    expect(keptMetadataAnswer(twice, { key: '2', request: 'r' }, firstRecordedAt)?.created).toBe(false);
  });
});

it('folds a whole life, and the same again from its records', () => {
  const { outcome } = givenMetadata(
    extend({ name: 'Phone', type: 'multi-valued', attributes: [{ name: 'n', type: 'string' }] }),
    createKey({ name: 'K', attributes: ['Phone.n'] }),
    define({ name: 'A', cv_attributes: ['Task.type'], values: [{ name: 'a' }] }),
  ).when(define({ name: 'A', values: [{ name: 'b' }] }));
  expect([...outcome.profileExtensions.keys()]).toStrictEqual(['phone']);
  expect([...outcome.identificationKeys.keys()]).toStrictEqual(['k']);
  expect([...outcome.mapped]).toStrictEqual([]);
  expect(outcome.valueDbids.get(18)).toStrictEqual({ attribute: 'A', name: 'a' });
});
