import type { Lifetime } from './lifetime.js';
import type { IdempotencyDigest } from './envelope.js';
import type { ServiceStart } from './service.events.js';

/**
 * A composite start reserved a service for its compared fields (design 2, claims). Holds what must be written to the
 * service's stream, so that whoever meets the claim unfinished can finish it.
 */
export interface ServiceClaimed {
  readonly type: 'ServiceClaimed';
  readonly data: {
    readonly service_id: string;
    readonly start: ServiceStart;
    readonly lifetime: Lifetime;
    /** The version that the service's first record must take: when another record is there, the claim is over. Missing: 1. */
    readonly place?: number;
    /** Of the request that made the claim: the service's first record carries it, whoever writes it. */
    readonly idempotency?: IdempotencyDigest;
  };
}

export type ClaimEvent = ServiceClaimed;
