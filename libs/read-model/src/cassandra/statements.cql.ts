/*
 * Every statement of this store, prepared as it stands here.
 *
 * Timestamps come from the place in the log of the record that causes the write: 2 * offset + 1 for what it writes,
 * 2 * offset for what it deletes, so that a late or repeated write covers nothing newer, and of one record the write
 * wins (Cassandra lets a delete win over a write of equal time).
 */

export const findStream = `
  select version, slide, expires_at, offset, kind, folded, folded_deflated, parked_at_version
    from streams
   where tenant = :tenant and stream = :stream`;

export const saveStream = `
  insert into streams
    (tenant, stream, version, slide, expires_at, offset, kind, folded, folded_deflated, parked_at_version)
  values
    (:tenant, :stream, :version, :slide, :expires_at, :offset, :kind, :folded, :folded_deflated, :parked_at_version)
  using timestamp :written`;

export const parkStream = `
  update streams using timestamp :written
     set parked_at_version = :parked_at_version
   where tenant = :tenant and stream = :stream`;

export const insertEntry = `
  insert into service_lists
    (tenant, owner_kind, owner, status, month, started, recorded, service_id, service_type)
  values
    (:tenant, :owner_kind, :owner, :status, :month, :started, :recorded, :service_id, :service_type)
  using timestamp :written`;

export const removeEntry = `
  delete from service_lists using timestamp :deleted
   where tenant = :tenant and owner_kind = :owner_kind and owner = :owner and status = :status and month = :month
     and started = :started and recorded = :recorded and service_id = :service_id`;

export const insertMonth = `
  insert into service_list_months (tenant, owner_kind, owner, status, month)
  values (:tenant, :owner_kind, :owner, :status, :month)
  using timestamp :written`;

export const monthsNewestFirst = `
  select month
    from service_list_months
   where tenant = :tenant and owner_kind = :owner_kind and owner = :owner and status = :status
     and month >= :from_month and month <= :to_month
   order by month desc`;

export const monthsOldestFirst = `
  select month
    from service_list_months
   where tenant = :tenant and owner_kind = :owner_kind and owner = :owner and status = :status
     and month >= :from_month and month <= :to_month
   order by month asc`;

export const entriesNewestFirst = `
  select started, recorded, service_id, service_type
    from service_lists
   where tenant = :tenant and owner_kind = :owner_kind and owner = :owner and status = :status and month = :month
     and (started, recorded, service_id) >= (:from_started, :from_recorded, :from_service_id)
     and (started, recorded, service_id) < (:to_started, :to_recorded, :to_service_id)
   order by started desc`;

export const entriesOldestFirst = `
  select started, recorded, service_id, service_type
    from service_lists
   where tenant = :tenant and owner_kind = :owner_kind and owner = :owner and status = :status and month = :month
     and (started, recorded, service_id) >= (:from_started, :from_recorded, :from_service_id)
     and (started, recorded, service_id) < (:to_started, :to_recorded, :to_service_id)
   order by started asc`;

export const findCheckpoints = `
  select partition, generation, next, epoch, log_id
    from checkpoints
   where log = 'services'`;

export const saveCheckpoint = `
  insert into checkpoints (log, partition, generation, next, epoch, log_id)
  values ('services', :partition, :generation, :next, :epoch, :log_id)
  using timestamp :written`;

/** Lightweight transactions, all in one partition: of several processes at most one holds the lease. */
export const findHistory = `select version, migrating from schema_history where scope = 'views'`;

export const takeLease = `
  update schema_history using ttl :lease_seconds
     set migrating = :migrating
   where scope = 'views'
      if migrating = null`;

export const renewLease = `
  update schema_history using ttl :lease_seconds
     set migrating = :migrating
   where scope = 'views'
      if migrating = :migrating`;

export const endLease = `
  update schema_history
     set migrating = null
   where scope = 'views'
      if migrating = :migrating`;

export const recordMigration = `
  update schema_history
     set applied_at = :applied_at
   where scope = 'views' and version = :version
      if migrating = :migrating`;

export const findReplication = `select replication from system_schema.keyspaces where keyspace_name = :keyspace_name`;

/** Asked of one node, about itself. */
export const findCommitLogSync = `select value from system_views.settings where name = 'commitlog_sync'`;
