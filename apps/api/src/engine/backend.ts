import type { EventLog, Presence } from '#event-log';
import type { MetricsSnapshot } from '#operations';
import type { ReadModel } from '#read-model';

/** The pair of adapters that an engine stands on, opened and checked. */
export interface Backend {
  readonly log: EventLog;
  /** Of one partition: the server's mode and the tenants' metadata. */
  readonly control: EventLog;
  readonly presence: Presence;
  readonly readModel: ReadModel;
  /** Tells the projector that there is something new, when it cannot see that by itself. */
  readonly committed?: () => void;
  /** Of threads of this process. */
  readonly metrics?: () => Promise<readonly MetricsSnapshot[]>;
  close(): Promise<void>;
}

export interface BackendHooks {
  readonly onFatal: (error: Error) => void;
  readonly onBatch: (records: number) => void;
  readonly onBarrier: (ms: number) => void;
}
