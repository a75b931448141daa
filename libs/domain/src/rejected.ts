/** Every way in which a rule says no. How each looks on the wire is one table in the api. */
export type RejectionCode =
  | 'service-not-found'
  | 'state-not-found'
  | 'task-not-found'
  | 'service-already-started'
  | 'state-already-started'
  | 'task-already-started'
  | 'service-already-completed'
  | 'state-already-completed'
  | 'task-already-completed'
  | 'extension-not-mergeable'
  | 'expiration-not-in-future'
  | 'service-too-large'
  | 'idempotency-key-reused'
  | 'invalid-enumerated-value'
  | 'metadata-not-found'
  | 'metadata-invalid'
  | 'metadata-taken'
  | 'metadata-in-use'
  | 'metadata-too-large';

/** A rule said no; nothing was recorded. */
export class Rejected extends Error {
  constructor(
    readonly code: RejectionCode,
    message: string,
  ) {
    super(message);
  }
}
