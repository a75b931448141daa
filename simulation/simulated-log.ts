import {
  LogTransport,
  PassingFailure,
  fenced,
  type Batch,
  type Checkpoint,
  type Following,
  type LogRecord,
  type Subscriber,
  type Subscription,
  type Unplaced,
} from '#event-log';
import type { Faults, Network } from './network.js';
import type { Random } from './random.js';
import { beginning, type Owner, type Scheduler } from './scheduler.js';

/** A record as it lies in the log, with its place in the order of the whole world. */
export type Stored = LogRecord & { readonly sequence: number };

export interface SimulatedLogParts {
  readonly scheduler: Scheduler;
  readonly random: Random;
  readonly network: Network;
  readonly faults: Faults;
  readonly partitions: number;
  readonly trace: (line: () => string) => void;
  /** The place of the next record in the order of the whole world. */
  readonly nextSequence: () => number;
  /** Everybody reads all of it from its beginning and no process can go on without: values are not damaged. */
  readonly isControl?: boolean;
}

/** Records that a tail reads again when it rejoins: mostly some, seldom any number. A long log would never be read else. */
const mostReadAgain = 30;
const fromAnywhere = 0.1;

/** The brokers: partitions of records, each with the time of its broker; groups whose members share the partitions. */
export class SimulatedLog {
  readonly partitions: readonly Stored[][];
  /** How a trace calls it. */
  readonly letter: string;
  private readonly woken = new Set<() => void>();
  private members: Member[] = [];
  private readonly holders: (Holding | undefined)[];

  constructor(readonly parts: SimulatedLogParts) {
    this.letter = parts.isControl ? 'c' : 's';
    this.partitions = Array.from({ length: parts.partitions }, () => []);
    this.holders = this.partitions.map(() => undefined);
    this.partitions.forEach((_, partition) =>
      this.write({ kind: 'fence', partition, epoch: 0, logId: this.logId(partition) }),
    );
  }

  logId(partition: number): string {
    return `${this.letter}-log-${partition}`;
  }

  ends(): number[] {
    return this.partitions.map(({ length }) => length);
  }

  /** The end of the log gets one more record. */
  write(
    record: Unplaced | (Unplaced & { readonly logId: string }) | { kind: 'foreign'; partition: number; reason: string },
  ): void {
    const { scheduler, random, faults, trace, isControl, nextSequence } = this.parts;
    const { partition } = record;
    const records = this.partitions[partition]!;
    const recordedAt = Math.max(records.at(-1)?.recordedAt ?? 0, Math.floor(beginning + scheduler.now));
    const broken = !isControl && record.kind === 'event' && random.chance(faults.rates.brokenValue);
    const stored = {
      ...record,
      ...(broken && { value: '{"broken' }),
      offset: records.length,
      recordedAt,
      sequence: nextSequence(),
    } as Stored;
    records.push(stored);
    trace(() => `log        ${shown(stored, this.letter)}${broken ? ' BROKEN' : ''}`);
    this.wake();
  }

  /** Whoever waits for something new looks again. */
  wake(): void {
    for (const wake of this.woken) wake();
  }

  onWrite(wake: () => void): () => void {
    this.woken.add(wake);
    return () => this.woken.delete(wake);
  }

  join(owner: Owner, subscriber: Subscriber): Member {
    const member: Member = { owner, subscriber, holdings: new Set(), working: new Map() };
    this.members.push(member);
    this.rebalance();
    return member;
  }

  /** Resolves when what the member is doing is done. */
  async leave(member: Member): Promise<void> {
    this.members = this.members.filter((one) => one !== member);
    for (const holding of member.holdings) holding.lose();
    this.rebalance();
    await Promise.all(member.working.values());
  }

  /** Partitions go to other members; the one before may not notice for a while. */
  rebalance(): void {
    const { random, scheduler, network, trace } = this.parts;
    this.members = this.members.filter(({ owner }) => owner.alive);
    this.holders.forEach((before, partition) => {
      const member = this.members.length > 0 ? random.pick(this.members) : undefined;
      if (before?.member === member && before !== undefined && !before.noticed) return;
      if (before) {
        const late = random.chance(0.5) ? network.hop() : random.between(0, 500);
        scheduler.after(scheduler.world, late, () => before.lose());
      }
      this.holders[partition] = undefined;
      if (!member) return;
      trace(() => `group      partition ${partition} goes to ${member.owner.name}`);
      const holding = new Holding(member, partition);
      this.holders[partition] = holding;
      // A member that gets a partition has noticed by then that it had lost it, and first finishes what it was doing.
      for (const one of member.holdings) if (one.partition === partition) one.lose();
      member.holdings.add(holding);
      scheduler.enqueue(member.owner, () => {
        const earlier = member.working.get(partition) ?? Promise.resolve();
        member.working.set(
          partition,
          scheduler.point(earlier).then(() => this.feed(holding)),
        );
      });
    });
  }

