import { randomUUID } from 'node:crypto';
import { advance, streamKey, unwritten, type Head, type NewRecord, type RecordedEvent } from '#events';
import type { Batch, EventLog, LogReader, Subscriber, Subscription, Verdict } from '../event-log.js';
import { fenced, judge } from '../judge.js';
import type { Checkpoint, LogRecord } from '../log-record.js';

/** What may go wrong with the next append of `producers[0]` on its way into the log. */
export type Fault =
  /** The record is stored, the acknowledgement does not arrive. */
  | 'lost-acknowledgement'
  /** The record is stored twice. */
  | 'duplicate';

/** A fresh log and everybody who works with it. The suite calls `follow` itself. */
export interface EventLogFixture {
  /** Two writers of the log, not yet following it. The same instance twice where an engine allows only one. */
  readonly producers: readonly [EventLog, EventLog];
  /** Reads the log as the projector does, apart from the producers. */
  readonly reader: LogReader;
  /** Closes everything and opens it again on what is stored, as after the end of all processes. Data stays. */
  restart(): Promise<EventLogFixture>;
  /** Makes the fault happen once. Present when `describeEventLog` was told of it. */
  cause?(fault: Fault): void;
  /** Closes producers and reader and removes what is stored. */
  close(): Promise<void>;
}

/** How far the log's clock may be from the time of a record that was appended just before. */
const CLOCK_TOLERANCE_MS = 60_000;
const CASE_TIMEOUT_MS = 30_000;
const LARGE_VALUE_BYTES = 900 * 1024;

/**
 * What every EventLog promises, in sentences. One log serves all of them, each works on streams of its own. `faults`
 * names what the fixture can cause; sentences about others are left out.
 */
