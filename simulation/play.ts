import { Rejected } from '#domain';
import { Ids } from '../apps/api/src/services/ids.js';
import { nothingSeen, mergePositions, type LogPositions } from '../apps/api/src/position.js';
import type { RequestContext } from '../apps/api/src/services/service.messages.js';
import { Unavailable } from '../apps/api/src/services/unavailable.js';
import { Asks, digest, tenant } from './asks.js';
import { check } from './check.js';
import { Truth, type Ask, type Attempt, type Moment, type Outcome } from './history.js';
import { Faults, Network, type FaultRates } from './network.js';
import {
  ApiProcess,
  ControlStream,
  ProjectorProcess,
  PublishedEvents,
  defaultTimes,
  isProduction,
  type Running,
  type World,
} from './processes.js';
import { Random } from './random.js';
import { Scheduler, beginning, installSchedulingPoints, type Owner } from './scheduler.js';
import { SimulatedLog } from './simulated-log.js';
import { SimulatedStore } from './simulated-store.js';

export interface PlayOptions {
  readonly seed: number;
  readonly commands: number;
  readonly partitions: number;
  readonly trace?: boolean;
}

export interface Violation {
  readonly rule: string;
  readonly what: string;
}

export interface Played {
  readonly violations: readonly Violation[];
  /** Outcomes and faults, by name. */
  readonly counts: Readonly<Record<string, number>>;
  readonly steps: number;
  readonly virtualMs: number;
  readonly trace: readonly string[];
}

export { rules } from './check.js';

export const processes = { api: 3, projector: 2 } as const;

/** More is a schedule that does not come to an end. */
const mostSteps = 400_000;
/** When nothing goes wrong any more a request may be told to come back for as long as old trouble lasts, virtual ms. */
const patienceMs = 5_000;
/** Within this time after the last fault everything is answered and projected, virtual ms. */
const calmMs = 20_000;

/** What one seed makes of the world. */
interface Weather {
  readonly rates: FaultRates;
  readonly typicalMs: number;
  readonly tail: number;
  readonly thinkMs: number;
  readonly hot: number;
  readonly shortLives: boolean;
  /** Events in the life of processes, between two of them on average, virtual ms; Infinity for never. */
  readonly killEveryMs: number;
  readonly hangEveryMs: number;
  readonly rebalanceEveryMs: number;
  readonly projectorKillEveryMs: number;
  readonly forgetEveryMs: number;
  readonly switchEveryMs: number;
  /** Records that this protocol did not write. */
  readonly foreignEveryMs: number;
  readonly knownBytes: readonly number[];
}

function weather(random: Random): Weather {
  const sometimes = (probability: number, lowest: number, highest: number) =>
    random.chance(probability) ? random.between(lowest, highest) : 0;
  const every = (probability: number, lowest: number, highest: number) =>
    random.chance(probability) ? random.between(lowest, highest) : Number.POSITIVE_INFINITY;
  return {
    rates: {
      append: sometimes(0.7, 0.02, 0.3),
      rejoin: sometimes(0.5, 0.01, 0.2),
      hole: sometimes(0.2, 0.002, 0.02),
      brokenValue: sometimes(0.25, 0.005, 0.05),
      store: sometimes(0.5, 0.01, 0.15),
      publish: sometimes(0.4, 0.02, 0.2),
    },
    typicalMs: random.between(0.5, 4),
    tail: sometimes(0.6, 0.005, 0.06),
    thinkMs: random.pick([0.5, 2, 6, 15]),
    hot: random.pick([1, 2, 3, 5]),
    shortLives: random.chance(0.4),
    killEveryMs: every(0.5, 60, 400),
    hangEveryMs: every(0.5, 60, 400),
    rebalanceEveryMs: every(0.6, 20, 200),
    projectorKillEveryMs: every(0.5, 50, 300),
    forgetEveryMs: every(0.6, 5, 60),
    foreignEveryMs: every(0.2, 50, 400),
    switchEveryMs: every(0.4, 60, 400),
    knownBytes: Array.from({ length: processes.api }, () => random.pick([1, 6_000, 1_000_000, 1_000_000])),
  };
}

