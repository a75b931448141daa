import { answerOf, type LiveService, type ServiceCommand } from '#domain';
import {
  encode,
  isServiceEvent,
  streamKey,
  type ControlEvent,
  type DomainEvent,
  type Mode,
  type NewRecord,
} from '#events';
import { listChanges, listEntries } from '#read-model';
import { check, watchTail, type Rule } from './check.js';
import { ControlTruth, Truth, type Attempt, type Moment, type Outcome, type Passed, type Step } from './history.js';
import { PublishedEvents, SwitchReports, defaultTimes } from './processes.js';
import { Faults, Network, noFaults } from './network.js';
import { Random } from './random.js';
import { Owner, Scheduler, beginning } from './scheduler.js';
import { SimulatedLog, SimulatedTransport, type Stored } from './simulated-log.js';
import { SimulatedStore } from './simulated-store.js';

const tenant = '1';
const stream = 's1';
const timestamp = '2026-01-01T00:00:00.000Z';
const start: ServiceCommand = {
  type: 'StartService',
  data: { service_id: stream, timestamp, contact_key: 'ada' },
  lifetime: { slide: 3_600 },
};
const end: ServiceCommand = { type: 'EndService', data: { service_id: stream, timestamp } };
const started: DomainEvent = { type: 'ServiceStarted', data: start.data };
const ended: DomainEvent = { type: 'ServiceEnded', data: { ...end.data, contact_key: 'ada' } };

const created: ControlEvent = {
  type: 'ProfileExtensionSchemaCreated',
  data: { schema: { name: 'billing', type: 'single-valued', attributes: [], unique: [] } },
};
const deleted: ControlEvent = { type: 'ProfileExtensionSchemaDeleted', data: { name: 'billing' } };
const drainMs = { production: 100, maintenance: 100 };
const life = 'api-0.1';
const ada = { tenant, kind: 'contact', id: 'ada' } as const;

/** What happened: a service is started by r1 and ended by r2, one partition, everybody told so, everything projected. */
class Story {
  readonly log: Stored[] = [];
  readonly control: Stored[] = [];
  readonly reports = new SwitchReports();
  readonly attempts: Attempt[] = [];
  readonly store = new SimulatedStore();
  readonly published = new PublishedEvents();
  private moments = 0;
  private sequence = 0;

  constructor() {
    this.fence(0);
    this.fenceControl(0);
    this.ask('r1', start, () => accepted(this.event('r1', started, 1)));
    this.ask('r2', end, () => accepted(this.event('r2', ended, 2)));
    for (const step of this.steps()) this.project(step);
  }

  fence(epoch: number): void {
    this.log.push({ kind: 'fence', epoch, ...this.place() });
  }

  event(correlationId: string, event: DomainEvent, version: number, more: Partial<NewRecord> = {}): Stored {
    const stored: Stored = {
      kind: 'event',
      ...encode(event),
      eventId: `event-${this.log.length}`,
      tenant,
      stream,
      version,
      epoch: 0,
      correlationId,
      ...more,
      ...this.place(),
    };
    this.log.push(stored);
    return stored;
  }

  fenceControl(epoch: number): void {
    this.control.push({ kind: 'fence', epoch, ...this.controlPlace() });
  }

  /** Into the control log, as the next one of its stream. */
  record(correlationId: string, event: ControlEvent, epoch: number): Stored {
    const name = event.type.startsWith('Mode') ? 'mode' : 'metadata';
    const before = this.control.filter((record) => record.kind === 'event' && record.stream === name).length;
    const stored: Stored = {
      kind: 'event',
      ...encode(event),
      eventId: `control-${this.control.length}`,
      tenant,
      stream: name,
      version: before + 1,
      epoch,
      correlationId,
      ...this.controlPlace(),
    };
    this.control.push(stored);
    return stored;
  }

  begin(id: string, target: Mode, epoch: number): void {
    this.record(id, { type: 'ModeSwitchStarted', data: { target, epoch, process: life } }, epoch - 1);
  }

