import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import type { Random } from '../simulation/random.js';
import { Seen, type Client } from './client.js';
import { outcomeOf, type Ask, type Call, type ListStatus, type OwnerAsked } from './history.js';
import type { Server } from './server.js';
import { extensionNames } from './shown.js';

const CONTACTS = ['ada', 'bob', 'eve'];
const CUSTOMERS = ['c1', 'c2', 'c3'];
/** Only composite starts use these: what they agree on can be told. */
const COMPOSITE_CONTACTS = ['x1', 'x2'];

/** Lists that callers read, and that are read at the end. */
export const owners: readonly OwnerAsked[] = [
  ...[...CONTACTS, ...COMPOSITE_CONTACTS].map((contact_key) => ({ contact_key })),
  ...CUSTOMERS.map((customer_id) => ({ customer_id })),
];
export const statuses: readonly ListStatus[] = ['all', 'active', 'completed'];

/** Less than the offset of a wrong clock, and far more than a run takes. */
const SHORT_LIFE_SECONDS = 1_800;

const KEYED = 0.6;
const SENDS_POSITION = 0.4;
const REPEATS_AFTER_SUCCESS = 0.15;
const USES_KEY_AGAIN = 0.05;
const MOST_ATTEMPTS = 8;
/** Services that are talked about at the same time: few, so that requests meet. */
const HOT = 5;
/** And often of one and the same. */
const LATEST = 0.4;
const LONGEST_PAUSE_MS = 40;
const RETRY_PAUSE_MS = 150;

interface KnownService {
  readonly service_id: string;
  readonly states: string[];
  readonly tasks: string[];
}

/** What all callers talk about. */
export class Conversations {
  private readonly known = new Map<string, KnownService>();

  get services(): readonly string[] {
    return [...this.known.keys()];
  }

  add(service_id: string): KnownService {
    const found = this.known.get(service_id) ?? { service_id, states: [], tasks: [] };
    this.known.set(service_id, found);
    return found;
  }

  pick(random: Random): KnownService | undefined {
    const recent = [...this.known.values()].slice(-HOT);
    return random.chance(LATEST) ? recent.at(-1) : recent[random.below(recent.length)];
  }

  learn({ ask, answer }: Call): void {
    const { service_id, state_id, task_id, services } = (answer?.body ?? {}) as {
      readonly [id: string]: string;
    } & { readonly services?: readonly { readonly [id: string]: string }[] };
    for (const found of services ?? [{ service_id, state_id, task_id }]) {
      const id = found['service_id'] ?? ('service_id' in ask ? ask.service_id : undefined);
      if (id === undefined) continue;
      const known = this.add(id);
      if (typeof found['state_id'] === 'string') known.states.push(found['state_id']);
      if (typeof found['task_id'] === 'string') known.tasks.push(found['task_id']);
    }
  }
}

/** One after another it asks this and that, repeats what it must, until it is told to stop. */
export class Caller {
  private readonly seen = new Seen();
  /** The key that was used last, and what was asked with it and may be recorded. */
  private last: { readonly key: string; readonly calls: readonly Call[] } | undefined;
  private requests = 0;

  constructor(
    private readonly name: string,
    private readonly client: Client,
    private readonly servers: readonly Server[],
    private readonly conversations: Conversations,
    private readonly random: Random,
  ) {}

  async talk(stop: AbortSignal): Promise<void> {
    while (!stop.aborted) {
      await this.pursue(this.think(), stop);
      await sleep(this.random.below(LONGEST_PAUSE_MS));
    }
  }

