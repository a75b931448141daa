import { Rejected } from '#domain';
import type { Mode } from '#events';
import { Ids } from '../apps/api/src/services/ids.js';
import { mergeSeen, nothingSeen, type SeenPositions } from '../apps/api/src/position.js';
import { Refused } from '../apps/api/src/http/refused.js';
import type { CallKind } from '../apps/api/src/server-mode/gate.js';
import type { Admitted, Requirement } from '../apps/api/src/services/admission.js';
import type { RequestContext } from '../apps/api/src/services/service.messages.js';
import { Unavailable } from '../apps/api/src/services/unavailable.js';
import { Asks, digest, tenant } from './asks.js';
import { check, isForMaintenance } from './check.js';
import { ControlTruth, Truth, type Ask, type Attempt, type Moment, type Outcome, type Passed } from './history.js';
import { Faults, Network, noFaults, type FaultRates } from './network.js';
import {
  ApiProcess,
  ProjectorProcess,
  PublishedEvents,
  SwitchReports,
  defaultTimes,
  type Running,
  type Times,
  type World,
} from './processes.js';
import { Random } from './random.js';
import { Scheduler, beginning, installSchedulingPoints, type Owner } from './scheduler.js';
import { SimulatedLog } from './simulated-log.js';
import { SimulatedLeases } from './simulated-presence.js';
import { SimulatedStore } from './simulated-store.js';

export interface PlayOptions {
  readonly seed: number;
  readonly commands: number;
  readonly partitions: number;
  /** Of `troubles`: what does not happen. What else happens is then another choice of the same seed. */
  readonly without?: readonly string[];
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

/** What callers are told as a success. */
const answers = { answered: true, composed: true, found: true, changed: true, switched: true };
/** Requests that have no answer yet: callers are patient people. */
const mostUnderWay = 12;
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
  /** Without switches nothing is asked about metadata either. */
  readonly switchEveryMs: number;
  readonly cutOffEveryMs: number;
  readonly drainMs: Times['drainMs'];
  /** Records that this protocol did not write. */
  readonly foreignEveryMs: number;
  readonly knownBytes: readonly number[];
}

