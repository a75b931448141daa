import { encodeByKafkajs, encodeRecord, type Unencoded } from './record-encoding.js';

const SHORT_OF_A_BYTE = 63;
const LONG = 70_000;
const MANY = 300;

describe('a record for Kafka', () => {
  it.each<[what: string, record: Unencoded]>([
    ['with nothing in it', {}],
    ['without key and value', { key: null, value: null, headers: {} }],
    ['of text', { key: '1/a', value: '{"a":1}', headers: { 'cs-kind': 'event', 'cs-stream': 'ä€😀' } }],
    ['of bytes', { key: Buffer.from('1/a'), value: Buffer.from([0, 255]), headers: { raw: Buffer.from([1, 128]) } }],
    ['with empty texts', { key: '', value: '', headers: { '': '' } }],
    ['at a far offset', { offsetDelta: LONG, key: 'k', value: 'v' }],
    ['some time after the first', { timestampDelta: LONG, key: 'k', value: 'v' }],
    ['some time before it', { timestampDelta: -LONG, key: 'k', value: 'v' }],
    ...[SHORT_OF_A_BYTE, SHORT_OF_A_BYTE + 1, LONG].map((length): [string, Unencoded] => [
      `of ${length} characters`,
      { key: 'k'.repeat(length), value: 'v'.repeat(length), headers: { name: 'h'.repeat(length) } },
    ]),
    ['with many headers', { headers: Object.fromEntries(Array.from({ length: MANY }, (_, n) => [`h${n}`, `${n}`])) }],
  ])('%s is what kafkajs makes of it', (_, record) =>
    expect(encodeRecord(record)?.buffer.equals(encodeByKafkajs(record).buffer)).toBe(true),
  );

  it.each<[what: string, record: Unencoded]>([
    ['a header that is there twice', { headers: { name: ['a', 'b'] } }],
    ['times that are far apart', { timestampDelta: 2 ** 40 }],
  ])('with %s is left to kafkajs', (_, record) => expect(encodeRecord(record)).toBeUndefined());
});
