import { Server, type CustomTransportStrategy, type MessageHandler } from '@nestjs/microservices';
import { isObservable, lastValueFrom } from 'rxjs';
import type { RecordedEvent } from '#events';
import { RefusedStart, type Clock, type LogReader, type Subscription } from '#event-log';
import { StoreWentBack, type Delivery, type Projection } from './projection/projection.js';

/** Handles records whose type this program does not know: only their handler can tell whether they count. */
export const ANY_OTHER_TYPE = '*';

/** How long closing waits for batches in flight before {@link EventLogStrategyOptions.onOverdue}, ms. */
const CLOSING_GRACE_MS = 5_000;

export interface EventLogStrategyOptions {
  readonly log: LogReader;
  /** All processes that share the partitions. */
  readonly group: string;
  readonly projection: Pick<Projection, 'checkpoint' | 'handle' | 'verify' | 'close'>;
  readonly clock: Clock;
  /** How often to ask whether the log answers, and whether the store still has what it acknowledged, ms. */
  readonly verifyEveryMs: number;
  readonly onVerified: (part: 'event-log' | 'read-model', error?: Error) => void;
  /** Closing has waited long enough: what a batch in flight still waits for must give up. */
  readonly onOverdue: () => Promise<void>;
  /** The log cannot be read any further: the process must end. */
  readonly onFatal: (error: Error) => void;
}

/**
 * Brings the records of the event log to Nest's handlers. The promise of a handler is the acknowledgement: its stream's
 * next record comes after it, and the checkpoint moves when the whole batch is done.
 */
export class EventLogStrategy extends Server implements CustomTransportStrategy {
  override readonly transportId = Symbol('event-log');
  /** Nest leaves errors to us, as they are. */
  override readonly propagatesEventHandlerErrors = true;
  /** Resolved once: looking handlers up by pattern costs more than everything else here. */
  private readonly handlers = new Map<string, MessageHandler<RecordedEvent, Delivery>>();
  private subscription: Subscription | undefined;
  private verifying: Promise<void> = Promise.resolve();
  private cancelVerification = (): void => undefined;
  private closed = false;

  constructor(private readonly options: EventLogStrategyOptions) {
    super();
  }

  override async listen(ready: (error?: unknown) => void): Promise<void> {
    try {
      for (const [pattern, handler] of this.messageHandlers) {
        // Nest would run both at once and go on when the first of them fails.
        if (handler.next) throw new Error(`the event ${pattern} has two handlers, one must call the other`);
        this.handlers.set(pattern, handler);
      }
      this.subscription = await this.subscribe();
      this.verifyLater();
      ready();
    } catch (error) {
      ready(error);
    }
  }

  /** Resolves once the batches in flight are done; Nest asks more than once. */
  override async close(): Promise<void> {
    this.closed = true;
    this.cancelVerification();
    const { clock, projection, onOverdue } = this.options;
    let overdue = Promise.resolve();
    const inTime = clock.after(CLOSING_GRACE_MS, () => {
      overdue = onOverdue();
    });
    projection.close();
    await this.verifying;
    await this.subscription?.close();
    this.subscription = undefined;
    inTime();
    await overdue;
  }

  override on(event: string): never {
    throw new Error(`the event log has no event ${event} to listen to`);
  }

  override unwrap<T>(): T {
    return this.options.log as T;
  }

  private subscribe(): Promise<Subscription> {
    const { log, group, projection, onFatal } = this.options;
    return log.subscribe({
      group,
      checkpoint: async (partition) => {
        try {
          return await projection.checkpoint(partition);
        } catch (error) {
          if (error instanceof RefusedStart) onFatal(error); // trying again does not help
          throw error;
        }
      },
      handle: (batch) => projection.handle(batch, (record, delivery) => this.dispatch(record, delivery)),
      onFatal,
    });
  }

  private async dispatch(record: RecordedEvent, delivery: Delivery): Promise<void> {
    const handler = this.handlers.get(record.type) ?? this.handlers.get(ANY_OTHER_TYPE);
    if (!handler) throw new Error(`no handler for the event ${record.type}`);
    const result: unknown = await handler(record, delivery);
    if (isObservable(result)) await lastValueFrom(result, { defaultValue: undefined });
  }

  private verifyLater(): void {
    if (this.closed) return;
    this.cancelVerification = this.options.clock.after(this.options.verifyEveryMs, () => {
      this.verifying = this.verify().finally(() => this.verifyLater());
    });
  }

  private async verify(): Promise<void> {
    const { log, projection } = this.options;
    await this.ask('event-log', () => log.ends());
    const error = await this.ask('read-model', () => projection.verify());
    // It lost acknowledged rows while nothing was recorded: a new subscription begins at the checkpoint as it is now.
    if (error instanceof StoreWentBack || !this.subscription) await this.ask('event-log', () => this.subscribeAgain());
  }

  private async ask(part: 'event-log' | 'read-model', question: () => Promise<unknown>): Promise<Error | undefined> {
    let error: Error | undefined;
    try {
      await question();
    } catch (cause) {
      error = cause instanceof Error ? cause : new Error(String(cause));
    }
    this.options.onVerified(part, error);
    return error;
  }

  /** When it fails it is tried again with the next verification. */
  private async subscribeAgain(): Promise<void> {
    await this.subscription?.close();
    this.subscription = undefined;
    this.subscription = await this.subscribe();
  }
}
