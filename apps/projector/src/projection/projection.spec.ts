import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encode, type DomainEvent, type RecordedEvent } from '#events';
import { SystemClock, type Clock, type PublicEvent } from '#event-log';
import { listEntries, StoreUnavailable, type ListEntry, type StreamRow } from '#read-model';
import { EmbeddedReadModel } from '#read-model/embedded';
import { newSeed, Random } from '../testing/random.js';
import { History, randomHistory, TENANT } from '../testing/random-history.js';
import { RecordedLog } from '../testing/recorded-log.js';
import { DeadLetters, PublicEvents, unwatched } from './ports.js';
import { defaultProjectionLimits, Projection, StoreWentBack, type ProjectionOptions } from './projection.js';

class KeptEvents extends PublicEvents {
  readonly events: PublicEvent[] = [];

  override async publish(events: readonly PublicEvent[]): Promise<void> {
    this.events.push(...events);
  }

  /** What a consumer sees that drops what is not higher than the last sequence of the subject. */
  get seen(): readonly PublicEvent[] {
    const last = new Map<string, number>();
    return this.events.filter(({ subject, sequence }) => {
      const isNew = sequence > (last.get(subject) ?? 0);
      if (isNew) last.set(subject, sequence);
      return isNew;
    });
  }
}

class KeptLetters extends DeadLetters {
  readonly letters: { readonly offset: number; readonly reason: string }[] = [];

  override async add({ offset }: { readonly offset: number }, reason: string): Promise<void> {
    this.letters.push({ offset, reason });
  }
}

const fastClock: Clock = new SystemClock();
const limits = { firstPauseMs: 1, longestPauseMs: 2, storeRestartMs: 0 };
const CASE_TIMEOUT_MS = 60_000;
const MORE_STEPS_THAN_THERE_ARE = 200;
const CALL_THAT_FAILS = 5;
const started = '2026-01-01T00:00:00.000Z';

let directory: string;
let readModel: EmbeddedReadModel;
let published: KeptEvents;
let deadLetters: KeptLetters;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'projection-'));
  readModel = await EmbeddedReadModel.open({ directory });
  published = new KeptEvents();
  deadLetters = new KeptLetters();
});

afterEach(async () => {
  await readModel.close();
  await rm(directory, { recursive: true, force: true });
});

const projectionOf = (log: RecordedLog, ports: Partial<ProjectionOptions> = {}): Projection =>
  new Projection({ log, readModel, publicEvents: published, deadLetters, clock: fastClock, limits, ...ports });

const rowOf = (stream: string): Promise<StreamRow | undefined> => readModel.find({ tenant: TENANT, stream });

/** Rows, lists and public events are what the valid records say, whatever happened on the way. */
async function expectFoldOf(history: History): Promise<void> {
  const entries: ListEntry[] = [];
  for (const [stream, { head, offset, aggregate }] of history.streams) {
    expect(await rowOf(stream)).toEqual({ tenant: TENANT, stream, head, offset, aggregate });
    if (aggregate.kind === 'service') entries.push(...listEntries(aggregate.service, TENANT));
  }
  expect(await allLists()).toEqual(inOrder(entries));
  const expected = [...history.streams.values()].flatMap(({ eventIds }) => eventIds);
  expect(published.seen.map(({ id }) => id).sort()).toEqual(expected.sort());
}

async function allLists(): Promise<readonly ListEntry[]> {
  const customers = ['customer-0', 'customer-1', 'customer-2'].map((id) => ({ kind: 'customer', id }) as const);
  const contacts = ['ada', 'bob'].flatMap((id) => [
    { kind: 'contact', id } as const,
    { kind: 'associated', id } as const,
  ]);
  const found: ListEntry[] = [];
  for (const owner of [...customers, ...contacts]) {
    for (const status of ['active', 'completed'] as const) {
      found.push(...(await readModel.list({ owner: { tenant: TENANT, ...owner }, status, order: 'oldest-first' })));
    }
  }
  return inOrder(found);
}

const inOrder = (entries: readonly ListEntry[]): readonly ListEntry[] =>
  entries.toSorted((a, b) => (a.service_id + a.owner.kind < b.service_id + b.owner.kind ? -1 : 1));

/** A store, and all that was published, as on the first day. */
async function restart(): Promise<void> {
  await forgetEverything();
  published = new KeptEvents();
  deadLetters = new KeptLetters();
}

async function forgetEverything(): Promise<void> {
  await readModel.close();
  await rm(directory, { recursive: true });
  readModel = await EmbeddedReadModel.open({ directory });
}

