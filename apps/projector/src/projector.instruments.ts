import { Counter, Gauge, Histogram } from 'prom-client';
import type { Foreign, LogReader, VoidReason } from '#event-log';
import type { RecordedEvent } from '#events';
import { labelled, registry, type Logger, type Readiness } from '#operations';
import {
  ReadModel,
  type ListChanges,
  type ListEntry,
  type ListQuery,
  type StoredCheckpoint,
  type StreamId,
  type StreamRow,
} from '#read-model';
import type { ProjectionWatch } from './projection/ports.js';

/** What must hold before the projector is ready. */
export const CONDITIONS = ['event-log', 'read-model', 'projection'] as const;
type Part = 'event-log' | 'read-model';

/** The same trouble is told again only after so long, ms. */
const TELL_AGAIN_MS = 60_000;

const STORE_SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const BATCH_RECORDS = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000];

const errorOf = (error: unknown): Error => (error instanceof Error ? error : new Error(String(error)));

const placeOf = ({ partition, offset }: { readonly partition: number; readonly offset: number }): string =>
  `s${partition}:${offset}`;

const fieldsOf = (record: RecordedEvent) => ({
  stream: record.stream,
  version: record.version,
  position: placeOf(record),
  type: record.type,
  correlationId: record.correlationId,
});

/** What the projector tells about itself: metrics, log lines and readiness. Ids and places only, nothing a customer said. */
export class ProjectorInstruments implements ProjectionWatch {
  private readonly passedOverRecords = counter('cs_void_records_total', 'Records that count for nobody', ['reason']);
  private readonly projectedRecords = counter(
    'cs_projected_records_total',
    'Valid records that are in the read model',
    ['type'],
  );
  private readonly parkedStreams = counter('cs_parked_streams_total', 'Streams parked because of a record', []);
  private readonly setAsideRecords = counter('cs_dead_letters_total', 'Records set aside for an operator', ['reason']);
  private readonly batchRecords = new Histogram({
    name: 'cs_projector_batch_records',
    help: 'Records of a batch',
    buckets: BATCH_RECORDS,
    registers: [registry],
  });
  private readonly storeSeconds = new Histogram({
    name: 'cs_store_seconds',
    help: 'How long the read model took, by operation and outcome',
    labelNames: ['operation', 'outcome'] as const,
    buckets: STORE_SECONDS,
    registers: [registry],
  });
  /** By partition: the recorded time of the oldest record of the batch under way, if there is one. */
  private readonly oldestUnderWay = new Map<number, number | undefined>();
  private readonly troubles = new Map<number | Part, { readonly message: string; readonly toldAt: number }>();

  constructor(
    private readonly logger: Logger,
    private readonly readiness: Readiness,
  ) {}

  /** From now on the distance to the end of the log is measured with each scrape. */
  measureLag(log: Pick<LogReader, 'ends'>, readModel: Pick<ReadModel, 'checkpoints'>): void {
    new Gauge({
      name: 'cs_projector_lag_records',
      help: 'Records between the checkpoint in the read model and the end of the log',
      labelNames: ['partition'] as const,
      registers: [registry],
      async collect() {
        try {
          const [ends, checkpoints] = await Promise.all([log.ends(), readModel.checkpoints()]);
          const next = new Map(checkpoints.map((checkpoint) => [checkpoint.partition, checkpoint.next]));
          ends.forEach((end, partition) => this.set({ partition }, Math.max(0, end - (next.get(partition) ?? 0))));
        } catch {
          // Log or store do not answer, which readiness tells: the last known distance stays.
        }
      },
    });
    const { oldestUnderWay } = this;
    new Gauge({
      name: 'cs_projector_lag_seconds',
      help: 'Age of the oldest record that this process is working on, by partition',
      labelNames: ['partition'] as const,
      registers: [registry],
      collect() {
        this.reset();
        for (const [partition, recordedAt] of oldestUnderWay) {
          this.set({ partition }, recordedAt === undefined ? 0 : Math.max(0, (Date.now() - recordedAt) / 1_000));
        }
      },
    });
  }

  /** The same read model, with its latencies measured. */
  timed(readModel: ReadModel): ReadModel {
    return new TimedReadModel(readModel, this.storeSeconds);
  }

  batchStarted(partition: number, records: number, oldestRecordedAt: number): void {
    this.batchRecords.observe(records);
    this.oldestUnderWay.set(partition, oldestRecordedAt);
  }

  batchDone(partition: number): void {
    this.oldestUnderWay.set(partition, undefined);
    this.trouble(partition, undefined);
  }

  batchLeft(partition: number): void {
    this.oldestUnderWay.delete(partition);
    this.trouble(partition, undefined);
  }

