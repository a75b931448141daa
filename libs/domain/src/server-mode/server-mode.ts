import type { EventEnvelope, IdempotencyDigest, Mode, ModeEvent, ModeSwitchStarted } from '#events';
import { Rejected } from '../rejected.js';
import { answersKeptForMs } from '../service/answer.js';

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

/** A switch that was asked for with an `Idempotency-Key`. */
export interface KeyedSwitch {
  readonly idempotency: IdempotencyDigest;
  readonly epoch: number;
  /** Epoch milliseconds of the log's clock. */
  readonly since: number;
}

/** The mode of the server: the fold of the mode's streams in the control log (design 4). */
export interface ServerMode {
  /** The mode in force, or the one before while it is switched. */
  readonly mode: Mode;
  /** Of the mode: records that were admitted with an older one are void. */
  readonly epoch: number;
  readonly switching?: Switching;
  /** Those of the last 24 h. */
  readonly keyed: readonly KeyedSwitch[];
}

/** A fresh server (contract 0.3, 7). */
export const freshServer: ServerMode = { mode: 'production', epoch: 0, keyed: [] };

/** The switch to `target` by this process; undefined when that mode is in force. Not to be asked while one is under way. */
export function decideSwitch(
  { mode, epoch }: ServerMode,
  target: Mode,
  process: string,
): ModeSwitchStarted | undefined {
  if (mode === target) return undefined;
  return { type: 'ModeSwitchStarted', data: { target, epoch: epoch + 1, process } };
}

/**
 * The epoch of the switch that a request with this key has begun, undefined when the key is new. `now`: recorded time.
 * Throws `Rejected` when the key came with another request.
 */
export function keptSwitch(
  { keyed }: ServerMode,
  { key, request }: IdempotencyDigest,
  now: number,
): number | undefined {
  const kept = keyed.find(({ idempotency, since }) => idempotency.key === key && now - since <= answersKeptForMs);
  if (kept !== undefined && kept.idempotency.request !== request) {
    throw new Rejected('idempotency-key-reused', 'This Idempotency-Key came before with another method, path or body');
  }
  return kept?.epoch;
}

export function evolveServerMode(server: ServerMode, { event, record }: EventEnvelope<ModeEvent>): ServerMode {
  const { switching, keyed } = server;
  const { idempotency, recordedAt: since } = record;
  switch (event.type) {
    case 'ModeSwitchStarted': {
      const { epoch } = event.data;
      const young = keyed.filter((kept) => since - kept.since <= answersKeptForMs);
      return {
        ...server,
        switching: { ...event.data, since, drained: new Set() },
        keyed: idempotency ? [...young, { idempotency, epoch, since }] : young,
      };
    }
    case 'ModeSwitched':
      return { ...event.data, keyed };
    case 'ProcessDrained': {
      if (switching?.epoch !== event.data.epoch) return server;
      const drained = new Set([...switching.drained, event.data.process]);
      return { ...server, switching: { ...switching, drained } };
    }
  }
}