/** The same port, with something happening at each of its calls. */
function around<Port extends object>(
  port: () => Port,
  at = async (call: () => Promise<unknown>, _name: string): Promise<unknown> => call(),
): Port {
  return new Proxy(port(), {
    get:
      (_, name) =>
      async (...args: unknown[]) =>
        at(() => Reflect.apply(Reflect.get(port(), name) as () => Promise<unknown>, port(), args), String(name)),
  });
}

/** Answers whether there was such a step at all. */
async function projectUntilDeath(log: RecordedLog, step: number, when: 'before' | 'after'): Promise<boolean> {
  let calls = 0;
  let dead = false;
  const mortal = async (call: () => Promise<unknown>): Promise<unknown> => {
    if (dead) throw new Error('dead');
    const isLast = calls === step;
    calls += 1;
    if (isLast) {
      dead = true;
      if (when === 'after') await call();
      throw new Error('dead');
    }
    return call();
  };
  const projection = projectionOf(log, {
    readModel: around(() => readModel, mortal),
    publicEvents: around(() => published, mortal),
    deadLetters: around(() => deadLetters, mortal),
  });
  await log.project(projection, { batchSize: 10 }).catch((error: Error) => expect(error.message).toBe('dead'));
  return dead;
}

const recordOf = (stream: string, event: DomainEvent, offset: number): RecordedEvent => ({
  kind: 'event',
  partition: 0,
  offset,
  recordedAt: Date.parse(started),
  ...encode(event),
  eventId: `event-${offset}`,
  tenant: TENANT,
  stream,
  version: 1,
  epoch: 0,
  correlationId: 'a-call',
});

const serviceStarted = (service_id: string) =>
  ({ type: 'ServiceStarted', data: { service_id, timestamp: started } }) as const;
const serviceEnded = (service_id: string) =>
  ({ type: 'ServiceEnded', data: { service_id, timestamp: started } }) as const;
const stateStarted = (service_id: string, state_id: string) =>
  ({ type: 'StateStarted', data: { service_id, state_id, timestamp: started } }) as const;

describe('projecting the log', () => {
  it('makes every row the fold of its valid records', async () => {
    for (let round = 0; round < 10; round += 1) {
      const seed = newSeed();
      const history = randomHistory(new Random(seed), 200);
      await restart();
      const log = new RecordedLog(history.records);
      try {
        await log.project(projectionOf(log), { batchSize: 1 + (seed % 50) });
        await expectFoldOf(history);
      } catch (cause) {
        throw new Error(`CS_TEST_SEED=${seed} shows it again`, { cause });
      }
    }
  });

  it('changes nothing when every batch comes twice', async () => {
    const history = randomHistory(new Random(7), 150);
    const log = new RecordedLog(history.records);
    const projection = projectionOf(log);
    await projection.checkpoint(0);
    for (let at = 0; at < log.records.length; at += 7) {
      await projection.handle(log.batch(at, at + 7));
      const publishedOnce = published.events.length;
      await projection.handle(log.batch(at, at + 7));
      expect(published.events).toHaveLength(publishedOnce);
    }
    await expectFoldOf(history);
  });

  it('does not count a record as void because it comes again', async () => {
    const history = new History();
    history.event('s', serviceStarted('s'));
    history.event('s', serviceEnded('s'));
    const log = new RecordedLog(history.records);
    const passedOver: number[] = [];
    const watch = { ...unwatched, passedOver: ({ offset }: RecordedEvent) => passedOver.push(offset) };
    const projection = projectionOf(log, { watch });
    await projection.checkpoint(0);
    await projection.handle(log.batch(0, 3));
    await projection.handle(log.batch(0, 3));
    expect(passedOver).toEqual([]);
  });

  it.each(['before', 'after'] as const)(
    'ends with the same rows when a process dies at any step, just %s it',
    async (when) => {
      const history = randomHistory(new Random(11), 30);
      const log = new RecordedLog(history.records);
      let steps = 0;
      for (let died = true; died && steps < MORE_STEPS_THAN_THERE_ARE; steps += 1) {
        await restart();
        died = await projectUntilDeath(log, steps, when);
        await log.project(projectionOf(log), { batchSize: 10 });
        await expectFoldOf(history);
      }
      expect(steps).toBeGreaterThan(history.records.length);
      expect(steps).toBeLessThan(MORE_STEPS_THAN_THERE_ARE);
    },
    CASE_TIMEOUT_MS,
  );

  it('goes on while the store fails now and then', async () => {
    const seed = newSeed();
    const random = new Random(seed);
    const history = randomHistory(random, 150);
    const log = new RecordedLog(history.records);
    let calls = 0;
    const shaky = around(
      () => readModel,
      (call) => {
        calls += 1;
        if (calls !== CALL_THAT_FAILS && (calls < CALL_THAT_FAILS || !random.chance(0.02))) return call();
        throw new StoreUnavailable(`seed ${seed}`);
      },
    );
    const waited: string[] = [];
    const watch = { ...unwatched, waiting: (_: number, { message }: Error) => waited.push(message) };
    const projection = projectionOf(log, { readModel: shaky, watch });
    await projection.checkpoint(0);
    for (let next = 0; next < log.records.length; next += 30) await projection.handle(log.batch(next, next + 30));
    expect(waited.length).toBeGreaterThan(0);
    await expectFoldOf(history);
  });

  it('is not disturbed by another projector that comes late with what it had in hand', async () => {
    const history = randomHistory(new Random(13), 150);
    const log = new RecordedLog(history.records);
    const zombie = projectionOf(log);
    await zombie.checkpoint(0);
    await zombie.handle(log.batch(0, 60));
    await log.project(projectionOf(log));
    await zombie.handle(log.batch(60, 120));
    await expectFoldOf(history);
    expect((await readModel.checkpoints())[0]).toMatchObject({ next: log.records.length });
  });
});

