import { decideSwitch, keptSwitch, type Switching } from '#domain';
import type { Mode } from '#events';
import type { Clock, EventLog, Presence } from '#event-log';
import { Refused } from '../http/refused.js';
import { drainStream, modeStream, type ControlLog } from '../control/control-log.js';
import { switching as switchingNow, truthfully } from '../services/command-path.js';
import type { RequestContext } from '../services/service.messages.js';
import { Unavailable } from '../services/unavailable.js';
import { drainedBefore, type Gate } from './gate.js';

/** What operators see of a switch; durations in ms. */
export interface SwitchObserver {
  started(to: Mode, epoch: number, process: string): void;
  /** This process: `complete` is false when calls were still in flight at the limit. */
  drained(epoch: number, ms: number, complete: boolean): void;
  /** This process completes the switch. `missing`: processes that did not drain in time. */
  finishing(epoch: number, drained: number, missing: readonly string[]): void;
  fenced(epoch: number, ms: number): void;
  switched(mode: Mode, epoch: number, ms: number): void;
  failed(epoch: number, error: unknown): void;
}

export interface ModeSwitchParts {
  readonly control: ControlLog;
  /** Every log whose events the mode protects, followed. */
  readonly data: readonly EventLog[];
  readonly gate: Gate;
  readonly presence: Presence;
  readonly clock: Clock;
  /** For how long calls in flight are waited for before a switch to this mode, ms. */
  readonly drainMs: Readonly<Record<Mode, number>>;
  readonly times?: SwitchTimes;
  readonly observer: SwitchObserver;
}

type SwitchContext = Pick<RequestContext, 'admitted' | 'correlationId' | 'idempotency'>;

/** What a switch waits for, and for how long; ms. */
export interface SwitchTimes {
  /** How often the process that completes a switch looks who is still waited for. */
  readonly finisherLooksMs: number;
  /** How often the others look whether that process is still alive. */
  readonly othersLookMs: number;
  /** After the drain's limit, the time for everybody's word to arrive. */
  readonly drainGraceMs: number;
  /** After that, the time for the process that asked to complete the switch; then every process tries. */
  readonly finisherPatienceMs: number;
  /** After everybody has drained, the longest that a caller waits for the fences. */
  readonly fencePatienceMs: number;
}

const defaultTimes: SwitchTimes = {
  finisherLooksMs: 100,
  othersLookMs: 1_000,
  drainGraceMs: 2_000,
  finisherPatienceMs: 10_000,
  fencePatienceMs: 30_000,
};

/**
 * One process's part in switching the mode (design 4, ADR 011): it closes its gate, lets its calls end and says so; the
 * process that asked, or when that has died or is stuck another one, fences every partition and then opens the next mode.
 * Each step can be repeated by anybody: a fence that comes late is lower than the epoch, a record that comes late is void.
 */
export class ModeSwitch {
  private joined = -1;
  private stopped = false;
  private isClosing = false;
  private endPause: () => void = () => undefined;
  private unwatch: () => void = () => undefined;
  private working: Promise<void> = Promise.resolve();
  private readonly times: SwitchTimes;

  constructor(private readonly parts: ModeSwitchParts) {
    this.times = parts.times ?? defaultTimes;
  }

  /** Takes part in every switch from now on, and in the one that is under way. */
  start(): void {
    this.unwatch = this.parts.control.watch(() => this.look());
    this.look();
  }

  async stop(): Promise<void> {
    this.stopped = true;
    this.unwatch();
    this.endPause();
    await this.working;
  }

  /**
   * Resolves with the position from which on the mode is in force: from then on no event of the other kind can become
   * valid. Throws `Refused` (no profile schema), `Rejected` (the key came with another request), `Unavailable`; a switch
   * that has begun is completed by others also when this process dies or the caller goes away.
   */
  to(target: Mode, { admitted: { epoch }, correlationId, idempotency }: SwitchContext): Promise<number> {
    return truthfully(async () => {
      const { control, presence } = this.parts;
      await control.barrier();
      const { serverMode } = control;
      if (serverMode.switching || serverMode.epoch !== epoch) throw switchingNow();
      if (idempotency && keptSwitch(serverMode, idempotency, control.now()) !== undefined) return control.position;
      if (target === 'production' && !control.hasProfileSchema) {
        throw new Refused('no-profile-schema', 'No profile schema is defined: the server stays in maintenance mode');
      }
      const event = decideSwitch(serverMode, target, presence.process);
      if (!event) return control.position;
      const about = { epoch, correlationId, ...(idempotency && { idempotency }) };
      const verdict = await control.append(modeStream, event, about);
      if (verdict.outcome === 'void') throw switchingNow();
      const { drainGraceMs, fencePatienceMs } = this.times;
      return this.completed(event.data.epoch, this.parts.drainMs[target] + drainGraceMs + fencePatienceMs);
    });
  }

  /** Resolves when the mode of this epoch is in force. */
  private async completed(epoch: number, patienceMs: number): Promise<number> {
    const { control, clock } = this.parts;
    return new Promise((resolve, reject) => {
      const look = (): void => {
        if (control.serverMode.epoch < epoch) return;
        end();
        resolve(control.position);
      };
      const cancel = clock.after(patienceMs, () => {
        end();
        const message = `The switch has begun and is not complete after ${patienceMs} ms. It goes on: ask for the status.`;
        reject(new Unavailable('SwitchingException', message, 'unknown'));
      });
      const unwatch = control.watch(look);
      const end = (): void => {
        cancel();
        unwatch();
      };
      look();
    });
  }

