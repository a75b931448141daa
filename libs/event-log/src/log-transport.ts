import type { Checkpoint, Fence, LogRecord, Marker } from './log-record.js';
import type { NewRecord } from '#events';
import { LogReader } from './event-log.js';

/** A record that still has no place and no time. */
export type Unplaced =
  | ({ readonly kind: 'event' } & NewRecord)
  | Pick<Fence, 'kind' | 'partition' | 'epoch'>
  | Pick<Marker, 'kind' | 'partition' | 'id'>;

/** Trying the identical batch again may help; nothing is known about what was stored. */
export class PassingFailure extends Error {
  readonly code = 'passing-failure';
}

export interface Following {
  close(): Promise<void>;
}

/** A log without conditions: what Kafka gives. The arbiter makes an {@link EventLog} of it. */
export abstract class LogTransport extends LogReader {
  /**
   * Appends the batch, in order within each partition. Resolves with the partitions whose records were acknowledged:
   * one that is missing was not. Throws {@link PassingFailure} when the identical batch should be sent again; after any
   * other error call {@link renew} first. Never call it while a call is under way.
   */
  abstract append(batch: readonly Unplaced[]): Promise<ReadonlySet<number>>;

  /** Throws the producer away. What the last batch did is only known from the log. */
  abstract renew(): Promise<void>;

  /** Calls `onRecords` with every record from the checkpoints on: in order, none twice, none left out. */
  abstract follow(
    checkpoints: readonly Checkpoint[],
    onRecords: (records: readonly LogRecord[]) => void,
    onFatal: (error: Error) => void,
  ): Promise<Following>;
}
