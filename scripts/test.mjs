// `npm test`: every test there is, against real Kafka and Cassandra too. `npm test -- unit int libs/read-model` selects
// levels and files. The last line sums up all runners; the exit code is 0 only when nothing failed.
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import * as brokers from '../tools/brokers/brokers.mjs';
import { build, install, Problem, root } from './prepare.mjs';

/**
 * @typedef {object} Level
 * @property {string} name
 * @property {boolean} [brokers] whether its tests need real Kafka and Cassandra
 * @property {(file: string) => boolean} [includes] which spec files jest runs
 * @property {string[]} [jest] more arguments for jest
 * @property {string[]} [program] instead of jest: a Node program whose last line is `N passed, N failed`
 */

/** @typedef {{ passed: number, failed: number, skipped: number }} Tally */

const FOLDERS = ['apps', 'bench', 'faults', 'fuzz', 'libs', 'scripts', 'simulation', 'tools'];
const inCi = process.env.CI === 'true';

/** @type {Level[]} */
const LEVELS = [
  { name: 'unit', includes: (file) => !/\.(embedded|int|e2e)\.spec\.ts$/.test(file), jest: ['--maxWorkers=2'] },
  // The whole api on the embedded engine, and processes that are killed: too slow for the fast check.
  { name: 'embedded', includes: (file) => file.endsWith('.embedded.spec.ts'), jest: ['--maxWorkers=2'] },
  { name: 'simulation', program: ['simulation/simulate.mjs', '--mutations'] },
  { name: 'fuzz', program: ['fuzz/fuzz.mjs'] },
  // One after another: each test has the brokers and the machine for itself.
  { name: 'int', brokers: true, includes: (file) => file.endsWith('.int.spec.ts'), jest: ['--runInBand'] },
  { name: 'e2e', brokers: true, includes: (file) => file.endsWith('.e2e.spec.ts'), jest: ['--runInBand'] },
];

/** How long jest may take to end after its last test: longer, and a test has left something open. */
const END_WITHIN_MS = 20_000;

/* ---- what is started here ends here ---- */

const folder = mkdtempSync(path.join(os.tmpdir(), 'context-services-test-'));
/** @type {import('node:child_process').ChildProcess | undefined} */
let running;
/** @type {Set<brokers.BrokerName>} */
const started = new Set();

/** Runners lead process groups of their own, so that programs which their tests started end with them. */
function killGroup(/** @type {number | undefined} */ pid) {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL');
  } catch {
    // nobody is left in it
  }
}

async function cleanUp() {
  killGroup(running?.pid);
  await Promise.all([...started].map((name) => brokers.kill(name, { data: folder })));
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
}

for (const [signal, code] of /** @type {const} */ ([
  ['SIGINT', 130],
  ['SIGTERM', 143],
  ['SIGHUP', 129],
])) {
  process.once(signal, () => void cleanUp().finally(() => process.exit(code)));
}

/* ---- brokers ---- */

/** Starts Kafka and Cassandra and returns the variables by which tests find them; none where Java or Maven is missing. */
async function startBrokers() {
  try {
    brokers.findJava();
    for (const name of brokers.brokerNames) brokers.fetch(name);
  } catch (error) {
    if (!(error instanceof brokers.BrokerProblem)) throw error;
    if (inCi) throw new Problem(error.message);
    console.error(`\n!!! Tests on real Kafka and Cassandra are SKIPPED: ${error.message}\n`);
    return {};
  }
  for (const name of brokers.brokerNames) started.add(name);
  const kafkaProxyPort = await brokers.freePort();
  const [kafka, cassandra] = await Promise.all([
    brokers.start('kafka', { data: folder, kafkaProxyPort }),
    brokers.start('cassandra', { data: folder }),
  ]);
  console.error(`Kafka ${kafka.address}, Cassandra ${cassandra.address}, data in ${folder}`);
  return {
    CS_TEST_KAFKA: kafka.address,
    CS_TEST_KAFKA_PROXIED: kafka.proxiedAddress,
    CS_TEST_KAFKA_PROXY_PORT: String(kafkaProxyPort),
    CS_TEST_CASSANDRA: cassandra.address,
    CS_TEST_BROKERS_DATA: folder,
  };
}

