import type { NewRecord } from '#events';
import type { IHeaders } from 'kafkajs';
import type { Unplaced } from '../log-transport.js';
import { fromMessage, toMessage, type Genesis } from './kafka-record.js';

const started: { readonly kind: 'event' } & NewRecord = {
  kind: 'event',
  eventId: '0190b1f0-7e5c-7000-8000-000000000001',
  type: 'ServiceStarted',
  schemaVersion: 2,
  tenant: '1/a',
  stream: '__proto__/ü %\u{1f600}',
  partition: 3,
  version: 1,
  epoch: 4,
  lifetime: { slide: 157_680_000 },
  correlationId: 'call-7',
  causationId: '0190b1f0-7e5c-7000-8000-000000000000',
  idempotency: { key: 'digest-of-key', request: 'digest-of-request' },
  value: '{"service_id":"ü"}',
};

/** As the broker hands it out: bytes, a place, a time. */
function stored(record: Unplaced | Genesis) {
  const { partition, key, value, headers } = toMessage(record);
  const bytes = Object.fromEntries(
    Object.entries(headers ?? {}).map(([name, text]) => [name, Buffer.from(text as string)]),
  );
  return {
    partition,
    message: {
      key: Buffer.from(key as string),
      value: value === null ? null : Buffer.from(value as string),
      headers: bytes as IHeaders,
      offset: '41',
      timestamp: '1766000000123',
    },
  };
}

const place = { partition: 3, offset: 41, recordedAt: 1_766_000_000_123 };

describe('a record in Kafka', () => {
  it('is keyed by its stream', () => {
    expect(toMessage(started)).toMatchObject({
      partition: 3,
      key: '1%2Fa/__proto__%2F%C3%BC%20%25%F0%9F%98%80',
      value: started.value,
    });
  });

  const { lifetime: _, causationId: __, idempotency: ___, ...plain } = started;
  it.each<[string, Unplaced | Genesis]>([
    ['an event with everything', started],
    ['an event with what it must have', plain],
    ['an event that lives until a time', { ...plain, lifetime: { until: 4_102_444_800_000 } }],
    ['a fence', { kind: 'fence', partition: 3, epoch: 7 }],
    ['a fence that names the log', { kind: 'fence', partition: 3, epoch: 0, logId: 'random' }],
    [
      'a fence that names the log and its size',
      { kind: 'fence', partition: 3, epoch: 0, logId: 'random', partitions: 4 },
    ],
    ['a marker', { kind: 'marker', partition: 3, id: 'random' }],
  ])('comes back as it was: %s', (_sentence, record) => {
    const { partition, message } = stored(record);
    expect(fromMessage(partition, message)).toStrictEqual({ ...record, ...place });
  });

  const { message } = stored(started);
  const changed = (headers: Record<string, string | Buffer[] | undefined>) => ({
    ...message,
    headers: Object.fromEntries(
      Object.entries({ ...message.headers, ...headers })
        .filter(([, value]) => value !== undefined)
        .map(([name, value]) => [name, typeof value === 'string' ? Buffer.from(value) : value]),
    ),
  });
  const marker = stored({ kind: 'marker', partition: 3, id: 'random' }).message;

  it.each<[string, Parameters<typeof fromMessage>[1], string]>([
    ['no key', { ...message, key: null }, 'it has no key'],
    ['no headers', { ...message, headers: undefined }, 'it has no headers'],
    ['empty headers', { ...message, headers: {} }, 'it has no cs-kind'],
    ['a kind of its own', changed({ 'cs-kind': 'leader' }), "its cs-kind is 'leader'"],
    ['no value', { ...message, value: null }, 'it is an event without a value'],
    ['no event id', changed({ 'cs-event-id': undefined }), 'it has no cs-event-id'],
    ['no correlation id', changed({ 'cs-correlation-id': undefined }), 'it has no cs-correlation-id'],
    ['another stream in its key', { ...message, key: Buffer.from('1/a') }, 'its key does not name its stream'],
    ['a version that is no number', changed({ 'cs-version': '1.5' }), "its cs-version is '1.5'"],
    ['a version below 1', changed({ 'cs-version': '0' }), "its cs-version is '0'"],
    [
      'a version that is too long',
      changed({ 'cs-version': '1234567890123456' }),
      "its cs-version is '1234567890123456'",
    ],
    ['a negative epoch', changed({ 'cs-epoch': '-1' }), "its cs-epoch is '-1'"],
    ['an empty epoch', changed({ 'cs-epoch': '' }), "its cs-epoch is ''"],
    ['a schema version of 0', changed({ 'cs-schema-version': '0' }), "its cs-schema-version is '0'"],
    ['a lifetime of no kind', changed({ 'cs-lifetime': 'ever=1' }), "its cs-lifetime is 'ever=1'"],
    ['half a digest', changed({ 'cs-idempotency-key': undefined }), 'its idempotency digest is not complete'],
    ['a header twice', changed({ 'cs-type': [Buffer.from('A'), Buffer.from('B')] }), 'its cs-type is there 2 times'],
    ['a marker without a name', { ...marker, headers: { 'cs-kind': Buffer.from('marker') } }, 'it has no cs-marker-id'],
    ['a fence without an epoch', { ...marker, headers: { 'cs-kind': Buffer.from('fence') } }, 'it has no cs-epoch'],
  ])('is not ours with %s', (_sentence, foreign, reason) => {
    expect(fromMessage(3, foreign)).toStrictEqual({ kind: 'foreign', ...place, reason });
  });

  it('is not ours when its stream is not well-formed text', () => {
    // Bytes that are no UTF-8 are read as U+FFFD, so such a name can only come from a decoder that lets it through.
    expect(fromMessage(3, changed({ 'cs-stream': '\ufffd' }))).toMatchObject({ kind: 'foreign' });
  });
});
