import {
  evolveMetadata,
  evolveServerMode,
  freshServer,
  hasProfileSchema,
  noMetadata,
  type Metadata,
  type ServerMode,
} from '#domain';
import {
  advance,
  encode,
  openControl,
  streamKey,
  unwritten,
  type ControlEvent,
  type EventEnvelope,
  type Head,
  type IdempotencyDigest,
  type MetadataEvent,
  type ModeEvent,
  type RecordedEvent,
} from '#events';
import { judge, type EventLog, type LogRecord, type Verdict } from '#event-log';
import type { StreamId } from '#read-model';
import { BeyondTheLog } from '../services/recent-streams.js';

/** Whose stream the mode is: it is of the whole server, and no tenant has this DBID. */
const SERVER = '0';
/** The control log has one partition. */
const PARTITION = 0;

export const modeStream: StreamId = { tenant: SERVER, stream: 'mode' };
export const drainStream = (process: string): StreamId => ({ tenant: SERVER, stream: `drained-${process}` });
/** One stream holds all metadata of a tenant, so that rules between schemas, keys and attributes are exact (ADR 011). */
export const metadataStream = (tenant: string): StreamId => ({ tenant, stream: 'metadata' });

const modeEvents: ReadonlySet<string> = new Set<ModeEvent['type']>([
  'ModeSwitchStarted',
  'ModeSwitched',
  'ProcessDrained',
]);

const isModeEnvelope = (envelope: EventEnvelope<ControlEvent>): envelope is EventEnvelope<ModeEvent> =>
  modeEvents.has(envelope.event.type);

export interface Recording {
  readonly epoch: number;
  readonly correlationId: string;
  readonly idempotency?: IdempotencyDigest;
}

/**
 * The control log as every process knows it: the server's mode and the tenants' metadata, folded from its beginning by
 * the tail, and what is recorded there (design 4).
 */
export class ControlLog {
  private server: ServerMode = freshServer;
  private readonly tenants = new Map<string, Metadata>();
  private readonly heads = new Map<string, Head>();
  private readonly watchers = new Set<() => void>();

  /** `onFatal`: a record cannot be folded, so that this process does not know the mode and must end. */
  constructor(
    private readonly log: EventLog,
    private readonly newEventId: () => string,
    private readonly onFatal: (error: Error) => void,
  ) {}

  /** Resolves when everything recorded up to now is folded. Throws `LogUnavailable`. */
  follow(): Promise<void> {
    return this.log.follow([], (record, epoch) => this.read(record, epoch));
  }

  get serverMode(): ServerMode {
    return this.server;
  }

  metadata(tenant: string): Metadata {
    return this.tenants.get(tenant) ?? noMetadata;
  }

  /** False when every tenant has explicitly done without (contract 0.3, 12). */
  get hasProfileSchema(): boolean {
    return this.tenants.size === 0 || [...this.tenants.values()].some((metadata) => hasProfileSchema(metadata));
  }

  /** The newest offset that is folded; -1 before the first. */
  get position(): number {
    return this.log.tail(PARTITION).next - 1;
  }

  /** The highest fence so far: the epoch of the mode, or of the one that is about to begin. */
  get epoch(): number {
    return this.log.tail(PARTITION).epoch;
  }

  /** Epoch milliseconds of the log's clock. */
  now(): number {
    return this.log.now();
  }

  head(stream: StreamId): Head {
    return this.heads.get(streamKey(stream)) ?? unwritten;
  }

  /** Calls back after each record that was folded; the returned function ends that. */
  watch(callback: () => void): () => void {
    this.watchers.add(callback);
    return () => this.watchers.delete(callback);
  }

  /** Resolves when everything recorded before this call is folded. Throws `LogUnavailable`. */
  barrier(): Promise<void> {
    return this.log.barrier(PARTITION);
  }

  /** Voids what comes later with an older epoch. Throws `OutcomeUnknown`, `NotApplied`; can be repeated. */
  async fence(epoch: number): Promise<void> {
    if (this.epoch < epoch) await this.log.fence(PARTITION, epoch);
  }

  /**
   * Records the event as the next one of its stream, as this process knows the stream now. It is folded when this
   * resolves. Throws `NotApplied` or `OutcomeUnknown`.
   */
  append({ tenant, stream }: StreamId, event: ControlEvent, about: Recording): Promise<Verdict> {
    const head = this.head({ tenant, stream });
    const { epoch, correlationId, idempotency } = about;
    return this.log.append(
      {
        ...encode(event),
        eventId: this.newEventId(),
        tenant,
        stream,
        partition: PARTITION,
        version: head.version + 1,
        epoch,
        correlationId,
        ...(idempotency && { idempotency }),
      },
      head,
    );
  }

  /** Waits until everything up to this offset is folded. Throws `BeyondTheLog`, `LogUnavailable`. */
  async catchUpWith(offset: number | undefined): Promise<void> {
    if (offset === undefined || this.position >= offset) return;
    await this.barrier();
    if (this.position < offset) throw new BeyondTheLog(`X-CS-Position c:${offset} is beyond the end of the log`);
  }

  /** A record that this process cannot fold must not be passed over: from then on it would be in a mode of its own. */
  private read(record: LogRecord, epoch: number): void {
    try {
      if (record.kind === 'event') this.fold(record, epoch);
    } catch (cause) {
      const { partition, offset } = record;
      return this.onFatal(new Error(`the control log cannot be read at ${partition}:${offset}`, { cause }));
    }
    for (const watcher of this.watchers) watcher();
  }

  private fold(record: RecordedEvent, epoch: number): void {
    const key = streamKey(record);
    const head = this.head(record);
    const judgement = judge(record, head, epoch);
    if (!judgement.valid) {
      if (judgement.reason !== 'impossible') return;
      throw new Error(`${key} is at version ${head.version} in epoch ${epoch}: ${record.version} cannot follow`);
    }
    const envelope = openControl(record);
    if (isModeEnvelope(envelope)) this.server = evolveServerMode(this.server, envelope);
    else {
      const metadata = evolveMetadata(this.metadata(record.tenant), envelope as EventEnvelope<MetadataEvent>);
      this.tenants.set(record.tenant, metadata);
    }
    this.heads.set(key, advance(head, record));
  }
}
