import type { Activity, Enumerated, Extensions, IdempotencyDigest } from '#events';

/**
 * A conversation with its states and tasks, folded from its stream. Plain JSON data: the read model stores it as it is.
 * Field names are the contract's (3.1 to 3.3); our own are in camelCase.
 */
export type Service =
  | { readonly status: 'unstarted' }
  /** Composite starts that would have started it use others: for each of them an answer. */
  | { readonly status: 'unstarted'; readonly answers: readonly KeptAnswer[]; readonly bytes: number }
  | ActiveService
  | CompletedService
  /** Deleted or expired. Its id does not come back. Of the answers those that composite starts follow stay. */
  | { readonly status: 'gone'; readonly start?: KeptStart; readonly answers?: readonly KeptAnswer[] };

export type LiveService = ActiveService | CompletedService;

interface ServiceFields {
  readonly service_id: string;
  readonly customer_id?: string;
  readonly contact_key?: string;
  readonly service_type?: Enumerated;
  readonly est_duration?: number;
  readonly disposition?: Enumerated;
  readonly disposition_desc?: string;
  readonly auto_complete_after?: number;
  readonly started: Activity;
  readonly extensions: Extensions;
  /** In the order in which they were recorded. */
  readonly states: readonly State[];
  readonly tasks: readonly Task[];
  /** Recorded time of the start, epoch milliseconds: breaks ties of `started.timestamp`. */
  readonly recordedAt: number;
  /** What the service was started with, kept as long as the stream exists. */
  readonly start?: KeptStart;
  /** Answers of the last 24 h of recorded time to commands with an idempotency key. */
  readonly answers: readonly KeptAnswer[];
  /** Never less than the size as JSON; measured anew each time it would pass `maxServiceBytes` (see `size.ts`). */
  readonly bytes: number;
}

export type ActiveService = ServiceFields & { readonly status: 'active' };
export type CompletedService = ServiceFields & { readonly status: 'completed'; readonly completed: Activity };

interface PartFields {
  readonly est_duration?: number;
  readonly disposition?: Enumerated;
  readonly disposition_desc?: string;
  readonly started: Activity;
  readonly extensions: Extensions;
  readonly recordedAt: number;
}

type Progress = { readonly status: 'active' } | { readonly status: 'completed'; readonly completed: Activity };

export type State = PartFields &
  Progress & { readonly state_id: string; readonly state_type?: Enumerated; readonly previous_state_id?: string };

export type Task = PartFields &
  Progress & { readonly task_id: string; readonly task_type?: Enumerated; readonly state_id?: string };

/** The ids that a command was answered with. `created` tells a composite start what it found and what it made. */
export interface Answer {
  readonly service_id?: string;
  readonly state_id?: string;
  readonly task_id?: string;
  readonly created?: boolean;
}

/** What a request with an idempotency key was answered; a repeat of it gets the same. */
export interface KeptStart extends IdempotencyDigest {
  readonly answer: Answer;
}

export interface KeptAnswer extends KeptStart {
  /** Recorded time, epoch milliseconds. */
  readonly at: number;
}

export const unstarted: Service = { status: 'unstarted' };
