import { streamKey } from '#events';
import type { Batch, LogRecord } from '#event-log';

/** No stream's key: that always has a slash. */
const NO_STREAM = '';

const keyOf = (record: LogRecord): string => (record.kind === 'event' ? streamKey(record) : NO_STREAM);

/**
 * Hands a batch's records out: those of one stream one after another, and then `finish` for the stream; at most
 * `streamsAtOnce` streams at the same time. After the first failure, or when the batch is stale, nothing new is begun.
 * Resolves or throws that failure when all that was begun is done.
 */
export async function inStreamOrder(
  batch: Batch,
  streamsAtOnce: number,
  handle: (record: LogRecord, epoch: number) => Promise<void>,
  finish: (stream: string) => Promise<void>,
): Promise<void> {
  const streams = new Map<string, number[]>();
  batch.records.forEach((record, index) => {
    const key = keyOf(record);
    const places = streams.get(key);
    if (places) places.push(index);
    else streams.set(key, [index]);
  });

  let failure: { readonly error: unknown } | undefined;
  const waiting = streams.entries(); // shared: each worker takes the next stream from it
  const isOver = (): boolean => failure !== undefined || batch.isStale();
  const work = async (): Promise<void> => {
    try {
      for (const [stream, places] of waiting) {
        for (const index of places) {
          if (isOver()) return;
          await handle(batch.records[index]!, batch.epochs[index]!);
        }
        if (isOver()) return;
        await finish(stream);
      }
    } catch (error) {
      failure ??= { error };
    }
  };
  await Promise.all(Array.from({ length: Math.min(streamsAtOnce, streams.size) }, work));
  if (failure) throw failure.error;
}
