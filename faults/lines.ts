import { isDeepStrictEqual } from 'node:util';
import type { RecordedEvent } from '#events';
import type { Call } from './history.js';
import { isImpossible, type Judged } from './judged.js';

const MOST_DIFFERENCES = 3;
const LONGEST_VALUE = 120;

export const named = ({
  stream,
  version,
  partition,
  offset,
  type,
}: Pick<RecordedEvent, 'stream' | 'version' | 'partition' | 'offset' | 'type'>): string =>
  `${stream} v${version} ${type} at s${partition}:${offset}`;

/** A record, who brought it, and why it does not count. `parks`: nobody can fold the stream from here on. */
export function lineOfRecord(judged: Judged, parks: boolean): string {
  const { record, judgement, before, epoch } = judged;
  const verdict = isImpossible(judged)
    ? `  impossible after v${before.version} in epoch ${epoch}: the stream is parked`
    : judgement.valid
      ? parks
        ? '  cannot be folded: the stream is parked'
        : ''
      : `  void: ${whyVoid[judgement.reason as keyof typeof whyVoid]}`;
  const ofEpoch = record.epoch > 0 || epoch > 0 ? ` of epoch ${record.epoch}` : '';
  return `    ${named(record)}${ofEpoch} by ${record.correlationId}${verdict}`;
}

const whyVoid = {
  version: 'version taken before',
  epoch: 'epoch is over',
  expired: 'service had expired',
};

/** One request and its answer; of a list in it only the service that matters. */
export function lineOfCall({ id, request, process, ask, key, seen, begin, answer }: Call, service_id?: string): string {
  const { kind, ...about } = ask;
  const details = Object.entries(about).map(([name, value]) => ` ${name} ${short(value)}`);
  const sent = [
    ...(key === undefined ? [] : [`key ${key}`]),
    ...(seen === undefined ? [] : [`having seen ${seen}`]),
    ...(request === id ? [] : [`repeats ${request}`]),
  ];
  const asked = `    #${begin.order} (${begin.ms} ms) ${id} to ${process}: ${[`${kind}${details.join(',')}`, ...sent].join('; ')}`;
  if (!answer) return `${asked} -> no answer`;
  const { status, outcome, exception, position, body, end } = answer;
  const said = [
    `${status}`,
    ...(outcome === undefined ? [] : [outcome]),
    ...(exception === undefined ? [] : [exception]),
    ...(position === undefined ? [] : [`at ${position}`]),
  ];
  return `${asked} -> #${end.order} (${end.ms} ms) ${said.join(' ')}${bodyText(body, service_id)}`;
}

function bodyText(body: unknown, service_id: string | undefined): string {
  if (body === undefined) return '';
  if (!Array.isArray(body)) return ` ${JSON.stringify(body)}`;
  const services = body as readonly { readonly service_id?: unknown }[];
  const concerned = services.filter((one) => service_id === undefined || one.service_id === service_id);
  const others = services.length - concerned.length;
  return ` ${JSON.stringify(concerned)}${others > 0 ? ` and ${others} others` : ''}`;
}

/** Where two values differ, in words; the first few places. Empty when they are the same JSON. */
export function differences(found: unknown, expected: unknown): readonly string[] {
  const all = [...differing('', plain(found), plain(expected))];
  const rest = all.length - MOST_DIFFERENCES;
  return rest > 0 ? [...all.slice(0, MOST_DIFFERENCES), `and ${rest} more`] : all;
}

function* differing(path: string, found: unknown, expected: unknown): Generator<string> {
  if (isDeepStrictEqual(found, expected)) return;
  if (!isObject(found) || !isObject(expected)) {
    yield `${path === '' ? '' : `${path.slice(1)} is `}${short(found)}, must be ${short(expected)}`;
    return;
  }
  const names = new Set([...Object.keys(found), ...Object.keys(expected)]);
  for (const name of names)
    yield* differing(
      `${path}.${name}`,
      Object.hasOwn(found, name) ? found[name] : undefined,
      Object.hasOwn(expected, name) ? expected[name] : undefined,
    );
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null;

const plain = (value: unknown): unknown => (value === undefined ? undefined : JSON.parse(JSON.stringify(value)));

function short(value: unknown): string {
  if (value === undefined) return 'missing';
  const text = JSON.stringify(value);
  return text.length > LONGEST_VALUE ? `${text.slice(0, LONGEST_VALUE)}...` : text;
}