/* ---- runners ---- */

/**
 * Runs the files in jest. A suite that could not be loaded, and a jest that ended without a report, count as one failure.
 * @param {Level} level
 * @param {string[]} files
 * @param {Record<string, string | undefined>} variables
 * @returns {Promise<{ tally: Tally, output: string }>}
 */
async function runJest(level, files, variables) {
  const report = path.join(folder, `${level.name}.json`);
  const args = [
    '--experimental-vm-modules',
    '--disable-warning=ExperimentalWarning',
    'node_modules/jest/bin/jest.js',
    '--json',
    `--outputFile=${report}`,
    ...(level.jest ?? []),
    '--runTestsByPath',
    ...files,
  ];
  const { code, output } = await run(args, variables);
  try {
    const { numPassedTests, numFailedTests, numPendingTests, numTodoTests, numRuntimeErrorTestSuites } = JSON.parse(
      readFileSync(report, 'utf8'),
    );
    const failed = numFailedTests + numRuntimeErrorTestSuites;
    const tally = { passed: numPassedTests, skipped: numPendingTests + numTodoTests };
    return { tally: { ...tally, failed: code === 0 ? failed : Math.max(failed, 1) }, output };
  } catch {
    console.error(`The runner of the ${level.name} tests ended (${code}) without a report.`);
    return { tally: { passed: 0, failed: 1, skipped: 0 }, output };
  }
}

/**
 * Runs a program that sums up its own checks.
 * @param {Level} level
 * @param {string[]} program
 * @param {Record<string, string | undefined>} variables
 * @returns {Promise<{ tally: Tally, output: string }>}
 */
async function runProgram(level, program, variables) {
  const { code, output } = await run(program, variables);
  const lastLine = output.trimEnd().split('\n').at(-1) ?? '';
  const [, passed, failed, skipped = 0] = /^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?\s*$/m.exec(lastLine) ?? [];
  if (passed === undefined) console.error(`The runner of the ${level.name} tests ended (${code}) without a sum.`);
  const tally = { passed: Number(passed ?? 0), failed: Number(failed ?? 0), skipped: Number(skipped) };
  return {
    tally: { ...tally, failed: code === 0 && passed !== undefined ? tally.failed : Math.max(tally.failed, 1) },
    output,
  };
}

/**
 * Runs a Node program to its end and shows what it prints as it comes.
 * @param {string[]} args
 * @param {Record<string, string | undefined>} variables
 * @returns {Promise<{ code: number | string | null, output: string }>}
 */
