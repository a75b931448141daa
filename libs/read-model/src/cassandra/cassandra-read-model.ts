import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { deflateRaw, inflateRaw } from 'node:zlib';
import cassandra, { type Client, type ClientOptions } from 'cassandra-driver';
import { unstarted } from '#domain';
import type { Head } from '#events';
import type { ListChanges } from '../list-entries.js';
import { limitOf, placeRange } from '../place-range.js';
import {
  ReadModel,
  type Aggregate,
  type ListEntry,
  type ListQuery,
  type Owner,
  type StoredCheckpoint,
  type StreamId,
  type StreamRow,
} from '../read-model.js';
import { RefusedStart } from '../refused-start.js';
import { Connection, RECONNECT_MS } from './connection.js';
import { asOurs, isUnknownKeyspace } from './driver-errors.js';
import { migrate } from './migrate.js';
import { createKeyspace } from './schema.cql.js';
import * as cql from './statements.cql.js';

export interface CassandraReadModelOptions {
  /** `host:port` */
  readonly contactPoints: readonly string[];
  readonly localDataCenter: string;
  /** Small letters, digits and `_`. Created when it is missing. */
  readonly keyspace: string;
  /** Copies of each row in the local data center, for a keyspace that is created. */
  readonly replicationFactor: number;
  /** Of reads and writes. Only together do they promise that `find` gives what was saved. */
  readonly consistency?: 'local_quorum' | 'quorum' | 'all';
  readonly connectTimeoutMs?: number;
  /** Longer than the time-outs of Cassandra itself, so that its own answer is seen. */
  readonly readTimeoutMs?: number;
  /** Start although one copy and a periodic commit log may lose acknowledged rows when Cassandra dies. */
  readonly acceptPeriodicCommitLog?: boolean;
}

const CONSISTENCIES = {
  local_quorum: cassandra.types.consistencies.localQuorum,
  quorum: cassandra.types.consistencies.quorum,
  all: cassandra.types.consistencies.all,
} as const;

const KEYSPACE_NAME = /^[a-z][a-z0-9_]{0,47}$/;
const CONNECT_TIMEOUT_MS = 5_000;
const READ_TIMEOUT_MS = 12_000;
/** A connection that is silent so long is asked whether it still is one. */
const HEARTBEAT_MS = 5_000;
/** In characters. Cassandra takes no write longer than half a segment of its commit log, 8 or 16 MiB. */
const LONGEST_PLAIN_TEXT = 1024 * 1024;
const FASTEST = 1;
const PAGE_ROWS = 1_000;
const MONTHS_AT_ONCE = 8;
/** Offset of a row that shows no record: it was parked before its first one could be projected. */
const BEFORE_THE_LOG = -1;

/**
 * The tables of `schema.cql.ts`. All writes carry a timestamp from the log, so they can be sent again, late, and by
 * several projectors; none reads before it writes.
 */
export class CassandraReadModel extends ReadModel {
  private constructor(private readonly connection: Connection) {
    super();
  }

  /**
   * Creates or migrates the tables when needed; several processes may do so at once.
   *
   * Throws {@link RefusedStart} for tables of a newer program, an unknown data center, or a store that would lose
   * acknowledged rows; `StoreUnavailable` or an error of the driver when it should be tried again later.
   */
  static async connect(options: CassandraReadModelOptions): Promise<CassandraReadModel> {
    const { keyspace } = options;
    if (!KEYSPACE_NAME.test(keyspace)) throw new RefusedStart(`'${keyspace}' is not a name for a keyspace`);
    const anywhere = await Connection.open(clientOptions(options), (client) => ensureKeyspace(client, options));
    await anywhere.close();
    return new CassandraReadModel(await openKeyspace(options));
  }

  override async find(id: StreamId): Promise<StreamRow | undefined> {
    const { tenant, stream } = id;
    const result = await this.connection.execute(cql.findStream, { tenant, stream });
    const row = result.first() as unknown as StoredStream | null;
    return row === null ? undefined : fromStoredStream({ tenant, stream }, row);
  }

