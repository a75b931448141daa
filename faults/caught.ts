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
    const servers = part === 'projector' && world.projectors.length > 0 ? world.projectors : world.apis;
    // Nobody knows who completes a switch.
    const targets = part === 'switch' ? servers : [random.pick(servers)];
    const point: Point = {
      name: random.pick(points),
      // Each step of a switch is there once or a few times.
      passes: 1 + random.below(part === 'switch' ? 2 : MOST_PASSES),
      signal: random.chance(HANGS) ? 'SIGSTOP' : 'SIGKILL',
    };
    await catchOne(world, targets, point, random, stop);
  });
}

/** Or more of them, who came there before the first was noticed. */
async function catchOne(
  world: World,
  targets: readonly Server[],
  point: Point,
  random: Random,
  stop: AbortSignal,
): Promise<void> {
  const before = world.hits.length;
  for (const server of targets) world.aim(server, point);
  const deadline = performance.now() + HIT_WITHIN_MS;
  while (world.hits.length === before && performance.now() < deadline && (await wait(POLL_MS, stop)));
  for (const server of targets) world.aim(server);
  const caught = world.hits.slice(before).map(({ server }) => server);
  if (point.signal === 'SIGSTOP' && caught.length > 0) await wait(random.between(100, 4_000), stop);
  for (const server of caught) {
    if (point.signal === 'SIGSTOP') server.resume();
    else await server.end('SIGKILL').then(() => server.start());
  }
}
