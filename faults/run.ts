import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Random } from '../simulation/random.js';
import { violations, type Evidence, type Violation } from './checker.js';
import { isChange, isRead, outcomeOf, type Outcome } from './history.js';
import type { Fault } from './injections.js';
import type { Scenario } from './scenarios.js';
import { World } from './world.js';

export interface Report {
  readonly scenario: string;
  readonly seed: number;
  readonly seconds: number;
  readonly commands: number;
  readonly reads: number;
  /** Of commands. */
  readonly outcomes: Readonly<Partial<Record<Outcome, number>>>;
  readonly injected: Readonly<Record<string, number>>;
  /** How often a process was caught at each named point that was tried; 0 when none ever came there. */
  readonly points: Readonly<Record<string, number>>;
  readonly records: { readonly valid: number; readonly void: number };
  readonly rows: number;
  readonly violations: readonly Violation[];
  /** What did not come back to work after the faults. */
  readonly complaints: readonly string[];
  /** Where the history is, and on a violation the log and the read model too. */
  readonly folder: string;
}

export interface RunOptions {
  readonly seed: number;
  readonly ms: number;
  readonly folder: string;
  /** Ends the run early; what has happened until then is judged. */
  readonly stop?: AbortSignal;
  /** What is being done. */
  readonly onProgress?: (phase: string) => void;
}

const PROGRESS_MS = 10_000;

function soFar({ history, injected, hits }: World): string {
  const unknown = history.calls.filter((call) => outcomeOf(call) === 'unknown').length;
  const faults = sum(injected.values());
  return `${history.calls.length} calls, ${unknown} without a known outcome, ${faults} faults, ${hits.length} at named points`;
}

/** Of a system that nothing is done to: safe is also what does nothing at all. */
function idle({ commands, outcomes }: Pick<Report, 'commands' | 'outcomes'>): readonly string[] {
  const taken = (outcomes.ok ?? 0) + (outcomes.refused ?? 0);
  return taken < commands / 2 ? [`nothing was broken, and only ${taken} of ${commands} commands were taken`] : [];
}

export const sum = (numbers: Iterable<number>): number => [...numbers].reduce((total, number) => total + number, 0);

/** One scenario in a world of its own: callers and faults for so long, then rest, then the verdict. */
export async function run(
  scenario: Scenario,
  { seed, ms, folder, stop, onProgress = () => undefined }: RunOptions,
): Promise<Report> {
  mkdirSync(folder, { recursive: true });
  const began = performance.now();
  onProgress('processes start');
  const world = await World.start(scenario, seed, folder);
  try {
    onProgress('callers and faults are at work');
    const telling = setInterval(() => onProgress(soFar(world)), PROGRESS_MS);
    await play(world, scenario.faults, seed, ms, stop).finally(() => clearInterval(telling));
    onProgress('faults are over, everything comes to rest');
    const { violations: found, complaints, evidence } = await judge(world);
    if (found.length > 0) keep(folder, evidence, found);
    const seconds = Math.round((performance.now() - began) / 1_000);
    const counted = counts(world, evidence);
    return {
      ...counted,
      violations: found,
      complaints: [...complaints, ...(scenario.faults.length === 0 ? idle(counted) : [])],
      scenario: scenario.name,
      seed,
      folder,
      seconds,
    };
  } finally {
    await world.end();
  }
}

/** Callers and faults for so long. */
export async function play(
  world: World,
  faults: readonly Fault[],
  seed: number,
  ms: number,
  stop?: AbortSignal,
): Promise<void> {
  const over = new AbortController();
  const isOver = stop ? AbortSignal.any([over.signal, stop]) : over.signal;
  const work = [
    world.talk(isOver),
    ...faults.map((fault, number) => fault(world, new Random(seed * faults.length + number), isOver)),
  ];
  const time = sleep(ms, undefined, { signal: isOver }).catch(() => undefined);
  // A fault that fails ends the others too.
  await Promise.race([time, ...work.map((one) => one.then(() => time))]).finally(() => over.abort());
  await Promise.all(work);
}

export interface Verdict {
  readonly violations: readonly Violation[];
  /** What does not answer as it should, though nothing is broken any more. */
  readonly complaints: readonly string[];
  readonly evidence: Evidence;
}

/** Everything comes to rest; then the whole history of the world is compared with what it has stored. */
export async function judge(world: World): Promise<Verdict> {
  const { complaints, stored } = await world.rest();
  const evidence: Evidence = {
    ...stored,
    calls: world.history.calls,
    partitions: world.place.partitions,
    planted: world.planted,
  };
  return { violations: violations(evidence), complaints, evidence };
}

function counts(world: World, { calls, services, rows }: Evidence) {
  const outcomes: Partial<Record<Outcome, number>> = {};
  const commands = calls.filter(({ ask }) => isChange(ask));
  for (const call of commands) outcomes[outcomeOf(call)] = (outcomes[outcomeOf(call)] ?? 0) + 1;
  const events = services.filter(({ kind }) => kind === 'event').length;
  const valid = rows.reduce((sum, { head }) => sum + head.version, 0);
  return {
    commands: commands.length,
    reads: calls.filter(({ ask }) => isRead(ask)).length,
    outcomes,
    injected: Object.fromEntries(world.injected),
    points: Object.fromEntries(
      [...world.aimedAt].map((point) => [point, world.hits.filter((hit) => hit.point === point).length]),
    ),
    records: { valid, void: events - valid },
    rows: rows.length,
  };
}

function keep(folder: string, evidence: Evidence, found: readonly Violation[]): void {
  const { services, control, rows, entries, published, letters } = evidence;
  for (const [name, items] of Object.entries({ services, control, rows, entries, published, letters }))
    writeFileSync(path.join(folder, `${name}.jsonl`), items.map((item) => `${JSON.stringify(item)}\n`).join(''));
  writeFileSync(path.join(folder, 'violations.txt'), found.map((violation) => `${shown(violation)}\n\n`).join(''));
}

/** The rule, what breaks it, and the least that shows it. */
export const shown = ({ rule, what, shown: lines }: Violation): string =>
  [`VIOLATION  ${rule}`, `  ${what}`, ...lines].join('\n');