/** Plays the schedule of one seed against the real code and checks its history. */
export async function play(options: PlayOptions): Promise<Played> {
  return new Schedule(options).play();
}

class Schedule {
  private readonly random: Random;
  private readonly scheduler: Scheduler;
  private readonly world: World;
  private readonly weather: Weather;
  private readonly faults: Faults;
  private readonly asks: Asks;
  private readonly ids: Ids;
  private readonly apis: ApiProcess[];
  private readonly projectors: ProjectorProcess[];
  private readonly attempts: Attempt[] = [];
  private readonly underWay = new Map<Attempt, Owner>();
  private readonly violations: Violation[] = [];
  private readonly lines: string[] = [];
  /** What callers have seen; each request comes from one of them. */
  private readonly callers: LogPositions[] = [nothingSeen, nothingSeen, nothingSeen, nothingSeen];
  private commands = 0;
  private requests = 0;
  private moments = 0;
  private calm = false;
  private epoch = 0;
  private switching = false;
  /** Probes that have no answer yet. */
  private asking = 0;

  constructor(private readonly options: PlayOptions) {
    const { seed, partitions } = options;
    const random = new Random(seed);
    this.random = random;
    this.scheduler = new Scheduler(random);
    installSchedulingPoints(this.scheduler);
    this.weather = weather(random);
    this.faults = new Faults(this.weather.rates);
    const { scheduler, faults } = this;
    const network = new Network(random, this.weather.typicalMs, this.weather.tail);
    const trace = options.trace
      ? (line: () => string) => void this.lines.push(`${scheduler.now.toFixed(2).padStart(9)} ${line()}`)
      : () => undefined;
    const parts = { scheduler, random, network, faults, trace };
    const log = new SimulatedLog({ ...parts, partitions });
    this.world = {
      ...parts,
      log,
      store: new SimulatedStore(),
      control: new ControlStream(),
      published: new PublishedEvents(),
      times: defaultTimes,
      died: (owner) => {
        for (const [attempt, whose] of this.underWay) if (whose === owner) this.onDeath.get(attempt)?.();
      },
      violation: (rule, what) => {
        trace(() => `VIOLATION  ${rule}: ${what}`);
        this.violations.push({ rule, what });
      },
    };
    this.ids = new Ids(partitions, {
      now: () => beginning + Math.floor(scheduler.now),
      random: (n) => random.bytes(n),
    });
    this.asks = new Asks(random, this.ids, () => beginning + scheduler.now, this.weather.hot, this.weather.shortLives);
    const skew = (): number => (random.chance(0.5) ? 0 : Math.floor(random.between(-3_600_000, 3_600_000)));
    this.apis = this.weather.knownBytes.map((bytes, number) => new ApiProcess(this.world, number, skew(), bytes));
    this.projectors = Array.from(
      { length: processes.projector },
      (_, number) => new ProjectorProcess(this.world, number, skew()),
    );
  }

  async play(): Promise<Played> {
    const { scheduler, options } = this;
    this.nextRequest();
    this.trouble();
    const asked = () => this.commands >= options.commands && this.underWay.size === 0;
    const played = await scheduler.run(asked, mostSteps);
    this.settle();
    const until = scheduler.now + calmMs;
    if (
      !played ||
      !(await scheduler.run(() => this.isQuiet() || scheduler.now > until, mostSteps)) ||
      !this.isQuiet()
    ) {
      this.world.violation('everything is answered', this.whatIsOpen());
    } else {
      this.probe();
      const probed = scheduler.now + calmMs;
      await scheduler.run(() => (this.asking === 0 && this.isQuiet()) || scheduler.now > probed, mostSteps);
      if (!this.isQuiet()) this.world.violation('everything is answered', this.whatIsOpen());
    }
    const { log, store, published } = this.world;
    const truth = new Truth(log.partitions);
    check({ truth, attempts: this.attempts, store, published, quiet: this.isQuiet(), violation: this.world.violation });
    for (const { owner } of [...this.apis, ...this.projectors]) scheduler.kill(owner);
    return {
      violations: this.violations,
      counts: this.counts(truth),
      steps: scheduler.steps,
      virtualMs: scheduler.now,
      trace: this.lines,
    };
  }