export function describeEventLog(
  adapter: string,
  open: () => Promise<EventLogFixture>,
  faults: readonly Fault[] = [],
): void {
  describe(`${adapter} as an EventLog`, () => {
    let fixture: EventLogFixture;
    let one: EventLog;
    let two: EventLog;
    let readings: ReadonlyMap<EventLog, Reading>;
    let partitions = 0;
    /** The last partition, apart from partition 0 where the log has more than one. */
    let last = 0;
    let cases = 0;

    const it = (sentence: string, prove: () => Promise<void>): void =>
      test(
        sentence,
        async () => {
          await prove();
          cases += 1;
        },
        CASE_TIMEOUT_MS,
      );

    const begin = async (opened: EventLogFixture, from?: readonly Checkpoint[]): Promise<void> => {
      fixture = opened;
      [one, two] = opened.producers;
      partitions = one.partitions;
      last = partitions - 1;
      readings = new Map(
        [...new Set(opened.producers)].map((log) => [log, new Reading(from ?? beginnings(log.partitions))]),
      );
      for (const [log, reading] of readings) await log.follow(reading.checkpoints(), reading.see);
    };

    beforeAll(async () => begin(await open()), CASE_TIMEOUT_MS);

    afterAll(async () => {
      await fixture?.close();
      process.stdout.write(`suite: EventLog, adapter: ${adapter}, partitions: ${partitions}, cases: ${cases}\n`);
    }, CASE_TIMEOUT_MS);

    const seenBy = (log: EventLog): Reading => readings.get(log)!;

    /** What everybody counts of a stream, as each producer knows it after a barrier. */
    const validEvents = async (stream: Stream): Promise<readonly RecordedEvent[]> => {
      await Promise.all([...readings.keys()].map((log) => log.barrier(stream.partition)));
      const [first, ...others] = [...readings.values()].map((reading) => reading.valid(stream));
      for (const other of others) expect(other).toEqual(first);
      return first!;
    };
    const ids = (events: readonly RecordedEvent[]): readonly string[] => events.map(({ eventId }) => eventId);

    const event = (stream: Stream, head: Head, more: Partial<NewRecord> = {}): NewRecord => ({
      eventId: randomUUID(),
      type: 'ServiceUpdated',
      schemaVersion: 1,
      tenant: '1',
      version: head.version + 1,
      epoch: one.tail(stream.partition).epoch,
      correlationId: randomUUID(),
      value: JSON.stringify({ service_id: stream.stream }),
      ...stream,
      ...more,
    });

    const accepted = async (log: EventLog, record: NewRecord, head: Head): Promise<Head> => {
      const verdict = await log.append(record, head);
      if (verdict.outcome !== 'accepted')
        throw new Error(`expected the append to be accepted, it is void: ${verdict.reason}`);
      return advance(head, { ...record, recordedAt: verdict.recordedAt });
    };

    /** Appends `count` events one after another, the producers taking turns. */
    const written = async (
      stream: Stream,
      count: number,
      from: Head = unwritten,
    ): Promise<{ head: Head; ids: string[] }> => {
      let head = from;
      const written: string[] = [];
      for (let n = 0; n < count; n += 1) {
        const record = event(stream, head);
        head = await accepted(n % 2 === 0 ? one : two, record, head);
        written.push(record.eventId);
      }
      return { head, ids: written };
    };

    describe('appending', () => {
      it('starts each partition with a fence of epoch 0 that names the log', async () => {
        for (let partition = 0; partition < partitions; partition += 1) {
          const [first] = seenBy(one).records(partition);
          expect(first).toMatchObject({ kind: 'fence', partition, offset: 0, epoch: 0, logId: one.logId(partition) });
          expect(one.logId(partition)).toMatch(/./);
          expect(two.logId(partition)).toBe(one.logId(partition));
          expect(fixture.reader.logId(partition)).toBe(one.logId(partition));
        }
      });

      it('reads an unknown stream as empty', async () => {
        expect(await validEvents(newStream(0))).toEqual([]);
      });

      it('gives back what was appended, in order, numbered from 1', async () => {
        const stream = newStream(0);
        const { ids: appended } = await written(stream, 7);
        const events = await validEvents(stream);
        expect(ids(events)).toEqual(appended);
        expect(events.map(({ version }) => version)).toEqual([1, 2, 3, 4, 5, 6, 7]);
      });

      it('gives back every header and the value as they were', async () => {
        const stream = newStream(last);
        const first = event(stream, unwritten, {
          type: 'ServiceStarted',
          schemaVersion: 3,
          lifetime: { slide: 157_680_000 },
          causationId: randomUUID(),
          idempotency: { key: 'SwVr2vGkkKAm-_key', request: '4Qk-_request' },
          value: JSON.stringify({ text: 'Zoë \u{1f600} \u0000 "\\" \ud800', ['__proto__']: { a: 1 } }),
        });
        const second = event(
          stream,
          { version: 1 },
          { lifetime: { until: 4_102_444_800_000 }, value: JSON.stringify('x'.repeat(LARGE_VALUE_BYTES)) },
        );
        const head = await accepted(one, first, unwritten);
        await accepted(one, second, head);
        expect(await validEvents(stream)).toMatchObject([first, second]);
      });

      it('keeps streams apart, whatever their ids are, and those of other tenants too', async () => {
        const suffix = randomUUID();
        const texts = [
          '__proto__',
          'constructor',
          'a/b',
          'a%2Fb',
          'a',
          'ü ñ \u{1f600}',
          '%',
          ' ',
          '..',
          'x'.repeat(255),
        ];
        const streams = texts.flatMap((text) =>
          ['1', '1/a'].map((tenant) => ({ partition: 0, tenant, stream: `${text}${suffix}` })),
        );
        const exact = { partition: 0, tenant: '1', stream: '__proto__' };
        const appended = await Promise.all(
          [...streams, exact].map(async (stream) => [stream, await written(stream, 2)] as const),
        );
        for (const [stream, { ids: own }] of appended) expect(ids(await validEvents(stream))).toEqual(own);
      });

      it('tells the place and the time of an accepted record', async () => {
        const stream = newStream(last);
        const verdict = await one.append(event(stream, unwritten), unwritten);
        const [stored] = await validEvents(stream);
        expect(verdict).toEqual({
          outcome: 'accepted',
          position: { partition: last, offset: stored!.offset },
          recordedAt: stored!.recordedAt,
        });
        expect(Math.abs(one.now() - stored!.recordedAt)).toBeLessThan(CLOCK_TOLERANCE_MS);
      });

      it('has shown a record to the listener before its append resolves', async () => {
        const stream = newStream(0);
        let head = unwritten;
        for (const log of [one, two, one]) {
          const record = event(stream, head);
          head = await accepted(log, record, head);
          expect(ids(seenBy(log).valid(stream))).toContain(record.eventId);
        }
      });

      it('never goes back in recorded time within a stream', async () => {
        const stream = newStream(0);
        await written(stream, 20);
        const times = (await validEvents(stream)).map(({ recordedAt }) => recordedAt);
        expect(times).toEqual([...times].sort((a, b) => a - b));
      });

      it('stands, by its tail and its ends, one past the last record seen', async () => {
        await written(newStream(0), 3);
        const ends = await one.ends();
        expect(ends).toHaveLength(partitions);
        for (let partition = 0; partition < partitions; partition += 1) {
          await one.barrier(partition);
          expect(one.tail(partition)).toEqual(seenBy(one).checkpoints()[partition]);
          expect(ends[partition]).toBeLessThanOrEqual(one.tail(partition).next);
        }
        expect(await fixture.reader.ends()).toEqual(
          seenBy(one)
            .checkpoints()
            .map(({ next }) => next),
        );
      });
    });

    describe('of appends that cannot all be right', () => {
      it('refuses a stale expected version and stores nothing that counts', async () => {
        const stream = newStream(0);
        const { ids: appended } = await written(stream, 2);
        expect(await two.append(event(stream, { version: 1 }), { version: 1 })).toEqual({
          outcome: 'void',
          reason: 'version',
        });
        expect(ids(await validEvents(stream))).toEqual(appended);
      });

      it('refuses it also when the other writer is far ahead', async () => {
        const stream = newStream(last);
        const { ids: appended, head } = await written(stream, 9);
        expect(await one.append(event(stream, unwritten), unwritten)).toEqual({ outcome: 'void', reason: 'version' });
        expect(await two.append(event(stream, { version: 3 }), { version: 3 })).toEqual({
          outcome: 'void',
          reason: 'version',
        });
        expect(ids(await validEvents(stream))).toEqual(appended);
        await accepted(two, event(stream, head), head);
      });

      it('lets exactly one of ten concurrent appends win', async () => {
        const stream = newStream(0);
        const records = Array.from({ length: 10 }, () => event(stream, unwritten));
        const verdicts = await Promise.all(
          records.map((record, n) => (n % 2 === 0 ? one : two).append(record, unwritten)),
        );
        expect(verdicts.filter(isAccepted)).toHaveLength(1);
        expect(verdicts.filter((verdict) => !isAccepted(verdict))).toEqual(
          Array(9).fill({ outcome: 'void', reason: 'version' }),
        );
        expect(ids(await validEvents(stream))).toEqual([records[verdicts.findIndex(isAccepted)]!.eventId]);
      });

      it('tells both of two racing producers the truth', async () => {
        const heads = new Map(Array.from({ length: 8 }, (_, n) => [newStream(n % partitions), unwritten]));
        for (let round = 0; round < 5; round += 1) {
          await Promise.all(
            [...heads].map(async ([stream, head]) => {
              const records = [event(stream, head), event(stream, head)] as const;
              const verdicts = await Promise.all([one.append(records[0], head), two.append(records[1], head)]);
              const winner = verdicts.findIndex(isAccepted);
              expect(verdicts.filter(isAccepted)).toHaveLength(1);
              expect(verdicts[1 - winner]).toEqual({ outcome: 'void', reason: 'version' });
              const [last] = (await validEvents(stream)).slice(-1);
              expect(last!.eventId).toBe(records[winner]!.eventId);
              heads.set(stream, advance(head, last!));
            }),
          );
        }
        for (const stream of heads.keys()) expect(await validEvents(stream)).toHaveLength(5);
      });

      it('does not count what is delivered again', async () => {
        const stream = newStream(0);
        const record = event(stream, unwritten);
        const head = await accepted(one, record, unwritten);
        // Until its tail has passed it, this producer would rightly find its event accepted.
        await two.barrier(stream.partition);
        expect(await two.append(record, unwritten)).toEqual({ outcome: 'void', reason: 'version' });
        expect(ids(await validEvents(stream))).toEqual([record.eventId]);
        await accepted(one, event(stream, head), head);
      });

      if (faults.includes('duplicate')) {
        it('counts a record once that was stored twice', async () => {
          const stream = newStream(last);
          const record = event(stream, unwritten);
          fixture.cause!('duplicate');
          const head = await accepted(one, record, unwritten);
          expect(ids(await validEvents(stream))).toEqual([record.eventId]);
          await accepted(two, event(stream, head), head);
          expect(await validEvents(stream)).toHaveLength(2);
        });
      }

      if (faults.includes('lost-acknowledgement')) {
        it('ends a lost acknowledgement as accepted or unknown, never with a wrong answer', async () => {
          const stream = newStream(0);
          const record = event(stream, unwritten);
          fixture.cause!('lost-acknowledgement');
          const answer = await one.append(record, unwritten).then(
            ({ outcome }) => outcome,
            (error: unknown) => (error as { code?: string }).code,
          );
          expect(['accepted', 'outcome-unknown']).toContain(answer);
          if (answer === 'accepted') expect(ids(await validEvents(stream))).toEqual([record.eventId]);
          // Whatever became of it, the next one who asks learns the truth.
          const [stored] = await validEvents(stream);
          const head = stored === undefined ? unwritten : advance(unwritten, stored);
          await accepted(two, event(stream, head), head);
        });
      }
    });

    describe('expiry', () => {
      it('voids an append after it, all but the record of the expiry itself', async () => {
        const stream = newStream(0);
        const head = await accepted(one, event(stream, unwritten, { lifetime: { until: 1 } }), unwritten);
        for (const log of [one, two])
          expect(await log.append(event(stream, head), head)).toEqual({ outcome: 'void', reason: 'expired' });
        const expired = event(stream, head, { type: 'ServiceExpired' });
        await accepted(two, expired, head);
        expect((await validEvents(stream)).map(({ type }) => type)).toEqual(['ServiceUpdated', 'ServiceExpired']);
      });

      it('counts a lifetime from the recorded time of its event', async () => {
        const stream = newStream(last);
        const head = await accepted(one, event(stream, unwritten, { lifetime: { ttl: 0 } }), unwritten);
        expect(await two.append(event(stream, head), head)).toEqual({ outcome: 'void', reason: 'expired' });
      });

      it('moves a sliding one with each event', async () => {
        const stream = newStream(0);
        const head = await accepted(one, event(stream, unwritten, { lifetime: { slide: 3600 } }), unwritten);
        const later = await accepted(two, event(stream, head), head);
        const [, second] = await validEvents(stream);
        expect(later.expiresAt).toBe(second!.recordedAt + 3_600_000);
        await accepted(one, event(stream, later), later);
      });
    });

    describe('a fence', () => {
      const raise = async (): Promise<{ before: number; after: number }> => {
        const before = one.tail(last).epoch;
        await one.fence(last, before + 1);
        await two.barrier(last);
        return { before, after: before + 1 };
      };

      it('raises the epoch for everybody', async () => {
        const elsewhere = one.tail(0).epoch;
        const { after } = await raise();
        expect([one, two].map((log) => log.tail(last).epoch)).toEqual([after, after]);
        const stream = newStream(last);
        await accepted(two, event(stream, unwritten, { epoch: after }), unwritten);
        if (last > 0) expect(one.tail(0).epoch).toBe(elsewhere);
      });

      it('voids what comes later with an older epoch, and its producer is told so', async () => {
        const stream = newStream(last);
        const head = await accepted(two, event(stream, unwritten), unwritten);
        const { before, after } = await raise();
        for (const log of [one, two]) {
          expect(await log.append(event(stream, head, { epoch: before }), head)).toEqual({
            outcome: 'void',
            reason: 'epoch',
          });
        }
        expect(await validEvents(stream)).toHaveLength(1);
        await accepted(one, event(stream, head, { epoch: after }), head);
      });

      it('divides what races with it into before and after', async () => {
        const before = one.tail(last).epoch;
        const records = Array.from({ length: 10 }, () => event(newStream(last), unwritten, { epoch: before }));
        const [verdicts] = await Promise.all([
          Promise.all(records.map((record, n) => (n % 2 === 0 ? one : two).append(record, unwritten))),
          one.fence(last, before + 1),
        ]);
        for (const [n, verdict] of verdicts.entries()) {
          if (!isAccepted(verdict)) expect(verdict.reason).toBe('epoch');
          expect(await validEvents(records[n]!)).toHaveLength(isAccepted(verdict) ? 1 : 0);
        }
      });

      it('of a lower epoch that comes late changes nothing', async () => {
        const { before, after } = await raise();
        await two.fence(last, before);
        await two.fence(last, after);
        await Promise.all([one.barrier(last), two.barrier(last)]);
        expect([one, two].map((log) => log.tail(last).epoch)).toEqual([after, after]);
        const stream = newStream(last);
        await accepted(one, event(stream, unwritten, { epoch: after }), unwritten);
        expect(await validEvents(stream)).toHaveLength(1);
      });
    });

    describe('a barrier', () => {
      it('resolves when the listener has seen what the other producer appended before', async () => {
        const stream = newStream(0);
        let head = unwritten;
        for (const [writer, other] of [
          [one, two],
          [two, one],
        ] as const) {
          const record = event(stream, head);
          head = await accepted(writer, record, head);
          await other.barrier(0);
          expect(ids(seenBy(other).valid(stream))).toContain(record.eventId);
        }
      });

      it('serves many who wait at once', async () => {
        await Promise.all(Array.from({ length: 20 }, (_, n) => (n % 2 === 0 ? one : two).barrier(n % partitions)));
      });
    });

    describe('a subscription', () => {
      let subscription: Subscription | undefined;
      const subscribe = async (subscriber: Subscriber): Promise<Subscription> =>
        (subscription = await fixture.reader.subscribe(subscriber));

      afterEach(async () => {
        await subscription?.close();
        subscription = undefined;
      }, CASE_TIMEOUT_MS);

      it('sees the valid events of every stream in version order', async () => {
        const streams = Array.from({ length: 6 }, (_, n) => newStream(n % partitions));
        const before = await Promise.all(streams.map((stream) => written(stream, 4)));
        const reading = new Reader(partitions);
        await subscribe(reading);
        await reading.reaches(await one.ends());
        const after = await Promise.all(streams.map((stream, n) => written(stream, 3, before[n]!.head)));
        await reading.reaches(await one.ends());

        for (const [n, stream] of streams.entries()) {
          expect(ids(reading.seen.valid(stream))).toEqual([...before[n]!.ids, ...after[n]!.ids]);
          expect(reading.seen.valid(stream)).toEqual(await validEvents(stream));
        }
        expect(reading.overlaps).toBe(0);
      });

      it('goes on from its checkpoint after a restart and repeats at most what was unfinished', async () => {
        const streams = Array.from({ length: partitions }, (_, partition) => newStream(partition));
        const before = await Promise.all(streams.map((stream) => written(stream, 3)));
        const first = new Reader(partitions);
        const running = await subscribe(first);
        await first.reaches(await one.ends());
        await running.close();
        const after = await Promise.all(streams.map((stream, n) => written(stream, 3, before[n]!.head)));

        await begin(await fixture.restart());
        const second = new Reader(partitions, { from: first.checkpoints, group: first.group });
        await subscribe(second);
        await second.reaches(await one.ends());
        for (const [partition, { next }] of first.checkpoints.entries()) {
          expect(second.seen.records(partition)[0]?.offset).toBe(next);
          const lines = second.seen.records(partition).filter((record) => isOf(record, streams[partition]!));
          expect(lines.map((record) => (record as RecordedEvent).eventId)).toEqual(after[partition]!.ids);
        }
      });

      it('hands out one batch of a partition at a time, also after failures', async () => {
        const streams = Array.from({ length: partitions }, (_, partition) => newStream(partition));
        const reading = new Reader(partitions, { from: seenBy(one).checkpoints() });
        const release = reading.hold();
        await subscribe(reading);
        const heads = await Promise.all(streams.map(async (stream) => (await written(stream, 2)).head));
        await reading.entered();
        reading.failing = last;
        // More arrives while the first batches are in hand.
        await Promise.all(streams.map((stream, n) => written(stream, 20, heads[n])));
        release();
        await reading.failed(2);
        reading.failing = undefined;
        await reading.reaches(await one.ends());
        expect(reading.overlaps).toBe(0);
        for (const stream of streams) expect(reading.seen.valid(stream)).toHaveLength(22);
      });

      it('does not move on in a partition whose handler throws, while others go on', async () => {
        const stuck = newStream(0);
        const free = last > 0 ? newStream(last) : undefined;
        const reading = new Reader(partitions, { from: seenBy(one).checkpoints() });
        reading.failing = 0;
        await subscribe(reading);
        await written(stuck, 3);
        const others = free && (await written(free, 3)).ids;
        await reading.failed(3);
        if (free) await reading.reaches(await one.ends(), [last]);
        expect(new Set(reading.failures.map(({ offset }) => offset)).size).toBe(1);
        expect(reading.seen.valid(stuck)).toEqual([]);
        if (free) expect(ids(reading.seen.valid(free))).toEqual(others);

        reading.failing = undefined;
        await reading.reaches(await one.ends());
        expect(reading.seen.records(0)[0]?.offset).toBe(reading.failures[0]!.offset);
        expect(reading.seen.valid(stuck)).toEqual(await validEvents(stuck));
      });

      it('is asked for its checkpoint again after a failure, and obeys it', async () => {
        const stream = newStream(0);
        await written(stream, 2);
        const reading = new Reader(partitions);
        reading.failing = 0;
        await subscribe(reading);
        await reading.failed(2);
        await one.barrier(0);
        const from = one.tail(0);
        reading.moveTo(from);
        reading.failing = undefined;
        const record = event(stream, { version: 2 });
        await accepted(one, record, { version: 2 });
        await reading.reaches(await one.ends());
        expect(reading.seen.records(0)[0]?.offset).toBe(from.next);
        expect(reading.seen.records(0).some((seen) => seen.kind === 'event' && seen.eventId === record.eventId)).toBe(
          true,
        );
      });

      it('ends when the batches in flight are done, and hands out no more', async () => {
        const stream = newStream(0);
        const reading = new Reader(partitions, { from: seenBy(one).checkpoints() });
        const release = reading.hold();
        const running = await subscribe(reading);
        const { head } = await written(stream, 1);
        await reading.entered();
        let closed = false;
        const closing = running.close().then(() => (closed = true));
        await written(stream, 1, head);
        await one.barrier(0);
        expect(closed).toBe(false);
        release();
        await closing;
        const handled = reading.handled;
        await written(newStream(0), 2);
        const other = new Reader(partitions);
        await subscribe(other);
        await other.reaches(await one.ends());
        expect(reading.handled).toBe(handled);
      });

      it('says so when the log ends before the checkpoint', async () => {
        const reading = new Reader(partitions, {
          from: seenBy(one)
            .checkpoints()
            .map((at) => (at.partition === 0 ? { ...at, next: at.next + 1_000 } : at)),
        });
        await subscribe(reading);
        expect(await reading.fatal).toBeInstanceOf(Error);
      });
    });

    describe('after a restart', () => {
      it('has everything: the log ids, the epochs, the streams', async () => {
        const stream = newStream(last);
        await one.fence(last, one.tail(last).epoch + 1);
        await two.barrier(last);
        const { ids: appended, head } = await written(stream, 3);
        const logIds = Array.from({ length: partitions }, (_, partition) => one.logId(partition));
        const checkpoint = one.tail(last);

        await begin(await fixture.restart());
        expect(Array.from({ length: partitions }, (_, partition) => one.logId(partition))).toEqual(logIds);
        expect(one.tail(last).epoch).toBe(checkpoint.epoch);
        expect(ids(await validEvents(stream))).toEqual(appended);
        expect(await two.append(event(stream, unwritten), unwritten)).toEqual({ outcome: 'void', reason: 'version' });
        await accepted(one, event(stream, head), head);
      });

      it('follows from a checkpoint and sees exactly the rest', async () => {
        const stream = newStream(0);
        const { head } = await written(stream, 3);
        await Promise.all([one, two].map((log) => log.barrier(0)));
        const from = seenBy(one).checkpoints();
        await written(stream, 2, head);
        await one.fence(0, from[0]!.epoch + 1);
        await one.barrier(0);
        const rest = seenBy(one)
          .records(0)
          .filter(({ offset }) => offset >= from[0]!.next);

        await begin(await fixture.restart(), from);
        expect(seenBy(one).records(0).slice(0, rest.length)).toEqual(rest);
        expect(one.tail(0).epoch).toBe(from[0]!.epoch + 1);
        for (const reading of readings.values()) {
          for (const { partition, next } of from) {
            const [first] = reading.records(partition);
            if (first !== undefined) expect(first.offset).toBe(next);
          }
        }
      });
    });
  });
}

