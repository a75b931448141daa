import { readJson } from './json-body.js';
import { Refused } from './refused.js';

const read = (text: string, idsAt = [1]) => readJson({ bytes: Buffer.from(text) }, idsAt);

function refusal(attempt: () => unknown): string {
  try {
    attempt();
  } catch (error) {
    if (error instanceof Refused) return `${error.code}: ${error.message}`;
    throw error;
  }
  return 'read';
}

describe('a body', () => {
  it('is any JSON', () => {
    for (const text of ['{"a":[1,null,{"b":true}]}', '42', 'null', '"x"', '[]', ' {} ', '1.5', '-0.25e3']) {
      expect(read(text)).toEqual(JSON.parse(text));
    }
  });

  it('may be missing', () => {
    expect(read('')).toBeUndefined();
    expect(read(' \n')).toBeUndefined();
  });

  it('may begin with a byte order mark', () => {
    expect(read('\ufeff{"a":1}')).toEqual({ a: 1 });
  });

  it('keeps __proto__ and constructor as names of its own', () => {
    const value = read('{"__proto__":{"polluted":true},"constructor":1}') as object;
    expect(Object.keys(value)).toEqual(['__proto__', 'constructor']);
    expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
  });

  it.each(['{', '{"a":}', "{'a':1}", 'undefined', '{"a":1}}', '{"a":01}', '{"a":NaN}', 'name=value', '\u0000'])(
    'is refused when it is broken: %j',
    (text) => expect(refusal(() => read(text))).toBe('unreadable: The body is not JSON'),
  );

  it('is refused as not JSON when it says so itself', () => {
    for (const contentType of [
      'text/plain',
      'application/x-www-form-urlencoded; charset=UTF-8',
      'multipart/form-data',
    ]) {
      expect(refusal(() => readJson({ bytes: Buffer.from('a=b'), contentType }, [1]))).toMatch(/^not-json/);
      expect(readJson({ bytes: Buffer.from('{"a":1}'), contentType }, [1])).toEqual({ a: 1 });
    }
    expect(refusal(() => readJson({ bytes: Buffer.from('a=b'), contentType: 'whatever' }, [1]))).toMatch(/^unreadable/);
  });

  it('is refused when its bytes are not UTF-8', () => {
    for (const bytes of [
      [0x22, 0xff, 0x22],
      [0x22, 0xc3, 0x22],
      [0x22, 0xed, 0xa0, 0x80, 0x22],
    ]) {
      expect(refusal(() => readJson({ bytes: Buffer.from(bytes) }, [1]))).toBe(
        'unreadable: The body is not valid UTF-8',
      );
    }
  });

  it.each([
    String.raw`{"a":"\ud800"}`,
    String.raw`{"\uDfff":1}`,
    String.raw`["\ud83d\u0041"]`,
    String.raw`["\ude00\ud83d"]`,
  ])('is refused with half of a surrogate pair: %s', (text) => expect(refusal(() => read(text))).toMatch(/surrogate/));

  it.each([String.raw`{"a":"\ud83d\ude00"}`, String.raw`{"a":"\\ud800"}`, String.raw`["\\\\uDC00"]`, '["😀"]'])(
    'is read with whole characters: %s',
    (text) => expect(read(text)).toEqual(JSON.parse(text)),
  );

  it('is refused when it is nested too deep, however deep', () => {
    expect(read(`${'['.repeat(256)}${']'.repeat(256)}`)).toBeDefined();
    expect(refusal(() => read(`${'['.repeat(257)}${']'.repeat(257)}`))).toMatch(/256 levels/);
    expect(refusal(() => read('{"a":'.repeat(170_000)))).toMatch(/256 levels/);
    expect(read(JSON.stringify('['.repeat(1000)))).toBe('['.repeat(1000));
  });
});

describe('a number', () => {
  it.each(['9007199254740992', '-9007199254740992', '1.0', '0.1', '1e3', '1E-7', '123456789012345.5', '0', '-1'])(
    'is kept: %s',
    (number) => expect(read(`{"a":${number}}`)).toEqual({ a: Number(number) }),
  );

  it.each([
    '9007199254740993',
    '-9007199254740993',
    '12345678901234567890',
    '1e400',
    '-1e400',
    '1e17',
    '9007199254740993.0',
  ])('is refused rather than changed: %s', (number) => {
    expect(refusal(() => read(`{"a":${number}}`))).toMatch(/send it as text/);
    expect(refusal(() => read(number))).toMatch(/send it as text/);
    expect(refusal(() => read(`[0, ${number}]`))).toMatch(/send it as text/);
    expect(refusal(() => read(`{"a":{"customer_id":${number}}}`))).toMatch(/send it as text/);
  });

  it('is read as text without losing digits where an id stands', () => {
    expect(read('{"customer_id":12345678901234567890,"contact_key" : 4.90,"a":[1.5,{"state_id":2}]}')).toEqual({
      customer_id: '12345678901234567890',
      contact_key: '4.90',
      a: [1.5, { state_id: 2 }],
    });
    expect(read('{"from":{"state_id":12345678901234567890},"service_id":5}', [1, 2])).toEqual({
      from: { state_id: '12345678901234567890' },
      service_id: '5',
    });
  });

  it('is no number inside of a text', () => {
    const text = String.raw`{"a":"x\": 1e400, [12345678901234567890","customer_id":"\\","b":1.5}`;
    expect(read(text)).toEqual(JSON.parse(text));
  });

  it('is found wherever it stands: random documents', () => {
    const seed = Date.now() % 1_000_000;
    let state = seed;
    const next = (below: number) => (state = (state * 1_103_515_245 + 12_345) % 2_147_483_648) % below;
    const make = (depth: number): string => {
      switch (depth > 4 ? next(4) : next(6)) {
        case 0:
          return String(next(1000) - 500);
        case 1:
          return `${next(10)}.${next(1000)}`;
        case 2:
          return JSON.stringify(['', '"', '\\', ',1e400', '":9.5', '[12345678901234567890', '{}'][next(7)]);
        case 3:
          return ['true', 'null', '1e2'][next(3)] as string;
        case 4:
          return `[${Array.from({ length: next(4) }, () => make(depth + 1)).join(' , ')}]`;
        default:
          return `{${Array.from({ length: next(4) }, (_, n) => `"k${n}":${make(depth + 1)}`).join(',')}}`;
      }
    };
    for (let round = 0; round < 2000; round++) {
      const text = make(0);
      expect({ seed, text, value: read(text) }).toEqual({ seed, text, value: JSON.parse(text) });
      const broken = `{"a":${text},"b":9007199254740993}`;
      expect({ seed, broken, refusal: refusal(() => read(broken)) }).toMatchObject({
        refusal: expect.stringMatching(/as text/),
      });
    }
  });
});
