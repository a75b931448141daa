// Requests that no client library would send, over sockets: what is answered must still be an answer of this server.
import net from 'node:net';

const ANSWERED_WITHIN_MS = 15_000;
const AT_ONCE = 8;
/** Connections that are left open in the middle of a request. */
const MOST_HALF_OPEN = 64;
const MOST_VIOLATIONS = 20;
const LARGEST_BODY = 1024 * 1024;
/** Seldom: each of them is a megabyte. */
const HUGE_ONE_OF = 60;

/** A random choice from a seed (xorshift32). */
class Random {
  /** @param {number} seed */
  constructor(seed) {
    this.state = seed >>> 0 || 1;
  }

  /** At least 0, less than `limit`. @param {number} limit */
  below(limit) {
    this.state ^= this.state << 13;
    this.state ^= this.state >>> 17;
    this.state ^= this.state << 5;
    return Math.floor(((this.state >>> 0) / 2 ** 32) * limit);
  }

  /** @template T @param {readonly T[]} items @returns {T} */
  pick(items) {
    return /** @type {T} */ (items[this.below(items.length)]);
  }

  /** @param {number} length */
  bytes(length) {
    return Buffer.from(Array.from({ length }, () => this.below(256)));
  }
}

const NAMES = [
  '__proto__',
  'constructor',
  'toString',
  '..',
  '.',
  '%2F',
  'a/b',
  'a%b',
  '\u0000',
  '\r\nX-Injected: 1',
  'Zoë 😀',
  '\u202E',
  "'; DROP TABLE services; --",
  '${7*7}',
  '-1',
  '0',
  '999-01a20331-0cc3-7d80-a7a3-3608ce75ce5b',
  'x'.repeat(1025),
  'ü'.repeat(600),
  '*',
  ' ',
];
/** Not UTF-8, not hexadecimal, cut off: 400 (contract 0.3, 30). */
const BAD_ENCODINGS = ['%', '%2', '%zz', '%FF', '%C3', '%ED%A0%80', '%C0%AF'];
const VALUES = [
  null,
  true,
  0,
  -1,
  1e308,
  '',
  'text',
  '\ud800',
  [],
  {},
  [[[]]],
  { '': '' },
  '2020-02-30T25:61:00Z',
  'x'.repeat(5000),
  JSON.parse('{"__proto__":{"polluted":true},"constructor":{"prototype":1}}'),
];
const BODIES = [
  '',
  '{',
  '}',
  'null',
  '42',
  '"x"',
  '[]',
  '{"a":1,}',
  '{"ttl":1e400}',
  '{"ttl":12345678901234567890}',
  '{"customer_id":"a","customer_id":"b"}',
  '\ufeff{}',
  '{"a":"\\ud800"}',
  '['.repeat(5000),
  `${'['.repeat(300)}${']'.repeat(300)}`,
  `{"a":${'9'.repeat(2000)}}`,
];
const FIELDS = [
  'service_id',
  'customer_id',
  'contact_key',
  'service_type',
  'timestamp',
  'ttl',
  'est_duration',
  'from',
  'to',
];
const METHODS = [
  'PATCH',
  'TRACE',
  'QUERY',
  'PROPFIND',
  'M-SEARCH',
  'LOCK',
  'get',
  'FOO',
  'G ET',
  'CONNECT',
  'PRI',
  '\u0000',
];
const HEADERS = [
  'X-CS-Position: s0:99999999999999',
  'X-CS-Position: garbage',
  'X-CS-Position: c:0, s0:0',
  'Idempotency-Key: k',
  `Idempotency-Key: ${'k'.repeat(300)}`,
  'Content-Type: text/plain',
  'Content-Type: multipart/form-data; boundary=x',
  'Content-Type: application/json; charset=utf-16',
  'Content-Type: ;;;',
  'Content-Encoding: gzip',
  'ContactCenterId: 2',
  'Accept: application/problem+json',
  'Accept: \u00ff\u00fe',
  'Expect: 100-continue',
  'Expect: everything',
  'Upgrade: websocket\r\nConnection: upgrade',
  'Connection: close, keep-alive',
  'X-Correlation-Id: \u00e9',
  'Host: other',
  'Transfer-Encoding: gzip, chunked',
  'Content-Length: -1',
  'Content-Length: 99999999999999999999',
  ': nameless',
  'No colon',
  ' folded',
  'Range: bytes=0-1',
  'If-None-Match: *',
  `X-Long: ${'x'.repeat(20_000)}`,
  Array.from({ length: 300 }, (_, n) => `X-Many-${n}: ${n}`).join('\r\n'),
];
/** Said of a request that does not reach its operation. */
const TRANSPORT = new Set([400, 404, 405, 408, 413, 414, 415, 417, 431]);

