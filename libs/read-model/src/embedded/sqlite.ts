import type { DatabaseSync as DatabaseSyncClass, DatabaseSyncInstance } from '@photostructure/sqlite';

export type Database = DatabaseSyncInstance;
export type Statement = ReturnType<Database['prepare']>;

type Driver = { readonly DatabaseSync: typeof DatabaseSyncClass };

/** Older ones can lose committed pages when two connections write and checkpoint at once (the WAL-reset bug). */
const OLDEST_SOUND_SQLITE = [3, 51, 3];

function isSound(version: string | undefined): boolean {
  const parts = version?.split('.').map(Number) ?? [];
  const differing = OLDEST_SOUND_SQLITE.findIndex((oldest, place) => parts[place] !== oldest);
  return parts.length > 0 && (differing === -1 || (parts[differing] ?? 0) > (OLDEST_SOUND_SQLITE[differing] ?? 0));
}

/** Node's own SQLite when it has a sound one, else the package of the same interface. */
async function driver(): Promise<Driver> {
  const builtin = isSound(process.versions['sqlite']) ? process.getBuiltinModule('node:sqlite') : undefined;
  return (builtin as Driver | undefined) ?? (await import('@photostructure/sqlite'));
}

export async function openDatabase(file: string, options: { readonly readOnly?: boolean } = {}): Promise<Database> {
  const { DatabaseSync } = await driver();
  return new DatabaseSync(file, options);
}

/** SQLite's primary result codes that this project tells apart. */
export const ResultCode = { BUSY: 5, LOCKED: 6, IOERR: 10, CORRUPT: 11, FULL: 13, CANTOPEN: 14, NOTADB: 26 } as const;

const PRIMARY_CODE_BITS = 0xff;

/** The primary result code of an error of SQLite's; undefined for any other error. */
export function resultCode(error: unknown): number | undefined {
  const errcode = propertyOf(error, 'errcode');
  return typeof errcode === 'number' ? errcode & PRIMARY_CODE_BITS : undefined;
}

export const isClosed = (error: unknown): boolean => propertyOf(error, 'code') === 'ERR_INVALID_STATE';

/** Not by `instanceof`: the errors of a native module need not be of this realm. */
const propertyOf = (error: unknown, name: string): unknown =>
  typeof error === 'object' && error !== null ? Reflect.get(error, name) : undefined;
