import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { StreamRow } from '../read-model.js';
import { describeReadModel } from '../testing/read-model.contract.js';
import { EmbeddedReadModel } from './embedded-read-model.js';
import { openDatabase } from './sqlite.js';
import { statements } from './statements.js';

const directories: string[] = [];

async function newDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'cs-read-model-'));
  directories.push(directory);
  return directory;
}

afterAll(() => Promise.all(directories.map((directory) => rm(directory, { recursive: true, force: true }))));

const underTest = newDirectory();
describeReadModel('EmbeddedReadModel', {
  open: async () => EmbeddedReadModel.open({ directory: await underTest }),
  openReader: async () => EmbeddedReadModel.open({ directory: await underTest, readOnly: true }),
});

const row: StreamRow = {
  tenant: '1',
  stream: 's1',
  head: { version: 1 },
  offset: 0,
  aggregate: { kind: 'service', service: { status: 'gone' } },
};

describe('opening the embedded read model', () => {
  it('is refused while another writer has it, and free at once after that', async () => {
    const directory = await newDirectory();
    const first = await EmbeddedReadModel.open({ directory });
    await expect(EmbeddedReadModel.open({ directory })).rejects.toMatchObject({ code: 'refused-start' });
    await first.close();
    const second = await EmbeddedReadModel.open({ directory });
    await second.close();
  });

  it('waits, as a reader, until the projector has created it', async () => {
    const directory = await newDirectory();
    const opening = EmbeddedReadModel.open({ directory, readOnly: true });
    const writer = await EmbeddedReadModel.open({ directory });
    const reader = await opening;
    await writer.save(row, { insert: [], remove: [] });
    expect(await reader.find(row)).toEqual(row);
    await Promise.all([reader.close(), writer.close()]);
  });

  it('ends as unavailable when a reader waited in vain', async () => {
    const opening = EmbeddedReadModel.open({ directory: await newDirectory(), readOnly: true, patienceMs: 0 });
    await expect(opening).rejects.toMatchObject({ code: 'store-unavailable' });
  });

  it('is refused for a file that a newer program wrote', async () => {
    const directory = await newDirectory();
    const database = await openDatabase(join(directory, 'views.db'));
    database.exec('pragma user_version = 99');
    database.close();
    await expect(EmbeddedReadModel.open({ directory })).rejects.toMatchObject({ code: 'refused-start' });
    await expect(EmbeddedReadModel.open({ directory, readOnly: true })).rejects.toMatchObject({
      code: 'refused-start',
    });
  });

  it('is refused for a file that is no database, and the message says what helps', async () => {
    const directory = await newDirectory();
    await writeFile(join(directory, 'views.db'), 'these are not the views you are looking for'.repeat(100));
    await expect(EmbeddedReadModel.open({ directory })).rejects.toMatchObject({
      code: 'refused-start',
      message: expect.stringContaining('delete it') as string,
    });
  });
});

describe('the embedded read model', () => {
  it('answers as unavailable once it is closed', async () => {
    const model = await EmbeddedReadModel.open({ directory: await newDirectory() });
    await model.close();
    await model.close();
    await expect(model.find(row)).rejects.toMatchObject({ code: 'store-unavailable' });
    await expect(model.save(row, { insert: [], remove: [] })).rejects.toMatchObject({ code: 'store-unavailable' });
  });

  it('confirms, on closing, what was asked for before', async () => {
    const directory = await newDirectory();
    const model = await EmbeddedReadModel.open({ directory });
    const saving = model.save(row, { insert: [], remove: [] });
    await model.close();
    await saving;
    const again = await EmbeddedReadModel.open({ directory });
    expect(await again.find(row)).toEqual(row);
    await again.close();
  });

  it.each(['listOldestFirst', 'listNewestFirst'] as const)(
    'reads no entry outside of the range and sorts none: %s',
    async (name) => {
      const directory = await newDirectory();
      const model = await EmbeddedReadModel.open({ directory });
      const database = await openDatabase(join(directory, 'views.db'), { readOnly: true });
      const plan = database.prepare(`explain query plan ${statements[name]}`).all() as readonly { detail: string }[];
      database.close();
      await model.close();
      const details = plan.map(({ detail }) => detail).join('\n');
      expect(details).toContain(
        'SEARCH list_entries USING PRIMARY KEY (tenant=? AND owner_kind=? AND owner=? AND status=? AND (started,recorded,service_id)>(?,?,?) AND (started,recorded,service_id)<(?,?,?))',
      );
      expect(details).not.toContain('TEMP B-TREE');
    },
  );
});
