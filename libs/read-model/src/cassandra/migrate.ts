import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import cassandra, { type Client } from 'cassandra-driver';
import { StoreUnavailable } from '../read-model.js';
import { RefusedStart } from '../refused-start.js';
import { createSchemaHistory, migrations, SCHEMA_VERSION } from './schema.cql.js';
import * as cql from './statements.cql.js';

const { localSerial } = cassandra.types.consistencies;

/** A process that dies while it migrates blocks the others for so long. Longer than one statement takes. */
const LEASE_SECONDS = 30;
const PATIENCE_MS = 2 * LEASE_SECONDS * 1000;
const RETRY_MS = 100;

/** The driver has it, its types do not. */
type SchemaAgreement = Client['metadata'] & { checkSchemaAgreement(): Promise<boolean> };

/**
 * Brings the tables to the version of this program. `if not exists` alone is not safe through two coordinators, so one
 * process at a time does it, and every statement can be repeated: a crash in the middle leaves it to the next.
 * Throws {@link RefusedStart} for tables of a newer program, {@link StoreUnavailable} when others hold the lease too long.
 */
export async function migrate(client: Client, keyspace: string): Promise<void> {
  const me = randomUUID();
  const deadline = performance.now() + PATIENCE_MS;
  await client.execute(createSchemaHistory(keyspace), [], { isIdempotent: false, prepare: false });
  while ((await versionOf(client)) < SCHEMA_VERSION) {
    if (await takeLease(client, me)) await migrateAlone(client, me);
    else await pause(RETRY_MS);
    if (performance.now() > deadline)
      throw new StoreUnavailable('another process has been migrating the tables for too long');
  }
  const metadata = client.metadata as SchemaAgreement;
  while (!(await metadata.checkSchemaAgreement())) {
    if (performance.now() > deadline) throw new StoreUnavailable('the nodes of Cassandra do not agree on the tables');
    await pause(RETRY_MS);
  }
}

async function migrateAlone(client: Client, me: string): Promise<void> {
  try {
    const done = await versionOf(client);
    for (const [index, statements] of migrations.slice(done).entries()) {
      for (const statement of statements) {
        await conditionally(client, cql.renewLease, { migrating: me, lease_seconds: LEASE_SECONDS });
        await client.execute(statement, [], { isIdempotent: false, prepare: false });
      }
      await conditionally(client, cql.recordMigration, {
        migrating: me,
        version: done + index + 1,
        applied_at: new Date(),
      });
    }
  } finally {
    await client.execute(cql.endLease, { migrating: me }, { isIdempotent: false });
  }
}

async function versionOf(client: Client): Promise<number> {
  const { rows } = await client.execute(cql.findHistory, {}, { consistency: localSerial });
  const version = Math.max(0, ...rows.map((row) => (row['version'] as number | null) ?? 0));
  if (version > SCHEMA_VERSION) {
    throw new RefusedStart(
      `the keyspace has schema version ${version}, this program knows ${SCHEMA_VERSION}: run the newer program`,
    );
  }
  return version;
}

async function takeLease(client: Client, me: string): Promise<boolean> {
  const parameters = { migrating: me, lease_seconds: LEASE_SECONDS };
  const result = await client.execute(cql.takeLease, parameters, { isIdempotent: false });
  return result.wasApplied();
}

async function conditionally(client: Client, statement: string, parameters: Record<string, unknown>): Promise<void> {
  const result = await client.execute(statement, parameters, { isIdempotent: false });
  if (!result.wasApplied()) throw new StoreUnavailable('another process has taken over the migration of the tables');
}
