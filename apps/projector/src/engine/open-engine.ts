import type { ProjectorOptions } from '../projector.options.js';
import type { Engine, EngineHooks } from './engine.js';

/** Throws `RefusedStart` when a person must decide, else what makes a start impossible for now. */
export async function openEngine(options: ProjectorOptions, hooks: EngineHooks): Promise<Engine> {
  // Each engine loads its own drivers only.
  if (options.engine === 'embedded') {
    const { openEmbedded } = await import('./embedded.js');
    return openEmbedded(options);
  }
  const { openDistributed } = await import('./distributed.js');
  return openDistributed(options, hooks);
}
