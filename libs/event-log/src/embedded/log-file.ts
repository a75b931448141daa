import { hash } from 'node:crypto';
import {
  formatLifetime,
  parseLifetime,
  parseStreamKey,
  streamKey,
  unwritten,
  type Head,
  type RecordedEvent,
} from '#events';
import type { Fence } from '../log-record.js';
import { isPassing, openSqlite, sqliteCode, type Sqlite } from './sqlite.js';
import { PAGE_BYTES } from './wal.js';

/** What the embedded log stores. It needs no markers, and nobody else writes to it. */
export type Stored = RecordedEvent | Fence;

/** The log is not what was written to it. `place` says where. */
export class DamagedLog extends Error {
  readonly code = 'damaged-log';
}

/** True for whatever reading damaged tables leads to; false for what may pass, and for bugs. */
export const isDamage = (error: unknown): boolean =>
  error instanceof DamagedLog || error instanceof RangeError || (sqliteCode(error) !== undefined && !isPassing(error));

/** A record as read from the chain. `size`: length of its value. */
export interface Link {
  readonly record: Stored;
  readonly checksum: string;
  readonly size: number;
}

/** Where a partition ends, and what the next record is chained to. */
export interface Tip {
  readonly next: number;
  readonly epoch: number;
  readonly recordedAt: number;
  readonly checksum: string;
}

export const beginning: Tip = { next: 0, epoch: 0, recordedAt: 0, checksum: '' };

/**
 * Partition and offset in one integer key: the table itself is the index, and unlike a table without row ids it keeps
 * a record of the usual size on its page.
 */
const OFFSET_BITS = 40;
const OFFSETS_PER_PARTITION = 2 ** OFFSET_BITS;
export const MAX_PARTITIONS = 2 ** 12;
const placeOf = (partition: number, offset: number): number => partition * OFFSETS_PER_PARTITION + offset;

const FORMAT = 1;

/** REAL where a time may be beyond what an integer of JavaScript holds. The generated columns are for people. */
const SCHEMA = `
  CREATE TABLE records (
    place INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    recorded_at INTEGER NOT NULL,
    log_id TEXT,
    stream TEXT,
    version INTEGER,
    event_id TEXT,
    type TEXT,
    schema_version INTEGER,
    lifetime TEXT,
    correlation_id TEXT,
    causation_id TEXT,
    idempotency_key TEXT,
    idempotency_request TEXT,
    value TEXT,
    head_slide REAL,
    head_expires_at REAL,
    checksum TEXT NOT NULL,
    "partition" INTEGER GENERATED ALWAYS AS (place >> ${OFFSET_BITS}) VIRTUAL,
    "offset" INTEGER GENERATED ALWAYS AS (place & ${OFFSETS_PER_PARTITION - 1}) VIRTUAL
  ) STRICT;
  CREATE UNIQUE INDEX records_by_stream ON records (stream, version) WHERE stream IS NOT NULL;
  CREATE TABLE verified ("partition" INTEGER PRIMARY KEY, next INTEGER NOT NULL, checksum TEXT NOT NULL) STRICT;
  CREATE TABLE log (format INTEGER NOT NULL, partitions INTEGER NOT NULL) STRICT;
`;

/** What is stored of a record, and chained, in this order. */
const COLUMNS = [
  'place',
  'kind',
  'epoch',
  'recorded_at',
  'log_id',
  'stream',
  'version',
  'event_id',
  'type',
  'schema_version',
  'lifetime',
  'correlation_id',
  'causation_id',
  'idempotency_key',
  'idempotency_request',
  'value',
  'head_slide',
  'head_expires_at',
] as const;

type Cell = string | number | null;
type Cells = readonly Cell[];

/** Keeps SQLite from shrinking and growing the file of the write-ahead log, and from keeping a huge one for ever. */
const WAL_LIMIT_BYTES = 64 * 1024 * 1024;

