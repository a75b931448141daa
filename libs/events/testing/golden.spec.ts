import { readdirSync, readFileSync } from 'node:fs';
import { decode, encode, schemaVersions } from '../src/index.js';
import type { DomainEvent } from '../src/index.js';

/**
 * One stored event per type and schema version that was ever shipped: `golden/<Type>.v<version>.json` holds its value.
 * Files are only added, never changed: logs hold events of these shapes for ever. With a new version of a type come its
 * golden file, the upcaster from the version before, and nothing else here.
 */
const golden = new URL('golden/', import.meta.url);

const current = Object.entries(schemaVersions) as [DomainEvent['type'], number][];
const shipped = current.flatMap(([type, newest]) =>
  Array.from({ length: newest }, (_, index) => ({ type, schemaVersion: index + 1, newest })),
);
const fileOf = ({ type, schemaVersion }: { type: string; schemaVersion: number }) => `${type}.v${schemaVersion}.json`;
const parsed = (of: { type: string; schemaVersion: number }): object =>
  JSON.parse(readFileSync(new URL(fileOf(of), golden), 'utf8')) as object;
const read = (of: { type: string; schemaVersion: number }): DomainEvent =>
  decode({ ...of, value: JSON.stringify(parsed(of)) });

it('there is a golden file for each type and version, and no other', () =>
  expect(readdirSync(golden).sort()).toStrictEqual(shipped.map(fileOf).sort()));

describe.each(shipped)('$type version $schemaVersion', ({ type, schemaVersion, newest }) => {
  it('is read as the event of today', () =>
    expect(read({ type, schemaVersion })).toStrictEqual({ type, data: parsed({ type, schemaVersion: newest }) }));
  it('goes through the codec unchanged', () => {
    const event = read({ type, schemaVersion });
    expect(encode(event)).toMatchObject({ type, schemaVersion: newest });
    expect(decode(encode(event))).toStrictEqual(event);
  });
  it('is not taken without its ids', () => {
    const { service_id: _missing, ...rest } = parsed({ type, schemaVersion }) as { service_id: string };
    expect(() => decode({ type, schemaVersion, value: JSON.stringify(rest) })).toThrow('the value is not that of');
  });
});

it.each(current)('%s comes out name by name, hostile ones too', (type, newest) => {
  const text = JSON.stringify(parsed({ type, schemaVersion: newest }));
  expect(JSON.stringify(read({ type, schemaVersion: newest }).data)).toBe(text);
});
