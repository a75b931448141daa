/** In which mode a command may run (contract 0.3, 1). */
export type Mode = 'production' | 'maintenance';

/** The gate: no command appends without an admission, whoever sends it (design 3, step 0). */
export abstract class Admission {
  /**
   * The epoch of this moment; the command carries it through every retry. Throws `Unavailable` when the gate is closed,
   * the mode is another one, or the projector is too far behind.
   */
  abstract admit(mode: Mode): number;
}
