import { advance, streamKey, unwritten, type Head, type RecordedEvent } from '#events';
import { fenced, judge, type Foreign, type Judgement, type LogRecord } from '#event-log';
import type { StreamHistory } from '../simulation/history.js';

/** A record, and what the rule says of it where it stands. */
export interface Judged {
  readonly record: RecordedEvent;
  readonly before: Head;
  /** The partition's. */
  readonly epoch: number;
  readonly judgement: Judgement;
}

/** From this record on nobody can fold the stream: it waits for an operator. */
export interface Parking {
  /** The place in the stream that was not filled. */
  readonly version: number;
  readonly record: RecordedEvent;
}

/** Every event record, by stream, in log order. */
export function judgeAll(partitions: readonly (readonly LogRecord[])[]): ReadonlyMap<string, readonly Judged[]> {
  const streams = new Map<string, Judged[]>();
  for (const records of partitions) {
    let epoch = 0;
    for (const record of records) {
      if (record.kind === 'fence') epoch = fenced(epoch, record.epoch);
      if (record.kind !== 'event') continue;
      const key = streamKey(record);
      const stream = streams.get(key) ?? [];
      streams.set(key, stream);
      const last = stream.at(-1);
      const before = last ? (last.judgement.valid ? advance(last.before, last.record) : last.before) : unwritten;
      stream.push({ record, before, epoch, judgement: judge(record, before, epoch) });
    }
  }
  return streams;
}

export const isImpossible = ({ judgement }: Judged): boolean => !judgement.valid && judgement.reason === 'impossible';

/** The first record that no program of this protocol writes, or that cannot be decoded or folded; whichever comes first. */
export function parkingOf(
  judged: readonly Judged[],
  { steps }: Pick<StreamHistory, 'steps'> = { steps: [] },
): Parking | undefined {
  const impossible = judged.find(isImpossible);
  const bad = steps.find(({ aggregate }) => !aggregate)?.record.offset;
  const unfoldable = judged.find(({ record }) => record.offset === bad);
  const first =
    impossible && unfoldable && unfoldable.record.offset < impossible.record.offset
      ? unfoldable
      : (impossible ?? unfoldable);
  return first && { version: first.before.version + 1, record: first.record };
}

/** What was set aside for an operator, and why. */
export interface Letter {
  readonly reason: string;
  readonly record: RecordedEvent | Foreign;
}

/** Of a parked stream: what has to be set aside, and what may be besides, because the row could not tell that it is void. */
export function lettersOf(
  judged: readonly Judged[],
  parking: Parking,
): { readonly must: readonly RecordedEvent[]; readonly may: readonly RecordedEvent[] } {
  const later = judged.filter(({ record }) => record.offset > parking.record.offset);
  const valid = later.filter(({ judgement }) => judgement.valid);
  const may = later.filter(({ record, epoch }) => record.epoch >= epoch && record.version >= parking.version);
  return { must: [parking.record, ...valid.map(({ record }) => record)], may: may.map(({ record }) => record) };
}
