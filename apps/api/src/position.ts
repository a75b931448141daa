/** Highest offset (inclusive) seen of each partition of the services log: `X-CS-Position`, for example `s3:1234,s5:0`. */
export type LogPositions = ReadonlyMap<number, number>;

export const nothingSeen: LogPositions = new Map();

/** Thrown for a header that is not a position. */
export class MalformedPosition extends Error {}

/** Other topics' letters (`p`, `c`) are accepted and passed over until something is recorded there. */
export function parsePositions(header: string | undefined): LogPositions {
  const positions = new Map<number, number>();
  if (header === undefined) return positions;
  for (const part of header.split(',')) {
    const match = /^\s*(?:([sp])(\d{1,5})|(c)):(\d{1,15})\s*$/.exec(part);
    if (!match)
      throw new MalformedPosition(`X-CS-Position is malformed at '${part.slice(0, 40)}': expected for example s3:1234`);
    if (match[1] === 's') {
      const partition = Number(match[2]);
      positions.set(partition, Math.max(positions.get(partition) ?? 0, Number(match[4])));
    }
  }
  return positions;
}

export const formatPositions = (positions: LogPositions): string =>
  [...positions]
    .sort(([a], [b]) => a - b)
    .map(([partition, offset]) => `s${partition}:${offset}`)
    .join(',');

export function mergePositions(...all: readonly LogPositions[]): LogPositions {
  const merged = new Map<number, number>();
  for (const positions of all) {
    for (const [partition, offset] of positions) merged.set(partition, Math.max(merged.get(partition) ?? 0, offset));
  }
  return merged;
}
