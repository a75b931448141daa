import { LogUnavailable, Presence, checkLease, type Lease } from '#event-log';
import type { Faults, Network } from './network.js';
import type { Random } from './random.js';
import { beginning, type Owner, type Scheduler } from './scheduler.js';

export interface SimulatedLeasesParts {
  readonly scheduler: Scheduler;
  readonly random: Random;
  readonly network: Network;
  readonly faults: Faults;
  readonly trace: (line: () => string) => void;
}

/** The leases as the broker has them, by its clock. */
export class SimulatedLeases {
  private readonly until = new Map<string, number>();

  constructor(readonly parts: SimulatedLeasesParts) {}

  get now(): number {
    return Math.floor(beginning + this.parts.scheduler.now);
  }

  renew(process: string, leaseMs: number): void {
    this.until.set(process, this.now + leaseMs);
  }

  end(process: string): void {
    this.until.delete(process);
  }

  live(): readonly Lease[] {
    const { now } = this;
    // Times are cut to milliseconds: a lease lasts for all of its last one.
    for (const [process, until] of this.until) if (until < now) this.until.delete(process);
    return [...this.until].map(([process, until]) => ({ process, until }));
  }
}

/** How long a client waits for a broker that does not answer, ms. */
const impatience = { shortest: 5, longest: 100 } as const;
/** By how much a renewal may come late to the broker, ms. */
const latestMs = 400;

/** What one process has of the leases. */
export class SimulatedPresence extends Presence {
  override readonly process: string;
  private isClosed = false;

  constructor(
    private readonly leases: SimulatedLeases,
    private readonly owner: Owner,
    /** Of the process, ms. */
    private readonly monotonic: () => number,
  ) {
    super();
    this.process = owner.name;
  }

  override async renew(leaseMs: number): Promise<number> {
    checkLease(leaseMs);
    const began = this.monotonic();
    await this.ask('renewal', () => this.leases.renew(this.process, leaseMs));
    return began + leaseMs;
  }

  override live(): Promise<readonly Lease[]> {
    return this.ask('who lives', () => this.leases.live());
  }

  override async close(): Promise<void> {
    if (this.isClosed) return;
    const ended = this.ask('end of a lease', () => this.leases.end(this.process));
    this.isClosed = true;
    await ended.catch(() => undefined);
  }

  /** Travels to the broker, is carried out, and the answer travels back; or fails before or after it was carried out, or is late. */
  private ask<T>(what: string, carryOut: () => T): Promise<T> {
    if (this.isClosed) return Promise.reject(new LogUnavailable('the lease of this process was closed'));
    const { scheduler, network, random, faults, trace } = this.leases.parts;
    const { world } = scheduler;
    const isCutOff = this.owner.cutOffFrom.has('leases');
    const fails = isCutOff || random.chance(faults.rates.presence);
    return new Promise((resolve, reject) => {
      if (!fails) {
        scheduler.after(world, network.hop(), () => {
          const answer = carryOut();
          scheduler.after(world, network.hop(), () => resolve(answer));
        });
        return;
      }
      const fate = isCutOff ? 'lost' : random.pick(['lost', 'answer lost', 'late']);
      faults.happened(`${what} ${isCutOff ? 'cut off' : fate}`);
      trace(() => `${this.process} ${what} ${fate}`);
      if (fate === 'answer lost') scheduler.after(world, network.hop(), carryOut);
      if (fate === 'late') scheduler.after(world, random.between(0, latestMs), carryOut);
      scheduler.after(world, random.between(impatience.shortest, impatience.longest), () =>
        reject(new LogUnavailable(`${what}: the broker did not answer`)),
      );
    });
  }
}
