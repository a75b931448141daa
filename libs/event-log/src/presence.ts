/** A process that serves, for as long as its lease runs. */
export interface Lease {
  readonly process: string;
  /** Epoch milliseconds of the log's own clock: when the lease ends unless it is renewed. */
  readonly until: number;
}

/** Longer ones are refused: nobody should have to wait that long for a process that died. */
export const LONGEST_LEASE_MS = 60 * 60 * 1000;

/** Throws `RangeError` unless it is a whole number of milliseconds up to {@link LONGEST_LEASE_MS}. */
export function checkLease(leaseMs: number): void {
  if (Number.isInteger(leaseMs) && leaseMs > 0 && leaseMs <= LONGEST_LEASE_MS) return;
  throw new RangeError(`a lease of ${leaseMs} ms: it must be a whole number from 1 to ${LONGEST_LEASE_MS}`);
}

/**
 * Who is alive: the leases of the processes that serve (design 4). An abstract class, so that it is the injection token
 * as well. After a crash the lease simply runs out.
 */
export abstract class Presence {
  /** Random name of this process's lease; another one after each start. */
  abstract readonly process: string;

  /**
   * Lets the lease run for `leaseMs` from now on. Resolves when the log has it, with the moment (ms of this process's
   * own monotonic clock, `performance.now()`) until which this process may rely on it: counted from before the sending,
   * so never later than when others take it for dead. Throws `LogUnavailable` when that was not acknowledged in time: it
   * may be recorded nevertheless, others then wait longer than this process serves. A later renewal replaces this one.
   */
  abstract renew(leaseMs: number): Promise<number>;

  /**
   * The leases that have not run out by the log's clock, this process's own included. As of a read to the end: whatever
   * was acknowledged before this call has been seen; a lease that ends while this answers may still be there. Throws
   * `LogUnavailable`, never answers an old picture.
   */
  abstract live(): Promise<readonly Lease[]>;

  /**
   * Ends the own lease at once, so that nobody waits for this process. Never throws: where the log does not take it, the
   * lease runs out. Whatever is asked for afterwards throws `LogUnavailable`.
   */
  abstract close(): Promise<void>;
}
