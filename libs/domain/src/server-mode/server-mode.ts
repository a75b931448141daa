import type { EventEnvelope, Mode, ModeEvent, ModeSwitchStarted } from '#events';

/** A switch that has begun and is not complete. */
export interface Switching {
  readonly target: Mode;
  /** Of the mode that the switch opens. */
  readonly epoch: number;
  /** The process that started it. */
  readonly process: string;
  /** Epoch milliseconds of the log's clock. */
  readonly since: number;
  /** Processes that answer nothing any more that was asked before. */
  readonly drained: ReadonlySet<string>;
}

/** The mode of the server: the fold of the mode's streams in the control log (design 4). */
export interface ServerMode {
  /** The mode in force, or the one before while it is switched. */
  readonly mode: Mode;
  /** Of the mode: records that were admitted with an older one are void. */
  readonly epoch: number;
  readonly switching?: Switching;
}

/** A fresh server (contract 0.3, 7). */
export const freshServer: ServerMode = { mode: 'production', epoch: 0 };

/** The switch to `target` by this process; undefined when that mode is in force. Not to be asked while one is under way. */
export function decideSwitch(
  { mode, epoch }: ServerMode,
  target: Mode,
  process: string,
): ModeSwitchStarted | undefined {
  if (mode === target) return undefined;
  return { type: 'ModeSwitchStarted', data: { target, epoch: epoch + 1, process } };
}

export function evolveServerMode(server: ServerMode, { event, record }: EventEnvelope<ModeEvent>): ServerMode {
  const { mode, epoch, switching } = server;
  switch (event.type) {
    case 'ModeSwitchStarted':
      return { mode, epoch, switching: { ...event.data, since: record.recordedAt, drained: new Set() } };
    case 'ModeSwitched':
      return event.data;
    case 'ProcessDrained': {
      if (switching?.epoch !== event.data.epoch) return server;
      return { mode, epoch, switching: { ...switching, drained: new Set([...switching.drained, event.data.process]) } };
    }
  }
}
