import type { Mode } from '#events';
import type { Clock } from '#event-log';
import type { ControlLog } from '../control/control-log.js';
import { Admission, type Admitted, type Requirement } from '../services/admission.js';
import { switching } from '../services/command-path.js';
import { Unavailable } from '../services/unavailable.js';
import type { ProcessLease } from './process-lease.js';

/** What a switch waits for: calls for service and profile data, or calls about metadata. */
export type CallKind = 'data' | 'schema';

/** The calls that end before a switch to this mode is complete. */
export const drainedBefore: Readonly<Record<Mode, CallKind>> = { maintenance: 'data', production: 'schema' };

/** A caller may try again when somebody has switched the mode: not at once. */
const OTHER_MODE_RETRY_SECONDS = 10;

/**
 * The gate of this process: it lets calls in by the mode that the control log says, and counts those in flight. It is
 * closed while the mode is switched, and when this process may be the only one that does not know that (design 4).
 */
export class Gate extends Admission {
  private readonly inFlight: Record<CallKind, number> = { data: 0, schema: 0 };
  private readonly waiting = new Set<() => void>();

  constructor(
    private readonly control: ControlLog,
    private readonly lease: Pick<ProcessLease, 'isHeld' | 'term'>,
    private readonly clock: Clock,
  ) {
    super();
  }

  override admit(requirement: Requirement, method: string): Admitted {
    this.refuseWithoutLease();
    const { mode, epoch, switching: underWay } = this.control.serverMode;
    if (underWay) throw switching();
    if (requirement !== 'both' && requirement !== mode) {
      const message = `The method '${method}' is not available while the system is in '${mode}' mode.`;
      throw new Unavailable('ModeException', message, 'not-applied', OTHER_MODE_RETRY_SECONDS);
    }
    return { epoch, term: this.lease.term };
  }

  /**
   * To be asked just before a query is answered: a process that was cut off meanwhile may show what is no longer so, and
   * one that hung through a switch answers in the wrong mode. A lease that was lost and regained does not help: nobody
   * has waited for what was admitted before. Throws `Unavailable`.
   */
  readmit({ epoch, term }: Admitted): void {
    if (this.lease.term !== term) throw outOfTouch();
    this.refuseWithoutLease();
    if (this.control.serverMode.epoch !== epoch) throw switching();
  }

  /** A call is under way until the returned function is called, once or more often. */
  enter(kind: CallKind): () => void {
    this.inFlight[kind]++;
    let left = false;
    return () => {
      if (left) return;
      left = true;
      this.inFlight[kind]--;
      for (const look of this.waiting) look();
    };
  }

  /** Resolves with true when no call of this kind is in flight, with false when some still are after `withinMs`. */
  drained(kind: CallKind, withinMs: number): Promise<boolean> {
    if (this.inFlight[kind] === 0) return Promise.resolve(true);
    return new Promise((resolve) => {
      const end = (drained: boolean): void => {
        cancel();
        this.waiting.delete(look);
        resolve(drained);
      };
      const look = (): void => {
        if (this.inFlight[kind] === 0) end(true);
      };
      const cancel = this.clock.after(withinMs, () => end(false));
      this.waiting.add(look);
    });
  }

  private refuseWithoutLease(): void {
    if (!this.lease.isHeld) throw outOfTouch();
  }
}

const outOfTouch = (): Unavailable =>
  new Unavailable(
    'ServiceUnavailableException',
    'This process has lost touch with the event log and may not know the mode of the server. Try again.',
    'not-applied',
  );
