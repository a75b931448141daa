import { jest } from '@jest/globals';
import { setTimeout as pause } from 'node:timers/promises';
import cassandra from 'cassandra-driver';
import type { ActiveService } from '#domain';
import { listChanges, listEntries } from '../list-entries.js';
import type { ListEntry, StreamRow } from '../read-model.js';
import { CassandraProxy } from '../testing/cassandra-proxy.js';
import {
  connectPlain,
  describeOnCassandra,
  dropKeyspaces,
  LOCAL_DATA_CENTER,
  newKeyspace,
} from '../testing/real-cassandra.js';
import { describeReadModel } from '../testing/read-model.contract.js';
import { CassandraReadModel, type CassandraReadModelOptions } from './cassandra-read-model.js';
import { SCHEMA_VERSION } from './schema.cql.js';

jest.setTimeout(120_000); // for a busy machine; nothing here is about speed

describeOnCassandra('on Cassandra', (address) => {
  const keyspaces: string[] = [];
  let cases = 0;
  const fresh = (): string => {
    const keyspace = newKeyspace();
    keyspaces.push(keyspace);
    return keyspace;
  };
  const connect = (keyspace: string, options: Partial<CassandraReadModelOptions> = {}): Promise<CassandraReadModel> =>
    CassandraReadModel.connect({
      contactPoints: [address],
      localDataCenter: LOCAL_DATA_CENTER,
      keyspace,
      replicationFactor: 1,
      ...options,
    });

  afterEach(() => {
    cases += 1;
  });
  afterAll(async () => {
    process.stdout.write(`suite: Cassandra, cases: ${cases}\n`);
    await dropKeyspaces(address, keyspaces);
  });

  const underTest = fresh();
  describeReadModel('CassandraReadModel', { open: () => connect(underTest), openReader: () => connect(underTest) });

  describe('connecting', () => {
    it('makes the tables once, however many processes start at the same time', async () => {
      const keyspace = fresh();
      const models = await Promise.all(Array.from({ length: 8 }, () => connect(keyspace)));
      for (const [n, model] of models.entries()) await model.save(rowOf(service(`s${n}`)), none);
      expect(await Promise.all(models.map((_, n) => models[0]!.find({ tenant, stream: `s${n}` })))).toEqual(
        models.map((_, n) => rowOf(service(`s${n}`))),
      );
      const client = await connectPlain(address, keyspace);
      const { rows } = await client.execute('select version, migrating from schema_history');
      expect(rows.map((row) => ({ ...row }))).toEqual([{ version: SCHEMA_VERSION, migrating: null }]);
      await Promise.all([client.shutdown(), ...models.map((model) => model.close())]);
    });

    it('goes on where a process died while it was migrating, as soon as its lease has run out', async () => {
      const keyspace = fresh();
      await (await connect(keyspace)).close();
      const client = await connectPlain(address, keyspace);
      await client.execute(`delete from schema_history where scope = 'views' and version = ${SCHEMA_VERSION}`);
      await client.execute('drop table checkpoints');
      await client.execute(
        `update schema_history using ttl 1 set migrating = 'the dead one' where scope = 'views' if migrating = null`,
      );
      const model = await connect(keyspace);
      expect(await model.checkpoints()).toEqual([]);
      await Promise.all([client.shutdown(), model.close()]);
    });

    it('is refused for tables of a newer program', async () => {
      const keyspace = fresh();
      await (await connect(keyspace)).close();
      const client = await connectPlain(address, keyspace);
      await client.execute(`insert into schema_history (scope, version) values ('views', ${SCHEMA_VERSION + 1})`);
      await client.shutdown();
      await expect(connect(keyspace)).rejects.toMatchObject({ code: 'refused-start' });
    });

    it('is refused for a data center that is not there', async () => {
      await expect(connect(fresh(), { localDataCenter: 'elsewhere' })).rejects.toMatchObject({ code: 'refused-start' });
    });

    it('is refused for a keyspace without a name that needs no quotes', async () => {
      await expect(connect('Robert; drop')).rejects.toMatchObject({ code: 'refused-start' });
    });

    it('is refused when the only copy may be lost, unless that is accepted', async () => {
      const keyspace = fresh();
      const proxy = await CassandraProxy.start(address);
      proxy.rewriteAnswers((answer) => replaceValue(answer, ['group', 'batch'], 'periodic'));
      const throughProxy = { contactPoints: [proxy.address] };
      await expect(connect(keyspace, throughProxy)).rejects.toMatchObject({
        code: 'refused-start',
        message: expect.stringContaining('periodic commit log') as string,
      });
      const model = await connect(keyspace, { ...throughProxy, acceptPeriodicCommitLog: true });
      await Promise.all([model.close(), proxy.close()]);
    });

    it('may be tried again later when nobody answers', async () => {
      const proxy = await CassandraProxy.start(address);
      await proxy.close();
      await expect(connect(fresh(), { contactPoints: [proxy.address] })).rejects.toMatchObject({
        code: 'store-unavailable',
      });
    });
  });

  describe('a store in trouble', () => {
    const keyspace = fresh();
    let proxy: CassandraProxy;
    let model: CassandraReadModel;
    let direct: CassandraReadModel;

    beforeAll(async () => {
      proxy = await CassandraProxy.start(address);
      direct = await connect(keyspace);
      model = await connect(keyspace, { contactPoints: [proxy.address], readTimeoutMs: 300, connectTimeoutMs: 300 });
    });
    afterAll(async () => {
      await Promise.all([model.close(), direct.close()]);
      await proxy.close();
    });
    afterEach(async () => {
      proxy.heal();
      await untilAnswered(() => model.find({ tenant, stream: 'any' }));
    });

    const failing = [
      ['find', () => model.find({ tenant, stream: 's' })],
      [
        'list',
        () => model.list({ owner: entryOf(rowOf(service('s'))).owner, status: 'active', order: 'oldest-first' }),
      ],
      ['save', () => model.save(rowOf(service('s')), none)],
      ['park', () => model.park({ tenant, stream: 's' }, 1, 1)],
      ['checkpoints', () => model.checkpoints()],
      ['saveCheckpoint', () => model.saveCheckpoint({ generation: 1, partition: 1, next: 1, epoch: 0, logId: 'log' })],
    ] as const;

    it.each(failing)('that is silent ends %s as unavailable, and it answers again by itself', async (_name, ask) => {
      proxy.silence();
      await expect(ask()).rejects.toMatchObject({ code: 'store-unavailable' });
    });

    it.each(failing)('that is gone ends %s as unavailable, and it answers again by itself', async (_name, ask) => {
      proxy.unplug();
      await expect(ask()).rejects.toMatchObject({ code: 'store-unavailable' });
    });

    it('that comes and goes leaves nothing behind', async () => {
      const unhandled: unknown[] = [];
      const note = (reason: unknown): void => void unhandled.push(reason);
      process.on('unhandledRejection', note);
      for (let outage = 0; outage < 10; outage += 1) {
        proxy.unplug();
        await expect(model.find({ tenant, stream: 's' })).rejects.toMatchObject({ code: 'store-unavailable' });
        proxy.heal();
        await untilAnswered(() => model.find({ tenant, stream: 's' }));
      }
      process.off('unhandledRejection', note);
      expect(unhandled).toEqual([]);
      while (proxy.connections > CONNECTIONS_OF_ONE_CLIENT) await pause(10);
    });

    it('goes on when the driver cannot close what was replaced', async () => {
      const unhandled: unknown[] = [];
      const note = (reason: unknown): void => void unhandled.push(reason);
      process.on('unhandledRejection', note);
      const ownProxy = await CassandraProxy.start(address);
      const own = await connect(keyspace, { contactPoints: [ownProxy.address], connectTimeoutMs: 300 });
      const failed = new Set<unknown>();
      const { shutdown } = cassandra.Client.prototype;
      Object.assign(cassandra.Client.prototype, {
        async shutdown() {
          failed.add(this);
          await Reflect.apply(shutdown, this, []);
          throw new Error('closed, and not well');
        },
      });
      try {
        ownProxy.unplug();
        await expect(own.find({ tenant, stream: 's' })).rejects.toMatchObject({ code: 'store-unavailable' });
        ownProxy.heal();
        await untilAnswered(() => own.find({ tenant, stream: 's' }));
        await own.close();
        expect(failed.size).toBeGreaterThan(1);
        expect(unhandled).toEqual([]);
      } finally {
        Object.assign(cassandra.Client.prototype, { shutdown });
        process.off('unhandledRejection', note);
        await ownProxy.close();
      }
    });

    it('leaves a service in one list too many at the worst, wherever a save is cut off', async () => {
      let isCut = true;
      for (let statements = 0; isCut; statements += 1) {
        const stream = `cut-after-${statements}`;
        const before = rowOf({ ...service(stream), contact_key: stream }, 1);
        const after = rowOf({ ...service(stream), customer_id: stream }, 2);
        const move = listChanges([entryOf(before)], [entryOf(after)]);
        await untilAnswered(() => model.save(before, { insert: [entryOf(before)], remove: [] }));

        proxy.unplugAfter(statements);
        isCut = await model.save(after, move).then(
          () => false,
          () => true,
        );

        const found = await direct.find(after);
        const [isInOld, isInNew] = await Promise.all([
          isListed(direct, entryOf(before)),
          isListed(direct, entryOf(after)),
        ]);
        expect({ statements, isInEither: isInOld || isInNew }).toEqual({ statements, isInEither: true });
        if (found?.offset === after.offset)
          expect({ statements, isInOld, isInNew }).toEqual({ statements, isInOld: false, isInNew: true });
        else expect(found).toEqual(before);

        proxy.heal();
        await untilAnswered(() => model.save(after, move));
        expect(await direct.find(after)).toEqual(after);
        expect(await isListed(direct, entryOf(before))).toBe(false);
        expect(await isListed(direct, entryOf(after))).toBe(true);
        if (!isCut) expect(statements).toBeGreaterThan(3);
      }
    });

    it('is unavailable once it is closed', async () => {
      const closed = await connect(keyspace);
      await closed.close();
      await expect(closed.find({ tenant, stream: 's' })).rejects.toMatchObject({ code: 'store-unavailable' });
    });
  });

  describe('what a list costs', () => {
    it('is the rows that it gives, and no row of a stream', async () => {
      const keyspace = fresh();
      const model = await connect(keyspace);
      const client = await connectPlain(address);
      const owner = { tenant, kind: 'customer', id: 'c' } as const;
      const rows = Array.from({ length: 1_000 }, (_, n) =>
        rowOf({ ...service(`s${n}`), customer_id: 'c', service_type: n % 2 }),
      );
      for (let begin = 0; begin < rows.length; begin += 500) {
        await Promise.all(
          rows.slice(begin, begin + 500).map((row) => model.save(row, { insert: [entryOf(row)], remove: [] })),
        );
      }
      const read = async (): Promise<Record<string, { reads: number; mostRows: number }>> => {
        const result = await client.execute('select * from system_views.rows_per_read');
        return Object.fromEntries(
          result.rows
            .filter((row) => row['keyspace_name'] === keyspace)
            .map((row) => [row['table_name'], { reads: Number(row['count']), mostRows: Number(row['max']) }]),
        );
      };
      expect(await model.list({ owner, status: 'active', order: 'newest-first', limit: 10 })).toHaveLength(10);
      expect((await read())['service_lists']).toEqual({ reads: 1, mostRows: 10 });
      expect(
        await model.list({ owner, status: 'active', order: 'oldest-first', serviceTypes: ['1'], limit: 5_000 }),
      ).toHaveLength(500);
      expect((await read())['streams']?.reads ?? 0).toBe(0);
      await Promise.all([client.shutdown(), model.close()]);
    });
  });
});

