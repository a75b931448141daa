// The server that is fuzzed: a process of its own on the embedded engine, in a temporary folder.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { root } from '../scripts/prepare.mjs';

const READY_WITHIN_MS = 60_000;
const ENDED_WITHIN_MS = 25_000;
const BETWEEN_LOOKS_MS = 50;
/** A leak meets this wall, not the machine's. */
const HEAP_MIB = 256;
const KNOWN_STREAMS_MIB = 16;
const KB_PER_MIB = 1024;
const CONVERSATIONS = 120;
const AT_ONCE = 10;

/**
 * What requests can refer to, so that not all of them end at 'not found'.
 * @typedef {object} Known
 * @property {Record<string, string>[]} conversations each with its ids, by the names of parameters
 * @property {Record<string, (string | number)[]>} values of mapped fields
 * @property {string} later a time in the future
 * @property {string} position that an answer has carried
 */

export class Server {
  /** What must not be in the log of a server that has only met bad requests. @type {string[]} */
  complaints = [];
  origin = '';
  position = '';

  /** @param {import('node:child_process').ChildProcess} child */
  constructor(child) {
    this.child = child;
    this.output = '';
    let line = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on('data', (chunk) => {
        const lines = (line + chunk).split('\n');
        line = lines.pop() ?? '';
        for (const one of lines) this.read(one);
      });
    }
  }

  /** @param {string} line */
  read(line) {
    this.output = (this.output + line + '\n').slice(-20_000);
    this.origin ||= /answers at (http:\/\/[^/\s]+)/.exec(line)?.[1] ?? '';
    if (/"level":"(error|fatal)"/.test(line)) this.complaints.push(line);
  }

  get base() {
    return `${this.origin}/genesys/1/cs`;
  }

  get port() {
    return Number(new URL(this.origin).port);
  }

  get isAlive() {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  /** Memory that the process holds, in MiB. */
  get residentMib() {
    const said = execFileSync('ps', ['-o', 'rss=', '-p', String(this.child.pid)], { encoding: 'utf8' });
    return Math.round(Number(said) / KB_PER_MIB);
  }

  async isReady() {
    return fetch(`${this.origin}/health/ready`, { signal: AbortSignal.timeout(5_000) }).then(
      ({ ok }) => ok,
      () => false,
    );
  }

  /** @param {string} route @param {object} [body] @param {string} [method] @returns {Promise<any>} */
  async call(route, body, method = body ? 'POST' : 'GET') {
    const answer = await fetch(`${this.base}/${route}`, { method, ...(body && { body: JSON.stringify(body) }) });
    this.position = answer.headers.get('X-CS-Position') ?? this.position;
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${route}: ${answer.status} ${text}`);
    return text === '' ? undefined : JSON.parse(text);
  }

  /** @param {'production' | 'maintenance'} mode */
  async switchTo(mode) {
    await this.call('server/mode', { mode });
  }

  /** Ends it as an operator would. Returns its exit code, or the signal that was needed. */
  async stop() {
    if (!this.isAlive) return this.child.exitCode ?? this.child.signalCode;
    const ended = once(this.child, 'close');
    this.child.kill('SIGTERM');
    const overdue = setTimeout(() => this.child.kill('SIGKILL'), ENDED_WITHIN_MS);
    const [code, signal] = await ended;
    clearTimeout(overdue);
    return code ?? signal;
  }
}

/** Fields of the example's metadata are mapped, so that their values are fuzzed too. @param {string} folder */
export async function startServer(folder) {
  const inherited = Object.entries(process.env).filter(([name]) => !/^(CS_|NODE_OPTIONS)/.test(name));
  const child = spawn(
    process.execPath,
    [`--max-old-space-size=${HEAP_MIB}`, path.join(root, 'dist/apps/api/src/main.js')],
    {
      env: {
        ...Object.fromEntries(inherited),
        CS_DATA_DIR: path.join(folder, 'data'),
        CS_HTTP_PORT: '0',
        CS_PROJECTOR_INSIDE: 'true',
        CS_METADATA_FILE: path.join(root, 'examples/metadata.json'),
        CS_KNOWN_STREAMS_MIB: String(KNOWN_STREAMS_MIB),
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  const server = new Server(child);
  const deadline = Date.now() + READY_WITHIN_MS;
  while (server.origin === '' || !(await server.isReady())) {
    if (!server.isAlive || Date.now() > deadline) {
      child.kill('SIGKILL');
      throw new Error(`the server did not start: ${server.output}`);
    }
    await sleep(BETWEEN_LOOKS_MS);
  }
  return server;
}

/** Conversations with states and tasks. @param {Server} server @returns {Promise<Known>} */
export async function converse(server) {
  /** @type {Known['conversations']} */
  const conversations = [];
  let next = 0;
  const talk = async () => {
    while (next < CONVERSATIONS) {
      const contact_key = `contact-${next++}`;
      const customer_id = `customer-${contact_key}`;
      const { service_id } = await server.call('services/start', {
        contact_key,
        service_type: 'Support',
        Notes: ['a'],
      });
      const { state_id } = await server.call(`services/${service_id}/states/start`, { state_type: 'Paying', Fee: {} });
      const { task_id } = await server.call(`services/${service_id}/tasks/start`, { task_type: 5, state_id, Why: 1 });
      const ids = { service_id, state_id, task_id, previous_state_id: state_id, customer_id, contact_key };
      conversations.push({ ...ids, ext_name: 'Notes' });
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, talk));
  return {
    conversations,
    values: {
      service_type: ['General', 'Support'],
      state_type: ['Browsing', 'Paying'],
      media_type: ['voice', 1006, 'E-Mail'],
      disposition: ['sold', 'gave up'],
    },
    later: '2400-01-01T00:00:00Z',
    position: server.position,
  };
}