function run(args, variables) {
  return new Promise((resolve, reject) => {
    const env = { ...process.env, ...variables, ...(process.stderr.isTTY && { FORCE_COLOR: '1' }) };
    const child = spawn(process.execPath, args, { cwd: root, env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
    running = child;
    let output = '';
    let overdue = /** @type {NodeJS.Timeout | undefined} */ (undefined);
    const show = (/** @type {Buffer} */ chunk) => {
      const text = chunk.toString();
      output += text;
      process.stderr.write(text.replace(/^Ran all test suites within paths .*\n/m, ''));
      if (overdue || !/^Ran all test suites/m.test(output)) return;
      overdue = setTimeout(() => {
        console.error(`Still running ${END_WITHIN_MS} ms after the last test: something was left open.`);
        killGroup(child.pid);
      }, END_WITHIN_MS);
    };
    child.stderr.on('data', show);
    child.stdout.on('data', show);
    child.once('error', reject);
    child.once('close', (code, signal) => {
      clearTimeout(overdue);
      killGroup(child.pid);
      running = undefined;
      resolve({ code: code ?? signal, output });
    });
  });
}

/* ---- nothing is skipped unseen ---- */

/**
 * Suites say `suite: EventLog, adapter: KafkaLogTransport, partitions: 3, cases: 33`, or `suite: Simulation, schedules:
 * 2000`. Returns the number of cases or schedules by `suite/adapter` or suite.
 */
function suitesIn(/** @type {string} */ output) {
  /** @type {Map<string, number>} */
  const sizes = new Map();
  for (const [line] of output.matchAll(/\bsuite: [^\n]+/g)) {
    const { suite, adapter, cases, schedules } = Object.fromEntries(line.split(', ').map((part) => part.split(': ')));
    const name = adapter === undefined ? suite : `${suite}/${adapter}`;
    sizes.set(name, Math.max(Number(cases ?? schedules ?? 0), sizes.get(name) ?? 0));
  }
  return sizes;
}

/** Suites that vanished or shrank since scripts/expected-suites.json was committed. */
function missingSuites(/** @type {Map<string, number>} */ seen) {
  /** @type {Record<string, number>} */
  const expected = JSON.parse(readFileSync(new URL('expected-suites.json', import.meta.url), 'utf8'));
  for (const [name, size] of seen) {
    if (!(name in expected)) console.error(`suite ${name} (${size} cases) is not in scripts/expected-suites.json yet`);
  }
  return Object.entries(expected)
    .filter(([name, cases]) => (seen.get(name) ?? 0) < cases)
    .map(([name, cases]) => `suite ${name}: ${cases} cases expected, ${seen.get(name) ?? 'none'} seen`);
}

/* ---- the whole ---- */

/** @param {string[]} args names of levels, and parts of paths */
async function test(args) {
  const names = LEVELS.map(({ name }) => name);
  const chosen = args.filter((arg) => names.includes(arg));
  const parts = args.filter((arg) => !names.includes(arg)).map((part) => part.replace(/^\.\//, ''));
  const files = FOLDERS.filter((name) => existsSync(path.join(root, name)))
    .flatMap((name) =>
      readdirSync(path.join(root, name), { recursive: true, encoding: 'utf8' })
        .filter((file) => file.endsWith('.spec.ts'))
        .map((file) => path.posix.join(name, file.replaceAll(path.sep, '/'))),
    )
    .filter((file) => parts.length === 0 || parts.some((part) => file.includes(part)));
  const plan = LEVELS.filter(({ name }) => chosen.length === 0 || chosen.includes(name))
    .map((level) => ({ level, files: files.filter((file) => level.includes?.(file)) }))
    .filter(({ level, files: own }) => own.length > 0 || (level.program !== undefined && parts.length === 0));
  if (plan.length === 0) throw new Problem(`No test matches: ${args.join(' ')}. Levels are ${names.join(', ')}.`);

  install();
  const onBrokers = plan.some(({ level }) => level.brokers === true);
  if (onBrokers) build(); // other tests read the sources
  const variables = onBrokers ? await startBrokers() : {};

  /** @type {Tally} */
  const total = { passed: 0, failed: 0, skipped: 0 };
  let everything = '';
  for (const { level, files: own } of plan) {
    console.error(`\n== ${level.name}: ${level.program?.join(' ') ?? `${own.length} files`}`);
    const { tally, output } = level.program
      ? await runProgram(level, level.program, variables)
      : await runJest(level, own, variables);
    total.passed += tally.passed;
    total.failed += tally.failed;
    total.skipped += tally.skipped;
    everything += output;
  }
  if (inCi && total.skipped > 0) {
    console.error(`${total.skipped} skipped: with CI=true that is a failure`);
    total.failed += total.skipped;
  }
  if (args.length === 0) {
    const missing = missingSuites(suitesIn(everything));
    for (const line of missing) console.error(line);
    if (inCi) total.failed += missing.length;
  }
  return total;
}

let code = 1;
try {
  const { passed, failed, skipped } = await test(process.argv.slice(2));
  await cleanUp();
  console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
  code = failed === 0 ? 0 : 1;
} catch (error) {
  await cleanUp();
  console.error(error instanceof Problem || error instanceof brokers.BrokerProblem ? error.message : error);
  console.log('0 passed, 1 failed');
}
process.exit(code);
