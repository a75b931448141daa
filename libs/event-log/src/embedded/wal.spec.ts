import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openSqlite, type Sqlite } from './sqlite.js';
import { damageInWal } from './wal.js';

const PAGE_BYTES = 4096;
const HEADER_BYTES = 32;
const FRAME_BYTES = 24 + PAGE_BYTES;
/** Where a frame begins, counted from 1. */
const frameAt = (frame: number): number => HEADER_BYTES + (frame - 1) * FRAME_BYTES;

describe('the write-ahead log', () => {
  const folder = mkdtempSync(join(tmpdir(), 'wal-'));
  const copy = join(folder, 'copy');
  let sqlite: Sqlite;

  beforeEach(async () => {
    sqlite = await openSqlite(join(folder, 'some.db'));
    sqlite.exec(`PRAGMA page_size = ${PAGE_BYTES}; PRAGMA journal_mode = WAL; DROP TABLE IF EXISTS some`);
    sqlite.exec('CREATE TABLE some (text TEXT)');
    sqlite.prepare('PRAGMA wal_checkpoint(TRUNCATE)').get();
  });
  afterEach(() => sqlite.close());
  afterAll(() => rmSync(folder, { recursive: true }));

  /** Commits of one frame each, or of several. */
  const commit = (pages = 1): void => {
    sqlite.prepare('INSERT INTO some VALUES (?)').run('x'.repeat((pages - 1) * PAGE_BYTES + 10));
  };
  const bytes = (): Buffer => {
    copyFileSync(join(folder, 'some.db-wal'), copy);
    return readFileSync(copy);
  };
  const damageIn = (wal: Buffer): string | undefined => {
    writeFileSync(copy, wal);
    return damageInWal(copy);
  };
  const flipped = (wal: Buffer, at: number): Buffer => {
    const changed = Buffer.from(wal);
    changed[at]! ^= 0xa5;
    return changed;
  };

  it('is sound when it is missing, empty, or as SQLite wrote it', () => {
    expect(damageInWal(join(folder, 'no-such-file'))).toBeUndefined();
    expect(damageIn(Buffer.alloc(0))).toBeUndefined();
    for (let n = 0; n < 5; n += 1) commit();
    expect(damageIn(bytes())).toBeUndefined();
  });

  it('is damaged by every changed byte of the header and of each frame before the last commit', () => {
    for (let n = 0; n < 4; n += 1) commit();
    const wal = bytes();
    expect(wal.length).toBe(frameAt(5));
    for (let at = 0; at < HEADER_BYTES; at += 1) expect(damageIn(flipped(wal, at))).toMatch(/header/);
    for (const frame of [1, 2, 3]) {
      for (let at = 0; at < FRAME_BYTES; at += at < 24 ? 1 : 97) {
        expect(damageIn(flipped(wal, frameAt(frame) + at))).toMatch(new RegExp(`^frame ${frame} .*damaged`));
      }
    }
  });

  it('has a torn tail when the last commit is not whole, whichever of its frames are there', () => {
    commit();
    commit(4);
    const wal = bytes();
    const last = frameAt(2);
    expect(wal.length).toBeGreaterThan(frameAt(5));
    for (let at = last; at < wal.length; at += 97) {
      expect(damageIn(wal.subarray(0, at))).toBeUndefined();
      const isInPage = (at - last) % FRAME_BYTES >= 24;
      if (isInPage) expect(damageIn(flipped(wal, at))).toBeUndefined();
    }
    for (let at = last; at < wal.length; at += FRAME_BYTES) {
      const partly = Buffer.from(wal);
      partly.fill(0, at, at + FRAME_BYTES);
      expect(damageIn(partly)).toBeUndefined();
    }
  });

  it('ends where the frames of an earlier round begin', () => {
    for (let n = 0; n < 6; n += 1) commit();
    sqlite.prepare('PRAGMA wal_checkpoint(RESTART)').get();
    const earlier = bytes();
    commit();
    commit();
    const wal = bytes();
    expect(wal.length).toBe(earlier.length);
    expect(damageIn(wal)).toBeUndefined();
    expect(damageIn(flipped(wal, frameAt(1) + 1_000))).toMatch(/^frame 1 /);
    // The second commit torn, a frame of the earlier round in its place.
    earlier.copy(wal, frameAt(2), frameAt(2), frameAt(3));
    expect(damageIn(wal)).toBeUndefined();
  });
});
