import { unclaimed, unstarted, type Claim, type Service } from '#domain';
import type { Aggregate } from './read-model.js';

/** What an event of a claim follows; missing: it is the first. Throws in the stream of a service: the stream is parked. */
export function precedingClaim(aggregate: Aggregate | undefined): Claim {
  if (!aggregate) return unclaimed;
  if (aggregate.kind !== 'claim') throw new Error('an event of a claim in the stream of a service');
  return aggregate.claim;
}

/** What an event of a service follows; missing: it is the first. Throws in the stream of a claim: the stream is parked. */
export function precedingService(aggregate: Aggregate | undefined): Service {
  if (!aggregate) return unstarted;
  if (aggregate.kind !== 'service') throw new Error('an event of a service in the stream of a claim');
  return aggregate.service;
}
