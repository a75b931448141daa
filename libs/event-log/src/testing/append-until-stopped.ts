import { randomUUID } from 'node:crypto';
import { advance, unwritten, type NewRecord } from '#events';
import { EmbeddedEventLog } from '../embedded/index.js';

/**
 * Appends to an embedded log, many streams at once, and writes a line about each append as soon as it was answered:
 * `accepted`, `not-applied` or `outcome-unknown`, and the event id. Ends when it is killed, or when the log has refused
 * so many appends one after the other that it will not store any more. What the log says of its trouble goes to the
 * standard error. Lines to a pipe are written before the program goes on.
 */
const [directory = '', partitions = '1', writers = '1', valueSize = '100'] = process.argv.slice(2);
const REFUSED_FOR_GOOD = 20;

const log = await EmbeddedEventLog.open({
  directory,
  partitions: Number(partitions),
  onTrouble: (reason) => process.stderr.write(`${reason ? `trouble: ${reason.message}` : 'well again'}\n`),
});
await log.follow([], () => undefined);

let refused = 0;

async function writeStreams(partition: number): Promise<void> {
  while (refused < REFUSED_FOR_GOOD) await writeStream(partition);
}

async function writeStream(partition: number): Promise<void> {
  let head = unwritten;
  const stream = `${partition}-${randomUUID()}`;
  while (head.version < 5 && refused < REFUSED_FOR_GOOD) {
    const record: NewRecord = {
      eventId: randomUUID(),
      type: 'ServiceUpdated',
      schemaVersion: 1,
      tenant: '1',
      stream,
      partition,
      version: head.version + 1,
      epoch: 0,
      correlationId: randomUUID(),
      value: JSON.stringify('x'.repeat(Math.ceil(Math.random() * Number(valueSize)))),
    };
    try {
      const verdict = await log.append(record, head);
      if (verdict.outcome !== 'accepted') throw new Error(`version ${record.version} of ${stream} is void`);
      head = advance(head, { ...record, recordedAt: verdict.recordedAt });
      refused = 0;
      process.stdout.write(`accepted ${record.eventId}\n`);
    } catch (error) {
      refused += 1;
      process.stdout.write(`${(error as { code?: string }).code} ${record.eventId}\n`);
      if ((error as { code?: string }).code === 'outcome-unknown') return;
    }
  }
}

await Promise.all(Array.from({ length: Number(writers) }, (_, n) => writeStreams(n % log.partitions)));
