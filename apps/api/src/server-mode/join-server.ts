import { decideMetadata, type MetadataCommand } from '#domain';
import type { Mode } from '#events';
import { RefusedStart, type Clock, type EventLog, type Presence } from '#event-log';
import { ControlLog, metadataStream } from '../control/control-log.js';
import { Gate } from './gate.js';
import { ModeSwitch, type SwitchObserver, type SwitchTimes } from './mode-switch.js';
import { ProcessLease } from './process-lease.js';

export interface JoinServerParts {
  /** Of one partition, not followed yet. */
  readonly control: EventLog;
  /** The log whose events the mode protects, followed. */
  readonly data: EventLog;
  readonly presence: Presence;
  readonly clock: Clock;
  /** Monotonic time of this process, ms, as that of `Presence.renew`. */
  readonly monotonic?: () => number;
  /** Whose metadata the first process of a new installation records, and what it begins with. */
  readonly tenant: string;
  readonly initialMetadata: () => MetadataCommand;
  readonly leaseMs: number;
  /** For how long calls in flight are waited for before a switch to this mode, ms. */
  readonly drainMs: Readonly<Record<Mode, number>>;
  readonly switchTimes?: SwitchTimes;
  /** Unique among all processes. */
  readonly newId: () => string;
  readonly observer: SwitchObserver;
  /** Each time a renewal of the lease ended. */
  readonly onRenewal: (error?: unknown) => void;
  /** This process cannot know the mode any more, and must end. */
  readonly onFatal: (error: Error) => void;
}

/** A process that switches of the mode wait for. */
export interface Joined {
  readonly control: ControlLog;
  readonly lease: ProcessLease;
  readonly gate: Gate;
  readonly modeSwitch: ModeSwitch;
}

/**
 * Makes this process one that a switch of the mode waits for, and learns mode and metadata. In this order: a switch that
 * begins after the lease waits for this process, one that began before is seen. Throws `LogUnavailable`, `NotApplied`,
 * `OutcomeUnknown`: try again later with logs opened anew; `RefusedStart`.
 */
export async function joinServer(parts: JoinServerParts): Promise<Joined> {
  const { data, presence, clock, monotonic, leaseMs, drainMs, switchTimes, newId, observer } = parts;
  const control = new ControlLog(parts.control, newId, parts.onFatal);
  const lease = new ProcessLease(presence, clock, {
    leaseMs,
    onRegained: () => control.barrier(),
    onRenewal: parts.onRenewal,
    ...(monotonic && { monotonic }),
  });
  await lease.start();
  try {
    const epochs = Array.from({ length: data.partitions }, (_, partition) => data.tail(partition).epoch);
    await control.follow();
    refuseForgottenEpochs(epochs, control);
    await initialize(control, parts);
    const gate = new Gate(control, lease, clock);
    const modeSwitch = new ModeSwitch({
      control,
      data: [data],
      gate,
      presence,
      clock,
      drainMs,
      ...(switchTimes && { times: switchTimes }),
      observer,
    });
    modeSwitch.start();
    return { control, lease, gate, modeSwitch };
  } catch (error) {
    await lease.stop();
    throw error;
  }
}

/** Each fence belongs to a switch that the control log knows of: otherwise this is another control log, or it has lost its end. */
function refuseForgottenEpochs(epochs: readonly number[], control: ControlLog): void {
  const { epoch, switching } = control.serverMode;
  const known = switching?.epoch ?? epoch;
  epochs.forEach((found, partition) => {
    if (found <= known) return;
    throw new RefusedStart(
      `partition ${partition} of the services log is in epoch ${found}, the control log knows ${known}: it has lost records`,
    );
  });
}

/** The first process of a new installation records its metadata; of several that start at once one does. */
async function initialize(control: ControlLog, { tenant, initialMetadata, newId }: JoinServerParts): Promise<void> {
  while (control.head(metadataStream(tenant)).version === 0) {
    const { event } = decideMetadata(initialMetadata(), control.metadata(tenant));
    if (!event) return;
    // It changes nothing that a mode protects: nobody has used the metadata yet.
    await control.append(metadataStream(tenant), event, { epoch: control.epoch, correlationId: newId() });
  }
}
