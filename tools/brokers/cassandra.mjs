// How this project runs a one-node Cassandra: what goes into its configuration, and how to tell that it is ready.
import { readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';

export const pom = 'cassandra.pom.xml';

export const portNames = ['client', 'storage', 'sslStorage'];

/** CQL's OPTIONS is answered with SUPPORTED (opcode 6). */
export const probe = {
  request: Buffer.from('04' + '00' + '0000' + '05' + '00000000', 'hex'),
  isReady: (answer) => answer.length >= 9 && answer[4] === 6,
};

/**
 * When a write is acknowledged. `periodic` (Cassandra's own default): before it is on disk, so a node that is killed
 * loses acknowledged rows. `group` and `batch`: after fsync, of all writes of 5 ms together or of each batch.
 */
const COMMIT_LOG_SYNC = {
  periodic: { commitlog_sync: 'periodic', commitlog_sync_period: '1s' },
  group: { commitlog_sync: 'group', commitlog_sync_group_window: '5ms' },
  batch: { commitlog_sync: 'batch' },
};
/** @type {('periodic' | 'batch' | 'group')[]} */
export const commitLogSyncs = ['periodic', 'batch', 'group'];
export const defaultCommitLogSync = 'group';

/** Cassandra 5 reaches into these JDK packages, which Java 17 closes by default. */
const EXPORTS = [
  'java.base/java.lang.ref',
  'java.base/jdk.internal.misc',
  'java.management.rmi/com.sun.jmx.remote.internal.rmi',
  'java.rmi/sun.rmi.registry',
  'java.rmi/sun.rmi.server',
  'java.sql/java.sql',
  'jdk.attach/sun.tools.attach',
  'jdk.compiler/com.sun.tools.javac.file',
  'jdk.unsupported/sun.misc',
];
const OPENS = [
  'java.base/java.io',
  'java.base/java.lang',
  'java.base/java.lang.module',
  'java.base/java.lang.reflect',
  'java.base/java.util',
  'java.base/jdk.internal.loader',
  'java.base/jdk.internal.math',
  'java.base/jdk.internal.module',
  'java.base/jdk.internal.ref',
  'java.base/jdk.internal.reflect',
  'java.base/jdk.internal.util.jar',
  'java.base/sun.nio.ch',
  'jdk.compiler/com.sun.tools.javac',
  'jdk.management/com.sun.management.internal',
];

const JVM_OPTIONS = [
  '-Xms1g',
  '-Xmx1g',
  '-Xss512k',
  '-XX:MaxDirectMemorySize=512m',
  '-XX:+UseG1GC',
  '-XX:MaxGCPauseMillis=100',
  '-XX:+PerfDisableSharedMem',
  '-XX:+ExitOnOutOfMemoryError',
  '-Djava.net.preferIPv4Stack=true',
  '-Djdk.attach.allowAttachSelf=true',
  '-Dio.netty.tryReflectionSetAccessible=true',
  '-Dcassandra-foreground=yes',
  '-Dcassandra.available_processors=2',
  // Alone in its ring, it has nobody to wait for.
  '-Dcassandra.ring_delay_ms=0',
  '-Dcassandra.skip_wait_for_gossip_to_settle=0',
  '-Dcassandra.superuser_setup_delay_ms=0',
  ...EXPORTS.map((name) => `--add-exports=${name}=ALL-UNNAMED`),
  ...OPENS.map((name) => `--add-opens=${name}=ALL-UNNAMED`),
];

const LOGBACK = `<configuration>
  <appender name="file" class="ch.qos.logback.core.FileAppender">
    <file>\${broker.log}</file>
    <encoder><pattern>%d{ISO8601} %-5level %logger{0} %msg%n</pattern></encoder>
  </appender>
  <root level="WARN"><appender-ref ref="file"/></root>
  <logger name="org.apache.cassandra.transport.Server" level="INFO"/>
</configuration>
`;

const settings = ({ home, ports, commitLogSync }) => ({
  cluster_name: 'context-services',
  num_tokens: 1,
  partitioner: 'org.apache.cassandra.dht.Murmur3Partitioner',
  endpoint_snitch: 'SimpleSnitch',
  dynamic_snitch: false,
  seed_provider: [
    {
      class_name: 'org.apache.cassandra.locator.SimpleSeedProvider',
      parameters: [{ seeds: `127.0.0.1:${ports.storage}` }],
    },
  ],
  listen_address: '127.0.0.1',
  rpc_address: '127.0.0.1',
  storage_port: ports.storage,
  ssl_storage_port: ports.sslStorage,
  native_transport_port: ports.client,
  hinted_handoff_enabled: false,
  auto_bootstrap: false,
  auto_snapshot: false,

  data_file_directories: [path.join(home, 'data')],
  commitlog_directory: path.join(home, 'commitlog'),
  saved_caches_directory: path.join(home, 'saved_caches'),
  hints_directory: path.join(home, 'hints'),
  cdc_raw_directory: path.join(home, 'cdc_raw'),
  ...COMMIT_LOG_SYNC[commitLogSync],
  commitlog_segment_size: '16MiB',
  commitlog_total_space: '256MiB',

  // With group and batch each writer thread waits for its fsync: many of them share one.
  concurrent_reads: 16,
  concurrent_writes: 128,
  concurrent_counter_writes: 4,
  concurrent_compactors: 1,
  compaction_throughput: '64MiB/s',
  memtable_allocation_type: 'offheap_objects',
  memtable_heap_space: '128MiB',
  memtable_offheap_space: '128MiB',
  file_cache_size: '64MiB',
  key_cache_size: '16MiB',
  counter_cache_size: '0MiB',

  // A busy machine is slow, not broken.
  read_request_timeout: '10s',
  range_request_timeout: '15s',
  write_request_timeout: '10s',
  cas_contention_timeout: '5s',
  request_timeout: '15s',
});

/** Writes the configuration and returns the arguments for java. */
export async function prepare({ jars, home, ports, options: { cassandraSync: commitLogSync = defaultCommitLogSync } }) {
  const file = path.join(home, 'cassandra.yaml');
  const logback = path.join(home, 'logback.xml');
  writeFileSync(file, `${JSON.stringify(settings({ home, ports, commitLogSync }), undefined, 2)}\n`); // JSON is YAML
  writeFileSync(logback, LOGBACK);
  const jamm = readdirSync(jars).find((jar) => jar.startsWith('jamm-')) ?? 'jamm.jar';
  return [
    ...JVM_OPTIONS,
    `-javaagent:${path.join(jars, jamm)}`,
    '-cp',
    path.join(jars, '*'),
    `-Dbroker.log=${path.join(home, 'cassandra.log')}`,
    `-Dlogback.configurationFile=${logback}`,
    `-Dcassandra.config=file://${file}`,
    `-Dcassandra.storagedir=${home}`,
    `-Dcassandra.logdir=${home}`,
    'org.apache.cassandra.service.CassandraDaemon',
  ];
}
