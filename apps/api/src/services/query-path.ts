import { Rejected, matches, startedAt, type LiveService } from '#domain';
import type { EventLog } from '#event-log';
import {
  comparePlaces,
  type ListEntry,
  type ListPlace,
  type ListQuery,
  type Owner,
  type ReadModel,
  type StreamId,
  type StreamRow,
} from '#read-model';
import { mergePositions, type LogPositions } from '../position.js';
import { living } from './command-path.js';
import { partitionOf } from './ids.js';
import type { RecentStreams } from './recent-streams.js';
import { RejectedAt } from './rejected-at.js';
import type { RequestContext, ServiceFound, ServicesFilter, ServicesFound } from './service.messages.js';

export interface QueryPathParts {
  readonly log: EventLog;
  readonly readModel: ReadModel;
  readonly streams: RecentStreams;
}

/** One list of one owner. */
type List = Pick<ListQuery, 'owner' | 'status'>;

/** List entries of one read, and rows read at a time. */
const chunkEntries = 500;
const parallelRows = 32;

/** The path of a query: what the caller and this process have seen is waited for, then the read model answers. */
export class QueryPath {
  constructor(private readonly parts: QueryPathParts) {}

  /**
   * The service; where it lacks what is looked for in it (`has`), as it is after a read barrier.
   * Throws `Rejected` (after a read barrier), `Unavailable`, `BeyondTheLog`, `LogUnavailable`, `StoreUnavailable`.
   */
  async get(
    serviceId: string,
    context: RequestContext,
    has: (service: LiveService) => boolean = () => true,
  ): Promise<ServiceFound> {
    await this.parts.streams.catchUpWith(context.seen);
    const id = { tenant: context.tenant, stream: serviceId };
    const partition = this.partition(id);
    const find = async () => this.live(await this.parts.streams.freshRow(id, partition));
    let found = await find();
    if (!found || !has(found.service)) {
      await this.parts.log.barrier(partition);
      found = await find();
    }
    if (!found) {
      const position = mergePositions(context.seen, new Map([[partition, this.parts.log.tail(partition).next - 1]]));
      throw new RejectedAt(
        new Rejected('service-not-found', `There are no service found for : ${serviceId}`),
        position,
      );
    }
    const { service, offset } = found;
    return { service, position: mergePositions(context.seen, new Map([[partition, offset]])) };
  }

  /** Throws as {@link get}, and the iteration of the services too. */
  async list(
    owner: Owner,
    filter: ServicesFilter,
    { limit, before }: { readonly limit?: number; readonly before?: ListPlace },
    context: RequestContext,
  ): Promise<ServicesFound> {
    await this.parts.streams.catchUpWith(context.seen);
    await this.recentlyChanged(owner);
    const belongs = membership(owner, filter);
    // A service moves from the first of these to the second.
    const statuses = filter.status === 'all' ? (['active', 'completed'] as const) : [filter.status];
    const lists = statuses.map((status) => ({ owner, status }));
    if (limit === undefined) {
      const entries: ListEntry[] = [];
      for await (const entry of this.entries(lists, filter, 'oldest-first')) entries.push(entry);
      // All waiting for the projector is done before the first byte: afterwards rows only get newer.
      await Promise.all(
        entries
          .filter((entry) => this.parts.streams.isUnconfirmed(this.idOf(entry), this.partitionOf(entry)))
          .map((entry) => this.row(entry)),
      );
      return { services: this.services(entries, belongs), position: this.positionOf(entries, context.seen) };
    }
    const page: LiveService[] = [];
    const seen: ListEntry[] = [];
    let next: ListPlace | undefined;
    for await (const { service, entry } of this.matching(
      this.entries(lists, filter, 'newest-first', before),
      belongs,
    )) {
      if (page.length === limit) {
        next = placeOf(seen.at(-1)!);
        break;
      }
      page.push(service);
      seen.push(entry);
    }
    return {
      services: inOrderOf(page.reverse()),
      position: this.positionOf(seen, context.seen),
      ...(next && { next }),
    };
  }

  /**
   * The newest active service that `wanted` takes, of those in the lists of these owners: in the order in which a service
   * moves from one to the next.
   */
  async newestActive(
    owners: readonly Owner[],
    filter: Pick<ServicesFilter, 'serviceTypes'>,
    wanted: (service: LiveService) => boolean,
  ): Promise<LiveService | undefined> {
    await Promise.all(owners.map((owner) => this.recentlyChanged(owner)));
    const lists = owners.map((owner) => ({ owner, status: 'active' as const }));
    const candidates = this.entries(lists, filter, 'newest-first');
    for await (const { service } of this.matching(candidates, wanted)) return service;
    return undefined;
  }

  /** Once these rows are projected, so are the list entries that they brought. */
  private async recentlyChanged(owner: Owner): Promise<void> {
    await Promise.all(
      this.parts.streams.recentOf(owner).map((id) => this.parts.streams.freshRow(id, this.partition(id))),
    );
  }

