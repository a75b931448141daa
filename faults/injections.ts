import { closeSync, existsSync, openSync, readFileSync, writeSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Mode } from '#events';
import type { Random } from '../simulation/random.js';
import type { BrokerName } from '../tools/brokers/brokers.mjs';
import { outcomeOf } from './history.js';
import type { Server } from './server.js';
import type { World } from './world.js';

/** Goes on until it is told to stop; whatever it broke last is mended by `World.rest`. */
export type Fault = (world: World, random: Random, stop: AbortSignal) => Promise<void>;

/** False when it was told to stop meanwhile. */
export const wait = (ms: number, stop: AbortSignal): Promise<boolean> =>
  sleep(ms, true, { signal: stop }).catch(() => false);

/** Again and again, so many milliseconds after the last time. */
export function every(
  [lowest, highest]: readonly [number, number],
  name: string,
  work: (world: World, random: Random, stop: AbortSignal) => Promise<unknown>,
): Fault {
  return async (world, random, stop) => {
    while (await wait(random.between(lowest, highest), stop)) {
      world.count(name);
      await work(world, random, stop);
    }
  };
}

type Kind = 'apis' | 'projectors';

export const killed = (kind: Kind): Fault =>
  every([300, 3_000], `kill -9 of ${kind}`, async (world, random, stop) => {
    const server = random.pick(world[kind]);
    await server.end('SIGKILL');
    await wait(random.between(0, 500), stop);
    await server.start();
    // Killed while it starts, too.
    if (random.chance(0.7)) await server.ready().catch(() => undefined);
  });

export const paused = (kind: Kind): Fault =>
  every([200, 1_500], `pause of ${kind}`, async (world, random, stop) => {
    const server = random.pick(world[kind]);
    server.pause();
    await wait(random.between(100, 4_000), stop);
    server.resume();
  });

const LONGEST_RECOVERY_MS = 20_000;

export const brokerKilled = (name: BrokerName): Fault =>
  every([500, 3_000], `kill -9 of ${name}`, async (world, random, stop) => {
    await world.killBroker(name);
    await wait(random.between(0, 1_500), stop);
    await world.startBroker(name);
    // Mostly long enough for everything to recover: whoever waits for a broker records nothing.
    await wait(random.between(0, LONGEST_RECOVERY_MS), stop);
  });

/** Projectors come and go, in order or not. */
export const rebalanced: Fault = every([200, 1_000], 'rebalance', async (world, random, stop) => {
  const extra: Server = world.extraProjector();
  try {
    await extra.start();
    await Promise.race([extra.ready().catch(() => undefined), wait(6_000, stop)]);
    await wait(random.between(0, 1_500), stop);
  } finally {
    await extra.end(random.chance(0.5) ? 'SIGTERM' : 'SIGKILL');
  }
});

const SWITCH_ATTEMPTS = 40;
const SWITCH_PAUSE_MS = 150;

export const switched: Fault = every([400, 1_500], 'mode switch', async (world, random, stop) => {
  for (const mode of ['maintenance', 'production'] satisfies Mode[]) {
    for (let attempt = 0; attempt < SWITCH_ATTEMPTS && !stop.aborted; attempt++) {
      const call = await world.client.ask(random.pick(world.apis), { kind: 'switch', mode });
      if (outcomeOf(call) === 'ok') break;
      await wait(SWITCH_PAUSE_MS, stop);
    }
    await wait(random.between(100, 600), stop);
  }
});

/** Api, and with it the projector inside, dies and comes back; with a torn write behind the last one, perhaps. */
export const crashed = (withTornWrite: boolean): Fault =>
  every([500, 2_500], withTornWrite ? 'kill -9 and torn write' : 'kill -9', async (world, random) => {
    const [server] = world.apis as [Server];
    await server.end('SIGKILL');
    if (withTornWrite) tearWal(path.join(world.place.directory, 'log.db-wal'), random);
    await server.start();
    if (random.chance(0.7)) await server.ready();
  });

const HEADER_BYTES = 32;
const FRAME_HEADER_BYTES = 24;
const PAGE_BYTES = 4_096;
const FRAME_BYTES = FRAME_HEADER_BYTES + PAGE_BYTES;
const SALTS_AT = 16;
const SALTS_BYTES = 8;

/** Writes the first part of a further frame behind the last one: what a commit leaves that the power was cut in. */
function tearWal(file: string, random: Random): void {
  const wal = existsSync(file) ? readFileSync(file) : Buffer.alloc(0);
  if (wal.length < HEADER_BYTES + FRAME_BYTES) return;
  const salts = wal.subarray(SALTS_AT, SALTS_AT + SALTS_BYTES);
  let end = HEADER_BYTES;
  const saltsOf = (at: number): Buffer => wal.subarray(at + 8, at + 8 + SALTS_BYTES);
  while (end + FRAME_BYTES <= wal.length && saltsOf(end).equals(salts)) end += FRAME_BYTES;
  if (end === HEADER_BYTES) return;
  const torn = Buffer.from(wal.subarray(end - FRAME_BYTES, end));
  torn.set(random.bytes(SALTS_BYTES), FRAME_HEADER_BYTES - SALTS_BYTES); // the checksum
  torn.set(random.bytes(PAGE_BYTES / 2), FRAME_HEADER_BYTES);
  const descriptor = openSync(file, 'r+');
  try {
    writeSync(descriptor, torn, 0, 1 + random.below(FRAME_BYTES), end);
  } finally {
    closeSync(descriptor);
  }
}
