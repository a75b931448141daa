import { encode, type ModeEvent } from '#events';
import type { LogRecord } from '#event-log';
import { violations } from './mode-checker.js';
import type { Answer, Asked, ModeHistory } from './mode-history.js';

const ofEvery = { schemaVersion: 1, tenant: '1', correlationId: 'c', partition: 0 };

const fence = (offset: number, epoch: number, recordedAt: number): LogRecord => ({
  kind: 'fence',
  partition: 0,
  offset,
  epoch,
  recordedAt,
});

/** The start of a service of its own. */
const started = (offset: number, epoch: number, recordedAt: number, correlationId: string): LogRecord => ({
  ...ofEvery,
  ...encode({
    type: 'ServiceStarted',
    data: { service_id: correlationId, contact_key: 'k', timestamp: '2026-05-26T09:00:00.999Z' },
  }),
  kind: 'event',
  eventId: `event-${offset}`,
  stream: correlationId,
  version: 1,
  offset,
  epoch,
  recordedAt,
  correlationId,
});

const mode = (offset: number, version: number, epoch: number, recordedAt: number, event: ModeEvent): LogRecord => ({
  ...ofEvery,
  ...encode(event),
  kind: 'event',
  eventId: `mode-${offset}`,
  stream: 'mode',
  version,
  offset,
  epoch,
  recordedAt,
});

const defined = (
  offset: number,
  version: number,
  epoch: number,
  recordedAt: number,
  correlationId: string,
): LogRecord => ({
  ...ofEvery,
  ...encode({
    type: 'BusinessAttributeDefined',
    data: { attribute: { name: 'a', dbid: 1, display_name: '', description: '', values: [] } },
  }),
  kind: 'event',
  eventId: `defined-${offset}`,
  stream: 'metadata',
  version,
  offset,
  epoch,
  recordedAt,
  correlationId,
});

const begin = (target: 'production' | 'maintenance', epoch: number): ModeEvent => ({
  type: 'ModeSwitchStarted',
  data: { target, epoch, process: 'p' },
});
const open = (target: 'production' | 'maintenance', epoch: number): ModeEvent => ({
  type: 'ModeSwitched',
  data: { mode: target, epoch },
});

const ok = { status: 201, body: '{}' };
const refused = { status: 503, exception: 'ModeException', retryAfter: '10', body: '{}' };
const notApplied = { ...refused, outcome: 'not-applied' };

function asked(
  kind: Asked['kind'],
  correlationId: string,
  sentAt: number,
  answer: Answer | undefined,
  to?: Asked['to'],
): Asked {
  return { process: 'one', kind, correlationId, sentAt, ...(to && { to }), ...(answer && { answer }) };
}

/** To maintenance at 1030 and back to production at 2030; a record that was admitted before comes late. */
const good: ModeHistory = {
  partitions: 1,
  limitMs: 100,
  pauses: [],
  killed: new Set(),
  control: [
    fence(0, 0, 0),
    mode(1, 1, 0, 1000, begin('maintenance', 1)),
    fence(2, 1, 1020),
    mode(3, 2, 1, 1030, open('maintenance', 1)),
    defined(4, 1, 1, 1500, 'defined'),
    mode(5, 3, 1, 2000, begin('production', 2)),
    fence(6, 2, 2020),
    mode(7, 4, 2, 2030, open('production', 2)),
  ],
  services: [
    fence(0, 0, 0),
    started(1, 0, 500, 'before'),
    fence(2, 1, 1010),
    started(3, 0, 1100, 'late'),
    fence(4, 2, 2010),
    started(5, 2, 2100, 'after'),
    fence(6, 1, 2200),
    started(7, 2, 2300, 'unknown'),
  ],
  asked: [
    asked('change', 'before', 490, { at: 510, ...ok }),
    asked('read', 'read', 600, { at: 610, status: 200, body: '{}' }),
    asked('switch', 's1', 990, { at: 1035, status: 200, body: '{}', position: 'c:3' }, 'maintenance'),
    asked('change', 'late', 995, { at: 1090, ...notApplied }),
    asked('schema', 'defined', 1490, { at: 1510, ...ok }),
    asked('schema', 'undefined', 500, { at: 510, ...notApplied }),
    asked('read', 'refused', 1500, { at: 1501, ...refused }),
    asked('switch', 's2', 1999, { at: 2035, status: 200, body: '{}', position: 's0:4,c:7' }, 'production'),
    asked('change', 'after', 2090, { at: 2110, ...ok }),
    asked('change', 'after', 2120, { at: 2130, ...ok }),
    asked('change', 'unknown', 2290, {
      at: 2390,
      ...refused,
      exception: 'OutcomeUnknownException',
      outcome: 'unknown',
    }),
  ],
};

const without = (records: readonly LogRecord[], offset: number): readonly LogRecord[] =>
  records.filter((record) => record.offset !== offset);
const plus = (...more: Asked[]): ModeHistory => ({ ...good, asked: [...good.asked, ...more] });
const answering = (correlationId: string, answer: Partial<Answer>): ModeHistory => ({
  ...good,
  asked: good.asked.map((one) =>
    one.correlationId === correlationId && one.answer ? { ...one, answer: { ...one.answer, ...answer } } : one,
  ),
});