type Stream = Pick<NewRecord, 'stream' | 'partition'> & { readonly tenant?: string };

const newStream = (partition: number): Stream => ({ partition, stream: `${partition}-${randomUUID()}` });
const keyOf = ({ tenant = '1', stream }: Pick<Stream, 'tenant' | 'stream'>): string => streamKey({ tenant, stream });
const isOf = (record: LogRecord, stream: Stream): boolean => record.kind === 'event' && keyOf(record) === keyOf(stream);

const isAccepted = (verdict: Verdict): verdict is Extract<Verdict, { outcome: 'accepted' }> =>
  verdict.outcome === 'accepted';

const beginnings = (partitions: number): readonly Checkpoint[] =>
  Array.from({ length: partitions }, (_, partition) => ({ partition, next: 0, epoch: 0 }));

/** Reads the records of a log as the rule says and checks on the way that none is repeated, missing or out of order. */
class Reading {
  private readonly places: { next: number; epoch: number; readonly records: LogRecord[] }[];
  private readonly heads = new Map<string, Head>();
  private readonly validByStream = new Map<string, RecordedEvent[]>();

  constructor(from: readonly Checkpoint[]) {
    this.places = from.map(({ next, epoch }) => ({ next, epoch, records: [] }));
  }

  readonly see = (record: LogRecord, epoch: number): void => {
    const partition = this.places[record.partition];
    if (partition === undefined || record.offset !== partition.next) {
      throw new Error(`${record.partition}:${record.offset} came where ${record.partition}:${partition?.next} was due`);
    }
    partition.next += 1;
    partition.records.push(record);
    if (record.kind === 'fence') partition.epoch = fenced(partition.epoch, record.epoch);
    if (epoch !== partition.epoch)
      throw new Error(`epoch ${epoch} at ${record.partition}:${record.offset} is not ${partition.epoch}`);
    if (record.kind === 'event') this.fold(record, epoch);
  };