  /**
   * Candidates in list order, each once. The lists are read in the order in which a service moves from one to the next,
   * stretch by stretch: none is missed.
   */
  private async *entries(
    lists: readonly List[],
    filter: Pick<ServicesFilter, 'startedFrom' | 'startedTo' | 'serviceTypes'>,
    order: ListQuery['order'],
    after?: ListPlace,
  ): AsyncGenerator<ListEntry> {
    const { startedFrom, startedTo, serviceTypes } = filter;
    const ahead = order === 'oldest-first' ? comparePlaces : (a: ListPlace, b: ListPlace) => comparePlaces(b, a);
    for (let from = after; ;) {
      const chunks: (readonly ListEntry[])[] = [];
      for (const list of lists) {
        chunks.push(
          await this.parts.readModel.list({
            ...list,
            order,
            limit: chunkEntries,
            ...(from && { after: from }),
            ...(startedFrom !== undefined && { startedFrom }),
            ...(startedTo !== undefined && { startedTo }),
            ...(serviceTypes && { serviceTypes }),
          }),
        );
      }
      // Beyond the end of a chunk that is not the last of its list nothing is known yet.
      const ends = chunks.filter(({ length }) => length === chunkEntries).map((chunk) => chunk.at(-1)!);
      const horizon = ends.sort(ahead)[0];
      const once = new Map(
        chunks
          .flat()
          .filter((entry) => !horizon || ahead(entry, horizon) <= 0)
          .map((entry) => [entry.service_id, entry]),
      );
      yield* [...once.values()].sort(ahead);
      if (!horizon) return;
      from = placeOf(horizon);
    }
  }

  private async *services(
    entries: Iterable<ListEntry>,
    belongs: (service: LiveService) => boolean,
  ): AsyncGenerator<LiveService> {
    for await (const { service } of this.matching(entries, belongs)) yield service;
  }

  /** The candidates whose own row, not older than the tail knows it, belongs to the list. */
  private async *matching(
    entries: AsyncIterable<ListEntry> | Iterable<ListEntry>,
    belongs: (service: LiveService) => boolean,
  ): AsyncGenerator<{ service: LiveService; entry: ListEntry }> {
    const check = async function* (this: QueryPath, some: readonly ListEntry[]) {
      const rows = await Promise.all(some.map((entry) => this.row(entry)));
      for (const [index, entry] of some.entries()) {
        const found = this.live(rows[index]);
        if (found && belongs(found.service)) yield { service: found.service, entry };
      }
    }.bind(this);
    let some: ListEntry[] = [];
    for await (const entry of entries) {
      some.push(entry);
      if (some.length < parallelRows) continue;
      yield* check(some);
      some = [];
    }
    yield* check(some);
  }

  private row(entry: ListEntry): Promise<StreamRow | undefined> {
    return this.parts.streams.freshRow(this.idOf(entry), this.partitionOf(entry));
  }

  private live(row: StreamRow | undefined): { service: LiveService; offset: number } | undefined {
    if (!row) return undefined;
    const service = living(row, this.parts.log.now());
    return service.status === 'active' || service.status === 'completed' ? { service, offset: row.offset } : undefined;
  }

  /** As far as this process's tail is, in the partitions that the answer was taken from. */
  private positionOf(entries: readonly ListEntry[], seen: LogPositions): LogPositions {
    const partitions = new Set(entries.map((entry) => this.partitionOf(entry)));
    return mergePositions(
      seen,
      new Map([...partitions].map((partition) => [partition, this.parts.log.tail(partition).next - 1])),
    );
  }

  private readonly idOf = ({ owner, service_id }: ListEntry): StreamId => ({
    tenant: owner.tenant,
    stream: service_id,
  });
  private readonly partitionOf = (entry: ListEntry): number => this.partition(this.idOf(entry));
  private readonly partition = ({ stream }: StreamId): number => partitionOf(stream, this.parts.log.partitions);
}

const placeOf = ({ started, recordedAt, service_id }: ListPlace): ListPlace => ({ started, recordedAt, service_id });

/** Whether a service belongs to what was asked for, by its own row. */
function membership({ kind, id }: Owner, { status, startedFrom, startedTo, serviceTypes }: ServicesFilter) {
  return (service: LiveService): boolean => {
    const owned =
      kind === 'customer'
        ? service.customer_id === id
        : service.customer_id === undefined && service.contact_key === id;
    const started = startedAt(service);
    return (
      owned &&
      (status === 'all' || service.status === status) &&
      (startedFrom === undefined || started >= startedFrom) &&
      (startedTo === undefined || started < startedTo) &&
      (serviceTypes === undefined ||
        serviceTypes.some((type) => service.service_type !== undefined && matches(service.service_type, type)))
    );
  };
}

async function* inOrderOf<T>(items: readonly T[]): AsyncGenerator<T> {
  yield* items;
}
