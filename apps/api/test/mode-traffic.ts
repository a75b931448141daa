import { randomUUID } from 'node:crypto';
import { Random } from '../../../simulation/random.js';
import type { Recorder } from './mode-history.js';
import type { Answered, AnsweredBody, Program } from './processes.js';

const WITH_KEY = 0.5;
const WITH_READ = 0.5;

/**
 * Callers that go on and on with conversations: starts, transitions, ends, reads; some with an `Idempotency-Key`. And
 * for each process one who changes metadata.
 */
export class Traffic {
  /** Changes of data that were answered with success. */
  changed = 0;
  /** The same of metadata. */
  defined = 0;
  private isOver = false;
  private turn: PromiseWithResolvers<void>;
  private readonly callers: Promise<void>[];

  /** Each process has as many callers of its own. */
  constructor(
    private readonly recorder: Recorder,
    private readonly apis: readonly Program[],
    callersOfEach: number,
    seed: number,
  ) {
    this.turn = withResolvers();
    this.callers = apis.flatMap((home, number) => [
      this.administrate(home, `Attribute${number}`),
      ...Array.from({ length: callersOfEach }, (_, caller) =>
        this.converse(home, new Random(seed + number * callersOfEach + caller)),
      ),
    ]);
  }

  /** To be called when the mode was switched: whoever was refused tries again. */
  switched(): void {
    this.turn.resolve();
    this.turn = withResolvers();
  }

  /** Resolves when everybody was answered. */
  async end(): Promise<void> {
    this.isOver = true;
    this.switched();
    await Promise.all(this.callers);
  }

  private async converse(home: Program, random: Random): Promise<void> {
    while (!this.isOver) {
      const started = await this.change(home, random, 'services/start', {
        contact_key: `caller ${random.below(1_000)}`,
      });
      if (!started) continue;
      const service = `services/${started.service_id}`;
      const first = await this.change(home, random, `${service}/states/start`, { state_type: 'First' });
      if (!first) continue;
      if (random.chance(WITH_READ))
        await this.recorder.ask(home, { kind: 'read', correlationId: randomUUID() }, 'GET', service);
      const moved = { from: { state_id: first.state_id }, to: { state_type: 'Next' } };
      if (!(await this.change(home, random, `${service}/states/transition`, moved))) continue;
      await this.change(home, random, `${service}/end`, { disposition: 'done' });
    }
  }

  /** Each definition differs from the one before, so that there is something to record. */
  private async administrate(home: Program, name: string): Promise<void> {
    const route = `metadata/business-attributes/${name}`;
    while (!this.isOver) {
      const { turn } = this;
      const correlationId = randomUUID();
      const body = { display_name: name, description: correlationId, values: [] };
      const answered = await this.recorder.ask(home, { kind: 'schema', correlationId }, 'PUT', route, body);
      if (answered && answered.status < 300) this.defined++;
      else await turn.promise;
    }
  }

  /**
   * Undefined when the conversation cannot go on: the traffic is over, or it is not known what became of the change.
   * With a key it is repeated, on another process too, until that is known.
   */
  private async change(home: Program, random: Random, route: string, body: unknown): Promise<AnsweredBody | undefined> {
    const key = random.chance(WITH_KEY) ? randomUUID() : undefined;
    let correlationId = randomUUID();
    let api = home;
    while (!this.isOver) {
      const { turn } = this;
      const headers: Record<string, string> = key === undefined ? {} : { 'idempotency-key': key };
      const answered = await this.recorder.ask(api, { kind: 'change', correlationId }, 'POST', route, body, headers);
      if (answered && answered.status < 300) {
        this.changed++;
        return answered.body ?? ({} as AnsweredBody);
      }
      if (key === undefined) {
        if (!isDenied(answered)) return undefined;
        correlationId = randomUUID();
      } else api = random.pick(this.apis);
      await turn.promise;
    }
    return undefined;
  }
}

const isDenied = (answered: Answered | undefined): boolean => answered?.headers.get('x-cs-outcome') === 'not-applied';

interface PromiseWithResolvers<T> {
  readonly promise: Promise<T>;
  resolve(value: T): void;
}

function withResolvers(): PromiseWithResolvers<void> {
  let resolve: () => void = () => undefined;
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}