  private fold(record: RecordedEvent, epoch: number): void {
    const key = keyOf(record);
    // Who reads from the middle knows no heads: there the first record of a stream is taken as it is.
    const head = this.heads.get(key) ?? { version: record.version - 1 };
    if (!judge(record, head, epoch).valid) return;
    this.heads.set(key, advance(head, record));
    this.validByStream.set(key, [...(this.validByStream.get(key) ?? []), record]);
  }

  valid = (stream: Stream): readonly RecordedEvent[] => this.validByStream.get(keyOf(stream)) ?? [];
  records = (partition: number): readonly LogRecord[] => this.places[partition]!.records;
  checkpoints = (): readonly Checkpoint[] =>
    this.places.map(({ next, epoch }, partition) => ({ partition, next, epoch }));

  /** Begins anew at the checkpoint; what was read in its partition is forgotten. */
  moveTo({ partition, next, epoch }: Checkpoint): void {
    this.places[partition] = { next, epoch, records: [] };
  }
}

/** A subscriber that keeps its checkpoints in memory, fails, holds and waits as it is told. */
class Reader implements Subscriber {
  readonly group: string;
  readonly seen: Reading;
  readonly failures: { readonly offset: number }[] = [];
  readonly fatal: Promise<Error>;
  onFatal!: (error: Error) => void;
  failing: number | undefined;
  overlaps = 0;
  handled = 0;
  private reached: readonly Checkpoint[];
  private held: Promise<void> | undefined;
  private readonly busy = new Set<number>();
  private readonly waiting = new Set<() => void>();