  /* ---- requests ---- */

  private nextRequest(): void {
    const {
      scheduler,
      random,
      weather: { thinkMs },
    } = this;
    const pause =
      random.chance(0.03) && this.weather.shortLives ? random.between(50, 300) : random.between(0, 2 * thinkMs);
    scheduler.after(scheduler.world, pause, () => {
      if (this.calm || this.commands >= this.options.commands) return;
      const { epoch, open } = this.world.control.entries.at(-1)!;
      // In maintenance there is little to see.
      const worthAsking = (open && isProduction(epoch)) || random.chance(0.2);
      if (this.underWay.size < 12 && worthAsking) this.request();
      this.nextRequest();
    });
  }

  private request(): void {
    const { random } = this;
    const api = this.anyRunning();
    if (!api) return;
    if (random.chance(0.35)) {
      this.send(api, ++this.requests, this.asks.query(), undefined);
      return;
    }
    const request = ++this.requests;
    const key = random.chance(0.45) ? `key-${request}` : undefined;
    const make = this.asks.command(key);
    this.sendCommand(api, request, make, key);
    // Two callers, or one that did not wait, ask for the same at once.
    const other = random.chance(0.15) ? this.anyRunning() : undefined;
    if (other && this.commands < this.options.commands) {
      if (key !== undefined) this.sendCommand(other, request, make, key);
      else this.sendCommand(other, ++this.requests, make, undefined);
    }
  }

  private sendCommand(api: ApiProcess, request: number, make: () => Ask, key: string | undefined): void {
    const { random } = this;
    this.commands++;
    const other = key !== undefined && random.chance(0.02) ? '/other' : '';
    const idempotency =
      key === undefined ? undefined : { key: digest(key), request: digest(`request ${request}${other}`) };
    this.send(api, request, make(), idempotency, (outcome) => {
      if (key === undefined) return;
      const certain = outcome.kind === 'answered' || outcome.kind === 'composed' || outcome.kind === 'rejected';
      if (!random.chance(certain ? 0.25 : 0.8)) return;
      const { scheduler } = this;
      scheduler.after(scheduler.world, random.between(0, 60), () => {
        const next = this.anyRunning();
        if (next && !this.calm && this.commands < this.options.commands) this.sendCommand(next, request, make, key);
      });
    });
  }

  private send(
    api: ApiProcess,
    request: number,
    ask: Ask,
    idempotency: Attempt['idempotency'],
    afterwards: (outcome: Outcome) => void = () => undefined,
  ): void {
    const { random, scheduler } = this;
    const { owner } = api;
    const caller = random.below(this.callers.length);
    const attempt: Attempt = {
      id: `r${request}.${this.attempts.length}`,
      request,
      process: api.number,
      ask,
      ...(idempotency && { idempotency }),
      seen: random.chance(0.6) ? this.callers[caller]! : nothingSeen,
      begin: this.moment(),
    };
    this.attempts.push(attempt);
    this.underWay.set(attempt, owner);
    this.world.trace(
      () =>
        `${owner.name}    ${attempt.id} asks ${shownAsk(ask)}${idempotency ? ` key ${idempotency.key.slice(0, 6)}` : ''}`,
    );
    const finish = (outcome: Outcome): void => {
      if (!this.underWay.delete(attempt)) return;
      attempt.outcome = outcome;
      attempt.end = this.moment();
      this.world.trace(() => `${owner.name}    ${attempt.id} ${shownOutcome(outcome)}`);
      if ('position' in outcome) this.callers[caller] = mergePositions(this.callers[caller]!, outcome.position);
      if (outcome.kind === 'composed') outcome.answer.forEach(({ service_id }) => this.asks.learn(service_id));
      afterwards(outcome);
    };
    scheduler.enqueue(owner, () => {
      const { running } = api;
      if (!running)
        return finish({ kind: 'unavailable', exception: 'ServiceUnavailableException', outcome: 'not-applied' });
      answer(running, attempt).then(finish, (error: unknown) => finish(failure(error)));
    });
    this.onDeath.set(attempt, () => finish({ kind: 'killed' }));
  }