  /** All of a switch. */
  switch(id: string, target: Mode, epoch: number): void {
    this.attempt(id, { kind: 'switch', target }, () => {
      this.begin(id, target, epoch);
      this.fence(epoch);
      return this.open(target, epoch);
    });
  }

  open(mode: Mode, epoch: number): Outcome {
    this.fenceControl(epoch);
    const { offset } = this.record(`mode-switch-${epoch}`, { type: 'ModeSwitched', data: { mode, epoch } }, epoch);
    return { kind: 'switched', controlPosition: offset };
  }

  /** A query that the gate lets in, in epoch 0, and out. */
  query(id: string, more: Partial<Attempt> = {}): void {
    this.attempt(id, { kind: 'get', service_id: stream }, () => refused('service-not-found'), {
      admitted: { epoch: 0, ...this.passed() },
      ...more,
    });
  }

  /** Now, by a process that has not read of what was recorded last. */
  passed(): Passed {
    return { controlEnd: this.control.length, position: this.control.length - 2 };
  }

  ask(id: string, command: ServiceCommand, outcome: () => Outcome, more: Partial<Attempt> = {}): void {
    this.attempt(id, { kind: 'command', command }, outcome, more);
  }

  attempt(id: string, ask: Attempt['ask'], outcome: () => Outcome, more: Partial<Attempt> = {}): void {
    const begin = this.moment();
    const result = outcome();
    const request = this.attempts.length;
    const attempt: Attempt = {
      id,
      request,
      process: 0,
      life,
      ask,
      seen: new Map(),
      begin,
      outcome: result,
      end: this.moment(),
      ...more,
    };
    this.attempts.push(attempt);
  }

  /** As the projector does with a valid event. */
  project({ record, head, aggregate, event }: Step): void {
    if (aggregate?.kind !== 'service' || !event || !isServiceEvent(event)) throw new Error('not an event of a service');
    const before = this.store.find({ tenant, stream })?.aggregate;
    const entriesBefore = before?.kind === 'service' ? listEntries(before.service, tenant) : [];
    const lists = listChanges(entriesBefore, listEntries(aggregate.service, tenant));
    this.store.insert(lists.insert, record.offset);
    this.store.remove(lists.remove, record.offset);
    this.store.save({ tenant, stream, head, offset: record.offset, aggregate });
    this.publish(record.eventId, record.version);
  }

  publish(id: string, sequence: number): void {
    const key = streamKey({ tenant, stream });
    this.published.events.push({ id, sequence, key, type: '', subject: stream, time: '', partition: 0, data: {} });
  }

  /** As it is in the end. */
  service(): LiveService {
    const aggregate = this.steps().at(-1)?.aggregate;
    if (aggregate?.kind !== 'service' || aggregate.service.status !== 'completed') throw new Error('not completed');
    return aggregate.service;
  }

  steps(): readonly Step[] {
    return new Truth([this.log]).history({ tenant, stream })?.steps ?? [];
  }

  broken(): readonly Rule[] {
    const found = new Set<Rule>();
    const { attempts, store, published, reports } = this;
    check({
      truth: new Truth([this.log]),
      control: new ControlTruth(this.control).read(),
      times: { ...defaultTimes, drainMs },
      reports,
      attempts,
      store,
      published,
      quiet: true,
      violation: (rule) => found.add(rule),
    });
    return [...found];
  }

  private moment(): Moment {
    return {
      order: this.moments++,
      time: beginning + this.log.length,
      ends: [this.log.length],
      controlEnd: this.control.length,
    };
  }

  private place() {
    const offset = this.log.length;
    return { partition: 0, offset, sequence: this.sequence++, recordedAt: beginning + offset };
  }

  private controlPlace() {
    const offset = this.control.length;
    return { partition: 0, offset, sequence: this.sequence++, recordedAt: beginning + offset };
  }
}

