import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { kill, start } from '../tools/brokers/brokers.mjs';

export type CommitLog = 'group' | 'periodic';

/** Kafka and Cassandra of one node each, with data that nobody needs afterwards. */
export class Brokers {
  private constructor(
    private readonly data: string,
    /** How api and projector find them. */
    readonly env: Readonly<Record<string, string>>,
    readonly pids: Readonly<Record<string, number>>,
    readonly addresses: { readonly kafka: string; readonly cassandra: string },
  ) {}

  static async start(commitLog: CommitLog): Promise<Brokers> {
    const data = mkdtempSync(path.join(tmpdir(), 'context-services-bench-'));
    const [kafka, cassandra] = await Promise.all([
      start('kafka', { data }),
      start('cassandra', { data, cassandraSync: commitLog }),
    ]);
    const env = {
      CS_KAFKA_BROKERS: kafka.address,
      CS_CASSANDRA_CONTACT_POINTS: cassandra.address,
      ...(commitLog === 'periodic' && { CS_CASSANDRA_ACCEPT_PERIODIC_COMMIT_LOG: 'true' }),
    };
    const pids = { kafka: kafka.pid, cassandra: cassandra.pid };
    return new Brokers(data, env, pids, { kafka: kafka.address, cassandra: cassandra.address });
  }

  async end(): Promise<void> {
    await Promise.all((['kafka', 'cassandra'] as const).map((name) => kill(name, { data: this.data })));
    rmSync(this.data, { recursive: true, force: true, maxRetries: 5 });
  }
}
