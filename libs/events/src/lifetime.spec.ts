import { advance, formatLifetime, parseLifetime, unwritten } from './lifetime.js';
import type { Head, Lifetime } from './lifetime.js';

const minute = 60 * 1000;

/** The head after records at these minutes, with or without a lifetime. */
const after = (...records: readonly (readonly [number, Lifetime?])[]): Head =>
  records.reduce<Head>(
    (head, [minutes, lifetime], index) =>
      advance(head, { version: index + 1, recordedAt: minutes * minute, ...(lifetime && { lifetime }) }),
    unwritten,
  );

describe('the head of a stream', () => {
  it('takes the version of the record', () => {
    expect(after([0])).toStrictEqual({ version: 1 });
    expect(after([0], [1], [2])).toStrictEqual({ version: 3 });
  });
  it('never expires without a lifetime', () => expect(after([0], [1_000_000]).expiresAt).toBeUndefined());
  it('slides with each record', () => {
    expect(after([10, { slide: 60 }])).toStrictEqual({ version: 1, slide: 60, expiresAt: 11 * minute });
    expect(after([10, { slide: 60 }], [10.5])).toStrictEqual({ version: 2, slide: 60, expiresAt: 11.5 * minute });
    expect(after([10, { slide: 60 }], [10.5], [11])).toStrictEqual({ version: 3, slide: 60, expiresAt: 12 * minute });
  });
  it('stays at an explicit ttl, counted from its record', () => {
    expect(after([0, { slide: 60 }], [1, { ttl: 120 }])).toStrictEqual({ version: 2, expiresAt: 3 * minute });
    expect(after([0, { slide: 60 }], [1, { ttl: 120 }], [2])).toStrictEqual({ version: 3, expiresAt: 3 * minute });
  });
  it('stays at an explicit time, whenever it was recorded', () => {
    expect(after([0, { until: 7 * minute }])).toStrictEqual({ version: 1, expiresAt: 7 * minute });
    expect(after([0, { until: 7 * minute }], [3])).toStrictEqual({ version: 2, expiresAt: 7 * minute });
  });
  it('takes the next explicit lifetime instead, earlier or later', () => {
    expect(after([0, { ttl: 600 }], [1, { ttl: 60 }]).expiresAt).toBe(2 * minute);
    expect(after([0, { ttl: 60 }], [1, { until: 9 * minute }]).expiresAt).toBe(9 * minute);
    expect(after([0, { until: 9 * minute }], [1, { ttl: 60 }], [1.5]).expiresAt).toBe(2 * minute);
  });
  it('slides again after a sliding lifetime', () =>
    expect(after([0, { ttl: 600 }], [1, { slide: 120 }], [2])).toStrictEqual({
      version: 3,
      slide: 120,
      expiresAt: 4 * minute,
    }));
  it('takes a new slide', () =>
    expect(after([0, { slide: 600 }], [1, { slide: 60 }], [1.5])).toMatchObject({
      slide: 60,
      expiresAt: 2.5 * minute,
    }));
  it('is not changed in place', () => {
    const head = Object.freeze(after([0, { slide: 60 }]));
    advance(head, { version: 2, recordedAt: minute });
    expect(head).toStrictEqual({ version: 1, slide: 60, expiresAt: minute });
  });
});

describe('the header of a lifetime', () => {
  it.each<[Lifetime, string]>([
    [{ slide: 157_680_000 }, 'slide=157680000'],
    [{ ttl: 1 }, 'ttl=1'],
    [{ until: 1_893_456_000_000 }, 'until=1893456000000'],
    [{ until: 0 }, 'until=0'],
  ])('of %j is %s and is read back', (lifetime, text) => {
    expect(formatLifetime(lifetime)).toBe(text);
    expect(parseLifetime(text)).toStrictEqual(lifetime);
  });
  it.each([
    '',
    'ttl',
    'ttl=',
    'ttl=-1',
    'ttl=1.5',
    'ttl=1e3',
    ' ttl=1',
    'ttl=1\n',
    'TTL=1',
    'for=1',
    'ttl=1234567890123456',
  ])('is not %j', (text) => expect(parseLifetime(text)).toBeUndefined());
  it.each<Lifetime>([{ ttl: 1.5 }, { ttl: -1 }, { until: NaN }, { slide: Infinity }, { until: 1e21 }])(
    'is not written for %j, which could not be read back',
    (lifetime) => expect(() => formatLifetime(lifetime)).toThrow(RangeError),
  );
});
