import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as after } from 'node:timers/promises';
import { optionsHelp } from '#operations';
import { ApiOptions } from '../apps/api/src/api.options.js';

const ROOT = resolve(import.meta.dirname, '..');
const PATIENCE_MS = 60_000;
const BETWEEN_LOOKS_MS = 20;

/** A program that was started, and what it has said so far. */
class Started {
  output = '';
  private readonly ended: Promise<unknown[]>;

  constructor(readonly child: ChildProcess) {
    this.ended = once(child, 'close');
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on('data', (chunk: Buffer) => (this.output += chunk.toString()));
    }
  }

  async exitCode(): Promise<unknown> {
    const [code, signal] = await this.ended;
    return code ?? signal;
  }

  /** Where it answers, once it is ready. */
  async address(): Promise<string> {
    return until(async () => {
      if (this.child.exitCode !== null) throw new Error(`ended with ${this.child.exitCode}: ${this.output}`);
      const [, address] = /answers at (http:\/\/[^/\s]+)/.exec(this.output) ?? [];
      return address && (await isReady(address)) ? address : undefined;
    });
  }
}

async function until<T>(look: () => Promise<T | undefined>): Promise<T> {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const seen = await look();
    if (seen !== undefined) return seen;
    if (Date.now() > deadline) throw new Error('did not happen in time');
    await after(BETWEEN_LOOKS_MS);
  }
}

const isReady = (address: string) =>
  fetch(`${address}/health/ready`).then(
    ({ ok }) => ok,
    () => false,
  );

