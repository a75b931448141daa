import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import {
  encode,
  isPublicEvent,
  streamKey,
  type ControlEvent,
  type DomainEvent,
  type IdempotencyDigest,
  type Mode,
  type RecordedEvent,
} from '#events';
import type { LogRecord, PublicEvent } from '#event-log';
import { listEntries, type ListEntry, type StreamRow } from '#read-model';
import { Truth } from '../simulation/history.js';
import { digestOf, rules, violations, type Evidence, type Rule, type Violation } from './checker.js';
import type { Letter } from './judged.js';
import { History, readCalls, type Ask, type Call, type CallAnswered, type CallAsked } from './history.js';

const tenant = '1';
const stream = '0-service';
const timestamp = '2026-01-01T00:00:00.000Z';
const beganAt = Date.parse(timestamp);

const started: DomainEvent = { type: 'ServiceStarted', data: { service_id: stream, timestamp, contact_key: 'ada' } };
const stateStarted: DomainEvent = {
  type: 'StateStarted',
  data: { service_id: stream, timestamp, state_id: 'a', state_type: 'First' },
};
const ended: DomainEvent = { type: 'ServiceEnded', data: { service_id: stream, timestamp, contact_key: 'ada' } };
const deleted: DomainEvent = { type: 'ServiceDeleted', data: { service_id: stream } };
const noted: DomainEvent = { type: 'ExtensionReplaced', data: { service_id: stream, name: 'Notes', value: 1 } };

const start: Ask = { kind: 'start', contact_key: 'ada' };
const end: Ask = { kind: 'end', service_id: stream };
const get: Ask = { kind: 'get', service_id: stream };
const note: Ask = { kind: 'replace', service_id: stream, name: 'Notes', value: 1 };
const listed: Ask = { kind: 'list', status: 'all', contact_key: 'ada' };
const composite: Ask = { kind: 'composite', contact_key: 'x', withTask: false };

/** What a caller is shown of the service. */
const active = { service_id: stream, contact_key: 'ada' };
const withState = { ...active, active_states: [{ state_id: 'a' }] };
const completed = { ...withState, completed: {} };

interface Mutable {
  rows: StreamRow[];
  entries: ListEntry[];
  published: PublicEvent[];
  letters: Letter[];
}

/** A service is started by c0, its state by c1, and it is ended by c2; all of them were told so, all is projected. */
class Story {
  readonly history = new History();
  readonly services: LogRecord[] = [];
  readonly control: LogRecord[] = [];
  readonly planted = new Set<string>();
  private calls = 0;

  constructor(withEnd = true) {
    this.fence(0);
    this.control.push({ kind: 'fence', epoch: 0, partition: 0, offset: 0, recordedAt: beganAt, logId: 'control' });
    this.ask(start, (id) => at(this.record(id, started, 1), 201, { service_id: stream }));
    this.ask({ kind: 'start-state', service_id: stream }, (id) =>
      at(this.record(id, stateStarted, 2), 201, { state_id: 'a' }),
    );
    if (withEnd) this.ask(end, (id) => at(this.record(id, ended, 3), 204));
  }

  fence(epoch: number): void {
    this.services.push({ kind: 'fence', epoch, ...this.place(this.services) });
  }

  record(correlationId: string, event: DomainEvent, version: number, more: Partial<RecordedEvent> = {}): RecordedEvent {
    const stored: RecordedEvent = {
      kind: 'event',
      ...encode(event),
      eventId: `e${this.services.length}`,
      tenant,
      stream,
      version,
      epoch: 0,
      correlationId,
      ...this.place(this.services),
      ...more,
    };
    this.services.push(stored);
    return stored;
  }

  /** Written by a fault, past the protocol. */
  poison(event: DomainEvent, version: number, more: Partial<RecordedEvent> = {}): void {
    this.planted.add('poison');
    this.record('poison', event, version, more);
  }

  foreign(): void {
    this.services.push({ kind: 'foreign', reason: 'it has no key', ...this.place(this.services) });
  }