describe('a stream with a record that cannot be projected', () => {
  it('is parked: this record and later ones go to the dead letters, the partition goes on', async () => {
    const history = new History();
    history.event('broken', serviceStarted('broken'));
    const bad = history.event('broken', stateStarted('broken', 'one'), { value: 'no json', version: 2, epoch: 0 });
    const later = history.event('broken', serviceEnded('broken'), { version: 3 });
    history.event('sound', serviceStarted('sound'));
    const log = new RecordedLog(history.records);

    await log.project(projectionOf(log), { batchSize: 3 });

    expect(await rowOf('broken')).toMatchObject({ head: { version: 1 }, parkedAtVersion: 2 });
    expect(deadLetters.letters).toEqual([
      { offset: bad.offset, reason: 'the value of a StateStarted is not JSON' },
      { offset: later.offset, reason: 'an earlier record of the stream could not be projected' },
    ]);
    expect(await rowOf('sound')).toMatchObject({ head: { version: 1 } });
    expect(published.events.map(({ subject }) => subject)).toEqual(['broken', 'sound']);
  });

  it('is parked when the event cannot follow, also as the first of its stream', async () => {
    const history = new History();
    const log = new RecordedLog(history.records);
    history.records.push({ ...recordOf('never-started', serviceEnded('never-started'), 1), version: 1 });

    await log.project(projectionOf(log));

    expect(await rowOf('never-started')).toMatchObject({ head: { version: 0 }, parkedAtVersion: 1 });
    expect(deadLetters.letters).toHaveLength(1);
    expect(published.events).toEqual([]);
  });

  it.each([
    ['a hole in its versions', { version: 3 }],
    ['an epoch that no fence opened', { epoch: 1 }],
  ])('is parked with %s', async (_, impossible) => {
    const history = new History();
    history.event('odd', serviceStarted('odd'));
    history.event('odd', serviceEnded('odd'), impossible);
    const log = new RecordedLog(history.records);
    const parked: string[] = [];

    await log.project(projectionOf(log, { watch: { ...unwatched, parked: (_, reason) => parked.push(reason) } }));

    expect(await rowOf('odd')).toMatchObject({ head: { version: 1 }, parkedAtVersion: 2 });
    expect(parked).toHaveLength(1);
  });

  it('passes over what is void whatever the parked record said', async () => {
    const history = new History();
    history.event('broken', serviceStarted('broken'));
    history.event('broken', serviceEnded('broken'), { version: 3 });
    history.event('broken', serviceEnded('broken'), { version: 1 });
    history.fence(1);
    history.event('broken', serviceEnded('broken'), { version: 2, epoch: 0 });
    const log = new RecordedLog(history.records);

    await log.project(projectionOf(log));

    expect(deadLetters.letters).toHaveLength(1);
  });
});

describe('a record that does not count', () => {
  it.each([
    ['version', (history: History) => history.event('s', serviceEnded('s'), { version: 1 })],
    [
      'epoch',
      (history: History) => {
        history.fence(1);
        history.event('s', serviceEnded('s'), { epoch: 0 });
      },
    ],
    [
      'expired',
      (history: History) => {
        history.wait(2_000);
        history.event('s', serviceEnded('s'));
      },
    ],
  ] as const)('is passed over and counted: %s', async (reason, record) => {
    const history = new History();
    history.event('s', serviceStarted('s'), { lifetime: { ttl: 1 } });
    record(history);
    const log = new RecordedLog(history.records);
    const reasons: string[] = [];

    await log.project(projectionOf(log, { watch: { ...unwatched, passedOver: (_, why) => reasons.push(why) } }));

    expect(reasons).toEqual([reason]);
    expect(published.events.map(({ sequence }) => sequence)).toEqual([1]);
    await expectFoldOf(history);
  });

  it('goes to the dead letters when it is not of this protocol', async () => {
    const history = new History();
    history.foreign();
    const log = new RecordedLog(history.records);
    await log.project(projectionOf(log));
    expect(deadLetters.letters).toEqual([{ offset: 1, reason: 'it has no headers' }]);
    expect((await readModel.checkpoints())[0]).toMatchObject({ next: 2 });
  });
});