function accepted(record: Stored): Outcome {
  const { partition, offset } = record;
  const event = record.kind === 'event' && record.type === 'ServiceStarted' ? started : ended;
  return {
    kind: 'answered',
    answer: isServiceEvent(event) ? answerOf(event) : {},
    position: new Map([[partition, offset]]),
  };
}

const refused = (code: string): Outcome => ({ kind: 'rejected', code });

const order: Rule = 'the mode is switched step by step, and opened behind every fence';
const agreement: Rule = 'composite starts of equal fields agree on one active service';
const metadata: Rule = 'a change of metadata has one valid event, in a mode that allows it';
const gates: Rule = 'no gate is open in a mode that is over, unless that switch gave up waiting for it';

describe('The checker', () => {
  it('finds nothing wrong with a history that is right', () => expect(new Story().broken()).toEqual([]));

  it('finds nothing wrong with switches that are right', () => {
    const story = new Story();
    story.switch('r3', 'maintenance', 1);
    const delete_ = { type: 'DeleteProfileExtensionSchema', data: { name: 'billing' } } as const;
    const create = {
      type: 'CreateProfileExtensionSchema',
      data: { name: 'billing', type: 'single-valued' },
    } as const;
    const change = (id: string, command: typeof create | typeof delete_, event: ControlEvent): void =>
      story.attempt(id, { kind: 'metadata', command }, () => {
        const { offset } = story.record(id, event, 1);
        return {
          kind: 'changed',
          answer: { name: 'billing', created: event === created },
          controlPosition: offset,
        };
      });
    change('r4', create, created);
    change('r5', delete_, deleted);
    story.switch('r6', 'production', 2);
    expect(story.broken()).toEqual([]);
  });

  it('forgives a gate that was open because a switch gave up waiting for it', () => {
    const story = new Story();
    story.switch('r3', 'maintenance', 1);
    story.reports.missing.push({ lives: [life], epoch: 1, at: beginning + 10_000 });
    story.query('r4');
    expect(story.broken()).not.toContain(gates);
  });

  const planted: readonly [string, Rule, (story: Story) => void][] = [
    [
      'an accepted command whose record is void',
      'an accepted command has one valid event, where its answer says',
      (story) => story.ask('r3', end, () => accepted(story.event('r3', ended, 2))),
    ],
    [
      'an answer that names another place',
      'an accepted command has one valid event, where its answer says',
      (story) => Object.assign(story.attempts[0]!.outcome!, { position: new Map([[0, 7]]) }),
    ],
    [
      'a refusal without a state that refuses',
      'a refusal is justified by a state between request and answer',
      (story) => story.ask('r3', start, () => refused('service-not-found')),
    ],
    [
      'a refusal by a state of before the request',
      'a refusal is justified by a state between request and answer',
      (story) => story.attempt('r3', { kind: 'get', service_id: stream }, () => refused('service-not-found')),
    ],
    [
      'a valid event of a refused command',
      'what was not applied or is unknown has not more effect than it says',
      (story) => Object.assign(story.attempts[1]!, { outcome: refused('service-not-found') }),
    ],
    [
      'a valid event of a command that was not applied',
      'what was not applied or is unknown has not more effect than it says',
      (story) =>
        Object.assign(story.attempts[1]!, { outcome: { kind: 'unavailable', exception: '', outcome: 'not-applied' } }),
    ],
    [
      'two effects of one key',
      'a key has one effect and one answer',
      (story) =>
        story.log.forEach((record) => Object.assign(record, { idempotency: { key: 'key', request: 'request' } })),
    ],
    [
      'a repeat that is answered otherwise',
      'a key has one effect and one answer',
      (story) => {
        const idempotency = { key: 'key', request: 'request' };
        const service = { start: { service_id: stream, timestamp, contact_key: 'ada' } };
        const elements = [{ service, associateStateTask: false }];
        const composite = { kind: 'composite', createNew: true, elements } as const;
        const composed = (service_id: string) => (): Outcome => ({
          kind: 'composed',
          answer: [{ service_id, service_created: true }],
          position: new Map(),
        });
        story.attempt('r3', composite, composed(stream), { idempotency });
        story.attempt('r3', composite, composed('s2'), { idempotency });
      },
    ],
    [
      'two active services of composite starts of equal fields',
      agreement,
      (story) => {
        for (const [n, service_id] of ['s2', 's3'].entries()) {
          const { type, data } = {
            type: 'ServiceStarted',
            data: { service_id, timestamp, contact_key: 'eve' },
          } as const;
          const elements = [{ service: { start: data }, associateStateTask: false }];
          story.attempt(`r${3 + n}`, { kind: 'composite', createNew: false, elements }, () => {
            const { offset } = story.event(`r${3 + n}`, { type, data }, 1, { stream: service_id });
            const answer = [{ service_id, service_created: true }];
            return { kind: 'composed', answer, position: new Map([[0, offset]]) };
          });
        }
      },
    ],
    [
      'two callers who are both told that they created a service',
      agreement,
      (story) => {
        const service = { start: { service_id: stream, timestamp, contact_key: 'ada' } };
        const ask = {
          kind: 'composite',
          createNew: false,
          elements: [{ service, associateStateTask: false }],
        } as const;
        const answer = [{ service_id: stream, service_created: true }];
        for (const id of ['r3', 'r4'])
          story.attempt(id, ask, () => ({ kind: 'composed', answer, position: new Map([[0, 9]]) }));
      },
    ],
    [
      'an event that nobody asked for',
      'nothing is valid without a request, or in maintenance',
      (story) => story.attempts.pop(),
    ],
    [
      'an event in maintenance',
      'nothing is valid without a request, or in maintenance',
      (story) => {
        story.fence(1);
        story.event('r2', ended, 3, { epoch: 1 });
      },
    ],
    [
      'an event that leaves a hole',
      'nothing is valid without a request, or in maintenance',
      (story) => story.event('r2', ended, 5),
    ],
    [
      'a query that shows what its process has passed',
      'a query is never older than what was answered before',
      (story) => {
        const [first] = story.steps();
        if (first?.aggregate?.kind !== 'service' || first.aggregate.service.status !== 'active')
          throw new Error('no start');
        const { service } = first.aggregate;
        story.attempt('r3', { kind: 'get', service_id: stream }, () => ({
          kind: 'found',
          services: [service],
          position: new Map(),
        }));
      },
    ],
    [
      'a list that misses what its process has answered',
      'a query is never older than what was answered before',
      (story) =>
        story.attempt(
          'r3',
          { kind: 'list', owner: { tenant, kind: 'contact', id: 'ada' }, filter: { status: 'completed' }, page: {} },
          () => ({ kind: 'found', services: [], position: new Map() }),
        ),
    ],
    [
      'two attempts of one composite start that were under way together, and used two services',
      'a key has one effect and one answer',
      (story) => {
        const service = { start: { service_id: 's3', timestamp, contact_key: 'ada' } };
        const idempotency = { key: 'k', request: 'r' };
        const begin = { order: -1, time: beginning, ends: [0], controlEnd: 0 };
        for (const service_id of ['s3', 's4'])
          story.attempt(
            `r-${service_id}`,
            { kind: 'composite', createNew: false, elements: [{ service, associateStateTask: false }] },
            () => {
              const data = { service_id, timestamp, contact_key: 'ada' };
              story.event(`r-${service_id}`, { type: 'ServiceStarted', data }, 1, { stream: service_id });
              return {
                kind: 'composed',
                answer: [{ service_id, service_created: true }],
                position: new Map([[0, 9]]),
              };
            },
            { idempotency, request: 2, begin },
          );
      },
    ],
    [
      'a composite start that passes over what its process knows to match',
      'a composite start takes the newest service that it compares',
      (story) => {
        const both = { timestamp, contact_key: 'ada', customer_id: 'c' };
        const startOf = (service_id: string, fields: object) =>
          ({ type: 'ServiceStarted', data: { service_id, timestamp, ...fields } }) as const;
        story.ask('r3', { ...start, data: { ...both, service_id: 's2' } }, () =>
          accepted(story.event('r3', startOf('s2', both), 1, { stream: 's2' })),
        );
        const service = { start: { service_id: 's3', timestamp, contact_key: 'ada' } };
        story.attempt(
          'r4',
          { kind: 'composite', createNew: false, elements: [{ service, associateStateTask: false }] },
          () => {
            story.event('r4', startOf('s3', { contact_key: 'ada' }), 1, { stream: 's3' });
            return {
              kind: 'composed',
              answer: [{ service_id: 's3', service_created: true }],
              position: new Map([[0, 9]]),
            };
          },
        );
      },
    ],
    [
      'a row that is behind the log',
      'rows, lists and parked streams equal the fold of the log',
      (story) => {
        const { record, aggregate, head } = story.steps()[0]!;
        story.store.save({ tenant, stream, head, offset: record.offset + 10, aggregate: aggregate! });
      },
    ],
    [
      'a list entry too many',
      'rows, lists and parked streams equal the fold of the log',
      (story) => {
        const [entry] = story.store.allEntries();
        story.store.insert([{ ...entry!, status: 'active' }], 50);
      },
    ],
    [
      'a parked stream without a bad record',
      'rows, lists and parked streams equal the fold of the log',
      (story) => story.store.park({ tenant, stream }, 3, 50),
    ],
    [
      'a foreign record that is not set aside',
      'rows, lists and parked streams equal the fold of the log',
      (story) =>
        story.log.push({
          kind: 'foreign',
          reason: '',
          partition: 0,
          offset: 3,
          sequence: 3,
          recordedAt: beginning + 3,
        }),
    ],
    [
      'a valid event that was not published',
      'public events: each valid one, in stream order, none void',
      (story) => story.published.events.pop(),
    ],
    [
      'events published in the wrong order',
      'public events: each valid one, in stream order, none void',
      (story) => story.published.events.reverse(),
    ],
    [
      'a void record that was published',
      'public events: each valid one, in stream order, none void',
      (story) => story.publish('event-9', 2),
    ],
    [
      'a mode that is opened before the fence',
      order,
      (story) => {
        story.begin('r3', 'maintenance', 1);
        story.open('maintenance', 1);
        story.fence(1);
      },
    ],
    [
      'a switch in a switch',
      order,
      (story) => {
        story.begin('r3', 'maintenance', 1);
        story.begin('r4', 'maintenance', 1);
      },
    ],
    [
      'a mode that nobody began',
      order,
      (story) => {
        story.fence(1);
        story.open('maintenance', 1);
      },
    ],
    [
      'an event of the mode before, behind a switch',
      'nothing is valid without a request, or in maintenance',
      (story) => {
        story.begin('r3', 'maintenance', 1);
        story.open('maintenance', 1);
        story.event('r2', ended, 3);
      },
    ],
    [
      'a switch that was answered before it was complete',
      'a switch that was answered is in force',
      (story) =>
        story.attempt('r3', { kind: 'switch', target: 'maintenance' }, () => {
          story.begin('r3', 'maintenance', 1);
          return { kind: 'switched', controlPosition: 1 };
        }),
    ],
    [
      'a switch that began although it was told not-applied',
      'what was not applied or is unknown has not more effect than it says',
      (story) =>
        story.attempt('r3', { kind: 'switch', target: 'maintenance' }, () => {
          story.begin('r3', 'maintenance', 1);
          return { kind: 'unavailable', exception: '', outcome: 'not-applied' };
        }),
    ],
    [
      'a schema that was deleted in production',
      metadata,
      (story) =>
        story.attempt(
          'r3',
          { kind: 'metadata', command: { type: 'DeleteProfileExtensionSchema', data: { name: 'billing' } } },
          () => {
            const { offset } = story.record('r3', deleted, 0);
            return { kind: 'changed', answer: { name: 'billing', created: false }, controlPosition: offset };
          },
        ),
    ],
    ['a change of metadata that nobody asked for', metadata, (story) => story.record('r3', created, 0)],
    [
      'a change of metadata that was not recorded',
      metadata,
      (story) =>
        story.attempt(
          'r3',
          { kind: 'metadata', command: { type: 'DeleteProfileExtensionSchema', data: { name: 'billing' } } },
          () => ({ kind: 'changed', answer: { name: 'billing', created: false }, controlPosition: 0 }),
        ),
    ],
    [
      'a call that was let in by a mode that is over',
      gates,
      (story) => {
        story.switch('r3', 'maintenance', 1);
        story.query('r4');
      },
    ],
    [
      'an answer that was let out in another mode',
      gates,
      (story) => {
        const admitted = { epoch: 0, ...story.passed() };
        story.switch('r3', 'maintenance', 1);
        story.query('r4', { admitted, passedOut: story.passed() });
      },
    ],
    [
      'a gate that was open although its process had read of the next mode',
      gates,
      (story) => {
        story.switch('r3', 'maintenance', 1);
        story.reports.missing.push({ lives: [life], epoch: 1, at: beginning + 10_000 });
        const { length } = story.control;
        story.query('r4', { admitted: { epoch: 0, controlEnd: length, position: length - 1 } });
      },
    ],
    [
      'a list with a service that does not belong there',
      'a query is never older than what was answered before',
      (story) =>
        story.attempt('r3', { kind: 'list', owner: ada, filter: { status: 'active' }, page: {} }, () => ({
          kind: 'found',
          services: [story.service()],
          position: new Map(),
        })),
    ],
    [
      'a list with a service twice',
      'a query is never older than what was answered before',
      (story) =>
        story.attempt('r3', { kind: 'list', owner: ada, filter: { status: 'all' }, page: {} }, () => ({
          kind: 'found',
          services: [story.service(), story.service()],
          position: new Map(),
        })),
    ],
    [
      'a list beyond its limit',
      'a query is never older than what was answered before',
      (story) =>
        story.attempt('r3', { kind: 'list', owner: ada, filter: { status: 'all' }, page: { limit: 0 } }, () => ({
          kind: 'found',
          services: [story.service()],
          position: new Map(),
        })),
    ],
    [
      'an answer that says less than what the caller has seen',
      'a query is never older than what was answered before',
      (story) => {
        const [first] = story.steps();
        if (first?.aggregate?.kind !== 'service' || first.aggregate.service.status !== 'active')
          throw new Error('no start');
        const { service } = first.aggregate;
        const found: Outcome = { kind: 'found', services: [service], position: new Map() };
        // Another process: only the position tells.
        story.attempt('r3', { kind: 'get', service_id: stream }, () => found, {
          process: 1,
          seen: new Map([[0, story.log.length - 1]]),
        });
      },
    ],
    [
      'a bad record whose stream is not parked',
      'rows, lists and parked streams equal the fold of the log',
      (story) => Object.assign(story.event('r2', ended, 3), { value: '{"broken' }),
    ],
    [
      'a row that the log does not explain',
      'rows, lists and parked streams equal the fold of the log',
      (story) => {
        const { aggregate, head } = story.steps()[0]!;
        story.store.save({ tenant, stream: 's9', head, offset: 1, aggregate: aggregate! });
      },
    ],
    [
      'two valid events of one command',
      'what was not applied or is unknown has not more effect than it says',
      (story) => story.event('r2', { type: 'ServiceDeleted', data: { service_id: stream } }, 3),
    ],
    [
      'a caller who is not told what became of a command',
      'what was not applied or is unknown has not more effect than it says',
      (story) => story.ask('r3', end, () => ({ kind: 'unavailable', exception: '', outcome: undefined })),
    ],
    [
      'a change of metadata in the epoch before',
      metadata,
      (story) => {
        story.switch('r3', 'maintenance', 1);
        story.attempt(
          'r4',
          { kind: 'metadata', command: { type: 'DeleteProfileExtensionSchema', data: { name: 'billing' } } },
          () => {
            const { offset } = story.record('r4', deleted, 0);
            return { kind: 'changed', answer: { name: 'billing', created: false }, controlPosition: offset };
          },
        );
      },
    ],
    ['a request without an answer', 'everything is answered', (story) => delete story.attempts[1]!.outcome],
    [
      'an answer that is no answer',
      'everything is answered',
      (story) => story.ask('r3', end, () => ({ kind: 'failed', error: 'a defect' })),
    ],
  ];

  it.each(planted)('notices %s', (_violation, rule, plant) => {
    const story = new Story();
    plant(story);
    expect(story.broken()).toContain(rule);
  });
});