  /** The server's answer, undefined when there was none. */
  ask(ask: Ask, answer: (id: string) => CallAnswered | undefined, more: Partial<CallAsked> = {}): Call {
    const id = `c${this.calls++}`;
    const call = this.history.asked({ id, request: id, process: 'api-1', ask, ...more });
    const answered = answer(id);
    if (answered) this.history.answered(call, answered);
    return call;
  }

  switchTo(mode: Mode, epoch: number): Call {
    return this.ask({ kind: 'switch', mode }, (id) => {
      this.controlRecord(id, { type: 'ModeSwitchStarted', data: { target: mode, epoch, process: 'api-1' } }, epoch, 1);
      this.fence(epoch);
      this.controlRecord(id, { type: 'ModeSwitched', data: { mode, epoch } }, epoch, 2);
      return { status: 200, position: `c:${this.control.length - 1}` };
    });
  }

  /** Projected from the log as it is now, then `change`d. */
  broken(change: Change = () => undefined): readonly Rule[] {
    return [...new Set(this.violations(change).map(({ rule }) => rule))];
  }

  violations(change: Change = () => undefined): readonly Violation[] {
    const told: Mutable = { rows: [], entries: [], published: [], letters: [] };
    const poison = this.services.filter((one) => one.kind === 'event' && this.planted.has(one.correlationId));
    const foreign = this.services.filter((one) => one.kind === 'foreign');
    told.letters.push(...foreign.map((record) => ({ record, reason: record.reason })));
    told.letters.push(...poison.map((record) => ({ record: record as RecordedEvent, reason: 'nobody can read it' })));
    const read = this.services.filter((record) => !poison.includes(record));
    const truth = new Truth([read.map((record) => ({ ...record, sequence: 0 }))]);
    for (const { steps, stream: id } of truth.streams.values()) {
      const first = poison.find((record) => (record as RecordedEvent).stream === id);
      const good = steps.filter(({ record }) => !first || record.offset < first.offset);
      const { record: last, head, aggregate } = good.at(-1)!;
      const { offset } = last;
      const row: StreamRow = { tenant, stream: id, head, offset, aggregate: aggregate! };
      told.rows.push({ ...row, ...(first && { parkedAtVersion: head.version + 1 }) });
      const later = steps.slice(good.length).map((step) => ({ record: step.record, reason: 'one before waits' }));
      told.letters.push(...later.map(({ record: { sequence: _, ...plain }, reason }) => ({ record: plain, reason })));
      if (aggregate?.kind !== 'service') continue;
      told.entries.push(...listEntries(aggregate.service, tenant));
      told.published.push(
        ...good.flatMap(({ record, event }) => (isPublicEvent(event!) ? [published(record, event)] : [])),
      );
    }
    change(told);
    const { services, control, planted } = this;
    const evidence: Evidence = {
      calls: this.history.calls,
      partitions: 1,
      services,
      control,
      planted,
      ...told,
    };
    return violations(evidence);
  }

  private controlRecord(correlationId: string, event: ControlEvent, epoch: number, half: 1 | 2): void {
    this.control.push({
      kind: 'event',
      ...encode(event),
      eventId: `control-${this.control.length}`,
      tenant,
      stream: 'mode',
      version: 2 * (epoch - 1) + half,
      epoch: 0,
      correlationId,
      ...this.place(this.control),
    });
  }

  private place(log: readonly LogRecord[]) {
    const recordedAt = beganAt + this.services.length + this.control.length;
    return { partition: 0, offset: log.length, recordedAt };
  }
}

const published = (
  { eventId: id, type, stream: subject, version, partition, recordedAt }: RecordedEvent,
  { data }: DomainEvent,
): PublicEvent => ({
  id,
  type,
  subject,
  sequence: version,
  time: new Date(recordedAt).toISOString(),
  partition,
  key: streamKey({ tenant, stream: subject }),
  data: { status: 'active', ...data } as PublicEvent['data'],
});

