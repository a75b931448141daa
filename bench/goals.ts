import type { Round } from './command-path.js';
import type { Report } from './main.js';
import { EMBEDDED, EMMETT } from './peers.js';

/** What the server is meant to reach on a machine of two cores. */
export interface Goal {
  readonly goal: string;
  /** Undefined: not measured in this run. */
  readonly measured: string | undefined;
  readonly reached: boolean | undefined;
}

/** The one in the middle. */
export function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

const rateOf = (rounds: readonly Round[] | undefined): number | undefined =>
  rounds && median(rounds.map(({ requestsPerSecond }) => requestsPerSecond));

function atLeast(goal: string, least: number, measured: number | undefined, digits = 0): Goal {
  if (measured === undefined || Number.isNaN(measured)) return { goal, measured: undefined, reached: undefined };
  return { goal, measured: measured.toFixed(digits), reached: measured >= least };
}

function below(goal: string, limit: number, measured: number | undefined, unit: string): Goal {
  if (measured === undefined) return { goal, measured: undefined, reached: undefined };
  return { goal, measured: `${measured} ${unit}`, reached: measured < limit };
}

function ratio(one: number | undefined, other: number | undefined): number | undefined {
  return one === undefined || other === undefined ? undefined : one / other;
}

/** Each with what this run has measured. */
export function goals({ scenario, commandPath, projector, growth, peers }: Report): readonly Goal[] {
  const { distributed, embedded } = scenario;
  const errors = distributed && Object.values(distributed.closed.errors).reduce((sum, count) => sum + count, 0);
  const largest = growth.embedded?.at(-1);
  const smallest = growth.embedded?.at(0);
  const projected = projector.distributed?.map(({ eventsPerSecond }) => eventsPerSecond);
  return [
    atLeast('distributed: 3,000 requests/s', 3_000, distributed?.closed.requestsPerSecond),
    below('distributed: no errors', 1, errors, 'errors'),
    below('distributed, open loop: p99 of commands below 25 ms', 25, distributed?.open.commands?.['p99'], 'ms'),
    below(
      'distributed, open loop: p99 of by-id reads below 10 ms',
      10,
      distributed?.open.latencies['get service']?.['p99'],
      'ms',
    ),
    below('distributed, open loop: visible within 100 ms (p99)', 100, distributed?.open.visible?.['p99'], 'ms'),
    atLeast(
      'command path: 0.6 of Fastify with kafkajs and a tail',
      0.6,
      ratio(rateOf(commandPath.distributed?.['api']), rateOf(commandPath.distributed?.['fastify-kafka'])),
      2,
    ),
    atLeast('embedded: 5,000 requests/s', 5_000, embedded?.closed.requestsPerSecond),
    atLeast(
      'embedded: 3 times Emmett with PostgreSQL, the same conversations',
      3,
      ratio(rateOf(peers?.rounds[EMBEDDED]), rateOf(peers?.rounds[EMMETT])),
      2,
    ),
    atLeast('projector, distributed: 10,000 events/s', 10_000, projected && median(projected)),
    atLeast(
      'projector, distributed: 0.5 of bare writes of the same rows',
      0.5,
      projector.distributed &&
        median(projector.distributed.map((round) => round.eventsPerSecond / round.bareWritesPerSecond!)),
      2,
    ),
    atLeast(
      'replay, embedded: 20,000 events/s',
      20_000,
      projector.embedded && median(projector.embedded.map(({ eventsPerSecond }) => eventsPerSecond)),
    ),
    below('embedded: api below 400 MiB with the most services', 400, largest?.memory['api'], 'MiB'),
    below('embedded: api ready within 5 s with the most services', 5, largest?.startSeconds['api'], 's'),
    below(
      'embedded: median of commands with the most services within 1.5 times that with the fewest',
      1.5,
      ratio(largest?.latencies['commands']?.p50, smallest?.latencies['commands']?.p50),
      'times',
    ),
  ];
}
