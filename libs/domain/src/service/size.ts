import { Rejected } from '../rejected.js';
import type { LiveService, Service } from './service.js';

/** A folded service beyond this would not stay healthy as one row of a store (design 3, limits). */
export const maxServiceBytes = 8 * 1024 * 1024;

/** The activity of a transition is kept with both states, and an answer repeats ids: nothing is kept more than twice. */
const copiesKept = 2;

/** More than the field names, times and digests that folding adds to what an event brings. */
const addedPerEvent = 1024;

/** Bytes as JSON in UTF-8. */
export const sizeOf = (value: object): number => Buffer.byteLength(JSON.stringify(value));

/**
 * The service with its size brought up to date after an event with this data. Adding up the events alone never comes
 * out too low; it is too high where values were replaced, so the service is measured before it is called too large.
 */
export function measured<S extends LiveService>(service: S, data: object): S {
  const bytes = service.bytes + copiesKept * sizeOf(data) + addedPerEvent;
  return { ...service, bytes: bytes <= maxServiceBytes ? bytes : sizeOf(service) };
}

/** Whether no event of at most so many bytes can make the service too large: then nothing needs to be foreseen. */
export const staysSmall = (service: Service, eventBytes: number): boolean =>
  !('bytes' in service) || service.bytes + copiesKept * eventBytes + addedPerEvent <= maxServiceBytes;

/** To be asked before an event is recorded, of the service as it would be after it. Throws `Rejected`. */
export function refuseTooLarge(service: Service): void {
  if (!('bytes' in service) || service.bytes <= maxServiceBytes) return;
  const id = 'service_id' in service ? ` ${service.service_id}` : '';
  throw new Rejected(
    'service-too-large',
    `The service${id} would have ${service.bytes} bytes with its states and tasks, ${maxServiceBytes} are allowed`,
  );
}
