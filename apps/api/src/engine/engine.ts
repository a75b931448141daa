import { randomUUID } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import type { NewRecord } from '#events';
import { SystemClock, type Clock, type EventLog, type Verdict } from '#event-log';
import { Readiness, metricsText, retryUntilUp, type Logger } from '#operations';
import { ApiOptions } from '../api.options.js';
import { CommandPath } from '../services/command-path.js';
import { CompositePath } from '../services/composite-path.js';
import { Ids, randomFromPool } from '../services/ids.js';
import { QueryPath } from '../services/query-path.js';
import { RecentStreams } from '../services/recent-streams.js';
import { Unavailable } from '../services/unavailable.js';
import { lifetimeOf } from '../services/lifetimes.js';
import { MetadataPath } from '../control/metadata-path.js';
import { joinServer, type Joined } from '../server-mode/join-server.js';
import { initialMetadata } from '../metadata/initial-metadata.js';
import { Instruments } from './instruments.js';
import type { Backend, BackendHooks } from './backend.js';
import { ProjectorProgress } from './projector-progress.js';

export const LOGGER = Symbol('logger');

/** What handlers work with once log and read model are there. */
export interface Running extends Joined {
  readonly commands: CommandPath;
  readonly composites: CompositePath;
  readonly queries: QueryPath;
  readonly streams: RecentStreams;
  readonly metadata: MetadataPath;
  readonly backend: Backend;
  readonly progress: ProjectorProgress;
}

/**
 * Log, read model and everything between them and the handlers. Comes up in the background, however long Kafka or
 * Cassandra take; until then requests are told to come back.
 */
@Injectable()
export class Engine {
  private state: Running | undefined;
  private readonly stopping = new AbortController();
  private starting: Promise<void> = Promise.resolve();