function weather(random: Random): Weather {
  const sometimes = (probability: number, lowest: number, highest: number) =>
    random.chance(probability) ? random.between(lowest, highest) : 0;
  const every = (probability: number, lowest: number, highest: number) =>
    random.chance(probability) ? random.between(lowest, highest) : Number.POSITIVE_INFINITY;
  const switches = random.chance(0.4);
  return {
    rates: {
      append: sometimes(0.7, 0.02, 0.3),
      rejoin: sometimes(0.5, 0.01, 0.2),
      hole: sometimes(0.2, 0.002, 0.02),
      brokenValue: sometimes(0.25, 0.005, 0.05),
      store: sometimes(0.5, 0.01, 0.15),
      publish: sometimes(0.4, 0.02, 0.2),
      presence: sometimes(0.5, 0.02, 0.3),
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
    switchEveryMs: every(switches ? 1 : 0, 60, 400),
    cutOffEveryMs: every(switches ? 0.5 : 0, 60, 400),
    drainMs: random.pick([
      { production: 150, maintenance: 200 },
      { production: 5, maintenance: 20 },
    ]),
    knownBytes: Array.from({ length: processes.api }, () => random.pick([1, 6_000, 1_000_000, 1_000_000])),
  };
}

/** The weather in which nothing happens that callers do not ask for. */
const calmWeather = {
  tail: 0,
  shortLives: false,
  killEveryMs: Number.POSITIVE_INFINITY,
  hangEveryMs: Number.POSITIVE_INFINITY,
  rebalanceEveryMs: Number.POSITIVE_INFINITY,
  projectorKillEveryMs: Number.POSITIVE_INFINITY,
  forgetEveryMs: Number.POSITIVE_INFINITY,
  foreignEveryMs: Number.POSITIVE_INFINITY,
  switchEveryMs: Number.POSITIVE_INFINITY,
  cutOffEveryMs: Number.POSITIVE_INFINITY,
} as const satisfies Partial<Weather>;

/** What can be left out of a schedule. */
export const troubles: readonly string[] = [...Object.keys(calmWeather), ...Object.keys(noFaults)];

function calmed(before: Weather, without: readonly string[]): Weather {
  const unknown = without.filter((name) => !troubles.includes(name));
  if (unknown.length > 0) throw new Error(`no trouble: ${unknown.join(', ')}; there are ${troubles.join(', ')}`);
  const chosen = <T extends object>(calm: T): Partial<T> =>
    Object.fromEntries(Object.entries(calm).filter(([name]) => without.includes(name))) as Partial<T>;
  return { ...before, ...chosen(calmWeather), rates: { ...before.rates, ...chosen(noFaults) } };
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
  private readonly callers: SeenPositions[] = Array.from({ length: 4 }, () => ({ services: nothingSeen }));
  private commands = 0;
  private requests = 0;
  private moments = 0;
  private calm = false;
  /** So much is under way that the next request waits for an answer. */
  private isSaturated = false;
  /** Epoch of the last switch that must be completed in time. */
  private expected = 0;
  /** Somebody is about to ask for production. */
  private leaving = false;
  /** Probes that have no answer yet. */
  private asking = 0;

  constructor(private readonly options: PlayOptions) {
    const { seed, partitions } = options;
    const random = new Random(seed);
    this.random = random;
    this.scheduler = new Scheduler(random);
    installSchedulingPoints(this.scheduler);
    this.weather = calmed(weather(random), options.without ?? []);
    this.faults = new Faults(this.weather.rates);
    const { scheduler, faults } = this;
    const network = new Network(random, this.weather.typicalMs, this.weather.tail);
    const trace = options.trace
      ? (line: () => string) => void this.lines.push(`${scheduler.now.toFixed(2).padStart(9)} ${line()}`)
      : () => undefined;
    const parts = { scheduler, random, network, faults, trace };
    let sequence = 0;
    const nextSequence = (): number => sequence++;
    const log = new SimulatedLog({ ...parts, partitions, nextSequence });
    const control = new SimulatedLog({ ...parts, partitions: 1, nextSequence, isControl: true });
    this.world = {
      ...parts,
      log,
      store: new SimulatedStore(),
      control,
      controlTruth: new ControlTruth(control.partitions[0]!),
      leases: new SimulatedLeases(parts),
      reports: new SwitchReports(),
      published: new PublishedEvents(),
      times: { ...defaultTimes, drainMs: this.weather.drainMs },
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
    // In some weather nobody gets up any more; then the calm must help.
    if (!played) this.faults.happened('calms down before everything is asked');
    if (!(await scheduler.run(() => this.isQuiet() || scheduler.now > until, mostSteps)) || !this.isQuiet()) {
      this.world.violation('everything is answered', this.whatIsOpen());
    } else {
      this.probe();
      const probed = scheduler.now + calmMs;
      await scheduler.run(() => (this.asking === 0 && this.isQuiet()) || scheduler.now > probed, mostSteps);
      if (!this.isQuiet()) this.world.violation('everything is answered', this.whatIsOpen());
    }
    const { log, store, published, controlTruth, reports, times, violation } = this.world;
    const truth = new Truth(log.partitions);
    const { attempts } = this;
    const control = controlTruth.read();
    check({ truth, control, attempts, store, published, reports, times, quiet: this.isQuiet(), violation });
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
      const { mode, begun } = this.now();
      // In maintenance there is little to see.
      const worthAsking = (!begun && mode === 'production') || random.chance(0.4);
      if (worthAsking) this.request();
      if (this.underWay.size < mostUnderWay) this.nextRequest();
      else this.isSaturated = true;
    });
  }

  /** What the control log says. */
  private now(): Pick<ControlTruth['last'], 'mode' | 'epoch' | 'begun'> {
    return this.world.controlTruth.read().last;
  }

  private request(): void {
    const { random } = this;
    const api = this.anyRunning();
    if (!api) return;
    const isMaintenance = this.now().mode === 'maintenance';
    if (this.weather.switchEveryMs < Number.POSITIVE_INFINITY && random.chance(isMaintenance ? 0.7 : 0.05)) {
      this.changeMetadata(api);
      return;
    }
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

  private changeMetadata(api: ApiProcess): void {
    const request = ++this.requests;
    const ask = this.asks.metadata();
    this.sendCommand(api, request, () => ask, this.random.chance(0.45) ? `key-${request}` : undefined);
  }

  private sendCommand(api: ApiProcess, request: number, make: () => Ask, key: string | undefined): void {
    const { random } = this;
    this.commands++;
    const other = key !== undefined && random.chance(0.02) ? '/other' : '';
    const idempotency =
      key === undefined ? undefined : { key: digest(key), request: digest(`request ${request}${other}`) };
    const { scheduler } = this;
    const again = (): void => {
      const next = this.anyRunning();
      if (next && !this.calm && this.commands < this.options.commands) this.sendCommand(next, request, make, key);
    };
    let answered = false;
    this.send(api, request, make(), idempotency, (outcome) => {
      answered = true;
      if (key === undefined) return;
      const certain = outcome.kind !== 'unavailable' && outcome.kind !== 'killed';
      if (random.chance(certain ? 0.25 : 0.8)) scheduler.after(scheduler.world, random.between(0, 60), again);
    });
    // A caller that has waited enough asks another process, whatever became of the first.
    if (key !== undefined && random.chance(0.3))
      scheduler.after(scheduler.world, random.between(5, 150), () => answered || again());
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
    const seen = random.chance(0.6) ? this.callers[caller]! : { services: nothingSeen };
    const attempt: Attempt = {
      id: `r${request}.${this.attempts.length}`,
      request,
      process: api.number,
      life: owner.name,
      ask,
      ...(idempotency && { idempotency }),
      seen: seen.services,
      ...(seen.control !== undefined && { seenControl: seen.control }),
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
      if (this.isSaturated) this.nextRequest();
      this.isSaturated = false;
      attempt.outcome = outcome;
      attempt.end = this.moment();
      this.world.trace(() => `${owner.name}    ${attempt.id} ${shownOutcome(outcome)}`);
      this.callers[caller] = mergeSeen(this.callers[caller]!, seenIn(outcome));
      if (outcome.kind === 'composed') outcome.answer.forEach(({ service_id }) => this.asks.learn(service_id));
      afterwards(outcome);
    };
    scheduler.enqueue(owner, () => {
      const { running } = api;
      if (!running)
        return finish({ kind: 'unavailable', exception: 'ServiceUnavailableException', outcome: 'not-applied' });
      this.answer(running, attempt).then(finish, (error: unknown) => finish(failure(error, attempt)));
    });
    this.onDeath.set(attempt, () => finish({ kind: 'killed' }));
  }

  private readonly onDeath = new Map<Attempt, () => void>();

  private moment(): Moment {
    const { log, control } = this.world;
    return {
      order: this.moments++,
      time: beginning + this.scheduler.now,
      ends: log.ends(),
      controlEnd: control.partitions[0]!.length,
    };
  }

  /** As the api answers a call: the gate, its handler, and for a query the gate again. */
  private async answer(running: Running, attempt: Attempt): Promise<Outcome> {
    const { control, gate } = running;
    const { ask, seenControl } = attempt;
    await control.catchUpWith(seenControl);
    const { requirement, kind } = declared(ask);
    const admitted = gate.admit(requirement, ask.kind);
    const leave = kind ? gate.enter(kind) : () => undefined;
    attempt.admitted = { epoch: admitted.epoch, ...this.passed(running) };
    try {
      return await this.handle(running, attempt, admitted);
    } finally {
      leave();
    }
  }

  private passed({ control }: Running): Passed {
    return { controlEnd: this.world.control.partitions[0]!.length, position: control.position };
  }

  private async handle(running: Running, attempt: Attempt, admitted: Admitted): Promise<Outcome> {
    const { gate, commands, composites, queries, metadata, modeSwitch } = running;
    const { ask, id, idempotency, seen } = attempt;
    const context: RequestContext = {
      tenant,
      correlationId: id,
      admitted,
      seen,
      ...(idempotency && { idempotency }),
    };
    const readmit = (): void => {
      gate.readmit(admitted);
      attempt.passedOut = this.passed(running);
    };
    switch (ask.kind) {
      case 'command': {
        const { answer, position } = await commands.execute(ask.command, context);
        return { kind: 'answered', answer, position };
      }
      case 'composite': {
        const { services, position } = await composites.start(ask.elements, ask.createNew, context);
        return { kind: 'composed', answer: services, position };
      }
      case 'get': {
        const { service, position } = await queries.get(ask.service_id, context);
        readmit();
        return { kind: 'found', services: [service], position };
      }
      case 'list': {
        const { services, position } = await queries.list(ask.owner, ask.filter, ask.page, context);
        readmit();
        const found = [];
        for await (const service of services) found.push(service);
        return { kind: 'found', services: found, position };
      }
      case 'metadata': {
        const { answer, position } = await metadata.change(ask.command, context);
        return { kind: 'changed', answer, controlPosition: position };
      }
      case 'switch':
        return { kind: 'switched', controlPosition: await modeSwitch.to(ask.target, context) };
    }
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
    this.again(weather.cutOffEveryMs, () => this.cutOff());
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

  private endApi(api = this.random.pick(this.apis)): void {
    const { random, scheduler } = this;
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
    const { random } = this;
    const { owner } = random.pick([...this.apis, ...this.projectors, ...this.apis]);
    this.hangFor(owner, random.chance(0.5) ? random.between(1, 30) : random.between(30, 500));
  }

  private hangFor(owner: Owner, ms: number): void {
    const { scheduler } = this;
    if (owner.hangs || !owner.alive) return;
    this.faults.happened('process hangs');
    this.world.trace(() => `${owner.name}    hangs`);
    scheduler.hang(owner);
    scheduler.after(scheduler.world, ms, () => this.resume(owner));
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

  /** The control log, the leases or both cannot be reached for a while, all else can. */
  private cutOff(): void {
    const { random, scheduler } = this;
    const { owner } = random.pick(this.apis);
    if (owner.cutOffFrom.size > 0 || !owner.alive) return;
    this.faults.happened('process cut off');
    const from = random.weighted({ both: 6, control: 2, leases: 2 });
    for (const what of ['control', 'leases'] as const) {
      if (from !== 'both' && from !== what) continue;
      this.world.trace(() => `${owner.name}    is cut off from ${what}`);
      owner.cutOffFrom.add(what);
      const ms = this.aboutALease();
      scheduler.after(scheduler.world, ms, () => {
        if (!this.calm) this.reconnect(owner, what);
      });
    }
  }

  /** Mostly so long that a switch has just given up waiting, ms. */
  private aboutALease(): number {
    const { random } = this;
    return this.world.times.leaseMs * (random.chance(0.6) ? random.between(0.7, 1.3) : random.between(0.2, 3));
  }

  private reconnect(owner: Owner, what: 'control' | 'leases'): void {
    if (!owner.cutOffFrom.delete(what)) return;
    this.world.trace(() => `${owner.name}    reaches ${what} again`);
    if (what === 'control') this.world.control.wake();
  }

  /** Asks one process, or two at once, for the other mode; now and then for the one that is in force. */
  private switchMode(): void {
    const { random } = this;
    const isProduction = this.now().mode === 'production';
    const other = isProduction ? 'maintenance' : 'production';
    const same = isProduction ? 'production' : 'maintenance';
    this.askForMode(random.chance(0.9) ? other : same);
    if (random.chance(0.15)) this.askForMode(random.chance(0.8) ? other : same);
  }

  /** False when there is nobody to ask. */
  private askForMode(target: Mode): boolean {
    const api = this.anyRunning();
    if (!api) return false;
    // Some changes that the next mode forbids are under way.
    if (target === 'production') for (let n = this.random.below(3); n > 0; n--) this.changeMetadata(api);
    this.send(api, ++this.requests, { kind: 'switch', target }, undefined, () => this.leaveMaintenance());
    this.troubleInSwitch(api);
    return true;
  }

  /** There is little to see in maintenance: nobody stays for long. */
  private leaveMaintenance(): void {
    const { random, scheduler } = this;
    if (this.leaving || this.now().mode === 'production') return;
    this.leaving = true;
    scheduler.after(scheduler.world, random.between(0, 80), () => {
      this.leaving = false;
      if (this.calm || this.now().mode === 'production') return;
      if (!this.askForMode('production')) this.leaveMaintenance();
    });
  }

  /** What matters most for a switch: that a process misses it, or dies in it. */
  private troubleInSwitch(asked: ApiProcess): void {
    const { random, scheduler } = this;
    if (this.weather.hangEveryMs < Number.POSITIVE_INFINITY && random.chance(0.35)) {
      const { owner } = random.pick(this.apis);
      scheduler.after(scheduler.world, random.between(0, 20), () => {
        if (!this.calm) this.hangFor(owner, this.aboutALease());
      });
    }
    if (this.weather.killEveryMs < Number.POSITIVE_INFINITY && random.chance(0.2)) {
      const { owner } = asked;
      scheduler.after(scheduler.world, random.between(0, 60), () => {
        if (!this.calm && asked.owner === owner) this.endApi(asked);
      });
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
    for (const { owner } of this.apis) this.reconnect(owner, 'leases');
    // One that lives and does not reach the control log does not stop a switch, not even its own.
    const [, ...others] = this.apis.filter(({ owner }) => owner.cutOffFrom.has('control'));
    for (const { owner } of others) this.reconnect(owner, 'control');
    this.returnToProduction();
  }

  /** The switch under way is completed; then somebody asks for production until it is there. */
  private returnToProduction(): void {
    const { scheduler } = this;
    const { begun, mode } = this.now();
    if (begun && begun.epoch !== this.expected) {
      this.expected = begun.epoch;
      scheduler.after(scheduler.world, patienceMs, () => {
        if (this.now().begun?.epoch === begun.epoch)
          this.world.violation('everything is answered', `the switch to epoch ${begun.epoch} is not completed`);
      });
    }
    // A switch that was asked for before may still begin.
    const again = (): unknown => scheduler.after(scheduler.world, 50, () => this.returnToProduction());
    if (!begun) for (const { owner } of this.apis) this.reconnect(owner, 'control');
    const api = this.anyRunning();
    if (begun || mode === 'production' || !api) return void again();
    this.send(api, ++this.requests, { kind: 'switch', target: 'production' }, undefined, again);
  }

  private isQuiet(): boolean {
    const { log, store } = this.world;
    const { mode, epoch, begun } = this.now();
    if (this.underWay.size > 0 || begun || mode !== 'production') return false;
    if (this.apis.some(({ running }) => running?.control.serverMode.epoch !== epoch || !running.lease.isHeld))
      return false;
    const checkpoints = store.checkpoints();
    return log.ends().every((end, partition) => checkpoints.find((one) => one.partition === partition)?.next === end);
  }

  private whatIsOpen(): string {
    const { log, store } = this.world;
    return JSON.stringify({
      requests: [...this.underWay.keys()].map(({ id, ask }) => `${id} ${ask.kind}`),
      down: this.apis.filter((api) => !api.running).map(({ name }) => name),
      mode: this.now().mode,
      switching: this.now().begun,
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
      const kind = kindOf(ask);
      if (kind === 'command') count('commands');
      const how = outcome.kind === 'unavailable' ? (outcome.outcome ?? 'unavailable') : outcome.kind;
      count(`${kind} ${outcome.kind in answers ? 'answered' : how}`);
    }
    const events = truth.partitions.flat().filter(({ kind }) => kind === 'event').length;
    let valid = 0;
    for (const { steps } of truth.streams.values()) valid += steps.length;
    count('records valid', valid);
    count('records void', events - valid);
    return Object.fromEntries(counts);
  }
}

/** What the route of a call declares: the mode that it requires, and which switch waits for it. */
function declared(ask: Ask): { readonly requirement: Requirement; readonly kind?: CallKind } {
  switch (ask.kind) {
    case 'switch':
      return { requirement: 'both' };
    case 'metadata':
      return { requirement: isForMaintenance(ask.command.type) ? 'maintenance' : 'both', kind: 'schema' };
    default:
      return { requirement: 'production', kind: 'data' };
  }
}

/** Asks that change services or metadata are commands. */
function kindOf({ kind }: Ask): 'command' | 'query' | 'switch' {
  if (kind === 'switch') return kind;
  return kind === 'get' || kind === 'list' ? 'query' : 'command';
}

function seenIn(outcome: Outcome): SeenPositions {
  if ('position' in outcome) return { services: outcome.position };
  return { services: nothingSeen, ...('controlPosition' in outcome && { control: outcome.controlPosition }) };
}

function failure(error: unknown, { admitted }: Attempt): Outcome {
  if (error instanceof Rejected || error instanceof Refused) return { kind: 'rejected', code: error.code };
  if (error instanceof Unavailable) return { kind: 'unavailable', exception: error.exception, outcome: error.outcome };
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code === 'log-unavailable' || code === 'store-unavailable')
    return { kind: 'unavailable', exception: code, outcome: admitted ? undefined : 'not-applied' };
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
    case 'switch':
      return `for ${ask.target}`;
    case 'metadata':
      return `${ask.command.type} ${JSON.stringify(ask.command.data)}`;
  }
}

function shownOutcome(outcome: Outcome): string {
  if (outcome.kind === 'found')
    return `found ${JSON.stringify(outcome.services.map(({ service_id, status }) => [service_id, status]))}`;
  return JSON.stringify('position' in outcome ? { ...outcome, position: [...outcome.position] } : outcome);
}