  /** One partition of one member, from its checkpoint, as long as it believes to hold it. */
  private async feed(holding: Holding): Promise<void> {
    const { scheduler, random, network } = this.parts;
    const { member, partition } = holding;
    const { owner, subscriber } = member;
    const records = this.partitions[partition]!;
    while (!holding.noticed) {
      try {
        let { next, epoch } = await scheduler.point(subscriber.checkpoint(partition));
        if (next > records.length) {
          subscriber.onFatal(new Error(`partition ${partition}: the log ends at ${records.length}, before ${next}`));
          break;
        }
        while (!holding.noticed) {
          await scheduler.point(scheduler.sleep(owner, network.hop()));
          if (next >= records.length) {
            await scheduler.point(this.somethingNew(holding));
            continue;
          }
          const fetched = records.slice(next, next + 1 + random.below(8));
          const epochs: number[] = [];
          for (const record of fetched) {
            if (record.kind === 'fence') epoch = fenced(epoch, record.epoch);
            epochs.push(epoch);
          }
          const batch: Batch = {
            partition,
            records: fetched,
            epochs,
            end: records.length,
            isStale: () => holding.noticed,
          };
          await scheduler.point(subscriber.handle(batch));
          next += fetched.length;
        }
      } catch {
        await scheduler.point(scheduler.sleep(owner, random.between(5, 50)));
      }
    }
    member.holdings.delete(holding);
  }

  /** Resolves when there is one more record somewhere, or the partition is lost. */
  private somethingNew(holding: Holding): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        forget();
        resolve();
      };
      const forget = this.onWrite(wake);
      holding.onLoss = wake;
      if (holding.noticed) wake();
    });
  }
}

interface Member {
  readonly owner: Owner;
  readonly subscriber: Subscriber;
  readonly holdings: Set<Holding>;
  /** By partition: what it still does there, one after the other. */
  readonly working: Map<number, Promise<void>>;
}

class Holding {
  /** The member knows that it lost the partition. */
  noticed = false;
  onLoss: () => void = () => undefined;

  constructor(
    readonly member: Member,
    readonly partition: number,
  ) {}

  lose(): void {
    this.noticed = true;
    this.onLoss();
  }
}

type Fate =
  | 'stored'
  | 'twice'
  | 'request-lost'
  | 'answer-lost'
  | 'late'
  | 'left-out'
  | 'refused'
  | 'refused-late'
  | 'refused-stored';

/** What one process has of the brokers: a producer, a consumer of its own and a place in the group. */
export class SimulatedTransport extends LogTransport {
  private underWay = false;
  /** What must come next on this producer: the rest of a batch that was not acknowledged. */
  private owed: readonly Unplaced[] | undefined;
  private broken = false;
  private caused: Fate | undefined;

  constructor(
    private readonly log: SimulatedLog,
    readonly owner: Owner,
    private readonly misuse: (what: string) => void,
  ) {
    super();
  }

  override get partitions(): number {
    return this.log.partitions.length;
  }

  override logId(partition: number): string {
    return this.log.logId(partition);
  }

  override append(batch: readonly Unplaced[]): Promise<ReadonlySet<number>> {
    const { faults } = this.log.parts;
    if (this.underWay) this.misuse('a batch was sent while another was under way');
    if (this.broken) this.misuse('a producer that failed for good was used again');
    if (this.owed && !sameRecords(this.owed, batch))
      this.misuse('other records followed a batch that was not acknowledged');
    this.underWay = true;
    const groups = new Map<number, Unplaced[]>();
    for (const record of batch) groups.set(record.partition, [...(groups.get(record.partition) ?? []), record]);
    const acknowledged = new Set<number>();
    let open = groups.size;
    let failure: 'passing' | 'permanent' | undefined;
    return new Promise((resolve, reject) => {
      for (const [partition, records] of groups) {
        const fate = this.nextFate();
        if (fate !== 'stored') faults.happened(`append ${fate}`);
        void this.send(records, fate).then(() => {
          if (fate === 'stored' || fate === 'twice') acknowledged.add(partition);
          else if (fate.startsWith('refused')) failure = 'permanent';
          else if (fate !== 'left-out') failure ??= 'passing';
          if (--open > 0) return;
          this.underWay = false;
          const left = batch.filter((record) => failure !== undefined || !acknowledged.has(record.partition));
          this.owed = left.length > 0 ? left : undefined;
          if (failure === 'permanent') {
            this.broken = true;
            reject(new Error('the broker refused the batch'));
          } else if (failure === 'passing') reject(new PassingFailure('the broker did not answer'));
          else resolve(acknowledged);
        });
      }
    });
  }

  /** Makes this happen to the next append. */
  causeOnce(fate: Fate): void {
    this.caused = fate;
  }

  private get isCutOff(): boolean {
    return this.log.parts.isControl === true && this.owner.cutOffFrom.has('control');
  }

