import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { Problem } from '../scripts/prepare.mjs';
import { BrokerProblem } from '../tools/brokers/brokers.mjs';
import { Brokers } from './brokers.js';
import { commandPath, type Round } from './command-path.js';
import { goals } from './goals.js';
import { growth, type Grown } from './growth.js';
import { peers, type PeersMeasured } from './peers.js';
import { PostgresqlMissing } from './peers/postgresql.js';
import { projector, type ProjectorRound } from './projector.js';
import { print } from './report.js';
import { scenario, type ScenarioMeasured } from './scenario.js';

const parts = ['scenario', 'command-path', 'projector', 'growth', 'peers'] as const;
const engines = ['embedded', 'distributed'] as const;
type Part = (typeof parts)[number];
type Engine = (typeof engines)[number];

/** Everything that one run has measured; a part that was not asked for is missing. */
export interface Report {
  readonly machine: Readonly<Record<string, string | number>>;
  readonly settings: Readonly<Record<string, string | number>>;
  scenario: Partial<Record<Engine | 'distributed, periodic', ScenarioMeasured>>;
  commandPath: Partial<Record<Engine, Readonly<Record<string, readonly Round[]>>>>;
  projector: Partial<Record<Engine, readonly ProjectorRound[]>>;
  growth: Partial<Record<Engine, readonly Grown[]>>;
  /** Beside the embedded engine. */
  peers?: PeersMeasured;
}

const HELP = `Measures the server against floors that do the least anybody must, in one run on this machine.

  npm run bench -- [--quick] [--only PART]... [--engine ENGINE]... [--report FILE]

  --quick          under 2 minutes, shorter and smaller: to see that it works
  --only PART      ${parts.join(', ')}; all by default
  --engine ENGINE  ${engines.join(', ')}; both by default
  --report FILE    everything measured, as JSON (default bench-report.json in the current folder)

The distributed engine needs Java 17 and Maven, peers need PostgreSQL; Kafka, Cassandra and PostgreSQL are started here,
with data of their own.
`;

/** The person at the keyboard can do something about it. */
class Misuse extends Error {}

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string', multiple: true, default: [...parts] },
    engine: { type: 'string', multiple: true, default: [...engines] },
    report: { type: 'string', default: 'bench-report.json' },
    help: { type: 'boolean', default: false },
  },
});

const full = {
  seconds: 60,
  callers: 64,
  requestsPerSecond: 1_000,
  rounds: 3,
  secondsOfRound: 5,
  conversations: 4_000,
  sizes: [1_000, 100_000, 1_000_000],
  idleConnections: 10_000,
};
const quick: typeof full = {
  seconds: 5,
  callers: 64,
  requestsPerSecond: 300,
  rounds: 1,
  secondsOfRound: 2,
  conversations: 200,
  sizes: [1_000, 5_000],
  idleConnections: 500,
};

/** Services. A million would take as long as everything else together. */
const MOST_IN_CASSANDRA = 100_000;

const stop = new AbortController();
const began = performance.now();
const onProgress = (about: string) => (what: string) =>
  process.stderr.write(`${((performance.now() - began) / 1_000).toFixed(0).padStart(5)} s  ${about}: ${what}\n`);

function chosen<Name extends string>(
  given: readonly string[],
  known: readonly Name[],
  option: string,
): readonly Name[] {
  for (const name of given)
    if (!known.includes(name as Name)) throw new Misuse(`--${option} ${name}: allowed are ${known.join(', ')}`);
  return known.filter((name) => given.includes(name));
}

function machine(): Report['machine'] {
  const { dependencies } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
    readonly dependencies: Readonly<Record<string, string>>;
  };
  return {
    cpu: os.cpus()[0]?.model ?? 'unknown',
    cores: os.availableParallelism(),
    memoryGib: Math.round(os.totalmem() / 2 ** 30),
    system: `${os.type()} ${os.release()}`,
    node: process.versions.node,
    commit: commit(),
    ...Object.fromEntries(
      ['@nestjs/core', 'kafkajs', 'cassandra-driver', '@photostructure/sqlite'].map((name) => [
        name,
        dependencies[name]!,
      ]),
    ),
    loadBefore: Math.round(os.loadavg()[0]! * 100) / 100,
    date: new Date().toISOString(),
  };
}

