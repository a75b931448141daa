// Schemathesis against a server: Python, a virtual environment of pinned packages, and what a run of it found.
import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const HERE = path.dirname(fileURLToPath(import.meta.url));
const LOWEST_PYTHON = 11; // 3.11
const ANSWER_WITHIN_SECONDS = 10;
/** Time beyond its budget that a run may take: Python starts, the document is read, failures are made smaller. */
const GRACE_MS = 120_000;

/** Somebody must install something: the message says what. */
export class NoSchemathesis extends Error {}

/** The first Python that can make a virtual environment. Throws `NoSchemathesis`. */
function findPython() {
  const check = `import sys, venv, ensurepip; print(sys.version_info[0] == 3 and sys.version_info[1] >= ${LOWEST_PYTHON}, sys.version)`;
  for (const candidate of ['python3', 'python3.14', 'python3.13', 'python3.12', 'python3.11']) {
    try {
      const said = execFileSync(candidate, ['-c', check], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
      if (said.startsWith('True')) return { python: candidate, version: said };
    } catch {
      // not there, or without venv
    }
  }
  throw new NoSchemathesis(
    `schemathesis needs Python 3.${LOWEST_PYTHON} or newer with venv. Install it (Debian, Ubuntu: apt-get install python3-venv; macOS: brew install python).`,
  );
}

/** Makes the environment in the user's cache unless it is there. Returns its Python. Throws `NoSchemathesis`. */
export function prepareSchemathesis() {
  const { python, version } = findPython();
  const requirements = path.join(HERE, 'requirements.txt');
  const name = createHash('sha256').update(readFileSync(requirements)).update(version).digest('hex').slice(0, 16);
  const cache = process.env.XDG_CACHE_HOME || path.join(os.homedir(), '.cache');
  const environment = path.join(cache, 'context-services', 'fuzz', name);
  const inside = path.join(environment, 'bin', 'python');
  const complete = path.join(environment, 'complete');
  if (existsSync(complete)) return inside;
  console.error('Installing schemathesis (once)');
  rmSync(environment, { recursive: true, force: true });
  mkdirSync(path.dirname(environment), { recursive: true });
  try {
    execFileSync(python, ['-m', 'venv', environment], { stdio: ['ignore', 2, 2] });
    const install = ['install', '--quiet', '--disable-pip-version-check', '--require-hashes', '-r', requirements];
    execFileSync(inside, ['-m', 'pip', ...install], { stdio: ['ignore', 2, 2] });
  } catch {
    throw new NoSchemathesis('pip could not install fuzz/requirements.txt: see the lines above.');
  }
  writeFileSync(complete, '');
  return inside;
}

const CHECKS = [
  'unavailable_as_documented',
  'status_code_conformance',
  'content_type_conformance',
  'response_schema_conformance',
  'response_headers_conformance',
  'negative_data_rejection',
  // But not what Allow says: it names the methods of every pattern that the path matches (contract 0.3, 30).
  'unsupported_method',
];

/**
 * @typedef {object} Run
 * @property {string} python
 * @property {import('./server.mjs').Server} server
 * @property {'production' | 'maintenance'} mode that the server is in
 * @property {import('./server.mjs').Known} known
 * @property {string[]} select which operations, as options of schemathesis
 * @property {number} [forSeconds] random requests for so long; missing: the edges of every schema, to their end
 * @property {number} seed
 * @property {string} folder for reports
 */

/**
 * One run; what schemathesis prints of failures goes to stderr.
 * @returns {Promise<{ selected: number, tested: number, cases: number, failures: string[] }>}
 */
export async function runSchemathesis(
  /** @type {Run} */ { python, server, mode, known, select, forSeconds, seed, folder },
) {
  const report = path.join(folder, `${mode}-${seed}.json`);
  const args = [
    ...['-c', 'from schemathesis.cli import schemathesis; schemathesis()'],
    ...['run', `${server.base}/openapi.json`, '--url', server.origin, ...select],
    ...(forSeconds === undefined
      ? ['--phases', 'examples,coverage']
      : ['--phases', 'fuzzing', '--max-time', String(forSeconds)]),
    ...['--seed', String(seed), '--checks', CHECKS.join(','), '--continue-on-failure'],
    ...['--request-timeout', String(ANSWER_WITHIN_SECONDS), '--generation-database', 'none', '--no-color'],
    ...['--report', 'json', '--report-json-path', report],
  ];
  const env = {
    ...process.env,
    SCHEMATHESIS_HOOKS: 'checks',
    PYTHONPATH: HERE,
    PYTHONDONTWRITEBYTECODE: '1',
    FUZZ_MODE: mode,
    FUZZ_KNOWN: JSON.stringify(known),
  };
  const { code, output } = await finished(
    spawn(python, args, { cwd: folder, env }),
    (forSeconds ?? 0) * 1000 + GRACE_MS,
  );
  if (code !== 0) process.stderr.write(`${output}\n`);
  if (!existsSync(report)) {
    return { selected: 0, tested: 0, cases: 0, failures: [`schemathesis ended (${code}) without a report`] };
  }
  const { operations, test_cases, failures, errors } = JSON.parse(readFileSync(report, 'utf8'));
  const found = [...failures, ...errors].map((one) => JSON.stringify(one).slice(0, 1_000));
  return {
    selected: operations.selected,
    tested: operations.tested,
    cases: test_cases.generated,
    failures: code === 0 || found.length > 0 ? found : [`schemathesis ended with ${code}`],
  };
}

/** @returns {Promise<{ code: number | string | null, output: string }>} */
function finished(/** @type {import('node:child_process').ChildProcess} */ child, /** @type {number} */ withinMs) {
  return new Promise((resolve, reject) => {
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk) => (output += chunk));
    const overdue = setTimeout(() => child.kill('SIGKILL'), withinMs);
    child.once('error', reject);
    child.once('close', (code, signal) => {
      clearTimeout(overdue);
      resolve({ code: code ?? signal, output });
    });
  });
}
