import { randomInt } from 'node:crypto';

/** Numbers from a seed (mulberry32): the same seed gives the same test again. */
export class Random {
  constructor(private state: number) {}

  below(limit: number): number {
    this.state = (this.state + 0x6d2b79f5) | 0;
    let bits = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state);
    bits = (bits + Math.imul(bits ^ (bits >>> 7), 61 | bits)) ^ bits;
    return Math.floor((((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32) * limit);
  }

  chance(probability: number): boolean {
    return this.below(1_000) < probability * 1_000;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }
}

const LARGEST_SEED = 2 ** 31;

/** `CS_TEST_SEED`, to play a failed test again, or a new seed. */
export const newSeed = (): number => Number(process.env['CS_TEST_SEED'] ?? randomInt(LARGEST_SEED));
