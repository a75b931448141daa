import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import * as brokers from '../tools/brokers/brokers.mjs';
import { run, shown, type Report } from './run.js';
import { scenarios, type Scenario } from './scenarios.js';

const MINUTE_MS = 60_000;
const MOST_SHOWN = 3;

const HELP = `Breaks things on purpose while callers are at work, and checks everything that they were told.

  npm run faults -- [--minutes N] [--seed S] [--scenario NAME]... [--report FOLDER]

  --minutes N      how long each scenario goes on (default 0.5)
  --seed S         of what is asked and broken, and when; processes and network have a will of their own
  --scenario NAME  only this one, or these; every one by default
  --report FOLDER  report.json, and the history of each scenario

Real Kafka and Cassandra are started unless CS_TEST_KAFKA and the others of npm test say where they are.

${scenarios.map(({ name, about }) => `  ${name.padEnd(18)} ${about}`).join('\n')}
`;

/** The person at the keyboard can do something about it. */
class Misuse extends Error {}

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '0.5' },
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

const COLUMNS = 'seconds commands reads unknown not-appl. faults valid void violated restless'.split(' ');
const NAME_WIDTH = 18;
const COLUMN_WIDTH = 10;

const row = (name: string, cells: readonly (string | number)[]): string =>
  name.padEnd(NAME_WIDTH) + cells.map((cell) => String(cell).padStart(COLUMN_WIDTH)).join('');

function summary(report: Report): string {
  const { seconds, commands, reads, outcomes, injected, records, violations, complaints } = report;
  const faults = Object.values(injected).reduce((sum, count) => sum + count, 0);
  const told = [outcomes.unknown ?? 0, outcomes['not-applied'] ?? 0];
  const found = [violations.length, complaints.length];
  return row(report.scenario, [seconds, commands, reads, ...told, faults, records.valid, records.void, ...found]);
}

function chosen(): readonly Scenario[] {
  const names = values.scenario ?? scenarios.map(({ name }) => name);
  return names.map((name) => {
    const found = scenarios.find((scenario) => scenario.name === name);
    if (!found) throw new Misuse(`there is no scenario ${name}: see --help`);
    return found;
  });
}

async function main(): Promise<boolean> {
  const [minutes, seed, folder] = [Number(values.minutes), Number(values.seed), path.resolve(values.report)];
  if (!(minutes > 0)) throw new Misuse(`--minutes ${values.minutes}: not a time`);
  if (!Number.isSafeInteger(seed)) throw new Misuse(`--seed ${values.seed}: not a whole number`);
  const plan = chosen();
  mkdirSync(folder, { recursive: true });
  if (plan.some(({ engine }) => engine === 'distributed')) await startBrokers();
  console.log(`faults: ${plan.length} scenarios of ${minutes} min, seed ${seed}, report in ${folder}`);
  const reports: Report[] = [];
  for (const scenario of plan) {
    if (stop.signal.aborted) break;
    process.stderr.write(`${scenario.name}: ${scenario.about}\n`);
    const ownFolder = path.join(folder, scenario.name);
    const began = performance.now();
    const report = await run(scenario, {
      seed,
      ms: minutes * MINUTE_MS,
      folder: ownFolder,
      stop: stop.signal,
      onProgress: (phase) =>
        process.stderr.write(`  ${((performance.now() - began) / 1_000).toFixed(1)} s: ${phase}\n`),
    });
    reports.push(report);
    const { violations, complaints, outcomes, injected } = report;
    for (const violation of violations.slice(0, MOST_SHOWN)) console.log(shown(violation));
    if (violations.length > MOST_SHOWN) console.log(`and ${violations.length - MOST_SHOWN} more: ${ownFolder}`);
    for (const complaint of complaints) console.log(`NOT AT REST  ${complaint}`);
    process.stderr.write(`  ${JSON.stringify({ outcomes, injected })}\n`);
    writeFileSync(path.join(folder, 'report.json'), JSON.stringify({ seed, minutes, reports }, undefined, 2));
  }
  console.log(row('scenario', COLUMNS));
  for (const report of reports) console.log(summary(report));
  const bad = reports.filter(({ violations, complaints }) => violations.length + complaints.length > 0);
  console.log(`${reports.length - bad.length} passed, ${bad.length} failed; seed ${seed}`);
  return bad.length === 0;
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