  private readonly onDeath = new Map<Attempt, () => void>();

  private moment(): Moment {
    return { order: this.moments++, time: beginning + this.scheduler.now, ends: this.world.log.ends() };
  }

  private anyRunning(): ApiProcess | undefined {
    const running = this.apis.filter((api) => api.running && !api.owner.hangs);
    return running.length > 0 ? this.random.pick(running) : undefined;
  }

  /* ---- trouble ---- */

  private trouble(): void {
    const { weather } = this;
    this.again(weather.killEveryMs, () => this.endApi());
    this.again(weather.hangEveryMs, () => this.hang());
    this.again(weather.rebalanceEveryMs, () => this.world.log.rebalance());
    this.again(weather.projectorKillEveryMs, () => this.endProjector());
    this.again(weather.forgetEveryMs, () => this.forget());
    this.again(weather.switchEveryMs, () => this.switchMode());
    this.again(weather.foreignEveryMs, () =>
      this.world.log.write({
        kind: 'foreign',
        partition: this.random.below(this.options.partitions),
        reason: 'no key',
      }),
    );
  }

  private again(everyMs: number, happen: () => void): void {
    if (everyMs === Number.POSITIVE_INFINITY) return;
    const { scheduler, random } = this;
    scheduler.after(scheduler.world, random.between(0, 2 * everyMs), () => {
      if (this.calm) return;
      happen();
      this.again(everyMs, happen);
    });
  }

  private endApi(): void {
    const { random, scheduler } = this;
    const api = random.pick(this.apis);
    if (!api.running) return;
    const { owner } = api;
    const end = (): void => {
      if (api.owner !== owner || !owner.alive) return;
      api.kill();
      scheduler.after(scheduler.world, random.between(0, 60), () => api.restart());
    };
    if (random.chance(0.6)) {
      this.faults.happened('api killed');
      return end();
    }
    this.faults.happened('api shut');
    api.shut();
    scheduler.after(scheduler.world, random.between(0, 400), end);
  }

  private hang(): void {
    const { random, scheduler } = this;
    const { owner } = random.pick([...this.apis, ...this.projectors, ...this.apis]);
    if (owner.hangs || !owner.alive) return;
    this.faults.happened('process hangs');
    this.world.trace(() => `${owner.name}    hangs`);
    scheduler.hang(owner);
    scheduler.after(scheduler.world, random.chance(0.5) ? random.between(1, 30) : random.between(30, 500), () =>
      this.resume(owner),
    );
  }

  private resume(owner: Owner): void {
    if (!owner.hangs) return;
    this.world.trace(() => `${owner.name}    goes on`);
    this.scheduler.resume(owner);
  }

  private endProjector(): void {
    const { random, scheduler } = this;
    const projector = random.pick(this.projectors);
    if (!projector.owner.alive) return;
    this.faults.happened('projector killed');
    projector.kill();
    scheduler.after(scheduler.world, random.between(0, 200), () => projector.restart());
  }

  /** A cache may lose anything at any time. */
  private forget(): void {
    const api = this.random.pick(this.apis);
    if (!api.running) return;
    this.faults.happened('cache lost');
    api.forget();
  }