  constructor(partitions: number, { from = beginnings(partitions), group = `contract-${randomUUID()}` } = {}) {
    this.group = group;
    this.seen = new Reading(from);
    this.reached = from;
    this.fatal = new Promise((resolve) => (this.onFatal = resolve));
  }

  get checkpoints(): readonly Checkpoint[] {
    return this.reached;
  }

  async checkpoint(partition: number): Promise<Checkpoint> {
    return this.reached[partition]!;
  }

  async handle({ partition, records, epochs, end, isStale }: Batch): Promise<void> {
    if (isStale()) return;
    if (this.busy.has(partition)) this.overlaps += 1;
    this.busy.add(partition);
    this.changed();
    await this.held;
    try {
      if (partition === this.failing) {
        this.failures.push({ offset: records[0]!.offset });
        throw new Error('told to fail');
      }
      for (const [n, record] of records.entries()) this.seen.see(record, epochs[n]!);
      const last = records.at(-1)!;
      if (last.offset >= end) throw new Error(`record ${last.offset} is not before the end ${end}`);
      this.reached = this.seen.checkpoints();
      this.handled += records.length;
    } finally {
      this.busy.delete(partition);
      this.changed();
    }
  }

  moveTo(checkpoint: Checkpoint): void {
    this.seen.moveTo(checkpoint);
    this.reached = this.seen.checkpoints();
  }

  /** Keeps every handler waiting until the returned function is called. */
  hold(): () => void {
    let release!: () => void;
    this.held = new Promise((resolve) => (release = resolve));
    return release;
  }

  entered = (): Promise<void> => this.until(() => this.busy.size > 0);
  failed = (times: number): Promise<void> => this.until(() => this.failures.length >= times);
  reaches = (ends: readonly number[], partitions = [...ends.keys()]): Promise<void> =>
    this.until(() => partitions.every((partition) => this.reached[partition]!.next >= ends[partition]!));

  private changed(): void {
    for (const look of this.waiting) look();
  }

  /** Resolves when the condition holds after one of the handler's steps. A reader that stopped for good rejects it. */
  private until(condition: () => boolean): Promise<void> {
    const holds = new Promise<void>((resolve) => {
      const look = (): void => {
        if (!condition()) return;
        this.waiting.delete(look);
        resolve();
      };
      this.waiting.add(look);
      look();
    });
    const stopped = this.fatal.then((error) => {
      throw error;
    });
    return Promise.race([holds, stopped]);
  }
}