const at = ({ partition, offset }: RecordedEvent, status: number, body?: unknown): CallAnswered => ({
  status,
  position: `s${partition}:${offset}`,
  ...(body !== undefined && { body }),
});
const shown = (body: unknown): CallAnswered => ({ status: 200, body });
const notFound = (): CallAnswered => ({ status: 404, exception: 'NotFoundException' });
const conflict = (): CallAnswered => ({ status: 409, exception: 'ConflictException' });
const unavailable = (outcome?: string): CallAnswered => ({ status: 503, ...(outcome !== undefined && { outcome }) });

const keyed = (key: string, request = 'request'): IdempotencyDigest => ({ key: digestOf(key), request });

/** A composite start by `correlationId` that claims and starts this service. */
function composed(story: Story, correlationId: string, service_id: string, key?: string): CallAnswered {
  const data = { service_id, timestamp, contact_key: 'x' };
  const idempotency = key === undefined ? {} : { idempotency: keyed(`${key}/0/service`) };
  story.record(correlationId, { type: 'ServiceStarted', data }, 1, { stream: service_id, ...idempotency });
  const state: DomainEvent = { type: 'StateStarted', data: { service_id, timestamp, state_id: `${service_id}-a` } };
  const body = { services: [{ service_id, service_created: true, state_id: `${service_id}-a`, state_created: true }] };
  return at(story.record(correlationId, state, 2, { stream: service_id }), 200, body);
}

/** Each of them parks its stream. */
const poisons: readonly [string, (story: Story) => void][] = [
  ['a record that cannot be decoded', (story) => story.poison(noted, 4, { value: 'not JSON' })],
  [
    'a record that cannot follow',
    (story) =>
      story.poison({ ...stateStarted, data: { ...stateStarted.data, state_id: 'a' } } as DomainEvent, 4, {
        value: '{}',
      }),
  ],
  ['a version that leaves a hole', (story) => story.poison(noted, 6)],
  ['an epoch that nobody has opened', (story) => story.poison(noted, 4, { epoch: 7 })],
];

type Change = (readModel: Mutable) => unknown;
/** Of the story, and of the read model by what it returns. */
type Plant = (story: Story) => Change | Call | RecordedEvent | void;

const acknowledged: Rule = 'an acknowledged command has one valid event, at the place that its answer says';
const effects: Rule = 'what was refused or not applied has no valid event, what is unknown has at most one';
const keys: Rule = 'requests with one key have one effect and one answer';
const askedFor: Rule = 'a record that counts was asked for, and no answer names a place that the log does not have';
const states: Rule = 'a command is accepted, or refused, by a state that the service had between call and answer';
const agreement: Rule = 'composite starts of equal fields agree on one active service';
const reads: Rule = 'a read never goes back, and shows only what was';
const folds: Rule = 'rows and lists equal the fold of the log';
const maintenance: Rule = 'nothing of a service counts between a switch to maintenance and the next switch';
const open: Rule =
  'every valid event of a service is public: under one id, in the partition of its source, first in stream order';
const setAside: Rule =
  'what is foreign or waits for an operator is in the dead letters with its reason, and nothing else is';
const form: Rule = 'every answer is one that the contract knows';

