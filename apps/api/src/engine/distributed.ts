import { randomUUID } from 'node:crypto';
import { Arbiter, SystemClock, defaultArbiterOptions } from '#event-log';
import { KafkaLogTransport } from '#event-log/kafka';
import { CassandraReadModel } from '#read-model/cassandra';
import type { Logger } from '#operations';
import type { ApiOptions } from '../api.options.js';
import type { Backend, BackendHooks } from './backend.js';

const dayMs = 24 * 60 * 60 * 1000;

/** Kafka and Cassandra. Throws what makes a start impossible for now, or `RefusedStart`. */
export async function openDistributed(options: ApiOptions, logger: Logger, hooks: BackendHooks): Promise<Backend> {
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
      publicRetentionMs: options.eventsRetention * dayMs,
      connectTimeoutMs: options.kafkaConnectTimeoutMs,
      requestTimeoutMs: options.kafkaRequestTimeoutMs,
      checkpoints: await readModel.checkpoints(),
      clientId: 'context-services-api',
      onClientError: (message, details) => logger.warn({ ...details }, message),
      onConsumerRestart: ({ message }) => logger.warn({ reason: message }, "the tail's consumer is replaced"),
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
