import {
  Arbiter,
  PassingFailure,
  defaultWriterLimits,
  type Checkpoint,
  type Foreign,
  type PublicEvent,
  type RecordListener,
} from '#event-log';
import { streamKey, type RecordedEvent } from '#events';
import type { ReadModel, StoredCheckpoint } from '#read-model';
import { ProjectorProgress } from '../apps/api/src/engine/projector-progress.js';
import type { Rule } from './check.js';
import { Admission, type Admitted } from '../apps/api/src/services/admission.js';
import { CommandPath } from '../apps/api/src/services/command-path.js';
import { CompositePath } from '../apps/api/src/services/composite-path.js';
import { QueryPath } from '../apps/api/src/services/query-path.js';
import { RecentStreams } from '../apps/api/src/services/recent-streams.js';
import { Unavailable } from '../apps/api/src/services/unavailable.js';
import { Projection } from '../apps/projector/src/projection/projection.js';
import { DeadLetters, PublicEvents } from '../apps/projector/src/projection/ports.js';
import type { Faults, Network } from './network.js';
import type { Random } from './random.js';
import { Owner, SimulatedClock, type Scheduler } from './scheduler.js';
import { SimulatedTransport, type SimulatedLog } from './simulated-log.js';
import { SimulatedReadModel, type SimulatedStore } from './simulated-store.js';

/** Everything that processes share, and who is told when one of them does what it never may. */
export interface World {
  readonly scheduler: Scheduler;
  readonly random: Random;
  readonly network: Network;
  readonly faults: Faults;
  readonly log: SimulatedLog;
  readonly store: SimulatedStore;
  readonly control: ControlStream;
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
}

export const defaultTimes: Times = {
  appendTimeoutMs: 150,
  barrierTimeoutMs: 150,
  rowPatienceMs: 100,
  persistenceMs: 250,
  progressEveryMs: 25,
  defaultLifetimeSeconds: 3_600,
};

/** Even epochs are production, odd ones maintenance: every switch toggles. */
export const isProduction = (epoch: number): boolean => epoch % 2 === 0;

interface ModeEntry {
  readonly epoch: number;
  readonly open: boolean;
}

/** The mode as the control stream tells it; each process follows at its own pace. */
export class ControlStream {
  readonly entries: ModeEntry[] = [{ epoch: 0, open: true }];
}

class SimulatedAdmission extends Admission {
  /** How far this process has followed. */
  private place: number;

  constructor(private readonly control: ControlStream) {
    super();
    this.place = control.entries.length - 1;
  }

  get isUpToDate(): boolean {
    return this.place === this.control.entries.length - 1;
  }

  followTo(place: number): void {
    this.place = Math.max(this.place, place);
  }

  override admit(): Admitted {
    const { epoch, open } = this.control.entries[this.place]!;
    if (!open) throw new Unavailable('SwitchingException', 'The system is switching its mode.', 'not-applied');
    if (!isProduction(epoch)) throw new Unavailable('ModeException', 'Not in maintenance mode.', 'not-applied');
    return { epoch };
  }
}

/** What a request handler finds in a process that is up. */
export interface Running {
  readonly arbiter: Arbiter;
  readonly streams: RecentStreams;
  readonly progress: ProjectorProgress;
  readonly commands: CommandPath;
  readonly composites: CompositePath;
  readonly queries: QueryPath;
  readonly admission: SimulatedAdmission;
}

/** An api process from its start to its death, and its successors. */
export class ApiProcess {
  owner: Owner;
  running: Running | undefined;
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

  /** Gives up its log as a process does that ends, or begins again; who waits there is answered. */
  shut(): void {
    const { running, owner } = this;
    if (!running) return;
    this.running = undefined;
    this.world.trace(() => `${this.name}      shuts`);
    const { scheduler } = this.world;
    scheduler.enqueue(owner, () => {
      void running.progress.stop();
      void running.arbiter.close();
    });
  }

  private start(): Owner {
    const { scheduler, trace } = this.world;
    const owner = new Owner(`${this.name}.${++this.lives}`);
    trace(() => `${owner.name}    starts`);
    scheduler.enqueue(owner, () => void this.comeUp(owner));
    return owner;
  }

  /** As the api does it: from the checkpoints on, tried again until log and store are there. */
  private async comeUp(owner: Owner): Promise<void> {
    const { scheduler, trace } = this.world;
    const readModel = new SimulatedReadModel(this.world.store, this.world, owner.name);
    for (;;) {
      let close = (): Promise<void> => Promise.resolve();
      try {
        const checkpoints = await scheduler.point(readModel.checkpoints());
        const running = this.assemble(owner, readModel, checkpoints);
        const { arbiter, streams, progress, admission } = running;
        close = () => arbiter.close();
        await scheduler.point(arbiter.follow(checkpoints, this.inOrder(owner, checkpoints, streams.listen)));
        await scheduler.point(progress.start());
        admission.followTo(this.world.control.entries.length - 1);
        this.running = running;
        trace(() => `${owner.name}    is up`);
        return;
      } catch (error) {
        trace(() => `${owner.name}    cannot start yet: ${String(error)}`);
        await scheduler.point(close());
        await scheduler.point(scheduler.sleep(owner, 20));
      }
    }
  }

  /** Sees to it that the listener is shown every record once, in order. */
  private inOrder(owner: Owner, from: readonly Checkpoint[], listen: RecordListener): RecordListener {
    const next = new Map(from.map((checkpoint) => [checkpoint.partition, checkpoint.next]));
    return (record, epoch) => {
      const { partition, offset } = record;
      const expected = next.get(partition) ?? 0;
      if (offset !== expected)
        this.world.violation(
          'the tail shows every record once, in order',
          `${owner.name} was shown s${partition}:${offset} instead of s${partition}:${expected}`,
        );
      next.set(partition, offset + 1);
      listen(record, epoch);
    };
  }

  private assemble(owner: Owner, readModel: ReadModel, followed: readonly StoredCheckpoint[]): Running {
    const { world } = this;
    const { times } = world;
    const clock = new SimulatedClock(world.scheduler, owner, this.skew);
    const transport = new SimulatedTransport(world.log, owner, (what) =>
      world.violation('the transport is used as it must be', `${owner.name}: ${what}`),
    );
    const newId = (kind: string): string => `${owner.name}-${kind}-${this.names++}`;
    const arbiter = new Arbiter(transport, clock, {
      appendTimeoutMs: times.appendTimeoutMs,
      barrierTimeoutMs: times.barrierTimeoutMs,
      writer: { ...defaultWriterLimits, records: 4, persistenceMs: times.persistenceMs },
      newId: () => newId('marker'),
      onFatal: (error) => this.end(owner, error),
    });
    const streams = new RecentStreams(arbiter, readModel, clock, {
      knownBytes: this.knownBytes,
      rowPatienceMs: times.rowPatienceMs,
    });
    const progress = new ProjectorProgress({
      log: arbiter,
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
    const commands = new CommandPath({
      log: arbiter,
      streams,
      refuseWhenBehind,
      newEventId: () => newId('event'),
      clock,
    });
    const queries = new QueryPath({ log: arbiter, readModel, streams });
    const composites = new CompositePath({
      log: arbiter,
      streams,
      refuseWhenBehind,
      commands,
      queries,
      defaultLifetime: { slide: times.defaultLifetimeSeconds },
      newPartId: () => newId('part'),
    });
    return {
      arbiter,
      streams,
      progress,
      commands,
      composites,
      queries,
      admission: new SimulatedAdmission(world.control),
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

  override publish(event: PublicEvent): Promise<void> {
    return delivered(this.world, () => this.world.published.events.push(event));
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
