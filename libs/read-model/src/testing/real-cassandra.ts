import { randomUUID } from 'node:crypto';
import cassandra, { type Client } from 'cassandra-driver';

export const LOCAL_DATA_CENTER = 'datacenter1';

/** Runs the suite on the Cassandra of the environment. Without one it is skipped, loudly; where CI=true it fails. */
export function describeOnCassandra(name: string, suite: (address: string) => void): void {
  const { CS_TEST_CASSANDRA: address, CI } = process.env;
  if (address !== undefined) return describe(name, () => suite(address));
  const missing = 'CS_TEST_CASSANDRA is not set: use npm test, or npm run brokers';
  if (CI === 'true') {
    return describe(name, () => {
      it('finds a real Cassandra', () => {
        throw new Error(missing);
      });
    });
  }
  process.stderr.write(`\n!!! SKIPPED, ${name}: ${missing}\n`);
  describe.skip(name, () => {
    it('needs a real Cassandra', () => undefined);
  });
}

/** A keyspace that no other run has used. */
export const newKeyspace = (): string => `test_${randomUUID().replaceAll('-', '')}`;

/** For what a test does beside the read model. */
export async function connectPlain(address: string, keyspace?: string): Promise<Client> {
  const client = new cassandra.Client({
    contactPoints: [address],
    localDataCenter: LOCAL_DATA_CENTER,
    queryOptions: { prepare: true },
    ...(keyspace !== undefined && { keyspace }),
  });
  await client.connect();
  return client;
}

/** Cleans up after a suite, so that a Cassandra that serves many runs stays small. */
export async function dropKeyspaces(address: string, keyspaces: readonly string[]): Promise<void> {
  const client = await connectPlain(address);
  for (const keyspace of keyspaces) await client.execute(`drop keyspace if exists ${keyspace}`, [], { prepare: false });
  await client.shutdown();
}
