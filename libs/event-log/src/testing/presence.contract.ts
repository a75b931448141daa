import { LogUnavailable } from '../event-log.js';
import { LONGEST_LEASE_MS, type Presence } from '../presence.js';

/** A fresh log whose processes come and go. */
export interface PresenceFixture {
  /** One more process. Where an engine allows a single one, the suite has closed the former before. */
  open(): Promise<Presence>;
  /** The monotonic time of its processes, ms; `performance.now()` when missing. */
  monotonic?(): number;
  /** Removes what is stored; every process was closed before. */
  close(): Promise<void>;
}

const CASE_TIMEOUT_MS = 60_000;
const LONG_MS = 60_000;
const RENEWALS = 6;

export interface PresenceTraits {
  /** How many the engine allows at once. */
  readonly processes: 'one' | 'several';
  /** A lease that a test can see end, yet long enough for a slow machine to look at it several times before, ms. */
  readonly shortLeaseMs: number;
}

/** What every Presence promises, in sentences; those about several processes where the engine allows more than one. */
export function describePresence(
  adapter: string,
  openFixture: () => Promise<PresenceFixture>,
  { processes, shortLeaseMs }: PresenceTraits,
): void {
  describe(`${adapter} as a Presence`, () => {
    let fixture: PresenceFixture;
    let opened: Presence[] = [];
    let cases = 0;

    const it = (sentence: string, prove: () => Promise<void>): void =>
      test(
        sentence,
        async () => {
          await prove();
          cases += 1;
        },
        CASE_TIMEOUT_MS,
      );

    beforeEach(async () => {
      fixture = await openFixture();
    }, CASE_TIMEOUT_MS);

    afterEach(async () => {
      await Promise.all(opened.map((presence) => presence.close()));
      opened = [];
      await fixture.close();
    }, CASE_TIMEOUT_MS);

    afterAll(() => {
      process.stdout.write(`suite: Presence, adapter: ${adapter}, cases: ${cases}\n`);
    });

    const now = (): number => fixture.monotonic?.() ?? performance.now();

    const open = async (): Promise<Presence> => {
      const presence = await fixture.open();
      opened.push(presence);
      return presence;
    };

    it('counts a process from its first renewal on', async () => {
      const one = await open();
      expect(await one.live()).toEqual([]);
      await one.renew(LONG_MS);
      expect(await namesSeenBy(one)).toEqual([one.process]);
    });

    it('lets a process rely on its lease from before the renewal was sent', async () => {
      const one = await open();
      const before = now();
      const until = await one.renew(LONG_MS);
      expect(until).toBeGreaterThanOrEqual(before + LONG_MS);
      expect(until).toBeLessThanOrEqual(now() + LONG_MS);
    });

    it('ends a lease that is not renewed, and not before its time', async () => {
      const one = await open();
      const until = await one.renew(shortLeaseMs);
      expect(await namesSeenBy(one)).toEqual([one.process]);
      await gone(one.process, one);
      expect(now()).toBeGreaterThanOrEqual(until);
    });

    it('keeps a process for as long as it renews', async () => {
      const one = await open();
      const first = await one.renew(shortLeaseMs);
      let [lease] = await one.live();
      for (let renewals = 0; renewals < RENEWALS || now() < first; renewals += 1) {
        await one.renew(shortLeaseMs);
        const [later, ...others] = await one.live();
        expect(others).toEqual([]);
        expect(later!.until).toBeGreaterThanOrEqual(lease!.until);
        lease = later;
      }
      expect(lease).toMatchObject({ process: one.process });
    });

    it('counts the last renewal, also when it is shorter', async () => {
      const one = await open();
      await one.renew(LONG_MS);
      const until = await one.renew(shortLeaseMs);
      await gone(one.process, one);
      expect(now()).toBeGreaterThanOrEqual(until);
      await one.renew(LONG_MS);
      expect(await namesSeenBy(one)).toEqual([one.process]);
    });

    it('has a new name after each start, and none is left behind by one that was closed', async () => {
      const one = await open();
      await one.renew(LONG_MS);
      await one.close();
      const two = await open();
      expect(await two.live()).toEqual([]);
      await two.renew(LONG_MS);
      expect(await namesSeenBy(two)).toEqual([two.process]);
      expect(two.process).not.toBe(one.process);
    });

    it('answers nothing after it was closed', async () => {
      const one = await open();
      await one.renew(LONG_MS);
      await Promise.all([one.close(), one.close()]);
      await one.close();
      await expect(one.renew(LONG_MS)).rejects.toBeInstanceOf(LogUnavailable);
      await expect(one.live()).rejects.toBeInstanceOf(LogUnavailable);
    });

    it('refuses a lease that never begins or never ends', async () => {
      const one = await open();
      for (const leaseMs of [0, -1, 0.5, Number.NaN, LONGEST_LEASE_MS + 1]) {
        await expect(one.renew(leaseMs)).rejects.toBeInstanceOf(RangeError);
      }
      expect(await one.live()).toEqual([]);
      await one.renew(LONGEST_LEASE_MS);
      expect(await namesSeenBy(one)).toEqual([one.process]);
    });

    it('serves many who ask and renew at once', async () => {
      const one = await open();
      await one.renew(LONG_MS);
      const answers = await Promise.all(
        Array.from({ length: 20 }, async (_, n) => {
          if (n % 3 === 0) await one.renew(LONG_MS);
          return namesSeenBy(one);
        }),
      );
      expect(answers).toEqual(Array(20).fill([one.process]));
    });

    if (processes === 'one') return;

    it('shows processes to each other', async () => {
      const [one, two] = await Promise.all([open(), open()]);
      await Promise.all([one.renew(LONG_MS), two.renew(LONG_MS)]);
      const [leases, same] = await Promise.all([one.live(), two.live()]);
      expect(names(leases)).toEqual([one.process, two.process].toSorted());
      expect(byName(same)).toEqual(byName(leases));
    });

    it('has seen what was acknowledged before the question', async () => {
      const [one, two] = await Promise.all([open(), open()]);
      for (let n = 0; n < RENEWALS; n += 1) {
        await one.renew(LONG_MS);
        const [before] = await two.live();
        await one.renew(LONG_MS / 2);
        const [after] = await two.live();
        expect(after!.until).toBeLessThan(before!.until);
      }
    });

    it('misses a process at once that was closed, and no other', async () => {
      const [one, two, three] = await Promise.all([open(), open(), open()]);
      await Promise.all([one, two, three].map((presence) => presence.renew(LONG_MS)));
      expect(await namesSeenBy(one)).toHaveLength(3);
      await two.close();
      for (const presence of [one, three]) {
        expect(await namesSeenBy(presence)).toEqual([one.process, three.process].toSorted());
      }
    });

    it('misses a process that stops renewing when its lease is over, and not before', async () => {
      const [one, two] = await Promise.all([open(), open()]);
      await one.renew(LONG_MS);
      const until = await two.renew(shortLeaseMs);
      expect(await namesSeenBy(one)).toContain(two.process);
      await gone(two.process, one);
      // Before this moment the other process relies on being waited for.
      expect(now()).toBeGreaterThanOrEqual(until);
      expect(await namesSeenBy(one)).toEqual([one.process]);
    });

    it('shows to one that joins who is there, and not who was', async () => {
      const [one, two, three] = await Promise.all([open(), open(), open()]);
      await Promise.all([one.renew(LONG_MS), two.renew(LONG_MS), three.renew(shortLeaseMs)]);
      await two.close();
      await gone(three.process, one);
      const four = await open();
      expect(await namesSeenBy(four)).toEqual([one.process]);
      await four.renew(LONG_MS);
      expect(await namesSeenBy(one)).toEqual([one.process, four.process].toSorted());
    });
  });
}

const names = (leases: Awaited<ReturnType<Presence['live']>>): readonly string[] =>
  leases.map(({ process: name }) => name).toSorted();
const byName = (leases: Awaited<ReturnType<Presence['live']>>) =>
  leases.toSorted((a, b) => a.process.localeCompare(b.process));
const namesSeenBy = async (presence: Presence): Promise<readonly string[]> => names(await presence.live());

/** Resolves when `seenBy` does not count the process any more. */
async function gone(process: string, seenBy: Presence): Promise<void> {
  while ((await namesSeenBy(seenBy)).includes(process)) await new Promise(setImmediate);
}