/**
 * The tables of the log in one SQLite file. Every record carries SHA-256 over itself and the checksum of the record
 * before it in its partition: a record that was changed, moved, taken out or put in breaks the chain there, and two
 * logs that end with the same checksum are the same. Two microseconds for an ordinary record.
 */
export class LogFile {
  private readonly insertRecord;
  private readonly selectHead;
  private readonly selectNext;
  private readonly selectLast;
  private readonly selectChecksum;
  readonly partitions: number;

  private constructor(private readonly sqlite: Sqlite) {
    this.partitions = this.readFormat();
    this.insertRecord = sqlite.prepare(
      `INSERT INTO records (${COLUMNS.join(', ')}, checksum) VALUES (${COLUMNS.map(() => '?').join(', ')}, ?)`,
    );
    this.selectHead = sqlite.prepare(
      'SELECT version, head_slide, head_expires_at FROM records WHERE stream = ? ORDER BY version DESC LIMIT 1',
    );
    this.selectNext = sqlite.prepare(
      `SELECT checksum, ${COLUMNS.join(', ')} FROM records WHERE place >= ? AND place < ? ORDER BY place LIMIT 1`,
    );
    this.selectNext.setReturnArrays(true); // half the time of an object with as many names
    this.selectLast = sqlite.prepare(
      'SELECT place, epoch, recorded_at, checksum FROM records WHERE place >= ? AND place < ? ORDER BY place DESC LIMIT 1',
    );
    this.selectChecksum = sqlite.prepare('SELECT checksum FROM records WHERE place = ?');
  }

  /** Opens the file for its one writer; makes it, with `firstRecords`, when there is none. All or nothing. */
  static async openToWrite(path: string, partitions: number, firstRecords: () => readonly Fence[]): Promise<LogFile> {
    const sqlite = await openSqlite(path);
    try {
      sqlite.exec(`
        PRAGMA page_size = ${PAGE_BYTES};
        PRAGMA synchronous = FULL;
        PRAGMA cell_size_check = ON;
        PRAGMA journal_size_limit = ${WAL_LIMIT_BYTES};
        PRAGMA cache_spill = 0`); // nothing of a transaction is in any file before its commit
      const { journal_mode: mode } = sqlite.prepare('PRAGMA journal_mode = WAL').get() as { journal_mode: string };
      if (mode !== 'wal') throw new Error(`the file system of ${path} does not allow a write-ahead log`);
      const { made } = sqlite.prepare(`SELECT count(*) AS made FROM sqlite_schema WHERE name = 'log'`).get() as {
        made: number;
      };
      if (made > 0) return new LogFile(sqlite);
      sqlite.exec('BEGIN IMMEDIATE');
      sqlite.exec(SCHEMA);
      sqlite.prepare('INSERT INTO log VALUES (?, ?)').run(FORMAT, partitions);
      const file = new LogFile(sqlite);
      for (const fence of firstRecords()) file.insert(fence, undefined, beginning.checksum);
      sqlite.exec('COMMIT');
      return file;
    } catch (error) {
      sqlite.close();
      throw error;
    }
  }

  /** Opens a file that exists, without ever changing it. */
  static async openToRead(path: string): Promise<LogFile> {
    const sqlite = await openSqlite(path, { readOnly: true });
    try {
      return new LogFile(sqlite);
    } catch (error) {
      sqlite.close();
      throw error;
    }
  }

  private readFormat(): number {
    const row = this.sqlite.prepare('SELECT format, partitions FROM log').get() as
      { format: number; partitions: number } | undefined;
    if (row?.format !== FORMAT) throw new DamagedLog(`the log is of format ${row?.format}, not of ${FORMAT}`);
    return row.partitions;
  }

