import { randomUUID } from 'node:crypto';
import { Arbiter, SystemClock, defaultArbiterOptions } from '#event-log';
import { KafkaLogTransport } from '#event-log/kafka';
import { CassandraReadModel } from '#read-model/cassandra';
import type { ApiOptions } from '../api.options.js';
import type { Backend, BackendHooks } from './backend.js';

/** Kafka and Cassandra. Throws what makes a start impossible for now, or `RefusedStart`. */
export async function openDistributed(options: ApiOptions, hooks: BackendHooks): Promise<Backend> {
  const readModel = await CassandraReadModel.connect({
    contactPoints: options.cassandraContactPoints,
    localDataCenter: options.cassandraLocalDc,
    keyspace: options.cassandraKeyspace,
    replicationFactor: options.cassandraReplicationFactor,
    consistency: options.cassandraConsistency,
    connectTimeoutMs: options.cassandraConnectTimeoutMs,
    readTimeoutMs: options.cassandraReadTimeoutMs,
    acceptPeriodicCommitLog: options.cassandraAcceptPeriodicCommitLog,
  });
  try {
    const transport = await KafkaLogTransport.connect({
      brokers: options.kafkaBrokers,
      topicPrefix: options.topicPrefix,
      partitions: options.partitions,
      replicationFactor: options.kafkaReplicationFactor,
      eventsRetentionDays: options.eventsRetention,
      connectTimeoutMs: options.kafkaConnectTimeoutMs,
      requestTimeoutMs: options.kafkaRequestTimeoutMs,
      checkpoints: await readModel.checkpoints(),
    });
    const log = new Arbiter(transport, new SystemClock(), {
      ...defaultArbiterOptions,
      appendTimeoutMs: options.appendTimeoutMs,
      barrierTimeoutMs: options.barrierTimeoutMs,
      newId: randomUUID,
      onFatal: hooks.onFatal,
      observer: { batchSent: hooks.onBatch, barrierPassed: hooks.onBarrier },
    });
    return {
      log,
      readModel,
      close: async () => {
        await log.close();
        await readModel.close();
      },
    };
  } catch (error) {
    await readModel.close();
    throw error;
  }
}
