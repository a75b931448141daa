import { hash } from 'node:crypto';
import { Rejected, type CommandTerms, type MetadataCommand, type ServiceCommand } from '#domain';
import type { Lifetime } from '#events';
import { isServerMade, type Ids } from '../apps/api/src/services/ids.js';
import type { CompositeElement, ServicesFilter } from '../apps/api/src/services/service.messages.js';
import type { Ask } from './history.js';
import type { Random } from './random.js';
import { beginning } from './scheduler.js';

export const tenant = '1';

/** A service that somebody has asked for; whether it exists is for the log to say. */
interface Known {
  readonly service_id: string;
  readonly states: string[];
  readonly tasks: string[];
}

const contacts = ['ada', 'bob'];
const customers = ['c1', 'c2'];
/** Only composite starts use these: what they agreed on can be counted. */
const compositeContacts = ['x1', 'x2'];
const compositeCustomers = ['cx'];
/** Few schemas, so that changes of them meet. */
const extensions = ['billing', 'loyalty'];

/** Thinks of things to ask, mostly of few services at once, so that requests meet. */
export class Asks {
  private readonly known: Known[] = [];
  private made = 0;

  constructor(
    private readonly random: Random,
    private readonly ids: Ids,
    private readonly now: () => number,
    /** How many services are talked about at the same time. */
    private readonly hot: number,
    /** Whether lifetimes end within the schedule. */
    private readonly shortLives: boolean,
  ) {}

  /** `repeatable`: the maker of one request with an idempotency key, asked again for each repeat of it. */
  command(key: string | undefined): () => Ask {
    const { random } = this;
    const kind = random.weighted({ start: 16, composite: 14, act: 70 });
    if (kind === 'composite') return this.composite(key);
    if (kind === 'start' || this.known.length === 0) return this.start(key);
    return this.act();
  }

  query(): Ask {
    const { random } = this;
    if (random.chance(0.6) && this.known.length > 0) return { kind: 'get', service_id: this.service().service_id };
    const owner = random.pick([
      ...[...contacts, ...compositeContacts].map((id) => ({ tenant, kind: 'contact' as const, id })),
      ...[...customers, ...compositeCustomers].map((id) => ({ tenant, kind: 'customer' as const, id })),
    ]);
    const filter: ServicesFilter = {
      status: random.pick(['active', 'active', 'completed', 'all']),
      ...(random.chance(0.2) && { serviceTypes: [random.pick(['order', '5'])] }),
    };
    return { kind: 'list', owner, filter, page: random.chance(0.3) ? { limit: 1 + random.below(3) } : {} };
  }

  /** A change of metadata: in both modes, or in maintenance only. */
  metadata(): Ask {
    const { random } = this;
    const name = random.pick(extensions);
    const command: MetadataCommand = random.chance(0.5)
      ? { type: 'CreateProfileExtensionSchema', data: { name, type: 'single-valued' } }
      : { type: 'DeleteProfileExtensionSchema', data: { name } };
    return { kind: 'metadata', command };
  }

  /** Services that were asked for. */
  get services(): readonly string[] {
    return this.known.map(({ service_id }) => service_id);
  }

  freshStart(): Ask {
    const service_id = this.ids.service();
    return {
      kind: 'command',
      command: { type: 'StartService', data: { service_id, timestamp: this.timestamp() }, lifetime: { slide: 3_600 } },
    };
  }

  private service(): Known {
    const { known, random } = this;
    return known[known.length - 1 - random.below(Math.min(this.hot, known.length))]!;
  }

  /** An id of a caller's own, new or in use. */
  private broughtId(): string {
    const inUse = this.known.filter(({ service_id }) => !isServerMade(service_id)).slice(-this.hot);
    return inUse.length > 0 && this.random.chance(0.45) ? this.random.pick(inUse).service_id : `s${++this.made}`;
  }

  private start(key: string | undefined): () => Ask {
    const { random } = this;
    // As over HTTP: a caller may bring an id of its own; one of the server's is made for each request.
    const brought = random.chance(0.65) ? this.broughtId() : undefined;
    const keyed = brought ?? (key === undefined ? undefined : this.ids.service(key));
    const lifetime = this.lifetime(0.3);
    const data = {
      service_type: random.pick(['order', 5]),
      ...(random.chance(0.6) && { contact_key: random.pick(contacts) }),
      ...(random.chance(0.3) && { customer_id: random.pick(customers) }),
    };
    return () => {
      const service_id = keyed ?? this.ids.service();
      this.learn(service_id);
      return {
        kind: 'command',
        command: {
          type: 'StartService',
          data: { service_id, ...data, timestamp: this.timestamp() },
          lifetime: { slide: 3_600 },
          ...this.terms(lifetime),
        },
      };
    };
  }

