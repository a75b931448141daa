import { Refused } from './refused.js';
import { parseTime } from './times.js';

/**
 * The query of a URL, read strictly: a value that cannot be what its parameter means is refused, never guessed.
 * Unknown parameters are passed over (contract S7).
 */
export class QueryParameters {
  private readonly values: ReadonlyMap<string, readonly string[]>;

  constructor(readonly text: string) {
    const values = new Map<string, string[]>();
    for (const part of text.split('&')) {
      if (part === '') continue;
      const [name, value] = split(part);
      const known = values.get(name);
      if (known) known.push(value);
      else values.set(name, [value]);
    }
    this.values = values;
  }

  /** Values separated by commas and the same name given several times, mixed (contract 2.5). Undefined when none is given. */
  list(name: string): readonly string[] | undefined {
    const values = this.values.get(name)?.flatMap((value) => value.split(','));
    const given = values?.filter((value) => value !== '');
    return given?.length === 0 ? undefined : given;
  }

  /** `true` or `false` in any case (contract 2.4); false when not given. */
  flag(name: string): boolean {
    const text = this.single(name)?.toLowerCase() ?? 'false';
    if (text !== 'true' && text !== 'false') throw invalid(name, 'must be true or false');
    return text === 'true';
  }

  /** Epoch milliseconds. */
  time(name: string): number | undefined {
    const text = this.single(name);
    if (text === undefined) return undefined;
    const time = parseTime(text.replace(unencodedPlus, '+'));
    if (time === undefined) throw invalid(name, 'must be a date and time, for example 2009-05-12T12:05:12.145Z');
    return time;
  }

  /** A whole number above 0. */
  count(name: string): number | undefined {
    const text = this.single(name);
    if (text === undefined) return undefined;
    if (!/^0*[1-9]\d{0,8}$/.test(text)) throw invalid(name, 'must be a whole number from 1 to 999999999');
    return Number(text);
  }

  single(name: string): string | undefined {
    const values = this.values.get(name);
    if (values && values.length > 1) throw invalid(name, 'must be given once');
    return values?.[0];
  }

  /** The same query with another value for one parameter. */
  with(name: string, value: string): string {
    const kept = this.text.split('&').filter((part) => part !== '' && split(part)[0] !== name);
    return [...kept, `${encodeURIComponent(name)}=${encodeURIComponent(value)}`].join('&');
  }
}

/** Before an offset: there a plus that was not encoded is a blank by now. */
const unencodedPlus = / (?=\d{2}(?::?\d{2})?$)/;

const invalid = (name: string, what: string): Refused => new Refused('invalid', `The query parameter ${name} ${what}`);

function split(part: string): [string, string] {
  const at = part.indexOf('=');
  return at === -1 ? [decode(part), ''] : [decode(part.slice(0, at)), decode(part.slice(at + 1))];
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    throw new Refused('unreadable', `The query holds bad percent-encoding at '${text.slice(0, 40)}'`);
  }
}