describe('The checker of the fault suite', () => {
  const fine: readonly [string, Plant][] = [
    ['a history in which all is well', () => undefined],
    [
      'what the service had been when the call began, and when it was answered',
      (story) => {
        story.ask(end, conflict);
        story.ask(get, () => shown(completed));
        story.ask(listed, () => shown([completed]));
        story.ask({ kind: 'end-state', service_id: stream, state_id: 'none' }, notFound);
      },
    ],
    [
      'an older state, shown by another process to a caller who sends no position',
      (story) => story.ask(get, () => shown(active), { process: 'api-2' }),
    ],
    ['a list that lacks it, likewise', (story) => story.ask(listed, () => shown([]), { process: 'api-2' })],
    ['no answer, and no record', (story) => story.ask(note, () => undefined)],
    ['no answer, and a record', (story) => story.ask(note, (id) => void story.record(id, noted, 4))],
    [
      'an unknown outcome that is recorded later',
      (story) => {
        const { id } = story.ask(note, () => unavailable('unknown'));
        story.ask(get, () => shown(completed));
        story.record(id, noted, 4);
      },
    ],
    [
      'a lost race',
      (story) =>
        story.ask(end, (id) => {
          story.record(id, ended, 3);
          return conflict();
        }),
    ],
    [
      'a repeat that gets the first answer, though it would be refused by now',
      (story) => {
        const first = story.record(
          'c3',
          { ...stateStarted, data: { ...stateStarted.data, state_id: 'b' } } as DomainEvent,
          4,
          {
            idempotency: keyed('k'),
          },
        );
        const ask: Ask = { kind: 'start-state', service_id: stream };
        story.ask(ask, () => undefined, { key: 'k' });
        story.ask(ask, () => at(first, 201, { state_id: 'b' }), { key: 'k', request: 'c3', process: 'api-2' });
      },
    ],
    [
      'a key that comes with something else',
      (story) => {
        story.ask(note, (id) => at(story.record(id, noted, 4, { idempotency: keyed('k') }), 200), { key: 'k' });
        story.ask({ kind: 'replace', service_id: stream, name: 'Notes', value: 2 }, () => ({ status: 422 }), {
          key: 'k',
        });
      },
    ],
    [
      'composite starts, one after the end of the other',
      (story) => {
        story.ask(composite, (id) => composed(story, id, '0-x'));
        story.ask({ kind: 'delete', service_id: '0-x' }, (id) =>
          at(story.record(id, { type: 'ServiceDeleted', data: { service_id: '0-x' } }, 3, { stream: '0-x' }), 200),
        );
        story.ask(composite, (id) => composed(story, id, '0-y'));
      },
    ],
    [
      'a composite start that found a service, and had found another one before',
      (story) => {
        story.ask(composite, (id) => composed(story, id, '0-x'));
        story.ask(
          composite,
          (id) => {
            const place = { stream: '0-y', idempotency: keyed('k/0/service') };
            for (const [version, other] of ['0-w', '0-x'].entries()) {
              const data = { service_id: '0-y', other_service_id: other };
              story.record(id, { type: 'OtherServiceChosen', data }, version + 1, place);
            }
            const about = { service_id: '0-x', timestamp };
            story.record(id, { type: 'ServiceUpdated', data: about }, 3, { ...place, stream: '0-x' });
            const state: DomainEvent = { type: 'StateUpdated', data: { ...about, state_id: '0-x-a' } };
            const body = { service_id: '0-x', service_created: false, state_id: '0-x-a', state_created: false };
            return at(story.record(id, state, 4, { stream: '0-x' }), 200, { services: [body] });
          },
          { key: 'k' },
        );
      },
    ],
    [
      'a mode that is switched and switched back',
      (story) => {
        story.switchTo('maintenance', 1);
        story.ask(note, () => unavailable('not-applied'));
        story.ask(get, () => unavailable());
        story.switchTo('production', 2);
        story.ask(note, (id) => at(story.record(id, noted, 4, { epoch: 2 }), 200));
      },
    ],
    ...poisons.map(([what, poison]): [string, Plant] => [
      `a stream that is parked by ${what}`,
      (story) => {
        poison(story);
        story.ask(get, () => unavailable());
      },
    ]),
    [
      'a parked stream that a process goes on with which has not seen why',
      (story) => {
        const ask: Ask = { kind: 'delete', service_id: stream };
        story.ask(ask, (id) => {
          story.poison(noted, 6);
          return at(story.record(id, deleted, 4), 200);
        });
      },
    ],
    ['a foreign record', (story) => story.foreign()],
    [
      'an event that is published again later, in order',
      () =>
        ({ published: events }) =>
          events.push(...events.slice(1)),
    ],
    [
      'a dead letter that is there twice',
      (story) => {
        story.foreign();
        return ({ letters }) => letters.push(letters[0]!);
      },
    ],
  ];

  it.each(fine)('finds nothing wrong with %s', (_what, tell) => {
    const story = new Story();
    const change = tell(story);
    expect(story.violations(typeof change === 'function' ? change : undefined)).toEqual([]);
  });

  const planted: readonly [string, Rule, Plant][] = [
    ['an acknowledged command that the log has lost', acknowledged, (story) => void story.services.pop()],
    [
      'an acknowledged command whose record is void',
      acknowledged,
      (story) => story.ask(note, (id) => at(story.record(id, noted, 3), 200)),
    ],
    [
      'an answer that names another place',
      acknowledged,
      (story) => story.ask(note, (id) => ({ ...at(story.record(id, noted, 4), 200), position: 's0:1' })),
    ],
    [
      'an answer that names another id',
      acknowledged,
      (story) =>
        story.ask({ kind: 'start-state', service_id: stream }, (id) =>
          at(
            story.record(id, { ...stateStarted, data: { ...stateStarted.data, state_id: 'b' } } as DomainEvent, 4),
            201,
            {
              state_id: 'c',
            },
          ),
        ),
    ],
    [
      'a command that recorded something else',
      acknowledged,
      (story) => story.ask(note, (id) => at(story.record(id, stateStarted, 4), 200)),
    ],
    [
      'a composite start that was answered with what nobody started',
      acknowledged,
      (story) =>
        story.ask(composite, (id) => {
          const answer = composed(story, id, '0-x');
          return { ...answer, body: { services: [{ service_id: '0-y', service_created: true, state_id: 'b' }] } };
        }),
    ],
    [
      'an event of a command that was refused',
      effects,
      (story) =>
        story.ask(note, (id) => {
          story.record(id, noted, 4);
          return notFound();
        }),
    ],
    [
      'an event of a command that was not applied',
      effects,
      (story) =>
        story.ask(note, (id) => {
          story.record(id, noted, 4);
          return unavailable('not-applied');
        }),
    ],
    [
      'two events of one command without an answer',
      effects,
      (story) =>
        story.ask(note, (id) => {
          story.record(id, noted, 4);
          story.record(id, noted, 5);
          return undefined;
        }),
    ],
    [
      'a repeat that is recorded once more',
      keys,
      (story) => {
        story.ask(note, (id) => void story.record(id, noted, 4, { idempotency: keyed('k') }), { key: 'k' });
        story.ask(note, (id) => at(story.record(id, noted, 5, { idempotency: keyed('k') }), 200), {
          key: 'k',
          request: 'c3',
        });
      },
    ],
    [
      'a repeat that is answered otherwise',
      keys,
      (story) => {
        const ask: Ask = { kind: 'start-state', service_id: stream };
        let first: RecordedEvent | undefined;
        story.ask(
          ask,
          (id) =>
            at(
              (first = story.record(
                id,
                { ...stateStarted, data: { ...stateStarted.data, state_id: 'b' } } as DomainEvent,
                4,
              )),
              201,
              { state_id: 'b' },
            ),
          { key: 'k' },
        );
        story.ask(ask, () => at(first!, 201, { state_id: 'c' }), { key: 'k', request: 'c3' });
      },
    ],
    [
      'a key that is accepted with something else',
      keys,
      (story) => {
        story.ask(note, (id) => at(story.record(id, noted, 4, { idempotency: keyed('k') }), 200), { key: 'k' });
        const other: Ask = { kind: 'replace', service_id: stream, name: 'Notes', value: 2 };
        story.ask(other, (id) => at(story.record(id, noted, 5, { idempotency: keyed('k') }), 200), { key: 'k' });
      },
    ],
    ['an event that nobody asked for', askedFor, (story) => void story.record('nobody', noted, 4)],
    ['a hole in a stream', askedFor, (story) => void story.record('c2', noted, 9)],
    [
      'an answer from beyond the end of the log',
      askedFor,
      (story) => story.ask(end, () => ({ ...conflict(), position: 's0:99' })),
    ],
    ['an end of what has ended', states, (story) => story.ask(end, (id) => at(story.record(id, ended, 4), 204))],
    ['a refusal without reason', states, (story) => story.ask(note, notFound)],
    [
      'a refusal by what comes only later',
      states,
      (story) => {
        story.ask({ kind: 'delete', service_id: stream }, conflict);
        story.ask(note, notFound);
        story.ask({ kind: 'delete', service_id: stream }, (id) => at(story.record(id, deleted, 4), 200));
      },
    ],
    [
      'a refusal by what is long past',
      states,
      (story) => story.ask({ kind: 'end-state', service_id: stream, state_id: 'a' }, notFound, { process: 'api-2' }),
    ],
    [
      'a refused repeat of what was accepted',
      states,
      (story) => {
        story.record('c3', noted, 4, { idempotency: keyed('k') });
        story.ask(note, () => at(story.services.at(-1) as RecordedEvent, 200), { key: 'k' });
        story.ask(note, () => ({ status: 422 }), { key: 'k', request: 'c3' });
      },
    ],
    [
      'two services of two attempts of one composite start, of which the first had no answer yet',
      keys,
      (story) => {
        const first = story.ask(
          composite,
          (id) => ({ ...composed(story, id, '0-x', 'k'), ...unavailable('unknown') }),
          {
            key: 'k',
          },
        );
        story.ask({ kind: 'delete', service_id: '0-x' }, (id) =>
          at(story.record(id, { type: 'ServiceDeleted', data: { service_id: '0-x' } }, 3, { stream: '0-x' }), 200),
        );
        story.ask(composite, (id) => composed(story, id, '0-y', 'k'), { key: 'k', request: first.request });
      },
    ],
    [
      'two services of one composite start',
      agreement,
      (story) => {
        story.ask(composite, (id) => composed(story, id, '0-x'));
        story.ask(composite, (id) => composed(story, id, '0-y'), { process: 'api-2' });
      },
    ],
    ['a read that goes back on one process', reads, (story) => story.ask(get, () => shown(active))],
    [
      'a read that goes back in spite of a position',
      reads,
      (story) => story.ask(get, () => shown(withState), { process: 'api-2', seen: 's0:3' }),
    ],
    [
      'a read that goes back behind another read',
      reads,
      (story) => {
        story.ask(get, () => shown(completed), { process: 'api-2' });
        story.ask(get, () => shown(withState), { process: 'api-2' });
      },
    ],
    ['a read of what never was', reads, (story) => story.ask(get, () => shown({ ...completed, Notes: 7 }))],
    [
      'a read of what is recorded only later',
      reads,
      (story) => {
        story.ask(get, () => shown({ ...completed, Notes: 1 }));
        story.ask(note, (id) => at(story.record(id, noted, 4), 200));
      },
    ],
    ['a read that finds nothing', reads, (story) => story.ask(get, notFound, { process: 'api-2' })],
    ['a list that lacks a service', reads, (story) => story.ask(listed, () => shown([]))],
    [
      'a list with a service of somebody else',
      reads,
      (story) => story.ask({ kind: 'list', status: 'all', contact_key: 'bob' }, () => shown([completed])),
    ],
    [
      'a list of active services with a completed one',
      reads,
      (story) => story.ask({ ...listed, status: 'active' } as Ask, () => shown([completed])),
    ],
    ['a list with a service twice', reads, (story) => story.ask(listed, () => shown([completed, completed]))],
    ['a row that is missing', folds, () => (readModel) => void readModel.rows.pop()],
    [
      'a row that is old',
      folds,
      () =>
        ({ rows }) =>
          Object.assign(rows[0]!, { offset: 2 }),
    ],
    [
      'a row with another content',
      folds,
      () =>
        ({ rows }) =>
          Object.assign(rows[0]!.aggregate, { service: { status: 'gone' } }),
    ],
    [
      'a row that the log does not explain',
      folds,
      () =>
        ({ rows }) =>
          void rows.push({ ...rows[0]!, stream: 'somebody else' }),
    ],
    [
      'a parked row without reason',
      folds,
      () =>
        ({ rows }) =>
          Object.assign(rows[0]!, { parkedAtVersion: 4 }),
    ],
    [
      'a poisoned stream that is not parked',
      folds,
      (story) => {
        story.poison(noted, 4, { value: 'not JSON' });
        return ({ rows }) => Object.assign(rows[0]!, { parkedAtVersion: undefined });
      },
    ],
    ['a list entry that is missing', folds, () => (readModel) => void readModel.entries.pop()],
    [
      'a list entry too many',
      folds,
      () =>
        ({ entries }) =>
          void entries.push({ ...entries[0]!, status: 'active' }),
    ],
    [
      'an event of maintenance',
      maintenance,
      (story) => {
        story.switchTo('maintenance', 1);
        story.ask(note, (id) => void story.record(id, noted, 4, { epoch: 1 }));
      },
    ],
    [
      'an event in a partition that was not fenced in time',
      maintenance,
      (story) => {
        story.switchTo('maintenance', 1);
        story.services.pop();
        story.ask(note, (id) => void story.record(id, noted, 4, { recordedAt: beganAt + 60_000 }));
      },
    ],
    [
      'an answer about a service in maintenance',
      maintenance,
      (story) => {
        story.switchTo('maintenance', 1);
        story.ask(get, () => shown(completed));
      },
    ],
    ['an internal error', form, (story) => story.ask(note, () => ({ status: 500 }))],
    [
      'a poisoned stream that is parked too late',
      folds,
      (story) => {
        story.poison(noted, 6);
        return ({ rows }) => Object.assign(rows[0]!, { parkedAtVersion: 6 });
      },
    ],
    [
      'a parked row that goes on',
      folds,
      (story) => {
        story.poison(noted, 6);
        const { id } = story.ask(note, () => undefined);
        const later = story.record(id, noted, 4);
        return ({ rows }) => Object.assign(rows[0]!, { head: { version: 4 }, offset: later.offset });
      },
    ],
    [
      'a valid event that is not published',
      open,
      () =>
        ({ published: events }) =>
          events.pop(),
    ],
    [
      'an event that is published too early',
      open,
      () =>
        ({ published: events }) =>
          events.reverse(),
    ],
    [
      'an event that is published again under another id',
      open,
      () =>
        ({ published: events }) =>
          events.push({ ...events[0]!, id: 'another' }),
    ],
    [
      'an event that is published in another partition',
      open,
      () =>
        ({ published: events }) =>
          Object.assign(events[1]!, { partition: 3 }),
    ],
    [
      'an event that is published with other data',
      open,
      () =>
        ({ published: events }) =>
          Object.assign(events[1]!, { data: { ...events[1]!.data, state_id: 'b' } }),
    ],
    [
      'a void record that is published',
      open,
      (story) => {
        const { id } = story.ask(note, () => undefined);
        const late = story.record(id, noted, 3);
        return ({ published: events }) => events.push({ ...published(late, noted), sequence: 4 });
      },
    ],
    [
      'an event of a parked stream that is published',
      open,
      (story) => {
        story.poison(noted, 6);
        const { id } = story.ask(note, () => undefined);
        const later = story.record(id, noted, 4);
        return ({ published: events }) => events.push(published(later, noted));
      },
    ],
    [
      'an event of a stream that is not in the log',
      open,
      () =>
        ({ published: events }) =>
          events.push({ ...events[0]!, key: '1/somebody' }),
    ],
    ...poisons.map(([what, poison]): [string, Rule, Plant] => [
      `${what} and is not in the dead letters`,
      setAside,
      (story) => {
        poison(story);
        return ({ letters }) => letters.pop();
      },
    ]),
    [
      'a foreign record that is not in the dead letters',
      setAside,
      (story) => {
        story.foreign();
        return ({ letters }) => letters.pop();
      },
    ],
    [
      'a later record of a parked stream that is not in the dead letters',
      setAside,
      (story) => {
        story.poison(noted, 6);
        const { id } = story.ask(note, () => undefined);
        story.record(id, noted, 4);
        return ({ letters }) => letters.pop();
      },
    ],
    [
      'a dead letter without a reason',
      setAside,
      (story) => {
        story.poison(noted, 6);
        return ({ letters }) => Object.assign(letters[0]!, { reason: '' });
      },
    ],
    [
      'a dead letter with the reason of another record',
      setAside,
      (story) => {
        story.foreign();
        return ({ letters }) => Object.assign(letters[0]!, { reason: 'it has no headers' });
      },
    ],
    [
      'a dead letter that says otherwise than the log',
      setAside,
      (story) => {
        story.poison(noted, 6);
        return ({ letters }) => Object.assign(letters[0]!, { record: { ...letters[0]!.record, value: '{}' } });
      },
    ],
    [
      'a dead letter of a record with which nothing is wrong',
      setAside,
      (story) => {
        const [, first] = story.services;
        return ({ letters }) => letters.push({ record: first as RecordedEvent, reason: 'just so' });
      },
    ],
    [
      'an answer with what was in the log before it was asked',
      acknowledged,
      (story) => story.ask(note, () => at(story.record('c3', noted, 1), 200)),
    ],
    ['a list that is refused', reads, (story) => story.ask(listed, notFound)],
    [
      'a composite start that is refused though nobody deleted anything',
      states,
      (story) => story.ask(composite, conflict),
    ],
    [
      'a composite start that found a service which does not match',
      acknowledged,
      (story) =>
        story.ask(composite, () => ({
          ...at(story.services[1] as RecordedEvent, 200, {
            services: [{ service_id: stream, service_created: false, state_id: 'a' }],
          }),
          position: 's0:3',
        })),
    ],
    [
      'a composite start that was answered with a state which the service never had',
      acknowledged,
      (story) =>
        story.ask(composite, (id) => ({
          ...composed(story, id, '0-x'),
          body: { services: [{ service_id: '0-x', service_created: true, state_id: 'b', task_id: 'c' }] },
        })),
    ],
    ['a 503 that does not say what became of a command', form, (story) => story.ask(note, () => unavailable())],
  ];

  it.each(planted)('finds %s', (_what, rule, plant) => {
    const story = new Story();
    const change = plant(story);
    expect(story.broken(typeof change === 'function' ? change : undefined)).toContain(rule);
  });

  afterAll(() => {
    process.stdout.write(`suite: FaultChecker, cases: ${fine.length + planted.length}\n`);
  });

  it('has a planted violation for each rule', () =>
    expect(new Set(planted.map(([, rule]) => rule))).toEqual(new Set(rules)));

  it('shows the records and calls that a violation is about, and no others', () => {
    const story = new Story();
    story.ask(start, (id) =>
      at(
        story.record(id, { ...started, data: { ...started.data, service_id: '0-other' } } as DomainEvent, 1, {
          stream: '0-other',
        }),
        201,
        { service_id: '0-other' },
      ),
    );
    story.ask(end, (id) => at(story.record(id, ended, 3), 204));
    const [violation] = story.violations();
    const text = violation!.shown.join('\n');
    expect(text).toMatch(/v3 ServiceEnded at s0:5 by c4 {2}void: version/);
    expect(text).toMatch(/c4 to api-1: end service_id "0-service" -> .* 204 at s0:5/);
    expect(text).toContain('... 2 more of 0-service');
    expect(text).not.toContain('0-other');
  });

  it.each(planted)('says of %s what an operator can read', (_what, _rule, plant) => {
    const story = new Story();
    const change = plant(story);
    const text = story
      .violations(typeof change === 'function' ? change : undefined)
      .flatMap(({ what, shown: lines }) => [what, ...lines])
      .join('\n');
    expect(text).not.toMatch(/undefined|\[object|NaN/);
  });

  it('reads what a history has written', () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'context-services-history-'));
    try {
      const file = path.join(folder, 'history.jsonl');
      const history = new History(file);
      const call = history.asked({ id: 'c0', request: 'c0', process: 'api-1', ask: note, key: 'k', seen: 's0:1' });
      history.asked({ id: 'c1', request: 'c0', process: 'api-2', ask: note, key: 'k' });
      history.answered(call, { status: 200, position: 's0:4' });
      expect(readCalls(file)).toEqual(history.calls);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