  private composite(key: string | undefined): () => Ask {
    const { random } = this;
    const count = random.chance(0.15) ? 2 : 1;
    const createNew = random.chance(0.12);
    const elements = Array.from({ length: count }, (_, place) => {
      const brought = random.chance(0.1) ? this.broughtId() : undefined;
      const made = () => brought ?? this.ids.service(key === undefined ? undefined : `${key}/${place}`);
      const by = random.weighted({ contact: 65, customer: 20, both: 15 });
      const compared = {
        ...(by !== 'customer' && { contact_key: random.pick(compositeContacts) }),
        ...(by !== 'contact' && { customer_id: random.pick(compositeCustomers) }),
        ...(random.chance(0.3) && { service_type: 'order' }),
      };
      const more = random.chance(0.3) ? { extensions: { seen: random.below(100) } } : {};
      const lifetime = this.lifetime(0.1);
      return {
        made,
        compared,
        more,
        lifetime,
        state: random.chance(0.5),
        task: random.chance(0.3),
        associate: random.chance(0.5),
      };
    });
    return () => ({
      kind: 'composite',
      createNew,
      elements: elements.map(({ made, compared, more, lifetime, state, task, associate }): CompositeElement => {
        const timestamp = this.timestamp();
        const service_id = made();
        return {
          service: { start: { service_id, timestamp, ...compared, ...more }, ...this.terms(lifetime) },
          ...(state && {
            state: { start: { state_id: this.ids.part(service_id), state_type: 'greeting', timestamp } },
          }),
          ...(task && { task: { start: { task_id: this.ids.part(service_id), task_type: 'call', timestamp } } }),
          associateStateTask: associate && state && task,
        };
      }),
    });
  }

  /** Somebody has started this service, or was told of it. */
  learn(service_id: string): void {
    if (!this.known.some((one) => one.service_id === service_id))
      this.known.push({ service_id, states: [], tasks: [] });
  }

  private act(): () => Ask {
    const { random } = this;
    const { service_id, states, tasks } = this.service();
    const state = () => (states.length > 0 && random.chance(0.9) ? random.pick(states) : 'no-state');
    const task = () => (tasks.length > 0 && random.chance(0.9) ? random.pick(tasks) : 'no-task');
    const newState = () => {
      const state_id = random.chance(0.1) ? state() : `st${++this.made}`;
      states.push(state_id);
      return state_id;
    };
    const newTask = () => {
      const task_id = `t${++this.made}`;
      tasks.push(task_id);
      return task_id;
    };
    const at = () => ({ service_id, timestamp: this.timestamp() });
    const kind = random.weighted({
      associate: 6,
      end: 4,
      delete: 2,
      expiration: this.shortLives ? 8 : 2,
      startState: 12,
      findState: 4,
      endState: 6,
      transition: 6,
      startTask: 8,
      findTask: 3,
      endTask: 5,
      replace: 10,
      merge: 5,
    });
    const make = ((): (() => ServiceCommand) => {
      switch (kind) {
        case 'associate': {
          const customer_id = random.pick(customers);
          return () => ({ type: 'AssociateService', data: { ...at(), customer_id } });
        }
        case 'end':
          return () => ({ type: 'EndService', data: { ...at(), disposition_desc: 'done' } });
        case 'delete':
          return () => ({ type: 'DeleteService', data: { service_id } });
        case 'expiration': {
          const lifetime = this.lifetime(1) ?? { slide: 3_600 };
          return () => ({ type: 'ChangeExpiration', data: { service_id }, lifetime, ...this.terms(lifetime) });
        }
        case 'startState':
          // As over HTTP: the id of the new part is made for each attempt anew.
          return () => ({ type: 'StartState', data: { ...at(), state_id: newState(), state_type: 'greeting' } });
        case 'findState':
          return () => ({ type: 'FindOrStartState', data: { ...at(), state_id: newState(), state_type: 'greeting' } });
        case 'endState': {
          const state_id = state();
          return () => ({ type: 'EndState', data: { ...at(), state_id, disposition: 7 } });
        }
        case 'transition': {
          const state_id = state();
          return () => ({
            type: 'TransitionState',
            data: { ...at(), from: { state_id }, to: { state_id: newState(), state_type: 'selling' } },
          });
        }
        case 'startTask':
          return () => ({ type: 'StartTask', data: { ...at(), task_id: newTask(), task_type: 'call' } });
        case 'findTask':
          return () => ({ type: 'FindOrStartTask', data: { ...at(), task_id: newTask(), task_type: 'call' } });
        case 'endTask': {
          const task_id = task();
          return () => ({ type: 'EndTask', data: { ...at(), task_id } });
        }
        case 'replace': {
          const [name, value] = [random.pick(['__proto__', 'note']), random.pick([{ n: random.below(9) }, 1])];
          return () => ({ type: 'ReplaceExtension', data: { service_id, name, value } });
        }
        case 'merge': {
          const value = { [`m${random.below(4)}`]: random.below(9) };
          return () => ({ type: 'MergeExtension', data: { service_id, name: 'note', value } });
        }
      }
    })();
    const lifetime = this.lifetime(0.05);
    return () => {
      const command = make();
      return {
        kind: 'command',
        command: command.type === 'ChangeExpiration' ? command : { ...command, ...this.terms(lifetime) },
      };
    };
  }

  private lifetime(probability: number): Lifetime | undefined {
    const { random } = this;
    if (!random.chance(probability)) return undefined;
    if (!this.shortLives) return random.pick<Lifetime>([{ slide: 3_600 }, { ttl: 7_200 }]);
    return random.pick<() => Lifetime>([
      () => ({ slide: random.between(0.03, 0.3) }),
      () => ({ ttl: random.between(0.03, 0.3) }),
      () => ({ until: Math.floor(this.now() + random.between(20, 300)) }),
    ])();
  }

  /** As over HTTP: a time that has passed, perhaps since the first attempt, is a refusal. */
  private terms(lifetime: Lifetime | undefined): CommandTerms {
    const isPast = lifetime && 'until' in lifetime && lifetime.until <= this.now();
    return {
      ...(lifetime && { lifetime }),
      ...(isPast && { refusal: new Rejected('expiration-not-in-future', '') }),
    };
  }

  private timestamp(): string {
    return new Date(beginning + this.random.below(100_000)).toISOString();
  }
}

export const digest = (text: string): string => hash('sha256', text, 'base64url');