  constructor(
    private readonly options: ApiOptions,
    private readonly readiness: Readiness,
    private readonly instruments: Instruments,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {}

  /** Throws `Unavailable` until the engine is up. */
  running(): Running {
    if (this.state) return this.state;
    throw new Unavailable(
      'ServiceUnavailableException',
      'The server is still connecting to its event log. Try again.',
      'not-applied',
      1,
    );
  }

  /** Tries for ever, with a log line for each attempt; a refused start ends the process. */
  start(): Promise<void> {
    this.starting = retryUntilUp('event log and read model', () => this.open(), {
      log: this.logger,
      signal: this.stopping.signal,
      onFailure: (reason) => this.readiness.notReady('engine', reason),
    }).then(
      (running) => {
        this.state = running;
        this.readiness.ready('engine');
      },
      (error: unknown) => {
        if (!this.stopping.signal.aborted) throw error;
      },
    );
    return this.starting;
  }

  /** The metrics of this process and its threads, as Prometheus text. */
  async metricsText(): Promise<string> {
    return metricsText(await this.state?.backend.metrics?.());
  }

  /** To be called when no request is under way any more. */
  async stop(): Promise<void> {
    this.stopping.abort();
    await this.starting;
    await this.shut(this.state);
  }

  private async shut(running: Running | undefined): Promise<void> {
    this.state = undefined;
    if (!running) return;
    await running.modeSwitch.stop();
    await running.lease.stop();
    await running.progress.stop();
    await running.backend.close();
  }

  private async open(): Promise<Running> {
    const backend = await this.openBackend({
      onFatal: (error) => this.end(error),
      onBatch: (records) => this.instruments.batch(records),
      onBarrier: (ms) => this.instruments.barrier(ms),
    });
    try {
      return await this.assemble(backend);
    } catch (error) {
      await backend.close();
      throw error;
    }
  }

  private async openBackend(hooks: BackendHooks): Promise<Backend> {
    // Each engine loads its own drivers only.
    if (this.options.engine === 'embedded') {
      const { openEmbedded } = await import('./embedded.js');
      return openEmbedded(this.options, this.logger, hooks);
    }
    const { openDistributed } = await import('./distributed.js');
    return openDistributed(this.options, this.logger, hooks);
  }

  private async assemble(backend: Backend): Promise<Running> {
    const { log, readModel } = backend;
    const { options } = this;
    const clock = new SystemClock();
    const streams = new RecentStreams(log, readModel, clock, {
      knownBytes: options.knownStreamsMib * 1024 * 1024,
      rowPatienceMs: options.rowPatienceMs,
    });
    const followed = await readModel.checkpoints();
    const progress = new ProjectorProgress({
      log,
      followed,
      readModel,
      streams,
      clock,
      everyMs: options.progressEveryMs,
      maxLagRecords: options.maxLagRecords,
      onLook: (error) => this.looked(error),
      onLostWrites: (partition) => {
        this.startAgain(`the checkpoint of partition ${partition} went back: the read model lost writes`).catch(
          (error: unknown) => this.end(error instanceof Error ? error : new Error(String(error))),
        );
      },
    });
    await log.follow(followed, (record, epoch) => {
      streams.listen(record, epoch);
      this.instruments.read(record, epoch);
      backend.committed?.();
    });
    const joined = await this.joinServer(backend, clock);
    // Nothing fails from here on that would leave it looking.
    await progress.start();
    this.watchLag(log, progress);
    const { refuseWhenBehind } = progress;
    const commands = new CommandPath({
      log,
      streams,
      refuseWhenBehind,
      newEventId: randomUUID,
      clock,
      onVerdict: (record, verdict) => this.judged(record, verdict),
    });
    const queries = new QueryPath({ log, readModel, streams });
    const defaultLifetime = lifetimeOf(options.expiration);
    const ids = new Ids(log.partitions, { now: () => Math.trunc(log.now()), random: randomFromPool });
    const composites = new CompositePath({
      log,
      streams,
      refuseWhenBehind,
      commands,
      queries,
      defaultLifetime,
      newPartId: (serviceId) => ids.part(serviceId),
    });
    const metadata = new MetadataPath(joined.control, clock);
    return { ...joined, commands, composites, queries, streams, metadata, backend, progress };
  }

  private async joinServer({ log, control, presence }: Backend, clock: Clock): Promise<Joined> {
    const { options, instruments, logger } = this;
    const joined = await joinServer({
      control,
      data: log,
      presence,
      clock,
      tenant: options.tenant,
      initialMetadata: () => initialMetadata(options),
      leaseMs: options.leaseMs,
      drainMs: { production: options.modeSchemaDrainTimeoutMs, maintenance: options.modeDataDrainTimeoutMs },
      newId: randomUUID,
      observer: instruments.modeSwitch(logger),
      onRenewal: (error) => this.renewed(error),
      onFatal: (error) => this.end(error),
    });
    instruments.watchMode(() => joined.control.serverMode);
    return joined;
  }

  private renewed(error: unknown): void {
    if (error === undefined) return this.readiness.ready('lease');
    const reason = error instanceof Error ? error.message : String(error);
    this.readiness.notReady('lease', reason);
    this.logger.warn({ reason }, "this process's lease was not renewed");
  }

  private judged({ type, tenant, stream, version, correlationId }: NewRecord, verdict: Verdict): void {
    const facts = { type, tenant, stream, version, correlationId };
    if (verdict.outcome === 'accepted') return this.logger.debug({ ...facts, position: verdict.position }, 'accepted');
    this.instruments.void(verdict.reason);
    this.logger.debug({ ...facts, reason: verdict.reason }, 'void');
  }

  private watchLag(log: EventLog, progress: ProjectorProgress): void {
    this.instruments.watchLag(() => Array.from({ length: log.partitions }, (_, partition) => progress.lag(partition)));
  }

  private looked(error: unknown): void {
    if (error === undefined) this.readiness.ready('read-model');
    else this.readiness.notReady('read-model', error instanceof Error ? error.message : String(error));
  }

  /** What this process knows began too late: everything is opened again from the checkpoints as they are now. */
  private async startAgain(reason: string): Promise<void> {
    if (!this.state) return;
    this.logger.error({ reason }, 'starting the engine again');
    this.readiness.notReady('engine', reason);
    await this.shut(this.state);
    if (!this.stopping.signal.aborted) await this.start();
  }

  /** The tail has a hole, or a record that cannot be read: this process no longer knows the truth and cannot find out by itself. */
  private end(error: Error): never {
    this.logger.fatal({ error }, 'the tail of the event log cannot go on');
    process.exit(1);
  }
}
