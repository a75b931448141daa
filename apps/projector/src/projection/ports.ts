import type { RecordedEvent } from '#events';
import type { Foreign, PublicEvent, VoidReason } from '#event-log';

/** Where valid events become public (design 2, `cs.events`). */
export abstract class PublicEvents {
  /**
   * Events of one stream, in its order. Resolves when all are stored. Throws when one may not be: publishing them again
   * is right, their ids stay the same.
   */
  abstract publish(events: readonly PublicEvent[]): Promise<void>;
}

/** What could not be projected, kept for an operator. */
export abstract class DeadLetters {
  /** Resolves when it is stored. The same record may come again: its position tells. */
  abstract add(record: RecordedEvent | Foreign, reason: string): Promise<void>;
}

/** What happens in the projection, for logs, metrics and readiness. Must not throw. */
export interface ProjectionWatch {
  batchStarted(partition: number, records: number, oldestRecordedAt: number): void;
  /** The read model has all of the batch, and the checkpoint is behind it. */
  batchDone(partition: number): void;
  /** The partition was taken away in the middle: somebody else goes on. */
  batchLeft(partition: number): void;
  projected(record: RecordedEvent): void;
  /** The record of a lost race, a duplicate, a late one: void for every reader. */
  passedOver(record: RecordedEvent, reason: VoidReason): void;
  parked(record: RecordedEvent, reason: string): void;
  /** A later record of a parked stream. */
  setAside(record: RecordedEvent): void;
  foreign(record: Foreign): void;
  /** The world got in the way; the batch is done again after a pause. */
  waiting(partition: number, error: Error): void;
  /** The partition cannot go on by itself: a newer schema, a store that went back, a defect. */
  stopped(partition: number, error: unknown): void;
}

const nothing = (): void => undefined;

export const unwatched: ProjectionWatch = {
  batchStarted: nothing,
  batchDone: nothing,
  batchLeft: nothing,
  projected: nothing,
  passedOver: nothing,
  parked: nothing,
  setAside: nothing,
  foreign: nothing,
  waiting: nothing,
  stopped: nothing,
};
