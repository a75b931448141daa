import { decide, evolve, Rejected, unstarted, type Service, type ServiceCommand } from '#domain';
import {
  advance,
  encode,
  isPublicEvent,
  unwritten,
  type DomainEvent,
  type Head,
  type Lifetime,
  type RecordedEvent,
} from '#events';
import { fenced, judge, type LogRecord } from '#event-log';
import type { Aggregate } from '#read-model';
import type { Random } from './random.js';

export const TENANT = '1';
const FIRST_TIME = Date.UTC(2026, 0, 1);

/** What a stream folds to when its valid records are read one after another: what every row must show. */
export interface FoldedStream {
  readonly head: Head;
  readonly offset: number;
  readonly aggregate: Aggregate;
  /** Ids of its valid service events, in order. */
  readonly eventIds: readonly string[];
}

/** A partition of the log as it grows, and beside it what it folds to. */
export class History {
  readonly records: LogRecord[] = [
    { kind: 'fence', partition: 0, offset: 0, recordedAt: FIRST_TIME, epoch: 0, logId: '' },
  ];
  readonly streams = new Map<string, FoldedStream>();
  epoch = 0;
  private now = FIRST_TIME;

  wait(ms: number): void {
    this.now += ms;
  }

  fence(epoch: number): void {
    this.records.push({ kind: 'fence', ...this.place(), epoch });
    this.epoch = fenced(this.epoch, epoch);
  }

  marker(): void {
    this.records.push({ kind: 'marker', ...this.place(), id: `marker-${this.records.length}` });
  }

  foreign(): void {
    this.records.push({ kind: 'foreign', ...this.place(), reason: 'it has no headers' });
  }

  /** Valid or not, as the protocol says: with the stream's next version and the epoch in force unless told otherwise. */
  event(stream: string, event: DomainEvent, record: Partial<RecordedEvent> = {}): RecordedEvent {
    const head = this.headOf(stream);
    const recorded: RecordedEvent = {
      kind: 'event',
      ...this.place(),
      ...encode(event),
      eventId: `event-${this.records.length}`,
      tenant: TENANT,
      stream,
      version: head.version + 1,
      epoch: this.epoch,
      correlationId: 'a-call',
      ...record,
    };
    this.records.push(recorded);
    if (judge(recorded, head, this.epoch).valid) this.fold(recorded, event);
    return recorded;
  }

  headOf(stream: string): Head {
    return this.streams.get(stream)?.head ?? unwritten;
  }

  serviceOf(stream: string): Service {
    const aggregate = this.streams.get(stream)?.aggregate;
    return aggregate?.kind === 'service' ? aggregate.service : unstarted;
  }

  /** A live service after the end of its time. */
  isDue(stream: string): boolean {
    const { status } = this.serviceOf(stream);
    return (status === 'active' || status === 'completed') && (this.headOf(stream).expiresAt ?? Infinity) <= this.now;
  }

  private fold(record: RecordedEvent, event: DomainEvent): void {
    const before = this.streams.get(record.stream);
    const aggregate: Aggregate =
      event.type === 'ServiceClaimed'
        ? { kind: 'claim', claim: { status: 'claimed', ...event.data } }
        : { kind: 'service', service: evolve(this.serviceOf(record.stream), { event, record }) };
    this.streams.set(record.stream, {
      head: advance(this.headOf(record.stream), record),
      offset: record.offset,
      aggregate,
      eventIds: [...(before?.eventIds ?? []), ...(isPublicEvent(event) ? [record.eventId] : [])],
    });
  }

  private place() {
    return { partition: 0, offset: this.records.length, recordedAt: this.now };
  }
}

const YEAR: Lifetime = { slide: 157_680_000 };
const LONGEST_WAIT_MS = 2_000;

/** Some services and claims in the lives of which everything happens, lost races and late records included. */
export function randomHistory(random: Random, length: number): History {
  const history = new History();
  const ids = Array.from({ length: 6 }, (_, n) => (n === 0 ? '__proto__' : `0-service/${n}`));
  while (history.records.length < length) {
    history.wait(random.below(LONGEST_WAIT_MS));
    const stream = random.pick(ids);
    if (random.chance(0.03)) history.fence(history.epoch + random.below(3) - 1);
    else if (random.chance(0.05)) history.marker();
    else if (random.chance(0.05)) claim(history, random);
    else if (random.chance(0.15)) lateRecord(history, stream, random);
    else if (history.isDue(stream)) expire(history, stream, random);
    else act(history, stream, random);
  }
  return history;
}

