/**
 * How long a stream lives, counted in recorded (log) time, never in a caller's or a process's time (contract 0.3, 17).
 * - `slide`: seconds after each event; - `ttl`: seconds after this event; - `until`: epoch milliseconds.
 * The last two stay until the next explicit lifetime.
 */
export type Lifetime = { readonly slide: number } | { readonly ttl: number } | { readonly until: number };

/** What decides whether the next record of a stream is valid: folded from envelopes alone, never from bodies. */
export interface Head {
  /** Version of the last valid record; 0 before the first. */
  readonly version: number;
  /** Seconds that each event adds from its recorded time, while the lifetime is a sliding one. */
  readonly slide?: number;
  /** Epoch milliseconds; a record of this time or later is void. */
  readonly expiresAt?: number;
}

export const unwritten: Head = { version: 0 };

/** The head after a valid record. */
export function advance(
  head: Head,
  record: { readonly version: number; readonly recordedAt: number; readonly lifetime?: Lifetime },
): Head {
  const { version, recordedAt, lifetime } = record;
  if (lifetime === undefined) {
    const { slide, expiresAt } = head;
    if (slide !== undefined) return { version, slide, expiresAt: recordedAt + slide * 1000 };
    return expiresAt === undefined ? { version } : { version, expiresAt };
  }
  if ('slide' in lifetime) return { version, slide: lifetime.slide, expiresAt: recordedAt + lifetime.slide * 1000 };
  if ('ttl' in lifetime) return { version, expiresAt: recordedAt + lifetime.ttl * 1000 };
  return { version, expiresAt: lifetime.until };
}

/** Header text of a lifetime, for example `slide=157680000`. Throws a `RangeError` for what could not be read back. */
export function formatLifetime(lifetime: Lifetime): string {
  const [[kind, amount]] = Object.entries(lifetime) as [[string, number]];
  const text = `${kind}=${amount}`;
  if (parseLifetime(text) === undefined) throw new RangeError(`${text} is not a lifetime`);
  return text;
}

/** Inverse of {@link formatLifetime}; undefined for any other text. */
export function parseLifetime(text: string): Lifetime | undefined {
  const match = /^(slide|ttl|until)=(\d{1,15})$/.exec(text);
  if (!match) return undefined;
  const amount = Number(match[2]);
  return match[1] === 'slide' ? { slide: amount } : match[1] === 'ttl' ? { ttl: amount } : { until: amount };
}
