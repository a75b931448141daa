import type { ClaimEvent, EventEnvelope, Lifetime, ServiceStart } from '#events';

/** The service that composite starts of the same compared fields agreed on last (design 2, claims). */
export type Claim =
  | { readonly status: 'unclaimed' }
  | {
      readonly status: 'claimed';
      readonly service_id: string;
      /** What the first record of the service must hold: whoever finds it missing writes it. */
      readonly start: ServiceStart;
      readonly lifetime: Lifetime;
    };

export const unclaimed: Claim = { status: 'unclaimed' };

export function evolveClaim(_claim: Claim, { event }: EventEnvelope<ClaimEvent>): Claim {
  return { status: 'claimed', ...event.data };
}
