// `npm run scale`: fills a server of its own with services, through the log, and shows what their number costs: time to
// restart, memory, latency of by-id and list queries with few services and with many. Nothing is left behind.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import * as brokers from '../tools/brokers/brokers.mjs';
import { build, install, root } from './prepare.mjs';

const { values } = parseArgs({
  options: {
    services: { type: 'string', default: '200000' },
    few: { type: 'string', default: '1000' },
    engine: { type: 'string', default: 'embedded' },
    parallel: { type: 'string', default: '64' },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  console.log(`npm run scale -- [--services 200000] [--few 1000] [--engine embedded|distributed] [--parallel 64]
Half of the services belong to one customer, the others to a thousand customers; a fifth is ended. Both programs
are started again before each measurement.`);
  process.exit(0);
}
const [services, few, parallel] = [values.services, values.few, values.parallel].map(Number);
if (![services, few, parallel].every((number) => Number.isSafeInteger(number) && number > 0) || few > services) {
  console.error('--services, --few and --parallel must be whole numbers above 0, --few not above --services');
  process.exit(2);
}
if (!['embedded', 'distributed'].includes(values.engine)) {
  console.error(`--engine ${values.engine}: allowed are embedded and distributed`);
  process.exit(2);
}

const folder = mkdtempSync(path.join(os.tmpdir(), 'context-services-scale-'));
const ports = { api: await brokers.freePort(), projector: await brokers.freePort() };
const base = `http://127.0.0.1:${ports.api}/genesys/1/cs`;
const measured = 2_000;
const wholeCustomer = 'one-customer';
/** @type {Map<'api' | 'projector', import('node:child_process').ChildProcess>} */
const programs = new Map();
/** @type {brokers.BrokerName[]} */
const started = [];
/** @type {string[]} */
const ids = [];

async function cleanUp() {
  for (const child of programs.values()) child.kill('SIGKILL');
  await Promise.all(started.map((name) => brokers.kill(name, { data: folder })));
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
}
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => void cleanUp().finally(() => process.exit(130)));
}

/** @returns {Promise<Record<string, string>>} */
async function engine() {
  const common = { CS_ENGINE: values.engine, CS_DATA_DIR: path.join(folder, 'data'), CS_LOG_LEVEL: 'warn' };
  if (values.engine === 'embedded') return common;
  started.push(...brokers.brokerNames);
  const [kafka, cassandra] = await Promise.all(
    brokers.brokerNames.map((name) => brokers.start(name, { data: folder })),
  );
  return { ...common, CS_KAFKA_BROKERS: kafka.address, CS_CASSANDRA_CONTACT_POINTS: cassandra.address };
}

/** Starts both programs; resolves with the ms until each was ready. */
async function startPrograms(/** @type {Record<string, string>} */ env) {
  const began = performance.now();
  return Promise.all(
    /** @type {const} */ (['projector', 'api']).map(async (name) => {
      const child = spawn(process.execPath, [path.join(root, `dist/apps/${name}/src/main.js`)], {
        cwd: root,
        env: { ...process.env, ...env, CS_HTTP_PORT: String(ports[name]) },
        stdio: ['ignore', 'ignore', 'inherit'],
      });
      programs.set(name, child);
      for (;;) {
        if (child.exitCode !== null) throw new Error(`${name} ended with code ${child.exitCode}`);
        const answer = await fetch(`http://127.0.0.1:${ports[name]}/health/ready`).catch(() => undefined);
        if (answer?.status === 200) return { name, ms: performance.now() - began };
        await sleep(20);
      }
    }),
  );
}

async function stopPrograms() {
  for (const child of programs.values()) {
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    await ended;
  }
}

/** Runs `work` for each number, some at a time. */
async function forEach(
  /** @type {number} */ from,
  /** @type {number} */ to,
  /** @type {(n: number) => Promise<void>} */ work,
) {
  let next = from;
  await Promise.all(
    Array.from({ length: parallel }, async () => {
      while (next < to) await work(next++);
    }),
  );
}

