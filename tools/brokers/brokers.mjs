#!/usr/bin/env node
// Real Kafka and Cassandra, one node each, on loopback, from Maven artifacts: for `npm run brokers`, the tests, the fault
// suite and the benchmark alike. Nothing to install but Java 17 and Maven.
import { execFileSync, spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  openSync,
  closeSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import * as cassandra from './cassandra.mjs';
import * as kafka from './kafka.mjs';

/** @typedef {'kafka' | 'cassandra'} BrokerName */

/**
 * @typedef {object} BrokerOptions
 * @property {string} [data] folder of the data, logs and the state that a later call finds the broker by
 * @property {string} [cache] folder of the jars
 * @property {number} [port] for clients; by default that of the last start in this data folder, else a free one
 * @property {number} [kafkaProxyPort] what Kafka's second listener advertises: the port of a fault proxy in front of it
 * @property {'periodic' | 'batch' | 'group'} [cassandraSync] when Cassandra acknowledges a write (default `group`)
 * @property {number} [readyWithinMs]
 */

/**
 * @typedef {object} Broker
 * @property {BrokerName} name
 * @property {number} pid
 * @property {string} address `host:port` for clients
 * @property {string} [proxiedAddress] Kafka only: `host:port` of the listener that advertises the fault proxy's port
 * @property {number} [kafkaProxyPort]
 * @property {string} home where its data and logs are
 */

/** The person at the keyboard can do something about it: the message says what. */
export class BrokerProblem extends Error {}

const HOST = '127.0.0.1';
const HERE = path.dirname(fileURLToPath(import.meta.url));
const REQUIRED_JAVA = 17;
const READY_WITHIN_MS = 180_000;
const PORT_CLOSED_WITHIN_MS = 5_000;
const STOPPED_WITHIN_MS = 30_000;
const PROBE_TIMEOUT_MS = 2_000;
const POLL_MS = 50;
const LOG_TAIL_LINES = 12;
const DEFAULT_PORTS = { kafka: 9092, cassandra: 9042 };

export const defaultData = path.resolve(HERE, '../../.brokers');
export const defaultCache = path.join(
  process.env.XDG_CACHE_HOME || path.join(os.homedir(), '.cache'),
  'context-services',
  'brokers',
);

const BROKERS = { kafka, cassandra };
/** @type {BrokerName[]} */
export const brokerNames = ['kafka', 'cassandra'];

/* ---- Java, Maven, jars ---- */

function majorVersion(java) {
  try {
    const text = execFileSync(java, ['--version'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
    return Number(/\b(\d+)/.exec(text)?.[1]);
  } catch {
    return undefined;
  }
}

/** The first Java 17 of JAVA_HOME, the path and the usual places. Later ones do not run Cassandra 5.0. */
export function findJava() {
  const places = ['/usr/lib/jvm', '/opt/java', '/Library/Java/JavaVirtualMachines'].filter((place) =>
    existsSync(place),
  );
  const homes = places.flatMap((place) =>
    readdirSync(place)
      .sort()
      .flatMap((entry) => [path.join(place, entry), path.join(place, entry, 'Contents/Home')]),
  );
  const inHome = (home) => path.join(home, 'bin', 'java');
  const candidates = [
    ...(process.env.JAVA_HOME ? [inHome(process.env.JAVA_HOME)] : []),
    'java',
    ...homes.map(inHome).filter((java) => existsSync(java)),
  ];
  const java = candidates.find((candidate) => majorVersion(candidate) === REQUIRED_JAVA);
  if (java) return java;
  throw new BrokerProblem(
    `Kafka and Cassandra need Java ${REQUIRED_JAVA}, none found. ` +
      'Install it (Debian, Ubuntu: apt-get install openjdk-17-jre-headless; macOS: brew install openjdk@17) or set JAVA_HOME.',
  );
}

/** Copies the broker's jars into the cache unless those of the same pom are there. Returns their folder. */
export function fetch(/** @type {BrokerName} */ name, /** @type {BrokerOptions} */ { cache = defaultCache } = {}) {
  const pom = path.join(HERE, BROKERS[name].pom);
  const text = readFileSync(pom, 'utf8');
  const jars = path.resolve(cache, name);
  const source = path.join(jars, 'pom.xml');
  if (existsSync(source) && readFileSync(source, 'utf8') === text) return jars;
  const partial = `${jars}.${process.pid}`;
  const goal = ['dependency:copy-dependencies', '-DincludeScope=runtime', `-DoutputDirectory=${partial}`];
  try {
    execFileSync('mvn', ['-B', '-q', '-f', pom, ...goal], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  } catch (error) {
    rmSync(partial, { recursive: true, force: true });
    if (error.code === 'ENOENT') {
      throw new BrokerProblem(
        'Maven (mvn) not found: it fetches Kafka and Cassandra. Install it (Debian, Ubuntu: apt-get install maven; macOS: brew install maven).',
      );
    }
    const lines = `${error.stdout}${error.stderr}`.split('\n').filter((line) => line.includes('ERROR'));
    throw new BrokerProblem(`Maven could not fetch the jars of ${name}:\n${lines.slice(0, 4).join('\n')}`);
  }
  writeFileSync(path.join(partial, 'pom.xml'), text);
  rmSync(jars, { recursive: true, force: true });
  try {
    renameSync(partial, jars);
  } catch {
    rmSync(partial, { recursive: true, force: true }); // somebody else was faster, with the same pom
  }
  return jars;
}

/* ---- ports, state, processes ---- */

const isFree = (port) =>
  new Promise((resolve) => {
    const server = net.createServer().once('error', () => resolve(false));
    server.listen(port, HOST, () => server.close(() => resolve(true)));
  });

/** A broker that was killed a moment ago may still be closing its sockets; whoever knows its port expects it there again. */
async function becomesFree(port) {
  const deadline = Date.now() + PORT_CLOSED_WITHIN_MS;
  while (!(await isFree(port))) {
    if (Date.now() > deadline) return false;
    await sleep(POLL_MS);
  }
  return true;
}

/**
 * A free port below the range from which the system takes the local ports of outgoing connections: a client that
 * reconnects to a stopped broker could otherwise be given the broker's own port.
 */
export async function freePort(taken = /** @type {number[]} */ ([])) {
  const [lowest, count] = [20_000, 10_000];
  for (;;) {
    const port = lowest + Math.floor(Math.random() * count);
    if (!taken.includes(port) && (await isFree(port))) return port;
  }
}

/** `proxyPort` is somebody else's, though nobody may listen there yet. */
async function choosePorts(name, wanted, remembered = {}, proxyPort = 0) {
  if (wanted !== undefined && !(await isFree(wanted))) {
    throw new BrokerProblem(`port ${wanted} for ${name} is in use by another program`);
  }
  const ports = {};
  for (const portName of BROKERS[name].portNames) {
    const last = remembered[portName];
    if (portName === 'client' && wanted !== undefined) ports.client = wanted;
    else
      ports[portName] =
        last !== undefined && (await becomesFree(last)) ? last : await freePort([proxyPort, ...Object.values(ports)]);
  }
  return ports;
}

const homeOf = (name, { data = defaultData }) => path.join(path.resolve(data), name);
const stateFile = (home) => path.join(home, 'state.json');

function readState(home) {
  try {
    return JSON.parse(readFileSync(stateFile(home), 'utf8'));
  } catch {
    return undefined;
  }
}

/** In the broker's command line, so that a process id that was given to somebody else is not taken for it. */
const mark = (home) => `-Dcontext-services.broker=${home}`;

function commandLine(pid) {
  try {
    return existsSync('/proc/self/cmdline')
      ? readFileSync(`/proc/${pid}/cmdline`, 'utf8')
      : execFileSync('ps', ['-ww', '-o', 'args=', '-p', String(pid)], { encoding: 'utf8' });
  } catch {
    return '';
  }
}

/** A zombie has no command line, so a broker that nobody has reaped yet counts as stopped. */
const isRunning = (home, pid) => commandLine(pid).includes(mark(home));

const ask = (port, { request, isReady }) =>
  new Promise((resolve) => {
    const socket = net.connect(port, HOST, () => socket.write(request));
    const end = (ready) => {
      socket.destroy();
      resolve(ready);
    };
    socket.setTimeout(PROBE_TIMEOUT_MS, () => end(false));
    socket.once('error', () => end(false)).once('close', () => end(false));
    socket.once('data', (answer) => end(isReady(answer)));
  });

/** @returns {Broker} */
const describe = (name, home, { pid, ports, options }) => ({
  name,
  pid,
  address: `${HOST}:${ports.client}`,
  ...(name === 'kafka' && {
    proxiedAddress: `${HOST}:${ports.proxied}`,
    kafkaProxyPort: options.kafkaProxyPort,
  }),
  home,
});

const logTail = (name, home) =>
  ['out.log', `${name}.log`]
    .map((file) => path.join(home, file))
    .filter((file) => existsSync(file))
    .map((file) => `${file}:\n${readFileSync(file, 'utf8').trimEnd().split('\n').slice(-LOG_TAIL_LINES).join('\n')}`)
    .join('\n');

/**
 * Starts the broker, or finds it running, and resolves once it answers. What an earlier start in the same data folder was
 * given (ports, options) holds again unless given anew. Throws {@link BrokerProblem}; then nothing is left running.
 *
 * @param {BrokerName} name
 * @param {BrokerOptions} [options]
 * @returns {Promise<Broker>}
 */
export async function start(name, { port, readyWithinMs = READY_WITHIN_MS, ...given } = {}) {
  const home = homeOf(name, given);
  const last = readState(home);
  if (last && isRunning(home, last.pid)) {
    if (port !== undefined && port !== last.ports.client) {
      throw new BrokerProblem(`${name} is running already, on port ${last.ports.client}: stop it first`);
    }
    await untilReady(name, home, last, readyWithinMs);
    return describe(name, home, last);
  }
  const java = findJava();
  const jars = fetch(name, given);
  mkdirSync(home, { recursive: true });
  const { kafkaProxyPort, cassandraSync } = given;
  const options = {
    ...last?.options,
    ...(kafkaProxyPort && { kafkaProxyPort }),
    ...(cassandraSync && { cassandraSync }),
  };
  const ports = await choosePorts(name, port, last?.ports, options.kafkaProxyPort);
  const prepared = await BROKERS[name].prepare({ java, jars, home, ports, options }).catch((error) => {
    throw new BrokerProblem(`${name} could not be prepared in ${home}:\n${error.stderr || error.message}`);
  });
  const args = [mark(home), ...prepared];
  const output = openSync(path.join(home, 'out.log'), 'w');
  const child = spawn(java, args, { cwd: home, detached: true, stdio: ['ignore', output, output] });
  closeSync(output);
  child.unref();
  const state = { pid: child.pid, ports, options };
  writeFileSync(stateFile(home), JSON.stringify(state));
  await untilReady(name, home, state, readyWithinMs);
  return describe(name, home, state);
}

async function untilReady(name, home, { pid, ports }, readyWithinMs) {
  const deadline = Date.now() + readyWithinMs;
  while (!(await ask(ports.client, BROKERS[name].probe))) {
    if (!isRunning(home, pid)) throw new BrokerProblem(`${name} ended instead of starting\n${logTail(name, home)}`);
    if (Date.now() > deadline) {
      process.kill(pid, 'SIGKILL');
      throw new BrokerProblem(`${name} was not ready after ${readyWithinMs} ms\n${logTail(name, home)}`);
    }
    await sleep(POLL_MS);
  }
}

async function end(name, options, signal) {
  const home = homeOf(name, options);
  const pid = readState(home)?.pid;
  if (pid === undefined || !isRunning(home, pid)) return false;
  process.kill(pid, signal);
  const deadline = Date.now() + STOPPED_WITHIN_MS;
  while (isRunning(home, pid)) {
    if (Date.now() > deadline) process.kill(pid, 'SIGKILL');
    await sleep(POLL_MS);
  }
  return true;
}

/**
 * Ends the broker in order (SIGTERM). Resolves with false when it was not running.
 * @param {BrokerName} name
 * @param {BrokerOptions} [options]
 */
export const stop = (name, options = {}) => end(name, options, 'SIGTERM');

/**
 * Ends the broker as a crash would (SIGKILL). Resolves with false when it was not running.
 * @param {BrokerName} name
 * @param {BrokerOptions} [options]
 */
export const kill = (name, options = {}) => end(name, options, 'SIGKILL');

/**
 * The broker as it runs now, undefined when it does not.
 * @param {BrokerName} name
 * @param {BrokerOptions} [options]
 * @returns {Promise<(Broker & { ready: boolean }) | undefined>}
 */
export async function status(name, options = {}) {
  const home = homeOf(name, options);
  const state = readState(home);
  if (!state || !isRunning(home, state.pid)) return undefined;
  return { ...describe(name, home, state), ready: await ask(state.ports.client, BROKERS[name].probe) };
}

/* ---- the command ---- */

const HELP = `Real Kafka and Cassandra for development and tests.

  node tools/brokers/brokers.mjs [run|start|stop|kill|status|fetch] [kafka|cassandra] [options]

  run      start, print the environment for the apps, stop at Ctrl-C (default; ports 9092 and 9042)
  start    start and leave running      stop    end in order      kill    end as a crash would
  status   say what runs                fetch   only fetch the jars

  --data FOLDER            data and logs                     (default .brokers)
  --cache FOLDER           jars                              (default ~/.cache/context-services/brokers)
  --kafka-port N           Kafka's port for clients          (default with start: the last one, else a free one)
  --cassandra-port N       Cassandra's port for clients      (likewise)
  --kafka-proxy-port N     the port that Kafka's second listener advertises, for a fault proxy in front of it
  --cassandra-sync MODE    ${cassandra.commitLogSyncs.join(' | ')}           (default ${cassandra.defaultCommitLogSync}: acknowledged means on disk)
`;

/** What the apps read to use these brokers. */
const environment = (brokers) =>
  brokers.flatMap(({ name, address }) =>
    name === 'kafka'
      ? [`CS_KAFKA_BROKERS=${address}`]
      : [`CS_CASSANDRA_CONTACT_POINTS=${address}`, 'CS_CASSANDRA_LOCAL_DC=datacenter1'],
  );

/** What the tests read to use these brokers. */
const testEnvironment = (brokers) =>
  brokers.flatMap(({ name, address, proxiedAddress }) =>
    name === 'kafka'
      ? [`CS_TEST_KAFKA=${address}`, `CS_TEST_KAFKA_PROXIED=${proxiedAddress}`]
      : [`CS_TEST_CASSANDRA=${address}`],
  );

const line = ({ name, address, proxiedAddress, pid, home }) =>
  `${name} ${address}${proxiedAddress ? ` (for a fault proxy: ${proxiedAddress})` : ''}, process ${pid}, data and logs in ${home}`;

/** All at once; the first problem is thrown after all have ended. */
async function each(names, action) {
  const results = await Promise.allSettled(names.map(action));
  return results.map((result) => {
    if (result.status === 'rejected') throw result.reason;
    return result.value;
  });
}

async function run(names, optionsFor) {
  const interrupted = new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, resolve);
  });
  try {
    const brokers = await each(names, (name) => start(name, { port: DEFAULT_PORTS[name], ...optionsFor(name) }));
    for (const broker of brokers) console.log(line(broker));
    console.log(`\nCS_ENGINE=distributed ${environment(brokers).join(' ')}\n\nCtrl-C stops them.`);
    // A pending promise alone does not keep the process alive.
    const keepAlive = setInterval(() => {}, 60_000);
    await interrupted;
    clearInterval(keepAlive);
    console.log('stopping');
  } finally {
    await each(names, (name) => stop(name, optionsFor(name)));
  }
}

const integer = (option, text) => {
  const port = Number(text);
  if (!Number.isInteger(port) || port < 1 || port > 65_535) throw new BrokerProblem(`--${option} ${text}: not a port`);
  return port;
};

async function main(args) {
  const string = /** @type {const} */ ({ type: 'string', multiple: false });
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      data: string,
      cache: string,
      'kafka-port': string,
      'cassandra-port': string,
      'kafka-proxy-port': string,
      'cassandra-sync': string,
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help) return console.log(HELP);
  const [action = 'run', only, ...rest] = positionals;
  const names = only === undefined ? brokerNames : brokerNames.filter((name) => name === only);
  if (names.length === 0 || rest.length > 0) throw new BrokerProblem(HELP);
  const sync = cassandra.commitLogSyncs.find((mode) => mode === values['cassandra-sync']);
  if (values['cassandra-sync'] !== undefined && sync === undefined) {
    throw new BrokerProblem(
      `--cassandra-sync ${values['cassandra-sync']}: one of ${cassandra.commitLogSyncs.join(', ')}`,
    );
  }
  const optionsFor = (name) => {
    const port = name === 'kafka' ? values['kafka-port'] : values['cassandra-port'];
    const proxyPort = values['kafka-proxy-port'];
    return {
      ...(values.data && { data: values.data }),
      ...(values.cache && { cache: values.cache }),
      ...(port && { port: integer(`${name}-port`, port) }),
      ...(name === 'kafka' && proxyPort && { kafkaProxyPort: integer('kafka-proxy-port', proxyPort) }),
      ...(name === 'cassandra' && sync && { cassandraSync: sync }),
    };
  };
  switch (action) {
    case 'run':
      return run(names, optionsFor);
    case 'start': {
      const brokers = await each(names, (name) => start(name, optionsFor(name)));
      for (const broker of brokers) console.log(line(broker));
      return console.log(`apps:  ${environment(brokers).join(' ')}\ntests: ${testEnvironment(brokers).join(' ')}`);
    }
    case 'stop':
    case 'kill': {
      const ended = await each(names, (name) => (action === 'stop' ? stop : kill)(name, optionsFor(name)));
      return names.forEach((name, i) => console.log(`${name} ${ended[i] ? 'stopped' : 'was not running'}`));
    }
    case 'status': {
      const running = await each(names, (name) => status(name, optionsFor(name)));
      if (running.includes(undefined)) process.exitCode = 3;
      return names.forEach((name, i) =>
        console.log(
          running[i] ? `${line(running[i])}${running[i].ready ? '' : ' (NOT READY)'}` : `${name} is not running`,
        ),
      );
    }
    case 'fetch':
      return names.forEach((name) => console.log(`${name}: ${fetch(name, optionsFor(name))}`));
    default:
      throw new BrokerProblem(HELP);
  }
}

if (process.argv[1] && path.resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  try {
    await main(process.argv.slice(2));
  } catch (error) {
    const expected = error instanceof BrokerProblem || String(error.code).startsWith('ERR_PARSE_ARGS');
    console.error(expected ? error.message : error);
    process.exitCode = 1;
  }
}
