import type { BusinessAttribute, BusinessAttributeValue, Enumerated } from '#events';
import { Rejected } from '../rejected.js';
import type { Sought } from '../service/commands.js';
import type { EnumeratedField, Metadata } from './metadata.js';

/** Whose field it is: the same name is a field of its own in each of them. */
export type Resource = 'Service' | 'State' | 'Task';

type FieldName =
  'service_type' | 'state_type' | 'task_type' | 'disposition' | 'application_type' | 'resource_type' | 'media_type';

/** The enumerated fields of a body, a command or an answer, whatever else it holds. */
type Fields = { readonly [Name in FieldName]?: Enumerated };

const typeOf = {
  Service: ['service_type', 'Service.type'],
  State: ['state_type', 'State.type'],
  Task: ['task_type', 'Task.type'],
} as const satisfies Record<Resource, readonly [FieldName, EnumeratedField]>;

/** Every enumerated field of each resource, by its name in bodies and answers. */
const fieldsOf: Readonly<Record<Resource, readonly (readonly [FieldName, EnumeratedField])[]>> = {
  Service: [typeOf.Service, ...sharedBy('Service')],
  State: [typeOf.State, ...sharedBy('State')],
  Task: [typeOf.Task, ...sharedBy('Task')],
};

function sharedBy(resource: Resource): readonly (readonly [FieldName, EnumeratedField])[] {
  return (['disposition', 'application_type', 'resource_type', 'media_type'] as const).map(
    (name) => [name, `${resource}.${name}`] as const,
  );
}

export interface EnumeratedRules {
  /** Whether a value that the mapped attribute does not list is refused. */
  readonly dataValidation: boolean;
  /** Whether answers show names, where the attribute itself does not say (`map_name`). */
  readonly mapNames: boolean;
}

/**
 * What the values of enumerated fields mean by one state of the metadata: how events hold them, how callers see them, and
 * what is equal (contract 0.3, 13; 10.2). A mapped value is held as its DBID, a number; everything else as it was sent.
 */
export class EnumeratedValues {
  /** Nothing is mapped and nothing ever was: values are held, shown and compared as they were sent. */
  readonly areAsSent: boolean;
  private readonly lists = new Map<EnumeratedField, ValueList>();

  constructor(
    private readonly metadata: Metadata,
    private readonly rules: EnumeratedRules,
  ) {
    const { mapped, businessAttributes, lastNames } = metadata;
    const lists = new Map([...businessAttributes].map(([name, attribute]) => [name, new ValueList(attribute)]));
    for (const [field, name] of mapped) {
      const list = lists.get(name);
      if (list) this.lists.set(field, list);
    }
    this.areAsSent = this.lists.size === 0 && lastNames.size === 0;
  }

  /** As an event holds it. Throws `Rejected` for a value that the mapped attribute does not list. */
  toStored(field: EnumeratedField, sent: Enumerated): Enumerated {
    const list = this.lists.get(field);
    if (!list) return sent;
    const value = list.find(sent);
    if (!value && this.rules.dataValidation)
      throw new Rejected(
        'invalid-enumerated-value',
        `Invalid value '${shortened(sent)}' for ${field}. Valid values : ${list.names}`,
      );
    return value?.dbid ?? sent;
  }

  /** These fields as an event holds them. Throws as {@link toStored}. */
  stored<Held extends Fields>(resource: Resource, fields: Held): Held {
    return this.areAsSent ? fields : withEach(resource, fields, (field, sent) => this.toStored(field, sent));
  }

  /**
   * As {@link stored}, of a resource that starts: a missing type is the default of the mapped attribute. Throws `Rejected`
   * also when that has none; an unmapped type may be missing.
   */
  started<Held extends Fields>(resource: Resource, fields: Held): Held {
    const stored = this.stored(resource, fields);
    const [name, field] = typeOf[resource];
    const list = fields[name] === undefined ? this.lists.get(field) : undefined;
    if (list?.default) return { ...stored, [name]: list.default.dbid };
    if (list && this.rules.dataValidation)
      throw new Rejected(
        'invalid-enumerated-value',
        `Missing value for ${field}, which has no default. Valid values : ${list.names}`,
      );
    return stored;
  }

  /** As callers see it: by the mapping of now; what is gone, by its last known name. */
  toShown(field: EnumeratedField, stored: Enumerated): Enumerated {
    const list = this.lists.get(field);
    const value = list?.meaning(stored);
    if (value) return (list?.showsNames ?? this.rules.mapNames) ? value.name : value.dbid;
    // Text was sent while nothing was mapped: it is no DBID, also when it looks like one.
    const lastName = typeof stored === 'number' ? this.metadata.lastNames.get(field)?.get(stored) : undefined;
    return lastName ?? stored;
  }

