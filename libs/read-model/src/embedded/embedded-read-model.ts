import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { unstarted } from '#domain';
import type { Head } from '#events';
import type { ListChanges } from '../list-entries.js';
import { limitOf, placeRange } from '../place-range.js';
import {
  ReadModel,
  StoreUnavailable,
  type Aggregate,
  type ListEntry,
  type ListQuery,
  type StoredCheckpoint,
  type StreamId,
  type StreamRow,
} from '../read-model.js';
import { RefusedStart } from '../refused-start.js';
import { isClosed, openDatabase, ResultCode, resultCode, type Database } from './sqlite.js';
import { prepareStatements, SCHEMA_VERSION, schema, type Statements } from './statements.js';

export interface EmbeddedReadModelOptions {
  readonly directory: string;
  /** The api's process: it reads what the projector's process writes. */
  readonly readOnly?: boolean;
  /** How long a reader waits for the projector to create the file, milliseconds; then {@link StoreUnavailable}. */
  readonly patienceMs?: number;
}

const FILE = 'views.db';
const LOCK = 'views.lock';
const DEFAULT_PATIENCE_MS = 10_000;
const RETRY_MS = 20;
/** Offset of a row that shows no record: it was parked before its first one could be projected. */
const BEFORE_THE_LOG = -1;
const BUSY_TIMEOUT_MS = 5_000;
/** A row is written many times before its page is copied into the main file: four times SQLite's default saves a third. */
const WAL_PAGES = 4_000;

interface PendingWrite {
  readonly write: () => void;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/**
 * One SQLite file, written by the projector's process and read by any number of others. A commit survives the death of
 * the process; a power cut may set the whole file back to an earlier commit, checkpoints and rows together, so that the
 * projector goes on from there.
 */
export class EmbeddedReadModel extends ReadModel {
  private readonly statements: Statements;
  private pending: PendingWrite[] = [];

  private constructor(
    private readonly database: Database,
    private readonly lock?: Database,
  ) {
    super();
    this.statements = prepareStatements(database);
  }

  /**
   * Throws {@link RefusedStart} when another process writes, or the file is damaged or of a newer program;
   * {@link StoreUnavailable} when a reader waited in vain for the projector to create the file.
   */
  static async open(options: EmbeddedReadModelOptions): Promise<EmbeddedReadModel> {
    const file = join(options.directory, FILE);
    if (options.readOnly) return EmbeddedReadModel.openReader(file, options.patienceMs ?? DEFAULT_PATIENCE_MS);
    await mkdir(options.directory, { recursive: true });
    const lock = await takeLock(join(options.directory, LOCK));
    try {
      return new EmbeddedReadModel(await openForWriting(file), lock);
    } catch (error) {
      lock.close();
      throw error;
    }
  }

  private static async openReader(file: string, patienceMs: number): Promise<EmbeddedReadModel> {
    const deadline = performance.now() + patienceMs;
    for (;;) {
      const database = await openForReading(file);
      if (database !== undefined) return new EmbeddedReadModel(database);
      if (performance.now() > deadline)
        throw new StoreUnavailable(`${file} is not there yet: the projector creates it`);
      await pause(RETRY_MS);
    }
  }

  override async find({ tenant, stream }: StreamId): Promise<StreamRow | undefined> {
    const row = reading(() => this.statements.find.get(bytes(tenant), bytes(stream))) as StoredStream | undefined;
    return row && fromStoredStream({ tenant, stream }, row);
  }

  override async list(query: ListQuery): Promise<readonly ListEntry[]> {
    const { owner, status, order, serviceTypes } = query;
    const { from, to } = placeRange(query);
    const statement = order === 'oldest-first' ? this.statements.listOldestFirst : this.statements.listNewestFirst;
    const rows = reading(() =>
      statement.all({
        ...ownerKey(owner),
        status,
        from_started: from.started,
        from_recorded: from.recordedAt,
        from_service_id: bytes(from.service_id),
        to_started: to.started,
        to_recorded: to.recordedAt,
        to_service_id: bytes(to.service_id),
        service_types: serviceTypes ? JSON.stringify(serviceTypes.flatMap(storedForms)) : null,
        limit: limitOf(query),
      }),
    ) as readonly StoredEntry[];
    return rows.map(({ started, recorded, service_id, service_type }) => ({
      owner,
      status,
      started,
      recordedAt: recorded,
      service_id: text(service_id),
      ...(service_type !== null && { service_type: JSON.parse(service_type) as string | number }),
    }));
  }