describe('What is watched while a schedule is played', () => {
  const fence = (offset: number) => ({ kind: 'fence', epoch: 0, partition: 0, offset, recordedAt: 0 }) as const;
  const found = new Set<Rule>();
  const violation = (rule: Rule): unknown => found.add(rule);
  beforeEach(() => found.clear());

  it.each([
    ['a hole in the tail', [3, 5]],
    ['a record that is shown twice', [3, 3]],
    ['a tail that goes back', [3, 4, 3]],
  ])('notices %s', (_what, offsets) => {
    const listen = watchTail(life, [{ partition: 0, next: 3, epoch: 0 }], () => undefined, violation);
    for (const offset of offsets) listen(fence(offset), 0);
    expect([...found]).toEqual(['the tail shows every record once, in order']);
  });

  it('finds nothing wrong with a tail that shows every record once', () => {
    const listen = watchTail(life, [{ partition: 0, next: 3, epoch: 0 }], () => undefined, violation);
    for (const offset of [3, 4, 5]) listen(fence(offset), 0);
    expect([...found]).toEqual([]);
  });

  describe('of the transport', () => {
    const random = new Random(1);
    const scheduler = new Scheduler(random);
    const transport = (misuse: string[]): SimulatedTransport => {
      let sequence = 0;
      const log = new SimulatedLog({
        scheduler,
        random,
        network: new Network(random, 1, 0),
        faults: new Faults(noFaults),
        partitions: 1,
        trace: () => undefined,
        nextSequence: () => sequence++,
      });
      return new SimulatedTransport(log, new Owner('process'), (what) => misuse.push(what));
    };
    const one = { kind: 'marker', id: 'one', partition: 0 } as const;
    const other = { ...one, id: 'other' };
    /** Sends the batch, with this fate, and waits for what becomes of it. */
    const sent = async (
      to: SimulatedTransport,
      fate: Parameters<SimulatedTransport['causeOnce']>[0],
      batch = [one],
    ) => {
      to.causeOnce(fate);
      let isOver = false;
      const over = to.append(batch).then(
        () => (isOver = true),
        () => (isOver = true),
      );
      await scheduler.run(() => isOver, 100);
      await over;
    };

    it('notices a batch that is sent while another is under way', () => {
      const misuse: string[] = [];
      const used = transport(misuse);
      void used.append([one]);
      void used.append([other]);
      expect(misuse).toEqual(['a batch was sent while another was under way']);
    });

    it('notices other records behind a batch that was not acknowledged', async () => {
      const misuse: string[] = [];
      const used = transport(misuse);
      await sent(used, 'answer-lost');
      await sent(used, 'stored');
      expect(misuse).toEqual([]);
      await sent(used, 'left-out');
      void used.append([other]);
      expect(misuse).toEqual(['other records followed a batch that was not acknowledged']);
    });

    it('notices that a producer is used again which failed for good', async () => {
      const misuse: string[] = [];
      const used = transport(misuse);
      await sent(used, 'refused');
      void used.append([one]);
      expect(misuse).toEqual(['a producer that failed for good was used again']);
    });
  });
});
