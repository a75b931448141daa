import type { Mode } from '#events';

/** What a call needs of the server's mode (contract 0.3, 1). */
export type Requirement = Mode | 'both';

/** The gate let it pass. Whatever it records carries the epoch of that moment, through every retry (design 3, step 0). */
export interface Admitted {
  readonly epoch: number;
  /** Of the lease of this process at that moment: a query is not answered under another one. */
  readonly term: number;
}

/** The gate: no command appends without an admission, whoever sends it. */
export abstract class Admission {
  /**
   * `method`: how a refusal names the call, `POST /services/start`. Throws `Unavailable` while the mode is switched, in
   * the other mode, and when this process may not know the mode.
   */
  abstract admit(requirement: Requirement, method: string): Admitted;
}
