import 'reflect-metadata';
import { readFileSync } from 'node:fs';
import { validateSync, type ValidationError } from 'class-validator';
import { parseDocument } from 'yaml';

/** The options given cannot be used. The message is one line: each option, its value (unless secret) and what is allowed. */
export class BadOptions extends Error {
  readonly code = 'bad-options';
}

type OptionsClass<T extends object> = new () => T;
type Environment = Readonly<Record<string, string | undefined>>;
type Value = string | number | boolean | readonly string[];

interface Description {
  readonly meaning: string;
  readonly secret: boolean;
}

interface Named extends Description {
  readonly property: string;
  /** `httpPort` is `CS_HTTP_PORT` in the environment. */
  readonly variable: string;
  /** `httpPort` is `http-port` in the file. */
  readonly key: string;
}

const DESCRIPTIONS = Symbol('descriptions of options');
const PREFIX = 'CS_';
const PREFIX_OF_TESTS = 'CS_TEST_';
const FILE_VARIABLE = 'CS_CONFIG';
/** More edits than this and a name is another word, not a slip of the finger. */
const FAR_AWAY = 6;

/**
 * Makes a property of an options class an option; its initial value is the default, which also says the type: number,
 * true or false, list of texts, else text. What is allowed is said by decorators of class-validator beside it.
 */
export function Option(meaning: string, { secret = false } = {}): PropertyDecorator {
  return (prototype, property) => {
    const inherited = descriptionsOf(prototype);
    Reflect.defineMetadata(DESCRIPTIONS, new Map([...inherited, [String(property), { meaning, secret }]]), prototype);
  };
}

/**
 * Reads the options of a class from `CS_*` variables and the YAML file that `CS_CONFIG` names; the environment wins.
 * `CS_TEST_*` is not ours to judge. `alsoKnown` are properties that another program reads from the same sources.
 * Throws BadOptions for an unknown name, a value that cannot be read as the option's type, or one that is not allowed.
 */
export function loadOptions<T extends object>(
  OptionsClass: OptionsClass<T>,
  env: Environment,
  { alsoKnown = [] }: { readonly alsoKnown?: readonly string[] } = {},
): T {
  const named = optionsOf(OptionsClass);
  const known = [...named, ...alsoKnown.map((property) => nameOf(property, { meaning: '', secret: false }))];
  const defaults = new OptionsClass();
  const problems: string[] = [];
  const sources = new Map<string, { readonly name: string; readonly given: unknown }>();

  const fromFile = env[FILE_VARIABLE] === undefined ? {} : readOptionsFile(env[FILE_VARIABLE]);
  for (const [key, given] of Object.entries(fromFile)) {
    const option = known.find((one) => one.key === key);
    if (option) sources.set(option.property, { name: `${key} (in ${env[FILE_VARIABLE]})`, given });
    else
      problems.push(
        unknownName(
          `${key} (in ${env[FILE_VARIABLE]})`,
          key,
          known.map((one) => one.key),
        ),
      );
  }
  for (const [variable, given] of Object.entries(env)) {
    if (!variable.startsWith(PREFIX) || variable.startsWith(PREFIX_OF_TESTS) || variable === FILE_VARIABLE) continue;
    const option = known.find((one) => one.variable === variable);
    if (option) sources.set(option.property, { name: variable, given });
    else problems.push(unknownName(variable, variable, [...known.map((one) => one.variable), FILE_VARIABLE]));
  }

  const read = new Map<string, Value>();
  for (const { property, secret } of named) {
    const source = sources.get(property);
    if (source === undefined) continue;
    const value = convert(source.given, Reflect.get(defaults, property));
    if (value instanceof NotReadable) problems.push(`${shown(source, secret)}: must be ${value.allowed}`);
    else read.set(property, value);
  }
  const options: T = Object.assign(new OptionsClass(), Object.fromEntries(read));
  for (const error of validateSync(options)) {
    const option = named.find(({ property }) => property === error.property);
    if (option === undefined) throw new Error(`${OptionsClass.name}.${error.property} is validated but is no @Option`);
    const source = sources.get(error.property) ?? {
      name: option.variable,
      given: Reflect.get(options, error.property),
    };
    problems.push(`${shown(source, option.secret)}: ${allowed(error)}`);
  }
  if (problems.length > 0) throw new BadOptions(problems.join('; '));
  return options;
}

/** The text of `--help`: every option with its default and its meaning, in the order in which the class declares them. */
export function optionsHelp<T extends object>(OptionsClass: OptionsClass<T>): string {
  const defaults = new OptionsClass();
  const rows = optionsOf(OptionsClass).map(({ variable, property, meaning, secret }) => ({
    variable,
    text: `${meaning} [${secret ? 'secret' : defaultText(Reflect.get(defaults, property))}]`,
  }));
  rows.unshift({ variable: FILE_VARIABLE, text: 'a YAML file with options, http-port: 8080 for CS_HTTP_PORT [none]' });
  const width = Math.max(...rows.map(({ variable }) => variable.length));
  return rows.map(({ variable, text }) => `  ${variable.padEnd(width)}  ${text}`).join('\n');
}

