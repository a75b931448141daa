import { Readable } from 'node:stream';
import { jsonArray } from './json-array.js';

const long = 'x'.repeat(10_000);

async function* numbered(
  count: number,
  fail?: number,
  closed?: () => void,
): AsyncGenerator<{ n: number; long: string }> {
  try {
    for (let n = 0; n < count; n++) {
      if (n === fail) throw new Error('the store went away');
      yield { n, long };
    }
  } finally {
    closed?.();
  }
}

const read = async (stream: Readable): Promise<string> => {
  let text = '';
  for await (const chunk of stream) text += String(chunk);
  return text;
};

it('is a text when it is short', async () => {
  expect(await jsonArray(numbered(0))).toBe('[]');
  expect(JSON.parse((await jsonArray(numbered(3))) as string)).toHaveLength(3);
});

it('is a stream when it is long', async () => {
  const stream = await jsonArray(numbered(100));
  if (typeof stream === 'string') throw new Error('the list was held as a whole');
  expect((JSON.parse(await read(stream)) as { n: number }[]).map(({ n }) => n)).toEqual(
    Array.from({ length: 100 }, (_, n) => n),
  );
});

it('fails before its first byte when the first chunk fails', async () => {
  await expect(jsonArray(numbered(3, 2))).rejects.toThrow('the store went away');
});

it('breaks off when a later chunk fails', async () => {
  const stream = await jsonArray(numbered(100, 90));
  await expect(read(stream as Readable)).rejects.toThrow('the store went away');
});

it('stops reading its source when nobody reads it any more', async () => {
  const closed = new Promise<string>((resolve) => {
    void jsonArray(numbered(1_000, undefined, () => resolve('closed'))).then((stream) =>
      (stream as Readable).destroy(),
    );
  });
  expect(await closed).toBe('closed');
});
