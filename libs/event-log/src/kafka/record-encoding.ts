import { createRequire } from 'node:module';

type Bytes = string | Buffer;

/** A record as kafkajs hands it to its encoder. */
export interface Unencoded {
  readonly offsetDelta?: number;
  readonly timestampDelta?: number;
  readonly key?: Bytes | null;
  readonly value?: Bytes | null;
  readonly headers?: Readonly<Record<string, unknown>>;
}

/** What kafkajs puts into the batch. */
export interface Encoded {
  readonly buf: Buffer;
  readonly buffer: Buffer;
}

const NO_ATTRIBUTES = 0;
const MISSING = -1;
const VARINT_BITS = 7;
const VARINT_MASK = 0x7f;
const VARINT_MORE = 0x80;
/** What fits into 32 bits when its sign is moved to the last one. */
const LARGEST = 2 ** 30;

const isBytes = (value: unknown): value is Bytes => typeof value === 'string' || Buffer.isBuffer(value);

/**
 * A record of a batch of format 2, byte for byte as kafkajs makes it, in one piece of memory instead of one for each
 * header. Undefined for what this program never sends: headers that are there twice, times far apart.
 */
export function encodeRecord(record: Unencoded): Encoded | undefined {
  const { offsetDelta = 0, timestampDelta = 0, key, value, headers = {} } = record;
  const texts: Bytes[] = [];
  for (const [name, text] of Object.entries(headers)) {
    if (!isBytes(text)) return undefined;
    texts.push(name, text);
  }
  if (!Number.isInteger(timestampDelta) || Math.abs(timestampDelta) >= LARGEST) return undefined;

  const lengths = texts.map((text) => Buffer.byteLength(text));
  const keyLength = lengthOf(key);
  const valueLength = lengthOf(value);
  const headerCount = texts.length / 2;
  let size = 1 + sizeOf(timestampDelta) + sizeOf(offsetDelta) + sizeOf(headerCount);
  for (const length of [keyLength, valueLength, ...lengths]) size += sizeOf(length) + Math.max(0, length);

  const buffer = Buffer.allocUnsafe(sizeOf(size) + size);
  let at = writeVarint(buffer, size, 0);
  at = buffer.writeInt8(NO_ATTRIBUTES, at);
  at = writeVarint(buffer, timestampDelta, at);
  at = writeVarint(buffer, offsetDelta, at);
  at = writeBytes(buffer, key, keyLength, at);
  at = writeBytes(buffer, value, valueLength, at);
  at = writeVarint(buffer, headerCount, at);
  for (const [index, text] of texts.entries()) at = writeBytes(buffer, text, lengths[index]!, at);
  return { buf: buffer, buffer };
}

const lengthOf = (bytes: Bytes | null | undefined): number =>
  bytes === null || bytes === undefined ? MISSING : Buffer.byteLength(bytes);

/** The sign in the last bit, so that small numbers are short whatever their sign. */
const zigzag = (number: number): number => (number << 1) ^ (number >> 31);

function sizeOf(number: number): number {
  let size = 1;
  for (let rest = zigzag(number) >>> VARINT_BITS; rest > 0; rest >>>= VARINT_BITS) size += 1;
  return size;
}

function writeVarint(buffer: Buffer, number: number, at: number): number {
  let rest = zigzag(number) >>> 0;
  let next = at;
  for (; rest > VARINT_MASK; rest >>>= VARINT_BITS) buffer[next++] = (rest & VARINT_MASK) | VARINT_MORE;
  buffer[next++] = rest;
  return next;
}

function writeBytes(buffer: Buffer, bytes: Bytes | null | undefined, length: number, at: number): number {
  const next = writeVarint(buffer, length, at);
  if (typeof bytes === 'string') return next + buffer.write(bytes, next);
  return next + (bytes?.copy(buffer, next) ?? 0);
}

const kafkajs = createRequire(import.meta.url);
const ENCODER = 'kafkajs/src/protocol/recordBatch/record/v0';

type Encode = (record: Unencoded) => Encoded;

/** The encoder of kafkajs 2.2.4 itself. */
export const encodeByKafkajs = kafkajs(ENCODER) as Encode;

// Its producers are made of it when they are loaded, so this module must be the first that leads to kafkajs (ADR 016).
// Loaded later it changes nothing but the time that a record takes.
const loaded = kafkajs.cache[kafkajs.resolve(ENCODER)];
if (loaded) loaded.exports = (record: Unencoded): Encoded => encodeRecord(record) ?? encodeByKafkajs(record);
