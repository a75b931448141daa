import type { Database, Statement } from './sqlite.js';

export const SCHEMA_VERSION = 1;

/**
 * `streams` keeps its rowid: folded services are longer than what a WITHOUT ROWID page holds (half the speed, measured).
 * Ids are blobs, see `bytes`. `parked_at_version` is 0 for a stream that is not parked.
 */
export const schema = `
  begin immediate;

  create table if not exists streams (
    tenant            blob    not null,
    stream            blob    not null,
    version           integer not null,
    slide             integer,
    expires_at        integer,
    "offset"          integer not null,
    kind              text    not null,
    folded            text    not null,
    parked_at_version integer not null,
    parked_order      integer not null,
    primary key (tenant, stream)
  ) strict;

  create table if not exists list_entries (
    tenant       blob    not null,
    owner_kind   text    not null,
    owner        blob    not null,
    status       text    not null,
    started      integer not null,
    recorded     integer not null,
    service_id   blob    not null,
    service_type text,
    "offset"     integer not null,
    primary key (tenant, owner_kind, owner, status, started, recorded, service_id)
  ) strict, without rowid;

  create table if not exists checkpoints (
    partition  integer primary key,
    generation integer not null,
    next       integer not null,
    epoch      integer not null,
    log_id     text    not null
  ) strict;

  pragma user_version = ${SCHEMA_VERSION};
  commit;
`;

const find = `
  select version, slide, expires_at, "offset", kind, folded, parked_at_version
    from streams
   where tenant = ? and stream = ?`;

const offset = `select "offset" from streams where tenant = ? and stream = ?`;

/** Of two words about parking the later one counts; of two at the same place the one that says parked. */
const laterParking = `
         parked_at_version = case
           when excluded.parked_order > parked_order then excluded.parked_at_version
           when excluded.parked_order = parked_order then max(excluded.parked_at_version, parked_at_version)
           else parked_at_version
         end,
         parked_order = max(excluded.parked_order, parked_order)`;

/** What is written for each record has its parameters by place: by name they cost as much as the writing (measured). */
const save = `
  insert into streams
    (tenant, stream, version, slide, expires_at, "offset", kind, folded, parked_at_version, parked_order)
  values
    (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
  on conflict do update
     set version = excluded.version,
         slide = excluded.slide,
         expires_at = excluded.expires_at,
         "offset" = excluded."offset",
         kind = excluded.kind,
         folded = excluded.folded,${laterParking}
   where excluded."offset" >= "offset"`;

const park = `
  insert into streams
    (tenant, stream, version, "offset", kind, folded, parked_at_version, parked_order)
  values
    ($tenant, $stream, 0, $offset, $kind, $folded, $parked_at_version, $parked_order)
  on conflict do update
     set${laterParking}`;

const insertEntry = `
  insert into list_entries
    (tenant, owner_kind, owner, status, started, recorded, service_id, service_type, "offset")
  values
    (?, ?, ?, ?, ?, ?, ?, ?, ?)
  on conflict do update
     set service_type = excluded.service_type,
         "offset" = excluded."offset"`;

const removeEntry = `
  delete from list_entries
   where tenant = ? and owner_kind = ? and owner = ? and status = ? and started = ? and recorded = ? and service_id = ?
     and "offset" < ?`;

const inRange = `
  select started, recorded, service_id, service_type
    from list_entries
   where tenant = $tenant and owner_kind = $owner_kind and owner = $owner and status = $status
     and (started, recorded, service_id) >= ($from_started, $from_recorded, $from_service_id)
     and (started, recorded, service_id) < ($to_started, $to_recorded, $to_service_id)
     and ($service_types is null or service_type in (select value from json_each($service_types)))`;

const listOldestFirst = `${inRange}
   order by started, recorded, service_id
   limit $limit`;

const listNewestFirst = `${inRange}
   order by started desc, recorded desc, service_id desc
   limit $limit`;

const checkpoints = `select generation, partition, next, epoch, log_id as "logId" from checkpoints order by partition`;

const saveCheckpoint = `
  insert into checkpoints (partition, generation, next, epoch, log_id)
  values (?, ?, ?, ?, ?)
  on conflict do update
     set generation = excluded.generation, next = excluded.next, epoch = excluded.epoch, log_id = excluded.log_id
   where excluded.next >= next`;

/** Every statement of this store. */
export const statements = {
  find,
  offset,
  save,
  park,
  insertEntry,
  removeEntry,
  listOldestFirst,
  listNewestFirst,
  checkpoints,
  saveCheckpoint,
};

export type Statements = Readonly<Record<keyof typeof statements, Statement>>;

export const prepareStatements = (database: Database): Statements =>
  Object.fromEntries(Object.entries(statements).map(([name, sql]) => [name, database.prepare(sql)])) as Statements;
