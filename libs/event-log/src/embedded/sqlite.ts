import type { DatabaseSyncInstance, SqliteModule } from '@photostructure/sqlite';

export type Sqlite = DatabaseSyncInstance;

/** The first version without the bug that could corrupt a WAL when two connections reset it at once. */
const OLDEST_SQLITE = '3.51.3';
const BUSY_TIMEOUT_MS = 5_000;

/** Result codes that pass by themselves: busy, out of memory, I/O error, full disk, cannot open. */
const PASSING = new Set([5, 7, 10, 13, 14]);

const isRecent = (version: string): boolean => version.localeCompare(OLDEST_SQLITE, 'en', { numeric: true }) >= 0;

/** Node's own SQLite where it is there and new enough, else the one from npm with the same interface. */
async function driver(): Promise<Pick<SqliteModule, 'DatabaseSync'>> {
  const { sqlite } = process.versions;
  if (sqlite !== undefined && isRecent(sqlite)) {
    const builtin = (process.getBuiltinModule as (id: string) => unknown)('node:sqlite');
    if (builtin !== undefined) return builtin as Pick<SqliteModule, 'DatabaseSync'>;
  }
  return import('@photostructure/sqlite');
}

/** Opens a database, without a memory map. Throws when the SQLite at hand is too old. */
export async function openSqlite(
  path: string,
  { readOnly = false, busyTimeoutMs = BUSY_TIMEOUT_MS } = {},
): Promise<Sqlite> {
  const { DatabaseSync } = await driver();
  const sqlite = new DatabaseSync(path, { readOnly });
  try {
    sqlite.exec(`PRAGMA busy_timeout = ${busyTimeoutMs}; PRAGMA mmap_size = 0`);
    const { version } = sqlite.prepare('SELECT sqlite_version() AS version').get() as { version: string };
    if (!isRecent(version)) throw new Error(`SQLite ${version} is older than ${OLDEST_SQLITE}`);
    return sqlite;
  } catch (error) {
    sqlite.close();
    throw error;
  }
}

/** The primary result code of an error of SQLite's, undefined for any other error. */
export const sqliteCode = (error: unknown): number | undefined => {
  const extended = (error as { errcode?: unknown } | undefined)?.errcode;
  return typeof extended === 'number' ? extended & 0xff : undefined;
};

/** True when the file itself may be sound and trying again later may help. */
export const isPassing = (error: unknown): boolean => PASSING.has(sqliteCode(error) ?? NaN);
