import { isUtf8 } from 'node:buffer';
import type { Json } from '#events';
import { Refused } from './refused.js';

/** Deeper documents are refused: everything that writes JSON again does so recursively. */
const DEEPEST = 256;
const BYTE_ORDER_MARK = 0xfeff;
const [QUOTE, BACKSLASH] = [0x22, 0x5c];
const [OPEN_BRACE, OPEN_BRACKET, CLOSE_BRACE, CLOSE_BRACKET] = [0x7b, 0x5b, 0x7d, 0x5d];

/** Ids may come as JSON numbers and are read as text without losing digits (contract 0.3, 14). */
const idFields: ReadonlySet<string> = new Set([
  'service_id',
  'state_id',
  'task_id',
  'customer_id',
  'contact_key',
  'previous_state_id',
  'session_id',
  'interaction_id',
]);

/** A content type that says: not JSON. Every other one, and none, is read as JSON (contract 0.3, 29). */
const saysOtherwise = /^\s*(?:text\/plain|application\/x-www-form-urlencoded|multipart\/)/i;

export interface SentBody {
  readonly bytes: Buffer;
  readonly contentType?: string;
}

/**
 * The JSON of a body, exactly as it was meant, or a refusal: never a number that lost digits or a text that lost
 * characters. `__proto__` is a name like any other. Undefined for a body without bytes.
 *
 * `idsAt`: how deep the objects stand in which numbers of id fields are ids; elsewhere a caller's own names begin.
 */
export function readJson({ bytes, contentType }: SentBody, idsAt: readonly number[]): Json | undefined {
  if (bytes.length === 0) return undefined;
  if (!isUtf8(bytes)) throw notJson('is not valid UTF-8', contentType);
  refuseTooDeep(bytes);
  const decoded = bytes.toString('utf8');
  const text = decoded.charCodeAt(0) === BYTE_ORDER_MARK ? decoded.slice(1) : decoded;
  if (text.trim() === '') return undefined;
  const value = parse(text, contentType);
  if (loneSurrogate(text)) throw new Refused('unreadable', 'The body holds half of a surrogate pair, which is no text');
  if (!unusualNumber.test(text)) return value;
  const quoted = quoteIds(text, idsAt);
  return quoted === text ? value : parse(quoted, contentType);
}

function parse(text: string, contentType: string | undefined): Json {
  try {
    return JSON.parse(text) as Json;
  } catch {
    throw notJson('is not JSON', contentType);
  }
}

const notJson = (what: string, contentType: string | undefined): Refused =>
  contentType !== undefined && saysOtherwise.test(contentType)
    ? new Refused('not-json', `The body says that it is ${contentType.slice(0, 60)} and ${what}`)
    : new Refused('unreadable', `The body ${what}`);

function refuseTooDeep(bytes: Buffer): void {
  if (!holdsMore(bytes, DEEPEST)) return;
  let depth = 0;
  let inText = false;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at];
    if (inText) {
      if (byte === BACKSLASH) at++;
      else if (byte === QUOTE) inText = false;
    } else if (byte === QUOTE) inText = true;
    else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
      if (++depth > DEEPEST) throw new Refused('unreadable', `The body is nested more than ${DEEPEST} levels deep`);
    } else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) depth--;
  }
}

/** Whether there are more opening brackets, in texts too, than so many. */
function holdsMore(bytes: Buffer, most: number): boolean {
  let found = 0;
  for (const bracket of [OPEN_BRACE, OPEN_BRACKET])
    for (let at = bytes.indexOf(bracket); at !== -1; at = bytes.indexOf(bracket, at + 1))
      if (++found > most) return true;
  return false;
}

/** Only escapes can bring a lone half into valid UTF-8. Escapes are taken from left to right, so `\\ud800` is none. */
function loneSurrogate(text: string): boolean {
  if (!/\\u[dD]/.test(text)) return false;
  const escapes = /\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F]|(u[dD][89a-fA-F])|.)/g;
  for (const [, half] of text.matchAll(escapes)) if (half !== undefined) return true;
  return false;
}

/** Finds every number that may not survive as a double, and some that do; inside texts it may see ghosts. */
const unusualNumber = /(?:"\s*:|[[,]|^)\s*-?\d+(?:[.eE]|(?<=\d{16}))/;
const numberToken = /-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const LARGEST = 2n ** 53n;
const LARGEST_LENGTH = `-${LARGEST}`.length;

/** The same JSON with the numbers of id fields as texts. Exact, because the text is known to be valid JSON. */
function quoteIds(text: string, idsAt: readonly number[]): string {
  const parts: string[] = [];
  let copied = 0;
  let depth = 0;
  let name: string | undefined;
  for (let at = 0; at < text.length;) {
    const character = text.charCodeAt(at);
    if (character === QUOTE) {
      const end = endOfText(text, at);
      name = JSON.parse(text.slice(at, end)) as string;
      at = end;
      continue;
    }
    if (character === OPEN_BRACE || character === OPEN_BRACKET) {
      depth++;
      name = undefined;
    } else if (character === CLOSE_BRACE || character === CLOSE_BRACKET) depth--;
    else if (text[at] === ',') name = undefined;
    numberToken.lastIndex = at;
    const number = numberToken.exec(text)?.[0];
    if (number === undefined) {
      at++;
      continue;
    }
    if (idsAt.includes(depth) && name !== undefined && idFields.has(name)) {
      parts.push(text.slice(copied, at), `"${number}"`);
      copied = at + number.length;
    } else refuseInexact(number, name);
    at += number.length;
  }
  return copied === 0 ? text : parts.join('') + text.slice(copied);
}

function endOfText(text: string, start: number): number {
  let at = start + 1;
  while (text.charCodeAt(at) !== QUOTE) at += text.charCodeAt(at) === BACKSLASH ? 2 : 1;
  return at + 1;
}

/** Fractions are doubles, as everywhere in JSON; whole numbers must be kept digit by digit. */
function refuseInexact(number: string, name: string | undefined): void {
  const value = Number(number);
  const exact = /[.eE]/.test(number)
    ? Number.isFinite(value) && (!Number.isInteger(value) || Number.isSafeInteger(value))
    : number.length <= LARGEST_LENGTH && abs(BigInt(number)) <= LARGEST;
  if (exact) return;
  const where = name === undefined ? '' : ` in '${name.slice(0, 60)}'`;
  throw new Refused(
    'unreadable',
    `The number ${number.slice(0, 40)}${where} is too large to be kept exactly: send it as text`,
  );
}

const abs = (number: bigint): bigint => (number < 0n ? -number : number);