/**
 * @typedef {{ status: number, headers: Record<string, string>, body: string }} Answer
 * @typedef {{ method: string, path: string, template: string, statuses: Set<number> }} Operation
 * @typedef {{ port: number, random: Random, known: import('./server.mjs').Known, operations: Operation[], dangling: net.Socket[] }} World
 * @typedef {object} Exchange what is sent, and what may come back
 * @property {string} kind
 * @property {(string | Buffer)[]} pieces
 * @property {number} [answers] so many must come; without it none is due, but the connection must end
 * @property {string[]} [correlated] ids that the answers must carry, in this order
 * @property {(answer: Answer) => boolean} [allows]
 * @property {boolean} [head] answers have no body, whatever their length says
 */

/** Answers in the bytes that came so far. Throws for what is no HTTP. @returns {Answer[]} */
export function answersIn(/** @type {Buffer} */ bytes, /** @type {boolean} */ head = false) {
  /** @type {Answer[]} */
  const answers = [];
  let text = bytes.toString('latin1');
  while (text !== '') {
    const end = text.indexOf('\r\n\r\n');
    if (end === -1) break;
    const [first = '', ...lines] = text.slice(0, end).split('\r\n');
    const [, code] = /^HTTP\/1\.[01] (\d{3}) /.exec(first) ?? [];
    if (code === undefined) throw new Error(`no status line: ${JSON.stringify(first.slice(0, 200))}`);
    const headers = Object.fromEntries(
      lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]),
    );
    const status = Number(code);
    let rest = text.slice(end + 4);
    if (status === 100) {
      text = rest;
      continue;
    }
    let body = '';
    if (!head && headers['transfer-encoding'] === 'chunked') {
      for (;;) {
        const [whole, size] = /^([0-9a-f]+)\r\n/i.exec(rest) ?? [];
        if (whole === undefined) return answers;
        const length = Number.parseInt(size ?? '', 16);
        if (rest.length < whole.length + length + 2) return answers;
        body += rest.slice(whole.length, whole.length + length);
        rest = rest.slice(whole.length + length + 2);
        if (length === 0) break;
      }
    } else if (!head && status !== 204) {
      const length = Number(headers['content-length'] ?? 0);
      if (rest.length < length) break;
      body = rest.slice(0, length);
      rest = rest.slice(length);
    }
    answers.push({ status, headers, body: Buffer.from(body, 'latin1').toString('utf8') });
    text = rest;
  }
  return answers;
}

/** What is wrong with an answer, whatever was asked. */
export function wrongWith(/** @type {Answer} */ { status, headers, body }, /** @type {boolean} */ head = false) {
  if (status >= 500 && status !== 503) return `status ${status}`;
  if (status === 503 && !(Number(headers['retry-after']) >= 1)) return '503 without Retry-After';
  if (head || status < 400) return undefined;
  if (!/^application\/(problem\+)?json;charset=UTF-8$/.test(headers['content-type'] ?? '')) {
    return `an error of type '${headers['content-type']}'`;
  }
  try {
    const { message, exception } = JSON.parse(body);
    if (typeof message !== 'string' || !/\.exceptions\.\w+$/.test(exception)) return `an error that says ${body}`;
    if (message.includes('could not be answered')) return `nobody foresaw it: ${message}`;
  } catch {
    return `an error that is not JSON: ${body.slice(0, 200)}`;
  }
  return undefined;
}