  private switchMode(): void {
    if (this.switching) return;
    const { random, scheduler } = this;
    this.switching = true;
    this.faults.happened('mode switch');
    const epoch = ++this.epoch;
    this.tell({ epoch, open: false });
    scheduler.after(scheduler.world, random.between(0, 30), () => this.fence(epoch, 0));
    if (random.chance(0.5)) {
      // A process that meant to finish this switch writes its fence when it wakes up.
      const partition = random.below(this.options.partitions);
      scheduler.after(scheduler.world, random.between(0, 400), () =>
        this.world.log.write({ kind: 'fence', partition, epoch }),
      );
    }
  }

  /** The partitions get their fences one after another, from whoever can write them. */
  private fence(epoch: number, partition: number): void {
    const { random, scheduler } = this;
    const { world } = scheduler;
    if (partition === this.options.partitions) {
      this.tell({ epoch, open: true });
      this.switching = false;
      if (!isProduction(epoch)) scheduler.after(world, this.calm ? 0 : random.between(0, 25), () => this.switchMode());
      return;
    }
    const again = (): unknown => scheduler.after(world, random.between(1, 20), () => this.fence(epoch, partition));
    const api = this.anyRunning();
    const running = api?.running;
    if (!api || !running) return void again();
    let over = false;
    const goOn = (next: () => void): void => {
      if (over) return;
      over = true;
      next();
    };
    scheduler.enqueue(api.owner, () => {
      running.arbiter.fence(partition, epoch).then(
        () => goOn(() => scheduler.after(world, 0, () => this.fence(epoch, partition + 1))),
        () => goOn(again),
      );
    });
    // The finisher died: another one goes on when its lease is over.
    scheduler.after(world, 300, () => goOn(again));
  }

  private tell(entry: { readonly epoch: number; readonly open: boolean }): void {
    const { random, scheduler } = this;
    const { control, trace } = this.world;
    const place = control.entries.push(entry) - 1;
    trace(() => `control    epoch ${entry.epoch} ${entry.open ? 'open' : 'closed'}`);
    for (const api of this.apis) {
      const late = random.chance(0.8) ? random.between(0, 10) : random.between(10, 200);
      scheduler.after(scheduler.world, late, () => api.running?.admission.followTo(place));
    }
  }

  /* ---- the end ---- */

  /** Nothing goes wrong any more, and who is down comes back. */
  private settle(): void {
    this.world.trace(() => 'world      calms down');
    this.calm = true;
    this.faults.stop();
    this.world.network.calmDown();
    for (const { owner } of [...this.apis, ...this.projectors]) this.resume(owner);
    if (!isProduction(this.epoch) && !this.switching) this.switchMode();
  }

  private isQuiet(): boolean {
    const { log, store, control } = this.world;
    const { epoch, open } = control.entries.at(-1)!;
    if (
      this.underWay.size > 0 ||
      !open ||
      !isProduction(epoch) ||
      this.apis.some((api) => !api.running?.admission.isUpToDate)
    )
      return false;
    const checkpoints = store.checkpoints();
    return log.ends().every((end, partition) => checkpoints.find((one) => one.partition === partition)?.next === end);
  }

  private whatIsOpen(): string {
    const { log, store } = this.world;
    return JSON.stringify({
      requests: [...this.underWay.keys()].map(({ id, ask }) => `${id} ${ask.kind}`),
      down: this.apis.filter((api) => !api.running).map(({ name }) => name),
      checkpoints: store.checkpoints().map(({ next }) => next),
      ends: log.ends(),
    });
  }

  /** Once all is well, every process takes new services, and answers about every service. */
  private probe(): void {
    for (const api of this.apis) {
      this.askUntilAnswered(api, () => this.asks.freshStart());
      for (const service_id of this.asks.services) this.askUntilAnswered(api, () => ({ kind: 'get', service_id }));
    }
  }

