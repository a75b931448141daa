import { Arbiter, PassingFailure, RefusedStart, defaultWriterLimits, type Foreign, type PublicEvent } from '#event-log';
import { streamKey, type Mode, type RecordedEvent } from '#events';
import type { ReadModel, StoredCheckpoint } from '#read-model';
import { ProjectorProgress } from '../apps/api/src/engine/projector-progress.js';
import { tenant } from './asks.js';
import { watchTail, type Rule } from './check.js';
import type { ControlTruth } from './history.js';
import { MetadataPath } from '../apps/api/src/control/metadata-path.js';
import { joinServer, type Joined } from '../apps/api/src/server-mode/join-server.js';
import type { SwitchObserver, SwitchTimes } from '../apps/api/src/server-mode/mode-switch.js';
import { CommandPath } from '../apps/api/src/services/command-path.js';
import { CompositePath } from '../apps/api/src/services/composite-path.js';
import { QueryPath } from '../apps/api/src/services/query-path.js';
import { RecentStreams } from '../apps/api/src/services/recent-streams.js';
import { Projection } from '../apps/projector/src/projection/projection.js';
import { DeadLetters, PublicEvents } from '../apps/projector/src/projection/ports.js';
import type { Faults, Network } from './network.js';
import type { Random } from './random.js';
import { Owner, SimulatedClock, beginning, type Scheduler } from './scheduler.js';
import { SimulatedTransport, type SimulatedLog } from './simulated-log.js';
import { SimulatedPresence, type SimulatedLeases } from './simulated-presence.js';
import { SimulatedReadModel, type SimulatedStore } from './simulated-store.js';

/** Everything that processes share, and who is told when one of them does what it never may. */
export interface World {
  readonly scheduler: Scheduler;
  readonly random: Random;
  readonly network: Network;
  readonly faults: Faults;
  readonly log: SimulatedLog;
  readonly store: SimulatedStore;
  readonly control: SimulatedLog;
  /** What the control log says. */
  readonly controlTruth: ControlTruth;
  readonly leases: SimulatedLeases;
  readonly reports: SwitchReports;
  readonly published: PublishedEvents;
  readonly times: Times;
  readonly trace: (line: () => string) => void;
  /** Its requests will not be answered. */
  readonly died: (owner: Owner) => void;
  readonly violation: (rule: Rule, what: string) => void;
}

/** Time-outs and intervals of the processes, virtual ms: short ones, so that a schedule is short. */
export interface Times {
  readonly appendTimeoutMs: number;
  readonly barrierTimeoutMs: number;
  readonly rowPatienceMs: number;
  readonly persistenceMs: number;
  readonly progressEveryMs: number;
  readonly defaultLifetimeSeconds: number;
  readonly leaseMs: number;
  /** For how long calls in flight are waited for before a switch to this mode. */
  readonly drainMs: Readonly<Record<Mode, number>>;
  readonly switch: SwitchTimes;
}

export const defaultTimes: Omit<Times, 'drainMs'> = {
  appendTimeoutMs: 150,
  barrierTimeoutMs: 150,
  rowPatienceMs: 100,
  persistenceMs: 250,
  progressEveryMs: 25,
  defaultLifetimeSeconds: 3_600,
  leaseMs: 240,
  switch: { finisherLooksMs: 20, othersLookMs: 80, drainGraceMs: 150, finisherPatienceMs: 200, fencePatienceMs: 2_000 },
};

/** What processes tell their operators about switches of the mode. */
export class SwitchReports {
  /** A process said that it has drained while calls that were waited for were still in flight. */
  readonly incomplete: { readonly life: string; readonly epoch: number }[] = [];
  /** A process completes a switch although these live ones did not drain. `at`: epoch ms, true time. */
  readonly missing: { readonly lives: readonly string[]; readonly epoch: number; readonly at: number }[] = [];
}

/** What a request handler finds in a process that is up. */
export interface Running extends Joined {
  readonly streams: RecentStreams;
  readonly progress: ProjectorProgress;
  readonly commands: CommandPath;
  readonly composites: CompositePath;
  readonly queries: QueryPath;
  readonly metadata: MetadataPath;
}

/** What one process has opened. */
interface Opened {
  readonly log: Arbiter;
  readonly control: Arbiter;
  readonly presence: SimulatedPresence;
  readonly clock: SimulatedClock;
}

/** An api process from its start to its death, and its successors. */
export class ApiProcess {
  owner: Owner;
  running: Running | undefined;
  private opened: Opened | undefined;
  private lives = 0;
  private names = 0;

  constructor(
    private readonly world: World,
    readonly number: number,
    private readonly skew: number,
    /** Memory for heads, bytes: little memory is a cache that loses all the time. */
    private readonly knownBytes: number,
  ) {
    this.owner = this.start();
  }

  get name(): string {
    return `api-${this.number}`;
  }

  /** At once, with everything it knew; what it has sent goes on its way. */
  kill(): void {
    this.world.trace(() => `${this.name}      killed`);
    this.running = undefined;
    this.world.scheduler.kill(this.owner);
    this.world.died(this.owner);
  }

