import type { Brokers } from './brokers.js';
import { Floor, type FloorName } from './floors/index.js';
import { closedLoop, type Target } from './load.js';
import { cpuSeconds } from './processes.js';
import { System } from './system.js';

/** One round of one server. */
export interface Round {
  readonly requestsPerSecond: number;
  /** CPU of the server's processes, microseconds. */
  readonly cpuPerRequest: number;
  readonly errors: number;
}

export interface RoundsOptions {
  readonly rounds: number;
  readonly seconds: number;
  readonly callers: number;
  readonly onProgress: (what: string) => void;
  readonly stop: AbortSignal;
}

export interface CommandPathOptions extends RoundsOptions {
  readonly brokers: Brokers | undefined;
}

export interface Competitor {
  readonly name: string;
  readonly target: Target;
  /** CPU that it has used so far. */
  readonly cpuSeconds: () => number;
}

const WARM_UP_SECONDS = 5;
const MICROSECONDS = 1_000_000;
/** Nobody projects meanwhile, and nothing is read: the api does the same IO as the floor. */
const NEVER_BEHIND = { CS_MAX_LAG_RECORDS: '1000000000' };

/** The api beside servers that do less and less. */
export async function commandPath(options: CommandPathOptions): Promise<ReadonlyMap<string, readonly Round[]>> {
  const { brokers } = options;
  const floors: FloorName[] = ['node-http', 'fastify', ...(brokers ? (['fastify-kafka'] as const) : [])];
  const floorEnv = brokers && { BENCH_KAFKA: brokers.addresses.kafka, BENCH_PARTITIONS: '12' };
  const started: { end(): Promise<void> }[] = [];
  try {
    const competitors: Competitor[] = [];
    for (const name of floors) {
      const floor = await Floor.start(name, floorEnv);
      started.push(floor);
      competitors.push({ name, target: floor.target, cpuSeconds: () => cpuSeconds(floor.pid) });
    }
    const system = await System.start(brokers, NEVER_BEHIND);
    started.push(system);
    if (brokers) system.pauseProjector();
    competitors.push({ name: 'api', target: system.target, cpuSeconds: () => cpuSeconds(system.pids['api']!) });
    return await inTurns(competitors, { ...options, commandsOnly: true });
  } finally {
    for (const one of started.reverse()) await one.end();
  }
}

/** All with the same conversations, one after another in each round, because machines are noisy. */
export async function inTurns(
  competitors: readonly Competitor[],
  { rounds, onProgress, ...load }: RoundsOptions & { readonly commandsOnly?: boolean },
): Promise<ReadonlyMap<string, readonly Round[]>> {
  const all = new Map<string, Round[]>();
  for (const { name, target } of competitors) {
    onProgress(`${name} is warming up`);
    await closedLoop({ ...load, target, seconds: WARM_UP_SECONDS });
    all.set(name, []);
  }
  for (let round = 1; round <= rounds && !load.stop.aborted; round++) {
    for (const { name, target, cpuSeconds: cpu } of competitors) {
      const before = cpu();
      const { requests, seconds, errors } = await closedLoop({ ...load, target });
      const measured = {
        requestsPerSecond: Math.round(requests / seconds),
        cpuPerRequest: Math.round(((cpu() - before) * MICROSECONDS) / requests),
        errors: [...errors.values()].reduce((sum, count) => sum + count, 0),
      };
      all.get(name)!.push(measured);
      onProgress(`round ${round}, ${name}: ${JSON.stringify(measured)}`);
    }
  }
  return all;
}