/** Sends it and judges what comes. Returns the answers, and what is wrong with them. */
async function exchange(
  /** @type {World} */ { port },
  /** @type {Exchange} */ { pieces, answers: due, correlated, allows, head },
) {
  /** @type {Buffer[]} */
  const came = [];
  /** @type {Answer[]} */
  let answers = [];
  const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  const isLate = await new Promise((resolve) => {
    const overdue = setTimeout(() => resolve(true), ANSWERED_WITHIN_MS);
    const done = () => {
      clearTimeout(overdue);
      resolve(false);
    };
    socket.on('error', done);
    socket.on('close', done);
    socket.on('end', done);
    socket.on('data', (chunk) => {
      came.push(chunk);
      try {
        answers = answersIn(Buffer.concat(came), head);
      } catch {
        done(); // judged below
      }
      if (due !== undefined && answers.length >= due) done();
    });
    socket.once('connect', () => {
      for (const piece of pieces) socket.write(typeof piece === 'string' ? Buffer.from(piece, 'latin1') : piece);
      if (due === undefined) socket.end();
    });
  });
  socket.destroy();
  try {
    answers = answersIn(Buffer.concat(came), head);
  } catch (error) {
    return { answers, wrong: error.message };
  }
  if (isLate) return { answers, wrong: `neither answered nor closed within ${ANSWERED_WITHIN_MS} ms` };
  for (const [place, answer] of answers.entries()) {
    const wrong = wrongWith(answer, head);
    if (wrong !== undefined) return { answers, wrong };
    if (allows && !allows(answer))
      return { answers, wrong: `not documented: ${answer.status} ${answer.body.slice(0, 300)}` };
    const id = answer.headers['x-correlation-id'];
    if (correlated && id !== correlated[place]) return { answers, wrong: `answer ${place} belongs to '${id}'` };
  }
  if (due !== undefined && answers.length < due) return { answers, wrong: `${answers.length} answers of ${due}` };
  return { answers, wrong: undefined };
}

const encoded = (/** @type {string} */ name) =>
  encodeURIComponent(name).replace(/^\.+$/, (dots) => dots.replaceAll('.', '%2E'));

/** @param {World} world @param {Operation} operation */
function pathFor({ random, known }, { path }) {
  const conversation = random.pick(known.conversations);
  return path.replace(/\{(\w+)\}/g, (_, name) =>
    encoded(random.below(3) > 0 && name in conversation ? (conversation[name] ?? '') : random.pick(NAMES)),
  );
}

/** @param {World} world */
function bodyFor({ random, known }) {
  if (random.below(4) === 0) return Buffer.from(random.pick(BODIES));
  const conversation = random.pick(known.conversations);
  if (random.below(3) === 0) return Buffer.from(JSON.stringify({ customer_id: conversation.customer_id }));
  const fields = Array.from({ length: random.below(5) }, () => [
    random.below(3) === 0 ? random.pick(NAMES) : random.pick(FIELDS),
    random.below(3) === 0 ? conversation.customer_id : random.pick(VALUES),
  ]);
  const body = Buffer.from(JSON.stringify(Object.fromEntries(fields)));
  if (random.below(5) === 0 && body.length > 0) body[random.below(body.length)] = random.below(256);
  return body;
}

/** One request as bytes. @param {{ method: string, url: string, headers?: string[], body?: Buffer }} request */
const bytesOf = ({ method, url, headers = [], body = Buffer.alloc(0) }) =>
  Buffer.concat([
    Buffer.from(
      [
        `${method} ${url} HTTP/1.1`,
        'Host: fuzz',
        ...(body.length > 0 ? [`Content-Length: ${body.length}`] : []),
        ...headers,
      ]
        .join('\r\n')
        .concat('\r\n\r\n'),
      'latin1',
    ),
    body,
  ]);

/** @param {World} world @param {string[]} [headers] */
function request(world, headers = []) {
  const operation = world.random.pick(world.operations);
  const { method } = operation;
  const body = method === 'GET' ? undefined : bodyFor(world);
  return { operation, bytes: bytesOf({ method, url: pathFor(world, operation), headers, ...(body && { body }) }) };
}

