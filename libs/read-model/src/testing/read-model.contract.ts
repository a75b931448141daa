import { randomBytes, randomInt, randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type { ActiveService, Service } from '#domain';
import { comparePlaces, listChanges, listEntries } from '../list-entries.js';
import type { ListEntry, ListPlace, ListQuery, Owner, ReadModel, StreamRow } from '../read-model.js';

/** The ways in which one store can be opened. `open` may be called again once the one before is closed. */
export interface ReadModelUnderTest {
  /** As the projector does. */
  readonly open: () => Promise<ReadModel>;
  /** As another process does that reads the same store at the same time. */
  readonly openReader: () => Promise<ReadModel>;
}

/** What every adapter promises, one sentence per test. Each test has a tenant of its own in one store. */
export function describeReadModel(adapter: string, { open, openReader }: ReadModelUnderTest): void {
  describe(`${adapter} as a ReadModel`, () => {
    const seed = Number(process.env['CS_TEST_SEED'] ?? randomInt(1_000_000));
    let model: ReadModel;
    let reader: ReadModel;
    let tenant: string;
    let cases = 0;

    const promises = (sentence: string, test: () => Promise<void>): void =>
      it(
        sentence,
        async () => {
          tenant = randomUUID();
          await test();
          cases += 1;
        },
        PATIENCE_MS,
      );

    beforeAll(async () => {
      model = await open();
      reader = await openReader();
    }, PATIENCE_MS);

    afterAll(async () => {
      await reader.close();
      await model.close();
      process.stdout.write(`suite: ReadModel, adapter: ${adapter}, cases: ${cases}, seed: ${seed}\n`);
    }, PATIENCE_MS);

    const customer = (id: string): Owner => ({ tenant, kind: 'customer', id });
    const contact = (id: string): Owner => ({ tenant, kind: 'contact', id });
    const associated = (id: string): Owner => ({ tenant, kind: 'associated', id });

    /** Saves the row as the projector does: its lists follow from what the row was before. */
    const saveNext = (row: StreamRow, before?: StreamRow): Promise<void> =>
      model.save(row, listChanges(before ? entriesOf(before) : [], entriesOf(row)));

    const start = async (service: ActiveService, offset = 1): Promise<StreamRow> => {
      const row = rowOf(tenant, service, offset);
      await saveNext(row);
      return row;
    };

    const list = (query: Partial<ListQuery> & { readonly owner: Owner }): Promise<readonly ListEntry[]> =>
      model.list({ status: 'active', order: 'oldest-first', ...query });
    const idsOf = (entries: readonly ListEntry[]): readonly string[] => entries.map(({ service_id }) => service_id);
    const ids = async (query: Partial<ListQuery> & { readonly owner: Owner }) => idsOf(await list(query));

    describe('rows', () => {
      promises('an unknown stream has none', async () => {
        expect(await model.find({ tenant, stream: 'unknown' })).toBeUndefined();
      });

      promises('a saved row is found to the last field', async () => {
        const row: StreamRow = {
          ...rowOf(tenant, { ...conversation('s1'), extensions: hostileExtensions, service_type: 5 }, 7),
          head: { version: 3, slide: 157_680_000, expiresAt: 1_900_000_000_000 },
        };
        await saveNext(row);
        const found = await model.find({ tenant, stream: 's1' });
        expect(found).toEqual(row);
        expect(JSON.stringify(found?.aggregate)).toBe(JSON.stringify(row.aggregate));
      });

      promises('a claim is kept like a service', async () => {
        const row: StreamRow = {
          tenant,
          stream: 'claim-1',
          head: { version: 1 },
          offset: 0,
          aggregate: {
            kind: 'claim',
            claim: {
              status: 'claimed',
              service_id: 's1',
              start: { service_id: 's1', timestamp: '2026-03-01T10:00:00.000Z' },
              lifetime: { slide: 60 },
            },
          },
        };
        await model.save(row, { insert: [], remove: [] });
        expect(await model.find({ tenant, stream: 'claim-1' })).toEqual(row);
      });

      promises('keeps the version of a service that is not started yet, and what it answers', async () => {
        const answer = { service_id: 's2', created: false };
        const answers = [{ key: 'k', request: 'r', at: 5_000, answer }];
        const row = rowOf(tenant, { status: 'unstarted', answers, bytes: 90 }, 3, 's1');
        await model.save({ ...row, head: { version: 2 } }, { insert: [], remove: [] });
        expect(await model.find(row)).toEqual({ ...row, head: { version: 2 } });
      });

      promises('a row takes over every field of the newer save, also those that are gone', async () => {
        const first = { ...rowOf(tenant, conversation('s1'), 1), head: { version: 1, slide: 60, expiresAt: 5_000 } };
        await saveNext(first);
        const gone: StreamRow = { ...rowOf(tenant, { status: 'gone' }, 2, 's1'), head: { version: 2 } };
        await saveNext(gone, first);
        expect(await model.find({ tenant, stream: 's1' })).toEqual(gone);
      });

      promises('streams that look alike do not mix', async () => {
        const rows = hostileIds.map((id, index) => rowOf(tenant, conversation(id), index));
        await Promise.all(rows.map((row) => saveNext(row)));
        for (const row of rows) expect(await model.find({ tenant, stream: row.stream })).toEqual(row);
        for (const row of rows) expect(await model.find({ tenant: `${tenant}/`, stream: row.stream })).toBeUndefined();
      });

      promises('saving twice changes nothing', async () => {
        const row = await start({ ...conversation('s1'), customer_id: 'c' });
        await saveNext(row);
        expect(await model.find(row)).toEqual(row);
        expect(await ids({ owner: customer('c') })).toEqual(['s1']);
      });

      promises('an older save does not cover a newer one, in whatever order they come', async () => {
        const random = seeded(seed);
        for (let round = 0; round < 40; round += 1) {
          const life = lifeOf(tenant, `s${round}`, random);
          const saves = shuffled([...life, ...life.filter(() => random() < 0.3)], random);
          for (const row of saves) await model.save(row, { insert: [], remove: [] });
          const context = `seed ${seed}, round ${round}, order ${saves.map(({ offset }) => offset).join(' ')}`;
          expect({ context, found: await model.find(life[0]!) }).toEqual({ context, found: life.at(-1) });
        }
      });

      promises(
        'projectors that know nothing of each other leave the newest row, and its list entries alone',
        async () => {
          const random = seeded(seed);
          for (let round = 0; round < 60; round += 1) {
            const life = lifeOf(tenant, `s${round}`, random);
            const last = life.at(-1)!;
            const saves = savesOfSeveral(life, random);
            for (const n of saves) await saveNext(life[n]!, life[n - 1]);
            const context = `seed ${seed}, round ${round}, saves ${saves.join(' ')}`;
            expect({ context, found: await model.find(last) }).toEqual({ context, found: last });
            const expected = entriesOf(last);
            for (const owner of owners(tenant)) {
              for (const status of ['active', 'completed'] as const) {
                const entries = (await list({ owner, status })).filter(({ service_id }) => service_id === last.stream);
                const its = expected.filter((entry) => entry.status === status && sameOwner(entry.owner, owner));
                expect({ context, owner, status, entries }).toEqual({ context, owner, status, entries: its });
              }
            }
          }
        },
      );

      promises('many saves at once are all confirmed and all there', async () => {
        const rows = Array.from({ length: 200 }, (_, n) =>
          rowOf(tenant, { ...conversation(`s${n}`), customer_id: 'c' }, n),
        );
        await Promise.all(rows.map((row) => saveNext(row)));
        expect(await Promise.all(rows.map((row) => model.find(row)))).toEqual(rows);
        expect(await ids({ owner: customer('c') })).toHaveLength(rows.length);
      });

      promises('the largest service there is, of 8 MiB, comes back as it was', async () => {
        const row = await start({
          ...conversation('large'),
          extensions: { value: randomBytes(6 * MIB).toString('base64') },
        });
        expect(Buffer.byteLength(JSON.stringify(row.aggregate))).toBeGreaterThan(8 * MIB);
        expect(isDeepStrictEqual(await model.find(row), row)).toBe(true);
        const smaller = rowOf(tenant, conversation('large'), 2);
        await saveNext(smaller, row);
        expect(await model.find(row)).toEqual(smaller);
      });

      promises('another process finds a row as soon as its save is confirmed', async () => {
        const rows = Array.from({ length: 20 }, (_, n) =>
          rowOf(tenant, { ...conversation('s1'), customer_id: `c${n}` }, n + 1),
        );
        for (const [index, row] of rows.entries()) {
          await saveNext(row, rows[index - 1]);
          expect(await reader.find(row)).toEqual(row);
          expect(
            await reader.list({ owner: customer(`c${index}`), status: 'active', order: 'oldest-first' }),
          ).toHaveLength(1);
        }
      });

      promises('everything is there after closing and opening again', async () => {
        const row = await start({ ...conversation('s1'), customer_id: 'c' });
        await model.saveCheckpoint({ generation: 1, partition: 900, next: 5, epoch: 2, logId: 'log' });
        await model.close();
        model = await open();
        expect(await model.find(row)).toEqual(row);
        expect(await ids({ owner: customer('c') })).toEqual(['s1']);
        expect(await model.checkpoints()).toContainEqual({
          generation: 1,
          partition: 900,
          next: 5,
          epoch: 2,
          logId: 'log',
        });
      });
    });

    describe('parked streams', () => {
      promises('a parked row says from which version on, and is otherwise as it was', async () => {
        const row = await start(conversation('s1'), 4);
        await model.park(row, 2, 9);
        expect(await model.find(row)).toEqual({ ...row, parkedAtVersion: 2 });
      });

      promises('parking an unknown stream makes a row that shows no record', async () => {
        await model.park({ tenant, stream: 's1' }, 1, 9);
        expect(await model.find({ tenant, stream: 's1' })).toEqual({
          tenant,
          stream: 's1',
          head: { version: 0 },
          offset: -1,
          aggregate: { kind: 'service', service: { status: 'unstarted' } },
          parkedAtVersion: 1,
        });
      });

      promises('parking twice changes nothing', async () => {
        const row = await start(conversation('s1'), 4);
        await model.park(row, 2, 9);
        await model.park(row, 2, 9);
        expect(await model.find(row)).toEqual({ ...row, parkedAtVersion: 2 });
      });

      promises('a row can be saved as parked, also when it was saved before without', async () => {
        const row = await start(conversation('s1'), 4);
        const parked = { ...row, parkedAtVersion: 2 };
        await saveNext(parked, row);
        expect(await model.find(row)).toEqual(parked);
      });

      promises('a later save without it ends the parking', async () => {
        const row = await start(conversation('s1'), 4);
        await model.park(row, 2, 9);
        const next = rowOf(tenant, conversation('s1'), 9);
        await saveNext(next, row);
        expect(await model.find(row)).toEqual(next);
      });

      promises('a late older save does not end the parking', async () => {
        const row = rowOf(tenant, conversation('s1'), 4);
        await model.park(row, 2, 9);
        await saveNext(row);
        expect(await model.find(row)).toEqual({ ...row, parkedAtVersion: 2 });
      });

      promises('a late parking does not park what was projected since', async () => {
        const row = await start(conversation('s1'), 10);
        await model.park(row, 2, 9);
        expect(await model.find(row)).toEqual(row);
      });
    });

    describe('lists', () => {
      promises('an owner without services has an empty one', async () => {
        expect(await list({ owner: customer('nobody') })).toEqual([]);
      });

      promises('an entry comes back as it went in', async () => {
        const typed = await start({ ...conversation('s1'), customer_id: 'c', service_type: 'sales' }, 1);
        const numbered = await start({ ...conversation('s2'), customer_id: 'c', service_type: 5 }, 2);
        const text = await start({ ...conversation('s3'), customer_id: 'c', service_type: '5' }, 3);
        const untyped = await start({ ...conversation('s4'), customer_id: 'c' }, 4);
        expect(await list({ owner: customer('c') })).toEqual([typed, numbered, text, untyped].map(entryOf));
      });

      promises(
        'they are ordered by start, then recorded time, then the bytes of the id, in both directions',
        async () => {
          const services = [
            { ...conversation('b', T0), recordedAt: 1 },
            { ...conversation('\u{1F600}', T0), recordedAt: 1 },
            { ...conversation('\uFFFD', T0), recordedAt: 1 },
            { ...conversation('a', T0), recordedAt: 2 },
            { ...conversation('B', T0), recordedAt: 1 },
            { ...conversation('z', T0 - 1), recordedAt: 9 },
            { ...conversation('0', T0 + 1), recordedAt: 0 },
          ].map((service) => ({ ...service, contact_key: 'k' }));
          for (const [offset, service] of services.entries()) await start(service, offset);
          const ascending = ['z', 'B', 'b', '\uFFFD', '\u{1F600}', 'a', '0'];
          expect(await ids({ owner: contact('k') })).toEqual(ascending);
          expect(await ids({ owner: contact('k'), order: 'newest-first' })).toEqual(ascending.toReversed());
        },
      );

      promises('walked page by page they give each entry once, in both directions', async () => {
        const random = seeded(seed);
        const services = Array.from({ length: 60 }, (_, n) => ({
          ...conversation(`s${n}`, T0 + Math.floor(random() * 5) * 20 * DAY + Math.floor(random() * 3)),
          recordedAt: Math.floor(random() * 3),
          customer_id: 'c',
        }));
        await Promise.all(services.map((service, offset) => start(service, offset)));
        const expected = services.map((service) => entryOf(rowOf(tenant, service, 0))).toSorted(comparePlaces);
        for (const order of ['oldest-first', 'newest-first'] as const) {
          const walked: ListEntry[] = [];
          for (let page = 0; page <= services.length / PAGE; page += 1) {
            const after = walked.at(-1);
            walked.push(...(await list({ owner: customer('c'), order, limit: PAGE, ...(after && { after }) })));
          }
          expect(walked).toEqual(order === 'oldest-first' ? expected : expected.toReversed());
        }
      });

      promises('a page goes on after a place at which there is no entry any more', async () => {
        await start({ ...conversation('a', T0), customer_id: 'c' });
        await start({ ...conversation('c', T0), customer_id: 'c' });
        const after = { started: T0, recordedAt: T0, service_id: 'b' };
        expect(await ids({ owner: customer('c'), after })).toEqual(['c']);
        expect(await ids({ owner: customer('c'), after, order: 'newest-first' })).toEqual(['a']);
      });

      promises('startedFrom is included, startedTo is not', async () => {
        for (let n = 0; n < 5; n += 1) await start({ ...conversation(`s${n}`, T0 + n), customer_id: 'c' }, n);
        expect(await ids({ owner: customer('c'), startedFrom: T0 + 3 })).toEqual(['s3', 's4']);
        expect(await ids({ owner: customer('c'), startedTo: T0 + 2 })).toEqual(['s0', 's1']);
        expect(await ids({ owner: customer('c'), startedFrom: T0 + 1, startedTo: T0 + 3 })).toEqual(['s1', 's2']);
        expect(await ids({ owner: customer('c'), startedFrom: T0 + 3, startedTo: T0 + 3 })).toEqual([]);
        expect(await ids({ owner: customer('c'), startedFrom: T0 + 4, startedTo: T0 + 1 })).toEqual([]);
      });

      promises('times and a place narrow the list together', async () => {
        for (let n = 0; n < 8; n += 1) await start({ ...conversation(`s${n}`, T0 + n), customer_id: 'c' }, n);
        const at = (n: number): ListPlace => ({ started: T0 + n, recordedAt: T0 + n, service_id: `s${n}` });
        const owner = customer('c');
        expect(await ids({ owner, startedFrom: T0 + 2, startedTo: T0 + 6, after: at(3) })).toEqual(['s4', 's5']);
        expect(await ids({ owner, startedFrom: T0 + 2, startedTo: T0 + 6, after: at(0) })).toEqual([
          's2',
          's3',
          's4',
          's5',
        ]);
        const order = 'newest-first';
        expect(await ids({ owner, order, startedFrom: T0 + 2, startedTo: T0 + 6, after: at(4) })).toEqual(['s3', 's2']);
        expect(await ids({ owner, order, startedFrom: T0 + 2, after: at(7), limit: 2 })).toEqual(['s6', 's5']);
      });

      promises('service types are compared as text, and an entry without one does not match', async () => {
        const types = [5, '5', 'sales', 'Sales', '"5"', 1e21, undefined, '', '5\u0000'];
        for (const [n, service_type] of types.entries()) {
          await start(
            { ...conversation(`s${n}`, T0 + n), customer_id: 'c', ...(service_type !== undefined && { service_type }) },
            n,
          );
        }
        const owner = customer('c');
        expect(await ids({ owner, serviceTypes: ['5'] })).toEqual(['s0', 's1']);
        expect(await ids({ owner, serviceTypes: ['sales', '5'] })).toEqual(['s0', 's1', 's2']);
        expect(await ids({ owner, serviceTypes: ['"5"'] })).toEqual(['s4']);
        expect(await ids({ owner, serviceTypes: ['1e+21', ''] })).toEqual(['s5', 's7']);
        expect(await ids({ owner, serviceTypes: ['5\u0000'] })).toEqual(['s8']);
        expect(await ids({ owner, serviceTypes: ['undefined', 'null'] })).toEqual([]);
        expect(await ids({ owner, serviceTypes: [] })).toEqual([]);
      });

      promises('a filter still gives as many entries as the limit allows', async () => {
        const services = Array.from({ length: 1_200 }, (_, n) => ({
          ...conversation(`s${n}`, T0 + n * 6 * HOUR),
          customer_id: 'c',
          service_type: n % 100 === 0 ? 'rare' : 'frequent',
        }));
        await inChunks(services, (service, offset) => start(service, offset));
        const query = { owner: customer('c'), serviceTypes: ['rare'], order: 'newest-first', limit: 5 } as const;
        expect(await ids(query)).toEqual(['s1100', 's1000', 's900', 's800', 's700']);
        expect(await ids({ ...query, limit: 100 })).toHaveLength(12);
      });

      promises('without a limit they give 500 entries', async () => {
        await inChunks(
          Array.from({ length: 501 }, (_, n) => ({ ...conversation(`s${n}`, T0 + n), customer_id: 'c' })),
          (service, offset) => start(service, offset),
        );
        expect(await ids({ owner: customer('c') })).toHaveLength(500);
        expect(await ids({ owner: customer('c'), limit: 501 })).toHaveLength(501);
        expect(await ids({ owner: customer('c'), limit: 0 })).toEqual([]);
      });

      promises('starts may lie months apart, before 1970 and in the far future', async () => {
        const starts = [
          '0001-01-01',
          '1969-12-31',
          '1970-01-01',
          '2026-01-31',
          '2026-02-01',
          '2026-12-31',
          '2027-01-01',
          '9999-12-31',
        ];
        for (const [offset, day] of starts.entries())
          await start({ ...conversation(day, Date.parse(day)), customer_id: 'c' }, offset);
        const owner = customer('c');
        expect(await ids({ owner })).toEqual(starts);
        expect(await ids({ owner, order: 'newest-first', limit: 3 })).toEqual(starts.slice(-3).toReversed());
        expect(
          await ids({ owner, startedFrom: Date.parse('1969-12-31'), startedTo: Date.parse('2026-02-01') }),
        ).toEqual(starts.slice(1, 4));
      });

      promises('months without an entry cost a reader nothing but time', async () => {
        for (let n = 0; n < 30; n += 1) {
          const row = await start({ ...conversation(`s${n}`, Date.UTC(2020, n, 10)), customer_id: 'c' }, 2 * n);
          if (n > 0) await saveNext(rowOf(tenant, { status: 'gone' }, 2 * n + 1, `s${n}`), row);
        }
        expect(await ids({ owner: customer('c'), order: 'newest-first', limit: 10 })).toEqual(['s0']);
      });

      promises('owners that look alike do not mix', async () => {
        const all = hostileIds.flatMap((id) => [customer(id), contact(id), associated(id)]);
        const belonging = {
          customer: (id: string) => ({ customer_id: id }),
          contact: (id: string) => ({ contact_key: id }),
          associated: (id: string) => ({ contact_key: id, customer_id: 'somebody' }),
        };
        for (const [offset, { kind, id }] of all.entries())
          await start({ ...conversation(`s${offset}`), ...belonging[kind](id) }, offset);
        for (const [offset, owner] of all.entries()) expect(await ids({ owner })).toEqual([`s${offset}`]);
        for (const owner of all) expect(await ids({ owner: { ...owner, tenant: `${tenant}x` } })).toEqual([]);
      });

      promises('a service that is completed moves to the other list', async () => {
        const row = await start({ ...conversation('s1'), customer_id: 'c' }, 1);
        await saveNext(rowOf(tenant, completed({ ...conversation('s1'), customer_id: 'c' }), 2), row);
        expect(await ids({ owner: customer('c') })).toEqual([]);
        expect(await ids({ owner: customer('c'), status: 'completed' })).toEqual(['s1']);
      });

      promises('a service with both is in the lists of its customer and of its contact key', async () => {
        const anonymous = await start({ ...conversation('s1'), contact_key: 'k' }, 1);
        const both = rowOf(tenant, { ...conversation('s1'), contact_key: 'k', customer_id: 'c' }, 2);
        await saveNext(both, anonymous);
        expect(await ids({ owner: contact('k') })).toEqual([]);
        expect(await list({ owner: customer('c') })).toEqual([entriesOf(both)[0]]);
        expect(await list({ owner: associated('k') })).toEqual([entriesOf(both)[1]]);
        await saveNext(rowOf(tenant, { status: 'gone' }, 3, 's1'), both);
        expect(await ids({ owner: customer('c') })).toEqual([]);
        expect(await ids({ owner: associated('k') })).toEqual([]);
      });

      promises('a service that came back to a list it had left is in that list alone', async () => {
        const first = await start({ ...conversation('s1'), customer_id: 'x' }, 1);
        const second = rowOf(tenant, { ...conversation('s1'), customer_id: 'y' }, 2);
        const third = rowOf(tenant, { ...conversation('s1'), customer_id: 'x' }, 3);
        await saveNext(second, first);
        await saveNext(third, second);
        await saveNext(second, first);
        expect(await ids({ owner: customer('x') })).toEqual(['s1']);
        expect(await ids({ owner: customer('y') })).toEqual([]);
      });

      promises('a removed entry does not come back by a late insert of an older save', async () => {
        const first = await start({ ...conversation('s1'), contact_key: 'k' }, 1);
        await saveNext(rowOf(tenant, { ...conversation('s1'), customer_id: 'c' }, 2), first);
        await saveNext(first);
        expect(await ids({ owner: contact('k') })).toEqual([]);
        expect(await ids({ owner: customer('c') })).toEqual(['s1']);
      });

      promises('an entry whose type changes is rewritten in place, and not by a late older save', async () => {
        const first = await start({ ...conversation('s1'), customer_id: 'c', service_type: 'old' }, 1);
        const second = rowOf(tenant, { ...conversation('s1'), customer_id: 'c', service_type: 'new' }, 2);
        await saveNext(second, first);
        await saveNext(first);
        expect(await list({ owner: customer('c') })).toEqual([entryOf(second)]);
      });

      promises('the newest 10 of 10,000 services of one customer are given', async () => {
        await inChunks(
          Array.from({ length: 10_000 }, (_, n) => ({ ...conversation(`s${n}`, T0 + n * MINUTE), customer_id: 'c' })),
          (service, offset) => start(service, offset),
        );
        expect(await ids({ owner: customer('c'), order: 'newest-first', limit: 10 })).toEqual(
          Array.from({ length: 10 }, (_, n) => `s${9_999 - n}`),
        );
      });
    });

    describe('checkpoints', () => {
      const at = (partition: number, next: number) => ({ generation: 1, partition, next, epoch: 3, logId: 'log' });
      const stored = async (partition: number) =>
        (await model.checkpoints()).filter((each) => each.partition === partition);

      promises('a partition without one is missing', async () => {
        expect(await stored(999)).toEqual([]);
      });

      promises('the one saved last is given, by partition', async () => {
        await model.saveCheckpoint(at(100, 5));
        await model.saveCheckpoint(at(101, 6));
        await model.saveCheckpoint({ ...at(100, 8), epoch: 4 });
        expect(await stored(100)).toEqual([{ ...at(100, 8), epoch: 4 }]);
        expect(await stored(101)).toEqual([at(101, 6)]);
      });

      promises('a checkpoint never goes back', async () => {
        await model.saveCheckpoint(at(102, 8));
        await model.saveCheckpoint(at(102, 5));
        expect(await stored(102)).toEqual([at(102, 8)]);
      });

      promises('the same one twice changes nothing', async () => {
        await model.saveCheckpoint(at(103, 8));
        await model.saveCheckpoint(at(103, 8));
        expect(await stored(103)).toEqual([at(103, 8)]);
      });
    });
  });
}

/** For a busy machine; nothing here is about speed. */
const PATIENCE_MS = 120_000;
const MIB = 1024 * 1024;
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const T0 = Date.parse('2026-03-01T10:00:00.000Z');
const CHUNK = 500;
const PAGE = 7;

const hostileIds = [
  'a',
  'A',
  'a ',
  ' a',
  'a/b',
  'a%2Fb',
  'a\u0000',
  'a\u0000b',
  '__proto__',
  'constructor',
  "'; drop table streams; --",
  'é',
  'e\u0301',
  '\u{1F600}',
  '\uFFFD',
  'x'.repeat(1024),
  'x'.repeat(1023),
  '5',
  '05',
];

const hostileExtensions = JSON.parse(
  '{"__proto__":{"polluted":true},"constructor":[1,"\\u0000",null],"a/b":"\\ud800 \\u2028 é","":{"deep":{"":1.5e300}}}',
) as ActiveService['extensions'];

const conversation = (service_id: string, started = T0): ActiveService => ({
  status: 'active',
  service_id,
  started: { timestamp: new Date(started).toISOString() },
  extensions: {},
  states: [],
  tasks: [],
  recordedAt: started,
  answers: [],
  bytes: 0,
});

const completed = (service: ActiveService): Service => ({
  ...service,
  status: 'completed',
  completed: service.started,
});

const rowOf = (tenant: string, service: Service, offset: number, stream = ''): StreamRow => ({
  tenant,
  stream: 'service_id' in service ? service.service_id : stream,
  head: { version: offset + 1 },
  offset,
  aggregate: { kind: 'service', service },
});

const entriesOf = ({ aggregate, tenant }: StreamRow): readonly ListEntry[] =>
  aggregate.kind === 'service' ? listEntries(aggregate.service, tenant) : [];

/** Of a service in one list. */
const entryOf = (row: StreamRow): ListEntry => entriesOf(row)[0]!;

const sameOwner = (one: Owner, other: Owner): boolean => one.kind === other.kind && one.id === other.id;

const owners = (tenant: string): readonly Owner[] => [
  { tenant, kind: 'customer', id: 'x' },
  { tenant, kind: 'customer', id: 'y' },
  { tenant, kind: 'contact', id: 'x' },
  { tenant, kind: 'associated', id: 'x' },
  { tenant, kind: 'associated', id: 'y' },
];

/** The rows of one service that wanders between owners, status and types, and may be gone at the end. */
function lifeOf(tenant: string, stream: string, random: () => number): readonly StreamRow[] {
  const length = 2 + Math.floor(random() * 6);
  return Array.from({ length }, (_, n) => {
    const owned = [
      { contact_key: 'x' },
      { customer_id: 'x' },
      { customer_id: 'y' },
      { customer_id: 'x', contact_key: 'x' },
      { customer_id: 'x', contact_key: 'y' },
    ][Math.floor(random() * 5)];
    const service = { ...conversation(stream), ...owned, service_type: Math.floor(random() * 2) };
    const end = n < length - 1 ? 1 : random();
    return rowOf(tenant, end < 0.2 ? { status: 'gone' } : end < 0.4 ? completed(service) : service, 3 * n, stream);
  });
}

/**
 * Indexes into a life, as three projectors save it that all believe the partition to be theirs: each goes on from what
 * it saved last, or starts again from what is in the store.
 */
function savesOfSeveral(life: readonly StreamRow[], random: () => number): readonly number[] {
  const next = [0, 0, 0];
  const saves: number[] = [];
  for (let stored = -1; stored < life.length - 1 || random() < 0.7;) {
    const projector = Math.floor(random() * next.length);
    const save = random() < 0.2 ? stored + 1 : next[projector]!;
    if (save >= life.length) continue;
    saves.push(save);
    next[projector] = save + 1;
    stored = Math.max(stored, save);
  }
  return saves;
}

async function inChunks<T>(all: readonly T[], each: (one: T, index: number) => Promise<unknown>): Promise<void> {
  for (let begin = 0; begin < all.length; begin += CHUNK) {
    await Promise.all(all.slice(begin, begin + CHUNK).map((one, index) => each(one, begin + index)));
  }
}

/** Numbers in [0, 1) that only depend on the seed (a linear congruential generator modulo 2^31). */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fff_ffff;
    return state / 0x8000_0000;
  };
}

function shuffled<T>(items: readonly T[], random: () => number): readonly T[] {
  return items
    .map((item) => ({ item, place: random() }))
    .toSorted((one, other) => one.place - other.place)
    .map(({ item }) => item);
}
