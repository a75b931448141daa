import type { Clock, EventLog } from '#event-log';
import type { ReadModel } from '#read-model';
import type { RecentStreams } from '../services/recent-streams.js';
import { Unavailable } from '../services/unavailable.js';

export interface ProjectorProgressParts {
  readonly log: EventLog;
  readonly readModel: ReadModel;
  readonly streams: RecentStreams;
  readonly clock: Clock;
  readonly everyMs: number;
  readonly maxLagRecords: number;
  /** From where the tail was followed: lower ones than these come from a store that lost writes. */
  readonly followed: readonly { readonly partition: number; readonly next: number }[];
  /** Each time the store was asked; `error` when it did not answer. */
  readonly onLook?: (error?: unknown) => void;
  /** A checkpoint went back: the store lost writes it had acknowledged, and this tail began too late. */
  readonly onLostWrites: (partition: number) => void;
}

/** How far the projector is: what it has confirmed the tail may forget, and too much lag refuses commands. */
export class ProjectorProgress {
  private readonly next: number[];
  private stopped = false;
  private cancel: () => void = () => undefined;
  private looking: Promise<void> = Promise.resolve();

  constructor(private readonly parts: ProjectorProgressParts) {
    this.next = Array.from({ length: parts.log.partitions }, () => 0);
    for (const { partition, next } of parts.followed) this.next[partition] = next;
  }

  /** Looks once, then again and again until {@link stop}. */
  async start(): Promise<void> {
    await this.look();
    this.schedule();
  }

  async stop(): Promise<void> {
    this.stopped = true;
    this.cancel();
    await this.looking;
  }

  /** Records of this partition that the projector has not confirmed, as far as this process knows. */
  lag(partition: number): number {
    return Math.max(0, this.parts.log.tail(partition).next - this.next[partition]!);
  }

  /** Back-pressure: throws `Unavailable` when the projector is further behind than it may be. */
  readonly refuseWhenBehind = (): void => {
    const lag = this.next.reduce((sum, _, partition) => sum + this.lag(partition), 0);
    if (lag <= this.parts.maxLagRecords) return;
    throw new Unavailable(
      'OverloadedException',
      `The projector is ${lag} records behind. Try again later.`,
      'not-applied',
      5,
    );
  };

  private schedule(): void {
    if (this.stopped) return;
    this.cancel = this.parts.clock.after(this.parts.everyMs, () => {
      this.looking = this.look().then(() => this.schedule());
    });
  }

  private async look(): Promise<void> {
    try {
      const stored = new Map(
        (await this.parts.readModel.checkpoints()).map(({ partition, next }) => [partition, next]),
      );
      for (const partition of this.next.keys()) {
        const next = stored.get(partition) ?? 0;
        if (next < this.next[partition]!) this.parts.onLostWrites(partition);
        if (next === this.next[partition]) continue;
        this.next[partition] = next;
        this.parts.streams.confirm(partition, next);
      }
      this.parts.onLook?.();
    } catch (error) {
      this.parts.onLook?.(error);
    }
  }
}
