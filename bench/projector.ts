import cassandra from 'cassandra-driver';
import { evolve, unstarted, type Service } from '#domain';
import { open, streamKey, type NewRecord } from '#events';
import { leave, Program } from '../apps/api/test/processes.js';
import type { Brokers } from './brokers.js';
import { fill, History } from './history.js';
import { newBenchPlace, PARTITIONS, untilProjected } from './system.js';

export interface ProjectorOptions {
  readonly brokers: Brokers | undefined;
  /** Whole conversations in the log; 32 events each. */
  readonly conversations: number;
  readonly rounds: number;
  readonly onProgress: (what: string) => void;
  readonly stop: AbortSignal;
}

export interface ProjectorRound {
  readonly events: number;
  /** A projector that was just started, from an empty read model to the end of the log. */
  readonly eventsPerSecond: number;
  /** The rows of the same events, with the driver alone, many at a time. Distributed only. */
  readonly bareWritesPerSecond?: number;
}

const CUSTOMERS = 1_000;
/** Conversations that are under way at the same time, so that the events of a service are not all in one batch. */
const INTERLEAVED = 200;

/** Events from a full log into empty tables. */
export async function projector(options: ProjectorOptions): Promise<readonly ProjectorRound[]> {
  const rounds: ProjectorRound[] = [];
  for (let round = 1; round <= options.rounds && !options.stop.aborted; round++) {
    const measured = await playRound(options);
    rounds.push(measured);
    options.onProgress(`round ${round}: ${JSON.stringify(measured)}`);
  }
  return rounds;
}

async function playRound({ brokers, conversations, onProgress }: ProjectorOptions): Promise<ProjectorRound> {
  const place = newBenchPlace(brokers);
  try {
    const records = [...interleaved(conversations)];
    onProgress(`${records.length} events come into the log`);
    await fill(place, records);
    onProgress('the projector works');
    const began = performance.now();
    const program = await Program.start('projector', place);
    try {
      const firstMs = await untilProjected(place, 1, program);
      const lastMs = await untilProjected(place, undefined, program);
      const eventsPerSecond = Math.round((1_000 * records.length) / (lastMs - firstMs));
      onProgress(`first rows after ${Math.round(firstMs - began)} ms`);
      const bare = brokers && (await bareWrites(brokers, records));
      return { events: records.length, eventsPerSecond, ...(bare !== undefined && { bareWritesPerSecond: bare }) };
    } finally {
      await program.end('SIGTERM');
    }
  } finally {
    leave(place);
  }
}

function* interleaved(conversations: number): Generator<NewRecord> {
  const history = new History(PARTITIONS);
  let next = 0;
  const begin = (): Generator<NewRecord> => history.conversation(`customer-${next++ % CUSTOMERS}`);
  const underWay = Array.from({ length: Math.min(INTERLEAVED, conversations) }, begin);
  while (underWay.length > 0) {
    for (let at = 0; at < underWay.length; at++) {
      const record = underWay[at]!.next();
      if (!record.done) yield record.value;
      else if (next < conversations) underWay[at] = begin();
      else underWay.splice(at--, 1);
    }
  }
}

const AT_ONCE = 64;

/** The row of each event, as the projector writes it, and nothing else. */
async function bareWrites({ addresses }: Brokers, records: readonly NewRecord[]): Promise<number> {
  const rows = folded(records);
  const keyspace = `floor_${Date.now()}`;
  const options = { contactPoints: [addresses.cassandra], localDataCenter: 'datacenter1' };
  const client = new cassandra.Client({ ...options, pooling: { warmup: true } });
  try {
    await client.connect();
    await client.execute(
      `create keyspace ${keyspace} with replication = {'class': 'NetworkTopologyStrategy', 'datacenter1': 1}`,
    );
    await client.execute(
      `create table ${keyspace}.streams (tenant text, stream text, version bigint, folded text, primary key ((tenant, stream)))`,
    );
    const insert = `insert into ${keyspace}.streams (tenant, stream, version, folded) values (?, ?, ?, ?) using timestamp ?`;
    const began = performance.now();
    let next = 0;
    const write = async (): Promise<void> => {
      while (next < rows.length) {
        const number = next++;
        await client.execute(insert, [...rows[number]!, number], {
          prepare: true,
          consistency: cassandra.types.consistencies.localQuorum,
        });
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, write));
    return Math.round((1_000 * rows.length) / (performance.now() - began));
  } finally {
    await client.shutdown();
  }
}

function folded(records: readonly NewRecord[]): readonly (readonly [string, string, number, string])[] {
  const services = new Map<string, Service>();
  return records.map((record) => {
    const recorded = { ...record, kind: 'event' as const, offset: 0, recordedAt: Date.now() };
    const key = streamKey(record);
    const { event } = open(recorded);
    if (event.type === 'ServiceClaimed') throw new Error('a claim in a history without claims');
    const service = evolve(services.get(key) ?? unstarted, { event, record: recorded });
    services.set(key, service);
    return [record.tenant, record.stream, record.version, JSON.stringify(service)];
  });
}
