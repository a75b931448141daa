import { Rejected, type CommandTerms } from '#domain';
import type {
  Activity,
  Disposition,
  Extensions,
  ServiceChange,
  ServiceStart,
  StateStart,
  TaskStart,
  WithExtensions,
} from '#events';
import { Refused } from '../http/refused.js';
import { formatTime, parseTime } from '../http/times.js';
import type { AssociateServiceBody, EventBody, StartServiceBody, StartStateBody, StartTaskBody } from './bodies.js';

/** Those of the named fields that were sent. */
export const sentFields = <Body extends object, Name extends keyof Body>(
  body: Body,
  names: readonly Name[],
): Pick<Body, Name> => {
  const sent: Partial<Pick<Body, Name>> = {};
  for (const name of names) if (body[name] !== undefined) sent[name] = body[name];
  return sent as Pick<Body, Name>;
};

const activityFields = [
  'session_id',
  'interaction_id',
  'application_type',
  'application_id',
  'resource_type',
  'resource_id',
  'media_type',
] as const satisfies readonly (keyof Activity & keyof EventBody)[];

// What every command is made of is assigned: spreading a second object into a literal takes many times as long. The names
// are ours, never a caller's.

/** Who did it and when; the time of the server when the caller sent none. */
export const activityOf = (body: EventBody, now: number): Activity =>
  Object.assign(
    { timestamp: formatTime((body.timestamp === undefined ? undefined : parseTime(body.timestamp)) ?? now) },
    sentFields(body, activityFields),
  );

export const dispositionOf = (body: Disposition): Disposition => sentFields(body, ['disposition', 'disposition_desc']);

export const extensionsOf = ({ extensions }: { readonly extensions: Extensions }): WithExtensions =>
  Object.keys(extensions).length === 0 ? {} : { extensions };

/**
 * What the body says about the life of the conversation (contract 0.3, 17); `ttl` wins. A time that has passed is a
 * refusal, beside a `ttl` too, but of the command and not of the body: a repeat comes later than what it repeats.
 */
export function lifetimeIn(
  { ttl, expiration_time }: { readonly ttl?: number; readonly expiration_time?: string },
  now: number,
): CommandTerms {
  const until = expiration_time === undefined ? undefined : parseTime(expiration_time);
  const lifetime = ttl !== undefined ? { ttl } : until !== undefined && { until };
  return { ...(lifetime && { lifetime }), ...(until !== undefined && until <= now && { refusal: inThePast() }) };
}

const inThePast = (): Rejected => new Rejected('expiration-not-in-future', 'expiration_time must be in the future');

/** An id in a body that is in the URL too must be the same (contract 0.3, 14). */
export function refuseOtherId(name: string, sent: string | undefined, inUrl: string): void {
  if (sent !== undefined && sent !== inUrl)
    throw new Refused('invalid', `${name} in the body is not the one in the URL`);
}

/** Throws `Refused` when the service would belong to nobody (contract S1). `where` stands before names in messages. */
export function serviceStartOf(body: StartServiceBody, service_id: string, now: number, where = ''): ServiceStart {
  if (body.customer_id === undefined && body.contact_key === undefined) {
    throw new Refused('invalid', `${where}customer_id or ${where}contact_key must be in the body`);
  }
  return Object.assign(serviceChangeOf(body, service_id, now), sentFields(body, ['customer_id', 'contact_key']));
}

export const serviceChangeOf = (
  body: StartServiceBody | AssociateServiceBody,
  service_id: string,
  now: number,
): ServiceChange & Activity =>
  Object.assign(
    { service_id },
    sentFields(body, ['service_type', 'est_duration', 'auto_complete_after']),
    outcomeOf(body, now),
  );

/** Who ended it, when and how. */
export const outcomeOf = (
  body: EventBody & Disposition & { readonly extensions: Extensions },
  now: number,
): Activity & Disposition & WithExtensions =>
  Object.assign(activityOf(body, now), dispositionOf(body), extensionsOf(body));

export const stateStartOf = (body: StartStateBody, now: number): Omit<StateStart, 'service_id' | 'state_id'> =>
  Object.assign(
    sentFields(body, ['state_type', 'previous_state_id', 'est_duration']),
    activityOf(body, now),
    extensionsOf(body),
  );

export const taskStartOf = (body: StartTaskBody, now: number): Omit<TaskStart, 'service_id' | 'task_id'> =>
  Object.assign(sentFields(body, ['task_type', 'state_id', 'est_duration']), activityOf(body, now), extensionsOf(body));
