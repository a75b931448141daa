import { Writable } from 'node:stream';
import type { RecordedEvent } from '#events';
import { createLogger, metricsText, Readiness } from '#operations';
import { CONDITIONS, ProjectorInstruments } from './projector.instruments.js';

const record: RecordedEvent = {
  kind: 'event',
  eventId: 'event-1',
  type: 'ServiceStarted',
  schemaVersion: 1,
  tenant: '1',
  stream: '3-1',
  partition: 3,
  offset: 7,
  version: 1,
  epoch: 0,
  recordedAt: 0,
  correlationId: 'a-call',
  value: '{"customer_id":"a secret"}',
};

let written = '';
const out = new Writable({
  write(chunk: Buffer, _encoding, done) {
    written += chunk.toString();
    done();
  },
});
const readiness = new Readiness(CONDITIONS);
// The registry of metrics is one for the process, so there is one of these.
const instruments = new ProjectorInstruments(createLogger('projector', 'trace', out), readiness);

const conditions = () =>
  Object.entries(readiness.report().conditions).map(([name, { ready, reason }]) =>
    ready ? name : `${name}: ${reason}`,
  );

beforeEach(() => {
  written = '';
  CONDITIONS.forEach((condition) => readiness.ready(condition));
});

describe('what the projector tells about itself', () => {
  it('is not ready while a partition waits, until it goes on', () => {
    instruments.batchStarted(3, 1, 0);
    instruments.waiting(3, new Error('no answer\n    at somewhere'));
    expect(conditions()).toEqual(['event-log', 'read-model', 'projection: partition 3: no answer']);
    instruments.batchDone(3);
    expect(conditions()).toEqual(['event-log', 'read-model', 'projection']);
  });

  it('is not ready while log or read model do not answer', () => {
    instruments.verified('read-model', new Error('no answer'));
    expect(conditions()).toEqual(['event-log', 'read-model: no answer', 'projection']);
    instruments.verified('event-log', new Error('gone'));
    instruments.verified('read-model');
    expect(conditions()).toEqual(['event-log: gone', 'read-model', 'projection']);
    instruments.verified('event-log');
    expect(readiness.isReady).toBe(true);
  });

  it('tells the same trouble once', () => {
    for (let attempt = 0; attempt < 3; attempt += 1) instruments.stopped(4, new Error('broken'));
    expect(written.match(/partition stopped/g)).toHaveLength(1);
    instruments.stopped(4, new Error('broken in another way'));
    expect(written.match(/partition stopped/g)).toHaveLength(2);
    instruments.batchLeft(4);
    expect(readiness.isReady).toBe(true);
  });

  it('counts records by what became of them', async () => {
    instruments.projected(record);
    instruments.passedOver(record, 'epoch');
    instruments.parked(record, 'it cannot be read');
    instruments.setAside(record);
    instruments.foreign({ kind: 'foreign', partition: 3, offset: 8, recordedAt: 0, reason: 'no key' });
    const metrics = await metricsText();
    for (const line of [
      'cs_projected_records_total{type="ServiceStarted"} 1',
      'cs_void_records_total{reason="epoch"} 1',
      'cs_parked_streams_total 1',
      'cs_dead_letters_total{reason="parked"} 1',
      'cs_dead_letters_total{reason="after-parked"} 1',
      'cs_dead_letters_total{reason="foreign"} 1',
    ]) {
      expect(metrics).toContain(line);
    }
  });

  it('logs where something happened, and nothing that a customer said', () => {
    instruments.projected(record);
    instruments.parked(record, 'it cannot be read');
    expect(written).toContain('"stream":"3-1","version":1,"position":"s3:7"');
    expect(written).toContain('"correlationId":"a-call"');
    expect(written).not.toContain('secret');
  });
});
