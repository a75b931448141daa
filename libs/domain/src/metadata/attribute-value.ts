import type { AttributeSchema, Json } from '#events';

/** A day, with a time or without (contract 0.3, 21). */
const dateForm = /^(\d{4})-(\d{1,2})-(\d{1,2})(?:T\d{1,2}:\d{1,2}:\d{1,2}(?:\.\d{1,9})?(?:Z|[+-]\d{2}(?::?\d{2})?)?)?$/;
const amountForm = /^-?\d{1,15}(?:\.\d{1,6})?$/;
const [SMALLEST_INTEGER, LARGEST_INTEGER] = [-(2 ** 31), 2 ** 31 - 1];

/** Whether an attribute of this schema can hold the value (contract 6.2). */
export function isOfType(value: Json, { type, length }: Pick<AttributeSchema, 'type' | 'length'>): boolean {
  switch (type) {
    case 'string':
      return typeof value === 'string' && (length === undefined || [...value].length <= length);
    case 'integer':
      return Number.isInteger(value) && Number(value) >= SMALLEST_INTEGER && Number(value) <= LARGEST_INTEGER;
    case 'long':
      return Number.isSafeInteger(value);
    case 'double':
      return typeof value === 'number';
    case 'currency':
      return typeof value === 'number' || (typeof value === 'string' && amountForm.test(value));
    case 'date':
    case 'datetime':
      return typeof value === 'string' && isDay(value);
    case 'boolean':
      return typeof value === 'boolean';
    default:
      return false;
  }
}

/** Whether the text is a date, with a time or without, of a day that exists. */
function isDay(text: string): boolean {
  const [, year, month, day] = (dateForm.exec(text) ?? []).map(Number);
  if (year === undefined || month === undefined || day === undefined) return false;
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  return date.getUTCMonth() === month - 1 && date.getUTCDate() === day;
}