  projected(record: RecordedEvent): void {
    labelled(this.projectedRecords, record.type).inc();
    if (this.logger.isLevelEnabled('debug')) this.logger.debug(fieldsOf(record), 'projected');
  }

  passedOver(record: RecordedEvent, reason: VoidReason): void {
    this.passedOverRecords.inc({ reason });
    if (!this.logger.isLevelEnabled('debug')) return;
    this.logger.debug({ ...fieldsOf(record), reason }, 'void record passed over');
  }

  parked(record: RecordedEvent, reason: string): void {
    this.parkedStreams.inc();
    this.setAsideRecords.inc({ reason: 'parked' });
    this.logger.error({ ...fieldsOf(record), reason }, 'stream parked: commands and reads of it are refused');
  }

  setAside(record: RecordedEvent): void {
    this.setAsideRecords.inc({ reason: 'after-parked' });
    this.logger.warn(fieldsOf(record), 'record of a parked stream set aside');
  }

  foreign(record: Foreign): void {
    this.setAsideRecords.inc({ reason: 'foreign' });
    this.logger.error({ position: placeOf(record), reason: record.reason }, 'foreign record in the log set aside');
  }

  waiting(partition: number, error: Error): void {
    if (this.trouble(partition, error.message)) this.logger.warn({ partition, error }, 'waiting to project');
  }

  stopped(partition: number, error: unknown): void {
    const cause = errorOf(error);
    if (this.trouble(partition, cause.message)) this.logger.error({ partition, error: cause }, 'partition stopped');
  }

  /** Log or store was asked whether it is there and still has everything. */
  verified(part: Part, error?: Error): void {
    const isNews = this.trouble(part, error?.message);
    if (error && isNews) this.logger.warn({ part, error }, 'it could not be verified');
  }

  /** From now on nobody should count on this process. */
  stopping(): void {
    this.trouble('event-log', 'stopping');
  }

  /** Answers whether this is news. */
  private trouble(where: number | Part, message: string | undefined): boolean {
    const told = this.troubles.get(where);
    if (!told && message === undefined) return false;
    const isNews = told?.message !== message || Date.now() - (told?.toldAt ?? 0) >= TELL_AGAIN_MS;
    if (message === undefined) this.troubles.delete(where);
    else if (isNews) this.troubles.set(where, { message, toldAt: Date.now() });
    this.tellReadiness();
    return isNews;
  }

  private tellReadiness(): void {
    const byCondition = new Map<string, string>();
    for (const [where, { message }] of this.troubles) {
      if (typeof where === 'string') byCondition.set(where, firstLine(message));
      else byCondition.set('projection', `partition ${where}: ${firstLine(message)}`);
    }
    for (const condition of CONDITIONS) {
      const reason = byCondition.get(condition);
      if (reason === undefined) this.readiness.ready(condition);
      else this.readiness.notReady(condition, reason);
    }
  }
}

const firstLine = (text: string): string => text.split('\n', 1).join();

const counter = <Label extends string>(name: string, help: string, labelNames: readonly Label[]): Counter<Label> =>
  new Counter({ name, help, labelNames: [...labelNames], registers: [registry] });

class TimedReadModel extends ReadModel {
  constructor(
    private readonly readModel: ReadModel,
    private readonly seconds: Histogram<'operation' | 'outcome'>,
  ) {
    super();
  }

  override find(id: StreamId): Promise<StreamRow | undefined> {
    return this.timed('find', () => this.readModel.find(id));
  }

  override list(query: ListQuery): Promise<readonly ListEntry[]> {
    return this.timed('list', () => this.readModel.list(query));
  }

  override save(row: StreamRow, lists: ListChanges): Promise<void> {
    return this.timed('save', () => this.readModel.save(row, lists));
  }

  override park(id: StreamId, version: number, offset: number): Promise<void> {
    return this.timed('park', () => this.readModel.park(id, version, offset));
  }

  override checkpoints(): Promise<readonly StoredCheckpoint[]> {
    return this.timed('checkpoints', () => this.readModel.checkpoints());
  }

  override saveCheckpoint(checkpoint: StoredCheckpoint): Promise<void> {
    return this.timed('save-checkpoint', () => this.readModel.saveCheckpoint(checkpoint));
  }

  override close(): Promise<void> {
    return this.readModel.close();
  }

  private async timed<T>(operation: string, ask: () => Promise<T>): Promise<T> {
    const end = this.seconds.startTimer({ operation });
    try {
      const result = await ask();
      end({ outcome: 'done' });
      return result;
    } catch (error) {
      end({ outcome: 'failed' });
      throw error;
    }
  }
}