  /** Atomic: the row and its list entries are all there or none. */
  override async save(row: StreamRow, lists: ListChanges): Promise<void> {
    const { tenant, stream, head, offset, aggregate, parkedAtVersion } = row;
    const id = [bytes(tenant), bytes(stream)] as const;
    const stored = [
      ...id,
      head.version,
      head.slide ?? null,
      head.expiresAt ?? null,
      offset,
      aggregate.kind,
      JSON.stringify(aggregate.kind === 'service' ? aggregate.service : aggregate.claim),
      parkedAtVersion ?? 0,
      orderOfSave(offset),
    ] as const;
    const removed = lists.remove.map((entry) => [...entryKey(entry), offset] as const);
    const inserted = lists.insert.map((entry) => [...entryKey(entry), storedType(entry), offset] as const);
    return this.write(() => {
      // A late save adds nothing: what it would add may be what a newer one has already taken away.
      const isLate = inserted.length > 0 && this.offsetOf(id) > offset;
      for (const entry of removed) this.statements.removeEntry.run(...entry);
      if (!isLate) for (const entry of inserted) this.statements.insertEntry.run(...entry);
      this.statements.save.run(...stored);
    });
  }

  override async park({ tenant, stream }: StreamId, version: number, offset: number): Promise<void> {
    const parked = {
      tenant: bytes(tenant),
      stream: bytes(stream),
      offset: BEFORE_THE_LOG,
      kind: 'service',
      folded: JSON.stringify(unstarted),
      parked_at_version: version,
      parked_order: orderOfPark(offset),
    };
    return this.write(() => void this.statements.park.run(parked));
  }

  override async checkpoints(): Promise<readonly StoredCheckpoint[]> {
    const rows = reading(() => this.statements.checkpoints.all()) as unknown as readonly StoredCheckpoint[];
    return rows.map((row) => ({ ...row }));
  }

  override async saveCheckpoint({ generation, partition, next, epoch, logId }: StoredCheckpoint): Promise<void> {
    return this.write(() => void this.statements.saveCheckpoint.run(partition, generation, next, epoch, logId));
  }

  /** Commits what is under way, then frees the file for another writer. */
  override async close(): Promise<void> {
    this.commit();
    if (this.database.isOpen) this.database.close();
    if (this.lock?.isOpen) this.lock.close();
  }

  private offsetOf(id: readonly [tenant: Uint8Array, stream: Uint8Array]): number {
    const known = this.statements.offset.get(...id) as { readonly offset: number } | undefined;
    return known?.offset ?? BEFORE_THE_LOG;
  }

  /** Writes that are asked for in the same turn of the event loop share one transaction. */
  private write(write: () => void): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.pending.push({ write, resolve, reject }) === 1) setImmediate(() => this.commit());
    });
  }

  private commit(): void {
    const group = this.pending;
    if (group.length === 0) return;
    this.pending = [];
    try {
      this.database.exec('begin immediate');
      for (const { write } of group) write();
      this.database.exec('commit');
    } catch (error) {
      this.rollBack();
      for (const { reject } of group) reject(asOurs(error));
      return;
    }
    for (const { resolve } of group) resolve();
  }

  private rollBack(): void {
    try {
      this.database.exec('rollback');
    } catch {
      // SQLite has rolled back by itself, or there was no transaction: the first error says what went wrong.
    }
  }
}

/** The order of what is said about a parked stream: a save knows its own record, so it comes after the parking of it. */
const orderOfPark = (offset: number): number => 2 * offset;
const orderOfSave = (offset: number): number => 2 * offset + 1;

interface StoredStream {
  readonly version: number;
  readonly slide: number | null;
  readonly expires_at: number | null;
  readonly offset: number;
  readonly kind: Aggregate['kind'];
  readonly folded: string;
  readonly parked_at_version: number;
}

interface StoredEntry {
  readonly started: number;
  readonly recorded: number;
  readonly service_id: Uint8Array;
  readonly service_type: string | null;
}

