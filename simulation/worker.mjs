import { parentPort, workerData } from 'node:worker_threads';

/** Plays the schedules of some seeds with one build, and tells of each. */
const { entry, from, to, step = 1, until, interrupted, ...options } = workerData;

process.on('unhandledRejection', (error) => {
  parentPort?.postMessage({ kind: 'broken', error: error instanceof Error ? error.stack : String(error) });
  process.exit(1);
});
// Refusals are part of what is played: nobody reads where they came from.
if (!options.trace) Error.stackTraceLimit = 0;

const { play } = await import(entry);
const isInterrupted = () => Atomics.load(/** @type {Int32Array} */ (interrupted), 0) !== 0;
for (let seed = from; seed <= to && !isInterrupted(); seed += step) {
  const played = await play({ ...options, seed });
  parentPort?.postMessage({ kind: 'played', seed, ...played });
  if (until && played.violations.some(({ rule }) => until === 'any' || until === rule)) break;
}