const tenant = '1';
const CONNECTIONS_OF_ONE_CLIENT = 1;
const none = { insert: [], remove: [] };

const service = (service_id: string): ActiveService => ({
  status: 'active',
  service_id,
  customer_id: 'c',
  started: { timestamp: '2026-03-01T10:00:00.000Z' },
  extensions: {},
  states: [],
  tasks: [],
  recordedAt: 7,
  answers: [],
  bytes: 0,
});

const rowOf = (folded: ActiveService, offset = 1): StreamRow => ({
  tenant,
  stream: folded.service_id,
  head: { version: offset },
  offset,
  aggregate: { kind: 'service', service: folded },
});

function entryOf({ aggregate }: StreamRow): ListEntry {
  const [entry] = aggregate.kind === 'service' ? listEntries(aggregate.service, tenant) : [];
  if (entry === undefined) throw new Error('in no list');
  return entry;
}

async function isListed(model: CassandraReadModel, { owner, status, service_id }: ListEntry): Promise<boolean> {
  const entries = await model.list({ owner, status, order: 'newest-first' });
  return entries.some((entry) => entry.service_id === service_id);
}

/** Connections come back by themselves, so sooner or later the store answers. */
async function untilAnswered(ask: () => Promise<unknown>): Promise<void> {
  for (;;) {
    try {
      await ask();
      return;
    } catch (error) {
      expect(error).toMatchObject({ code: 'store-unavailable' });
      await pause(10);
    }
  }
}

/** In an answer a value is its length and its bytes. */
function replaceValue(answer: Buffer, values: readonly string[], replacement: string): Buffer {
  for (const value of values) {
    const at = answer.indexOf(encoded(value));
    if (at >= 0)
      return Buffer.concat([answer.subarray(0, at), encoded(replacement), answer.subarray(at + encoded(value).length)]);
  }
  return answer;
}

function encoded(value: string): Buffer {
  const length = Buffer.alloc(4);
  length.writeInt32BE(value.length);
  return Buffer.concat([length, Buffer.from(value)]);
}
