/** Starting would lose data, or damage it: a person must decide. Trying again does not help. */
export class RefusedStart extends Error {
  readonly code = 'refused-start';
}