  /** Everything that `work` inserts is durable when this returns. Throws {@link CommitFailed} when that is not known. */
  transaction(work: () => void): void {
    this.sqlite.exec('BEGIN IMMEDIATE');
    try {
      work();
    } catch (error) {
      this.rollback();
      throw error;
    }
    try {
      this.sqlite.exec('COMMIT');
    } catch (cause) {
      throw new CommitFailed('the commit failed', { cause });
    }
  }

  /** Some errors end the transaction by themselves. */
  rollback(): void {
    if (this.sqlite.isTransaction) this.sqlite.exec('ROLLBACK');
  }

  /** `head` is the stream's after the record. Returns the checksum that the next record of the partition goes on from. */
  insert(record: Stored, head: Head | undefined, previous: string): string {
    const cells = cellsOf(record, head);
    const checksum = chain(previous, cells);
    this.insertRecord.run(...cells, checksum);
    return checksum;
  }

  /** The stream's after its last record; every stored event is valid. */
  head(key: string): Head {
    const row = this.selectHead.get(key) as
      { version: number; head_slide: number | null; head_expires_at: number | null } | undefined;
    if (row === undefined) return unwritten;
    const { version, head_slide: slide, head_expires_at: expiresAt } = row;
    return { version, ...(slide !== null && { slide }), ...(expiresAt !== null && { expiresAt }) };
  }

  tip(partition: number): Tip {
    const row = this.selectLast.get(placeOf(partition, 0), placeOf(partition + 1, 0)) as
      { place: number; epoch: number; recorded_at: number; checksum: string } | undefined;
    if (row === undefined) return beginning;
    const { place, epoch, recorded_at: recordedAt, checksum } = row;
    // A fence that would not raise the epoch is not stored, an event of another epoch neither.
    return { next: place - placeOf(partition, 0) + 1, epoch, recordedAt, checksum };
  }

  end(partition: number): number {
    return this.tip(partition).next;
  }

  logId(partition: number): string {
    for (const { record } of this.records(partition, 0))
      if (record.kind === 'fence' && record.logId) return record.logId;
    throw new DamagedLog(`record ${partition}:0 does not name the log`);
  }

  /** The checksum of the record before `offset`. Throws {@link DamagedLog} when the log ends before. */
  checksumBefore(partition: number, offset: number): string {
    if (offset === 0) return beginning.checksum;
    const row = this.selectChecksum.get(placeOf(partition, offset - 1)) as { checksum: string } | undefined;
    if (row === undefined)
      throw new DamagedLog(`there is no record ${partition}:${offset - 1}: the log ends before it`);
    return row.checksum;
  }

  /**
   * Reads on from an offset and proves the chain on the way. `previous`: the checksum of the record before, for who has
   * just read it. Throws {@link DamagedLog} where the chain is broken.
   */
  *records(partition: number, from: number, previous = this.checksumBefore(partition, from)): Generator<Link> {
    const beyond = placeOf(partition + 1, 0);
    // One by one: a cursor left open would keep the write-ahead log from starting over.
    for (let offset = from; ; offset += 1) {
      const place = placeOf(partition, offset);
      const row = this.selectNext.get(place, beyond) as [checksum: string, ...cells: Cells] | undefined;
      if (row === undefined) return;
      const [stored, ...cells] = row;
      if (cells[0] !== place) throw new DamagedLog(`record ${partition}:${offset} is missing`);
      const checksum = chain(previous, cells);
      if (checksum !== stored) throw new DamagedLog(`record ${partition}:${offset} is not what was written`);
      const record = recordOf(cells, partition, offset);
      yield { record, checksum, size: record.kind === 'event' ? record.value.length : 0 };
      previous = checksum;
    }
  }

  /** What `work` reads is of one moment. Asking many times within it costs half of asking each time by itself. */
  reading<T>(work: () => T): T {
    this.sqlite.exec('BEGIN');
    try {
      return work();
    } finally {
      this.rollback();
    }
  }

