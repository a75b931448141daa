import type { LoggerService } from '@nestjs/common';
import { pino, stdTimeFunctions, type DestinationStream, type Logger } from 'pino';
import type { LogLevel } from './engine-options.js';

export type { Logger } from 'pino';

/** Fields of the contract that tell something of a customer; taken out of every line, two levels deep. */
const PERSONAL = ['contact_key', 'customer_id', 'extensions', 'attributes', 'disposition_desc'];

/** How Nest names the parts of itself that tell, in one line each, what they have set up. */
const NEST_START_UP = new Set([
  'NestFactory',
  'NestMicroservice',
  'InstanceLoader',
  'RoutesResolver',
  'RouterExplorer',
]);

/**
 * One JSON object per line. Facts are fields, named in the words of docs/glossary.md (`stream`, `version`, `position`,
 * `correlationId`), the message is a fixed sentence: `log.info({ stream, version }, 'accepted')`.
 */
export function createLogger(
  program: string,
  level: LogLevel,
  destination: DestinationStream = pino.destination({ fd: 1, sync: true }), // the last line before an exit is not lost
): Logger {
  return pino(
    {
      level,
      base: { program, pid: process.pid },
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { error: pino.stdSerializers.err },
      redact: { paths: PERSONAL.flatMap((field) => [field, `*.${field}`]), remove: true },
    },
    destination,
  );
}

/** Nest's own lines in the same log. What Nest says of its start-up is for debugging only. */
export class NestLogger implements LoggerService {
  constructor(private readonly logger: Logger) {}

  log(message: unknown, ...details: unknown[]): void {
    const context = contextOf(details);
    this.write(context !== undefined && NEST_START_UP.has(context) ? 'debug' : 'info', message, details);
  }

  error(message: unknown, ...details: unknown[]): void {
    this.write('error', message, details);
  }

  warn(message: unknown, ...details: unknown[]): void {
    this.write('warn', message, details);
  }

  debug(message: unknown, ...details: unknown[]): void {
    this.write('debug', message, details);
  }

  verbose(message: unknown, ...details: unknown[]): void {
    this.write('trace', message, details);
  }

  fatal(message: unknown, ...details: unknown[]): void {
    this.write('fatal', message, details);
  }

  private write(level: Exclude<LogLevel, 'silent'>, message: unknown, details: readonly unknown[]): void {
    const context = contextOf(details);
    const [stack] = details.length > 1 ? details : [];
    const error = message instanceof Error ? message : typeof stack === 'string' ? { stack } : undefined;
    const text =
      message instanceof Error ? message.message : typeof message === 'string' ? message : JSON.stringify(message);
    this.logger[level]({ ...(context !== undefined && { context }), ...(error !== undefined && { error }) }, text);
  }
}

/** Nest puts the name of the speaking class last. */
function contextOf(details: readonly unknown[]): string | undefined {
  const last = details.at(-1);
  return typeof last === 'string' ? last : undefined;
}
