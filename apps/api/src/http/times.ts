const form =
  /^(\d{4})-(\d{1,2})-(\d{1,2})T(\d{1,2}):(\d{1,2}):(\d{1,2})(?:\.(\d{1,9}))?(?:Z|([+-])(\d{2})(?::?(\d{2}))?)?$/;
const MINUTE_MS = 60_000;

/**
 * Epoch milliseconds of a date and time as callers write it (contract 2.2): one-digit parts, a fraction of 1 to 9 digits
 * (cut to milliseconds), `Z` or an offset, UTC without. Undefined for any other text, and for a day that does not exist.
 */
export function parseTime(text: string): number | undefined {
  const match = form.exec(text);
  if (!match) return undefined;
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const ms = Number((match[7] ?? '').padEnd(3, '0').slice(0, 3));
  const [offsetHours, offsetMinutes] = [Number(match[9] ?? 0), Number(match[10] ?? 0)];
  if (hour > 23 || minute > 59 || second > 59 || offsetHours > 23 || offsetMinutes > 59) return undefined;
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  if (date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day) return undefined;
  date.setUTCHours(hour, minute, second, ms);
  const offset = (offsetHours * 60 + offsetMinutes) * MINUTE_MS * (match[8] === '-' ? -1 : 1);
  const time = date.getTime() - offset;
  const utcYear = new Date(time).getUTCFullYear();
  return utcYear >= 0 && utcYear <= 9999 ? time : undefined;
}

/** How times are kept and answered: three digits of fraction and `Z`. */
export const formatTime = (epochMs: number): string => new Date(epochMs).toISOString();
