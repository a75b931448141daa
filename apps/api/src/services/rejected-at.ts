import { Rejected } from '#domain';
import type { LogPositions } from '../position.js';

/** A rejection, and the place in the log up to which it is known to be right. */
export class RejectedAt extends Rejected {
  constructor(
    rejected: Rejected,
    readonly position: LogPositions,
    /** The same for the control log. */
    readonly controlPosition?: number,
  ) {
    super(rejected.code, rejected.message);
  }
}
