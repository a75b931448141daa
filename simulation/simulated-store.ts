import { streamKey } from '#events';
import {
  ReadModel,
  StoreUnavailable,
  comparePlaces,
  type Aggregate,
  type ListChanges,
  type ListEntry,
  type ListQuery,
  type StoredCheckpoint,
  type StreamId,
  type StreamRow,
} from '#read-model';
import { unstarted } from '#domain';
import type { Faults, Network } from './network.js';
import type { Random } from './random.js';
import type { Scheduler } from './scheduler.js';

export interface SimulatedStoreParts {
  readonly scheduler: Scheduler;
  readonly random: Random;
  readonly network: Network;
  readonly faults: Faults;
  readonly trace: (line: () => string) => void;
}

/** A value with the timestamp of its write: the higher one stays. */
interface Cell<T> {
  value: T;
  timestamp: number;
}

interface StoredRow {
  /** What JSON makes of the row, undefined while it is only parked. */
  readonly saved: Cell<StreamRow | undefined>;
  readonly parkedAtVersion: Cell<number | undefined>;
}

const listed = { removed: 0, there: 1 };

/**
 * The tables of a store where the last write wins, by timestamps that come from the log: `2 * offset` for what is
 * removed, `2 * offset + 1` for what is written. Every write comes at its own time, in whatever order.
 */
export class SimulatedStore {
  private readonly rows = new Map<string, StoredRow>();
  private readonly entries = new Map<string, Cell<ListEntry | undefined>>();
  private readonly stored = new Map<number, StoredCheckpoint>();

  find(id: StreamId): StreamRow | undefined {
    const row = this.rows.get(streamKey(id));
    if (!row) return undefined;
    const { value: parkedAtVersion } = row.parkedAtVersion;
    const saved = row.saved.value ?? {
      ...id,
      head: { version: 0 },
      offset: -1,
      aggregate: { kind: 'service', service: unstarted } as Aggregate,
    };
    return { ...saved, ...(parkedAtVersion !== undefined && { parkedAtVersion }) };
  }

  list({ owner, status, order, after, startedFrom, startedTo, serviceTypes, limit = 500 }: ListQuery): ListEntry[] {
    const direction = order === 'oldest-first' ? 1 : -1;
    return this.allEntries()
      .filter(
        (entry) =>
          sameOwner(entry, owner) &&
          entry.status === status &&
          (!after || direction * comparePlaces(entry, after) > 0) &&
          (startedFrom === undefined || entry.started >= startedFrom) &&
          (startedTo === undefined || entry.started < startedTo) &&
          (!serviceTypes || (entry.service_type !== undefined && serviceTypes.includes(String(entry.service_type)))),
      )
      .sort((a, b) => direction * comparePlaces(a, b))
      .slice(0, limit);
  }

  allEntries(): ListEntry[] {
    return [...this.entries.values()].flatMap(({ value }) => value ?? []);
  }

  allRows(): StreamRow[] {
    return [...this.rows.keys()].map((key) => {
      const [tenant, stream] = key.split('/').map(decodeURIComponent) as [string, string];
      return this.find({ tenant, stream })!;
    });
  }

  insert(entries: readonly ListEntry[], offset: number): void {
    for (const entry of entries) this.writeEntry(entry, entry, 2 * offset + listed.there);
  }

  remove(entries: readonly ListEntry[], offset: number): void {
    for (const entry of entries) this.writeEntry(entry, undefined, 2 * offset + listed.removed);
  }

  save({ parkedAtVersion, ...row }: StreamRow): void {
    const stored = this.row(row);
    const timestamp = 2 * row.offset + 1;
    write(stored.saved, JSON.parse(JSON.stringify(row)) as StreamRow, timestamp);
    write(stored.parkedAtVersion, parkedAtVersion, timestamp);
  }

  park(id: StreamId, version: number, offset: number): void {
    write(this.row(id).parkedAtVersion, version, 2 * offset);
  }

  checkpoints(): StoredCheckpoint[] {
    return [...this.stored.values()].sort((a, b) => a.partition - b.partition);
  }

  saveCheckpoint(checkpoint: StoredCheckpoint): void {
    const before = this.stored.get(checkpoint.partition);
    if (!before || checkpoint.next >= before.next) this.stored.set(checkpoint.partition, checkpoint);
  }

