import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { DatabaseSync } from '@photostructure/sqlite';
import cassandra from 'cassandra-driver';
import { Kafka, logLevel, type KafkaMessage } from 'kafkajs';
import type { LogRecord, PublicEvent } from '#event-log';
import { EmbeddedLogReader } from '#event-log/embedded';
import { KafkaLogTransport } from '#event-log/kafka';
import type { ListEntry, Owner, ReadModel, StreamId, StreamRow } from '#read-model';
import { until, type Place } from '../apps/api/test/processes.js';
import { openLog, openReadModel } from '../apps/api/test/stores.js';
import { readPublicEvents } from '../apps/projector/src/public-feed.js';
import type { Letter } from './judged.js';

const ROWS_AT_ONCE = 32;
/** A connection that has died without a word is given up after half a minute. */
const PROJECTED_WITHIN_MS = 120_000;
const OPENED_WITHIN_MS = 30_000;
const OPEN_PAUSE_MS = 500;

/** What is in the logs and in all that is made of them. */
export interface Stored {
  readonly services: readonly LogRecord[];
  readonly control: readonly LogRecord[];
  readonly rows: readonly StreamRow[];
  readonly entries: readonly ListEntry[];
  readonly published: readonly PublicEvent[];
  readonly letters: readonly Letter[];
}

/** Everything that a place holds, read by clients of our own, once the projector has come to the end of the log. */
export async function readStored(place: Place): Promise<Stored> {
  const readModel = await openReadModel(place);
  try {
    await projected(place, readModel);
    const services = await readLog(place, 'services');
    const control = await readLog(place, 'control');
    const { ids, entries } = await scan(place);
    const rows: StreamRow[] = [];
    for (let from = 0; from < ids.length; from += ROWS_AT_ONCE) {
      const some = await Promise.all(ids.slice(from, from + ROWS_AT_ONCE).map((id) => readModel.find(id)));
      rows.push(...some.filter((row) => row !== undefined));
    }
    const [published, letters] = await Promise.all([readPublic(place), readLetters(place)]);
    return { services, control, rows, entries, published, letters };
  } finally {
    await readModel.close();
  }
}

/** Resolves when every partition's checkpoint is at its end. */
async function projected(place: Place, readModel: ReadModel): Promise<void> {
  const log = await openSoon(place, 'services');
  try {
    let told = '';
    const isDone = async (): Promise<boolean> => {
      const [ends, checkpoints] = [await log.ends(), await readModel.checkpoints()];
      told = JSON.stringify({ ends, checkpoints });
      return ends.every((end, number) => (checkpoints.find(({ partition }) => partition === number)?.next ?? 0) >= end);
    };
    await until('the projector is at the end of the log', isDone, PROJECTED_WITHIN_MS).catch((cause: unknown) => {
      throw new Error(`the projector did not come to the end of the log: ${told}`, { cause });
    });
  } finally {
    await log.close();
  }
}

/** The log up to its end of now. */
async function readLog(place: Place, name: 'services' | 'control'): Promise<readonly LogRecord[]> {
  const log = await openSoon(place, name);
  try {
    const ends = await log.ends();
    const records: LogRecord[] = [];
    const missing = new Set(ends.flatMap((end, partition) => (end > 0 ? [partition] : [])));
    await new Promise<void>((resolve, reject) => {
      const take = (some: readonly LogRecord[]): void => {
        for (const record of some) {
          const end = ends[record.partition]!;
          if (record.offset < end) records.push(record);
          if (record.offset >= end - 1) missing.delete(record.partition);
        }
        if (missing.size === 0) resolve();
      };
      take([]);
      follow(log, take, reject).catch(reject);
    });
    return records;
  } finally {
    await log.close();
  }
}

/** What others are told: the public topic, or what the embedded engine makes of its log for them. */
async function readPublic(place: Place): Promise<readonly PublicEvent[]> {
  if (place.engine === 'distributed') {
    const messages = await readTopic(place, 'events');
    return messages.map(({ partition, key, value, headers = {} }) => {
      const header = (name: string): string => String(headers[name]);
      return {
        id: header('ce_id'),
        type: header('ce_type'),
        subject: header('ce_subject'),
        sequence: Number(header('ce_sequence')),
        time: header('ce_time'),
        partition,
        key: String(key),
        data: JSON.parse(String(value)) as PublicEvent['data'],
      };
    });
  }
  const log = await EmbeddedLogReader.open({ directory: place.directory });
  try {
    const published: PublicEvent[] = [];
    await readPublicEvents(log, (event) => published.push(event), false);
    return published;
  } finally {
    await log.close();
  }
}

async function readLetters(place: Place): Promise<readonly Letter[]> {
  if (place.engine === 'distributed') {
    const messages = await readTopic(place, 'dead-letters');
    return messages.map(({ value, headers = {} }) => ({
      reason: String(headers['cs-reason']),
      record: JSON.parse(String(value)) as Letter['record'],
    }));
  }
  const lines = readFileSync(path.join(place.directory, 'dead-letters.ndjson'), 'utf8').split('\n');
  return lines.flatMap((line) => {
    try {
      return line === '' ? [] : [JSON.parse(line) as Letter];
    } catch {
      return []; // a crash has cut it off: the projector has written it again
    }
  });
}

