/** Highest offset (inclusive) seen of each partition of the services log. */
export type LogPositions = ReadonlyMap<number, number>;

/** `X-CS-Position`, for example `s3:1234,s5:0,c:41`: what was seen of the services log and of the control log. */
export interface SeenPositions {
  readonly services: LogPositions;
  readonly control?: number;
}

export const nothingSeen: LogPositions = new Map();

/** Thrown for a header that is not a position. */
export class MalformedPosition extends Error {}

/** The letter of another topic (`p`) is accepted and passed over until something is recorded there. */
export function parsePositions(header: string | undefined): SeenPositions {
  let seen: SeenPositions = { services: nothingSeen };
  if (header === undefined) return seen;
  for (const part of header.split(',')) {
    const match = /^\s*(?:([sp])(\d{1,5})|(c)):(\d{1,15})\s*$/.exec(part);
    if (!match)
      throw new MalformedPosition(`X-CS-Position is malformed at '${part.slice(0, 40)}': expected for example s3:1234`);
    const offset = Number(match[4]);
    if (match[1] === 's') seen = mergeSeen(seen, { services: new Map([[Number(match[2]), offset]]) });
    if (match[3] === 'c') seen = mergeSeen(seen, { services: nothingSeen, control: offset });
  }
  return seen;
}

/** Undefined when nothing was seen. */
export function formatPositions({ services, control }: SeenPositions): string | undefined {
  const parts = [...services].sort(([a], [b]) => a - b).map(([partition, offset]) => `s${partition}:${offset}`);
  if (control !== undefined) parts.push(`c:${control}`);
  return parts.length === 0 ? undefined : parts.join(',');
}

export function mergePositions(...all: readonly LogPositions[]): LogPositions {
  const merged = new Map<number, number>();
  for (const positions of all) {
    for (const [partition, offset] of positions) merged.set(partition, Math.max(merged.get(partition) ?? 0, offset));
  }
  return merged;
}

export function mergeSeen(a: SeenPositions, b: SeenPositions): SeenPositions {
  const control = Math.max(a.control ?? -1, b.control ?? -1);
  return { services: mergePositions(a.services, b.services), ...(control >= 0 && { control }) };
}