  private askUntilAnswered(api: ApiProcess, make: () => Ask, until = this.scheduler.now + patienceMs): void {
    const { scheduler } = this;
    const ask = make();
    this.asking++;
    this.send(api, ++this.requests, ask, undefined, (outcome) => {
      this.asking--;
      if (outcome.kind !== 'unavailable' || outcome.exception === 'StreamParkedException') return;
      if (scheduler.now < until) {
        this.asking++;
        scheduler.after(scheduler.world, 50, () => {
          this.asking--;
          this.askUntilAnswered(api, make, until);
        });
      } else
        this.world.violation(
          'everything is answered',
          `${shownAsk(ask)} ended as ${shownOutcome(outcome)} when all was well`,
        );
    });
  }

  private counts(truth: Truth): Record<string, number> {
    const counts = new Map(this.faults.counts);
    const count = (name: string, more = 1): unknown => counts.set(name, (counts.get(name) ?? 0) + more);
    for (const { outcome, ask } of this.attempts) {
      if (!outcome) continue;
      const kind = ask.kind === 'get' || ask.kind === 'list' ? 'query' : 'command';
      if (kind === 'command') count('commands');
      const how = outcome.kind === 'unavailable' ? (outcome.outcome ?? 'unavailable') : outcome.kind;
      count(`${kind} ${how === 'composed' || how === 'found' ? 'answered' : how}`);
    }
    const events = truth.partitions.flat().filter(({ kind }) => kind === 'event').length;
    let valid = 0;
    for (const { steps } of truth.streams.values()) valid += steps.length;
    count('records valid', valid);
    count('records void', events - valid);
    return Object.fromEntries(counts);
  }
}

async function answer(
  { admission, commands, composites, queries }: Running,
  { ask, id, idempotency, seen }: Attempt,
): Promise<Outcome> {
  const admitted = admission.admit();
  const context: RequestContext = {
    tenant,
    correlationId: id,
    admitted,
    seen,
    ...(idempotency && { idempotency }),
  };
  switch (ask.kind) {
    case 'command':
      return commands
        .execute(ask.command, context)
        .then(({ answer, position }) => ({ kind: 'answered', answer, position }));
    case 'composite':
      return composites
        .start(ask.elements, ask.createNew, context)
        .then(({ services, position }) => ({ kind: 'composed', answer: services, position }));
    case 'get':
      return queries
        .get(ask.service_id, context)
        .then(({ service, position }) => ({ kind: 'found', services: [service], position }));
    case 'list':
      return queries.list(ask.owner, ask.filter, ask.page, context).then(async ({ services, position }) => {
        const found = [];
        for await (const service of services) found.push(service);
        return { kind: 'found', services: found, position };
      });
  }
}

function failure(error: unknown): Outcome {
  if (error instanceof Rejected) return { kind: 'rejected', code: error.code };
  if (error instanceof Unavailable) return { kind: 'unavailable', exception: error.exception, outcome: error.outcome };
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code === 'log-unavailable' || code === 'store-unavailable')
    return { kind: 'unavailable', exception: String(code), outcome: undefined };
  return { kind: 'failed', error: error instanceof Error ? (error.stack ?? error.message) : String(error) };
}

function shownAsk(ask: Ask): string {
  switch (ask.kind) {
    case 'command':
      return `${ask.command.type} ${JSON.stringify({ ...ask.command.data, lifetime: ask.command.lifetime })}`;
    case 'composite':
      return `composite${ask.createNew ? ' createNew' : ''} ${JSON.stringify(ask.elements)}`;
    case 'get':
      return `get ${ask.service_id}`;
    case 'list':
      return `list ${JSON.stringify([ask.owner, ask.filter, ask.page])}`;
  }
}

function shownOutcome(outcome: Outcome): string {
  if (outcome.kind === 'found')
    return `found ${JSON.stringify(outcome.services.map(({ service_id, status }) => [service_id, status]))}`;
  return JSON.stringify('position' in outcome ? { ...outcome, position: [...outcome.position] } : outcome);
}
