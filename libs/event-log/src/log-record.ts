import type { RecordedEvent } from '#events';

interface Place {
  readonly partition: number;
  readonly offset: number;
  /** Epoch milliseconds of the log's own clock. */
  readonly recordedAt: number;
}

/** From here on, records of an older epoch are void in this partition. Record 0 is one of epoch 0 and names the log. */
export interface Fence extends Place {
  readonly kind: 'fence';
  readonly epoch: number;
  /** Random identity of the log, only in record 0 of a partition. */
  readonly logId?: string;
  /** How many partitions the log was begun with, likewise: ids are made and found by this number. */
  readonly partitions?: number;
}

/** Written and read back by one process to know that it has seen everything before; others pass over it. */
export interface Marker extends Place {
  readonly kind: 'marker';
  readonly id: string;
}

/** Not written by this protocol (no key, no headers): void, dead-lettered, alarm. */
export interface Foreign extends Place {
  readonly kind: 'foreign';
  readonly reason: string;
}

export type LogRecord = RecordedEvent | Fence | Marker | Foreign;

/** Where a reader goes on in a partition, and the epoch in force there. */
export interface Checkpoint {
  readonly partition: number;
  /** The offset to read next. */
  readonly next: number;
  readonly epoch: number;
}

/** The place of a record in the whole log. */
export interface Position {
  readonly partition: number;
  readonly offset: number;
}