/** Sends it again as long as it is told to come back. */
async function post(/** @type {string} */ route, /** @type {object} */ content) {
  const body = JSON.stringify(content);
  for (;;) {
    const answer = await fetch(`${base}/${route}`, { method: 'POST', body });
    const text = await answer.text();
    if (answer.ok) return text === '' ? {} : JSON.parse(text);
    if (answer.status !== 503) throw new Error(`${route} was answered ${answer.status}: ${text}`);
    await sleep(1000 * Number(answer.headers.get('retry-after') ?? 1));
  }
}

async function fill(/** @type {number} */ to) {
  const began = performance.now();
  const from = ids.length;
  await forEach(from, to, async (number) => {
    const customer_id = number % 2 === 0 ? wholeCustomer : `customer-${number % 1000}`;
    const start = { customer_id, service_type: 'Loan', est_duration: 60, Offer: { rate: 3.2, years: 20 } };
    const { service_id } = await post('services/start', start);
    if (number % 10 < 2) await post(`services/${service_id}/end`, { disposition: 'signed' });
    ids.push(service_id);
  });
  const seconds = (performance.now() - began) / 1000;
  console.error(
    `${to} services: ${to - from} more in ${seconds.toFixed(1)} s, ${Math.round((to - from) / seconds)} a second`,
  );
}

/** Latency of one request at a time, ms: p50 and p99. */
async function latency(/** @type {(n: number) => string} */ route, /** @type {number} */ count) {
  const times = [];
  for (let number = 0; number < count; number += 1) {
    const began = performance.now();
    const answer = await fetch(`${base}/${route(number)}`);
    await answer.arrayBuffer();
    if (answer.status !== 200) throw new Error(`${route(number)} was answered ${answer.status}`);
    times.push(performance.now() - began);
  }
  times.sort((a, b) => a - b);
  const at = (/** @type {number} */ share) => Number(times[Math.floor(share * (times.length - 1))].toFixed(2));
  return { 'p50 ms': at(0.5), 'p99 ms': at(0.99) };
}

/** Some of all services, always as many, spread evenly. */
const someId = (/** @type {number} */ number) => ids[(number * 7919) % ids.length];

/** Where the page after the newest ten of the one customer begins. */
async function secondPage() {
  const answer = await fetch(`${base}/customers/${wholeCustomer}/services?limit=10`);
  await answer.arrayBuffer();
  const link = /<[^>]*\/(customers\/[^>]+)>/.exec(answer.headers.get('link') ?? '')?.[1];
  if (link === undefined) throw new Error('the list of the one customer has no second page');
  return link;
}

async function measure() {
  await latency((number) => `services/${someId(number)}`, 200); // warm up
  return {
    'by id': await latency((number) => `services/${someId(number)}?extensions=*`, measured),
    'newest 10 active of one customer': await latency(
      () => `customers/${wholeCustomer}/services/active?limit=10`,
      measured / 4,
    ),
    'next 10 of all of one customer': await secondPage().then((page) => latency(() => page, measured / 4)),
  };
}

function residentMiB(/** @type {number} */ pid) {
  const kib = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Math.round(Number(kib) / 1024);
}
const memory = () =>
  Object.fromEntries([...programs].map(([name, { pid }]) => [`${name} MiB`, residentMiB(/** @type {number} */ (pid))]));

try {
  install();
  build();
  const env = await engine();
  await startPrograms(env);
  await fill(few);
  await stopPrograms();
  await startPrograms(env);
  const withFew = await measure();
  await fill(services);
  const filled = memory();
  await stopPrograms();
  const restarted = await startPrograms(env);
  const withMany = await measure();
  console.log(
    `\n${services} services, ${values.engine} engine, ${os.availableParallelism()} cores, Node ${process.versions.node}`,
  );
  console.table({
    'after filling': filled,
    'after restart': memory(),
  });
  console.table(
    Object.fromEntries(
      restarted.map(({ name, ms }) => [`${name} ready again after`, { s: Number((ms / 1000).toFixed(1)) }]),
    ),
  );
  console.table(
    Object.fromEntries(
      Object.entries(withFew).flatMap(([query, times]) => [
        [`${query}, ${few} services`, times],
        [`${query}, ${services} services`, withMany[/** @type {keyof typeof withMany} */ (query)]],
      ]),
    ),
  );
} finally {
  await cleanUp();
}
process.exit(0);