describe('the checker of mode switches', () => {
  it('finds nothing wrong with what is right, a late event and a late fence included', () =>
    expect(violations(good)).toStrictEqual([]));

  it.each<[string, ModeHistory, RegExp]>([
    [
      'a partition without a fence, and with it an event that should be void',
      { ...good, services: without(without(good.services, 2), 4) },
      /partition 0 has no fence of epoch 1/,
    ],
    [
      'a fence that is written after the mode was opened',
      { ...good, services: good.services.map((one) => (one.offset === 2 ? { ...one, recordedAt: 1031 } : one)) },
      /partition 0 has no fence of epoch 1/,
    ],
    [
      'an event of maintenance',
      { ...good, services: good.services.map((one) => (one.offset === 3 ? { ...one, epoch: 1 } : one)) },
      /is valid in epoch 1, maintenance/,
    ],
    [
      'an event behind the answer that the fence does not make void',
      { ...good, services: [fence(0, 0, 0), started(1, 0, 1500, 'before'), ...good.services.slice(2)] },
      /was recorded while maintenance was in force/,
    ],
    [
      'a success without an event',
      plus(asked('change', 'lost', 2400, { at: 2401, ...ok })),
      /lost .* has 0 valid events/,
    ],
    ['a denied change that has an event', answering('before', notApplied), /before was answered 503, and has 1/],
    [
      'a change that was applied twice',
      {
        ...good,
        services: [...good.services, started(8, 2, 2400, 'after-2')].map((one) =>
          one.kind === 'event' && one.stream === 'after-2' ? { ...one, correlationId: 'after' } : one,
        ),
      },
      /after was answered 201, 201, and has 2/,
    ],
    [
      'a repeat with another answer',
      plus(asked('change', 'after', 2400, { at: 2401, ...ok, body: '{"a":1}' })),
      /several answers/,
    ],
    ['an event that nobody asked for', { ...good, asked: good.asked.slice(1) }, /before has an event, and nobody/],
    [
      'a read that is answered in maintenance',
      plus(asked('read', 'r', 1100, { at: 1101, status: 200, body: '' })),
      /answered read r with 200 in maintenance/,
    ],
    [
      'metadata that is changed in production',
      { ...good, control: [...good.control, defined(8, 2, 2, 2500, 'defined')] },
      /BusinessAttributeDefined at 0:8 is valid in epoch 2, production/,
    ],
    [
      'a change of metadata that is answered in production',
      plus(asked('schema', 'm', 600, { at: 601, ...ok })),
      /answered schema m with 201 in production/,
    ],
    [
      'a change of metadata without an event',
      plus(asked('schema', 'm', 1600, { at: 1601, ...ok })),
      /m was answered 201, and has 0 valid events/,
    ],
    [
      'an answer that comes before the mode is in force',
      answering('s1', { position: 'c:2' }),
      /said at c:2 that it is in maintenance/,
    ],
    ['an answer for another mode', answering('s1', { position: 'c:7' }), /said at c:7/],
    ['a switch that answers without a position', answering('s1', { position: '' }), /the log does not/],
    ['a refusal without Retry-After', answering('refused', { retryAfter: '' }), /Retry-After/],
    ['a denied change that does not say what became of it', answering('late', { outcome: '' }), /outcome/],
    ['an error that is not a 503', answering('late', { status: 500 }), /500/],
    ['an unknown exception', answering('late', { exception: 'Oops' }), /Oops/],
    ['a call that took too long', answering('late', { at: 1096 }), /change late at one took 101 ms/],
    [
      'a call that was not answered',
      plus(asked('change', 'silent', 2400, undefined)),
      /silent at one was not answered/,
    ],
    ['a switch that was never completed', { ...good, control: good.control.slice(0, 7), asked: [] }, /never completed/],
    [
      'a switch within a switch',
      {
        ...good,
        control: [...good.control.slice(0, 2), mode(2, 2, 0, 1010, begin('maintenance', 1)), ...good.control.slice(5)],
      },
      /begins while/,
    ],
    [
      'a mode that nobody asked for',
      { ...good, control: [...good.control, mode(8, 5, 2, 2500, open('maintenance', 3))] },
      /nobody has begun that switch/,
    ],
  ])('notices %s', (_name, history, expected) =>
    expect(violations(history)).toContainEqual(expect.stringMatching(expected)),
  );

  it('does not blame a process for the time in which it was stopped or killed', () => {
    const held = answering('late', { at: 5000 });
    expect(violations({ ...held, pauses: [{ process: 'one', from: 1000, to: 4950 }] })).toStrictEqual([]);
    expect(violations({ ...held, pauses: [{ process: 'two', from: 1000, to: 4950 }] })).toHaveLength(1);
    const silent = plus(asked('change', 'silent', 2400, undefined));
    expect(violations({ ...silent, killed: new Set(['one']) })).toStrictEqual([]);
  });
});
