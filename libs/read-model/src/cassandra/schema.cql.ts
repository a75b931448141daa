import { createHash } from 'node:crypto';

/**
 * The tables, as they grew. A migration that has shipped never changes: a new one follows it.
 *
 * No clock is asked: every write carries a timestamp that comes from the log (see `statements.cql.ts`), so the tables
 * may be fed by several projectors, late and twice.
 */
export const migrations: readonly (readonly string[])[] = [
  [
    // One row per stream. `folded_deflated` holds what is too long for `folded`; `parked_at_version` 0: not parked.
    `create table if not exists streams (
       tenant            text,
       stream            text,
       version           bigint,
       slide             bigint,
       expires_at        bigint,
       offset            bigint,
       kind              text,
       folded            text,
       folded_deflated   blob,
       parked_at_version bigint,
       primary key ((tenant, stream))
     )`,

    // One partition per list and month of start. Each completion leaves a tombstone in the active list, so they go
    // early: an entry that comes back because a node slept longer is a candidate too many, and that is harmless.
    `create table if not exists service_lists (
       tenant       text,
       owner_kind   text,
       owner        text,
       status       text,
       month        int,
       started      bigint,
       recorded     bigint,
       service_id   text,
       service_type text,
       primary key ((tenant, owner_kind, owner, status, month), started, recorded, service_id)
     ) with clustering order by (started desc, recorded desc, service_id desc)
       and gc_grace_seconds = 3600`,

    // The months in which a list has or had entries. They only grow: offsets of different streams cannot be compared,
    // so nothing could say that a removal is newer than the next entry.
    `create table if not exists service_list_months (
       tenant     text,
       owner_kind text,
       owner      text,
       status     text,
       month      int,
       primary key ((tenant, owner_kind, owner, status), month)
     ) with clustering order by (month desc)`,

    `create table if not exists checkpoints (
       log        text,
       partition  int,
       generation int,
       next       bigint,
       epoch      bigint,
       log_id     text,
       primary key ((log), partition)
     )`,
  ],
];

export const SCHEMA_VERSION = migrations.length;

export const createKeyspace = (keyspace: string, dataCenter: string, replicationFactor: number): string =>
  `create keyspace if not exists ${keyspace}
     with replication = {'class': 'NetworkTopologyStrategy', '${dataCenter.replaceAll("'", "''")}': ${replicationFactor}}`;

/**
 * Which migrations were applied, and who is at it (`migrating`, a lease). Nothing guards the creation of this table, so
 * its id is given: two coordinators that create it at once create the same one.
 */
export const createSchemaHistory = (keyspace: string): string =>
  `create table if not exists schema_history (
     scope      text,
     version    int,
     applied_at timestamp,
     migrating  text static,
     primary key ((scope), version)
   ) with id = ${uuidOf(`${keyspace}.schema_history`)}`;

function uuidOf(name: string): string {
  const hash = createHash('sha256').update(name).digest('hex');
  return `${hash.slice(0, 8)}-${hash.slice(8, 12)}-8${hash.slice(13, 16)}-8${hash.slice(17, 20)}-${hash.slice(20, 32)}`;
}
