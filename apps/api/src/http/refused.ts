/** What HTTP itself refuses, before any rule of the domain is asked. How each looks on the wire is one table. */
export type RefusalCode =
  | 'unreadable'
  | 'invalid'
  | 'unknown-tenant'
  | 'no-such-route'
  | 'no-profile-schema'
  | 'no-such-method'
  | 'too-large'
  | 'not-json';

/** The request cannot be served as it was sent; nothing was changed. */
export class Refused extends Error {
  constructor(
    readonly code: RefusalCode,
    message: string,
    readonly headers: Readonly<Record<string, string>> = {},
  ) {
    super(message);
  }
}
