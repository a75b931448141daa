import type { ControlEvent } from './control.events.js';
import type { DomainEvent } from './envelope.js';

type Upcaster = (data: object) => object;
type EventType = (DomainEvent | ControlEvent)['type'];

/**
 * How each stored shape of the past is read as the next one: `upcasters[type][n - 1]` reads version n as n + 1.
 * Stored events never change; reading them does.
 */
const upcasters: Partial<Record<EventType, readonly Upcaster[]>> = {};

/** The data of a stored event in the shape of today. */
export const upcast = (type: EventType, schemaVersion: number, data: object): object =>
  (upcasters[type] ?? []).slice(schemaVersion - 1).reduce((shape, next) => next(shape), data);