/** All of a topic up to its end of now, of each partition in its order. */
async function readTopic(
  { topicPrefix, env }: Place,
  name: 'events' | 'dead-letters',
): Promise<readonly (KafkaMessage & { readonly partition: number })[]> {
  const topic = `${topicPrefix}.${name}`;
  const kafka = new Kafka({ brokers: [env['CS_KAFKA_BROKERS']!], logLevel: logLevel.NOTHING });
  const [admin, consumer] = [kafka.admin(), kafka.consumer({ groupId: `${topic}.${randomUUID()}` })];
  await admin.connect();
  const offsets = await admin.fetchTopicOffsets(topic);
  await admin.disconnect();
  const ends = new Map(
    offsets.flatMap(({ partition, low, high }) =>
      Number(low) < Number(high) ? [[partition, Number(high)] as const] : [],
    ),
  );
  const messages: (KafkaMessage & { readonly partition: number })[] = [];
  if (ends.size === 0) return messages;
  const missing = new Set(ends.keys());
  await consumer.connect();
  try {
    await consumer.subscribe({ topic, fromBeginning: true });
    await new Promise<void>((resolve, reject) => {
      consumer.on(consumer.events.CRASH, ({ payload }) => reject(payload.error));
      const eachMessage = async ({ partition, message }: { partition: number; message: KafkaMessage }) => {
        const end = ends.get(partition) ?? 0;
        if (Number(message.offset) < end) messages.push({ ...message, partition });
        if (Number(message.offset) >= end - 1) missing.delete(partition);
        if (missing.size === 0) resolve();
      };
      consumer.run({ autoCommit: false, eachMessage }).catch(reject);
    });
    return messages;
  } finally {
    await consumer.disconnect();
  }
}

async function follow(
  log: KafkaLogTransport | EmbeddedLogReader,
  take: (records: readonly LogRecord[]) => void,
  onFatal: (error: Error) => void,
): Promise<void> {
  if (log instanceof KafkaLogTransport) {
    const start = Array.from({ length: log.partitions }, (_, partition) => ({ partition, next: 0, epoch: 0 }));
    await log.follow(start, take, onFatal);
  } else {
    await log.subscribe({
      group: 'evidence',
      checkpoint: async (partition) => ({ partition, next: 0, epoch: 0 }),
      handle: async ({ records }) => take(records),
      onFatal,
    });
  }
}

/** A broker that was killed a moment ago may not know its groups yet. */
async function openSoon(place: Place, name: 'services' | 'control'): Promise<KafkaLogTransport | EmbeddedLogReader> {
  const deadline = performance.now() + OPENED_WITHIN_MS;
  for (;;) {
    try {
      return await openLog(place, name);
    } catch (error) {
      if (performance.now() > deadline) throw error;
      await sleep(OPEN_PAUSE_MS);
    }
  }
}

interface Scanned {
  readonly ids: readonly StreamId[];
  readonly entries: readonly ListEntry[];
}

/** Whatever is in the tables, also what nobody would look for. */
const scan = (place: Place): Promise<Scanned> =>
  place.engine === 'embedded' ? scanEmbedded(place) : scanCassandra(place);

interface StoredEntry {
  readonly tenant: string;
  readonly owner_kind: Owner['kind'];
  readonly owner: string;
  readonly status: ListEntry['status'];
  readonly started: number | bigint;
  readonly recorded: number | bigint;
  readonly service_id: string;
  readonly service_type: string | null;
}

const entryOf = (row: StoredEntry): ListEntry => ({
  owner: { tenant: row.tenant, kind: row.owner_kind, id: row.owner },
  status: row.status,
  started: Number(row.started),
  recordedAt: Number(row.recorded),
  service_id: row.service_id,
  ...(row.service_type && { service_type: JSON.parse(row.service_type) as string | number }),
});

async function scanCassandra({ env }: Place): Promise<Scanned> {
  const client = new cassandra.Client({
    contactPoints: [env['CS_CASSANDRA_CONTACT_POINTS']!],
    localDataCenter: 'datacenter1',
    keyspace: env['CS_CASSANDRA_KEYSPACE']!,
  });
  try {
    await client.connect();
    const all = async <Row>(statement: string): Promise<Row[]> => {
      const rows: Row[] = [];
      for await (const row of await client.execute(statement, [], { prepare: true })) rows.push(row as unknown as Row);
      return rows;
    };
    const ids = await all<StreamId>('select tenant, stream from streams');
    const entries = await all<StoredEntry>('select * from service_lists');
    return { ids: ids.map(({ tenant, stream }) => ({ tenant, stream })), entries: entries.map(entryOf) };
  } finally {
    await client.shutdown();
  }
}

async function scanEmbedded({ directory }: Place): Promise<Scanned> {
  const database = new DatabaseSync(path.join(directory, 'views.db'), { readOnly: true });
  try {
    const ids = database.prepare('select cast(tenant as text) tenant, cast(stream as text) stream from streams').all();
    const entries = database
      .prepare(
        `select cast(tenant as text) tenant, owner_kind, cast(owner as text) owner, status, started, recorded,
                cast(service_id as text) service_id, service_type from list_entries`,
      )
      .all();
    return { ids: ids as unknown as StreamId[], entries: (entries as unknown as StoredEntry[]).map(entryOf) };
  } finally {
    database.close();
  }
}
