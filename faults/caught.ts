import type { Random } from '../simulation/random.js';
import { every, wait, type Fault } from './injections.js';
import { pointsOf } from './named-points.mjs';
import type { Point, Server } from './server.js';
import type { World } from './world.js';

type Part = Parameters<typeof pointsOf>[0];

/** For so long somebody must come to the point; then another one is tried. */
const HIT_WITHIN_MS = 8_000;
const POLL_MS = 20;
const MOST_PASSES = 6;
const HANGS = 0.25;

/**
 * One process after another dies, or hangs and goes on, at a point of its way that the seed chooses: between a request
 * and its answer, between a row and the checkpoint.
 */
export function caughtAt(...parts: readonly Part[]): Fault {
  return every([0, 300], 'sent to a named point', async (world, random, stop) => {
    const part = random.pick(parts);
    const points = pointsOf(part, world.place.engine);
    const server = random.pick(part === 'projector' && world.projectors.length > 0 ? world.projectors : world.apis);
    const point: Point = {
      name: random.pick(points),
      // Each step of a switch is there once or a few times.
      passes: 1 + random.below(part === 'switch' ? 2 : MOST_PASSES),
      signal: random.chance(HANGS) ? 'SIGSTOP' : 'SIGKILL',
    };
    await catchAt(world, server, point, random, stop);
  });
}

async function catchAt(world: World, server: Server, point: Point, random: Random, stop: AbortSignal): Promise<void> {
  const before = world.hits.length;
  world.aim(server, point);
  const deadline = performance.now() + HIT_WITHIN_MS;
  while (world.hits.length === before && performance.now() < deadline && (await wait(POLL_MS, stop)));
  world.aim(server);
  if (world.hits.length === before) return;
  if (point.signal === 'SIGSTOP') {
    await wait(random.between(100, 4_000), stop);
    return server.resume();
  }
  await server.end('SIGKILL');
  await server.start();
}