  restart(): void {
    this.owner = this.start();
  }

  /** Loses the heads that it keeps, as a cache may do at any time. */
  forget(): void {
    this.world.trace(() => `${this.name}      forgets its heads`);
    this.running?.streams['known'].clear();
  }

  /** Gives up its logs as a process does that ends, or begins again; who waits there is answered. */
  shut(): void {
    const { running, opened, owner } = this;
    if (!running || !opened) return;
    this.running = undefined;
    this.world.trace(() => `${this.name}      shuts`);
    const { scheduler } = this.world;
    scheduler.enqueue(owner, () => void this.close(opened, running));
  }

  private async close(opened: Opened, { modeSwitch, lease, progress }: Running): Promise<void> {
    const { scheduler } = this.world;
    for (const part of [modeSwitch, lease, progress]) await scheduler.point(part.stop());
    await this.closeLogs(opened);
  }

  private async closeLogs({ presence, control, log }: Opened): Promise<void> {
    for (const part of [presence, control, log]) await this.world.scheduler.point(part.close());
  }

  private start(): Owner {
    const { scheduler, trace } = this.world;
    const owner = new Owner(`${this.name}.${++this.lives}`, scheduler.now);
    trace(() => `${owner.name}    starts`);
    scheduler.enqueue(owner, () => void this.comeUp(owner));
    return owner;
  }

  /** As the api does it: from the checkpoints on, tried again until logs and store are there. */
  private async comeUp(owner: Owner): Promise<void> {
    const { scheduler, trace } = this.world;
    const readModel = new SimulatedReadModel(this.world.store, this.world, owner.name);
    for (;;) {
      const opened = this.open(owner);
      try {
        const checkpoints = await scheduler.point(readModel.checkpoints());
        const running = await this.assemble(owner, opened, readModel, checkpoints);
        this.opened = opened;
        this.running = running;
        trace(() => `${owner.name}    is up`);
        return;
      } catch (error) {
        trace(() => `${owner.name}    cannot start yet: ${String(error)}`);
        if (error instanceof RefusedStart) this.world.violation('everything is answered', error.message);
        await this.closeLogs(opened);
        await scheduler.point(scheduler.sleep(owner, 20));
      }
    }
  }

  private open(owner: Owner): Opened {
    const { world } = this;
    const { times, scheduler } = world;
    const clock = new SimulatedClock(scheduler, owner, this.skew);
    const arbiter = (log: SimulatedLog): Arbiter => {
      const transport = new SimulatedTransport(log, owner, (what) =>
        world.violation('the transport is used as it must be', `${owner.name}: ${what}`),
      );
      return new Arbiter(transport, clock, {
        appendTimeoutMs: times.appendTimeoutMs,
        barrierTimeoutMs: times.barrierTimeoutMs,
        writer: { ...defaultWriterLimits, records: 4, persistenceMs: times.persistenceMs },
        newId: () => this.newId(owner, 'marker'),
        onFatal: (error) => this.end(owner, error),
      });
    };
    const presence = new SimulatedPresence(world.leases, owner, () => this.monotonic(owner));
    return { log: arbiter(world.log), control: arbiter(world.control), presence, clock };
  }

  private newId(owner: Owner, kind: string): string {
    return `${owner.name}-${kind}-${this.names++}`;
  }

  /** Counted from the start of the process, ms. */
  private monotonic({ since }: Owner): number {
    return this.world.scheduler.now - since;
  }

  private async assemble(
    owner: Owner,
    { log, control, presence, clock }: Opened,
    readModel: ReadModel,
    followed: readonly StoredCheckpoint[],
  ): Promise<Running> {
    const { world } = this;
    const { times, scheduler } = world;
    const streams = new RecentStreams(log, readModel, clock, {
      knownBytes: this.knownBytes,
      rowPatienceMs: times.rowPatienceMs,
    });
    const progress = new ProjectorProgress({
      log,
      readModel,
      streams,
      clock,
      everyMs: times.progressEveryMs,
      followed,
      maxLagRecords: 200,
      onLostWrites: (partition) =>
        world.violation(
          'rows, lists and parked streams equal the fold of the log',
          `the checkpoint of partition ${partition} went back`,
        ),
    });
    const { refuseWhenBehind } = progress;
    await scheduler.point(log.follow(followed, watchTail(owner.name, followed, streams.listen, world.violation)));
    const joined = await scheduler.point(
      joinServer({
        control,
        data: log,
        presence,
        clock,
        monotonic: () => this.monotonic(owner),
        tenant,
        initialMetadata: () => ({ type: 'InitializeMetadata', data: {} }),
        leaseMs: times.leaseMs,
        drainMs: times.drainMs,
        switchTimes: times.switch,
        newId: () => this.newId(owner, 'control'),
        observer: this.observer(owner),
        onRenewal: (error) => error && world.trace(() => `${owner.name}    lease not renewed: ${String(error)}`),
        onFatal: (error) => this.end(owner, error),
      }),
    );
    await scheduler.point(progress.start());
    const commands = new CommandPath({
      log,
      streams,
      refuseWhenBehind,
      newEventId: () => this.newId(owner, 'event'),
      clock,
    });
    const queries = new QueryPath({ log, readModel, streams });
    const composites = new CompositePath({
      log,
      streams,
      refuseWhenBehind,
      commands,
      queries,
      defaultLifetime: { slide: times.defaultLifetimeSeconds },
      newPartId: () => this.newId(owner, 'part'),
    });
    const metadata = new MetadataPath(joined.control, clock);
    return { ...joined, streams, progress, commands, composites, queries, metadata };
  }

