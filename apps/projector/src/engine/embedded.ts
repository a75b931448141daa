import { EmbeddedLogReader } from '#event-log/embedded';
import { EmbeddedReadModel } from '#read-model/embedded';
import type { ProjectorOptions } from '../projector.options.js';
import { DeadLetterFile } from './dead-letter-file.js';
import { Opened, type Engine } from './engine.js';

/** Local disk. The read model is made first: the process that makes the log waits for it. */
export async function openEmbedded({ dataDir: directory }: ProjectorOptions): Promise<Engine> {
  const opened = new Opened();
  const readModel = await opened.add(EmbeddedReadModel.open({ directory }));
  const deadLetters = await opened.add(DeadLetterFile.open(directory));
  const log = await opened.add(EmbeddedLogReader.open({ directory }));
  return {
    log,
    readModel,
    deadLetters,
    group: 'projector',
    wake: () => log.wake(),
    stopSending: async () => undefined,
    close: () => opened.close(),
  };
}