  override async list(query: ListQuery): Promise<readonly ListEntry[]> {
    const limit = limitOf(query);
    const entries: ListEntry[] = [];
    const months = limit > 0 ? await this.months(query) : [];
    // One month usually fills a page. The more of them do not, the more are asked at once.
    for (let begin = 0, count = 1; begin < months.length && entries.length < limit; begin += count) {
      if (begin > 0) count = Math.min(2 * count, MONTHS_AT_ONCE);
      const missing = limit - entries.length;
      const found = await Promise.all(
        months.slice(begin, begin + count).map((month) => this.entriesOf(query, month, missing)),
      );
      entries.push(...found.flat().slice(0, missing));
    }
    return entries;
  }

  override async save(row: StreamRow, lists: ListChanges): Promise<void> {
    const { tenant, stream, head, offset, aggregate, parkedAtVersion } = row;
    const written = timeOfWrite(offset);
    await Promise.all(
      lists.insert.flatMap((entry) => [
        this.connection.execute(cql.insertMonth, { ...monthKey(entry), written }),
        this.connection.execute(cql.insertEntry, { ...entryKey(entry), service_type: storedType(entry), written }),
      ]),
    );
    await Promise.all(
      lists.remove.map((entry) =>
        this.connection.execute(cql.removeEntry, { ...entryKey(entry), deleted: timeOfDelete(offset) }),
      ),
    );
    await this.connection.execute(cql.saveStream, {
      tenant,
      stream,
      version: head.version,
      slide: head.slide ?? null,
      expires_at: head.expiresAt ?? null,
      offset,
      kind: aggregate.kind,
      ...(await storedText(JSON.stringify(aggregate.kind === 'service' ? aggregate.service : aggregate.claim))),
      parked_at_version: parkedAtVersion ?? 0,
      written,
    });
  }

  override async park({ tenant, stream }: StreamId, version: number, offset: number): Promise<void> {
    // Just before what the same record writes when it is projected after all.
    await this.connection.execute(cql.parkStream, {
      tenant,
      stream,
      parked_at_version: version,
      written: timeOfDelete(offset),
    });
  }

  override async checkpoints(): Promise<readonly StoredCheckpoint[]> {
    const checkpoints: StoredCheckpoint[] = [];
    const result = await this.connection.execute(cql.findCheckpoints, {});
    for (const row of result.rows as unknown as readonly StoredCheckpointRow[]) {
      const { generation, partition, next, epoch, log_id: logId } = row;
      checkpoints.push({ generation, partition, next: next.toNumber(), epoch: epoch.toNumber(), logId });
    }
    return checkpoints;
  }

  override async saveCheckpoint({ generation, partition, next, epoch, logId }: StoredCheckpoint): Promise<void> {
    await this.connection.execute(cql.saveCheckpoint, {
      generation,
      partition,
      next,
      epoch,
      log_id: logId,
      written: next,
    });
  }

  /** After an outage timers of the driver can hold the process for as long as {@link HEARTBEAT_MS}. */
  override async close(): Promise<void> {
    await this.connection.close();
  }

  private async months(query: ListQuery): Promise<readonly number[]> {
    const { from, to } = placeRange(query);
    const result = await this.connection.execute(
      query.order === 'oldest-first' ? cql.monthsOldestFirst : cql.monthsNewestFirst,
      {
        ...ownerKey(query.owner),
        status: query.status,
        from_month: monthOf(from.started),
        to_month: monthOf(to.started),
      },
    );
    const months: number[] = [];
    for await (const { month } of rowsOf<{ readonly month: number }>(result)) months.push(month);
    return months;
  }

