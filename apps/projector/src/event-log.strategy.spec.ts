import { Controller, UseFilters, type INestMicroservice, type Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { EventPattern, Payload } from '@nestjs/microservices';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { advance, encode, unwritten, type DomainEvent, type Head, type RecordedEvent } from '#events';
import { SystemClock } from '#event-log';
import { EmbeddedEventLog, EmbeddedLogReader } from '#event-log/embedded';
import type { ReadModel, StoredCheckpoint } from '#read-model';
import { EmbeddedReadModel } from '#read-model/embedded';
import { DeadLetterFile } from './engine/dead-letter-file.js';
import { EventLogStrategy, type EventLogStrategyOptions } from './event-log.strategy.js';
import { unwatched, type ProjectionWatch } from './projection/ports.js';
import { Projection } from './projection/projection.js';
import { RecordsController, Rethrow } from './records.controller.js';
import { newSeed, Random } from './testing/random.js';

const TENANT = '1';
const STREAMS_AT_ONCE = 8;

/** What the handlers of a test do with a record. */
let onRecord: (record: RecordedEvent) => Promise<void>;

@Controller()
@UseFilters(Rethrow)
class Probe {
  @EventPattern(['ServiceStarted', 'ServiceUpdated', '*'])
  handle(@Payload() record: RecordedEvent): Promise<void> {
    return onRecord(record);
  }
}

@Controller()
class Second {
  @EventPattern('ServiceStarted')
  async handle(@Payload() record: RecordedEvent): Promise<void> {
    await onRecord(record);
  }
}

let directory: string;
let log: EmbeddedEventLog;
let reader: EmbeddedLogReader;
let readModel: EmbeddedReadModel;
let deadLetters: DeadLetterFile;
let app: INestMicroservice | undefined;
let heads: Map<string, Head>;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'strategy-'));
  readModel = await EmbeddedReadModel.open({ directory });
  deadLetters = await DeadLetterFile.open(directory);
  log = await EmbeddedEventLog.open({ directory, partitions: 1, onCommit: () => reader.wake() });
  reader = await EmbeddedLogReader.open({ directory });
  await log.follow([], () => undefined);
  heads = new Map();
});

afterEach(async () => {
  await app?.close();
  app = undefined;
  await reader.close();
  await log.close();
  await deadLetters.close();
  await readModel.close();
  await rm(directory, { recursive: true });
});

/** A second is ten milliseconds. */
class FastClock extends SystemClock {
  override after(ms: number, callback: () => void): () => void {
    return super.after(ms / 100, callback);
  }
}

async function listen(
  controllers: Type[],
  watch: Partial<ProjectionWatch> = {},
  options: Partial<EventLogStrategyOptions> = {},
  store: ReadModel = readModel,
): Promise<void> {
  const clock = new FastClock();
  const projection = new Projection({
    log: reader,
    readModel: store,
    deadLetters,
    clock,
    watch: { ...unwatched, ...watch },
    limits: { streamsAtOnce: STREAMS_AT_ONCE },
  });
  const strategy = new EventLogStrategy({
    log: reader,
    group: 'projector',
    projection,
    clock,
    verifyEveryMs: 60_000,
    onVerified: () => undefined,
    onOverdue: async () => undefined,
    onFatal: (error) => {
      throw error;
    },
    ...options,
  });
  class TestModule {}
  app = await NestFactory.createMicroservice(
    { module: TestModule, controllers, providers: [{ provide: Projection, useValue: projection }] },
    { strategy, logger: false, abortOnError: false },
  );
  await app.listen();
}

async function record(stream: string, event: DomainEvent, type: string = event.type): Promise<void> {
  const head = heads.get(stream) ?? unwritten;
  const version = head.version + 1;
  heads.set(stream, { version });
  const verdict = await log.append(
    {
      ...encode(event),
      type,
      eventId: `${stream}-${version}`,
      tenant: TENANT,
      stream,
      partition: 0,
      version,
      epoch: 0,
      correlationId: 'a-call',
    },
    head,
  );
  expect(verdict.outcome).toBe('accepted');
}

const started = (service_id: string): DomainEvent => ({
  type: 'ServiceStarted',
  data: { service_id, timestamp: '2026-01-01T00:00:00.000Z' },
});
const updated = (service_id: string, session_id: string): DomainEvent => ({
  type: 'ServiceUpdated',
  data: { service_id, session_id },
});

/** Resolves with the checkpoint's `next` when the projector has passed what is in the log now. */
async function caughtUp(): Promise<void> {
  const [end] = await log.ends();
  for (;;) {
    const [checkpoint] = await readModel.checkpoints();
    if (checkpoint?.next === end) return;
    await new Promise(setImmediate);
  }
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise(setImmediate);
}

const turnsOfTheEventLoop = async (count: number): Promise<void> => {
  for (let turn = 0; turn < count; turn += 1) await new Promise(setImmediate);
};