describe('a partition', () => {
  it.each([
    ['type', { type: 'ServicePaused' }],
    ['schema version', { schemaVersion: 99 }],
  ])('stops at a newer %s, and parks nothing', async (_, newer) => {
    const history = new History();
    history.records.push({ ...recordOf('s', serviceStarted('s'), 1), ...newer });
    const log = new RecordedLog(history.records);

    await expect(log.project(projectionOf(log))).rejects.toMatchObject({ code: 'newer-schema' });

    expect(await readModel.checkpoints()).toEqual([]);
    expect(await rowOf('s')).toBeUndefined();
    expect(deadLetters.letters).toEqual([]);
  });

  it.each([
    ['known', defaultProjectionLimits.rowBytes],
    ['unknown', 1],
  ])('begins again where the store stands when it lost what it acknowledged, rows being %s', async (_, rowBytes) => {
    const history = randomHistory(new Random(17), 100);
    const log = new RecordedLog(history.records);
    const projection = projectionOf(log, { readModel: around(() => readModel), limits: { ...limits, rowBytes } });
    await projection.checkpoint(0);
    await projection.handle(log.batch(0, 50));
    await forgetEverything();

    await expect(projection.handle(log.batch(50, 60))).rejects.toThrow(StoreWentBack);
    await log.project(projection);
    await expectFoldOf(history);
  });

  it('is handled no further, once its checkpoint was found lost, before it is asked for again', async () => {
    const history = randomHistory(new Random(17), 100);
    const log = new RecordedLog(history.records);
    const projection = projectionOf(log, { readModel: around(() => readModel) });
    await projection.checkpoint(0);
    await projection.handle(log.batch(0, 50));
    await projection.verify();
    await forgetEverything();

    await expect(projection.verify()).rejects.toThrow(StoreWentBack);
    await expect(projection.handle(log.batch(50, 60))).rejects.toThrow('before its checkpoint was asked for');
    await log.project(projection);
    await projection.verify();
    await expectFoldOf(history);
  });

  it('is projected again when the store fails and has lost what it acknowledged just before', async () => {
    const history = new History();
    for (const stream of ['a', 'b', 'c']) history.event(stream, serviceStarted(stream));
    const log = new RecordedLog(history.records);
    let saves = 0;
    const forgetful = around(
      () => readModel,
      async (call, name) => {
        if (name === 'save') saves += 1;
        if (name !== 'save' || saves !== 3) return call();
        await forgetEverything();
        throw new StoreUnavailable('restarted');
      },
    );
    const projection = projectionOf(log, { readModel: forgetful, limits: { ...limits, streamsAtOnce: 1 } });
    await projection.checkpoint(0);
    await projection.handle(log.batch(0, 4));
    await expectFoldOf(history);
  });

  it('refuses rows that were built from another log', async () => {
    const log = new RecordedLog(new History().records);
    await readModel.saveCheckpoint({ generation: 1, partition: 0, next: 1, epoch: 0, logId: 'another' });
    await expect(projectionOf(log).checkpoint(0)).rejects.toMatchObject({ code: 'refused-start' });
  });

  it('is left where it is when it was taken away', async () => {
    const history = randomHistory(new Random(19), 40);
    const log = new RecordedLog(history.records);
    const projection = projectionOf(log);
    await projection.checkpoint(0);
    let handled = 0;
    await projection.handle(log.batch(0, 40, () => (handled += 1) > 10));
    expect(await readModel.checkpoints()).toEqual([]);
  });

  it('gives up waiting for the store when the projector is closed', async () => {
    const history = new History();
    history.event('s', serviceStarted('s'));
    const log = new RecordedLog(history.records);
    const down = around(
      () => readModel,
      (call, name) => {
        if (name === 'save') throw new StoreUnavailable('down');
        return call();
      },
    );
    const projection: Projection = projectionOf(log, {
      readModel: down,
      limits: { firstPauseMs: 3_600_000, longestPauseMs: 3_600_000 },
      watch: { ...unwatched, waiting: () => setImmediate(() => projection.close()) },
    });
    await projection.checkpoint(0);
    await expect(projection.handle(log.batch(0, 2))).rejects.toThrow('down');
    expect(await readModel.checkpoints()).toEqual([]);
  });
});