/** @type {((world: World) => Exchange)[]} */
const KINDS = [
  // A request that can be read, with hostile names and any body.
  (world) => {
    const { operation, bytes } = request(world);
    const allows = (/** @type {Answer} */ { status }) => operation.statuses.has(status);
    return { kind: operation.template, pieces: [bytes], answers: 1, allows };
  },
  // Bad percent-encoding.
  (world) => {
    const { method, path } = world.random.pick(world.operations.filter(({ path }) => path.includes('{')));
    const url = path.replace(/\{\w+\}/g, () => world.random.pick(BAD_ENCODINGS));
    return {
      kind: `${method} ${url}`,
      pieces: [bytesOf({ method, url })],
      answers: 1,
      allows: ({ status }) => status === 400,
    };
  },
  // Odd headers, one to three.
  (world) => {
    const headers = Array.from({ length: 1 + world.random.below(3) }, () => world.random.pick(HEADERS));
    const { operation, bytes } = request(world, headers);
    const allows = (/** @type {Answer} */ { status }) => operation.statuses.has(status) || TRANSPORT.has(status);
    return { kind: `${operation.template} with ${headers.join(' | ').slice(0, 200)}`, pieces: [bytes], allows };
  },
  // Odd methods.
  (world) => {
    const method = world.random.pick(METHODS);
    const url = pathFor(world, world.random.pick(world.operations));
    return {
      kind: `${method} ${url}`,
      pieces: [bytesOf({ method, url })],
      allows: ({ status }) => TRANSPORT.has(status),
    };
  },
  // A request with some of its bytes changed, cut out or doubled.
  (world) => {
    const { random } = world;
    const { operation, bytes } = request(world);
    const parts = [bytes];
    for (let n = 1 + random.below(3); n > 0; n--) {
      const part = parts.pop() ?? bytes;
      const [from, to] = [random.below(part.length), random.below(part.length)].sort((a, b) => a - b);
      const changed = random.pick([
        random.bytes(random.below(8)),
        Buffer.alloc(0),
        Buffer.from('\r\n'),
        part.subarray(from, to),
      ]);
      parts.push(Buffer.concat([part.subarray(0, from), changed, part.subarray(random.pick([from, to]))]));
    }
    return { kind: `${operation.template} damaged`, pieces: parts };
  },
  // A request that ends too early.
  (world) => {
    const { operation, bytes } = request(world);
    return { kind: `${operation.template} cut off`, pieces: [bytes.subarray(0, world.random.below(bytes.length))] };
  },
  // No request at all.
  ({ random }) => ({ kind: 'noise', pieces: [random.bytes(1 + random.below(2_000))] }),
  // Many requests at once on one connection.
  (world) => {
    const correlated = Array.from(
      { length: 2 + world.random.below(10) },
      (_, n) => `${n}-${world.random.below(2 ** 31)}`,
    );
    const pieces = correlated.map((id) => request(world, [`X-Correlation-Id: ${id}`]).bytes);
    return { kind: 'pipelined', pieces: [Buffer.concat(pieces)], answers: pieces.length, correlated };
  },
  // Noise behind a request: no answer, or that of the request, never another one.
  (world) => {
    const id = String(world.random.below(2 ** 31));
    const { operation, bytes } = request(world, [`X-Correlation-Id: ${id}`]);
    const pieces = [Buffer.concat([bytes, Buffer.from('\u0000 noise\r\n\r\n', 'latin1')])];
    const allows = (/** @type {Answer} */ { status, headers }) =>
      operation.statuses.has(status) && headers['x-correlation-id'] === id;
    return { kind: `${operation.template}, then noise`, pieces, allows };
  },
  // Chunks, some of them wrong.
  (world) => {
    const { random } = world;
    const { method } = random.pick(world.operations.filter(({ method }) => method !== 'GET'));
    const url = pathFor(world, random.pick(world.operations.filter((one) => one.method === method)));
    const body = bodyFor(world);
    const size = random.pick([
      body.length.toString(16),
      'zz',
      '-1',
      'ffffffffffffffffff',
      `${body.length.toString(16)};ext=1`,
    ]);
    const chunked = Buffer.concat([
      Buffer.from(`${size}\r\n`),
      body,
      Buffer.from(`\r\n0\r\n${random.pick(['', 'Trailer: x\r\n'])}\r\n`),
    ]);
    const head = bytesOf({ method, url, headers: ['Transfer-Encoding: chunked'] });
    return { kind: `${method} ${url} in chunks of ${size}`, pieces: [head, chunked] };
  },
  // In pieces.
  (world) => {
    const { operation, bytes } = request(world);
    const at = world.random.below(bytes.length);
    const allows = (/** @type {Answer} */ { status }) => operation.statuses.has(status);
    return {
      kind: `${operation.template} in pieces`,
      pieces: [bytes.subarray(0, at), bytes.subarray(at)],
      answers: 1,
      allows,
    };
  },
  // Only the head of the answer.
  (world) => {
    const operation = world.random.pick(world.operations.filter(({ method }) => method === 'GET'));
    const pieces = [bytesOf({ method: 'HEAD', url: pathFor(world, operation), headers: ['Connection: close'] })];
    return {
      kind: `HEAD of ${operation.template}`,
      pieces,
      answers: 1,
      head: true,
      allows: ({ status }) => operation.statuses.has(status),
    };
  },
  // Larger than any body may be.
  (world) => {
    if (world.random.below(HUGE_ONE_OF) > 0) return KINDS[0](world);
    const body = Buffer.alloc(LARGEST_BODY + 1, world.random.pick(['[', 'x', '{"a":']));
    const { method, path } = world.random.pick(world.operations.filter((one) => one.statuses.has(413)));
    const url = path.replace(/\{\w+\}/g, 'x');
    return {
      kind: `${method} ${url} of ${body.length} bytes`,
      pieces: [bytesOf({ method, url, body })],
      allows: ({ status }) => status === 413,
    };
  },
];

