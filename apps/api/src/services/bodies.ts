import type { ArgumentMetadata, PipeTransform } from '@nestjs/common';
import type { Enumerated, Extensions, Json } from '#events';
import { readJson, type SentBody } from '../http/json-body.js';
import { Refused } from '../http/refused.js';
import {
  EnumeratedValue,
  fieldsOf,
  Flag,
  ForeignId,
  Id,
  Inner,
  isObject,
  MOST_BYTES,
  Text,
  Time,
  Whole,
  wrongIn,
} from './fields.js';

/** Names that the contract gives a meaning to (2.6): none of them is an extension. */
const reserved: ReadonlySet<string> = new Set([
  'service_id',
  'state_id',
  'task_id',
  'customer_id',
  'contact_key',
  'service_type',
  'state_type',
  'task_type',
  'previous_state_id',
  'session_id',
  'interaction_id',
  'application_type',
  'application_id',
  'resource_type',
  'resource_id',
  'media_type',
  'est_duration',
  'timestamp',
  'disposition',
  'disposition_desc',
  'ttl',
  'expiration_time',
  'auto_complete_after',
  // Only in answers: passed over, so that an answer can be posted back (contract 0.3, 14).
  'started',
  'completed',
  'active_states',
  'completed_states',
  'active_tasks',
  'completed_tasks',
]);

export const isReserved = (name: string): boolean => reserved.has(name);

/** A year of the far future, in seconds from now: what is longer cannot be written as a time. */
const LONGEST_TTL_SECONDS = 100_000_000_000;

/**
 * What a body holds: the fields of its class, validated, and everything that has no meaning in the contract as
 * extensions. Reserved fields of other kinds of body are tolerated and passed over (contract 2.6).
 */
export abstract class EventBody {
  extensions: Extensions = {};

  @Id({ meaning: 'As in the URL, else refused. In the start of a service: its own id, if custom ids are allowed.' })
  service_id?: string;

  @Time({ meaning: 'When it happened; the time of the server when missing.' })
  timestamp?: string;

  @ForeignId({ meaning: 'Id of the session.', max: 32 })
  session_id?: string;

  @ForeignId({ meaning: 'Id of the interaction.', max: 50 })
  interaction_id?: string;

  @EnumeratedValue({ meaning: 'Type of the application that reports this.' })
  application_type?: Enumerated;

  @Whole({ meaning: 'DBID of the application that reports this.' })
  application_id?: number;

  @EnumeratedValue({ meaning: 'Type of the resource.' })
  resource_type?: Enumerated;

  @Whole({ meaning: 'DBID of the resource or agent.' })
  resource_id?: number;

  @EnumeratedValue({ meaning: 'Media type.' })
  media_type?: Enumerated;

  @Whole({
    meaning: 'Seconds from this event after which the whole conversation expires; wins over expiration_time.',
    min: 1,
    max: LONGEST_TTL_SECONDS,
  })
  ttl?: number;

  @Time({ meaning: 'When the whole conversation expires; in the future.' })
  expiration_time?: string;
}

abstract class DispositionBody extends EventBody {
  @EnumeratedValue({ meaning: 'Outcome.' })
  disposition?: Enumerated;

  @Text({ meaning: 'Description of the outcome.', max: 64 })
  disposition_desc?: string;
}

abstract class ServiceBody extends DispositionBody {
  @Id({ meaning: 'Lookup key of an anonymous service: e-mail, phone...' })
  contact_key?: string;

  @EnumeratedValue({ meaning: 'Type of the service.' })
  service_type?: Enumerated;

  @Whole({ meaning: 'Estimated duration in seconds.', min: 0 })
  est_duration?: number;

  @Whole({ meaning: 'Seconds without an update after which the server completes the service.', min: 1 })
  auto_complete_after?: number;
}

export class StartServiceBody extends ServiceBody {
  @Id({ meaning: 'Id of the customer. Either this or contact_key is needed.' })
  customer_id?: string;
}

