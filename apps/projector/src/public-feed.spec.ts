import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { encode, unwritten, type Head, type NewRecord, type ServiceEvent } from '#events';
import type { PublicEvent } from '#event-log';
import { EmbeddedEventLog, EmbeddedLogReader } from '#event-log/embedded';
import { readPublicEvents } from './public-feed.js';

const service_id = 'loan';
const started: ServiceEvent = {
  type: 'ServiceStarted',
  data: { service_id, contact_key: '42', service_type: 'Loan', timestamp: '2026-01-01T00:00:00.000Z' },
};
const associated: ServiceEvent = {
  type: 'ServiceAssociated',
  data: { service_id, customer_id: 'ann', contact_key: '42' },
};
const ended: ServiceEvent = { type: 'ServiceEnded', data: { service_id, timestamp: '2026-01-01T00:01:00.000Z' } };

describe('the public events of the embedded engine', () => {
  let directory: string;
  let log: EmbeddedEventLog;

  beforeEach(async () => {
    directory = mkdtempSync(path.join(tmpdir(), 'public-feed-'));
    log = await EmbeddedEventLog.open({ directory, partitions: 2 });
    await log.follow([], () => undefined);
  });

  afterEach(async () => {
    await log.close();
    rmSync(directory, { recursive: true, force: true });
  });

  const append = (event: ServiceEvent, head: Head) => {
    const record: NewRecord = {
      ...encode(event),
      eventId: randomUUID(),
      tenant: '1',
      stream: service_id,
      partition: 1,
      version: head.version + 1,
      epoch: 0,
      correlationId: 'test',
    };
    return log.append(record, head);
  };

  it('are the valid ones, in stream order, with properties as of each event', async () => {
    await append(started, unwritten);
    await append(associated, { version: 1 });
    await append(ended, { version: 1 }); // lost the race
    await append(ended, { version: 2 });
    const reader = await EmbeddedLogReader.open({ directory });
    const events: PublicEvent[] = [];
    await readPublicEvents(reader, (event) => events.push(event), false);
    await reader.close();
    expect(events.map(({ type, sequence, subject }) => ({ type, sequence, subject }))).toEqual([
      { type: 'ServiceStarted', sequence: 1, subject: service_id },
      { type: 'ServiceAssociated', sequence: 2, subject: service_id },
      { type: 'ServiceEnded', sequence: 3, subject: service_id },
    ]);
    expect(events.map(({ data: { customer_id, status } }) => ({ customer_id, status }))).toEqual([
      { status: 'active' },
      { customer_id: 'ann', status: 'active' },
      { customer_id: 'ann', status: 'completed' },
    ]);
  });
});