/** Its time is up: it is told so, or somebody comes too late. */
function expire(history: History, stream: string, random: Random): void {
  if (random.chance(0.5)) history.event(stream, { type: 'ServiceExpired', data: { service_id: stream } });
  else act(history, stream, random);
}

function act(history: History, stream: string, random: Random): void {
  const service = history.serviceOf(stream);
  if (service.status === 'unstarted' && random.chance(0.3)) {
    const idempotency = { key: `key-${history.records.length}`, request: 'a-request' };
    const data = { service_id: stream, other_service_id: '0-other' };
    return void history.event(stream, { type: 'OtherServiceChosen', data }, { idempotency });
  }
  const command = randomCommand(service, stream, history.records.length, random);
  try {
    const { event } = decide(command, service);
    if (event) history.event(stream, event, command.lifetime && { lifetime: command.lifetime });
  } catch (error) {
    if (!(error instanceof Rejected)) throw error;
  }
}

/** Of a lost race, of a producer that sent twice, or of a process that hung while the server switched its mode. */
function lateRecord(history: History, stream: string, random: Random): void {
  const { version } = history.headOf(stream);
  const event: DomainEvent = { type: 'ServiceDeleted', data: { service_id: stream } };
  if (history.epoch > 0 && random.chance(0.5)) history.event(stream, event, { epoch: history.epoch - 1 });
  else if (version > 0) history.event(stream, event, { version: version - random.below(version) });
}

function claim(history: History, random: Random): void {
  const service_id = `0-claimed-${random.below(3)}`;
  const start = { service_id, timestamp: '2026-01-01T00:00:00.000Z' };
  history.event(`claim-${random.below(3)}`, { type: 'ServiceClaimed', data: { service_id, start, lifetime: YEAR } });
}

function randomCommand(service: Service, service_id: string, n: number, random: Random): ServiceCommand {
  const timestamp = new Date(FIRST_TIME + random.below(1_000_000)).toISOString();
  const customer = () => `customer-${random.below(3)}`;
  if (service.status === 'unstarted' || service.status === 'gone') {
    const contact_key = random.pick(['', 'ada', 'bob']);
    return {
      type: 'StartService',
      data: {
        service_id,
        timestamp,
        service_type: random.pick(['order', 5]),
        ...(contact_key && { contact_key }),
        ...(random.chance(0.3) && { customer_id: customer() }),
        extensions: { ['__proto__']: { polluted: true } },
      },
      lifetime: random.chance(0.2) ? { ttl: 1 + random.below(20) } : YEAR,
    };
  }
  const state_id = random.pick([...service.states.map((state) => state.state_id), 'no-state']);
  const task_id = random.pick([...service.tasks.map((task) => task.task_id), 'no-task']);
  return random.pick<() => ServiceCommand>([
    () => ({ type: 'AssociateService', data: { service_id, timestamp, customer_id: customer() } }),
    () => ({ type: 'EndService', data: { service_id, timestamp, disposition_desc: 'done' } }),
    () => ({ type: 'StartState', data: { service_id, timestamp, state_id: `state-${n}`, state_type: 'greeting' } }),
    () => ({ type: 'EndState', data: { service_id, timestamp, state_id, disposition: 7 } }),
    () => ({
      type: 'TransitionState',
      data: { service_id, timestamp, from: { state_id }, to: { state_id: `state-${n}`, state_type: 'selling' } },
    }),
    () => ({ type: 'StartTask', data: { service_id, timestamp, task_id: `task-${n}`, task_type: 'call' } }),
    () => ({ type: 'EndTask', data: { service_id, timestamp, task_id } }),
    () => ({ type: 'ReplaceExtension', data: { service_id, name: '__proto__', value: { n } } }),
    () => ({ type: 'ChangeExpiration', data: { service_id }, lifetime: { ttl: 1 + random.below(20) } }),
    () => ({ type: 'DeleteService', data: { service_id } }),
  ])();
}
