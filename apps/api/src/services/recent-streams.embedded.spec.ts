import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { encode, type DomainEvent, type RecordedEvent } from '#events';
import { SystemClock } from '#event-log';
import { EmbeddedEventLog } from '#event-log/embedded';
import { EmbeddedReadModel } from '#read-model/embedded';
import { RecentStreams } from './recent-streams.js';
import { Unavailable } from './unavailable.js';

const tenant = '1';
const stream = '0-service';
const timestamp = '2026-01-01T00:00:00.000Z';
const started: DomainEvent = { type: 'ServiceStarted', data: { service_id: stream, timestamp, contact_key: 'ada' } };
const ended: DomainEvent = { type: 'ServiceEnded', data: { service_id: stream, timestamp, contact_key: 'ada' } };
const claimed: DomainEvent = {
  type: 'ServiceClaimed',
  data: { service_id: stream, start: { service_id: stream, timestamp }, lifetime: { ttl: 60 } },
};

describe('a stream whose head this process knows', () => {
  let directory: string;
  let log: EmbeddedEventLog;
  let readModel: EmbeddedReadModel;
  let streams: RecentStreams;
  let offset = 0;

  const recorded = (event: DomainEvent, version: number, more: Partial<RecordedEvent> = {}): RecordedEvent => ({
    kind: 'event',
    ...encode(event),
    eventId: `e${offset}`,
    tenant,
    stream,
    version,
    epoch: 0,
    correlationId: 'c',
    partition: 0,
    offset: ++offset,
    recordedAt: Date.parse(timestamp) + offset,
    ...more,
  });
  const load = () => streams.load({ tenant, stream }, 0, 'service');

  beforeEach(async () => {
    directory = mkdtempSync(path.join(tmpdir(), 'recent-streams-'));
    log = await EmbeddedEventLog.open({ directory, partitions: 1 });
    readModel = await EmbeddedReadModel.open({ directory });
    streams = new RecentStreams(log, readModel, new SystemClock());
    streams.expectNew({ tenant, stream });
    streams.listen(recorded(started, 1), 0);
  });

  afterEach(async () => {
    await Promise.all([log.close(), readModel.close()]);
    rmSync(directory, { recursive: true });
  });

  it('is kept current by its next record, and by none that is void', async () => {
    streams.listen(recorded(ended, 2), 0);
    streams.listen(recorded(started, 2), 0);
    expect(await load()).toMatchObject({ head: { version: 2 }, aggregate: { service: { status: 'completed' } } });
  });

  it.each([
    ['that leaves a hole', recorded(ended, 7)],
    ['of an epoch that the partition has not seen', recorded(ended, 2, { epoch: 1 })],
    ['that cannot be decoded', recorded(ended, 2, { value: 'not JSON' })],
    ['of a stream of another kind', recorded(claimed, 2)],
  ])('is not known any more after a record %s: its row says that it is parked', async (_what, record) => {
    streams.listen(record, 0);
    await readModel.park({ tenant, stream }, 2, record.offset);
    const refused = await load().then(
      () => undefined,
      (error: unknown) => error,
    );
    expect(refused).toBeInstanceOf(Unavailable);
    expect(refused).toMatchObject({ exception: 'StreamParkedException' });
  });
});
