import { readdirSync, readFileSync } from 'node:fs';
import { OpenApi } from '../src/http/open-api.js';
import { RunningApi } from '../src/testing/running-api.js';

/*
 * One recorded conversation for each operation of the contract, sent over HTTP to a server of its own. In the files
 * `${name}` stands for an id that an answer before has brought, `<id>` for any id, `<text>` for any text, `<number>` for any number.
 */

type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };

interface Request {
  readonly method: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Json;
}

interface Answer {
  readonly status: number;
  /** null: the header must be missing. */
  readonly headers?: Readonly<Record<string, string | null>>;
  /** Missing: the body must be empty. */
  readonly body?: Json;
}

interface Conversation {
  readonly title: string;
  /** `save`: names for ids in the answer. */
  readonly given: readonly (Request & { readonly save?: Readonly<Record<string, string>> })[];
  readonly request: Request;
  readonly answer: Answer;
  readonly after?: readonly { readonly request: Request; readonly answer: Answer }[];
}

const folder = new URL('compatibility/', import.meta.url);
const conversations = readdirSync(folder).map((file) => {
  const conversation = JSON.parse(readFileSync(new URL(file, folder), 'utf8')) as Conversation;
  return { file, conversation };
});

const anyId = /\d+-[0-9a-f]{8}-[0-9a-f]{4}-[78][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}/g;

let api: RunningApi;
let base: string;
/** Lists must hold what this conversation brought and nothing else, so each has customers and keys of its own. */
let own = '';

beforeAll(async () => {
  api = await RunningApi.start();
  await api.api.app.listen(0, '127.0.0.1');
  base = `${await api.api.app.getUrl()}/genesys/1/cs/`;
}, 60_000);

afterAll(() => api.stop());

const fill = <T>(text: T, ids: ReadonlyMap<string, string>): T =>
  JSON.parse(JSON.stringify(text).replace(/\$\{(\w+)\}/g, (_, name: string) => ids.get(name) ?? `no ${name}`)) as T;

/** Customers and contact keys of the conversation become its own on the way in, and what they were on the way out. */
const renamed = (text: string): string =>
  text.replace(/(customers\/|anonymous\/|"customer_id":"|"contact_key":")/g, `$1${own}`);
const original = (text: string): string => text.replaceAll(own, '');

async function send({ method, path, headers, body }: Request): Promise<Response> {
  return fetch(base + renamed(path), {
    method,
    headers: { ...headers },
    ...(body !== undefined && { body: Buffer.from(renamed(JSON.stringify(body))) }),
  });
}

async function expectAnswer(request: Request, expected: Answer): Promise<void> {
  const answer = await send(request);
  const text = original(await answer.text());
  const seen = {
    request: `${request.method} ${request.path}`,
    status: answer.status,
    headers: Object.fromEntries(
      Object.keys(expected.headers ?? {}).map((name) => [
        name,
        masked(answer.headers.get(name), expected.headers?.[name]),
      ]),
    ),
    ...(text !== '' && { body: masked(JSON.parse(text) as Json, expected.body) }),
  };
  expect(seen).toEqual({ request: seen.request, headers: {}, ...expected });
  // The order of fields is part of what old callers have seen.
  if (expected.body !== undefined) expect(JSON.stringify(seen.body)).toBe(JSON.stringify(expected.body));
}

/** The value with `<id>` and `<text>` in the places where the expected one has them. */
function masked(value: Json, expected: Json | undefined): Json {
  if (typeof value === 'number' && expected === '<number>') return expected;
  if (typeof value === 'string' && typeof expected === 'string') {
    if (expected === '<text>') return expected;
    if (!expected.includes('<id>')) return value;
    const known = new Set(expected.match(anyId));
    return value.replace(anyId, (id) => (known.has(id) ? id : '<id>'));
  }
  if (Array.isArray(value))
    return value.map((item: Json, at) => masked(item, Array.isArray(expected) ? (expected[at] as Json) : undefined));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value as { [name: string]: Json }).map(([name, item]) => [
      name,
      masked(item, (expected as { [name: string]: Json } | undefined)?.[name]),
    ]),
  );
}

it('holds a conversation for every operation', () => {
  const operations = Object.values(api.api.app.get(OpenApi).document.paths).flatMap((item) =>
    Object.values(item as Record<string, { operationId: string }>).map(({ operationId }) => operationId),
  );
  const named = operations
    .filter((id) => !id.startsWith('Operations'))
    .map((id) => (id.split('_')[0] ?? '').replace(/(\d+)/, (n) => n.padStart(2, '0')))
    .sort();
  expect(conversations.map(({ file }) => file.split('-')[0] ?? '').sort()).toEqual(named);
  expect(named).toHaveLength(50);
});

it.each(
  conversations.map(({ file, conversation }) => [file.replace('.json', ''), conversation.title, conversation] as const),
)('%s: %s', async (file, _title, { given, request, answer, after = [] }) => {
  own = `${file}.`;
  const ids = new Map<string, string>();
  for (const { save = {}, ...step } of given) {
    const sent = await send(fill(step, ids));
    expect({ step: step.path, ok: sent.ok }).toEqual({ step: step.path, ok: true });
    const text = await sent.text();
    for (const [name, field] of Object.entries(save))
      ids.set(name, (JSON.parse(text) as Record<string, string>)[field] as string);
  }
  await expectAnswer(fill(request, ids), fill(answer, ids));
  for (const step of after) await expectAnswer(fill(step.request, ids), fill(step.answer, ids));
});
