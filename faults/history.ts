import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import type { Mode } from '#events';

/** States and tasks have extensions too. */
export interface Part {
  readonly state_id?: string;
  readonly task_id?: string;
}

/** Whose services; exactly one of them is given. */
export interface OwnerAsked {
  readonly customer_id?: string;
  readonly contact_key?: string;
}

/** What somebody asks the system; what is not said here does not matter to any rule. */
export type Ask =
  | ({ readonly kind: 'start'; readonly ttl?: number } & OwnerAsked)
  | { readonly kind: 'associate'; readonly service_id: string; readonly customer_id: string }
  | { readonly kind: 'end'; readonly service_id: string }
  | { readonly kind: 'delete'; readonly service_id: string }
  | { readonly kind: 'expire'; readonly service_id: string; readonly ttl: number }
  | { readonly kind: 'start-state'; readonly service_id: string }
  | { readonly kind: 'end-state'; readonly service_id: string; readonly state_id: string }
  | { readonly kind: 'transition'; readonly service_id: string; readonly state_id: string }
  | { readonly kind: 'start-task'; readonly service_id: string; readonly state_id?: string }
  | { readonly kind: 'end-task'; readonly service_id: string; readonly task_id: string }
  | ({ readonly kind: 'replace'; readonly service_id: string; readonly name: string; readonly value: unknown } & Part)
  | ({ readonly kind: 'merge'; readonly service_id: string; readonly name: string; readonly value: object } & Part)
  | ({ readonly kind: 'composite'; readonly withTask: boolean } & OwnerAsked)
  | { readonly kind: 'get'; readonly service_id: string }
  | ({ readonly kind: 'list'; readonly status: ListStatus } & OwnerAsked)
  | { readonly kind: 'switch'; readonly mode: Mode };

export type ListStatus = 'all' | 'active' | 'completed';

/** A moment of the run. All callers are of one process: what it saw first has the lower `order`. */
export interface Moment {
  readonly order: number;
  /** Milliseconds since the run began, of a clock that never goes back. */
  readonly ms: number;
}

/** One request to one process. */
export interface Call {
  /** Its correlation id: whatever it recorded carries it. */
  readonly id: string;
  /** The first attempt. Repeats come with the same `Idempotency-Key`. */
  readonly request: string;
  /** A restarted process keeps its name. */
  readonly process: string;
  readonly ask: Ask;
  readonly key?: string;
  /** `X-CS-Position` that was sent. */
  readonly seen?: string;
  readonly begin: Moment;
  /** Missing when none came: the connection broke, or the caller had no more patience. */
  answer?: Answer;
}

export interface Answer {
  readonly end: Moment;
  readonly status: number;
  /** `X-CS-Outcome` */
  readonly outcome?: string;
  /** Without its package. */
  readonly exception?: string;
  /** `X-CS-Position` */
  readonly position?: string;
  readonly body?: unknown;
}

/** `refused`: a rule said no. `unknown`: it may have been recorded, now or later. */
export type Outcome = 'ok' | 'refused' | 'not-applied' | 'unknown' | 'odd';

/** What the caller may conclude. `odd`: an answer that the contract does not know. */
export function outcomeOf({ answer, ask }: Call): Outcome {
  if (!answer) return 'unknown';
  const { status, outcome } = answer;
  if (status >= 200 && status < 300) return 'ok';
  if (status >= 400 && status < 500) return 'refused';
  if (status !== 503) return 'odd';
  if (isRead(ask)) return outcome === undefined ? 'not-applied' : 'odd';
  return outcome === 'not-applied' || outcome === 'unknown' ? outcome : 'odd';
}

export const isRead = ({ kind }: Ask): boolean => kind === 'get' || kind === 'list';

/** Changes of services: those that maintenance stops. */
export const isChange = (ask: Ask): boolean => !isRead(ask) && ask.kind !== 'switch';

export type CallAsked = Omit<Call, 'begin' | 'answer'>;
export type CallAnswered = Omit<Answer, 'end'>;
type Line = { readonly asked: Call } | { readonly answered: string; readonly answer: Answer };

/** Everything that was asked and answered, as it happens; each line is in the file before anything goes on. */
export class History {
  readonly calls: Call[] = [];
  private order = 0;
  private readonly beganAt = performance.now();

  /** Without a file it is kept in memory alone. What was in the file is gone. */
  constructor(private readonly file?: string) {
    if (file !== undefined) writeFileSync(file, '');
  }

  asked(asked: CallAsked): Call {
    const call: Call = { ...asked, begin: this.moment() };
    this.calls.push(call);
    this.write({ asked: call });
    return call;
  }

  answered(call: Call, answered: CallAnswered): void {
    const answer: Answer = { ...answered, end: this.moment() };
    this.write({ answered: call.id, answer });
    call.answer = answer;
  }

  private moment(): Moment {
    return { order: this.order++, ms: Math.round(performance.now() - this.beganAt) };
  }

  private write(line: Line): void {
    if (this.file !== undefined) appendFileSync(this.file, `${JSON.stringify(line)}\n`);
  }
}

/** The calls of a file that a {@link History} has written. */
export function readCalls(file: string): readonly Call[] {
  const calls = new Map<string, Call>();
  for (const text of readFileSync(file, 'utf8').split('\n')) {
    if (text === '') continue;
    const line = JSON.parse(text) as Line;
    if ('asked' in line) calls.set(line.asked.id, line.asked);
    else calls.get(line.answered)!.answer = line.answer;
  }
  return [...calls.values()];
}