  private look(): void {
    const { switching, mode } = this.parts.control.serverMode;
    if (this.stopped) return;
    if (!switching) return this.closeWithoutSchema(mode);
    if (switching.epoch <= this.joined) return;
    this.joined = switching.epoch;
    this.parts.observer.started(switching.target, switching.epoch, switching.process);
    this.working = this.takePart(switching);
  }

  /** Without a profile schema there is nothing to be in production with (contract 0.3, 12). */
  private closeWithoutSchema(mode: Mode): void {
    const { control, presence, clock, observer } = this.parts;
    if (mode !== 'production' || control.hasProfileSchema || this.isClosing) return;
    const { epoch } = control.serverMode;
    const event = decideSwitch(control.serverMode, 'maintenance', presence.process);
    if (!event) return;
    this.isClosing = true;
    control
      .append(modeStream, event, { epoch, correlationId: correlationOf(epoch) })
      .catch((error: unknown) => {
        observer.failed(epoch, error);
        return clock.sleep(this.times.othersLookMs);
      })
      .finally(() => {
        this.isClosing = false;
        this.look();
      });
  }

  private async takePart(switching: Switching): Promise<void> {
    const { control, clock, observer } = this.parts;
    const began = clock.now();
    const drainMs = this.parts.drainMs[switching.target];
    const complete = await this.parts.gate.drained(drainedBefore[switching.target], drainMs);
    observer.drained(switching.epoch, clock.now() - began, complete);
    while (this.isUnderWay(switching)) {
      try {
        await this.sayDrained(switching);
        await this.finishWhenDue(switching, drainMs);
      } catch (error) {
        observer.failed(switching.epoch, error);
      }
      await this.pause(switching);
    }
    if (!this.stopped) observer.switched(control.serverMode.mode, switching.epoch, clock.now() - began);
  }

  private isUnderWay({ epoch }: Switching): boolean {
    return !this.stopped && this.parts.control.serverMode.epoch < epoch;
  }

  private get process(): string {
    return this.parts.presence.process;
  }

  /** Void when the fence was faster; then nobody waits for it any more. */
  private async sayDrained({ epoch }: Switching): Promise<void> {
    const { control } = this.parts;
    const { switching, epoch: admitted } = control.serverMode;
    if (control.epoch >= epoch || switching?.drained.has(this.process)) return;
    const event = { type: 'ProcessDrained', data: { process: this.process, epoch } } as const;
    const about = { epoch: admitted, correlationId: correlationOf(epoch) };
    await control.append(drainStream(this.process), event, about);
  }

  private async finishWhenDue(begun: Switching, drainMs: number): Promise<void> {
    const { control, presence, observer } = this.parts;
    const live = (await presence.live()).map(({ process }) => process);
    const { switching } = control.serverMode;
    if (switching?.epoch !== begun.epoch) return;
    const overdueMs = control.now() - switching.since - drainMs - this.times.drainGraceMs;
    // One that lives may still be cut off from a partition that others reach.
    if (finisherOf(switching, live) !== this.process && overdueMs <= this.times.finisherPatienceMs) return;
    const missing = live.filter((process) => !switching.drained.has(process));
    // Once the control log is fenced somebody has waited already, and nobody can say any more that it has drained.
    if (missing.length > 0 && overdueMs <= 0 && control.epoch < begun.epoch) return;
    observer.finishing(begun.epoch, switching.drained.size, missing);
    await this.complete(switching);
  }

  private async complete({ target, epoch }: Switching): Promise<void> {
    const { control, data, clock, observer } = this.parts;
    const began = clock.now();
    await Promise.all(data.map((log) => fenceAll(log, epoch)));
    await control.fence(epoch);
    observer.fenced(epoch, clock.now() - began);
    const event = { type: 'ModeSwitched', data: { mode: target, epoch } } as const;
    // Void when another process has completed it in the meantime.
    if (control.serverMode.epoch < epoch)
      await control.append(modeStream, event, { epoch, correlationId: correlationOf(epoch) });
  }

  /** Until something is recorded that may matter, or it is time to look again. */
  private pause(switching: Switching): Promise<void> {
    const { control, clock } = this.parts;
    const isFinisher = switching.process === this.process;
    if (!this.isUnderWay(switching)) return Promise.resolve();
    return new Promise((resolve) => {
      const end = (): void => {
        cancel();
        unwatch();
        resolve();
      };
      this.endPause = end;
      const cancel = clock.after(isFinisher ? this.times.finisherLooksMs : this.times.othersLookMs, end);
      const unwatch = control.watch(() => {
        if (isFinisher || !this.isUnderWay(switching)) end();
      });
    });
  }
}

/** The process that asked for the switch; when it has died, the first of those that live. */
const finisherOf = ({ process }: Switching, live: readonly string[]): string | undefined =>
  live.includes(process) ? process : [...live].sort()[0];

const correlationOf = (epoch: number): string => `mode-switch-${epoch}`;

/** Throws `OutcomeUnknown`, `NotApplied`. */
async function fenceAll(log: EventLog, epoch: number): Promise<void> {
  const older = Array.from({ length: log.partitions }, (_, partition) => partition).filter(
    (partition) => log.tail(partition).epoch < epoch,
  );
  await Promise.all(older.map((partition) => log.fence(partition, epoch)));
}
