import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { every, wait, type Fault } from './injections.js';
import type { Server } from './server.js';

const run = promisify(execFile);

/** No file may grow beyond so many bytes: nothing is written any more, what is there can be read. */
const FULL = 0;
const UNLIMITED = 'unlimited';

/**
 * As on a disk without space every write fails, in the log, the read model and their write-ahead logs. Linux can do so
 * to a process that runs, without being its root: files may grow no more (Node ignores the signal that comes with it).
 * The error is that of a write that fails, not that of a full disk; SQLite and the programs take both for one that may
 * pass. macOS has no such call, so this fault is for Linux.
 */
async function limitFiles(server: Server, bytes: number | typeof UNLIMITED): Promise<void> {
  if (server.pid !== undefined) await run('prlimit', ['--pid', String(server.pid), `--fsize=${bytes}:`]);
}

/** From the start of a process, on a machine that has a lot else to do. */
const TOLD_WITHIN_MS = 60_000;
const POLL_MS = 20;
const KILLED_MEANWHILE = 0.3;
const FULL_AT_START = 0.3;

/** Callers go on meanwhile; sometimes the process is killed before there is space again. */
export const diskFull: Fault = every([200, 1_500], 'disk full', async (world, random, stop) => {
  const [server] = world.apis as [Server];
  await limitFiles(server, FULL);
  await wait(random.between(200, 3_000), stop);
  if (random.chance(KILLED_MEANWHILE)) {
    world.count('disk full: killed');
    await server.end('SIGKILL');
    await server.start();
  } else {
    await limitFiles(server, UNLIMITED);
  }
  if (random.chance(FULL_AT_START))
    await startOnFullDisk(world.complaints, server, () => world.count('disk full: at start'), stop);
  // It goes on, with what it has acknowledged.
  await server.ready().catch(({ message }: Error) => world.complaints.push(message));
});

/** It says what is wrong and tries again, or ends; it is never ready without being able to write. */
async function startOnFullDisk(
  complaints: string[],
  server: Server,
  count: () => void,
  stop: AbortSignal,
): Promise<void> {
  count();
  await server.end('SIGKILL');
  await server.start();
  await limitFiles(server, FULL);
  const isTold = (): boolean => server.hasEnded || /disk|not there yet/.test(server.output);
  const deadline = performance.now() + TOLD_WITHIN_MS;
  while (!isTold() && performance.now() < deadline && (await wait(POLL_MS, stop)));
  if (!isTold() && !stop.aborted)
    complaints.push(`${server.name}: started on a full disk, it says: ${server.output || 'nothing'}`);
  await limitFiles(server, UNLIMITED);
}
