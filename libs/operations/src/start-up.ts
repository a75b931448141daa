import { setTimeout as after } from 'node:timers/promises';
import type { Logger } from './logger.js';

const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 5_000;

/** Ends the process with exit code 1 and one line on stderr: a person must do something before a start can succeed. */
export function refuseStart(error: unknown): never {
  process.stderr.write(`${reasonOf(error).replace(/\s*\n\s*/g, ' ')}\n`);
  process.exit(1);
}

/** An error by which an adapter says that trying again would lose data or not help. */
function isRefusedStart(error: unknown): boolean {
  return typeof error === 'object' && error !== null && 'code' in error && error.code === 'refused-start';
}

export interface RetryOptions {
  readonly log: Logger;
  /** Called with each failure, before the pause: the place to say so in Readiness. */
  readonly onFailure?: (reason: string, attempt: number) => void;
  /** Which errors end the process instead of being tried again. */
  readonly isRefusal?: (error: unknown) => boolean;
  /** What is done with a refusal; must not return. */
  readonly refuse?: (error: unknown) => never;
  /** Stops trying: the promise rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  readonly pause?: (ms: number, signal: AbortSignal | undefined) => Promise<void>;
}

/**
 * Connects, and as long as that fails tries again with a growing pause (up to 5 s), for ever, one log line per attempt.
 * A refused start ends the process with one line and exit code 1.
 */
export async function retryUntilUp<T>(what: string, connect: () => Promise<T>, options: RetryOptions): Promise<T> {
  const { log, onFailure, isRefusal = isRefusedStart, refuse = refuseStart, signal, pause = pauseFor } = options;
  for (let attempt = 1; ; attempt += 1) {
    signal?.throwIfAborted();
    try {
      const connected = await connect();
      log.info({ what, attempt }, 'connected');
      return connected;
    } catch (error) {
      if (isRefusal(error)) refuse(error);
      const reason = reasonOf(error);
      const pauseMs = Math.min(FIRST_PAUSE_MS * 2 ** (attempt - 1), LONGEST_PAUSE_MS);
      log.warn({ what, attempt, reason, pauseMs }, 'not there yet, will try again');
      onFailure?.(reason, attempt);
      await pause(pauseMs, signal);
    }
  }
}

async function pauseFor(ms: number, signal: AbortSignal | undefined): Promise<void> {
  await after(ms, undefined, { signal });
}

function reasonOf(error: unknown): string {
  if (error instanceof AggregateError && error.message === '') return error.errors.map(reasonOf).join(', ');
  return error instanceof Error ? error.message : String(error);
}
