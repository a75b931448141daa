import { fenced, type Batch, type LogRecord } from '#event-log';
import type { ProjectRecord, Projection } from '../projection/projection.js';

export const LOG_ID = 'log-of-the-tests';

/** One partition's records, handed to a projection as every reader of the log does: from its checkpoint, again after a failure. */
export class RecordedLog {
  constructor(readonly records: readonly LogRecord[]) {}

  logId(): string {
    return LOG_ID;
  }

  /** The partition's epoch at each record. */
  get epochs(): readonly number[] {
    let epoch = 0;
    return this.records.map((record) => {
      if (record.kind === 'fence') epoch = fenced(epoch, record.epoch);
      return epoch;
    });
  }

  batch(from: number, to: number, isStale: () => boolean = () => false): Batch {
    return {
      partition: 0,
      records: this.records.slice(from, to),
      epochs: this.epochs.slice(from, to),
      end: this.records.length,
      isStale,
    };
  }

  /** To the end of the log. Throws what the projection throws. */
  async project(
    projection: Projection,
    { batchSize = 10, project }: { batchSize?: number; project?: ProjectRecord } = {},
  ) {
    let { next } = await projection.checkpoint(0);
    while (next < this.records.length) {
      const to = Math.min(next + batchSize, this.records.length);
      await projection.handle(this.batch(next, to), project);
      next = to;
    }
  }
}
