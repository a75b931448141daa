// `npm start`: installs and builds what is missing, then runs api and projector on the embedded engine in this process.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import module from 'node:module';
import { fileURLToPath } from 'node:url';

const NPM_CHECK_MS = 250;

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (!((major === 20 && minor >= 19) || (major === 22 && minor >= 14) || major > 22)) {
  console.error(
    `Node ${process.versions.node} is not supported: install Node 24, or 22.14 or newer, or 20.19 or newer.`,
  );
  process.exit(1);
}

const { prepare } = await import('./prepare.mjs');
prepare();
// The worker thread of the projector begins with this environment too.
process.env.CS_PROJECTOR_INSIDE ??= 'true';

// npm puts a shell in between, which does not pass signals on: when npm is told to end or killed, the server follows.
if (process.env.npm_lifecycle_event !== undefined) {
  const npm = parentOf(process.ppid);
  const watch = setInterval(() => {
    if (npm === undefined || isAlive(npm)) return;
    clearInterval(watch);
    process.kill(process.pid, 'SIGTERM');
  }, NPM_CHECK_MS);
  watch.unref();
}

// Node 22 and newer can keep what they have compiled, which shortens the next start; the types are those of Node 20.
Reflect.get(module, 'enableCompileCache')?.(fileURLToPath(new URL('../node_modules/.cache/compiled', import.meta.url)));

await import(new URL('../dist/apps/api/src/main.js', import.meta.url).href);

/** @param {number} pid */
function parentOf(pid) {
  try {
    const stat = `/proc/${pid}/stat`; // pid (name) state parent …
    const text = existsSync(stat)
      ? readFileSync(stat, 'utf8').replace(/^.*\) \S+ /s, '')
      : execFileSync('ps', ['-o', 'ppid=', '-p', String(pid)], { encoding: 'utf8' });
    return Number.parseInt(text, 10);
  } catch {
    return undefined;
  }
}

/** @param {number} pid */
function isAlive(pid) {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return error.code === 'EPERM';
  }
}
