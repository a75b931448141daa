import { join } from 'node:path';
import { RefusedStart } from '../refused-start.js';
import { openSqlite, sqliteCode, type Sqlite } from './sqlite.js';

const SQLITE_BUSY = 5;

export interface Lock {
  release(): void;
}

/**
 * Makes this process the only writer of the folder: an exclusive transaction on a file of its own, which the operating
 * system ends with the process, so nothing is left behind by `kill -9`. Throws {@link RefusedStart} when another one
 * has it.
 */
export async function lockDirectory(directory: string): Promise<Lock> {
  let lock: Sqlite | undefined;
  try {
    lock = await openSqlite(join(directory, 'log.lock'), { busyTimeoutMs: 0 });
    lock.exec('BEGIN EXCLUSIVE');
  } catch (cause) {
    lock?.close();
    if (sqliteCode(cause) !== SQLITE_BUSY) throw cause;
    throw new RefusedStart(`another process writes the log in ${directory}`, { cause });
  }
  const held = lock;
  return {
    release: () => {
      held.exec('ROLLBACK'); // closing alone would keep the lock for as long as a statement is not collected
      held.close();
    },
  };
}
