import { randomUUID } from 'node:crypto';
import { SystemClock, type Clock } from '../clock.js';
import { LogUnavailable } from '../event-log.js';
import { Presence, checkLease, type Lease } from '../presence.js';

/**
 * The embedded log has one writing process, ensured by its lock: whoever has opened it is alone. Its lease is kept in
 * memory, since it ends with the process.
 */
export class EmbeddedPresence extends Presence {
  override readonly process = randomUUID();
  /** By `performance.now()`. */
  private until = Number.NEGATIVE_INFINITY;
  private isClosed = false;

  constructor(private readonly clock: Clock = new SystemClock()) {
    super();
  }

  override async renew(leaseMs: number): Promise<number> {
    checkLease(leaseMs);
    this.refuseWhenClosed();
    this.until = performance.now() + leaseMs;
    return this.until;
  }

  override async live(): Promise<readonly Lease[]> {
    this.refuseWhenClosed();
    const leftMs = this.until - performance.now();
    return leftMs > 0 ? [{ process: this.process, until: Math.trunc(this.clock.now() + leftMs) }] : [];
  }

  override async close(): Promise<void> {
    this.isClosed = true;
  }

  private refuseWhenClosed(): void {
    if (this.isClosed) throw new LogUnavailable('the lease of this process was closed');
  }
}
