import { ArrayNotEmpty, IsBoolean, IsIn, IsInt, IsNotEmpty, Matches, Max, Min } from 'class-validator';
import { Option } from './options.js';

const ENGINES = ['embedded', 'distributed'] as const;
/** Weaker levels could miss acknowledged rows when a head is loaded. */
const CONSISTENCIES = ['local_quorum', 'quorum', 'all'] as const;
const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;

export type Engine = (typeof ENGINES)[number];
export type Consistency = (typeof CONSISTENCIES)[number];
export type LogLevel = (typeof LOG_LEVELS)[number];

const HOST_AND_PORT = /^(\[[0-9a-fA-F:]+\]|[^\s:]+):\d{1,5}$/;
const HIGHEST_PORT = 65_535;
/** Id making leaves room for no more; a topic of this size is far beyond what one cluster of this kind needs. */
const MOST_PARTITIONS = 1_000;
const LONGEST_RETENTION_DAYS = 36_500;

/** What api and projector must agree on: where the event log and the read model are, and how they are spoken to. */
export class EngineOptions {
  @Option('where events and views are kept: on local disk, or in Kafka and Cassandra (embedded, distributed)')
  @IsIn(ENGINES)
  engine: Engine = 'embedded'; // nothing else to install

  @Option('folder of the embedded engine')
  @IsNotEmpty()
  dataDir = 'data'; // beside the place of the start, git-ignored

  @Option('DBID of the tenant that all data belongs to')
  @Matches(/^[1-9]\d{0,14}$/, { message: 'must be a whole number above 0' })
  tenant = '1'; // the application's own tenant

  @Option('Kafka brokers to ask first, host:port, separated by commas')
  @ArrayNotEmpty()
  @Matches(HOST_AND_PORT, { each: true, message: 'each must be host:port' })
  kafkaBrokers: readonly string[] = ['127.0.0.1:9092']; // the port that Kafka itself takes by default

  @Option('first part of every topic name')
  @Matches(/^[A-Za-z0-9_-]{1,100}$/, { message: 'must be letters, digits, _ and -, at most 100' })
  topicPrefix = 'cs'; // cs.services, cs.control, cs.events

  @Option('partitions of topics that are created; a log keeps the count it was created with')
  @IsInt()
  @Min(1)
  @Max(MOST_PARTITIONS)
  partitions = 12; // divides well among 2, 3, 4 and 6 processes

  @Option('copies of each record in Kafka, for topics that are created')
  @IsInt()
  @Min(1)
  kafkaReplicationFactor = 1; // one broker; take 3 in production

  @Option('days for which the public topic of events keeps its records')
  @IsInt()
  @Min(1)
  @Max(LONGEST_RETENTION_DAYS)
  eventsRetention = 30; // time enough for a consumer that was off over a holiday

  @Option('time to reach a Kafka broker, in ms')
  @IsInt()
  @Min(100)
  kafkaConnectTimeoutMs = 3_000; // a broker in the same network answers in a few ms

  @Option('time for one answer of a Kafka broker, in ms')
  @IsInt()
  @Min(100)
  kafkaRequestTimeoutMs = 10_000; // a broker that just restarted may need some seconds

  @Option('Cassandra nodes to ask first, host:port, separated by commas')
  @ArrayNotEmpty()
  @Matches(HOST_AND_PORT, { each: true, message: 'each must be host:port' })
  cassandraContactPoints: readonly string[] = ['127.0.0.1:9042']; // the port that Cassandra itself takes by default

  @Option('Cassandra data center that this process belongs to')
  @IsNotEmpty()
  cassandraLocalDc = 'datacenter1'; // the name that a new Cassandra gives itself

  @Option('Cassandra keyspace')
  @Matches(/^[a-z][a-z0-9_]{0,47}$/, { message: 'must be small letters, digits and _, at most 48, a letter first' })
  cassandraKeyspace = 'context_services';

  @Option('copies of each row in Cassandra, for a keyspace that is created')
  @IsInt()
  @Min(1)
  cassandraReplicationFactor = 1; // one node; take 3 in production

  @Option('consistency of reads and writes (local_quorum, quorum, all)')
  @IsIn(CONSISTENCIES)
  cassandraConsistency: Consistency = 'local_quorum'; // what was written is read, and only this data center is waited for

  @Option('start although a single Cassandra node may lose acknowledged rows (periodic commit log)')
  @IsBoolean()
  cassandraAcceptPeriodicCommitLog = false; // losing rows quietly must be somebody's decision

  @Option('time to reach a Cassandra node, in ms')
  @IsInt()
  @Min(100)
  cassandraConnectTimeoutMs = 5_000;

  @Option('time for one answer of a Cassandra node, in ms')
  @IsInt()
  @Min(100)
  cassandraReadTimeoutMs = 12_000; // longer than the time-outs of Cassandra itself, so that its own answer is seen

  @Option('lowest level of log lines (fatal, error, warn, info, debug, trace, silent)')
  @IsIn(LOG_LEVELS)
  logLevel: LogLevel = 'info'; // debug and below may show what customers said
}

/** Each program extends this with its own defaults, so that all of them run side by side on one machine. */
export abstract class HttpOptions extends EngineOptions {
  @Option('address to listen on')
  @IsNotEmpty()
  httpHost = '127.0.0.1'; // not reachable from elsewhere unless somebody wants it

  @Option('port to listen on; 0 takes a free one')
  @IsInt()
  @Min(0)
  @Max(HIGHEST_PORT)
  abstract httpPort: number;
}