export class AssociateServiceBody extends ServiceBody {
  @Id({ meaning: 'The same id as in the URL. Another one is refused.' })
  customer_id?: string;
}

export class EndServiceBody extends DispositionBody {}

export class EndStateBody extends DispositionBody {
  @Id({ meaning: 'The same id as in the URL. Another one is refused.' })
  state_id?: string;
}

export class EndTaskBody extends DispositionBody {
  @Id({ meaning: 'The same id as in the URL. Another one is refused.' })
  task_id?: string;
}

export class StartStateBody extends EventBody {
  @Id({ meaning: 'Own id of the state, read only when custom ids are allowed.' })
  state_id?: string;

  @EnumeratedValue({ meaning: 'Type of the state.' })
  state_type?: Enumerated;

  @Id({ meaning: 'State of the same service that came before.' })
  previous_state_id?: string;

  @Whole({ meaning: 'Estimated duration in seconds.', min: 0 })
  est_duration?: number;
}

export class StartTaskBody extends EventBody {
  @Id({ meaning: 'Own id of the task, read only when custom ids are allowed.' })
  task_id?: string;

  @EnumeratedValue({ meaning: 'Type of the task.' })
  task_type?: Enumerated;

  @Id({ meaning: 'State of the same service that the task belongs to.' })
  state_id?: string;

  @Whole({ meaning: 'Estimated duration in seconds.', min: 0 })
  est_duration?: number;
}

export class EndedStateBody {
  extensions: Extensions = {};

  @Id({ meaning: 'The state that ends.', required: true })
  state_id!: string;

  @EnumeratedValue({ meaning: 'Outcome of the state that ends.' })
  disposition?: Enumerated;

  @Text({ meaning: 'Description of the outcome.', max: 64 })
  disposition_desc?: string;
}

export class NextStateBody {
  extensions: Extensions = {};

  @EnumeratedValue({ meaning: 'Type of the state that starts.' })
  state_type?: Enumerated;

  @Whole({ meaning: 'Estimated duration in seconds.', min: 0 })
  est_duration?: number;
}

/** Extensions, outcome, type and duration belong into `from` or `to`; beside them they would be lost, so they are refused. */
export class TransitionBody extends EventBody {
  @Inner({ meaning: 'The state that ends, with extensions of its own.', type: () => EndedStateBody, required: true })
  from!: EndedStateBody;

  @Inner({ meaning: 'The state that starts, with extensions of its own.', type: () => NextStateBody, required: true })
  to!: NextStateBody;
}

export class ExpirationBody {
  extensions: Extensions = {};

  @Id({ meaning: 'The same id as in the URL. Another one is refused.' })
  service_id?: string;

  @Whole({ meaning: 'Seconds from now; wins over expiration_time.', min: 1, max: LONGEST_TTL_SECONDS })
  ttl?: number;

  @Time({ meaning: 'When the whole conversation expires; in the future.' })
  expiration_time?: string;
}

export class CompositeElementBody {
  extensions: Extensions = {};

  @Inner({
    meaning: 'Looked up by customer, type and contact key among active services.',
    type: () => StartServiceBody,
    required: true,
  })
  service!: StartServiceBody;

  @Inner({ meaning: 'Looked up by type among active states.', type: () => StartStateBody })
  state?: StartStateBody;

  @Inner({ meaning: 'Looked up by type among active tasks.', type: () => StartTaskBody })
  task?: StartTaskBody;

  @Flag({ meaning: 'Ties the task to the state of this element.' })
  associate_state_task?: boolean;
}

/** Each element is some commands, and one call waits for all of them. */
const MOST_ELEMENTS = 100;

export class CompositeBody {
  extensions: Extensions = {};

  @Inner({
    meaning: 'Served one after another.',
    type: () => CompositeElementBody,
    most: MOST_ELEMENTS,
    required: true,
  })
  services!: CompositeElementBody[];

  @Flag({ meaning: 'Creates services without looking for a match.' })
  create_new_services?: boolean;
}

type BodyClass<Body extends object> = new () => Body;

