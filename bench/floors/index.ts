import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Target } from '../load.js';

export type FloorName = 'node-http' | 'fastify' | 'fastify-kafka';

const TYPESCRIPT = new URL('../../libs/event-log/src/testing/run-typescript.mjs', import.meta.url).href;
const PROGRAM = fileURLToPath(new URL('server.ts', import.meta.url));

/** A process that does the least which an api must do. */
export class Floor {
  private constructor(
    private readonly child: ChildProcess,
    readonly target: Target,
  ) {}

  static async start(name: FloorName, env: Readonly<Record<string, string>> = {}): Promise<Floor> {
    const child = spawn(process.execPath, ['--import', TYPESCRIPT, PROGRAM, name], {
      env: { ...process.env, NODE_ENV: 'production', ...env },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const ended = once(child, 'exit').then(([code]) => {
      throw new Error(`the floor ${name} ended with ${code}`);
    });
    const [origin] = (await Promise.race([once(createInterface(child.stdout!), 'line'), ended])) as [string];
    ended.catch(() => undefined);
    return new Floor(child, { origin, basePath: '' });
  }

  get pid(): number {
    return this.child.pid!;
  }

  async end(): Promise<void> {
    const ended = once(this.child, 'exit');
    this.child.kill('SIGTERM');
    await ended;
  }
}
