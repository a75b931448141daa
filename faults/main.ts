import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os, { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import * as brokers from '../tools/brokers/brokers.mjs';
import { run, shown, sum, type Report } from './run.js';
import { scenarios, type Scenario } from './scenarios.js';

const MINUTE_MS = 60_000;
const MOST_SHOWN = 3;
const GIB = 2 ** 30;
const DEFAULT_MINUTES_OF_EACH = 0.5;

const HELP = `Breaks things on purpose while callers are at work, and checks everything that they were told.

  npm run faults -- [--minutes N] [--seed S] [--scenario NAME]... [--report FOLDER]

  --minutes N      how long things are broken, in all: each scenario gets its share (default 0.5 for each); starting
                   and judging come on top. \`npm run faults -- --minutes 60\` is an hour of everything
  --seed S         of what is asked and broken, and when; processes and network have a will of their own
  --scenario NAME  only this one, or these; every one by default
  --report FOLDER  summary.txt, report.json, and the history of each scenario

Real Kafka and Cassandra are started unless CS_TEST_KAFKA and the others of npm test say where they are.

${scenarios.map(({ name, about }) => `  ${name.padEnd(18)} ${about}`).join('\n')}
`;

/** The person at the keyboard can do something about it. */
class Misuse extends Error {}

const { values } = parseArgs({
  options: {
    minutes: { type: 'string' },
    seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
    scenario: { type: 'string', multiple: true },
    report: { type: 'string', default: path.join(tmpdir(), `context-services-faults-${process.pid}`) },
    help: { type: 'boolean', default: false },
  },
});

/** Data of brokers that were started here. */
let data: string | undefined;
const stop = new AbortController();

async function startBrokers(): Promise<void> {
  if (process.env['CS_TEST_KAFKA'] !== undefined && process.env['CS_TEST_CASSANDRA'] !== undefined) return;
  data = mkdtempSync(path.join(tmpdir(), 'context-services-brokers-'));
  const kafkaProxyPort = await brokers.freePort();
  const [kafka, cassandra] = await Promise.all([
    brokers.start('kafka', { data, kafkaProxyPort }),
    brokers.start('cassandra', { data }),
  ]);
  Object.assign(process.env, {
    CS_TEST_KAFKA: kafka.address,
    CS_TEST_KAFKA_PROXIED: kafka.proxiedAddress,
    CS_TEST_CASSANDRA: cassandra.address,
    CS_TEST_BROKERS_DATA: data,
  });
}

async function cleanUp(): Promise<void> {
  if (data === undefined) return;
  const options = { data };
  await Promise.all((['kafka', 'cassandra'] as const).map((name) => brokers.kill(name, options)));
  rmSync(data, { recursive: true, force: true, maxRetries: 5 });
}

const COLUMNS = 'seconds commands reads ok refused unknown not-appl. faults points valid void violated restless'.split(
  ' ',
);
const NAME_WIDTH = 18;
const COLUMN_WIDTH = 10;

const row = (name: string, cells: readonly (string | number)[]): string =>
  name.padEnd(NAME_WIDTH) + cells.map((cell) => String(cell).padStart(COLUMN_WIDTH)).join('');

const faultsOf = ({ injected }: Report): number => sum(Object.values(injected));

function cells(report: Report): readonly number[] {
  const { seconds, commands, reads, outcomes, points, records, violations, complaints } = report;
  const told = (['ok', 'refused', 'unknown', 'not-applied'] as const).map((outcome) => outcomes[outcome] ?? 0);
  const broken = [faultsOf(report), sum(Object.values(points))];
  return [
    seconds,
    commands,
    reads,
    ...told,
    ...broken,
    records.valid,
    records.void,
    violations.length,
    complaints.length,
  ];
}

const counted = (counts: Readonly<Record<string, number>>): string =>
  Object.entries(counts)
    .map(([name, count]) => `${name}: ${count}`)
    .join('; ');

/** Text for people: a line for each scenario and one for all, then what was broken how often. */
function summary(reports: readonly Report[], circumstances: Readonly<Record<string, string | number>>): string {
  const rows = reports.map(cells);
  const total = COLUMNS.map((_, column) => sum(rows.map((cellsOfRow) => cellsOfRow[column]!)));
  const points = reports.flatMap((report) => Object.entries(report.points));
  const hit = new Set(points.filter(([, hits]) => hits > 0).map(([name]) => name));
  const neverHit = [...new Set(points.map(([name]) => name))].filter((name) => !hit.has(name));
  return [
    ...Object.entries(circumstances).map(([name, value]) => `${name}: ${value}`),
    '',
    row('scenario', COLUMNS),
    ...reports.map(({ scenario }, number) => row(scenario, rows[number]!)),
    row('total', total),
    '',
    ...reports.filter(faultsOf).map(({ scenario, injected }) => `${scenario}, faults: ${counted(injected)}`),
    ...reports
      .filter(({ points: of }) => Object.keys(of).length > 0)
      .map(({ scenario, points: of }) => `${scenario}, processes caught where: ${counted(of)}`),
    ...(neverHit.length > 0 ? [`nobody ever came where: ${neverHit.join('; ')}`] : []),
    '',
  ].join('\n');
}

/** Of the broker that tools/brokers starts. */
function versionOf(broker: 'kafka' | 'cassandra'): string {
  const pom = readFileSync(new URL(`../tools/brokers/${broker}.pom.xml`, import.meta.url), 'utf8');
  return /<version>([^<]+)/.exec(pom)?.[1] ?? 'unknown';
}

/** What somebody else needs to know to believe the numbers, or to get the like. */
const circumstancesOf = (seed: number, minutes: number) => ({
  seed,
  minutes,
  began: new Date().toISOString(),
  node: process.version,
  kafka: versionOf('kafka'),
  cassandra: versionOf('cassandra'),
  machine: `${os.type()} ${os.release()} ${os.arch()}, ${os.cpus().length} x ${os.cpus()[0]?.model}, ${Math.round(os.totalmem() / GIB)} GiB`,
});

function chosen(): readonly Scenario[] {
  const here = scenarios.filter(({ platform = process.platform }) => platform === process.platform);
  const names = values.scenario ?? here.map(({ name }) => name);
  return names.map((name) => {
    const found = scenarios.find((scenario) => scenario.name === name);
    if (!found) throw new Misuse(`there is no scenario ${name}: see --help`);
    return found;
  });
}

async function main(): Promise<boolean> {
  const plan = chosen();
  const minutes = Number(values.minutes ?? DEFAULT_MINUTES_OF_EACH * plan.length);
  const [seed, folder] = [Number(values.seed), path.resolve(values.report)];
  if (!(minutes > 0)) throw new Misuse(`--minutes ${values.minutes}: not a time`);
  if (!Number.isSafeInteger(seed)) throw new Misuse(`--seed ${values.seed}: not a whole number`);
  mkdirSync(folder, { recursive: true });
  if (plan.some(({ engine }) => engine === 'distributed')) await startBrokers();
  const ms = (minutes * MINUTE_MS) / plan.length;
  console.log(`faults: ${plan.length} scenarios of ${Math.round(ms / 1_000)} s, seed ${seed}, report in ${folder}`);
  const circumstances = circumstancesOf(seed, minutes);
  const reports: Report[] = [];
  const broken: string[] = [];
  for (const scenario of plan) {
    if (stop.signal.aborted) break;
    process.stderr.write(`${scenario.name}: ${scenario.about}\n`);
    try {
      reports.push(await one(scenario, { seed, ms, folder: path.join(folder, scenario.name) }));
    } catch (error) {
      broken.push(scenario.name);
      console.log(`NO VERDICT  ${scenario.name}: ${(error as Error).stack}`);
    }
    writeFileSync(
      path.join(folder, 'report.json'),
      JSON.stringify({ ...circumstances, reports, broken }, undefined, 2),
    );
    writeFileSync(path.join(folder, 'summary.txt'), summary(reports, circumstances));
  }
  console.log(summary(reports, circumstances));
  const bad = reports.filter(({ violations, complaints }) => violations.length + complaints.length > 0);
  const failed = bad.length + broken.length;
  console.log(`${reports.length - bad.length} passed, ${failed} failed; seed ${seed}`);
  return failed === 0;
}

async function one(
  scenario: Scenario,
  options: { readonly seed: number; readonly ms: number; readonly folder: string },
): Promise<Report> {
  const began = performance.now();
  const report = await run(scenario, {
    ...options,
    stop: stop.signal,
    onProgress: (phase) => process.stderr.write(`  ${((performance.now() - began) / 1_000).toFixed(1)} s: ${phase}\n`),
  });
  const { violations, complaints } = report;
  for (const violation of violations.slice(0, MOST_SHOWN)) console.log(shown(violation));
  if (violations.length > MOST_SHOWN) console.log(`and ${violations.length - MOST_SHOWN} more: ${options.folder}`);
  for (const complaint of complaints) console.log(`NOT AT REST  ${complaint}`);
  return report;
}

if (values.help) {
  process.stdout.write(HELP);
} else {
  // The first asks for a verdict on what has happened so far, the second for an end.
  process.on('SIGINT', () => {
    if (stop.signal.aborted) void cleanUp().finally(() => process.exit(130));
    process.stderr.write('stopping: what has happened so far is checked\n');
    stop.abort();
  });
  let isGood = false;
  try {
    isGood = await main();
  } catch (error) {
    process.stderr.write(
      `${error instanceof Misuse || error instanceof brokers.BrokerProblem ? error.message : (error as Error).stack}\n`,
    );
  }
  await cleanUp();
  process.exit(isGood ? 0 : 1);
}