  /** Up to where the chain was proved before. */
  verified(partition: number): { readonly next: number; readonly checksum: string } {
    const mark = this.sqlite.prepare('SELECT next, checksum FROM verified WHERE "partition" = ?').get(partition);
    return (mark as { next: number; checksum: string } | undefined) ?? beginning;
  }

  markVerified(partition: number, { next, checksum }: Pick<Tip, 'next' | 'checksum'>): void {
    this.sqlite.prepare('INSERT OR REPLACE INTO verified VALUES (?, ?, ?)').run(partition, next, checksum);
  }

  /** Moves every commit into the main file and empties the write-ahead log. False while a reader is in the way. */
  emptyWal(): boolean {
    const { busy } = this.sqlite.prepare('PRAGMA wal_checkpoint(TRUNCATE)').get() as { busy: number };
    return busy === 0;
  }

  /** Changes when another connection has committed. */
  dataVersion(): number {
    return (this.sqlite.prepare('PRAGMA data_version').get() as { data_version: number }).data_version;
  }

  /** What SQLite finds wrong with tables and indexes, undefined when nothing. Reads the whole file. */
  structuralDamage(): string | undefined {
    const [first] = this.sqlite.prepare('PRAGMA integrity_check(1)').all() as { integrity_check: string }[];
    return first?.integrity_check === 'ok' ? undefined : first?.integrity_check;
  }

  close(): void {
    this.sqlite.close();
  }
}

/** The commit was sent to the disk and not confirmed: whether it is there is only known after {@link LogFile.emptyWal}. */
export class CommitFailed extends Error {
  readonly code = 'commit-failed';
}

/** Length before text, so that no two records read the same; the bytes are UTF-8 as SQLite stores them. */
function chain(previous: string, cells: Cells): string {
  let text = previous;
  for (const cell of cells) {
    const shown = cell === null ? '' : String(cell);
    text += cell === null ? ' -' : ` ${shown.length}:${shown}`;
  }
  return hash('sha256', text, 'base64url');
}

function cellsOf(record: Stored, head: Head | undefined): Cells {
  const { kind, partition, offset, epoch, recordedAt } = record;
  const place = [placeOf(partition, offset), kind, epoch, recordedAt] as const;
  if (kind === 'fence') return [...place, record.logId ?? null, ...NO_EVENT];
  return [
    ...place,
    null,
    streamKey(record),
    record.version,
    record.eventId,
    record.type,
    record.schemaVersion,
    record.lifetime === undefined ? null : formatLifetime(record.lifetime),
    record.correlationId,
    record.causationId ?? null,
    record.idempotency?.key ?? null,
    record.idempotency?.request ?? null,
    record.value,
    head?.slide ?? null,
    head?.expiresAt ?? null,
  ];
}

const NO_EVENT: Cells = COLUMNS.slice(COLUMNS.indexOf('stream')).map(() => null);

/** Of cells whose checksum is right: they are what {@link cellsOf} made. */
function recordOf(cells: Cells, partition: number, offset: number): Stored {
  const [, kind, epoch, recordedAt, logId, streamText, version, eventId, type, schemaVersion, ...others] = cells as [
    ...[number, Stored['kind'], number, number, string | null, string, number, string, string, number],
    ...(string | null)[],
  ];
  const place = { partition, offset, recordedAt, epoch };
  if (kind === 'fence') return { kind, ...place, ...(logId !== null && { logId }) };
  const [lifetimeText, correlationId, causationId, key, request, value] = others;
  const stream = parseStreamKey(streamText);
  if (stream === undefined) throw new DamagedLog(`record ${partition}:${offset} has no stream`);
  const lifetime = parseLifetime(lifetimeText ?? '');
  return Object.assign(
    { kind, version, eventId, type, schemaVersion, correlationId: correlationId!, value: value! },
    place,
    stream,
    lifetime !== undefined && { lifetime },
    typeof causationId === 'string' && { causationId },
    typeof key === 'string' && typeof request === 'string' && { idempotency: { key, request } },
  );
}