function commit(): string {
  try {
    return execFileSync('git', ['describe', '--always', '--dirty'], { encoding: 'utf8' }).trim();
  } catch {
    return 'unknown';
  }
}

async function withBrokers<T>(engine: Engine, work: (brokers: Brokers | undefined) => Promise<T>): Promise<T> {
  const brokers = engine === 'distributed' ? await Brokers.start('group') : undefined;
  try {
    return await work(brokers);
  } finally {
    await brokers?.end();
  }
}

/** A run without other products is still worth its other parts. */
async function unlessMissing(measure: () => Promise<void>): Promise<void> {
  try {
    await measure();
  } catch (error) {
    if (!(error instanceof PostgresqlMissing || error instanceof Problem)) throw error;
    onProgress('peers')(`NOT MEASURED. ${error.message}`);
  }
}

async function main(): Promise<void> {
  const size = values.quick ? quick : full;
  const wanted = chosen(values.only, parts, 'only');
  const report: Report = {
    machine: machine(),
    settings: { ...size, sizes: size.sizes.join(', ') },
    scenario: {},
    commandPath: {},
    projector: {},
    growth: {},
  };
  const { signal } = stop;
  const has = (part: Part): boolean => wanted.includes(part) && !signal.aborted;
  for (const engine of chosen(values.engine, engines, 'engine')) {
    if (has('scenario')) {
      const { seconds, callers, requestsPerSecond } = size;
      for (const commitLog of engine === 'distributed' ? (['group', 'periodic'] as const) : (['group'] as const)) {
        const name = commitLog === 'periodic' ? 'distributed, periodic' : engine;
        const options = { engine, commitLog, seconds, callers, requestsPerSecond, stop: signal };
        report.scenario[name] = await scenario({ ...options, onProgress: onProgress(`scenario, ${name}`) });
      }
    }
    if (engine === 'embedded' && has('peers')) {
      const { rounds, callers, secondsOfRound: seconds } = size;
      await unlessMissing(async () => {
        report.peers = await peers({ rounds, callers, seconds, onProgress: onProgress('peers'), stop: signal });
      });
    }
    if (!['command-path', 'projector', 'growth'].some((part) => has(part as Part))) continue;
    await withBrokers(engine, async (brokers) => {
      const about = { brokers, stop: signal };
      const { rounds, callers, conversations, sizes, idleConnections, secondsOfRound: seconds } = size;
      if (has('command-path')) {
        const progress = onProgress(`command path, ${engine}`);
        const measured = await commandPath({ ...about, rounds, seconds, callers, onProgress: progress });
        report.commandPath[engine] = Object.fromEntries(measured);
      }
      if (has('projector')) {
        const progress = onProgress(`projector, ${engine}`);
        report.projector[engine] = await projector({ ...about, rounds, conversations, onProgress: progress });
      }
      if (has('growth')) {
        const progress = onProgress(`growth, ${engine}`);
        const fitting = engine === 'distributed' ? sizes.filter((services) => services <= MOST_IN_CASSANDRA) : sizes;
        report.growth[engine] = await growth({
          ...about,
          sizes: fitting,
          seconds,
          idleConnections,
          onProgress: progress,
        });
      }
    });
  }
  const file = path.resolve(values.report);
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, `${JSON.stringify({ ...report, goals: goals(report) }, undefined, 2)}\n`);
  print(report);
  console.log(`\n${signal.aborted ? 'stopped early; ' : ''}everything is in ${file}`);
}

if (values.help) {
  process.stdout.write(HELP);
} else {
  // The first asks for what was measured so far, the second for an end.
  process.on('SIGINT', () => {
    if (stop.signal.aborted) process.exit(130);
    process.stderr.write('stopping: what was measured so far is shown\n');
    stop.abort();
  });
  let code = 0;
  try {
    await main();
  } catch (error) {
    const isPlain = error instanceof Misuse || error instanceof BrokerProblem;
    process.stderr.write(`${isPlain ? error.message : (error as Error).stack}\n`);
    code = 1;
  }
  process.exit(code);
}
