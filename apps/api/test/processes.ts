import { spawn, type ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const root = path.resolve(import.meta.dirname, '../../..');
const readyWithinMs = 60_000;
const pollMs = 25;

/** A place of its own for one suite: a data folder, or topics and a keyspace that nobody else has used. */
export interface Place {
  readonly engine: 'embedded' | 'distributed';
  readonly directory: string;
  readonly topicPrefix: string;
  readonly partitions: number;
  readonly env: Readonly<Record<string, string>>;
}

export function newPlace(engine: Place['engine']): Place {
  const name = randomUUID().slice(0, 8);
  const directory = mkdtempSync(path.join(tmpdir(), 'context-services-e2e-'));
  const partitions = 4;
  const topicPrefix = `e2e-${name}`;
  return {
    engine,
    directory,
    topicPrefix,
    partitions,
    env: {
      CS_ENGINE: engine,
      CS_DATA_DIR: directory,
      CS_PARTITIONS: String(partitions),
      // A machine that runs everything at once is slow, not wrong.
      CS_ROW_PATIENCE_MS: '15000',
      CS_APPEND_TIMEOUT_MS: '15000',
      CS_BARRIER_TIMEOUT_MS: '15000',
      CS_TOPIC_PREFIX: topicPrefix,
      CS_CASSANDRA_KEYSPACE: `e2e_${name}`,
      ...(engine === 'distributed' && {
        CS_KAFKA_BROKERS: process.env.CS_TEST_KAFKA!,
        CS_CASSANDRA_CONTACT_POINTS: process.env.CS_TEST_CASSANDRA!,
      }),
    },
  };
}

/** Removes the folder; topics and keyspaces go with the throw-away brokers. */
export const leave = ({ directory }: Place): void => rmSync(directory, { recursive: true, force: true });

/** Runs the suite where the engine can run. Without brokers the distributed one is skipped, loudly; in CI it fails. */
export function describeOn(engine: Place['engine'], name: string, suite: () => void): void {
  const missing = engine === 'distributed' && !(process.env.CS_TEST_KAFKA && process.env.CS_TEST_CASSANDRA);
  if (!missing) return describe(`${name}, ${engine}`, suite);
  if (process.env.CI === 'true') {
    return describe(name, () => {
      it('finds real Kafka and Cassandra', () => {
        throw new Error('CS_TEST_KAFKA and CS_TEST_CASSANDRA are not set');
      });
    });
  }
  process.stderr.write(`\n!!! SKIPPED, ${name}: real Kafka and Cassandra are started by npm test\n`);
  describe.skip(name, suite);
}

export class Program {
  output = '';

  private constructor(
    readonly name: 'api' | 'projector',
    readonly child: ChildProcess,
    /** Address of its HTTP server. */
    readonly origin: string,
  ) {
    for (const stream of [child.stdout!, child.stderr!])
      stream.on('data', (chunk: Buffer) => (this.output += chunk.toString()));
  }

  /** Starts `dist/apps/<name>/src/main.js`; does not wait until it is ready. */
  static async start(
    name: Program['name'],
    place: Place,
    env: Readonly<Record<string, string>> = {},
  ): Promise<Program> {
    const port = await freePort();
    const child = spawn(process.execPath, [path.join(root, `dist/apps/${name}/src/main.js`)], {
      cwd: place.directory,
      env: { PATH: process.env.PATH, ...place.env, CS_HTTP_PORT: String(port), ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    return new Program(name, child, `http://127.0.0.1:${port}`);
  }

  async ready(): Promise<this> {
    const isReady = async (): Promise<boolean> => {
      if (this.child.exitCode !== null || this.child.signalCode !== null) throw new Error(`${this.name} ended`);
      try {
        return (await fetch(`${this.origin}/health/ready`)).status === 200;
      } catch {
        return false;
      }
    };
    await until(`${this.name} is ready`, isReady).catch((cause: unknown) => {
      throw new Error(`${this.name} did not become ready:\n${this.output}`, { cause });
    });
    return this;
  }

  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  /** Sends the signal and waits for the end. */
  async end(signal: NodeJS.Signals = 'SIGKILL'): Promise<number | null> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return this.child.exitCode;
    const ended = once(this.child, 'exit');
    this.child.kill(signal);
    if (signal === 'SIGKILL') this.child.kill('SIGCONT');
    await ended;
    return this.child.exitCode;
  }
}

/** What tests look at in an answer. */
export interface AnsweredBody {
  readonly service_id: string;
  readonly state_id: string;
  readonly task_id: string;
  readonly message: string;
  readonly exception: string;
  readonly services: readonly Readonly<Record<string, unknown>>[];
}

export interface Answered {
  readonly status: number;
  readonly body: AnsweredBody;
  readonly headers: Headers;
}

/** A request to the contract's routes of one api process. */
export async function call(
  api: Pick<Program, 'origin'>,
  method: string,
  route: string,
  body?: unknown,
  headers: Readonly<Record<string, string>> = {},
): Promise<Answered> {
  const response = await fetch(`${api.origin}/genesys/1/cs/${route}`, {
    method,
    headers: { ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, body: text === '' ? undefined : JSON.parse(text), headers: response.headers };
}

/** Waits for a condition, never for a time; fails when it does not come true. */
export async function until(
  what: string,
  condition: () => Promise<boolean> | boolean,
  withinMs = readyWithinMs,
): Promise<void> {
  const deadline = Date.now() + withinMs;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`not within ${withinMs} ms: ${what}`);
    await sleep(pollMs);
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}
