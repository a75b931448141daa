import {
  isClaimEvent,
  open,
  openControl,
  streamKey,
  unwritten,
  advance,
  type ControlEvent,
  type DomainEvent,
  type Head,
  type RecordedEvent,
} from '#events';
import { judge, type LogRecord } from '#event-log';
import { KafkaLogTransport, type KafkaLogTransportOptions } from '#event-log/kafka';
import type { Place } from './processes.js';

export interface ValidEvent {
  readonly record: RecordedEvent;
  readonly event: DomainEvent;
}

/** The whole services log of a place as every reader counts it, read by a process of our own. */
export async function readLog(place: Place): Promise<{ valid: readonly ValidEvent[]; records: readonly LogRecord[] }> {
  const records = await readRecords(place, 'services');
  return { valid: validEvents(records), records };
}

/** Everything in one log of a place up to its end of now. */
export async function readRecords(place: Place, log: 'services' | 'control'): Promise<readonly LogRecord[]> {
  const { topicPrefix, partitions } = place;
  const brokers = [process.env.CS_TEST_KAFKA!];
  const transport = await KafkaLogTransport.connect({
    brokers,
    topicPrefix,
    partitions,
    log,
  } as KafkaLogTransportOptions);
  try {
    const ends = await transport.ends();
    const records: LogRecord[] = [];
    const missing = new Set(ends.flatMap((end, partition) => (end > 0 ? [partition] : [])));
    let done: () => void = () => undefined;
    const complete = new Promise<void>((resolve, reject) => {
      done = resolve;
      const start = ends.map((_, partition) => ({ partition, next: 0, epoch: 0 }));
      const take = (some: readonly LogRecord[]): void => {
        for (const record of some) {
          if (record.offset < ends[record.partition]!) records.push(record);
          if (record.offset >= ends[record.partition]! - 1) missing.delete(record.partition);
        }
        if (missing.size === 0) resolve();
      };
      transport.follow(start, take, reject).catch(reject);
    });
    if (missing.size === 0) done();
    await complete;
    return records;
  } finally {
    await transport.close();
  }
}

/** What counts of the records of a services log. */
export const validEvents = (records: readonly LogRecord[]): readonly ValidEvent[] =>
  validRecords(records).map((record) => ({ record, event: open(record).event }));

/** What counts of the records of a control log. */
export const validControlEvents = (
  records: readonly LogRecord[],
): readonly { readonly record: RecordedEvent; readonly event: ControlEvent }[] =>
  validRecords(records).map((record) => ({ record, event: openControl(record).event }));

function validRecords(records: readonly LogRecord[]): readonly RecordedEvent[] {
  const heads = new Map<string, Head>();
  const epochs = new Map<number, number>();
  return records.filter((record): record is RecordedEvent => {
    const epoch = epochs.get(record.partition) ?? 0;
    if (record.kind === 'fence') epochs.set(record.partition, Math.max(epoch, record.epoch));
    if (record.kind !== 'event') return false;
    const key = streamKey(record);
    const head = heads.get(key) ?? unwritten;
    if (!judge(record, head, epoch).valid) return false;
    heads.set(key, advance(head, record));
    return true;
  });
}

/** The valid events of one service, without claims, in stream order. */
export const eventsOf = (valid: readonly ValidEvent[], serviceId: string): readonly ValidEvent[] =>
  valid.filter(({ record, event }) => record.stream === serviceId && !isClaimEvent(event));
