import type { INestMicroservice } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { SystemClock } from '#event-log';
import { NestLogger, retryUntilUp, type Logger, type Readiness } from '#operations';
import { openEngine } from './engine/open-engine.js';
import { EventLogStrategy } from './event-log.strategy.js';
import { Projection } from './projection/projection.js';
import type { ProjectorInstruments } from './projector.instruments.js';
import { ProjectorModule } from './projector.module.js';
import type { ProjectorOptions } from './projector.options.js';

const MIB = 1024 * 1024;

export interface ProjectorParts {
  readonly options: ProjectorOptions;
  readonly logger: Logger;
  readonly readiness: Readiness;
  readonly instruments: ProjectorInstruments;
  /** The log cannot be read any further: the process must end. */
  readonly onFatal: (error: Error) => void;
  /** What is done with a refused start; must not return. */
  readonly refuse: (error: unknown) => never;
}

/** The microservice with everything below it, from the first try to connect to the last row saved. */
export class Projector {
  private readonly stopping = new AbortController();
  private app: INestMicroservice | undefined;
  private starting: Promise<void> | undefined;
  private wakeLog = (): void => undefined;

  constructor(private readonly parts: ProjectorParts) {}

  /** Tries for ever, however long log and read model take to come up. Resolves when records are projected, or stopped. */
  start(): Promise<void> {
    const { logger, readiness, refuse } = this.parts;
    const { signal } = this.stopping;
    const notReady = (reason: string): void => {
      readiness.notReady('event-log', reason);
      readiness.notReady('read-model', reason);
    };
    this.starting = retryUntilUp('event log and read model', () => this.open(), {
      log: logger,
      onFailure: notReady,
      refuse,
      signal,
    }).then(
      (app) => {
        this.app = app;
        readiness.ready('event-log');
        readiness.ready('read-model');
        readiness.ready('projection');
      },
      (error: unknown) => {
        if (!signal.aborted) throw error;
      },
    );
    return this.starting;
  }

  /** Somebody recorded something. */
  wake(): void {
    this.wakeLog();
  }

  /** Resolves when the batches in flight are done and everything is closed. */
  async stop(): Promise<void> {
    this.stopping.abort(new Error('the projector is stopped'));
    await this.starting;
    await this.app?.close();
  }

  private async open(): Promise<INestMicroservice> {
    const { options, logger, instruments, onFatal } = this.parts;
    const engine = await this.unlessStopped(
      openEngine(options, { onTrouble: (message, details) => logger.warn({ kafka: details }, message) }),
    );
    try {
      const clock = new SystemClock();
      const readModel = instruments.timed(engine.readModel);
      const projection = new Projection({
        ...engine,
        readModel,
        clock,
        watch: instruments,
        limits: { streamsAtOnce: options.streamsAtOnce, rowBytes: options.rowCacheMib * MIB },
      });
      const strategy = new EventLogStrategy({
        log: engine.log,
        group: engine.group,
        projection,
        clock,
        verifyEveryMs: options.verifyEveryMs,
        onVerified: (part, error) => instruments.verified(part, error),
        onOverdue: () => engine.stopSending(),
        onFatal,
      });
      const app = await NestFactory.createMicroservice(ProjectorModule.with(projection, engine), {
        strategy,
        logger: new NestLogger(logger),
        abortOnError: false,
      });
      await app.listen();
      instruments.measureLag(engine.log, engine.readModel);
      this.wakeLog = engine.wake ?? this.wakeLog;
      return app;
    } catch (error) {
      await engine.close();
      throw error;
    }
  }

  /** A log that is not there yet can be waited for without end; what opens after all is closed by the end of the process. */
  private unlessStopped<T>(opening: Promise<T>): Promise<T> {
    const { signal } = this.stopping;
    return new Promise((resolve, reject) => {
      const stop = (): void => reject(signal.reason as Error);
      signal.addEventListener('abort', stop, { once: true });
      opening.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
    });
  }
}
