import { setTimeout as sleep } from 'node:timers/promises';
import { leave, newPlace, Program, type Place } from '../apps/api/test/processes.js';
import { openLog, openReadModel } from '../apps/api/test/stores.js';
import type { Brokers } from './brokers.js';
import type { Target } from './load.js';

export const PARTITIONS = 12;
const basePath = '/genesys/1/cs';

/** Programs of it have the options that they have by default. */
export function newBenchPlace(brokers: Brokers | undefined, env: Readonly<Record<string, string>> = {}): Place {
  const { directory, topicPrefix, engine, env: own } = newPlace(brokers ? 'distributed' : 'embedded');
  return {
    engine,
    directory,
    topicPrefix,
    partitions: PARTITIONS,
    env: {
      NODE_ENV: 'production',
      CS_ENGINE: engine,
      CS_DATA_DIR: directory,
      CS_TOPIC_PREFIX: topicPrefix,
      CS_CASSANDRA_KEYSPACE: own['CS_CASSANDRA_KEYSPACE']!,
      CS_PARTITIONS: String(PARTITIONS),
      CS_LOG_LEVEL: 'warn',
      ...(brokers ? brokers.env : { CS_PROJECTOR_INSIDE: 'true' }),
      ...env,
    },
  };
}

const LOOK_EVERY_MS = 20;

/**
 * Resolves when so many records are projected, all that are in the log by default; with the moment at which that was
 * seen, ms of `performance.now()`. Throws when the program ends meanwhile.
 */
export async function untilProjected(place: Place, records: number | undefined, program: Program): Promise<number> {
  const readModel = await openReadModel(place);
  const log = records === undefined ? await openLog(place, 'services') : undefined;
  try {
    const ends = log && (await log.ends());
    const wanted = records ?? ends!.reduce((sum, end) => sum + end, 0);
    for (;;) {
      const checkpoints = await readModel.checkpoints();
      if (checkpoints.reduce((sum, { next }) => sum + next, 0) >= wanted) return performance.now();
      const { exitCode } = program.child;
      if (exitCode !== null) throw new Error(`the projector ended with ${exitCode}: ${program.output}`);
      await sleep(LOOK_EVERY_MS);
    }
  } finally {
    await Promise.all([readModel.close(), log?.close()]);
  }
}

/** Api and projector with the options that they have by default, in a place of their own. */
export class System {
  private constructor(
    readonly place: Place,
    private readonly programs: Readonly<Record<string, Program>>,
    private readonly brokers: Brokers | undefined,
    /** From the start of each program until it was ready. */
    readonly startSeconds: Record<string, number> = {},
  ) {}

  /** `place`: one that has a log already. */
  static async start(
    brokers: Brokers | undefined,
    env: Readonly<Record<string, string>> = {},
    place = newBenchPlace(brokers, env),
  ): Promise<System> {
    const programs: Record<string, Program> = {};
    const system = new System(place, programs, brokers);
    try {
      for (const name of brokers ? (['projector', 'api'] as const) : (['api'] as const))
        programs[name] = await Program.start(name, place);
      const began = performance.now();
      await Promise.all(
        Object.entries(programs).map(async ([name, program]) => {
          await program.ready();
          system.startSeconds[name] = Math.round((performance.now() - began) / 10) / 100;
        }),
      );
      return system;
    } catch (error) {
      await system.end();
      throw error;
    }
  }

  get target(): Target {
    return { origin: this.programs['api']!.origin, basePath };
  }

  get pids(): Readonly<Record<string, number>> {
    const own = Object.entries(this.programs).map(([name, { child }]) => [name, child.pid!] as const);
    return { ...Object.fromEntries(own), ...this.brokers?.pids };
  }

  /** What it would do waits. */
  pauseProjector(): void {
    this.programs['projector']?.signal('SIGSTOP');
  }

  /** `keep`: the place is somebody else's. */
  async end({ keep = false } = {}): Promise<void> {
    this.programs['projector']?.signal('SIGCONT');
    await Promise.all(Object.values(this.programs).map((program) => program.end('SIGTERM')));
    if (!keep) leave(this.place);
  }
}
