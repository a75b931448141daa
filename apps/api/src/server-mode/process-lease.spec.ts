import { LogUnavailable, Presence, SystemClock, type Clock, type Lease } from '#event-log';
import { ProcessLease } from './process-lease.js';

const LEASE_MS = 1_000;

/** Leases of one process, by a time that the test sets. */
class OwnPresence extends Presence {
  override readonly process = 'p';
  now = 0;
  isReachable = true;

  override async renew(leaseMs: number): Promise<number> {
    if (!this.isReachable) throw new LogUnavailable('cut off');
    return this.now + leaseMs;
  }
  override live(): Promise<readonly Lease[]> {
    return Promise.resolve([]);
  }
  override close(): Promise<void> {
    return Promise.resolve();
  }
}

/** A lease that is renewed when the test says so. */
async function held(onRegained: () => Promise<void> = () => Promise.resolve()) {
  const presence = new OwnPresence();
  let due: () => void = () => undefined;
  const clock: Clock = Object.assign(new SystemClock(), {
    after: (_ms: number, callback: () => void) => {
      due = callback;
      return () => undefined;
    },
  });
  let ended: (error?: unknown) => void = () => undefined;
  const lease = new ProcessLease(presence, clock, {
    leaseMs: LEASE_MS,
    onRegained,
    monotonic: () => presence.now,
    onRenewal: (error) => ended(error),
  });
  await lease.start();
  const renew = (): Promise<unknown> =>
    new Promise((resolve) => {
      ended = resolve;
      due();
    });
  return { lease, presence, renew };
}

describe('the lease of a process', () => {
  it('is another one after it had run out, and the same while it is renewed in time', async () => {
    const { lease, presence, renew } = await held();
    const { term } = lease;
    presence.now = LEASE_MS - 1;
    await renew();
    expect(lease.term).toBe(term);
    presence.now = 2 * LEASE_MS;
    await renew();
    expect(lease.isHeld).toBe(true);
    expect(lease.term).not.toBe(term);
  });

  it('is held until it runs out, and longer when it is renewed', async () => {
    const { lease, presence, renew } = await held();
    presence.now = LEASE_MS - 1;
    expect(lease.isHeld).toBe(true);
    await renew();
    presence.now = LEASE_MS;
    expect(lease.isHeld).toBe(true);
    presence.now = 2 * LEASE_MS - 1;
    expect(lease.isHeld).toBe(false);
  });

  it('is lost when it cannot be renewed, and regained when it can', async () => {
    const { lease, presence, renew } = await held();
    presence.isReachable = false;
    expect(await renew()).toBeInstanceOf(LogUnavailable);
    expect(lease.isHeld).toBe(true);
    presence.now = LEASE_MS;
    expect(lease.isHeld).toBe(false);
    presence.isReachable = true;
    expect(await renew()).toBeUndefined();
    expect(lease.isHeld).toBe(true);
  });

  it('does not count again before what the process knows was brought up to now', async () => {
    let caughtUp: () => void = () => undefined;
    const catchingUp = new Promise<void>((resolve) => {
      caughtUp = resolve;
    });
    const { lease, presence, renew } = await held(() => catchingUp);
    presence.now = LEASE_MS;
    const renewed = renew();
    await new Promise(setImmediate);
    expect(lease.isHeld).toBe(false);
    caughtUp();
    await renewed;
    expect(lease.isHeld).toBe(true);
  });

  it('stays lost when that fails', async () => {
    const { lease, presence, renew } = await held(() => Promise.reject(new LogUnavailable('no marker came back')));
    presence.now = LEASE_MS;
    expect(await renew()).toBeInstanceOf(LogUnavailable);
    expect(lease.isHeld).toBe(false);
  });

  it('ends when it is given back', async () => {
    const { lease } = await held();
    await lease.stop();
    expect(lease.isHeld).toBe(false);
  });
});
