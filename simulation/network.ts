import type { Random } from './random.js';

/** How often what goes wrong in one schedule; each seed chooses anew, so that few faults hide behind many. */
export interface FaultRates {
  /** A batch of one partition is lost, doubled, late, refused, left out. */
  readonly append: number;
  /** A tail's group rejoins and reads again from an earlier place, at a fetch. */
  readonly rejoin: number;
  /** A tail goes on behind records that it has not seen. */
  readonly hole: number;
  /** The stored value of an event is damaged. */
  readonly brokenValue: number;
  /** A request to the store fails before or after it was carried out. */
  readonly store: number;
  /** A public event or a dead letter could not be stored. */
  readonly publish: number;
  /** A lease is not renewed, or nobody learns that it was; nobody says who lives. */
  readonly presence: number;
}

export const noFaults: FaultRates = {
  append: 0,
  rejoin: 0,
  hole: 0,
  brokenValue: 0,
  store: 0,
  publish: 0,
  presence: 0,
};

/** The rates in force, and how often each fault happened. */
export class Faults {
  readonly counts = new Map<string, number>();

  constructor(public rates: FaultRates) {}

  happened(what: string): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + 1);
  }

  /** From now on nothing goes wrong. */
  stop(): void {
    this.rates = noFaults;
  }
}

const slowestMs = 400;

/** How long a message takes, virtual ms: mostly short, now and then very long. */
export class Network {
  constructor(
    private readonly random: Random,
    private readonly typicalMs: number,
    private tail: number,
  ) {}

  /** From now on no message takes very long. */
  calmDown(): void {
    this.tail = 0;
  }

  hop(): number {
    const typical = -Math.log(1 - this.random.fraction()) * this.typicalMs;
    return this.random.chance(this.tail) ? Math.min(typical * 30, slowestMs) : typical;
  }
}
