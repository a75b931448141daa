import { resolve } from 'node:path';
import { createLogger, loadOptions, optionsHelp, refuseStart, type Logger } from '#operations';
import { createApi, type Api } from './api.js';
import { ApiOptions, OPTIONS_OF_THE_PROJECTOR } from './api.options.js';
import { Engine } from './engine/engine.js';
import { initialMetadata } from './metadata/initial-metadata.js';

const HELP = `The api of context-services: HTTP in, events out, queries answered.

  node dist/apps/api/src/main.js

Options, from the environment:
${optionsHelp(ApiOptions)}
`;

/** A process that is still not closed after so long ends all the same, ms: nothing acknowledged is lost by it. */
const CLOSED_WITHIN_MS = 20_000;

async function run(): Promise<void> {
  const options = loadOptions(ApiOptions, process.env, { alsoKnown: OPTIONS_OF_THE_PROJECTOR });
  initialMetadata(options); // a file that cannot be used is refused now, not when it is needed
  const logger = createLogger('api', options.logLevel);
  const api = await createApi(options, logger);
  stopOnSignals(api, logger);
  await listen(api, options);
  await api.app.get(Engine).start();
}

/** Listens before the engine is up: health answers, and callers are told to come back. */
async function listen({ app }: Api, options: ApiOptions): Promise<void> {
  await app.init();
  try {
    // Nest's own listen says the same error in words of its own first.
    const address = await app.getHttpAdapter().getInstance().listen({ port: options.httpPort, host: options.httpHost });
    if (options.engine === 'embedded') welcome(address, options);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const reason = code === 'EADDRINUSE' ? 'the port is in use: stop the other program or set CS_HTTP_PORT' : message;
    throw new Error(`cannot listen on ${options.httpHost}:${options.httpPort}: ${reason}`, { cause: error });
  }
}

function welcome(address: string, { basePath, dataDir }: ApiOptions): void {
  process.stdout.write(
    [
      `context-services answers at ${address}${basePath} (browse ${address}${basePath}/docs)`,
      `data is kept in ${resolve(dataDir)}`,
      `try: curl -i ${address}${basePath}/services/start -d '{"customer_id":"ABC1234","service_type":"MyService1"}'`,
      '',
    ].join('\n'),
  );
}

/** Answers what is under way, then closes the log and the read model. */
function stopOnSignals({ app, readiness }: Api, logger: Logger): void {
  let isStopping = false;
  const stop = async (why: string): Promise<void> => {
    if (isStopping) return;
    isStopping = true;
    logger.info({ why }, 'stopping');
    readiness.notReady('engine', 'stopping');
    setTimeout(() => {
      logger.error({ why }, 'not closed in time');
      process.exit(1);
    }, CLOSED_WITHIN_MS).unref();
    await app.close();
    logger.info('stopped');
    process.exit(0);
  };
  for (const signal of ['SIGTERM', 'SIGINT', 'disconnect'] as const) {
    process.on(signal, () => {
      stop(signal).catch(refuseStart);
    });
  }
}

if (process.argv.includes('--help')) process.stdout.write(HELP);
else await run().catch(refuseStart);
