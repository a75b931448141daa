import { on, once } from 'node:events';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { EmbeddedEventLog, EmbeddedPresence } from '#event-log/embedded';
import type { Logger, MetricsSnapshot } from '#operations';
import { EmbeddedReadModel } from '#read-model/embedded';
import type { ApiOptions } from '../api.options.js';
import type { Backend, BackendHooks } from './backend.js';

const projectorProgram = new URL('../../../projector/src/main.js', import.meta.url);

const metricsWithinMs = 500;

/** Of the control log, below the data folder. */
const CONTROL_FOLDER = 'control';

/** Local disk. The projector runs in a thread of this process, or as a process of its own on the same folder. */
export async function openEmbedded(options: ApiOptions, logger: Logger, hooks: BackendHooks): Promise<Backend> {
  // The projector makes the file that this process reads, so it comes first.
  const projector = options.projectorInside ? new ProjectorThread(logger, hooks.onFatal) : undefined;
  const opened: { close(): Promise<void> }[] = projector ? [projector] : [];
  const close = async () => {
    for (const part of opened.reverse()) await part.close();
  };
  try {
    const readModel = await EmbeddedReadModel.open({ directory: options.dataDir, readOnly: true });
    opened.unshift(readModel);
    const checkpoints = await readModel.checkpoints();
    const { dataDir: directory, partitions } = options;
    const onTrouble = (reason: Error | undefined): void => {
      if (reason) logger.error({ reason: reason.message, directory }, 'the event log cannot store anything');
      else logger.warn({ directory }, 'the event log stores again');
    };
    const log = await EmbeddedEventLog.open({ directory, partitions, checkpoints, onTrouble });
    opened.push(log);
    const control = await EmbeddedEventLog.open({
      directory: join(directory, CONTROL_FOLDER),
      partitions: 1,
      onTrouble,
    });
    opened.push(control);
    return {
      log,
      control,
      presence: new EmbeddedPresence(),
      readModel,
      close,
      ...(projector && { committed: () => projector.wake(), metrics: async () => [await projector.metrics()] }),
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** The projector's program as a worker thread: woken by a message, and never ended but by one. */
class ProjectorThread {
  private readonly worker = new Worker(projectorProgram, { name: 'projector' });
  private readonly ended = once(this.worker, 'exit');
  private waking = false;
  private closing = false;

  constructor(logger: Logger, onFatal: (error: Error) => void) {
    this.worker.on('error', (error) => {
      logger.error({ error }, 'the projector failed');
      if (!this.closing) onFatal(error);
    });
    this.worker.on('exit', (code) => {
      if (!this.closing) onFatal(new Error(`the projector ended with code ${code}`));
    });
  }

  /** One message for all records of this turn of the event loop. */
  wake(): void {
    if (this.waking) return;
    this.waking = true;
    setImmediate(() => {
      this.waking = false;
      this.worker.postMessage('committed');
    });
  }

  /** Empty when the thread does not answer at once: it may be in the middle of a long statement. */
  async metrics(): Promise<MetricsSnapshot> {
    this.worker.postMessage('metrics');
    const messages = on(this.worker, 'message', { signal: AbortSignal.timeout(metricsWithinMs) });
    try {
      for await (const [message] of messages as AsyncIterable<[{ metrics?: MetricsSnapshot }]>) {
        if (message.metrics) return message.metrics;
      }
    } catch (error) {
      if (!(error instanceof Error) || error.name !== 'AbortError') throw error;
    }
    return [];
  }

  async close(): Promise<void> {
    this.closing = true;
    this.worker.postMessage('stop');
    await this.ended;
  }
}
