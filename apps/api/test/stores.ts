import path from 'node:path';
import { EmbeddedLogReader } from '#event-log/embedded';
import { KafkaLogTransport } from '#event-log/kafka';
import type { ReadModel } from '#read-model';
import { CassandraReadModel } from '#read-model/cassandra';
import { EmbeddedReadModel } from '#read-model/embedded';
import type { Place } from './processes.js';

/** A log of a place, read past its programs. */
export function openLog(
  { engine, topicPrefix, partitions, directory, env }: Place,
  log: 'services' | 'control',
): Promise<KafkaLogTransport | EmbeddedLogReader> {
  if (engine === 'embedded')
    return EmbeddedLogReader.open({ directory: log === 'services' ? directory : path.join(directory, log) });
  const kafka = { brokers: [env['CS_KAFKA_BROKERS']!], topicPrefix, partitions };
  return log === 'services'
    ? KafkaLogTransport.connect({ ...kafka, log })
    : KafkaLogTransport.connect({ ...kafka, log });
}

/** The rows of a place, read past its programs, and under the same terms. */
export function openReadModel({ engine, directory, env }: Place): Promise<ReadModel> {
  if (engine === 'embedded') return EmbeddedReadModel.open({ directory, readOnly: true });
  return CassandraReadModel.connect({
    contactPoints: [env['CS_CASSANDRA_CONTACT_POINTS']!],
    localDataCenter: 'datacenter1',
    keyspace: env['CS_CASSANDRA_KEYSPACE']!,
    replicationFactor: 1,
    acceptPeriodicCommitLog: env['CS_CASSANDRA_ACCEPT_PERIODIC_COMMIT_LOG'] === 'true',
  });
}