/** Leaves a connection open in the middle of a request; the oldest one is cut when there are too many. */
function dangle(/** @type {World} */ world) {
  const { bytes } = request(world);
  const socket = net.connect({ port: world.port, host: '127.0.0.1' });
  socket.on('error', () => undefined);
  socket.write(bytes.subarray(0, Math.max(1, bytes.length - 1)));
  world.dangling.push(socket);
  if (world.dangling.length > MOST_HALF_OPEN) world.dangling.shift()?.destroy();
}

/**
 * Sends until the time is up. Returns how many answers came, by status, and what was wrong.
 * @param {{ server: import('./server.mjs').Server, known: import('./server.mjs').Known, document: any, seed: number, seconds: number }} about
 */
export async function fuzzBytes({ server, known, document, seed, seconds }) {
  /** @type {Operation[]} */
  const operations = Object.entries(document.paths).flatMap(([path, item]) =>
    Object.entries(item)
      .filter(() => path.startsWith('/genesys/') && !path.endsWith('/server/mode'))
      .map(([method, { responses }]) => {
        const statuses = new Set(Object.keys(responses).map(Number));
        return { method: method.toUpperCase(), path, template: `${method.toUpperCase()} ${path}`, statuses };
      }),
  );
  /** @type {Map<number, number>} */
  const statuses = new Map();
  /** @type {string[]} */
  const violations = [];
  let exchanges = 0;
  const until = Date.now() + seconds * 1000;
  /** @type {World} */
  const world = { port: server.port, random: new Random(seed), known, operations, dangling: [] };
  const send = async () => {
    while (Date.now() < until && violations.length < MOST_VIOLATIONS && server.isAlive) {
      if (world.random.below(40) === 0) dangle(world);
      const one = world.random.pick(KINDS)(world);
      const { answers, wrong } = await exchange(world, one);
      exchanges += 1;
      for (const { status } of answers) statuses.set(status, (statuses.get(status) ?? 0) + 1);
      if (wrong === undefined) continue;
      const sent = Buffer.concat(one.pieces.map((piece) => Buffer.from(piece))).toString('latin1');
      violations.push(`${one.kind}: ${wrong}; sent ${JSON.stringify(sent.slice(0, 1_000))}`);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, send));
  for (const socket of world.dangling) socket.destroy();
  return { exchanges, statuses: [...statuses].sort(([a], [b]) => a - b), violations };
}
