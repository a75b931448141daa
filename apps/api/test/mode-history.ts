import type { Mode } from '#events';
import type { LogRecord } from '#event-log';
import { call, type Answered, type Program } from './processes.js';

/**
 * What a call is for: it changes data or shows it (in production), changes metadata (in maintenance), asks for the
 * server's status, or switches the mode. A change records one event.
 */
export type AskedKind = 'change' | 'read' | 'schema' | 'status' | 'switch';

/** One call, and what was answered; times are epoch milliseconds of this machine, which the broker shares. */
export interface Asked {
  /** Address of the process. */
  readonly process: string;
  readonly kind: AskedKind;
  /** A call that is repeated with its `Idempotency-Key` keeps it. */
  readonly correlationId: string;
  /** Of a switch. */
  readonly to?: Mode;
  readonly sentAt: number;
  /** Missing when the connection broke. */
  answer?: Answer;
}

export interface Answer {
  readonly at: number;
  readonly status: number;
  /** Without its package; of an error. */
  readonly exception?: string;
  readonly retryAfter?: string;
  readonly outcome?: string;
  /** `X-CS-Position`. */
  readonly position?: string;
  readonly body: string;
}

/** For so long a process could not answer, and no call is late because of it. */
export interface Pause {
  /** Address; all processes when it is missing. */
  readonly process?: string;
  readonly from: number;
  to: number;
}

/** Everything that was asked in one place, answered, and recorded. */
export interface ModeHistory {
  readonly asked: readonly Asked[];
  readonly services: readonly LogRecord[];
  readonly control: readonly LogRecord[];
  readonly partitions: number;
  /** The longest that any call may take, ms. */
  readonly limitMs: number;
  readonly pauses: readonly Pause[];
  /** Addresses of processes that were killed: what they were asked last has no answer. */
  readonly killed: ReadonlySet<string>;
}

const exceptionPackage = 'com.genesyslab.gsg.services.contextservices.exceptions.';

/** Asks, and writes down what was asked and answered. */
export class Recorder {
  readonly asked: Asked[] = [];
  readonly pauses: Pause[] = [];
  readonly killed = new Set<string>();

  /** Undefined when the connection broke. */
  async ask(
    api: Pick<Program, 'origin'>,
    about: Pick<Asked, 'kind' | 'correlationId' | 'to'>,
    ...[method, route, body, headers]: [string, string, unknown?, Readonly<Record<string, string>>?]
  ): Promise<Answered | undefined> {
    const asked: Asked = { ...about, process: api.origin, sentAt: Date.now() };
    this.asked.push(asked);
    const named = { ...headers, 'x-correlation-id': about.correlationId };
    const answered = await call(api, method, route, body, named).catch(() => undefined);
    if (!answered) return undefined;
    const header = (name: string): string | undefined => answered.headers.get(name) ?? undefined;
    const [exception, retryAfter, outcome, position] = [
      (answered.body as { exception?: string } | undefined)?.exception?.replace(exceptionPackage, ''),
      header('retry-after'),
      header('x-cs-outcome'),
      header('x-cs-position'),
    ];
    asked.answer = {
      at: Date.now(),
      status: answered.status,
      body: JSON.stringify(answered.body ?? ''),
      ...(exception !== undefined && { exception }),
      ...(retryAfter !== undefined && { retryAfter }),
      ...(outcome !== undefined && { outcome }),
      ...(position !== undefined && { position }),
    };
    return answered;
  }

  /** Work that holds a process up (all of them, without one): no call is late because of it. */
  async whilePaused<T>(process: string | undefined, work: () => Promise<T>): Promise<T> {
    const pause: Pause = { ...(process !== undefined && { process }), from: Date.now(), to: Number.POSITIVE_INFINITY };
    this.pauses.push(pause);
    try {
      return await work();
    } finally {
      pause.to = Date.now();
    }
  }
}
