/** Starting would lose data, or has found that data was lost: a person must decide. Trying again does not help. */
export class RefusedStart extends Error {
  readonly code = 'refused-start';
}
