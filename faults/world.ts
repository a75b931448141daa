import { randomUUID } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { leave, newPlace, type Place } from '../apps/api/test/processes.js';
import { Random } from '../simulation/random.js';
import { kill, start as startBroker, type BrokerName } from '../tools/brokers/brokers.mjs';
import { KafkaProxy } from '../tools/brokers/kafka-proxy.mjs';
import { TcpProxy } from '../tools/brokers/tcp-proxy.mjs';
import { Caller, Conversations, owners, statuses } from './callers.js';
import { Client, Seen } from './client.js';
import { readStored, type Stored } from './evidence.js';
import { History, outcomeOf, type Ask, type Call } from './history.js';
import { Server, catchable, together, type Point } from './server.js';

/** How many processes there are, and what is special about each. */
export interface Setup {
  readonly engine: Place['engine'];
  /** Environment of each api; the embedded engine has one, with the projector inside. */
  readonly apis: readonly Readonly<Record<string, string>>[];
  readonly projectors: readonly Readonly<Record<string, string>>[];
  /** Whether processes can be caught at named points. */
  readonly isCatchable?: boolean;
  /** Of these the first talk to Kafka and Cassandra through proxies. */
  readonly behindProxy?: { readonly apis: number; readonly projectors: number };
}

export interface Proxies {
  readonly kafka: KafkaProxy;
  readonly cassandra: TcpProxy;
}

/** A process that came to a point. */
export interface Hit {
  readonly server: Server;
  readonly point: string;
}

const CALLERS = 6;
/** Longer than the server takes to say that it does not know. */
const PATIENCE_MS = 12_000;
const limits = {
  CS_APPEND_TIMEOUT_MS: '3000',
  CS_BARRIER_TIMEOUT_MS: '3000',
  CS_ROW_PATIENCE_MS: '3000',
  CS_LEASE_MS: '2000',
  CS_MODE_DATA_DRAIN_TIMEOUT_MS: '2000',
  CS_MODE_SCHEMA_DRAIN_TIMEOUT_MS: '2000',
  CS_LOG_LEVEL: 'warn',
};
const ATTEMPTS_AT_REST = 40;
const PAUSE_AT_REST_MS = 250;
const SERVICES_READ_AT_REST = 40;

/** Processes, callers and faults of one run in a place of its own. */
export class World {
  readonly apis: readonly Server[];
  readonly projectors: readonly Server[];
  readonly client: Client;
  readonly conversations = new Conversations();
  readonly injected = new Map<string, number>();
  /** Named points that processes were to be caught at. */
  readonly aimedAt = new Set<string>();
  /** What faults found that should not be so while things are broken, in words. */
  readonly complaints: string[] = [];
  /** Correlation ids of what a fault has written past the protocol. */
  readonly planted = new Set<string>();
  /** Services that a fault has poisoned: they are parked, as they should be. */
  readonly poisoned = new Set<string>();
  private readonly downBrokers = new Set<BrokerName>();
  private readonly callers: readonly Caller[];

  private constructor(
    readonly place: Place,
    readonly history: History,
    readonly proxies: Proxies | undefined,
    setup: Setup,
    readonly seed: number,
    private readonly folder: string,
  ) {
    const server = (kind: 'api' | 'projector') => (env: Readonly<Record<string, string>>, number: number) => {
      const isBehindProxy = number < (setup.behindProxy?.[`${kind}s`] ?? 0);
      const name = `${kind}-${number + 1}`;
      const own = {
        ...limits,
        ...(setup.engine === 'embedded' && { CS_PROJECTOR_INSIDE: 'true' }),
        ...(isBehindProxy &&
          proxies && {
            CS_KAFKA_BROKERS: proxies.kafka.address,
            CS_CASSANDRA_CONTACT_POINTS: proxies.cassandra.address,
          }),
      };
      const points = setup.isCatchable ? catchable(this.pointFile(name), this.hitsFile) : {};
      return new Server(name, kind, place, together(own, points, env));
    };
    this.apis = setup.apis.map(server('api'));
    this.projectors = setup.projectors.map(server('projector'));
    this.client = new Client(history, `f${randomUUID().slice(0, 8)}`, PATIENCE_MS);
    this.callers = Array.from(
      { length: CALLERS },
      (_, number) =>
        new Caller(
          `${place.topicPrefix}-${number}`,
          this.client,
          this.apis,
          this.conversations,
          new Random(seed + number),
        ),
    );
  }

  static async start(setup: Setup, seed: number, folder: string): Promise<World> {
    const place = newPlace(setup.engine);
    const proxies = setup.behindProxy && (await startProxies());
    const history = new History(path.join(folder, 'history.jsonl'));
    const world = new World(place, history, proxies, setup, seed, folder);
    try {
      const servers = [...world.projectors, ...world.apis];
      await Promise.all(servers.map((server) => server.start()));
      await Promise.all(servers.map((server) => server.ready()));
      return world;
    } catch (error) {
      await world.end();
      throw error;
    }
  }

