import { randomUUID } from 'node:crypto';
import { Arbiter, SystemClock, defaultArbiterOptions } from '#event-log';
import { KafkaLogTransport, KafkaPresence } from '#event-log/kafka';
import { CassandraReadModel } from '#read-model/cassandra';
import type { Logger } from '#operations';
import type { ApiOptions } from '../api.options.js';
import type { Backend, BackendHooks } from './backend.js';

const dayMs = 24 * 60 * 60 * 1000;

/** Kafka and Cassandra. Throws what makes a start impossible for now, or `RefusedStart`. */
export async function openDistributed(options: ApiOptions, logger: Logger, hooks: BackendHooks): Promise<Backend> {
  const opened: { close(): Promise<void> }[] = [];
  const close = async (): Promise<void> => {
    for (const part of opened.toReversed()) await part.close();
  };
  const kafka = {
    brokers: options.kafkaBrokers,
    topicPrefix: options.topicPrefix,
    partitions: options.partitions,
    replicationFactor: options.kafkaReplicationFactor,
    publicRetentionMs: options.eventsRetention * dayMs,
    connectTimeoutMs: options.kafkaConnectTimeoutMs,
    requestTimeoutMs: options.kafkaRequestTimeoutMs,
    clientId: 'context-services-api',
    onClientError: (message: string, details: object) => logger.warn({ ...details }, message),
    onConsumerRestart: ({ message }: Error) => logger.warn({ reason: message }, "the tail's consumer is replaced"),
  };
  const arbiter = (transport: KafkaLogTransport, observed: boolean): Arbiter => {
    const log = new Arbiter(transport, new SystemClock(), {
      ...defaultArbiterOptions,
      appendTimeoutMs: options.appendTimeoutMs,
      barrierTimeoutMs: options.barrierTimeoutMs,
      newId: randomUUID,
      onFatal: hooks.onFatal,
      ...(observed && { observer: { batchSent: hooks.onBatch, barrierPassed: hooks.onBarrier } }),
    });
    opened.push(log);
    return log;
  };
  try {
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
    opened.push(readModel);
    const checkpoints = await readModel.checkpoints();
    const log = arbiter(await KafkaLogTransport.connect({ ...kafka, checkpoints }), true);
    const control = arbiter(await KafkaLogTransport.connect({ ...kafka, log: 'control' }), false);
    const presence = await KafkaPresence.connect(kafka);
    opened.push(presence);
    return { log, control, presence, readModel, close };
  } catch (error) {
    await close();
    throw error;
  }
}