function fromStoredStream(id: StreamId, row: StoredStream): StreamRow {
  const head: Head = {
    version: row.version,
    ...(row.slide !== null && { slide: row.slide }),
    ...(row.expires_at !== null && { expiresAt: row.expires_at }),
  };
  const aggregate = { kind: row.kind, [row.kind]: JSON.parse(row.folded) as unknown } as Aggregate;
  const parked = row.parked_at_version > 0 && { parkedAtVersion: row.parked_at_version };
  return { ...id, head, offset: row.offset, aggregate, ...parked };
}

/** Ids are stored as bytes: SQLite's text ends at a NUL, so two ids could become one. */
const bytes = (id: string): Uint8Array => Buffer.from(id);
const text = (id: Uint8Array): string => Buffer.from(id.buffer, id.byteOffset, id.byteLength).toString();

const ownerKey = ({ tenant, kind, id }: ListEntry['owner']) => ({
  tenant: bytes(tenant),
  owner_kind: kind,
  owner: bytes(id),
});

const entryKey = ({ owner: { tenant, kind, id }, status, started, recordedAt, service_id }: ListEntry) =>
  [bytes(tenant), kind, bytes(id), status, started, recordedAt, bytes(service_id)] as const;

const storedType = ({ service_type }: ListEntry): string | null =>
  service_type === undefined ? null : JSON.stringify(service_type);

/** How a service type that reads like this text is stored: as JSON, so that 5 and "5" stay what they were. */
const storedForms = (type: string): readonly string[] =>
  String(Number(type)) === type ? [JSON.stringify(type), type] : [JSON.stringify(type)];

function reading<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw asOurs(error);
  }
}

const PASSING: readonly number[] = [
  ResultCode.BUSY,
  ResultCode.LOCKED,
  ResultCode.IOERR,
  ResultCode.FULL,
  ResultCode.CANTOPEN,
];
const BEYOND_REPAIR: readonly number[] = [ResultCode.CORRUPT, ResultCode.NOTADB];

/** A store that is closed, locked or out of space may answer later; anything else is a fault of ours and surfaces. */
function asOurs(error: unknown): unknown {
  if (!isClosed(error) && !PASSING.includes(resultCode(error) ?? 0)) return error;
  return new StoreUnavailable(`the read model's file does not answer: ${(error as Error).message}`, { cause: error });
}

/** Held by an open transaction, so that it is free at once when the process dies. */
async function takeLock(file: string): Promise<Database> {
  const lock = await openDatabase(file);
  try {
    lock.exec('begin exclusive');
    return lock;
  } catch (error) {
    lock.close();
    if (resultCode(error) !== ResultCode.BUSY) throw asOurs(error);
    throw new RefusedStart(`another process writes the read model (${file} is locked)`, { cause: error });
  }
}

async function openForWriting(file: string): Promise<Database> {
  const database = await openDatabase(file);
  try {
    database.exec(`pragma busy_timeout = ${BUSY_TIMEOUT_MS}; pragma journal_mode = wal; pragma synchronous = normal`);
    database.exec(`pragma wal_autocheckpoint = ${WAL_PAGES}`);
    if (schemaVersion(database, file) < SCHEMA_VERSION) database.exec(schema);
    return database;
  } catch (error) {
    database.close();
    throw refusal(file, error);
  }
}

/** Undefined while the projector has not created it. */
async function openForReading(file: string): Promise<Database | undefined> {
  let database: Database | undefined;
  try {
    database = await openDatabase(file, { readOnly: true });
    database.exec(`pragma busy_timeout = ${BUSY_TIMEOUT_MS}`);
    if (schemaVersion(database, file) === SCHEMA_VERSION) return database;
    database.close();
    return undefined;
  } catch (error) {
    database?.close();
    if (PASSING.includes(resultCode(error) ?? 0)) return undefined;
    throw refusal(file, error);
  }
}

function schemaVersion(database: Database, file: string): number {
  const { user_version: version } = database.prepare('pragma user_version').get() as { user_version: number };
  if (version > SCHEMA_VERSION) {
    throw new RefusedStart(
      `${file} has schema version ${version}, this program knows ${SCHEMA_VERSION}: run the newer program`,
    );
  }
  return version;
}

function refusal(file: string, error: unknown): unknown {
  if (!BEYOND_REPAIR.includes(resultCode(error) ?? 0)) return asOurs(error);
  return new RefusedStart(`${file} is damaged: delete it, the projector builds it again from the log`, {
    cause: error,
  });
}
