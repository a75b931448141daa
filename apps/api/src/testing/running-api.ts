import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { InjectOptions, LightMyRequestResponse } from 'fastify';
import { createLogger, registry } from '#operations';
import { createApi, type Api } from '../api.js';
import { ApiOptions } from '../api.options.js';
import { Engine } from '../engine/engine.js';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const typescript = here('../../../../libs/event-log/src/testing/run-typescript.mjs');
const projectorProgram = here('../../../projector/src/main.ts');

const environment = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('CS_')));

/**
 * The api in this process, spoken to without a socket, on the embedded engine in a temporary folder; the projector is a
 * process of its own, as it is from `npm run start:projector`.
 */
export class RunningApi {
  private constructor(
    private running: Api,
    private readonly projector: ChildProcess,
    private readonly options: ApiOptions,
  ) {}

  get api(): Api {
    return this.running;
  }

  static async start(changed: Partial<ApiOptions> = {}): Promise<RunningApi> {
    const directory = await mkdtemp(join(tmpdir(), 'cs-api-'));
    const options = Object.assign(new ApiOptions(), {
      dataDir: directory,
      partitions: 4,
      logLevel: 'error',
      ...changed,
    });
    const projector = spawn(process.execPath, ['--import', typescript, projectorProgram], {
      env: { ...environment, CS_DATA_DIR: directory, CS_PARTITIONS: '4', CS_HTTP_PORT: '0', CS_LOG_LEVEL: 'error' },
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    try {
      return new RunningApi(await startedApi(options), projector, options);
    } catch (error) {
      projector.kill('SIGKILL');
      throw error;
    }
  }

  /** `path` below the base path; an object as body is sent as JSON. */
  async request(
    method: string,
    path: string,
    about: Omit<InjectOptions, 'method' | 'url' | 'path'> = {},
  ): Promise<LightMyRequestResponse> {
    const url = path.startsWith('/') ? path : `${this.options.basePath}/${path}`;
    return this.api.app.inject({ ...about, method: method as 'GET', url });
  }

  /** Ends the api and starts another one on the same data; the projector goes on. */
  async restart(): Promise<void> {
    await this.api.app.close();
    registry.clear(); // those of the ended program, which a process of its own would not have
    this.running = await startedApi(this.options);
  }

  async stop(): Promise<void> {
    await this.api.app.close();
    if (this.projector.exitCode === null) {
      const ended = once(this.projector, 'exit');
      this.projector.kill('SIGTERM');
      await ended;
    }
    await rm(this.options.dataDir, { recursive: true, force: true });
  }
}

async function startedApi(options: ApiOptions): Promise<Api> {
  const api = await createApi(options, createLogger('api', options.logLevel));
  await api.app.init();
  await api.app.getHttpAdapter().getInstance().ready();
  await api.app.get(Engine).start();
  return api;
}
