import { Rejected, decideMetadata, keptMetadataAnswer, type MetadataAnswer, type MetadataCommand } from '#domain';
import type { Clock } from '#event-log';
import { switching, truthfully } from '../services/command-path.js';
import { RejectedAt } from '../services/rejected-at.js';
import type { RequestContext } from '../services/service.messages.js';
import { Turns } from '../services/turns.js';
import { Unavailable } from '../services/unavailable.js';
import { metadataStream, type ControlLog } from './control-log.js';

export interface MetadataChanged {
  readonly answer: MetadataAnswer;
  /** Offset in the control log up to which the answer holds. */
  readonly position: number;
}

/** How often a command decides again after another one took its place in the stream. */
const attempts = 8;
/** How long a command waits for those before it, ms. */
const turnPatienceMs = 5_000;

/** The path of one change of metadata that was admitted: turn, decide, append, judged answer, as that of a service. */
export class MetadataPath {
  private readonly turns: Turns;

  constructor(
    private readonly control: ControlLog,
    clock: Clock,
  ) {
    this.turns = new Turns(clock, turnPatienceMs);
  }

  /**
   * The change is in force in this process when this resolves, and in another one when that has passed the answer's
   * position. Throws `Rejected` (after a read barrier), `Unavailable`.
   */
  change(command: MetadataCommand, context: RequestContext): Promise<MetadataChanged> {
    return truthfully(() => this.turns.take(context.tenant, () => this.decideAndAppend(command, context)));
  }

  private async decideAndAppend(command: MetadataCommand, context: RequestContext): Promise<MetadataChanged> {
    const { control } = this;
    const { tenant, correlationId, idempotency, admitted } = context;
    let barrierPassed = false;
    for (let attempt = 0; attempt < attempts;) {
      try {
        const metadata = control.metadata(tenant);
        const kept = idempotency && keptMetadataAnswer(metadata, idempotency, control.now());
        const { event, answer } = kept ? { answer: kept } : decideMetadata(command, metadata);
        if (event) {
          const { epoch } = admitted;
          const about = { epoch, correlationId, ...(idempotency && { idempotency }) };
          const verdict = await control.append(metadataStream(tenant), event, about);
          if (verdict.outcome === 'accepted') return { answer, position: verdict.position.offset };
          if (verdict.reason === 'epoch') throw switching();
          // Somebody else was first: decide again about what is true now.
          attempt++;
          barrierPassed = false;
          continue;
        }
        if (barrierPassed || kept) return { answer, position: control.position };
      } catch (error) {
        if (!(error instanceof Rejected)) throw error;
        if (barrierPassed) throw new RejectedAt(error, context.seen, control.position);
      }
      await control.barrier();
      barrierPassed = true;
    }
    throw new Unavailable(
      'OverloadedException',
      `Others changed the metadata ${attempts} times before this could be recorded. Try again.`,
      'not-applied',
    );
  }
}