  /** These fields as callers see them. */
  shown<Held extends Fields>(resource: Resource, fields: Held): Held {
    return this.areAsSent ? fields : withEach(resource, fields, (field, stored) => this.toShown(field, stored));
  }

  /**
   * Every form in which events may hold what is asked for, as text. It can be asked for by DBID, by name, by display name,
   * and by the last known name of a value that is gone.
   */
  storedForms(field: EnumeratedField, asked: Enumerated): readonly string[] {
    const text = String(asked);
    const list = this.lists.get(field);
    const lastNames = this.metadata.lastNames.get(field);
    if (!list && !lastNames) return [text];
    const value = list?.find(asked);
    const forms = new Set([text, ...(value && list ? list.forms(value) : [])]);
    for (const [dbid, name] of lastNames ?? []) {
      if (list?.meaning(dbid)) continue;
      if (name === text) forms.add(String(dbid));
      // Its name is held from before the mapping, and may mean another value by now.
      if (String(dbid) === text && !value && !list?.find(name)) forms.add(name);
    }
    return [...forms];
  }

  /** What a composite start with these fields looks for: its type in every form, or any type where it brings none. */
  sought(resource: Resource, fields: Fields): Sought {
    const [name, field] = typeOf[resource];
    const type = fields[name];
    return type === undefined ? {} : { types: this.storedForms(field, type) };
  }

  /** Lifetime of new services of this type, as the metadata spells it (`2w`); undefined where it says nothing. */
  expirationOf(serviceType: Enumerated | undefined): string | undefined {
    const list = this.lists.get('Service.type');
    return (serviceType === undefined ? list?.default : list?.find(serviceType))?.expiration;
  }
}

/** The values of an attribute by everything that a caller may call them. */
class ValueList {
  readonly default: BusinessAttributeValue | undefined;
  readonly showsNames: boolean | undefined;
  private readonly values: readonly BusinessAttributeValue[];
  private readonly meanings: ReadonlyMap<Enumerated, BusinessAttributeValue>;

  constructor({ values, map_name }: BusinessAttribute) {
    this.values = values;
    this.showsNames = map_name;
    this.default = values.find((value) => value.default);
    const last = new Map(values.map((value) => [value.display_name, value]));
    const ambiguous = new Set(values.filter((value) => last.get(value.display_name) !== value).map(displayName));
    // What comes later wins: a DBID, also as text, then a name, then a display name that only one value has.
    this.meanings = new Map<Enumerated, BusinessAttributeValue>([
      ...[...last].filter(([name]) => !ambiguous.has(name)),
      ...values.map((value) => [value.name, value] as const),
      ...values.flatMap((value) => [[String(value.dbid), value] as const, [value.dbid, value] as const]),
    ]);
  }

  /** For the message of a refusal. */
  get names(): string {
    return this.values.map(({ name }) => name).join(', ');
  }

  /** Of what an event holds: a number is a DBID there. */
  meaning(stored: Enumerated): BusinessAttributeValue | undefined {
    return this.meanings.get(stored);
  }

  /** Of what a caller sends: a number may also be a name. */
  find(sent: Enumerated): BusinessAttributeValue | undefined {
    return this.meanings.get(sent) ?? this.meanings.get(String(sent));
  }

  /** The texts that mean this value and no other one. */
  forms(value: BusinessAttributeValue): readonly string[] {
    return [String(value.dbid), value.name, value.display_name].filter((text) => this.meanings.get(text) === value);
  }
}

const displayName = ({ display_name }: BusinessAttributeValue): string => display_name;

/** The fields with each enumerated value changed; the others stay, and the order too. */
function withEach<Held extends Fields>(
  resource: Resource,
  fields: Held,
  change: (field: EnumeratedField, value: Enumerated) => Enumerated,
): Held {
  const changed: { [Name in FieldName]?: Enumerated } = {};
  for (const [name, field] of fieldsOf[resource]) {
    const value = fields[name];
    if (value !== undefined) changed[name] = change(field, value);
  }
  return { ...fields, ...changed };
}

const LONGEST_SHOWN = 60;

/** Long values are cut for messages, never in the middle of a character. */
const shortened = (value: Enumerated): string =>
  [...String(value).slice(0, 2 * LONGEST_SHOWN)].slice(0, LONGEST_SHOWN).join('');