  /** At most `limit` entries of one month, read page by page until there are enough. */
  private async entriesOf(query: ListQuery, month: number, limit: number): Promise<readonly ListEntry[]> {
    const { owner, status, serviceTypes } = query;
    const { from, to } = placeRange(query);
    const types = serviceTypes && new Set(serviceTypes);
    const result = await this.connection.execute(
      query.order === 'oldest-first' ? cql.entriesOldestFirst : cql.entriesNewestFirst,
      {
        ...ownerKey(owner),
        status,
        month,
        from_started: from.started,
        from_recorded: from.recordedAt,
        from_service_id: from.service_id,
        to_started: to.started,
        to_recorded: to.recordedAt,
        to_service_id: to.service_id,
      },
      { fetchSize: types ? PAGE_ROWS : Math.min(limit, PAGE_ROWS) },
    );
    const entries: ListEntry[] = [];
    for await (const row of rowsOf<StoredEntry>(result)) {
      const entry = fromStoredEntry(owner, status, row);
      if (!types || (entry.service_type !== undefined && types.has(String(entry.service_type)))) entries.push(entry);
      if (entries.length === limit) break;
    }
    return entries;
  }
}

const timeOfWrite = (offset: number): number => 2 * offset + 1;
const timeOfDelete = (offset: number): number => 2 * offset;

interface StoredStream {
  /** Null in a row that was parked before its first record was projected. */
  readonly version: cassandra.types.Long | null;
  readonly slide: cassandra.types.Long | null;
  readonly expires_at: cassandra.types.Long | null;
  readonly offset: cassandra.types.Long | null;
  readonly kind: Aggregate['kind'] | null;
  readonly folded: string;
  readonly folded_deflated: Buffer;
  readonly parked_at_version: cassandra.types.Long;
}

interface StoredEntry {
  readonly started: cassandra.types.Long;
  readonly recorded: cassandra.types.Long;
  readonly service_id: string;
  readonly service_type: string;
}

interface StoredCheckpointRow {
  readonly partition: number;
  readonly generation: number;
  readonly next: cassandra.types.Long;
  readonly epoch: cassandra.types.Long;
  readonly log_id: string;
}

async function fromStoredStream(id: StreamId, row: StoredStream): Promise<StreamRow> {
  const parkedAtVersion = row.parked_at_version.toNumber();
  const parked = parkedAtVersion > 0 && { parkedAtVersion };
  if (row.version === null || row.offset === null || row.kind === null) {
    return {
      ...id,
      head: { version: 0 },
      offset: BEFORE_THE_LOG,
      aggregate: { kind: 'service', service: unstarted },
      ...parked,
    };
  }
  const head: Head = {
    version: row.version.toNumber(),
    ...(row.slide !== null && { slide: row.slide.toNumber() }),
    ...(row.expires_at !== null && { expiresAt: row.expires_at.toNumber() }),
  };
  const folded = JSON.parse(await fromStoredText(row)) as unknown;
  const aggregate = { kind: row.kind, [row.kind]: folded } as Aggregate;
  return { ...id, head, offset: row.offset.toNumber(), aggregate, ...parked };
}

/** Both columns are written each time, so that a shorter text leaves nothing of a longer one. */
async function storedText(text: string): Promise<{ folded: string; folded_deflated: Buffer }> {
  if (text.length <= LONGEST_PLAIN_TEXT) return { folded: text, folded_deflated: Buffer.alloc(0) };
  return { folded: '', folded_deflated: await promisify(deflateRaw)(text, { level: FASTEST }) };
}

async function fromStoredText({ folded, folded_deflated }: StoredStream): Promise<string> {
  return folded === '' ? (await promisify(inflateRaw)(folded_deflated)).toString() : folded;
}

const ownerKey = ({ tenant, kind, id }: Owner) => ({ tenant, owner_kind: kind, owner: id });

const monthKey = ({ owner, status, started }: ListEntry) => ({ ...ownerKey(owner), status, month: monthOf(started) });

const entryKey = (entry: ListEntry) => ({
  ...monthKey(entry),
  started: entry.started,
  recorded: entry.recordedAt,
  service_id: entry.service_id,
});

/** JSON, so that 5 and "5" stay what they were; empty for none: a null would be one more tombstone to read over. */
const storedType = ({ service_type }: ListEntry): string =>
  service_type === undefined ? '' : JSON.stringify(service_type);

const fromStoredEntry = (owner: Owner, status: ListEntry['status'], row: StoredEntry): ListEntry => ({
  owner,
  status,
  started: row.started.toNumber(),
  recordedAt: row.recorded.toNumber(),
  service_id: row.service_id,
  ...(row.service_type !== '' && { service_type: JSON.parse(row.service_type) as string | number }),
});

