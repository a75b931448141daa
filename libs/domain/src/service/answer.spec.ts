import { firstRecordedAt, fold, rejection } from '../testing/specification.js';
import {
  otherServiceChosen,
  serviceDeleted,
  serviceEnded,
  serviceExpired,
  service_id,
  serviceStarted,
  serviceUpdated,
  stateStarted,
} from '../testing/conversation.js';
import { answersKeptForMs, keptAnswer } from './answer.js';
import { unstarted } from './service.js';

const start = { key: 'start', request: 'POST /services/start' };
const state = { key: 'state', request: 'POST /states/start' };
const story = [
  [serviceStarted(), { idempotency: start }],
  [stateStarted('s1'), { idempotency: state }],
] as const;
const recordedAt = firstRecordedAt + 1000;
const now = recordedAt + 1;
const firstStart = { service_id, created: true };

describe('a repeat with the same idempotency key', () => {
  it('gets the first answer', () => {
    expect(keptAnswer(fold(story), state, now)).toStrictEqual({ service_id, state_id: 's1', created: true });
    expect(keptAnswer(fold(story), start, now)).toStrictEqual(firstStart);
  });
  it('gets it on a completed service', () =>
    expect(keptAnswer(fold([...story, serviceEnded()]), state, now)).toMatchObject({ state_id: 's1' }));
  it('gets it for 24 h of recorded time', () => {
    const service = fold(story);
    expect(keptAnswer(service, state, recordedAt + answersKeptForMs)).toMatchObject({ state_id: 's1' });
    expect(keptAnswer(service, state, recordedAt + answersKeptForMs + 1)).toBeUndefined();
  });
  it('gets it for as long as the stream when it was the start', () =>
    expect(keptAnswer(fold(story), start, now + 1000 * answersKeptForMs)).toStrictEqual(firstStart));
  it.each([serviceDeleted, serviceExpired])('gets it for a start of what is gone ($type)', (last) => {
    const gone = fold([...story, last]);
    expect(keptAnswer(gone, start, now)).toStrictEqual(firstStart);
    expect(keptAnswer(gone, state, now)).toBeUndefined();
  });
  it('is refused when it is another request', () => {
    for (const service of [fold(story), fold([...story, serviceDeleted])]) {
      expect(rejection(() => keptAnswer(service, { ...start, request: 'other' }, now)).code).toBe(
        'idempotency-key-reused',
      );
    }
    expect(rejection(() => keptAnswer(fold(story), { ...state, request: 'other' }, now)).code).toBe(
      'idempotency-key-reused',
    );
  });
  it('is new again when another request comes after 24 h', () =>
    expect(keptAnswer(fold(story), { ...state, request: 'other' }, recordedAt + answersKeptForMs + 1)).toBeUndefined());
});

describe('a composite start with an idempotency key', () => {
  const composite = { key: 'composite', request: 'POST /services_composite/start' };
  const other = { key: 'other', request: composite.request };
  const chosen = (id: string) => [otherServiceChosen(id), { idempotency: composite }] as const;
  const useOf = (id: string) => ({ service_id: id, created: false });

  it('uses the service that was chosen instead of the one it would start', () => {
    expect(keptAnswer(fold([chosen('U')]), composite, now)).toStrictEqual(useOf('U'));
    expect(keptAnswer(fold([chosen('U')]), other, now)).toBeUndefined();
  });
  it('uses the one that was chosen last', () =>
    expect(keptAnswer(fold([chosen('U'), chosen('V')]), composite, now)).toStrictEqual(useOf('V')));
  it('uses the one that was started for it after all', () =>
    expect(
      keptAnswer(fold([chosen('U'), [serviceStarted(), { idempotency: composite }]]), composite, now),
    ).toStrictEqual(firstStart));
  it.each([[[]], [[serviceEnded()]], [[serviceDeleted]], [[serviceExpired]]])(
    'uses what was chosen also when somebody else has started the service (%j)',
    (afterwards) =>
      expect(
        keptAnswer(fold([chosen('U'), [serviceStarted(), { idempotency: other }], ...afterwards]), composite, now),
      ).toStrictEqual(useOf('U')),
  );
  it.each([serviceEnded(), serviceDeleted, serviceExpired])(
    'knows that it has used one that ended since ($type)',
    (last) =>
      expect(
        keptAnswer(fold([serviceStarted(), [serviceUpdated(), { idempotency: composite }], last]), composite, now),
      ).toStrictEqual(useOf(service_id)),
  );
  it('does not come with another request', () =>
    expect(rejection(() => keptAnswer(fold([chosen('U')]), { ...composite, request: 'other' }, now)).code).toBe(
      'idempotency-key-reused',
    ));
});

describe('a key that did not come before', () => {
  it.each(['another', '__proto__', 'constructor'])('has no answer (%s)', (key) => {
    for (const service of [unstarted, fold(story), fold([...story, serviceDeleted]), fold([serviceStarted()])]) {
      expect(keptAnswer(service, { key, request: state.request }, now)).toBeUndefined();
    }
  });
});

it('keeps a key called __proto__ like any other', () => {
  const idempotency = { key: '__proto__', request: 'r' };
  const service = fold([serviceStarted(), [serviceEnded(), { idempotency }]]);
  expect(keptAnswer(service, idempotency, now)).toStrictEqual({ service_id });
});
