import { parseStreamKey, streamKey } from './envelope.js';

describe('the key of a stream', () => {
  it('is tenant and id', () => expect(streamKey({ tenant: '1', stream: '3-0195510a' })).toBe('1/3-0195510a'));

  const ids = [
    'plain',
    'a/b',
    'a%2Fb',
    '/',
    '%',
    ' ',
    'é',
    'e\u0301',
    '🙂',
    '"',
    '\n',
    '\u0000',
    '__proto__',
    '..',
    'a+b',
    '',
  ];
  it.each(ids)('is read back for %j', (id) => {
    for (const place of [
      { tenant: id, stream: 'x' },
      { tenant: '1', stream: id },
      { tenant: id, stream: id },
    ]) {
      expect(parseStreamKey(streamKey(place))).toStrictEqual(place);
    }
  });
  it('tells every two streams apart', () => {
    const keys = ids.flatMap((tenant) => ids.map((stream) => streamKey({ tenant, stream })));
    expect(new Set(keys).size).toBe(ids.length ** 2);
  });
  it.each(['', 'x', 'a/b/c', '%/x', '%zz/x', 'a b/c', '1/%2f', '1/%61', 'é/x', '%C3/x'])('is not %j', (key) =>
    expect(parseStreamKey(key)).toBeUndefined(),
  );
});
