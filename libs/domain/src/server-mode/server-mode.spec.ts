import { encode, openControl, type EventEnvelope, type ModeEvent, type RecordedEvent } from '#events';
import { Rejected } from '../rejected.js';
import { decideSwitch, evolveServerMode, freshServer, keptSwitch, type ServerMode } from './server-mode.js';

const hour = 60 * 60 * 1000;

/** The server after these events, each an hour after the one before. */
const given = (...events: readonly (ModeEvent | readonly [ModeEvent, string])[]): ServerMode =>
  events.reduce<ServerMode>((server, happened, index) => {
    const [event, key] = 'type' in happened ? [happened] : happened;
    const record: RecordedEvent = {
      kind: 'event',
      ...encode(event),
      eventId: `event-${index}`,
      tenant: '0',
      stream: 'mode',
      partition: 0,
      offset: index,
      version: index + 1,
      epoch: 0,
      correlationId: 'a-request',
      recordedAt: index * hour,
      ...(key !== undefined && { idempotency: { key, request: `request of ${key}` } }),
    };
    return evolveServerMode(server, openControl(record) as EventEnvelope<ModeEvent>);
  }, freshServer);

const begun: ModeEvent = { type: 'ModeSwitchStarted', data: { target: 'maintenance', epoch: 1, process: 'a' } };
const done: ModeEvent = { type: 'ModeSwitched', data: { mode: 'maintenance', epoch: 1 } };
const drained = (process: string, epoch: number): ModeEvent => ({ type: 'ProcessDrained', data: { process, epoch } });

it('a fresh server is in production', () => expect(freshServer).toMatchObject({ mode: 'production', epoch: 0 }));

it('a switch opens the next epoch, and names who began it', () =>
  expect(decideSwitch(given(begun, done), 'production', 'b')).toStrictEqual({
    type: 'ModeSwitchStarted',
    data: { target: 'production', epoch: 2, process: 'b' },
  }));

it('to the mode in force there is nothing to switch', () =>
  expect(decideSwitch(given(begun, done), 'maintenance', 'b')).toBeUndefined());

it('while it is switched the mode is the one before', () => {
  const { mode, epoch, switching } = given(begun);
  expect({ mode, epoch }).toStrictEqual({ mode: 'production', epoch: 0 });
  expect(switching).toStrictEqual({ target: 'maintenance', epoch: 1, process: 'a', since: 0, drained: new Set() });
});

it('counts who has drained for this switch, once each', () =>
  expect(
    given(begun, drained('a', 1), drained('b', 1), drained('a', 1), drained('c', 7)).switching?.drained,
  ).toStrictEqual(new Set(['a', 'b'])));

it('a process that says it late changes nothing', () =>
  expect(given(begun, done, drained('a', 1))).toStrictEqual(given(begun, done)));

it('when it is complete the new mode is in force', () =>
  expect(given(begun, drained('a', 1), done)).toStrictEqual({ mode: 'maintenance', epoch: 1, keyed: [] }));

describe('a request with a key', () => {
  const server = given([begun, 'k'], done);
  it('is known by the switch that it has begun', () =>
    expect(keptSwitch(server, { key: 'k', request: 'request of k' }, 2 * hour)).toBe(1));
  it('is new with another key', () =>
    expect(keptSwitch(server, { key: 'other', request: 'request of k' }, 2 * hour)).toBeUndefined());
  it('is refused when it is another request', () =>
    expect(() => keptSwitch(server, { key: 'k', request: 'other' }, 2 * hour)).toThrow(Rejected));
  it('is forgotten after a day', () =>
    expect(keptSwitch(server, { key: 'k', request: 'request of k' }, 25 * hour)).toBeUndefined());
});
