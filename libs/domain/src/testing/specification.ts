import { decode, encode } from '#events';
import type { EventEnvelope, IdempotencyDigest, Lifetime, RecordedEvent, ServiceEvent } from '#events';
import { answerOf, decide, evolve, Rejected, unstarted } from '../index.js';
import type { Answer, LiveService, RejectionCode, Service, ServiceCommand } from '../index.js';

/** Recorded time of the first event; each later one comes a second after the one before. */
export const firstRecordedAt = Date.UTC(2026, 2, 1, 10);

export interface Place {
  readonly version?: number;
  readonly recordedAt?: number;
  readonly idempotency?: IdempotencyDigest;
  readonly lifetime?: Lifetime;
}

/** The event as it comes out of the log: through the codec and in its envelope. */
export function recorded(event: ServiceEvent, place: Place = {}): EventEnvelope<ServiceEvent> {
  const version = place.version ?? 1;
  const { value, ...encoded } = encode(event);
  const record: Omit<RecordedEvent, 'value'> = {
    kind: 'event',
    ...encoded,
    eventId: `event-${version}`,
    tenant: '1',
    stream: event.data.service_id,
    partition: 0,
    offset: version,
    epoch: 0,
    correlationId: 'a-request',
    recordedAt: firstRecordedAt + (version - 1) * 1000,
    ...place,
    version,
  };
  return { event: decode({ ...encoded, value }) as ServiceEvent, record };
}

/** Events alone, or with a place of their own in time, or with the idempotency key they came with. */
export type Happened = ServiceEvent | readonly [ServiceEvent, Place];

export const fold = (events: readonly Happened[]): Service =>
  events.reduce<Service>((service, happened, index) => {
    const [event, place] = 'type' in happened ? [happened, {}] : happened;
    return evolve(service, recorded(event, { version: index + 1, ...place }));
  }, unstarted);

/** For stories that end with a service that is still there. */
export function foldLive(events: readonly Happened[]): LiveService {
  const service = fold(events);
  if (service.status === 'unstarted' || service.status === 'gone') throw new Error(`the service is ${service.status}`);
  return service;
}

/** `given(what happened).when(command).then...`: the rules as sentences. */
export const given = (...events: readonly Happened[]) => ({
  when(command: ServiceCommand) {
    const before = JSON.stringify(events);
    const decided = () => decide(command, fold(events));
    return {
      /** This event, which the codec and the fold take, and the answer that the fold will keep for it. */
      thenRecords(event: ServiceEvent): void {
        const decision = decided();
        expect(decision.event && recorded(decision.event).event).toStrictEqual(event);
        expect(decision.answer).toStrictEqual(answerOf(event));
        expect(() => fold([...events, event])).not.toThrow();
        expect(JSON.stringify(events)).toBe(before);
      },
      thenAnswers(answer: Answer): void {
        expect(decided().answer).toStrictEqual(answer);
      },
      /** Everything asked for is there already. */
      thenNothing(answer: Answer): void {
        expect(decided()).toStrictEqual({ answer });
      },
      thenRejects(code: RejectionCode, message?: string): void {
        const rejected = rejection(decided);
        expect(rejected.code).toBe(code);
        if (message !== undefined) expect(rejected.message).toBe(message);
      },
    };
  },
});

/** What the call was refused with. */
export function rejection(call: () => unknown): Rejected {
  try {
    call();
  } catch (error) {
    if (error instanceof Rejected) return error;
    throw error;
  }
  throw new Error('nothing was refused');
}
