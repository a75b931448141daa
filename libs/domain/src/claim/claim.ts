import type { ClaimEvent, EventEnvelope, IdempotencyDigest, Lifetime, ServiceClaimed, ServiceStart } from '#events';
import { matches, type Wanted } from '../service/find.js';
import type { Service } from '../service/service.js';

/** The service that composite starts of the same compared fields agreed on last (design 2, claims). */
export type Claim =
  | { readonly status: 'unclaimed' }
  | {
      readonly status: 'claimed';
      readonly service_id: string;
      /** What the first record of the service must hold: whoever finds it missing writes it. */
      readonly start: ServiceStart;
      readonly lifetime: Lifetime;
      /** The version that record must take. Missing: 1. */
      readonly place?: number;
      readonly idempotency?: IdempotencyDigest;
    };

export const unclaimed: Claim = { status: 'unclaimed' };

/** What a composite start looks a service up by (contract 0.3, 31); a missing field is not compared. */
export type ComparedFields = Pick<ServiceStart, 'customer_id' | 'contact_key'> & { readonly service_type?: Wanted };

/** What calls that may create the same service have in common. */
export type ClaimedFields = Pick<ServiceStart, 'customer_id' | 'service_type' | 'contact_key'>;

/** One text for all starts that compare the same fields to the same values, to be hashed into the id of their claim. */
export const claimId = ({ customer_id, service_type, contact_key }: ClaimedFields): string =>
  JSON.stringify([customer_id ?? null, service_type === undefined ? null : String(service_type), contact_key ?? null]);

/** Whether a composite start of these fields takes this service: it is active and agrees in each field given. */
export const matchesComposite = (service: Service, compared: ComparedFields): boolean =>
  service.status === 'active' &&
  matches(service.customer_id, compared.customer_id) &&
  matches(service.service_type, compared.service_type) &&
  matches(service.contact_key, compared.contact_key);

/**
 * Reserves a service for the compared fields, in place of the one reserved before: the caller has seen that that one was
 * started and takes no composite starts any more, or that its place was taken by something else.
 */
export const claimOf = (
  start: ServiceStart,
  lifetime: Lifetime,
  place: number,
  idempotency?: IdempotencyDigest,
): ServiceClaimed => ({
  type: 'ServiceClaimed',
  data: { service_id: start.service_id, start, lifetime, place, ...(idempotency && { idempotency }) },
});

/** The last reservation counts. */
export function evolveClaim(_claim: Claim, { event }: EventEnvelope<ClaimEvent>): Claim {
  return { status: 'claimed', ...event.data };
}