  private row(id: StreamId): StoredRow {
    const key = streamKey(id);
    const row = this.rows.get(key) ?? { saved: nothingYet<StreamRow>(), parkedAtVersion: nothingYet<number>() };
    this.rows.set(key, row);
    return row;
  }

  private writeEntry(entry: ListEntry, value: ListEntry | undefined, timestamp: number): void {
    const { owner, status, started, recordedAt, service_id } = entry;
    const key = JSON.stringify([owner.tenant, owner.kind, owner.id, status, started, recordedAt, service_id]);
    const cell = this.entries.get(key) ?? nothingYet<ListEntry>();
    this.entries.set(key, cell);
    write(cell, value, timestamp);
  }
}

const nothingYet = <T>(): Cell<T | undefined> => ({ value: undefined, timestamp: Number.NEGATIVE_INFINITY });

function write<T>(cell: Cell<T>, value: T, timestamp: number): void {
  if (timestamp < cell.timestamp) return;
  cell.value = value;
  cell.timestamp = timestamp;
}

const sameOwner = ({ owner }: ListEntry, other: ListQuery['owner']): boolean =>
  owner.kind === other.kind && owner.id === other.id && owner.tenant === other.tenant;

/** One process's connection to the store: each request travels, is carried out and its answer travels back. */
export class SimulatedReadModel extends ReadModel {
  constructor(
    private readonly store: SimulatedStore,
    private readonly parts: SimulatedStoreParts,
    private readonly name: string,
  ) {
    super();
  }

  override find(id: StreamId): Promise<StreamRow | undefined> {
    return this.request(() => this.store.find(id));
  }

  override list(query: ListQuery): Promise<readonly ListEntry[]> {
    return this.request(() => this.store.list(query));
  }

  override async save(row: StreamRow, { insert, remove }: ListChanges): Promise<void> {
    const { scheduler, trace } = this.parts;
    if (insert.length > 0) await scheduler.point(this.request(() => this.store.insert(insert, row.offset), 'insert'));
    if (remove.length > 0) await scheduler.point(this.request(() => this.store.remove(remove, row.offset), 'remove'));
    await scheduler.point(
      this.request(() => {
        this.store.save(row);
        trace(() => `store      ${row.stream} v${row.head.version} saved by ${this.name}`);
      }, 'save'),
    );
  }

  override park(id: StreamId, version: number, offset: number): Promise<void> {
    return this.request(() => {
      this.store.park(id, version, offset);
      this.parts.trace(() => `store      ${id.stream} parked at v${version} by ${this.name}`);
    }, 'park');
  }

  override checkpoints(): Promise<readonly StoredCheckpoint[]> {
    return this.request(() => this.store.checkpoints());
  }

  override saveCheckpoint(checkpoint: StoredCheckpoint): Promise<void> {
    return this.request(() => {
      this.store.saveCheckpoint(checkpoint);
      this.parts.trace(() => `store      checkpoint s${checkpoint.partition}:${checkpoint.next} by ${this.name}`);
    }, 'checkpoint');
  }

  override close(): Promise<void> {
    return Promise.resolve();
  }

  /** `write`: its name, for what may also be carried out after the client gave up. */
  private request<T>(carryOut: () => T, write?: string): Promise<T> {
    const { scheduler, random, network, faults } = this.parts;
    const { world } = scheduler;
    return new Promise((resolve, reject) => {
      const fails = random.chance(faults.rates.store);
      const fate = fails
        ? random.pick(write ? (['lost', 'answer lost', 'late'] as const) : (['lost'] as const))
        : 'done';
      if (fails) faults.happened(`store ${write ?? 'read'} ${fate}`);
      scheduler.after(world, network.hop(), () => {
        if (fate === 'late') scheduler.after(world, random.between(5, 300), carryOut);
        const result = fate === 'done' || fate === 'answer lost' ? carryOut() : undefined;
        scheduler.after(world, network.hop(), () => {
          if (fails) reject(new StoreUnavailable(`${this.name}: the store did not answer in time (${fate})`));
          else resolve(result as T);
        });
      });
    });
  }
}
