#!/usr/bin/env node
// `npm run fuzz`: every route against the OpenAPI document, and bytes that are no requests, on a server of its own.
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { build, install } from '../scripts/prepare.mjs';
import { fuzzBytes } from './bytes.mjs';
import { NoSchemathesis, prepareSchemathesis, runSchemathesis } from './property.mjs';
import { converse, startServer } from './server.mjs';

const HIGHEST_SEED = 2 ** 31;

const { values } = parseArgs({
  options: {
    help: { type: 'boolean', default: false },
    seconds: { type: 'string', default: '30' },
    seed: { type: 'string', default: String(Math.floor(Math.random() * HIGHEST_SEED)) },
  },
});

if (values.help) {
  console.log(`npm run fuzz -- [--seconds 30] [--seed N]

  --seconds   for the random requests; the edges of every schema, and starting the server, come on top
  --seed      of every random choice; chosen and printed when missing`);
  process.exit(0);
}

/** @returns {number} */
function whole(/** @type {'seconds' | 'seed'} */ name, /** @type {number} */ lowest) {
  const number = Number(values[name]);
  if (Number.isSafeInteger(number) && number >= lowest) return number;
  console.error(`--${name} '${values[name]}': expected a whole number of at least ${lowest}`);
  process.exit(1);
}

const seconds = whole('seconds', 10);
const seed = whole('seed', 0);
const inCi = process.env.CI === 'true';
const tally = { passed: 0, failed: 0, skipped: 0 };

/** @param {string} what @param {string[]} failures */
function report(what, failures) {
  if (failures.length === 0) tally.passed += 1;
  else tally.failed += 1;
  console.log(`${failures.length === 0 ? 'ok  ' : 'FAIL'} ${what}`);
  for (const failure of failures) console.log(`     ${failure}`);
}

const NOT_THE_SWITCH = ['--exclude-path-regex', '/server/mode$'];

/** First every operation at the edges of its schema, however long that takes, then random requests for a share of the time. */
const RUNS = /** @type {const} */ ([
  { mode: 'production', select: NOT_THE_SWITCH },
  { mode: 'production', select: NOT_THE_SWITCH, share: 0.4 },
  // The one that switches the mode is alone: nothing else would know in which mode it is.
  { mode: 'production', select: ['--include-path-regex', '/server/mode$'] },
  { mode: 'maintenance', select: ['--include-path-regex', '/(metadata|server/status)'] },
  { mode: 'maintenance', select: NOT_THE_SWITCH, share: 0.2 },
]);

/** The Python to run schemathesis with; undefined where it cannot be had, which is a failure in CI. */
function findSchemathesis() {
  try {
    return prepareSchemathesis();
  } catch (error) {
    if (!(error instanceof NoSchemathesis)) throw error;
    if (inCi) report('schemathesis', [error.message]);
    else tally.skipped += 1;
    console.error(`\n!!! The routes are NOT FUZZED against the OpenAPI document: ${error.message}\n`);
    return undefined;
  }
}

/**
 * @param {string} python
 * @param {import('./server.mjs').Server} server
 * @param {import('./server.mjs').Known} known
 */
async function fuzzProperties(python, server, known) {
  let operations = 0;
  for (const [index, { mode, select, share }] of RUNS.entries()) {
    await server.switchTo(mode);
    const forSeconds = share && Math.max(1, Math.round(seconds * share));
    const about = { python, server, mode, known, select: [...select], forSeconds, seed: seed + index, folder };
    const { selected, tested, cases, failures } = await runSchemathesis(about);
    // Only what is not bounded in time must come to its end.
    const untested = share === undefined && tested < selected ? [`only ${tested} of ${selected} operations`] : [];
    const nothing = cases === 0 ? ['no request'] : [];
    report(
      `${cases} ${share === undefined ? 'requests at the edges of' : 'random requests to'} ${tested} operations in ${mode}`,
      [...failures, ...untested, ...nothing],
    );
    if (mode === 'production' && share === undefined) operations += tested;
  }
  await server.switchTo('production');
  console.log(`suite: Fuzz, cases: ${operations}`);
}

const BYTES_SHARE = 0.4;
const BYTES_ROUNDS = 5;
/** What the first rounds need to fill caches is not counted. */
const WARM_ROUNDS = 2;
const MOST_GROWTH_MIB = 64;

/** @param {import('./server.mjs').Server} server @param {import('./server.mjs').Known} known */
async function fuzzWithBytes(server, known) {
  const document = await server.call('openapi.json');
  /** @type {number[]} */
  const resident = [];
  const violations = [];
  let sent = 0;
  for (let round = 0; round < BYTES_ROUNDS; round++) {
    const about = { server, known, document, seed: seed + round, seconds: (seconds * BYTES_SHARE) / BYTES_ROUNDS };
    const { exchanges, statuses, violations: found } = await fuzzBytes(about);
    resident.push(server.residentMib);
    violations.push(...found);
    sent += exchanges;
    console.log(`     round ${round + 1}: ${statuses.map(([status, times]) => `${times} of ${status}`).join(', ')}`);
  }
  report(`${sent} connections with what is hardly a request`, violations);
  const growth = Math.max(...resident.slice(WARM_ROUNDS)) - Math.max(...resident.slice(0, WARM_ROUNDS));
  const memory = `resident after each round: ${resident.join(', ')} MiB`;
  report(memory, growth > MOST_GROWTH_MIB ? [`it grew by ${growth} MiB`] : []);
}

const folder = mkdtempSync(path.join(os.tmpdir(), 'context-services-fuzz-'));
/** @type {import('./server.mjs').Server | undefined} */
let server;
process.once('exit', () => {
  server?.child.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
});
for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM'])) process.once(signal, () => process.exit(1));

try {
  console.log(
    `fuzz: seed ${seed}, ${seconds} s of requests; again with: npm run fuzz -- --seconds ${seconds} --seed ${seed}`,
  );
  install();
  build();
  const python = findSchemathesis();
  server = await startServer(folder);
  const known = await converse(server);
  if (python !== undefined) await fuzzProperties(python, server, known);
  await fuzzWithBytes(server, known);
  report('the server lives and is ready', (await server.isReady()) ? [] : [server.output]);
  report('nothing in its log that nobody foresaw', server.complaints.slice(0, 10));
  const ended = await server.stop();
  report('it ends when told to', ended === 0 ? [] : [`it ended with ${ended}`]);
} catch (error) {
  report('the run comes to its end', [error instanceof Error ? (error.stack ?? error.message) : String(error)]);
}
const { passed, failed, skipped } = tally;
console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
process.exit(failed === 0 ? 0 : 1);
