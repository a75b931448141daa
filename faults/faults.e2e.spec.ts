import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describeOn } from '../apps/api/test/processes.js';
import { judge, play, shown } from './run.js';
import { scenarios } from './scenarios.js';
import { clockOffset } from './server.js';
import { World, type Setup } from './world.js';

const seed = Number(process.env['CS_TEST_SEED'] ?? Date.now() % 2 ** 31);
const HOUR_MS = 3_600_000;
const PLAY_MS = 3_000;
/** A machine that runs everything at once is slow, not wrong. */
const PATIENCE_MS = 240_000;

/** One world for all scenarios of an engine: starting processes takes longer than breaking them. */
const setups: readonly Setup[] = [
  {
    engine: 'distributed',
    apis: [clockOffset(HOUR_MS), clockOffset(-HOUR_MS), {}],
    projectors: [clockOffset(-HOUR_MS), {}],
    behindProxy: { apis: 1, projectors: 1 },
    isCatchable: true,
  },
  { engine: 'embedded', apis: [{}], projectors: [], isCatchable: true },
];

for (const setup of setups) {
  const { engine } = setup;
  describeOn(engine, 'what everybody was told while things broke', () => {
    let world: World;
    const folder = mkdtempSync(path.join(tmpdir(), 'context-services-faults-'));
    let cases = 0;

    beforeAll(async () => {
      process.stdout.write(`seed: ${seed}\n`);
      world = await World.start(setup, seed, folder);
    }, PATIENCE_MS);

    afterEach(() => {
      cases += 1;
    });

    afterAll(async () => {
      await world?.end();
      rmSync(folder, { recursive: true, force: true });
      process.stdout.write(`suite: FaultScenarios, adapter: ${engine}, partitions: 4, cases: ${cases}\n`);
    }, PATIENCE_MS);

    const own = scenarios.filter(
      ({ engine: of, platform = process.platform }) => of === engine && platform === process.platform,
    );

    it.each(own)(
      'agrees with log and read model: $name, $about',
      async ({ faults, leastMs = PLAY_MS }) => {
        await play(world, faults, seed, leastMs);
        const { violations, complaints } = await judge(world);
        expect(violations.map(shown).join('\n\n')).toBe('');
        expect(complaints).toEqual([]);
      },
      PATIENCE_MS,
    );
  });
}
