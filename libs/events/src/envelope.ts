import type { ClaimEvent } from './claim.events.js';
import type { ControlEvent } from './control.events.js';
import type { Lifetime } from './lifetime.js';
import type { ServiceEvent } from './service.events.js';

export type DomainEvent = ServiceEvent | ClaimEvent;

/** Digests (base64url SHA-256) of an `Idempotency-Key` and of the method, path and body that it came with. */
export interface IdempotencyDigest {
  readonly key: string;
  readonly request: string;
}

/** One event on its way into the log: everything but the place and the time, which the log gives. */
export interface NewRecord {
  readonly eventId: string;
  readonly type: string;
  readonly schemaVersion: number;
  readonly tenant: string;
  /** Id of the aggregate within its tenant. */
  readonly stream: string;
  readonly partition: number;
  /** The place that this event takes in its stream, from 1. */
  readonly version: number;
  /** Epoch with which the command was admitted. */
  readonly epoch: number;
  readonly lifetime?: Lifetime;
  readonly correlationId: string;
  readonly causationId?: string;
  readonly idempotency?: IdempotencyDigest;
  /** The encoded event data. */
  readonly value: string;
}

/** An event record as read from the log. Being there does not make it valid: see `judge`. */
export interface RecordedEvent extends NewRecord {
  readonly kind: 'event';
  readonly offset: number;
  /** Epoch milliseconds of the log's own clock, never decreasing within a stream. */
  readonly recordedAt: number;
}

/** A valid event, decoded, with the envelope's facts that folding needs. */
export interface EventEnvelope<E extends DomainEvent | ControlEvent = DomainEvent> {
  readonly event: E;
  readonly record: Omit<RecordedEvent, 'value'>;
}

/** Key of a stream in the log and in every store: `tenant/id`, both parts percent-encoded. */
export const streamKey = ({ tenant, stream }: { readonly tenant: string; readonly stream: string }): string =>
  `${encodeURIComponent(tenant)}/${encodeURIComponent(stream)}`;

/** Inverse of {@link streamKey}; undefined for a text that is not one. */
export function parseStreamKey(key: string): { tenant: string; stream: string } | undefined {
  const parts = key.split('/');
  if (parts.length !== 2) return undefined;
  try {
    const [tenant, stream] = parts.map(decodeURIComponent) as [string, string];
    return streamKey({ tenant, stream }) === key ? { tenant, stream } : undefined;
  } catch {
    return undefined;
  }
}
