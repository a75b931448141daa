/**
 * A valid event as everybody may read it (design 2, `cs.events`): a CloudEvents 1.0 event, at least once, first
 * appearances in stream order. A consumer that drops what is not higher than the last `sequence` of a subject is exact.
 */
export interface PublicEvent {
  /** Stable: a repeat has the same. */
  readonly id: string;
  readonly type: string;
  /** The stream. */
  readonly subject: string;
  /** The event's version in its stream, from 1. */
  readonly sequence: number;
  /** Recorded time, ISO 8601 UTC with milliseconds. */
  readonly time: string;
  /** That of the source; the public topic has the same number of them. */
  readonly partition: number;
  /** Key of the stream, as in the source. */
  readonly key: string;
  readonly data: { readonly [name: string]: unknown };
}
