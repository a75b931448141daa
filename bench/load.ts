import { setTimeout as sleep } from 'node:timers/promises';
import { Pool } from 'undici';
import { conversation, CALLS, type Call, type Ids } from './conversation.js';
import { Latencies } from './latencies.js';

export interface Target {
  readonly origin: string;
  /** In front of every path. */
  readonly basePath: string;
}

/** What callers were told. */
export interface Loaded {
  readonly seconds: number;
  readonly requests: number;
  /** By status, or by the error's code when there was no answer; those that are not 2xx. */
  readonly errors: ReadonlyMap<string, number>;
  readonly latencies: Latencies;
}

interface Options {
  readonly target: Target;
  readonly seconds: number;
  /** Told after each answer of a command: whose service it is, and which of its versions. */
  readonly onRecorded?: (serviceId: string, version: number) => void;
  /** Without the query of each conversation. */
  readonly commandsOnly?: boolean;
  readonly stop?: AbortSignal;
}

const CUSTOMERS = 100_000;
const customer = (): string => `customer-${Math.floor(Math.random() * CUSTOMERS)}`;

/** Connections, and what came over them. */
class Callers {
  readonly latencies = new Latencies();
  readonly errors = new Map<string, number>();
  requests = 0;
  private readonly pool: Pool;

  constructor(
    private readonly options: Options,
    connections: number,
  ) {
    this.pool = new Pool(options.target.origin, { connections, pipelining: 1 });
  }

  /** Undefined: not answered as it should be. `since`: when it ought to have been sent, ms of `performance.now()`. */
  async send({ kind, method, path, body }: Call, since: number): Promise<Ids | undefined> {
    try {
      const answer = await this.pool.request({
        method,
        path: `${this.options.target.basePath}/${path}`,
        ...(body !== undefined && { body, headers: { 'content-type': 'application/json' } }),
      });
      const text = await answer.body.text();
      this.latencies.add(kind, performance.now() - since);
      this.requests++;
      if (answer.statusCode >= 300) return this.fail(String(answer.statusCode));
      return text === '' ? {} : (JSON.parse(text) as Ids);
    } catch (error) {
      return this.fail((error as NodeJS.ErrnoException).code ?? String(error));
    }
  }

  /** One conversation; `turn` is waited for before each call and says since when it is waited for. */
  async converse(turn: (call: number) => Promise<number | undefined>): Promise<void> {
    const calls = conversation(customer(), !this.options.commandsOnly);
    let serviceId = '';
    let version = 0;
    let next = calls.next();
    for (let number = 0; !next.done; number++) {
      const since = await turn(number);
      if (since === undefined) return;
      const answer = await this.send(next.value, since);
      if (!answer) return;
      serviceId ||= answer.service_id ?? '';
      if (next.value.method === 'POST') this.options.onRecorded?.(serviceId, ++version);
      next = calls.next(answer);
    }
  }

  async end(began: number): Promise<Loaded> {
    await this.pool.close();
    const { requests, errors, latencies } = this;
    return { seconds: (performance.now() - began) / 1_000, requests, errors, latencies };
  }

  private fail(reason: string): undefined {
    this.errors.set(reason, (this.errors.get(reason) ?? 0) + 1);
  }
}

/** So many callers, each with the next call as soon as the last is answered: how much the server can do. */
export async function closedLoop(options: Options & { readonly callers: number }): Promise<Loaded> {
  const callers = new Callers(options, options.callers);
  const began = performance.now();
  const until = began + options.seconds * 1_000;
  const turn = async (): Promise<number | undefined> => {
    const now = performance.now();
    return now < until && !options.stop?.aborted ? now : undefined;
  };
  await Promise.all(
    Array.from({ length: options.callers }, async () => {
      while ((await turn()) !== undefined) await callers.converse(turn);
    }),
  );
  return callers.end(began);
}

/** Between two calls of one conversation, ms. */
const THINKING_MS = 50;
const MOST_CONNECTIONS = 256;

/**
 * So many requests a second, whether or not the server keeps up. Each latency counts from the moment at which the call
 * was due, so that what waits behind a slow answer is not left out (coordinated omission).
 */
export async function openLoop(options: Options & { readonly requestsPerSecond: number }): Promise<Loaded> {
  const callers = new Callers(options, MOST_CONNECTIONS);
  const began = performance.now();
  const betweenMs = (1_000 * CALLS) / options.requestsPerSecond;
  const underWay: Promise<void>[] = [];
  const conversations = Math.ceil((options.seconds * 1_000) / betweenMs);
  for (let number = 0; number < conversations && !options.stop?.aborted; number++) {
    const due = began + number * betweenMs;
    await waitUntil(due);
    underWay.push(
      callers.converse(async (call) => {
        const dueThen = due + call * THINKING_MS;
        await waitUntil(dueThen);
        return options.stop?.aborted ? undefined : dueThen;
      }),
    );
  }
  await Promise.all(underWay);
  return callers.end(began);
}

async function waitUntil(moment: number): Promise<void> {
  const ms = moment - performance.now();
  if (ms > 0) await sleep(ms);
}