function descriptionsOf(prototype: object): ReadonlyMap<string, Description> {
  const found: unknown = Reflect.getMetadata(DESCRIPTIONS, prototype);
  return found instanceof Map ? found : new Map<string, Description>();
}

function optionsOf<T extends object>(OptionsClass: OptionsClass<T>): readonly Named[] {
  return [...descriptionsOf(OptionsClass.prototype)].map(([property, description]) => nameOf(property, description));
}

function nameOf(property: string, description: Description): Named {
  const key = property.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  return { ...description, property, key, variable: PREFIX + key.replaceAll('-', '_').toUpperCase() };
}

/** Scalars are kept as the text they are written in, so that a file and a variable are read by one rule. */
function readOptionsFile(path: string): Readonly<Record<string, unknown>> {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    const reason = typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : 'unknown';
    throw new BadOptions(`${FILE_VARIABLE}=${path}: must be a file that can be read (${reason})`);
  }
  // Without pretty errors the message does not quote the file, which may hold secrets.
  const document = parseDocument(text, { schema: 'failsafe', prettyErrors: false });
  const [fault] = document.errors;
  if (fault) {
    const line = text.slice(0, fault.pos[0]).split('\n').length;
    throw new BadOptions(`${FILE_VARIABLE}=${path}: must be YAML (${fault.code} in line ${line})`);
  }
  const content: unknown = document.toJS();
  if (content === null || content === '') return {};
  if (typeof content !== 'object' || Array.isArray(content)) {
    throw new BadOptions(`${FILE_VARIABLE}=${path}: must hold lines of the form 'http-port: 8080'`);
  }
  return { ...content };
}

class NotReadable {
  constructor(readonly allowed: string) {}
}

/** The value in the type of the option's default. */
function convert(given: unknown, byDefault: unknown): Value | NotReadable {
  if (Array.isArray(byDefault)) {
    const parts: readonly unknown[] = Array.isArray(given)
      ? given
      : typeof given === 'string'
        ? given.split(',')
        : [given];
    const items = parts.map((part) => (typeof part === 'string' ? part.trim() : ''));
    return items.every((item) => item !== '') ? items : new NotReadable('a list, separated by commas');
  }
  const text = typeof given === 'string' ? given.trim() : undefined;
  switch (typeof byDefault) {
    case 'number':
      return text !== undefined && /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : new NotReadable('a number');
    case 'boolean':
      return text === 'true' || text === 'false' ? text === 'true' : new NotReadable('true or false');
    default:
      return text ?? new NotReadable('a text');
  }
}

/** class-validator begins its sentences with the property; ours begin with the option's own name. */
function allowed({ property, constraints = {} }: ValidationError): string {
  const sentences = Object.values(constraints).map((sentence) =>
    sentence.replace(`each value in ${property} `, 'each ').replace(`${property} `, ''),
  );
  return sentences.join(' and ');
}

function shown({ name, given }: { readonly name: string; readonly given: unknown }, secret: boolean): string {
  if (secret) return `${name}=(not shown)`;
  return `${name}=${typeof given === 'string' ? given.replace(/\s+/g, ' ') : JSON.stringify(given)}`;
}

/** Only the name is shown: the value of an option that is not known may be a secret written in the wrong place. */
function unknownName(shownName: string, name: string, known: readonly string[]): string {
  const [nearest] = known
    .map((candidate) => ({ candidate, edits: editsBetween(name, candidate) }))
    .sort((a, b) => a.edits - b.edits);
  const hint =
    nearest && nearest.edits <= FAR_AWAY
      ? `did you mean ${nearest.candidate}?`
      : 'must be one of those that --help lists';
  return `${shownName}: unknown option, ${hint}`;
}

/** The Levenshtein distance. */
function editsBetween(a: string, b: string): number {
  let above = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (const [row, letter] of a.split('').entries()) {
    const current = [row + 1];
    for (let column = 1; column <= b.length; column += 1) {
      const [left = 0, up = 0, corner = 0] = [current[column - 1], above[column], above[column - 1]];
      current.push(Math.min(left + 1, up + 1, corner + (letter === b[column - 1] ? 0 : 1)));
    }
    above = current;
  }
  return above[b.length] ?? 0;
}

function defaultText(value: unknown): string {
  if (value === undefined || (Array.isArray(value) && value.length === 0)) return 'none';
  return typeof value === 'string' ? value : JSON.stringify(value).replace(/[[\]"]/g, '');
}
