import { parsePositions, type LogPositions } from '../apps/api/src/position.js';
import type { StreamHistory } from '../simulation/history.js';
import type { Call, Moment } from './history.js';

/** `X-CS-Position` of an answer: the services log. */
export const servicesIn = (position: string | undefined): LogPositions => parsePositions(position).services;

/** What somebody knew for certain at a moment: the log had a record at least this far. */
interface Fact {
  readonly order: number;
  readonly offset: number;
}

/**
 * When a record was in the log, as far as callers can tell without any clock: before the end of a call whose answer names
 * its place or a later one, and not before the beginning of the call that brought it.
 */
export class Knowledge {
  /** By partition, both numbers growing. */
  private readonly acknowledged = new Map<number, Fact[]>();
  /** By partition: from a record of this offset on, everything came after `order`. Both numbers growing. */
  private readonly begun = new Map<number, Fact[]>();

  constructor(calls: readonly Call[], streams: Iterable<StreamHistory>) {
    const answered = calls.filter(({ answer }) => answer).sort((a, b) => a.answer!.end.order - b.answer!.end.order);
    for (const { answer } of answered) {
      for (const [partition, offset] of servicesIn(answer!.position))
        grow(this.acknowledged, partition, { order: answer!.end.order, offset });
    }
    const begins = new Map(calls.map(({ id, begin }) => [id, begin.order]));
    const records = [...streams].flatMap(({ steps }) => steps.map(({ record }) => record));
    for (const { partition, offset, correlationId } of records.sort((a, b) => a.offset - b.offset)) {
      const order = begins.get(correlationId);
      if (order !== undefined) grow(this.begun, partition, { order, offset });
    }
  }

  /** The last offset that was in the partition at this moment, known by somebody; -1 for none. */
  before(partition: number, { order }: Moment): number {
    const facts = this.acknowledged.get(partition) ?? [];
    return facts[countBefore(facts, order) - 1]?.offset ?? -1;
  }

  /** No record of this offset or a higher one was in the partition at this moment. */
  after(partition: number, moment: Moment | undefined): number {
    const facts = this.begun.get(partition) ?? [];
    return (moment && facts[countBefore(facts, moment.order)]?.offset) ?? Number.POSITIVE_INFINITY;
  }
}

/** Keeps a fact when it says more than the one before. */
function grow(all: Map<number, Fact[]>, partition: number, fact: Fact): void {
  const facts = all.get(partition) ?? [];
  all.set(partition, facts);
  const last = facts.at(-1);
  if (!last || (fact.offset > last.offset && fact.order > last.order)) facts.push(fact);
}

/** How many facts are of a moment before `order`. */
function countBefore(facts: readonly Fact[], order: number): number {
  let [low, high] = [0, facts.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (facts[middle]!.order < order) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** What each process has told of a stream, and to whom: it knows at least this version. */
export class Told {
  private readonly versions = new Map<string, { readonly call: Call; readonly version: number }[]>();

  /** To be called in the order of the answers. */
  version(call: Call, stream: string, version: number): void {
    const key = `${call.process} ${stream}`;
    const known = this.versions.get(key) ?? [];
    this.versions.set(key, known);
    if (version > (known.at(-1)?.version ?? 0)) known.push({ call, version });
  }

  /** Undefined for nothing. */
  by(
    process: string,
    stream: string,
    { order }: Moment,
  ): { readonly call: Call; readonly version: number } | undefined {
    return this.versions.get(`${process} ${stream}`)?.findLast(({ call }) => call.answer!.end.order < order);
  }
}
