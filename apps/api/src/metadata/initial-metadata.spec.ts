import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { decideMetadata, noMetadata } from '#domain';
import type { MetadataInitialized } from '#events';
import { initialMetadata } from './initial-metadata.js';

const folder = mkdtempSync(join(tmpdir(), 'cs-metadata-'));
const file = join(folder, 'metadata.json');
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const readFrom = (content: string | Buffer) => {
  writeFileSync(file, content);
  return initialMetadata({ metadataFile: file });
};
const recordOf = (command: ReturnType<typeof initialMetadata>) =>
  decideMetadata(command, noMetadata).event?.data as MetadataInitialized['data'];

it('is the default of a fresh installation without a file', () => {
  const { business_attributes, profile_extensions, identification_keys } = recordOf(
    initialMetadata({ metadataFile: '' }),
  );
  expect(business_attributes.map(({ name }) => name)).toEqual(['ContactAttributes']);
  expect([profile_extensions, identification_keys]).toEqual([[], []]);
});

it('is what the example says, and the core attributes that it does not', () => {
  const example = fileURLToPath(new URL('../../../../examples/metadata.json', import.meta.url));
  const { business_attributes, profile_extensions, identification_keys } = recordOf(
    initialMetadata({ metadataFile: example }),
  );
  expect(business_attributes.map(({ name }) => name)).toEqual([
    'ServiceType',
    'StateType',
    'MediaType',
    'DispositionCode',
    'ContactAttributes',
  ]);
  expect(business_attributes[0]?.values.map(({ expiration }) => expiration)).toEqual([undefined, '1y', '6M']);
  expect(profile_extensions.map(({ name, unique }) => [name, unique])).toEqual([['Phone', ['PhoneNumber', 'prefix']]]);
  expect(identification_keys.map(({ name, source }) => [name, source])).toEqual([
    ['ByMail', 'profile'],
    ['ByName', 'profile'],
    ['ByPhone', 'Phone'],
  ]);
});

it.each(['{}', '', '{"business_attributes":[],"profile_extensions":[]}', '\ufeff{}'])(
  'may leave parts out: %j',
  (content) => expect(recordOf(readFrom(content)).business_attributes).toHaveLength(1),
);

it.each([
  ['{', 'the file is not JSON'],
  ['[]', 'the file must be a JSON object'],
  [Buffer.from([0x7b, 0xff, 0x7d]), 'the file is not valid UTF-8'],
  ['{"keys":[]}', 'keys is not known here and would be lost'],
  ['{"business_attributes":[{"values":[]}]}', 'business_attributes[0].name is missing'],
  [
    '{"business_attributes":[{"name":"A","values":[{"name":"a"},{"dbid":5}]}]}',
    'business_attributes[0].values[1].name is missing',
  ],
  ['{"business_attributes":[{"name":"A"},{"name":"A"}]}', "There is more than one business attribute named 'A'"],
  [
    '{"profile_extensions":[{"name":"E","type":"classifier"}]}',
    'profile_extensions[0].type must be one of single-valued',
  ],
  ['{"profile_extensions":[{"name":"dob","type":"single-valued"}]}', 'DOB is a core attribute of profiles'],
  ['{"identification_keys":[{"name":"K","attributes":["Nope"]}]}', "There is no attribute named 'Nope' in the profile"],
])('is refused in one line that names option and file: %s', (content, message) => {
  const refused = () => readFrom(content);
  expect(refused).toThrow(`CS_METADATA_FILE=${file}: ${message}`);
  expect(refused).toThrow(expect.objectContaining({ code: 'bad-options', message: expect.not.stringContaining('\n') }));
});

it.each([
  [join(folder, 'nowhere.json'), 'ENOENT'],
  [folder, 'EISDIR'],
])('is refused when it cannot be read: %s', (metadataFile, code) =>
  expect(() => initialMetadata({ metadataFile })).toThrow(
    `CS_METADATA_FILE=${metadataFile}: must be a file that can be read (${code})`,
  ),
);