describe('the event log as a transport of Nest', () => {
  it('handles streams at the same time, within the bound, and the records of each in order', async () => {
    const seed = newSeed();
    const random = new Random(seed);
    const streams = Array.from({ length: 30 }, (_, n) => `0-${n}`);
    for (const stream of streams) await record(stream, started(stream));
    await Promise.all(streams.flatMap((stream) => [1, 2, 3, 4].map((n) => record(stream, updated(stream, `${n}`)))));

    const seen = new Map<string, number[]>();
    let underWay = 0;
    let most = 0;
    onRecord = async ({ stream, version }) => {
      underWay += 1;
      most = Math.max(most, underWay);
      await turnsOfTheEventLoop(random.below(4));
      seen.set(stream, [...(seen.get(stream) ?? []), version]);
      underWay -= 1;
    };
    await listen([Probe]);
    await caughtUp();

    expect({ seed, most }).toEqual({ seed, most: STREAMS_AT_ONCE });
    expect([...seen.values()]).toEqual(streams.map(() => [1, 2, 3, 4, 5]));
  });

  it('gets the very error that a handler threw, and the records again from the checkpoint', async () => {
    const broken = new Error('broken');
    const handled: string[] = [];
    onRecord = async ({ stream }) => {
      handled.push(stream);
      if (handled.length === 1) throw broken;
    };
    const errors: unknown[] = [];
    await record('0-1', started('0-1'));
    await listen([Probe], { stopped: (_, error) => errors.push(error) });
    await caughtUp();

    expect(errors).toHaveLength(1);
    expect(errors[0]).toBe(broken);
    expect(handled).toEqual(['0-1', '0-1']);
  });

  it('closes only when the batch in flight is done, and its checkpoint is saved', async () => {
    let begun = (): void => undefined;
    let release = (): void => undefined;
    const hasBegun = new Promise<void>((resolve) => (begun = resolve));
    const released = new Promise<void>((resolve) => (release = resolve));
    onRecord = async () => {
      begun();
      await released;
    };
    await record('0-1', started('0-1'));
    await listen([Probe]);
    await hasBegun;

    let isClosed = false;
    const closing = app!.close().then(() => (isClosed = true));
    await turnsOfTheEventLoop(20);
    expect(isClosed).toBe(false);
    release();
    await closing;
    expect((await readModel.checkpoints())[0]).toMatchObject({ next: (await log.ends())[0] });
  });

  it('gives up what a batch waits for when closing takes too long', async () => {
    let begun = (): void => undefined;
    let giveUp = (_: Error): void => undefined;
    const hasBegun = new Promise<void>((resolve) => (begun = resolve));
    const never = new Promise<void>((_, reject) => (giveUp = reject));
    onRecord = async () => {
      begun();
      await never;
    };
    await record('0-1', started('0-1'));
    await listen([Probe], {}, { onOverdue: async () => giveUp(new Error('given up')) });
    await hasBegun;
    await app!.close();
    expect((await readModel.checkpoints())[0]).toBeUndefined();
  });

  it('begins anew when a store that nobody wrote to has lost what it acknowledged', async () => {
    onRecord = async () => undefined;
    await record('0-1', started('0-1'));
    const saved: number[] = [];
    let lost = false;
    const forgetful = new Proxy(readModel, {
      get: (store, name) => {
        if (name === 'checkpoints') return async () => (lost ? [] : store.checkpoints());
        if (name !== 'saveCheckpoint') return Reflect.get(store, name).bind(store);
        return async (checkpoint: StoredCheckpoint) => {
          lost = false;
          saved.push(checkpoint.next);
          await store.saveCheckpoint(checkpoint);
        };
      },
    });
    const asked: string[] = [];
    await listen(
      [Probe],
      {},
      { onVerified: (part, error) => asked.push(`${part}: ${error?.name ?? 'there'}`) },
      forgetful,
    );
    await caughtUp();
    lost = true;
    await until(() => saved.length === 2);
    expect(saved).toEqual([2, 2]);
    await until(() => asked.at(-1) === 'read-model: there');
    expect(asked).toContain('read-model: Error');
  });

  it('refuses two handlers of one event', async () => {
    await expect(listen([Probe, Second])).rejects.toThrow('the event ServiceStarted has two handlers');
  });

  it('hands types that nobody knows to the handler of all others', async () => {
    const types: string[] = [];
    onRecord = async ({ type }) => {
      types.push(type);
    };
    await record('0-1', started('0-1'), 'ServicePaused');
    await listen([Probe]);
    await caughtUp();
    expect(types).toEqual(['ServicePaused']);
  });

  it('fills the read model through the handlers of this program', async () => {
    await listen([RecordsController]);
    const id = { tenant: TENANT, stream: '0-1' };
    await record('0-1', started('0-1'));
    await caughtUp();
    expect(await readModel.find(id)).toMatchObject({ head: { version: 1 } });
    await record('0-1', updated('0-1', 'a session'));
    await caughtUp();
    const head = advance(advance(unwritten, { version: 1, recordedAt: 0 }), { version: 2, recordedAt: 0 });
    expect(await readModel.find(id)).toMatchObject({
      head,
      aggregate: { kind: 'service', service: { service_id: '0-1', started: { session_id: 'a session' } } },
    });
  });
});