/** Classes whose names without a meaning would be lost: they are refused instead (contract 0.3, 9). */
const closed: ReadonlySet<BodyClass<object>> = new Set([
  TransitionBody,
  ExpirationBody,
  CompositeElementBody,
  CompositeBody,
]);
/** Names that have a meaning, but not in this place, where they would be lost too. */
const misplaced: ReadonlyMap<BodyClass<object>, readonly string[]> = new Map([
  [TransitionBody, ['state_type', 'est_duration', 'disposition', 'disposition_desc']],
]);
/** How deep ids stand in a body; elsewhere a number is a number. */
const idsBelowTop: ReadonlyMap<BodyClass<object>, readonly number[]> = new Map<BodyClass<object>, readonly number[]>([
  [TransitionBody, [1, 2]],
  [CompositeBody, [4]],
]);
const TOP = [1];

/** Reads the bytes of a request as the body class that the handler names. An empty body is `{}`. */
export class ContractBody implements PipeTransform<SentBody | undefined, object> {
  transform(sent: SentBody | undefined, { metatype }: ArgumentMetadata): object {
    if (!metatype) throw new Error('a handler must name the class of its body');
    const Body = metatype as BodyClass<object>;
    const value = sent && readJson(sent, idsBelowTop.get(Body) ?? TOP);
    return readBody(Body, value === undefined ? {} : value);
  }
}

/** Any JSON, the value of an extension. It must be there. */
export class AnyJson implements PipeTransform<SentBody | undefined, Json> {
  transform(sent: SentBody | undefined): Json {
    const value = sent && readJson(sent, []);
    if (value === undefined)
      throw new Refused('unreadable', 'The body is missing: it must be the JSON value of the extension');
    return value;
  }
}

/** A JSON object. */
export class JsonObject implements PipeTransform<SentBody | undefined, { readonly [name: string]: Json }> {
  transform(sent: SentBody | undefined): { readonly [name: string]: Json } {
    const value = sent && readJson(sent, []);
    if (!isObject(value)) throw new Refused('invalid', 'The body must be a JSON object');
    return value as { readonly [name: string]: Json };
  }
}

/** Throws `Refused`. `where` stands before the names in messages: `services[0].state.`. */
export function readBody<Body extends object>(Body: BodyClass<Body>, value: Json, where = ''): Body {
  if (!isObject(value)) throw new Refused('invalid', 'The body must be a JSON object');
  // Without its constructor, which would define every field that was not sent.
  const body = Object.create(Body.prototype as object) as Body;
  // Only names of its fields are read and written here.
  const known = body as { [field: string]: unknown };
  const extensions: [string, Json][] = [];
  const fields = fieldsOf(Body.prototype as object);
  for (const [name, given] of Object.entries(value as { readonly [name: string]: Json })) {
    const field = fields.get(name);
    if (field) known[name] = field.isId && typeof given === 'number' ? String(given) : given;
    else if (!isReserved(name) || misplaced.get(Body)?.includes(name)) extensions.push([name, given]);
  }
  for (const [name] of extensions) {
    if (closed.has(Body))
      throw new Refused('invalid', `${where}${name.slice(0, 60)} is not known here and would be lost`);
    refuseLongName(name);
  }
  const wrong = wrongIn(body);
  if (wrong !== undefined) throw new Refused('invalid', where + wrong);
  for (const [name, { inner }] of fields) {
    const given = known[name] as Json | undefined;
    if (inner === undefined || given === undefined) continue;
    known[name] = Array.isArray(given)
      ? given.map((item: Json, place) => readBody(inner(), item, `${where}${name}[${place}].`))
      : readBody(inner(), given, `${where}${name}.`);
  }
  known['extensions'] = Object.fromEntries(extensions);
  return body;
}

export function refuseLongName(name: string): void {
  if (Buffer.byteLength(name, 'utf8') > MOST_BYTES) {
    throw new Refused('invalid', `The name of an extension must be of at most ${MOST_BYTES} bytes`);
  }
}
