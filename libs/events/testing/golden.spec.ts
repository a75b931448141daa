import { readdirSync, readFileSync } from 'node:fs';
import { controlSchemaVersions, decode, decodeControl, encode, schemaVersions } from '../src/index.js';
import type { ControlEvent, DomainEvent } from '../src/index.js';

/**
 * One stored event per type and schema version that was ever shipped: `golden/<Type>.v<version>.json` holds its value.
 * Files are only added, never changed: logs hold events of these shapes for ever. With a new version of a type come its
 * golden file, the upcaster from the version before, and nothing else here.
 */
const golden = new URL('golden/', import.meta.url);

interface Stored {
  readonly type: (DomainEvent | ControlEvent)['type'];
  readonly schemaVersion: number;
}

type Decode = (record: Stored & { readonly value: string }) => DomainEvent | ControlEvent;
type Current = readonly [Stored['type'], number, Decode];

const current: readonly Current[] = [
  ...(Object.entries(schemaVersions) as [DomainEvent['type'], number][]).map((entry) => [...entry, decode] as const),
  ...(Object.entries(controlSchemaVersions) as [ControlEvent['type'], number][]).map(
    (entry) => [...entry, decodeControl] as const,
  ),
];
const shipped = current.flatMap(([type, newest, decoder]) =>
  Array.from({ length: newest }, (_, index) => ({ type, schemaVersion: index + 1, newest, decoder })),
);
const fileOf = ({ type, schemaVersion }: Stored) => `${type}.v${schemaVersion}.json`;
const parsed = (of: Stored): object => JSON.parse(readFileSync(new URL(fileOf(of), golden), 'utf8')) as object;
const read = (of: Stored, decoder: Decode) => decoder({ ...of, value: JSON.stringify(parsed(of)) });

/** What the fold of the control log stands on: every part that an event has at its top. */
const parts = shipped
  .filter(({ decoder }) => decoder === decodeControl)
  .flatMap((one) => Object.keys(parsed(one)).map((part) => ({ ...one, part })));

it('there is a golden file for each type and version, and no other', () =>
  expect(readdirSync(golden).sort()).toStrictEqual(shipped.map(fileOf).sort()));

describe.each(shipped)('$type version $schemaVersion', ({ type, schemaVersion, newest, decoder }) => {
  it('is read as the event of today', () =>
    expect(read({ type, schemaVersion }, decoder)).toStrictEqual({
      type,
      data: parsed({ type, schemaVersion: newest }),
    }));
  it('goes through the codec unchanged', () => {
    const event = read({ type, schemaVersion }, decoder);
    expect(encode(event)).toMatchObject({ type, schemaVersion: newest });
    expect(decoder(encode(event) as Stored & { value: string })).toStrictEqual(event);
  });
});

it.each(shipped.filter(({ decoder }) => decoder === decode))(
  '$type version $schemaVersion is not taken without its ids',
  ({ type, schemaVersion }) => {
    const { service_id: _missing, ...rest } = parsed({ type, schemaVersion }) as { service_id: string };
    expect(() => decode({ type, schemaVersion, value: JSON.stringify(rest) })).toThrow('the value is not that of');
  },
);

it.each(parts)('$type version $schemaVersion is not taken without $part', ({ type, schemaVersion, part }) => {
  const rest = Object.fromEntries(Object.entries(parsed({ type, schemaVersion })).filter(([name]) => name !== part));
  expect(() => decodeControl({ type, schemaVersion, value: JSON.stringify(rest) })).toThrow('the value is not that of');
});

it.each(current)('%s comes out name by name, hostile ones too', (type, newest, decoder) => {
  const text = JSON.stringify(parsed({ type, schemaVersion: newest }));
  expect(JSON.stringify(read({ type, schemaVersion: newest }, decoder).data)).toBe(text);
});

it.each(current)('%s is of one log only', (type, newest, decoder) => {
  const value = JSON.stringify(parsed({ type, schemaVersion: newest }));
  const other: Decode = decoder === decode ? decodeControl : decode;
  expect(() => other({ type, schemaVersion: newest, value })).toThrow('is newer than this program');
});
