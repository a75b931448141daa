import { Agent, request } from 'undici';
import net from 'node:net';
import { once } from 'node:events';
import { leave, Program } from '../apps/api/test/processes.js';
import type { Brokers } from './brokers.js';
import { fill, History } from './history.js';
import { Latencies, type Percentiles } from './latencies.js';
import { closedLoop } from './load.js';
import { residentMib } from './processes.js';
import { newBenchPlace, PARTITIONS, System, untilProjected } from './system.js';

export interface GrowthOptions {
  readonly brokers: Brokers | undefined;
  readonly sizes: readonly number[];
  readonly seconds: number;
  /** Open connections without a request. */
  readonly idleConnections: number;
  readonly onProgress: (what: string) => void;
  readonly stop: AbortSignal;
}

/** What a server with so many services shows. */
export interface Grown {
  readonly services: number;
  readonly events: number;
  readonly filledPerSecond: number;
  readonly projectedPerSecond: number;
  /** Seconds from the start of the process until it is ready, with everything projected. */
  readonly startSeconds: Readonly<Record<string, number>>;
  /** MiB, by process: after the start, and after the requests. */
  readonly memoryAtStart: Readonly<Record<string, number>>;
  readonly memory: Readonly<Record<string, number>>;
  /** MiB of the api with the idle connections open. */
  readonly memoryWithConnections: number;
  /** ms, by what is asked. */
  readonly latencies: Readonly<Record<string, Percentiles>>;
  readonly errors: number;
}

const CUSTOMERS = 1_000;
const HOT = 'hot-customer';
/** A tenth of all, the others are spread over the customers. */
const HOT_SHARE = 10;
const ENDED_SHARE = 5;
const LARGE_PARTS = 500;
const CALLERS = 8;
const QUERIES = 1_000;
const TENTH = 10;

/** The same questions to servers with few services and with many. */
export async function growth(options: GrowthOptions): Promise<readonly Grown[]> {
  const results: Grown[] = [];
  for (const services of options.sizes) {
    if (options.stop.aborted) break;
    options.onProgress(`${services} services`);
    const grown = await measure(options, services);
    results.push(grown);
    options.onProgress(JSON.stringify(grown));
  }
  return results;
}

async function measure(options: GrowthOptions, services: number): Promise<Grown> {
  const { brokers, onProgress, stop } = options;
  const place = newBenchPlace(brokers);
  try {
    const history = new History(PARTITIONS);
    let told = performance.now();
    const began = told;
    const events = await fill(place, historyOf(history, services), (count) => {
      if (performance.now() - told < 5_000) return;
      told = performance.now();
      onProgress(`${count} events in the log`);
    });
    const filledPerSecond = Math.round((1_000 * events) / (performance.now() - began));
    const projecting = performance.now();
    const program = await Program.start('projector', place);
    const projected = await untilProjected(place, undefined, program);
    const projectedPerSecond = Math.round((1_000 * events) / (projected - projecting));
    await program.end('SIGTERM');
    onProgress('restarting with everything projected');
    const system = await System.start(brokers, {}, place);
    try {
      const memoryAtStart = memoryOf(system);
      const latencies = new Latencies();
      onProgress('requests');
      const { errors, latencies: ofCommands } = await closedLoop({
        target: system.target,
        callers: CALLERS,
        seconds: options.seconds,
        stop,
      });
      const failed = await queries(system, history.serviceIds, latencies);
      const memory = memoryOf(system);
      const memoryWithConnections = await withConnections(system, options.idleConnections);
      return {
        services,
        events,
        filledPerSecond,
        projectedPerSecond,
        startSeconds: system.startSeconds,
        memoryAtStart,
        memory,
        memoryWithConnections,
        latencies: { commands: ofCommands.of((kind) => kind !== 'get service')!, ...latencies.byKind() },
        errors: failed + [...errors.values()].reduce((sum, count) => sum + count, 0),
      };
    } finally {
      await system.end({ keep: true });
    }
  } finally {
    leave(place);
  }
}

function* historyOf(history: History, services: number) {
  // The last service is the large one.
  for (let number = 0; number < services - 1; number++) {
    const customer = number % HOT_SHARE === 0 ? HOT : `customer-${number % CUSTOMERS}`;
    yield* history.short(customer, number % ENDED_SHARE === 0);
  }
  yield* history.large('large-customer', LARGE_PARTS);
}

const memoryOf = ({ pids }: System): Readonly<Record<string, number>> =>
  Object.fromEntries(Object.entries(pids).map(([name, pid]) => [name, Math.round(residentMib(pid))]));

/** Resolves with the number of answers that are not what they should be. */
async function queries(
  { target: { origin, basePath } }: System,
  serviceIds: readonly string[],
  latencies: Latencies,
): Promise<number> {
  let failed = 0;
  const dispatcher = new Agent({ connections: CALLERS });
  const ask = async (kind: string, path: string): Promise<void> => {
    const since = performance.now();
    const answer = await request(`${origin}${basePath}/${path}`, { dispatcher });
    await answer.body.text();
    latencies.add(kind, performance.now() - since);
    if (answer.statusCode !== 200) failed++;
  };
  const several = async (times: number, work: (number: number) => Promise<void>): Promise<void> => {
    let next = 0;
    const one = async (): Promise<void> => {
      while (next < times) await work(next++);
    };
    await Promise.all(Array.from({ length: CALLERS }, one));
  };
  const any = (): string => serviceIds[Math.floor(Math.random() * (serviceIds.length - 1))]!;
  const someCustomer = (number: number): string => `customer-${(number * 7 + 1) % CUSTOMERS}`;
  const large = serviceIds.at(-1)!;
  await several(QUERIES, () => ask('by id', `services/${any()}`));
  await several(QUERIES / TENTH, (number) =>
    ask('newest 10 active of a customer', `customers/${someCustomer(number)}/services/active?limit=10&order=desc`),
  );
  await several(QUERIES / TENTH, () =>
    ask('newest 10 active of the hot customer', `customers/${HOT}/services/active?limit=10&order=desc`),
  );
  await several(QUERIES / TENTH, () =>
    ask('service with 1,000 parts', `services/${large}?active_states=true&active_tasks=true`),
  );
  await dispatcher.close();
  return failed;
}

async function withConnections({ target, pids }: System, count: number): Promise<number> {
  const { hostname, port } = new URL(target.origin);
  const sockets: net.Socket[] = [];
  const together = 500;
  for (let opened = 0; opened < count; opened += together) {
    const some = Array.from({ length: Math.min(together, count - opened) }, () => net.connect(Number(port), hostname));
    sockets.push(...some);
    await Promise.all(some.map((socket) => once(socket, 'connect')));
  }
  // It still answers.
  const answer = await request(`${target.origin}${target.basePath}/server/status`);
  await answer.body.text();
  if (answer.statusCode !== 200) throw new Error(`with ${count} connections it answers ${answer.statusCode}`);
  const mib = Math.round(residentMib(pids['api']!));
  for (const socket of sockets) socket.destroy();
  return mib;
}
