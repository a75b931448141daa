#!/usr/bin/env node
/**
 * Plays schedules of the real command path, tail, writer, judge, query path and projector over a simulated log and
 * store, and checks what was answered against the log. See simulation/README.md.
 *
 *   npm run simulate -- --schedules 2000 --mutations
 *   npm run simulate -- --seed 17 --schedules 1 --trace      plays one schedule again and shows all that happened in it
 *   npm run simulate -- --seed 17 --shrink                   finds a smaller schedule that breaks the same rule
 */
import { writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';
import { build, removeBuilds } from './build.mjs';
import { mutations } from './mutations.mjs';

const { values } = parseArgs({
  options: {
    schedules: { type: 'string', default: '500' },
    seed: { type: 'string', default: '1' },
    commands: { type: 'string', default: '200' },
    partitions: { type: 'string', default: '3' },
    mutations: { type: 'boolean', default: false },
    /** Show everything that happened in the failing schedule, or in the first one. */
    trace: { type: 'boolean', default: false },
    /** Troubles that do not happen, separated by commas. */
    without: { type: 'string', default: '' },
    /** Look for the smallest schedule that breaks the rule which the first failing one breaks. */
    shrink: { type: 'boolean', default: false },
    /** Where all results go, as JSON. */
    report: { type: 'string' },
    /** Of the mutations only those whose rule has this text. */
    only: { type: 'string' },
    /** Schedules within which a mutation must be found. */
    within: { type: 'string', default: '1500' },
    workers: { type: 'string', default: String(Math.min(2, availableParallelism())) },
  },
});

/** @returns {number} */
function whole(
  /** @type {'schedules' | 'seed' | 'commands' | 'partitions' | 'within' | 'workers'} */ name,
  lowest = 1,
) {
  const number = Number(values[name]);
  if (Number.isSafeInteger(number) && number >= lowest) return number;
  console.error(`--${name} '${values[name]}': expected a whole number of at least ${lowest}`);
  process.exit(1);
}

const options = {
  schedules: whole('schedules'),
  seed: whole('seed', 0),
  commands: whole('commands'),
  partitions: whole('partitions'),
  within: whole('within'),
  workers: whole('workers'),
  without: values.without.split(',').filter((name) => name !== ''),
};

/** Set to 1 to stop: each worker ends the schedule that it plays. */
const interrupted = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
const isInterrupted = () => Atomics.load(interrupted, 0) !== 0;

/** What `--report` writes. @type {Record<string, unknown>} */
const results = {};

/**
 * @typedef {{ rule: string, what: string }} Violation
 * @typedef {{ seed: number, violations: Violation[], counts: Record<string, number>, steps: number, virtualMs: number, trace: string[] }} Played
 * @typedef {{ entry: string, from: number, to: number, step?: number, until?: string, trace?: boolean, commands?: number, without?: string[] }} Job
 *   `until`: the rule whose violation ends the job, or 'any'
 */

/** Plays seeds in a thread of its own. @returns {Promise<void>} */
function playIn(/** @type {Job} */ job, /** @type {(played: Played) => void} */ onPlayed) {
  return new Promise((resolve, reject) => {
    const { commands, partitions, without } = options;
    const worker = new Worker(new URL('./worker.mjs', import.meta.url), {
      workerData: { commands, partitions, without, interrupted, ...job },
    });
    worker.on('message', (message) => {
      if (message.kind === 'played') onPlayed(message);
      if (message.kind === 'broken') reject(new Error(message.error));
    });
    worker.once('error', reject);
    worker.once('exit', (code) => (code === 0 ? resolve() : reject(new Error(`a worker ended with ${code}`))));
  });
}

const progressEveryMs = 10_000;
const progress = (/** @type {string} */ line) => process.stderr.write(`${line}\n`);
const entryOf = (/** @type {string} */ name, /** @type {readonly import('./mutations.mjs').Patch[]} */ patches = []) =>
  pathToFileURL(build(name, patches)).href;

let passed = 0;
let failed = 0;

function report(/** @type {boolean} */ isGood, /** @type {string} */ line) {
  if (isGood) passed += 1;
  else failed += 1;
  console.log(`${isGood ? 'ok  ' : 'FAIL'} ${line}`);
}

/** The code as it is: every rule holds in every schedule. */
async function playClean() {
  const entry = entryOf('clean');
  const { rules, processes } = await import(entry);
  const { schedules, seed, commands, partitions, workers } = options;
  const began = performance.now();
  /** @type {Map<string, { times: number, seed: number, what: string }>} */
  const broken = new Map();
  /** @type {Record<string, number>} */
  const counts = {};
  let played = 0;
  let steps = 0;
  const onPlayed = (/** @type {Played} */ one) => {
    played += 1;
    steps += one.steps;
    for (const [name, count] of Object.entries(one.counts)) counts[name] = (counts[name] ?? 0) + count;
    for (const { rule, what } of one.violations) {
      const before = broken.get(rule);
      if (!before) progress(`seed ${one.seed}: ${rule}: ${what}`);
      if (!before || one.seed < before.seed)
        broken.set(rule, { times: (before?.times ?? 0) + 1, seed: one.seed, what });
      else before.times += 1;
    }
  };
  /** A line now and then: how far, how fast, how long still. */
  const ticking = setInterval(() => {
    const seconds = (performance.now() - began) / 1000;
    const left = ((schedules - played) * seconds) / played / 60;
    const rate = (counts['commands'] ?? 0) / seconds;
    if (played > 0)
      progress(
        `${played} of ${schedules} schedules, ${rate.toFixed(0)} commands a second, ${left.toFixed(1)} min left, ${broken.size} rules broken`,
      );
  }, progressEveryMs);
  console.log(`simulation: ${schedules} schedules of ${commands} commands, seeds from ${seed}`);
  const to = seed + schedules - 1;
  await Promise.all(
    Array.from({ length: Math.min(workers, schedules) }, (_, n) =>
      playIn({ entry, from: seed + n, to, step: Math.min(workers, schedules) }, onPlayed),
    ),
  ).finally(() => clearInterval(ticking));
  const seconds = (performance.now() - began) / 1000;
  for (const rule of rules) {
    const violation = broken.get(rule);
    report(
      !violation,
      violation ? `${rule}: seed ${violation.seed}, ${violation.what} (${violation.times} in all)` : rule,
    );
  }
  for (const [name, count] of Object.entries(counts).sort(([a], [b]) => a.localeCompare(b)))
    console.log(`  ${String(count).padStart(8)} ${name}`);
  const commandsPerSecond = Math.round((counts['commands'] ?? 0) / seconds);
  console.log(`  ${steps} steps, ${commandsPerSecond} commands a second`);
  if (isInterrupted()) console.log(`  interrupted after ${played} of ${schedules} schedules`);
  results['schedules'] = {
    ...{ asked: schedules, played, seeds: { from: seed, to }, commands: counts['commands'] ?? 0, steps },
    ...{ seconds, commandsPerSecond, commandsPerSchedule: commands, partitions, processes, counts },
    rules: rules.map((/** @type {string} */ rule) => ({ rule, ...(broken.get(rule) ?? { times: 0 }) })),
  };
  console.log(
    `suite: Simulation, schedules: ${played}, commands: ${counts['commands']}, partitions: ${partitions}, processes: ${processes.api}+${processes.projector}`,
  );
  const first = [...broken.values()].sort((a, b) => a.seed - b.seed)[0]?.seed ?? (values.trace ? seed : undefined);
  if (first !== undefined) await show(entry, first);
}

/** What a choice depends on is the seed alone: a failing schedule can be played again. */
async function playTwice() {
  const { seed } = options;
  const job = { entry: entryOf('clean'), from: seed, to: seed + Math.min(options.schedules, 10) - 1, trace: true };
  const traces = await Promise.all(
    [1, 2].map(async () => {
      /** @type {string[]} */
      const lines = [];
      await playIn(job, ({ trace }) => lines.push(...trace));
      return lines;
    }),
  );
  const [one = [], other = []] = traces;
  const differs = one.findIndex((line, index) => line !== other[index]);
  const same = differs === -1 && one.length === other.length;
  results['replay'] = { seeds: { from: job.from, to: job.to }, same };
  report(same, `the same seed plays the same schedule${same ? '' : `: '${one[differs]}' and '${other[differs]}'`}`);
}

/** The command line that plays a schedule again. */
function again(/** @type {number} */ seed, { commands, without } = options) {
  const which = values.only === undefined ? '--schedules 1' : `--only '${values.only}' --within 1`;
  const calm = without.length > 0 ? ` --without ${without.join(',')}` : '';
  return `npm run simulate -- --seed ${seed} ${which} --commands ${commands}${calm} --trace`;
}

/** Seeds that are tried before what is left out is taken to matter: without it each seed plays something else. */
const triedSeeds = 40;

/**
 * From the first failing schedule to a smaller one that breaks the same rule: each trouble is left out that it does not
 * need, then commands.
 */
async function shrink() {
  const [mutation] = values.only === undefined ? [] : chosenMutations();
  const entry = mutation ? entryOf(mutation.rule, mutation.patches) : entryOf('clean');
  const { troubles } = await import(entry);
  /** The first seed from this one on that breaks the rule. */
  const firstBroken = async (/** @type {Omit<Job, 'entry'>} */ job) => {
    /** @type {{ seed: number, violations: Violation[], steps: number } | undefined} */
    let last;
    await playIn({ entry, ...job }, (played) => (last = played));
    const violation = last?.violations.find(({ rule }) => job.until === 'any' || rule === job.until);
    return last && violation && { seed: last.seed, steps: last.steps, violation };
  };
  const { seed, schedules } = options;
  const first = await firstBroken({ from: seed, to: seed + schedules - 1, until: 'any' });
  if (!first) return report(true, `nothing to shrink: no rule is broken in ${schedules} schedules from seed ${seed}`);
  const { rule } = first.violation;
  let smallest = { ...first, commands: options.commands, without: options.without };
  const smaller = async (/** @type {{ commands?: number, without?: string[] }} */ less) => {
    const { commands, without } = { ...smallest, ...less };
    const found = await firstBroken({
      from: smallest.seed,
      to: smallest.seed + triedSeeds - 1,
      until: rule,
      commands,
      without,
    });
    if (!found) return false;
    smallest = { ...found, commands, without };
    progress(
      `${rule}: seed ${found.seed}, ${commands} commands, ${found.steps} steps, without ${without.join(',') || 'nothing'}`,
    );
    return true;
  };
  for (const trouble of troubles)
    if (!smallest.without.includes(trouble)) await smaller({ without: [...smallest.without, trouble] });
  for (let part = smallest.commands; part >= 1; part = Math.floor(part / 2))
    while (smallest.commands > part && (await smaller({ commands: smallest.commands - part })));
  report(false, `${rule}: ${smallest.violation.what}`);
  console.log(
    `     from ${first.steps} steps to ${smallest.steps}: ${again(smallest.seed, { ...options, ...smallest })}`,
  );
}

/** One schedule again, with what happened in it. */
async function show(/** @type {string} */ entry, /** @type {number} */ seed) {
  await playIn({ entry, from: seed, to: seed, trace: true }, ({ trace, violations }) => {
    const [violation] = violations;
    const lines = values.trace || !violation ? trace : concerning(violation.what, trace);
    console.log(`\n---- seed ${seed}, ${lines.length} of ${trace.length} lines; again, and all of them, with:`);
    console.log(`     ${again(seed)}`);
    for (const line of lines) console.log(line);
    for (const { rule, what } of violations) console.log(`VIOLATION  ${rule}: ${what}`);
    console.log('----\n');
  });
}

/** The lines about the requests and streams that a violation names, and what befell the processes in the meantime. */
function concerning(/** @type {string} */ what, /** @type {string[]} */ trace) {
  const names = what.match(/\br\d+\.\d+\b|\bs\d+\b|\d+-[0-9a-f]{8}-[0-9a-f-]{27}|claim-[\w-]{43}/g) ?? [];
  const always = / (starts|is up|killed|shuts|ends: |hangs|goes on|calms down)|control |fence of|VIOLATION/;
  return trace.filter((line) => always.test(line) || names.some((name) => line.includes(name)));
}

const chosenMutations = () => mutations.filter(({ rule }) => values.only === undefined || rule.includes(values.only));

/** The code without one of its rules: some schedule must notice. */
async function playMutations() {
  const waiting = chosenMutations();
  /** @type {{ rule: string, schedules: number, seed?: number, caughtBy?: string, what?: string }[]} */
  const table = [];
  results['mutations'] = table;
  console.log(`mutations: each to be found within ${options.within} schedules`);
  const work = async () => {
    for (let mutation = waiting.shift(); mutation && !isInterrupted(); mutation = waiting.shift()) {
      const { rule, patches } = mutation;
      let schedules = 0;
      /** @type {Violation | undefined} */
      let found;
      const job = {
        entry: entryOf(rule, patches),
        from: options.seed,
        to: options.seed + options.within - 1,
        until: 'any',
      };
      await playIn(job, ({ violations }) => {
        schedules += 1;
        found ??= violations[0];
      });
      if (!found && isInterrupted()) break;
      const seed = options.seed + schedules - 1;
      table.push({ rule, schedules, ...(found && { seed, caughtBy: found.rule, what: found.what }) });
      if (values.trace && found) await show(job.entry, seed);
      report(
        found !== undefined,
        `without '${rule}': ${found ? `schedule ${schedules}: ${found.rule}: ${found.what}` : `not found in ${schedules} schedules`}`,
      );
    }
  };
  const cases = waiting.length;
  await Promise.all(Array.from({ length: options.workers }, work));
  console.log(`suite: Mutations, cases: ${cases}`);
}

process.once('exit', removeBuilds);
process.once('SIGTERM', () => process.exit(1));
// What was played counts: the second time it ends at once.
process.once('SIGINT', () => {
  Atomics.store(interrupted, 0, 1);
  process.once('SIGINT', () => process.exit(1));
});

try {
  if (values.shrink) await shrink();
  else {
    if (values.only === undefined) await playClean();
    if (values.only === undefined && !isInterrupted()) await playTwice();
    if ((values.mutations || values.only !== undefined) && !isInterrupted()) await playMutations();
  }
} catch (error) {
  report(false, error instanceof Error ? (error.stack ?? error.message) : String(error));
}
if (values.report !== undefined)
  writeFileSync(
    values.report,
    `${JSON.stringify({ passed, failed, interrupted: isInterrupted(), ...results }, undefined, 2)}\n`,
  );
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
