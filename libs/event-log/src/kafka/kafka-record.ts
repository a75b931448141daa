import {
  formatLifetime,
  parseLifetime,
  streamKey,
  type IdempotencyDigest,
  type Lifetime,
  type NewRecord,
} from '#events';
import type { IHeaders, KafkaMessage, Message } from 'kafkajs';
import type { Fence, Foreign, LogRecord } from '../log-record.js';
import type { Unplaced } from '../log-transport.js';

/** Record 0 of a partition. */
export type Genesis = Pick<Fence, 'kind' | 'partition' | 'epoch' | 'partitions'> & { readonly logId: string };

/**
 * Headers of the internal log. All of them are text; numbers are decimal. No personal values: a header cannot be
 * erased by losing a key (design 8).
 */
const header = {
  kind: 'cs-kind',
  eventId: 'cs-event-id',
  type: 'cs-type',
  schemaVersion: 'cs-schema-version',
  tenant: 'cs-tenant',
  stream: 'cs-stream',
  version: 'cs-version',
  epoch: 'cs-epoch',
  lifetime: 'cs-lifetime',
  correlationId: 'cs-correlation-id',
  causationId: 'cs-causation-id',
  idempotencyKey: 'cs-idempotency-key',
  idempotencyRequest: 'cs-idempotency-request',
  markerId: 'cs-marker-id',
  logId: 'cs-log-id',
  partitions: 'cs-partitions',
} as const;

/** A record as Kafka stores it. Events are keyed by their stream; fences and markers belong to none. */
export function toMessage(record: Unplaced | Genesis): Message & { partition: number } {
  const { kind, partition } = record;
  switch (kind) {
    case 'event':
      return { partition, key: streamKey(record), value: record.value, headers: eventHeaders(record) };
    case 'fence':
      return {
        partition,
        key: kind,
        value: null,
        headers: {
          [header.kind]: kind,
          [header.epoch]: String(record.epoch),
          ...('logId' in record && { [header.logId]: record.logId }),
          ...('partitions' in record && { [header.partitions]: String(record.partitions) }),
        },
      };
    case 'marker':
      return { partition, key: kind, value: null, headers: { [header.kind]: kind, [header.markerId]: record.id } };
  }
}

/** Assigned, as in {@link readEvent}: what is spread in the middle of a literal takes many times as long. */
function eventHeaders(record: NewRecord): IHeaders {
  const headers: IHeaders = {
    [header.kind]: 'event',
    [header.eventId]: record.eventId,
    [header.type]: record.type,
    [header.schemaVersion]: String(record.schemaVersion),
    [header.tenant]: record.tenant,
    [header.stream]: record.stream,
    [header.version]: String(record.version),
    [header.epoch]: String(record.epoch),
    [header.correlationId]: record.correlationId,
  };
  if (record.lifetime) headers[header.lifetime] = formatLifetime(record.lifetime);
  if (record.causationId !== undefined) headers[header.causationId] = record.causationId;
  if (record.idempotency) {
    headers[header.idempotencyKey] = record.idempotency.key;
    headers[header.idempotencyRequest] = record.idempotency.request;
  }
  return headers;
}

class NotOurs extends Error {}

/** A record as read from a partition. Whatever this protocol cannot have written becomes `foreign`; it never throws. */
export function fromMessage(
  partition: number,
  message: Pick<KafkaMessage, 'key' | 'value' | 'headers' | 'offset' | 'timestamp'>,
): LogRecord {
  const place = { partition, offset: Number(message.offset), recordedAt: Number(message.timestamp) };
  try {
    const { key, value, headers } = message;
    if (!key) throw new NotOurs('it has no key');
    if (!headers) throw new NotOurs('it has no headers');
    const kind = text(headers, header.kind);
    switch (kind) {
      case 'event':
        return Object.assign({ kind }, place, readEvent(key, value, headers));
      case 'fence': {
        const logId = optionalText(headers, header.logId);
        const partitions = optionalText(headers, header.partitions);
        return {
          kind,
          ...place,
          epoch: count(headers, header.epoch),
          ...(logId !== undefined && { logId }),
          ...(partitions !== undefined && { partitions: count(headers, header.partitions, 1) }),
        };
      }
      case 'marker':
        return { kind, ...place, id: text(headers, header.markerId) };
      default:
        throw new NotOurs(`its ${header.kind} is '${kind}'`);
    }
  } catch (error) {
    if (!(error instanceof NotOurs)) throw error;
    return { kind: 'foreign', ...place, reason: error.message } satisfies Foreign;
  }
}

function readEvent(key: Buffer, value: Buffer | null, headers: IHeaders): Omit<NewRecord, 'partition'> {
  if (!value) throw new NotOurs('it is an event without a value');
  const tenant = text(headers, header.tenant);
  const stream = text(headers, header.stream);
  if (key.toString() !== keyOf(tenant, stream)) throw new NotOurs('its key does not name its stream');
  const lifetime = readLifetime(headers);
  const causationId = optionalText(headers, header.causationId);
  const idempotency = readDigest(headers);
  return Object.assign(
    {
      eventId: text(headers, header.eventId),
      type: text(headers, header.type),
      schemaVersion: count(headers, header.schemaVersion, 1),
      tenant,
      stream,
      version: count(headers, header.version, 1),
      epoch: count(headers, header.epoch),
      correlationId: text(headers, header.correlationId),
      value: value.toString(),
    },
    lifetime && { lifetime },
    causationId !== undefined && { causationId },
    idempotency && { idempotency },
  );
}

/** Undefined for names that no stream of ours can have: text that is not well-formed Unicode. */
function keyOf(tenant: string, stream: string): string | undefined {
  try {
    return streamKey({ tenant, stream });
  } catch {
    return undefined;
  }
}

function readLifetime(headers: IHeaders): Lifetime | undefined {
  const written = optionalText(headers, header.lifetime);
  if (written === undefined) return undefined;
  const lifetime = parseLifetime(written);
  if (!lifetime) throw new NotOurs(`its ${header.lifetime} is '${written}'`);
  return lifetime;
}

function readDigest(headers: IHeaders): IdempotencyDigest | undefined {
  const key = optionalText(headers, header.idempotencyKey);
  const request = optionalText(headers, header.idempotencyRequest);
  if (key === undefined && request === undefined) return undefined;
  if (key === undefined || request === undefined) throw new NotOurs('its idempotency digest is not complete');
  return { key, request };
}

function optionalText(headers: IHeaders, name: string): string | undefined {
  const found = Object.hasOwn(headers, name) ? headers[name] : undefined;
  if (found === undefined) return undefined;
  if (Array.isArray(found)) throw new NotOurs(`its ${name} is there ${found.length} times`);
  return found.toString();
}

function text(headers: IHeaders, name: string): string {
  const found = optionalText(headers, name);
  if (found === undefined) throw new NotOurs(`it has no ${name}`);
  return found;
}

function count(headers: IHeaders, name: string, lowest = 0): number {
  const found = text(headers, name);
  const number = /^\d{1,15}$/.test(found) ? Number(found) : Number.NaN;
  if (!(number >= lowest)) throw new NotOurs(`its ${name} is '${found}'`);
  return number;
}
