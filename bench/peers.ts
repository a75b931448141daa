import { inTurns, type Round, type RoundsOptions } from './command-path.js';
import { Emmett } from './peers/emmett.js';
import { cpuSeconds } from './processes.js';
import { System } from './system.js';

export const EMBEDDED = 'context-services, embedded';
export const EMMETT = 'Emmett with PostgreSQL';

export interface PeersMeasured {
  readonly rounds: Readonly<Record<string, readonly Round[]>>;
  /** What runs beside us, and how. */
  readonly settings: Readonly<Record<string, string>>;
}

/** The embedded engine, which projects as it does by default, beside other products: whole conversations. */
export async function peers(options: RoundsOptions): Promise<PeersMeasured> {
  const emmett = await Emmett.start();
  try {
    const system = await System.start(undefined);
    try {
      const cpuOfUs = (): number => cpuSeconds(system.pids['api']!);
      const rounds = await inTurns(
        [
          { name: EMBEDDED, target: system.target, cpuSeconds: cpuOfUs },
          { name: EMMETT, target: emmett.target, cpuSeconds: () => emmett.cpuSeconds() },
        ],
        options,
      );
      return { rounds: Object.fromEntries(rounds), settings: emmett.settings };
    } finally {
      await system.end();
    }
  } finally {
    await emmett.end();
  }
}
