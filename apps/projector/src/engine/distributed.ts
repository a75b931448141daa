import { KafkaDeadLetters, KafkaLogTransport, KafkaPublicTopic, type ServicesLogOptions } from '#event-log/kafka';
import { CassandraReadModel } from '#read-model/cassandra';
import type { ProjectorOptions } from '../projector.options.js';
import { Opened, type Engine, type EngineHooks } from './engine.js';

const DAY_MS = 24 * 60 * 60 * 1000;

/** Kafka and Cassandra; any number of processes share the partitions. */
export async function openDistributed(options: ProjectorOptions, { onTrouble }: EngineHooks): Promise<Engine> {
  const kafka = {
    brokers: options.kafkaBrokers,
    topicPrefix: options.topicPrefix,
    clientId: 'context-services-projector',
    connectTimeoutMs: options.kafkaConnectTimeoutMs,
    requestTimeoutMs: options.kafkaRequestTimeoutMs,
    onClientError: onTrouble,
  };
  const opened = new Opened();
  const readModel = await opened.add(
    CassandraReadModel.connect({
      contactPoints: options.cassandraContactPoints,
      localDataCenter: options.cassandraLocalDc,
      keyspace: options.cassandraKeyspace,
      replicationFactor: options.cassandraReplicationFactor,
      consistency: options.cassandraConsistency,
      connectTimeoutMs: options.cassandraConnectTimeoutMs,
      readTimeoutMs: options.cassandraReadTimeoutMs,
      acceptPeriodicCommitLog: options.cassandraAcceptPeriodicCommitLog,
    }),
  );
  const log = await opened.add(
    connectLog({
      ...kafka,
      partitions: options.partitions,
      replicationFactor: options.kafkaReplicationFactor,
      publicRetentionMs: options.eventsRetention * DAY_MS,
      onConsumerRestart: ({ message }: Error) => onTrouble(`the consumer is replaced: ${message}`, {}),
    }),
  );
  const publicEvents = await opened.add(KafkaPublicTopic.connect(kafka));
  const deadLetters = await opened.add(KafkaDeadLetters.connect(kafka));
  return {
    log,
    readModel,
    publicEvents,
    deadLetters,
    group: `${options.topicPrefix}.projector`,
    stopSending: async () => {
      await Promise.all([publicEvents.close(), deadLetters.close()]);
    },
    close: () => opened.close(),
  };

  async function connectLog(settings: ServicesLogOptions): Promise<KafkaLogTransport> {
    return KafkaLogTransport.connect({ ...settings, checkpoints: await readModel.checkpoints() });
  }
}