  get servers(): readonly Server[] {
    return [...this.apis, ...this.projectors];
  }

  private get allProxies(): readonly TcpProxy[] {
    return this.proxies ? [this.proxies.kafka, this.proxies.cassandra] : [];
  }

  count(fault: string): void {
    this.injected.set(fault, (this.injected.get(fault) ?? 0) + 1);
  }

  /** From now on this process is caught when it comes there; nowhere without a point. */
  aim({ name }: Server, point?: Point): void {
    if (point) this.aimedAt.add(point.name);
    writeFileSync(this.pointFile(name), point ? JSON.stringify(point) : '');
  }

  private pointFile(name: string): string {
    return path.join(this.folder, `${name}.point`);
  }

  /** A line for each process that was caught at a named point. */
  private get hitsFile(): string {
    return path.join(this.folder, 'points-hit.txt');
  }

  /** Who was caught at which named point, each time. */
  get hits(): readonly Hit[] {
    const lines = existsSync(this.hitsFile) ? readFileSync(this.hitsFile, 'utf8').split('\n').slice(0, -1) : [];
    return lines.map((line) => {
      const { told, point } = JSON.parse(line) as { readonly told: string; readonly point: string };
      return { server: this.servers.find(({ name }) => this.pointFile(name) === told)!, point };
    });
  }

  /** Resolves when every caller was answered, or has given up, after `stop`. */
  async talk(stop: AbortSignal): Promise<void> {
    await Promise.all(this.callers.map((caller) => caller.talk(stop)));
  }

  async killBroker(name: BrokerName): Promise<void> {
    this.downBrokers.add(name);
    await kill(name, { data: process.env['CS_TEST_BROKERS_DATA']! });
  }

  async startBroker(name: BrokerName): Promise<void> {
    await startBroker(name, { data: process.env['CS_TEST_BROKERS_DATA']! });
    this.downBrokers.delete(name);
  }

  /** One more projector, for a while. */
  extraProjector(): Server {
    return new Server('projector-extra', 'projector', this.place, limits);
  }

  /**
   * All faults end, everything that was killed is started, and each process has done what it had still to do. Returns what
   * does not answer as it should by now, in words; then what is stored.
   */
  async rest(): Promise<{ readonly complaints: readonly string[]; readonly stored: Stored }> {
    for (const proxy of this.allProxies) proxy.heal();
    for (const name of this.downBrokers) await this.startBroker(name);
    for (const server of this.servers) server.resume();
    await Promise.all(this.servers.map((server) => server.ready()));
    const complaints = this.complaints.splice(0);
    const seen = new Seen();
    const until = async (api: Server, ask: Ask, isGood: (call: Call) => boolean): Promise<void> => {
      for (let attempt = 1; ; attempt++) {
        const { header } = seen;
        const call = await this.client.ask(
          api,
          ask,
          ask.kind === 'switch' || header === undefined ? {} : { seen: header },
        );
        seen.add(call);
        if (isGood(call)) return;
        if (attempt >= ATTEMPTS_AT_REST) {
          complaints.push(`${api.name}: ${call.id} ${ask.kind} is still answered ${call.answer?.status}`);
          return;
        }
        await sleep(PAUSE_AT_REST_MS);
      }
    };
    const isOk = (call: Call): boolean => outcomeOf(call) === 'ok';
    await until(this.apis[0]!, { kind: 'switch', mode: 'production' }, isOk);
    // What was still in a process's queue is in the log before this.
    for (const api of this.apis) await until(api, { kind: 'start', contact_key: 'rest' }, isOk);
    const readable = this.conversations.services.filter((id) => !this.poisoned.has(id)).slice(-SERVICES_READ_AT_REST);
    const reads: readonly Ask[] = [
      ...owners.flatMap((owner) => statuses.map((status) => ({ kind: 'list', status, ...owner }) as const)),
      ...readable.map((service_id) => ({ kind: 'get', service_id }) as const),
    ];
    const isRead = (call: Call): boolean => isOk(call) || (call.ask.kind === 'get' && call.answer?.status === 404);
    await Promise.all(
      this.apis.map(async (api) => {
        for (const ask of reads) await until(api, ask, isRead);
      }),
    );
    return { complaints, stored: await readStored(this.place) };
  }

  async end(): Promise<void> {
    await Promise.all(this.servers.map((server) => server.end()));
    await Promise.all(this.allProxies.map((proxy) => proxy.close()));
    for (const name of this.downBrokers) await this.startBroker(name);
    leave(this.place);
  }
}

async function startProxies(): Promise<Proxies> {
  const kafka = await KafkaProxy.start(process.env['CS_TEST_KAFKA_PROXIED']!);
  return { kafka, cassandra: await TcpProxy.start(process.env['CS_TEST_CASSANDRA']!) };
}
