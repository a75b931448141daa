import type { Json, ServiceEvent } from '#events';
import { fold, foldLive, recorded, rejection } from '../testing/specification.js';
import {
  extensionMerged,
  extensionReplaced,
  serviceDeleted,
  serviceEnded,
  service_id,
  serviceStarted,
  stateStarted,
  stateTransitioned,
  taskStarted,
} from '../testing/conversation.js';
import { evolve } from './evolve.js';
import { unstarted } from './service.js';
import type { Service } from './service.js';
import { maxServiceBytes, refuseTooLarge, sizeOf, staysSmall } from './size.js';

const half = 'x'.repeat(maxServiceBytes / 2);
const most = 'x'.repeat(maxServiceBytes - 10_000);

describe('a service that is too large', () => {
  it('is refused', () => {
    const service = foldLive([serviceStarted(), extensionReplaced('a', half), extensionReplaced('b', half)]);
    const { code, message } = rejection(() => refuseTooLarge(service));
    expect(code).toBe('service-too-large');
    expect(message).toContain(service_id);
    expect(service.bytes).toBeGreaterThan(maxServiceBytes);
  });
  it('is refused before it is started, when too many use others instead', () => {
    const answers = [{ key: 'k', request: most, at: 0, answer: { service_id: half } }];
    const service = { status: 'unstarted', answers, bytes: sizeOf(answers) } as const;
    expect(rejection(() => refuseTooLarge(service)).code).toBe('service-too-large');
  });
  it('is measured in bytes, not in characters', () =>
    expect(
      rejection(() => refuseTooLarge(fold([serviceStarted(), extensionReplaced('a', '€'.repeat(3_000_000))]))).code,
    ).toBe('service-too-large'));
  it('is well again when it has shrunk', () => {
    const shrunk = fold([
      serviceStarted(),
      extensionReplaced('a', half),
      extensionReplaced('b', half),
      extensionReplaced('b', 1),
    ]);
    expect(() => refuseTooLarge(shrunk)).not.toThrow();
  });
});

describe('a service within the limit', () => {
  it.each([
    ['unstarted', []],
    ['gone', [serviceStarted(), extensionReplaced('a', half), extensionReplaced('b', half), serviceDeleted]],
    ['small', [serviceStarted()]],
    ['almost too large', [serviceStarted(), extensionReplaced('a', most)]],
  ] as const)('is not refused (%s)', (_what, events) => expect(() => refuseTooLarge(fold(events))).not.toThrow());
  it('is not refused however often large values were replaced', () => {
    const events = Array.from({ length: 20 }, (_, n) => extensionReplaced('a', `${n}${half}`));
    const service = foldLive([serviceStarted(), ...events]);
    expect(() => refuseTooLarge(service)).not.toThrow();
    expect(service.bytes).toBeLessThanOrEqual(maxServiceBytes);
  });
});

describe('the size that a service carries', () => {
  const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000);

  /** Small and repeatable (mulberry32). */
  function random(state: number): () => number {
    return () => {
      state = (state + 0x6d2b79f5) | 0;
      let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
      mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
      return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
    };
  }

  it(`is never less than its size as JSON (SEED=${seed})`, () => {
    const next = random(seed);
    const below = (limit: number) => Math.floor(next() * limit);
    const text = (limit: number) => ['x', '"', '\n', '€', '🙂', '\u0001'][below(6)]!.repeat(below(limit));
    for (let run = 0; run < 50; run += 1) {
      let service: Service = unstarted;
      let states = 0;
      let version = 0;
      const add = (event: ServiceEvent) => {
        version += 1;
        const idempotency = below(2) ? { key: 'k'.repeat(43), request: 'r'.repeat(43) } : undefined;
        service = evolve(service, recorded(event, { version, ...(idempotency && { idempotency }) }));
        if (service.status === 'unstarted' || service.status === 'gone') throw new Error(service.status);
        if (service.bytes < sizeOf(service))
          throw new Error(`${service.bytes} < ${sizeOf(service)} after ${event.type}`);
      };
      const value = (): Json => [text(50), below(1000), null, [text(20)], { [text(10)]: text(30) }][below(5)]!;
      add(serviceStarted({ extensions: { [text(20)]: value() }, session_id: text(32) }));
      for (let step = 0; step < 60; step += 1) {
        const id = `${states}${text(40)}`;
        const one = service as Service & { states: readonly { state_id: string }[] };
        const from = one.states[below(one.states.length)]?.state_id;
        const kind = below(6);
        if (kind === 0) add(stateStarted(id, { session_id: text(32), extensions: { [text(20)]: value() } }));
        else if (kind === 1) add(taskStarted(id, { media_type: text(100), ...(from && { state_id: from }) }));
        else if (kind === 2 && from !== undefined) {
          add(
            stateTransitioned(
              { state_id: from },
              { state_id: id },
              { interaction_id: text(50), media_type: text(3000) },
            ),
          );
        } else if (kind === 3) add(extensionReplaced(text(10), value()));
        else if (kind === 4) add(extensionMerged('merged', { [text(10)]: value() }));
        else add(serviceEnded({ disposition_desc: text(64), resource_type: text(64) }));
        states += 1;
      }
    }
  });
});

describe('a service that stays small', () => {
  const mostBytes = 3 * 1024 * 1024;

  it('is one that the largest event cannot make too large', () => {
    const events = [serviceStarted(), extensionReplaced('a', 'x'.repeat(100_000))];
    expect(staysSmall(fold(events), mostBytes)).toBe(true);
    const larger = fold([...events, extensionReplaced('b', 'x'.repeat(mostBytes))]);
    expect(() => refuseTooLarge(larger)).not.toThrow();
  });

  it('is not one that such an event could make too large', () => {
    const service = fold([serviceStarted(), extensionReplaced('a', 'x'.repeat(mostBytes))]);
    expect(staysSmall(service, mostBytes)).toBe(false);
  });

  it('is one that has not begun', () => expect(staysSmall(unstarted, mostBytes)).toBe(true));
});