const MONTHS_PER_YEAR = 12;
/** Beyond it there is no date; the open end of a range may be. */
const LAST_DATE = 8_640_000_000_000_000;

/** Months since the year 0, in UTC. */
function monthOf(started: number): number {
  const date = new Date(Math.min(Math.max(started, -LAST_DATE), LAST_DATE));
  return date.getUTCFullYear() * MONTHS_PER_YEAR + date.getUTCMonth();
}

/** Reads a further page only when its first row is asked for. */
async function* rowsOf<Row>(result: cassandra.types.ResultSet): AsyncGenerator<Row, void, void> {
  try {
    for await (const row of result) yield row as unknown as Row;
  } catch (error) {
    throw asOurs(error);
  }
}

function clientOptions(options: CassandraReadModelOptions): ClientOptions {
  return {
    contactPoints: [...options.contactPoints],
    localDataCenter: options.localDataCenter,
    pooling: { warmup: true, heartBeatInterval: HEARTBEAT_MS },
    policies: { reconnection: new cassandra.policies.reconnection.ConstantReconnectionPolicy(RECONNECT_MS) },
    queryOptions: {
      consistency: CONSISTENCIES[options.consistency ?? 'local_quorum'],
      serialConsistency: cassandra.types.consistencies.localSerial,
      isIdempotent: true,
      prepare: true,
    },
    socketOptions: {
      connectTimeout: options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS,
      readTimeout: options.readTimeoutMs ?? READ_TIMEOUT_MS,
    },
  };
}

/** Another process may have made the keyspace just now: nodes list it before they can use it. */
async function openKeyspace(options: CassandraReadModelOptions): Promise<Connection> {
  const { keyspace } = options;
  const deadline = performance.now() + (options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS);
  for (;;) {
    try {
      return await Connection.open({ ...clientOptions(options), keyspace }, (client) => migrate(client, keyspace));
    } catch (error) {
      if (!isUnknownKeyspace(error) || performance.now() > deadline) throw error;
      await pause(RECONNECT_MS);
    }
  }
}

async function ensureKeyspace(client: Client, options: CassandraReadModelOptions): Promise<void> {
  const { keyspace, localDataCenter, replicationFactor, acceptPeriodicCommitLog = false } = options;
  let copies = await copiesOf(client, keyspace, localDataCenter);
  if (copies === undefined) {
    const statement = createKeyspace(keyspace, localDataCenter, replicationFactor);
    await client.execute(statement, [], { isIdempotent: false, prepare: false });
    copies = await copiesOf(client, keyspace, localDataCenter);
  }
  if (copies === 0) {
    throw new RefusedStart(`the keyspace ${keyspace} has no copy in the data center ${localDataCenter}`);
  }
  if (copies === 1 && !acceptPeriodicCommitLog) await refusePeriodicCommitLog(client, options);
}

/** Copies of each row in the data center; undefined when there is no such keyspace. */
async function copiesOf(client: Client, keyspace: string, dataCenter: string): Promise<number | undefined> {
  const row = (await client.execute(cql.findReplication, { keyspace_name: keyspace })).first();
  if (row === null) return undefined;
  const replication = row['replication'] as Readonly<Record<string, string>>;
  return Number.parseInt(replication[dataCenter] ?? replication['replication_factor'] ?? '0', 10);
}

async function refusePeriodicCommitLog(
  client: Client,
  { keyspace, localDataCenter }: CassandraReadModelOptions,
): Promise<void> {
  const hosts = client.hosts.values().filter(({ datacenter }) => datacenter === localDataCenter);
  for (const host of hosts) {
    const row = (await client.execute(cql.findCommitLogSync, {}, { host })).first();
    if (row?.['value'] !== 'periodic') continue;
    throw new RefusedStart(
      `the keyspace ${keyspace} keeps one copy, and Cassandra at ${host.address} has a periodic commit log: it loses ` +
        'acknowledged rows when it dies. Set commitlog_sync to group or batch, keep 3 copies, or accept it by option',
    );
  }
}
