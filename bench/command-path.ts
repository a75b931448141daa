import type { Brokers } from './brokers.js';
import { Floor, type FloorName } from './floors/index.js';
import { closedLoop, type Target } from './load.js';
import { cpuSeconds } from './processes.js';
import { System } from './system.js';

/** One round of one server. */
export interface Round {
  readonly requestsPerSecond: number;
  /** CPU of the server's process, microseconds. */
  readonly cpuPerRequest: number;
  readonly errors: number;
}

export interface CommandPathOptions {
  readonly brokers: Brokers | undefined;
  readonly rounds: number;
  readonly seconds: number;
  readonly callers: number;
  readonly onProgress: (what: string) => void;
  readonly stop: AbortSignal;
}

interface Competitor {
  readonly name: string;
  readonly target: Target;
  readonly pid: number;
}

const WARM_UP_SECONDS = 5;
const MICROSECONDS = 1_000_000;
/** Nobody projects meanwhile, and nothing is read: the api does the same IO as the floor. */
const NEVER_BEHIND = { CS_MAX_LAG_RECORDS: '1000000000' };

/** The api beside servers that do less and less, all with the same conversations, one after another in each round. */
export async function commandPath(options: CommandPathOptions): Promise<ReadonlyMap<string, readonly Round[]>> {
  const { brokers, onProgress, stop } = options;
  const floors: FloorName[] = ['node-http', 'fastify', ...(brokers ? (['fastify-kafka'] as const) : [])];
  const floorEnv = brokers && { BENCH_KAFKA: brokers.addresses.kafka, BENCH_PARTITIONS: '12' };
  const started: { end(): Promise<void> }[] = [];
  try {
    const competitors: Competitor[] = [];
    for (const name of floors) {
      const floor = await Floor.start(name, floorEnv);
      started.push(floor);
      competitors.push({ name, target: floor.target, pid: floor.pid });
    }
    const system = await System.start(brokers, NEVER_BEHIND);
    started.push(system);
    if (brokers) system.pauseProjector();
    competitors.push({ name: 'api', target: system.target, pid: system.pids['api']! });
    const rounds = new Map<string, Round[]>();
    for (const { name, target } of competitors) {
      onProgress(`${name} is warming up`);
      await closedLoop({ target, callers: options.callers, seconds: WARM_UP_SECONDS, stop, commandsOnly: true });
      rounds.set(name, []);
    }
    for (let round = 1; round <= options.rounds && !stop.aborted; round++) {
      for (const { name, target, pid } of competitors) {
        const before = cpuSeconds(pid);
        const { requests, seconds, errors } = await closedLoop({ ...options, target, commandsOnly: true });
        const cpu = cpuSeconds(pid) - before;
        const failed = [...errors.values()].reduce((sum, count) => sum + count, 0);
        const measured = {
          requestsPerSecond: Math.round(requests / seconds),
          cpuPerRequest: Math.round((cpu * MICROSECONDS) / requests),
          errors: failed,
        };
        rounds.get(name)!.push(measured);
        onProgress(`round ${round}, ${name}: ${JSON.stringify(measured)}`);
      }
    }
    return rounds;
  } finally {
    for (const one of started.reverse()) await one.end();
  }
}
