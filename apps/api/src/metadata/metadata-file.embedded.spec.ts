import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { RunningApi } from '../testing/running-api.js';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'cs-metadata-file-'));
const metadataFile = join(folder, 'metadata.json');
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const write = (content: object) => writeFileSync(metadataFile, JSON.stringify(content));

it('is what a new installation begins with, and counts no more once there is metadata', async () => {
  write({
    business_attributes: [{ name: 'ServiceType', cv_attributes: ['Service.service_type'], values: [{ name: 'Loan' }] }],
    profile_extensions: [{ name: 'Phone', type: 'multi-valued', attributes: [{ name: 'n', type: 'string' }] }],
    identification_keys: [{ name: 'ByPhone', attributes: ['Phone.n'] }],
  });
  const api = await RunningApi.start({ metadataFile });
  const shown = async () => {
    const parts = ['business-attributes', 'profiles/extensions', 'identification-keys'];
    const answers = await Promise.all(parts.map((part) => api.request('GET', `metadata/${part}`)));
    return answers.map((answer) => answer.json<{ name: string }[]>());
  };
  try {
    const before = await shown();
    expect(before.map((part) => part.map(({ name }) => name))).toEqual([
      ['ContactAttributes', 'ServiceType'],
      ['Phone'],
      ['ByPhone'],
    ]);
    const started = await api.request('POST', 'services/start', {
      payload: '{"contact_key":"a","service_type":"Loan"}',
    });
    expect(started.statusCode).toBe(201);
    write({ business_attributes: [{ name: 'Other' }] });
    await api.restart();
    expect(await shown()).toEqual(before);
  } finally {
    await api.stop();
  }
});

it('refuses a start, with one line that says why, when it could not be used', () => {
  write({ identification_keys: [{ name: 'K', attributes: ['Nope'] }] });
  const environment = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('CS_')));
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ['--import', here('../../../../libs/event-log/src/testing/run-typescript.mjs'), here('../main.ts')],
    {
      env: { ...environment, CS_DATA_DIR: join(folder, 'data'), CS_HTTP_PORT: '0', CS_METADATA_FILE: metadataFile },
      encoding: 'utf8',
    },
  );
  expect({ status, stdout, stderr }).toEqual({
    status: 1,
    stdout: '',
    stderr: `CS_METADATA_FILE=${metadataFile}: There is no attribute named 'Nope' in the profile\n`,
  });
});