  private nextFate(): Fate {
    const { faults, random } = this.log.parts;
    if (this.isCutOff) return 'request-lost';
    const fate = this.caused ?? (random.chance(faults.rates.append) ? random.weighted(fates) : 'stored');
    this.caused = undefined;
    return fate;
  }

  /** Resolves when the client has its answer, or gives up waiting for it. */
  private send(records: readonly Unplaced[], fate: Fate): Promise<void> {
    const { scheduler, network, random } = this.log.parts;
    const { world } = scheduler;
    const store = (): void => records.forEach((record) => this.log.write(record));
    return new Promise((resolve) => {
      const answer = (ms = network.hop()): unknown => scheduler.after(world, ms, resolve);
      scheduler.after(world, network.hop(), () => {
        switch (fate) {
          case 'twice':
            scheduler.after(world, network.hop(), store);
            break;
          case 'late':
          case 'refused-late':
            scheduler.after(world, random.between(5, 400), store);
            return answer(random.between(5, 100));
          case 'request-lost':
            return answer(random.between(5, 100));
          case 'left-out':
          case 'refused':
            return answer();
          case 'answer-lost':
          case 'refused-stored':
          case 'stored':
        }
        store();
        return answer();
      });
    });
  }

  override renew(): Promise<void> {
    const { scheduler, network, faults, random } = this.log.parts;
    return new Promise((resolve, reject) => {
      scheduler.after(scheduler.world, network.hop(), () => {
        if (this.isCutOff || random.chance(faults.rates.append)) return reject(new Error('no broker there'));
        this.broken = false;
        this.owed = undefined;
        resolve();
      });
    });
  }

  override follow(
    checkpoints: readonly Checkpoint[],
    onRecords: (records: readonly LogRecord[]) => void,
  ): Promise<Following> {
    const followings = checkpoints.map(({ partition, next }) => this.followPartition(partition, next, onRecords));
    return Promise.resolve({
      close: () => {
        followings.forEach((stop) => stop());
        return Promise.resolve();
      },
    });
  }

  private followPartition(
    partition: number,
    from: number,
    onRecords: (records: readonly LogRecord[]) => void,
  ): () => void {
    const { scheduler, random, network, faults, trace } = this.log.parts;
    const records = this.log.partitions[partition]!;
    let next = from;
    let fetching = false;
    let closed = false;
    const fetch = (): void => {
      if (fetching || closed || next >= records.length || !this.owner.alive || this.isCutOff) return;
      fetching = true;
      scheduler.after(scheduler.world, network.hop(), () => {
        if (random.chance(faults.rates.rejoin)) {
          const back = random.chance(fromAnywhere) ? next : Math.min(next, mostReadAgain);
          next -= random.below(back + 1);
          faults.happened('tail rejoins and reads again');
          trace(() => `${this.owner.name} tail rejoins ${this.log.letter}${partition} at ${next}`);
        } else if (random.chance(faults.rates.hole)) {
          next = Math.min(records.length - 1, next + 1 + random.below(3));
          faults.happened('tail rejoins behind a hole');
          trace(() => `${this.owner.name} tail rejoins ${this.log.letter}${partition} behind a hole at ${next}`);
        }
        const fetched = records.slice(next, next + 1 + random.below(6));
        next += fetched.length;
        scheduler.enqueue(this.owner, () => {
          fetching = false;
          if (!closed) {
            trace(
              () =>
                `${this.owner.name} reads ${this.log.letter}${partition}:${fetched.map(({ offset }) => offset).join(',')}`,
            );
            onRecords(fetched);
          }
          fetch();
        });
      });
    };
    const forget = this.log.onWrite(fetch);
    fetch();
    return () => {
      closed = true;
      forget();
    };
  }

  override subscribe(subscriber: Subscriber): Promise<Subscription> {
    const member = this.log.join(this.owner, subscriber);
    return Promise.resolve({
      close: () => this.log.leave(member),
    });
  }

  override ends(): Promise<readonly number[]> {
    return Promise.resolve(this.log.ends());
  }

  override close(): Promise<void> {
    return Promise.resolve();
  }
}

const fates: Readonly<Record<Exclude<Fate, 'stored'>, number>> = {
  twice: 4,
  'request-lost': 2,
  'answer-lost': 3,
  late: 3,
  'left-out': 3,
  refused: 1,
  'refused-late': 2,
  'refused-stored': 1,
};

const sameRecords = (some: readonly Unplaced[], others: readonly Unplaced[]): boolean =>
  some.length === others.length && some.every((record, index) => record === others[index]);

/** One record on one line of a trace. */
export function shown(record: LogRecord, letter = 's'): string {
  const place = `${letter}${record.partition}:${record.offset} @${record.recordedAt - beginning}`;
  switch (record.kind) {
    case 'event':
      return `${place} ${record.stream} v${record.version} e${record.epoch} ${record.type} by ${record.correlationId}`;
    case 'fence':
      return `${place} fence of epoch ${record.epoch}`;
    case 'marker':
      return `${place} marker ${record.id}`;
    case 'foreign':
      return `${place} foreign`;
  }
}
