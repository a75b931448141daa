import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { install } from '../../scripts/prepare.mjs';
import type { Target } from '../load.js';
import { cpuSeconds, cpuSecondsOfFamily } from '../processes.js';
import { Postgresql } from './postgresql.js';

const HERE = fileURLToPath(new URL('.', import.meta.url));
const PROGRAM = fileURLToPath(new URL('server.mjs', import.meta.url));

/** What the peer says of itself once it listens. */
interface Said {
  readonly origin: string;
  readonly settings: Readonly<Record<string, string>>;
}

/** Emmett with a PostgreSQL of its own. */
export class Emmett {
  private constructor(
    private readonly postgresql: Postgresql,
    private readonly server: ChildProcess,
    private readonly said: Said,
  ) {}

  /** Installs what is missing. Throws `PostgresqlMissing`. */
  static async start(): Promise<Emmett> {
    install(HERE);
    const postgresql = await Postgresql.start();
    try {
      const server = spawn(process.execPath, [PROGRAM, postgresql.folder, Postgresql.user], {
        env: { PATH: process.env['PATH'], NODE_ENV: 'production' },
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const ended = once(server, 'exit').then(([code]) => {
        throw new Error(`the server with Emmett ended with ${code}`);
      });
      const [line] = (await Promise.race([once(createInterface(server.stdout!), 'line'), ended])) as [string];
      ended.catch(() => undefined);
      return new Emmett(postgresql, server, JSON.parse(line) as Said);
    } catch (error) {
      await postgresql.end();
      throw error;
    }
  }

  get target(): Target {
    return { origin: this.said.origin, basePath: '' };
  }

  /** Versions, and the options that decide what an acknowledgement is worth, as the running database tells them. */
  get settings(): Said['settings'] {
    return this.said.settings;
  }

  /** Of both. */
  cpuSeconds(): number {
    return cpuSeconds(this.server.pid!) + cpuSecondsOfFamily(this.postgresql.pid);
  }

  async end(): Promise<void> {
    const ended = once(this.server, 'exit');
    if (this.server.kill('SIGTERM')) await ended;
    await this.postgresql.end();
  }
}
