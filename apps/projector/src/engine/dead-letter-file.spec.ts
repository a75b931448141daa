import { appendFile, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Foreign } from '#event-log';
import { DeadLetterFile } from './dead-letter-file.js';

const foreign = (offset: number): Foreign => ({
  kind: 'foreign',
  partition: 0,
  offset,
  recordedAt: 0,
  reason: 'no key',
});

let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'dead-letters-'));
});

afterEach(async () => {
  await rm(directory, { recursive: true });
});

async function add(record: Foreign): Promise<void> {
  const letters = await DeadLetterFile.open(directory);
  await letters.add(record, 'nobody wrote it');
  await letters.close();
}

const lines = async (): Promise<readonly string[]> =>
  (await readFile(join(directory, 'dead-letters.ndjson'), 'utf8')).split('\n').filter((line) => line !== '');

it('keeps each record with the reason on a line of its own', async () => {
  await add(foreign(1));
  await add(foreign(2));
  expect((await lines()).map((line) => JSON.parse(line) as unknown)).toMatchObject([
    { reason: 'nobody wrote it', record: foreign(1) },
    { reason: 'nobody wrote it', record: foreign(2) },
  ]);
});

it('is readable after a crash in the middle of a line', async () => {
  await add(foreign(1));
  await appendFile(join(directory, 'dead-letters.ndjson'), '\n{"reason":"cut o');
  await add(foreign(2));
  const [first, , last] = await lines();
  expect([first, last].map((line) => (JSON.parse(line!) as { record: unknown }).record)).toEqual([
    foreign(1),
    foreign(2),
  ]);
});
