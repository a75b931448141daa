// How this project runs a one-node Kafka: what goes into its configuration, and how to tell that it is ready.
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';

const MESSAGE_MAX_BYTES = 4 * 1024 * 1024;
const LOG_SEGMENT_BYTES = 128 * 1024 * 1024;

export const pom = 'kafka.pom.xml';

/** `client` is for everybody; `proxied` for those who come through a fault proxy, and advertises the proxy's port. */
export const portNames = ['client', 'proxied', 'controller'];

/** Metadata (version 1, no topics) is answered with one live broker. */
export const probe = {
  request: Buffer.from('0000000e' + '00030001' + '00000001' + 'ffff' + '00000000', 'hex'),
  isReady: (answer) => answer.length >= 12 && answer.readInt32BE(8) === 1,
};

const JVM_OPTIONS = [
  '-Xms256m',
  '-Xmx512m',
  '-XX:+UseG1GC',
  '-XX:MaxGCPauseMillis=20',
  '-XX:MaxDirectMemorySize=256m',
  '-XX:+ExitOnOutOfMemoryError',
  '-Djava.awt.headless=true',
  '-Djava.net.preferIPv4Stack=true',
];

const LOG4J = `log4j.rootLogger=WARN, file
log4j.logger.kafka.server=INFO
log4j.appender.file=org.apache.log4j.FileAppender
log4j.appender.file.File=\${broker.log}
log4j.appender.file.layout=org.apache.log4j.PatternLayout
log4j.appender.file.layout.ConversionPattern=%d{ISO8601} %-5p %c{1} %m%n
`;

const settings = ({ home, ports, proxyPort }) => ({
  'process.roles': 'broker,controller',
  'node.id': 1,
  'controller.quorum.voters': `1@127.0.0.1:${ports.controller}`,
  listeners: `CLIENT://127.0.0.1:${ports.client},PROXIED://127.0.0.1:${ports.proxied},CONTROLLER://127.0.0.1:${ports.controller}`,
  'advertised.listeners': `CLIENT://127.0.0.1:${ports.client},PROXIED://127.0.0.1:${proxyPort ?? ports.proxied}`,
  'listener.security.protocol.map': 'CLIENT:PLAINTEXT,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT',
  'inter.broker.listener.name': 'CLIENT',
  'controller.listener.names': 'CONTROLLER',
  'log.dirs': path.join(home, 'log'),

  // One node, so one replica of everything.
  'default.replication.factor': 1,
  'min.insync.replicas': 1,
  'offsets.topic.replication.factor': 1,
  'offsets.topic.num.partitions': 4,
  'transaction.state.log.replication.factor': 1,
  'transaction.state.log.min.isr': 1,
  'transaction.state.log.num.partitions': 1,
  'auto.create.topics.enable': false,

  // An event log: nothing goes by itself.
  'log.retention.ms': -1,
  'log.retention.bytes': -1,
  'log.segment.bytes': LOG_SEGMENT_BYTES,
  'log.cleaner.dedupe.buffer.size': 8 * 1024 * 1024,
  'message.max.bytes': MESSAGE_MAX_BYTES,
  'replica.fetch.max.bytes': MESSAGE_MAX_BYTES,

  // Groups form at once, and a killed broker is back after seconds instead of the default 9 s session.
  'group.initial.rebalance.delay.ms': 0,
  'group.min.session.timeout.ms': 1000,
  'broker.heartbeat.interval.ms': 500,
  'broker.session.timeout.ms': 3000,

  // A developer's machine.
  'num.network.threads': 2,
  'num.io.threads': 4,
  'num.recovery.threads.per.data.dir': 1,
  'background.threads': 2,
  'log.cleaner.threads': 1,
});

/** Writes the configuration, formats an empty data folder, and returns the arguments for java. */
export async function prepare({ java, jars, home, ports, options: { kafkaProxyPort: proxyPort } }) {
  const file = path.join(home, 'server.properties');
  const log4j = path.join(home, 'log4j.properties');
  const lines = Object.entries(settings({ home, ports, proxyPort })).map(([name, value]) => `${name}=${value}`);
  writeFileSync(file, `${lines.join('\n')}\n`);
  writeFileSync(log4j, LOG4J);
  const common = [
    '-cp',
    path.join(jars, '*'),
    `-Dbroker.log=${path.join(home, 'kafka.log')}`,
    `-Dlog4j.configuration=file:${log4j}`,
  ];
  if (!existsSync(path.join(home, 'log', 'meta.properties'))) {
    const clusterId = randomBytes(16).toString('base64url');
    // One word, since an id may begin with a dash.
    const format = ['kafka.tools.StorageTool', 'format', `--cluster-id=${clusterId}`, '-c', file];
    await promisify(execFile)(java, ['-Xmx128m', ...common, ...format]);
  }
  return [...JVM_OPTIONS, ...common, 'kafka.Kafka', file];
}
