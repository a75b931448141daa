import { evolve, unstarted, type Service } from '#domain';
import type { PublishedServiceEvent, RecordedEvent } from '#events';
import { publicEvent } from './public-event.js';

const service_id = '0-1';
const timestamp = '2026-01-01T00:00:00.000Z';
const recordedAt = Date.UTC(2026, 0, 2);

/** The public form of the last of these events, recorded one after another in one stream. */
function published(...events: readonly PublishedServiceEvent[]) {
  let before: Service = unstarted;
  let after: Service = unstarted;
  const records = events.map((event, index) => {
    const record: Omit<RecordedEvent, 'value'> = {
      kind: 'event',
      eventId: `event-${index}`,
      type: event.type,
      schemaVersion: 1,
      tenant: '1',
      stream: service_id,
      partition: 0,
      offset: index,
      version: index + 1,
      epoch: 0,
      recordedAt,
      correlationId: 'a-call',
    };
    before = after;
    after = evolve(before, { event, record });
    return { event, record };
  });
  return publicEvent(records.at(-1)!, before, after);
}

const serviceStarted: PublishedServiceEvent = {
  type: 'ServiceStarted',
  data: { service_id, timestamp, customer_id: 'C-1', contact_key: 'ada', service_type: 5, est_duration: 60 },
};
const stateStarted: PublishedServiceEvent = {
  type: 'StateStarted',
  data: { service_id, timestamp, state_id: 's-1', state_type: 'greeting' },
};
const transitioned: PublishedServiceEvent = {
  type: 'StateTransitioned',
  data: {
    service_id,
    timestamp,
    from: { state_id: 's-1', disposition: 'ok', disposition_desc: 'went well' },
    to: { state_id: 's-2', state_type: 'selling', est_duration: 9 },
  },
};
const taskStarted: PublishedServiceEvent = {
  type: 'TaskStarted',
  data: { service_id, timestamp, task_id: 't-1', task_type: 'call', state_id: 's-1' },
};

describe('a public event', () => {
  it('has a stable id, and its place among those of its subject', () => {
    expect(published(serviceStarted, stateStarted)).toMatchObject({
      id: 'event-1',
      type: 'StateStarted',
      subject: service_id,
      sequence: 2,
      partition: 0,
      key: '1/0-1',
      time: '2026-01-02T00:00:00.000Z',
    });
  });

  it('tells of the service as it is after it', () => {
    expect(
      published(serviceStarted, { type: 'ServiceEnded', data: { service_id, timestamp, disposition: 7 } }).data,
    ).toEqual({
      service_id,
      timestamp,
      customer_id: 'C-1',
      contact_key: 'ada',
      service_type: 5,
      est_duration: 60,
      disposition: 7,
      status: 'completed',
      recorded_time: '2026-01-02T00:00:00.000Z',
    });
  });

  it('tells of the state or task that it is about, and whose they are', () => {
    expect(published(serviceStarted, stateStarted).data).toMatchObject({
      customer_id: 'C-1',
      service_type: 5,
      state_id: 's-1',
      state_type: 'greeting',
      est_duration: undefined,
      status: 'active',
    });
    const ended: PublishedServiceEvent = {
      type: 'TaskEnded',
      data: { service_id, timestamp, task_id: 't-1', disposition_desc: 'x' },
    };
    expect(published(serviceStarted, stateStarted, taskStarted, ended).data).toMatchObject({
      task_type: 'call',
      state_id: 's-1',
      disposition_desc: 'x',
      status: 'completed',
    });
  });

  it('tells of a transition which state came after which, and how the one before ended', () => {
    expect(published(serviceStarted, stateStarted, transitioned).data).toMatchObject({
      state_id: 's-2',
      state_type: 'selling',
      previous_state_id: 's-1',
      est_duration: 9,
      disposition: 'ok',
      disposition_desc: 'went well',
      status: 'active',
    });
  });

  it('tells of a service that is gone what it was last', () => {
    expect(published(serviceStarted, { type: 'ServiceDeleted', data: { service_id } }).data).toMatchObject({
      customer_id: 'C-1',
      service_type: 5,
      status: 'active',
    });
  });

  it('keeps hostile names as plain data', () => {
    const value = JSON.parse('{"__proto__":{"polluted":true}}') as { [name: string]: string };
    const { data } = published(serviceStarted, {
      type: 'ExtensionReplaced',
      data: { service_id, name: '__proto__', value },
    });
    expect(JSON.parse(JSON.stringify(data))).toMatchObject({ name: '__proto__' });
    expect(JSON.stringify(data)).toContain('"value":{"__proto__":{"polluted":true}}');
    expect('polluted' in {}).toBe(false);
  });
});
