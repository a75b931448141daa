/** The meanings of 503 (contract 0.3, 11). */
export type UnavailableException =
  | 'ModeException'
  | 'SwitchingException'
  | 'OverloadedException'
  | 'OutcomeUnknownException'
  | 'StreamParkedException'
  | 'ServiceUnavailableException';

/** The request cannot be answered now; nothing is said that is not known. */
export class Unavailable extends Error {
  constructor(
    readonly exception: UnavailableException,
    message: string,
    /** What became of the command. Missing for queries: they change nothing. */
    readonly outcome?: 'not-applied' | 'unknown',
    readonly retryAfterSeconds = 1,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
