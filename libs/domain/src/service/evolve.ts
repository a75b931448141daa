import type { EventEnvelope, ServiceEvent } from '#events';
import type { Service } from './service.js';

/** The service after one more valid event. Pure; uses nothing but the event and its envelope. */
export function evolve(_service: Service, _envelope: EventEnvelope<ServiceEvent>): Service {
  throw new Error('not yet');
}
