import type { ServiceStart } from './service.events.js';
import type { Lifetime } from './lifetime.js';

/**
 * A composite start reserved a service for its compared fields (design 2, claims). Holds what must be written to the
 * service's stream, so that whoever meets the claim unfinished can finish it.
 */
export interface ServiceClaimed {
  readonly type: 'ServiceClaimed';
  readonly data: { readonly service_id: string; readonly start: ServiceStart; readonly lifetime: Lifetime };
}

export type ClaimEvent = ServiceClaimed;
