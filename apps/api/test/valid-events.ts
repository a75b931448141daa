import {
  isClaimEvent,
  open,
  streamKey,
  unwritten,
  advance,
  type DomainEvent,
  type Head,
  type RecordedEvent,
} from '#events';
import { judge, type LogRecord } from '#event-log';
import { KafkaLogTransport } from '#event-log/kafka';
import type { Place } from './processes.js';

export interface ValidEvent {
  readonly record: RecordedEvent;
  readonly event: DomainEvent;
}

/** The whole log of a place as every reader counts it, read by a process of our own. */
export async function readLog(place: Place): Promise<{ valid: readonly ValidEvent[]; records: readonly LogRecord[] }> {
  const { topicPrefix, partitions } = place;
  const transport = await KafkaLogTransport.connect({ brokers: [process.env.CS_TEST_KAFKA!], topicPrefix, partitions });
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
    return { valid: fold(records), records };
  } finally {
    await transport.close();
  }
}

function fold(records: readonly LogRecord[]): ValidEvent[] {
  const heads = new Map<string, Head>();
  const epochs = new Map<number, number>();
  return records.flatMap((record): ValidEvent[] => {
    const epoch = epochs.get(record.partition) ?? 0;
    if (record.kind === 'fence') epochs.set(record.partition, Math.max(epoch, record.epoch));
    if (record.kind !== 'event') return [];
    const key = streamKey(record);
    const head = heads.get(key) ?? unwritten;
    if (!judge(record, head, epoch).valid) return [];
    heads.set(key, advance(head, record));
    return [{ record, event: open(record).event }];
  });
}

/** The valid events of one service, without claims, in stream order. */
export const eventsOf = (valid: readonly ValidEvent[], serviceId: string): readonly ValidEvent[] =>
  valid.filter(({ record, event }) => record.stream === serviceId && !isClaimEvent(event));
