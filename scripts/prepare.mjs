// What must be done before anything of this repository can run: dependencies installed, programs built. Needs only Node.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');

/** A person can do something about it: the message says what. */
export class Problem extends Error {}

const inRoot = (/** @type {string[]} */ ...parts) => path.join(root, ...parts);
const readJson = (/** @type {string} */ file) => JSON.parse(readFileSync(file, 'utf8'));

/** Installs the dependencies of the package in this folder unless exactly those of its lock file are there. */
export function install(/** @type {string} */ folder = root) {
  if (isInstalled(folder)) return;
  console.error('Installing dependencies (once, about a minute)');
  // Without them nothing can be built; npm leaves them out where NODE_ENV says production, as the benchmark does.
  const args = ['ci', '--include=dev', '--no-audit', '--no-fund', '--loglevel=error'];
  try {
    const npm = process.env.npm_execpath; // set by npm for the scripts it runs
    const [command, ...first] = npm ? [process.execPath, npm] : ['npm'];
    execFileSync(command, [...first, ...args], { cwd: folder, stdio: ['ignore', 2, 2] });
  } catch {
    throw new Problem('The dependencies could not be installed: see the lines above. npm ci does the same by hand.');
  }
}

/** What has to be done before a program can run; a person who can help is told how, and the process ends. */
export function prepare(/** @type {{ isBuilt?: boolean }} */ { isBuilt = true } = {}) {
  try {
    install();
    if (isBuilt) build();
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    console.error(error.message);
    process.exit(1);
  }
}

/** Runs a program of TypeScript sources as it is, prepared; its `--help` needs no build. */
export async function runSources(/** @type {URL} */ program) {
  prepare({ isBuilt: !process.argv.includes('--help') });
  await import(new URL('../libs/event-log/src/testing/run-typescript.mjs', import.meta.url).href);
  await import(program.href);
}

/** npm keeps, beside the packages, the lock file of what it has installed. */
function isInstalled(/** @type {string} */ folder) {
  const receipt = path.join(folder, 'node_modules', '.package-lock.json');
  if (!existsSync(receipt)) return false;
  const [wanted, installed] = [path.join(folder, 'package-lock.json'), receipt].map((file) => readJson(file).packages);
  return Object.entries(wanted).every(
    ([name, { version, optional, devOptional, peer }]) =>
      name === '' ||
      installed[name]?.version === version ||
      // Left out where they do not fit the platform.
      (installed[name] === undefined && (optional || devOptional || peer)),
  );
}

/** Compiles the programs into dist/ unless that was done from these very sources. */
export function build() {
  const stamp = inRoot('dist', '.built-from');
  const sources = sourcesNow();
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === sources) return;
  console.error('Building');
  try {
    const compiler = inRoot('node_modules', 'typescript-7', 'bin', 'tsc');
    execFileSync(process.execPath, [compiler, '-p', 'tsconfig.build.json'], { cwd: root, stdio: ['ignore', 2, 2] });
  } catch {
    throw new Problem('The build failed: see the lines above.');
  }
  mkdirSync(path.dirname(stamp), { recursive: true });
  writeFileSync(stamp, sources);
}

/** Names, sizes and times of everything that the build reads: a change of any of them builds again. */
function sourcesNow() {
  const hash = createHash('sha256');
  const files = ['apps', 'libs'].flatMap((folder) =>
    readdirSync(inRoot(folder), { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.ts') && !file.endsWith('.spec.ts'))
      .map((file) => path.join(folder, file)),
  );
  for (const file of [...files.sort(), 'tsconfig.base.json', 'tsconfig.build.json', 'package-lock.json']) {
    const { size, mtimeMs } = statSync(inRoot(file));
    hash.update(`${file}\0${size}\0${mtimeMs}\n`);
  }
  return hash.digest('hex');
}