  /** With a key it is repeated, on any process, until the outcome is known. */
  private async pursue(ask: Ask, stop: AbortSignal): Promise<void> {
    const { random, client, servers } = this;
    const isKeyed = !['delete', 'get', 'list'].includes(ask.kind) && random.chance(KEYED);
    const isReused = isKeyed && random.chance(USES_KEY_AGAIN);
    const key = (isReused ? this.last?.key : undefined) ?? (isKeyed ? `${this.name}-${this.requests++}` : undefined);
    const before = key !== undefined && key === this.last?.key ? this.last.calls : [];
    // Of the same key and the same body it is a repeat, meant or not, whatever else was asked with the key in between.
    let first = before.find((call) => isDeepStrictEqual(ask, call.ask));
    for (let attempt = 0; attempt < MOST_ATTEMPTS; attempt++) {
      const { header } = this.seen;
      const call = await client.ask(random.pick(servers), ask, {
        ...(key !== undefined && { key }),
        ...(header !== undefined && random.chance(SENDS_POSITION) && { seen: header }),
        ...(first && { repeats: first }),
      });
      first ??= call;
      this.seen.add(call);
      const outcome = outcomeOf(call);
      if (outcome === 'ok') this.conversations.learn(call);
      if (outcome === 'refused' || outcome === 'odd') return;
      if (key !== undefined) this.last = { key, calls: before.includes(first) ? before : [...before, first] };
      if (outcome === 'ok' && !(key !== undefined && random.chance(REPEATS_AFTER_SUCCESS))) return;
      if (outcome !== 'ok') {
        await sleep(RETRY_PAUSE_MS);
        if (key === undefined || stop.aborted) return;
      }
    }
  }

  private think(): Ask {
    const { random } = this;
    const service = this.conversations.pick(random);
    const kind = random.weighted({ start: 10, composite: 10, list: 10, get: 20, act: 50 });
    if (kind === 'composite')
      return { kind, contact_key: random.pick(COMPOSITE_CONTACTS), withTask: random.chance(0.5) };
    if (kind === 'list') return { kind, status: random.pick(statuses), ...random.pick(owners) };
    if (kind === 'start' || !service) {
      const owner = random.chance(0.7)
        ? { contact_key: random.pick(CONTACTS) }
        : { customer_id: random.pick(CUSTOMERS) };
      return { kind: 'start', ...owner, ...(random.chance(0.3) && { ttl: SHORT_LIFE_SECONDS }) };
    }
    return kind === 'get' ? { kind, service_id: service.service_id } : this.act(service);
  }

  private act({ service_id, states, tasks }: KnownService): Ask {
    const { random } = this;
    const state_id = states.length > 0 ? random.pick(states) : 'no-state';
    const task_id = tasks.length > 0 ? random.pick(tasks) : 'no-task';
    const about = { service_id };
    const kind = random.weighted({
      'start-state': 14,
      'end-state': 10,
      transition: 12,
      'start-task': 10,
      'end-task': 8,
      replace: 12,
      merge: 8,
      associate: 8,
      expire: 4,
      end: 8,
      delete: 3,
    });
    const part = (): { state_id?: string; task_id?: string } =>
      random.pick([{}, {}, ...(states.length > 0 ? [{ state_id }] : []), ...(tasks.length > 0 ? [{ task_id }] : [])]);
    switch (kind) {
      case 'associate':
        return { kind, ...about, customer_id: random.pick(CUSTOMERS) };
      case 'expire':
        return { kind, ...about, ttl: SHORT_LIFE_SECONDS };
      case 'end-state':
      case 'transition':
        return { kind, ...about, state_id };
      case 'start-task':
        return { kind, ...about, ...(states.length > 0 && random.chance(0.5) && { state_id }) };
      case 'end-task':
        return { kind, ...about, task_id };
      case 'replace':
        return { kind, ...about, ...part(), name: random.pick(extensionNames), value: this.value() };
      case 'merge':
        return { kind, ...about, ...part(), name: 'Kept', value: { [`m${random.below(4)}`]: random.below(1_000) } };
      case 'start-state':
      case 'end':
      case 'delete':
        return { kind, ...about };
    }
  }

  private value(): unknown {
    const { random } = this;
    return random.pick([random.below(1_000), `text ${random.below(1_000)}`, { n: random.below(1_000) }]);
  }
}