  private observer(owner: Owner): SwitchObserver {
    const { reports, scheduler, trace } = this.world;
    const said = (what: string): void => trace(() => `${owner.name}    ${what}`);
    return {
      started: (to, epoch) => said(`closes its gate for ${to}, epoch ${epoch}`),
      drained: (epoch, _ms, complete) => {
        said(`drained for epoch ${epoch}${complete ? '' : ', calls are still in flight'}`);
        if (!complete) reports.incomplete.push({ life: owner.name, epoch });
      },
      finishing: (epoch, _drained, missing) => {
        said(`completes the switch to epoch ${epoch}${missing.length > 0 ? ` without ${missing.join(', ')}` : ''}`);
        if (missing.length > 0) reports.missing.push({ lives: missing, epoch, at: beginning + scheduler.now });
      },
      fenced: (epoch) => said(`has fenced epoch ${epoch}`),
      switched: (mode, epoch) => said(`opens its gate in ${mode}, epoch ${epoch}`),
      failed: (epoch, error) => said(`fails in the switch to epoch ${epoch}: ${String(error)}`),
    };
  }

  /** The tail has a hole: the process ends and is started again from outside. */
  private end(owner: Owner, error: Error): void {
    if (owner !== this.owner || !owner.alive) return;
    const { scheduler, trace, faults } = this.world;
    trace(() => `${owner.name}    ends: ${error.message}`);
    faults.happened('process ends by itself');
    this.kill();
    scheduler.after(scheduler.world, 20, () => this.restart());
  }
}

/** What the public topic and the dead letters hold. */
export class PublishedEvents {
  readonly events: PublicEvent[] = [];
  readonly deadLetters: { readonly stream: string; readonly partition: number; readonly offset: number }[] = [];
}

class SimulatedPublicEvents extends PublicEvents {
  constructor(private readonly world: World) {
    super();
  }

  override async publish(events: readonly PublicEvent[]): Promise<void> {
    for (const event of events) await delivered(this.world, () => this.world.published.events.push(event));
  }
}

class SimulatedDeadLetters extends DeadLetters {
  constructor(private readonly world: World) {
    super();
  }

  override add(record: RecordedEvent | Foreign): Promise<void> {
    const { partition, offset } = record;
    const stream = record.kind === 'event' ? streamKey(record) : '';
    return delivered(this.world, () => this.world.published.deadLetters.push({ stream, partition, offset }));
  }
}

/** Travels, is stored, and the answer travels back; or fails before or after it was stored. */
function delivered({ scheduler, network, random, faults }: World, store: () => unknown): Promise<void> {
  return new Promise((resolve, reject) => {
    const fails = random.chance(faults.rates.publish);
    const stored = !fails || random.chance(0.5);
    if (fails) faults.happened('publish');
    scheduler.after(scheduler.world, network.hop(), () => {
      if (stored) store();
      scheduler.after(scheduler.world, network.hop(), () =>
        fails ? reject(new PassingFailure('the topic did not answer')) : resolve(),
      );
    });
  });
}

export class ProjectorProcess {
  owner: Owner;
  private lives = 0;

  constructor(
    private readonly world: World,
    readonly number: number,
    private readonly skew: number,
  ) {
    this.owner = this.start();
  }

  get name(): string {
    return `projector-${this.number}`;
  }

  kill(): void {
    this.world.trace(() => `${this.name} killed`);
    this.world.scheduler.kill(this.owner);
    this.world.log.rebalance();
  }

  restart(): void {
    this.owner = this.start();
  }

  private start(): Owner {
    const { world } = this;
    const owner = new Owner(`${this.name}.${++this.lives}`);
    world.trace(() => `${owner.name} starts`);
    world.scheduler.enqueue(owner, () => {
      const transport = new SimulatedTransport(world.log, owner, () => undefined);
      const projection = new Projection({
        log: transport,
        readModel: new SimulatedReadModel(world.store, world, owner.name),
        publicEvents: new SimulatedPublicEvents(world),
        deadLetters: new SimulatedDeadLetters(world),
        clock: new SimulatedClock(world.scheduler, owner, this.skew),
        limits: { firstPauseMs: 5, longestPauseMs: 50, rowBytes: world.random.pick([1, 3_000, 100_000]) },
      });
      void transport.subscribe({
        group: 'projector',
        checkpoint: (partition) => projection.checkpoint(partition),
        handle: (batch) => projection.handle(batch),
        onFatal: (error) => world.violation('everything is answered', error.message),
      });
    });
    return owner;
  }
}