describe('npm start', () => {
  let folder: string;
  const running: ChildProcess[] = [];

  const start = (command: readonly string[], env: Readonly<Record<string, string>> = {}): Started => {
    const inherited = Object.entries(process.env).filter(([name]) => !/^(CS_|npm_|NODE_OPTIONS)/.test(name));
    const [program = '', ...args] = command;
    const child = spawn(program, args, {
      cwd: ROOT,
      env: { ...Object.fromEntries(inherited), CS_DATA_DIR: folder, CS_HTTP_PORT: '0', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    running.push(child);
    return new Started(child);
  };
  const script = [process.execPath, 'scripts/start.mjs'];

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'context-services-start-'));
  });
  afterEach(() => {
    for (const child of running.splice(0)) child.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  });

  it(
    'runs the server with its projector, stops when told to, and has everything when started again',
    async () => {
      const first = start(script);
      const services = `${await first.address()}/genesys/1/cs/services`;
      const started = await fetch(`${services}/start`, {
        method: 'POST',
        body: '{"customer_id":"c","service_type":"Booking"}',
      });
      expect(started.status).toBe(201);
      const { service_id: id } = (await started.json()) as { readonly service_id: string };
      first.child.kill('SIGTERM');
      expect(await first.exitCode()).toBe(0);
      expect(first.output).toContain(folder);

      const second = start(script);
      const found = await fetch(`${await second.address()}/genesys/1/cs/services/${id}`);
      expect(await found.json()).toMatchObject({ service_id: id, service_type: 'Booking' });
      second.child.kill('SIGINT');
      expect(await second.exitCode()).toBe(0);
    },
    2 * PATIENCE_MS,
  );

  it(
    'has every acknowledged body unchanged after kill -9 in the middle of conversations',
    async () => {
      const patient = { CS_ROW_PATIENCE_MS: '15000', CS_APPEND_TIMEOUT_MS: '15000' };
      const first = start(script, patient);
      const services = `${await first.address()}/genesys/1/cs/services`;
      const whole = 'active_states=true&active_tasks=true&extensions=*';
      /** Bodies by service, as they were read when nothing more was to be done with it. */
      const read = new Map<string, unknown>();
      /** What was acknowledged of every conversation, step by step. */
      const acknowledged = new Map<string, string[]>();
      const send = async (method: string, route: string, body: unknown): Promise<Readonly<Record<string, string>>> => {
        const answer = await fetch(`${services}/${route}`, { method, body: JSON.stringify(body) });
        const text = await answer.text();
        if (!answer.ok) throw new Error(`${method} ${route}: ${answer.status} ${text}`);
        return text === '' ? {} : (JSON.parse(text) as Record<string, string>);
      };
      const converse = async (): Promise<void> => {
        const { service_id: id = '' } = await send('POST', 'start', { customer_id: 'killed', service_type: 'Booking' });
        const steps = [id];
        acknowledged.set(id, steps);
        const { state_id: state = '' } = await send('POST', `${id}/states/start`, { state_type: 'Waiting' });
        steps.push(state);
        const { task_id: task = '' } = await send('POST', `${id}/tasks/start`, { task_type: 'Check' });
        steps.push(task);
        const note = `note of ${id}`;
        await send('PUT', `${id}/extensions/Notes`, { note });
        steps.push(note);
        const found = await fetch(`${services}/${id}?${whole}`);
        if (!found.ok) throw new Error(`GET ${id}: ${found.status} ${await found.text()}`);
        read.set(id, await found.json());
      };
      let isKilled = false;
      const failures: unknown[] = [];
      const callers = Array.from({ length: 4 }, async () => {
        while (!isKilled) {
          // A conversation that the end of the process cuts off is what this is about.
          await converse().catch((error: unknown) => isKilled || failures.push(error));
        }
      });
      await until(async () => (read.size >= 40 || failures.length > 0 ? true : undefined));
      isKilled = true;
      first.child.kill('SIGKILL');
      expect(await first.exitCode()).toBe('SIGKILL');
      await Promise.all(callers);
      expect(failures).toEqual([]);

      const again = `${await start(script, patient).address()}/genesys/1/cs/services`;
      for (const [id, steps] of acknowledged) {
        const found = await fetch(`${again}/${id}?${whole}`);
        expect(found.status).toBe(200);
        const body: unknown = await found.json();
        for (const step of steps) expect(JSON.stringify(body)).toContain(step);
        if (read.has(id)) expect(body).toEqual(read.get(id));
      }
    },
    2 * PATIENCE_MS,
  );

  it(
    'ends with npm, even when npm is killed',
    async () => {
      const npm = start(['npm', 'start']);
      const address = await npm.address();
      npm.child.kill('SIGKILL');
      const isGone = () =>
        fetch(`${address}/health/live`).then(
          () => undefined,
          () => true as const,
        );
      expect(await until(isGone)).toBe(true);
    },
    2 * PATIENCE_MS,
  );

  it(
    'says in one line that its port is in use',
    async () => {
      const first = start(script);
      const { port } = new URL(await first.address());
      const second = start(script, { CS_HTTP_PORT: port, CS_DATA_DIR: join(folder, 'other'), CS_LOG_LEVEL: 'silent' });
      expect(await second.exitCode()).toBe(1);
      expect(second.output.trim().split('\n')).toEqual([
        expect.stringMatching(`${port}: the port is in use.*CS_HTTP_PORT`),
      ]);
    },
    2 * PATIENCE_MS,
  );

  it(
    'says in one line which option is wrong',
    async () => {
      const wrong = start(script, { CS_ENGINE: 'steam' });
      expect(await wrong.exitCode()).toBe(1);
      expect(wrong.output).toBe('CS_ENGINE=steam: must be one of the following values: embedded, distributed\n');
    },
    PATIENCE_MS,
  );

  it(
    'says in one line that the version of Node is not supported',
    async () => {
      const older = "Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '18.20.4' } })";
      const [program = '', file = ''] = script;
      const old = start([program, '--import', `data:text/javascript,${older}`, file]);
      expect(await old.exitCode()).toBe(1);
      expect(old.output).toMatch(/^Node 18\.20\.4 is not supported: .*\n$/);
    },
    PATIENCE_MS,
  );

  it(
    'prints every option when asked for help, and starts nothing',
    async () => {
      const help = start([...script, '--help']);
      expect(await help.exitCode()).toBe(0);
      expect(help.output).toContain(optionsHelp(ApiOptions));
    },
    PATIENCE_MS,
  );
});
