import type { Lifetime } from '#events';

const daySeconds = 86_400;

/** Seconds of the letters of an expiration option (contract 0.3, 17). A month has 30 days, a year 365. */
const seconds: ReadonlyMap<string, number> = new Map([
  ['s', 1],
  ['m', 60],
  ['h', 3_600],
  ['d', daySeconds],
  ['w', 7 * daySeconds],
  ['M', 30 * daySeconds],
  ['y', 365 * daySeconds],
]);

/** The sliding lifetime that an option such as `5y` means. The option was validated. */
export function lifetimeOf(expiration: string): Lifetime {
  return { slide: Number(expiration.slice(0, -1)) * seconds.get(expiration.slice(-1))! };
}
