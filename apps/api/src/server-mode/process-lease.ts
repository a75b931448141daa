import type { Clock, Presence } from '#event-log';

export interface ProcessLeaseOptions {
  /** For how long others take this process for alive after it has renewed its lease, ms. */
  readonly leaseMs: number;
  /** The lease had run out: what this process knows must be brought up to now before it counts again. */
  readonly onRegained: () => Promise<void>;
  /** Monotonic time of this process, ms, as that of `Presence.renew`. */
  readonly monotonic?: () => number;
  /** Each time a renewal ended. */
  readonly onRenewal: (error?: unknown) => void;
}

/** How often a lease is renewed while it runs. */
const RENEWALS_PER_LEASE = 4;

/**
 * The lease of this process, renewed again and again. While it runs, a switch of the mode waits for this process; when it
 * cannot be renewed, this process must stop answering before others stop waiting for it (design 4, 5).
 */
export class ProcessLease {
  private readonly monotonic: () => number;
  private until = Number.NEGATIVE_INFINITY;
  private losses = 0;
  private stopped = false;
  private cancel: () => void = () => undefined;
  private renewing: Promise<void> = Promise.resolve();

  constructor(
    private readonly presence: Presence,
    private readonly clock: Clock,
    private readonly options: ProcessLeaseOptions,
  ) {
    this.monotonic = options.monotonic ?? (() => performance.now());
  }

  get isHeld(): boolean {
    return this.monotonic() < this.until;
  }

  /** The same for as long as others wait for this process without a gap. */
  get term(): number {
    return this.losses;
  }

  /** Resolves when the lease runs for the first time. Throws `LogUnavailable`. */
  async start(): Promise<void> {
    this.until = await this.presence.renew(this.options.leaseMs);
    this.options.onRenewal();
    this.schedule();
  }

  /** Gives the lease back: nobody needs to wait for this process any more. */
  async stop(): Promise<void> {
    this.stopped = true;
    this.until = Number.NEGATIVE_INFINITY;
    this.cancel();
    await this.renewing;
    await this.presence.close();
  }

  private schedule(): void {
    if (this.stopped) return;
    this.cancel = this.clock.after(this.options.leaseMs / RENEWALS_PER_LEASE, () => {
      this.renewing = this.renew().then(() => this.schedule());
    });
  }

  private async renew(): Promise<void> {
    try {
      const until = await this.presence.renew(this.options.leaseMs);
      // Others may have switched the mode without waiting for this process.
      if (!this.isHeld) {
        await this.options.onRegained();
        this.losses++;
      }
      if (!this.stopped) this.until = until;
      this.options.onRenewal();
    } catch (error) {
      this.options.onRenewal(error);
    }
  }
}
