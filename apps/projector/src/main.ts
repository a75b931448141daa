import type { INestApplication } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { parentPort, type MessagePort } from 'node:worker_threads';
import {
  createLogger,
  loadOptions,
  NestLogger,
  OperationsModule,
  optionsHelp,
  Readiness,
  refuseStart,
  registry,
  type Logger,
} from '#operations';
import { CONDITIONS, ProjectorInstruments } from './projector.instruments.js';
import { OPTIONS_OF_THE_API, ProjectorOptions } from './projector.options.js';
import { Projector } from './projector.js';

const HELP = `The projector of context-services: folds the event log into the read model and publishes valid events.

  node dist/apps/projector/src/main.js

Options, from the environment:
${optionsHelp(ProjectorOptions)}
`;

/** A process that is still not closed after so long ends all the same, ms: nothing is lost by it. */
const CLOSED_WITHIN_MS = 20_000;

const throwOn = (error: unknown): never => {
  throw error;
};

/** Health and metrics answer from the first moment on, also while log and read model are still waited for. */
async function serveOperations(
  options: ProjectorOptions,
  readiness: Readiness,
  logger: Logger,
): Promise<INestApplication> {
  const http = await NestFactory.create(OperationsModule.with(readiness), new FastifyAdapter(), {
    logger: new NestLogger(logger),
    abortOnError: false,
  });
  await http.listen(options.httpPort, options.httpHost);
  logger.info({ address: await http.getUrl() }, 'health and metrics answer');
  return http;
}

/** A process of its own: ends on SIGTERM and SIGINT, and with the parent that forked it. */
async function runAsProcess(options: ProjectorOptions): Promise<void> {
  const logger = createLogger('projector', options.logLevel);
  const readiness = new Readiness(CONDITIONS);
  const instruments = new ProjectorInstruments(logger, readiness);
  const projector = new Projector({
    options,
    logger,
    readiness,
    instruments,
    refuse: refuseStart,
    onFatal: (error) => {
      logger.fatal({ error }, 'the event log cannot be read any further');
      refuseStart(error);
    },
  });
  const http = await serveOperations(options, readiness, logger).catch(refuseStart);

  let isStopping = false;
  const stop = async (why: string): Promise<void> => {
    if (isStopping) return;
    isStopping = true;
    logger.info({ why }, 'stopping');
    instruments.stopping();
    setTimeout(() => {
      logger.error({ why }, 'not closed in time');
      process.exit(1);
    }, CLOSED_WITHIN_MS).unref();
    await projector.stop();
    await http.close();
    logger.info('stopped');
    process.exit(0);
  };
  for (const signal of ['SIGTERM', 'SIGINT', 'disconnect'] as const) {
    process.on(signal, () => {
      stop(signal).catch(refuseStart);
    });
  }
  await projector.start();
}

/**
 * A thread of another program: `committed` wakes it, `metrics` is answered with its metrics, `stop` ends it. Signals do
 * not reach it; it ends with its process.
 */
async function runAsThread(options: ProjectorOptions, parent: MessagePort): Promise<void> {
  const logger = createLogger('projector', options.logLevel);
  const readiness = new Readiness(CONDITIONS);
  const projector = new Projector({
    options,
    logger,
    readiness,
    instruments: new ProjectorInstruments(logger, readiness),
    refuse: throwOn,
    onFatal: (error) => queueMicrotask(() => throwOn(error)), // the parent learns why
  });
  const messages: Readonly<Record<string, () => Promise<void>>> = {
    committed: async () => projector.wake(),
    metrics: async () => parent.postMessage({ metrics: await registry.getMetricsAsJSON() }),
    stop: async () => {
      await projector.stop();
      process.exit(0); // ends this thread only
    },
  };
  parent.on('message', (message: unknown) => {
    messages[String(message)]?.().catch((error: unknown) => queueMicrotask(() => throwOn(error)));
  });
  await projector.start();
}

async function run(): Promise<void> {
  const options = loadOptions(ProjectorOptions, process.env, { alsoKnown: OPTIONS_OF_THE_API });
  await (parentPort ? runAsThread(options, parentPort) : runAsProcess(options));
}

if (parentPort) await run();
else if (process.argv.includes('--help')) process.stdout.write(HELP);
else await run().catch(refuseStart);
