import type { ServiceEvent } from '#events';
import type { ServiceCommand } from './commands.js';
import type { Answer, Service } from './service.js';

export interface Decision {
  /** What to record; missing when everything asked for is there already (a composite start that found it all). */
  readonly event?: ServiceEvent;
  readonly answer: Answer;
}

/** What this command adds to the service. Pure. Throws `Rejected`. */
export function decide(_command: ServiceCommand, _service: Service): Decision {
  throw new Error('not yet');
}
