import { NestFactory } from '@nestjs/core';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { NestLogger, Readiness, type Logger } from '#operations';
import { Engine } from './engine/engine.js';
import { ApiModule, conditions } from './api.module.js';
import type { ApiOptions } from './api.options.js';
import { OpenApi } from './http/open-api.js';
import type { Routes } from './http/routes.js';
import { createServer } from './http/server.js';
import { RequestCounts } from './server-mode/request-counts.js';

export interface Api {
  readonly app: NestFastifyApplication;
  /** Every route of the server, health and documentation too. */
  readonly routes: Routes;
  readonly readiness: Readiness;
}

/** The whole program but for its start: nothing listens yet, the engine is not started. */
export async function createApi(options: ApiOptions, logger: Logger): Promise<Api> {
  const readiness = new Readiness(conditions);
  const counts = new RequestCounts();
  const { adapter, errors, routes } = createServer({
    prefixes: { base: options.basePath, extra: options.extraBasePaths.map((path) => path.replace(/\/$/, '')) },
    tenant: options.tenant,
    maxBodyBytes: options.maxBodyBytes,
    unknownIdStatus: options.unknownIdStatus === 400 ? 400 : 404,
    log: logger,
    onAnswered: (status) => counts.count(status),
  });
  const app: NestFastifyApplication = await NestFactory.create(
    ApiModule.with(options, readiness, logger, counts, () => app.get(Engine).metricsText()),
    adapter,
    {
      logger: new NestLogger(logger),
      abortOnError: false,
      bodyParser: false,
    },
  );
  app.useGlobalFilters(errors);
  app.setGlobalPrefix(options.basePath, { exclude: ['health/live', 'health/ready', 'metrics'] });
  app.get(OpenApi).describe(app);
  return { app, routes, readiness };
}
