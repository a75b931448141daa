import { randomUUID } from 'node:crypto';
import { Kafka, logLevel } from 'kafkajs';
import type { NewRecord } from '#events';
import { fenced } from '#event-log';
import { EmbeddedEventLog } from '#event-log/embedded';
import { KafkaLogTransport } from '#event-log/kafka';
import { partitionOf } from '../apps/api/src/services/ids.js';
import type { Random } from '../simulation/random.js';
import { every, type Fault } from './injections.js';
import type { World } from './world.js';

const A_HOLE = 1_000;
const EPOCHS_AHEAD = 5;

type Poison = Pick<NewRecord, 'type' | 'value'> & { readonly version?: number; readonly epochsAhead?: number };

/** Decodable in their type and schema version, and yet nobody can fold them. They count. */
const unfoldable: readonly Poison[] = [
  { type: 'ServiceEnded', value: 'not JSON' },
  { type: 'ServiceEnded', value: '{}' },
  { type: 'ServiceEnded', value: '[]' },
  // What belongs into the stream of a claim makes the projection of a service throw.
  {
    type: 'ServiceClaimed',
    value: JSON.stringify({
      service_id: 'x',
      start: { service_id: 'x', timestamp: '2026-01-01T00:00:00.000Z' },
      lifetime: { ttl: 60 },
    }),
  },
];

/** No program of the protocol writes them where they stand. */
const impossible: readonly Poison[] = [
  { type: 'ServiceDeleted', value: '{}', version: A_HOLE },
  { type: 'ServiceDeleted', value: '{}', epochsAhead: EPOCHS_AHEAD },
];

/** A service of its own, that callers learn of when it is poisoned. */
async function victim(world: World, random: Random): Promise<string | undefined> {
  const { answer } = await world.client.ask(random.pick(world.apis), { kind: 'start', contact_key: 'poison' });
  return ((answer?.body ?? {}) as { readonly service_id?: string }).service_id;
}

function recordOf(
  world: World,
  stream: string,
  { type, value, version = 2, epochsAhead = 0 }: Poison,
  epochs: readonly number[],
): NewRecord {
  const partition = partitionOf(stream, world.place.partitions);
  const correlationId = `poison-${randomUUID()}`;
  world.planted.add(correlationId);
  world.poisoned.add(stream);
  return {
    type,
    schemaVersion: 1,
    value,
    tenant: '1',
    stream,
    version,
    partition,
    epoch: epochs[partition]! + epochsAhead,
    eventId: randomUUID(),
    correlationId,
  };
}

/** Records past the protocol: not ours, undecodable, of a stream's wrong kind, with a hole before them, of no epoch. */
export const poisoned: Fault = async (world, random, stop) => {
  const { topicPrefix, partitions, env } = world.place;
  const brokers = [env['CS_KAFKA_BROKERS']!];
  const producer = new Kafka({ brokers, logLevel: logLevel.NOTHING }).producer();
  const log = await KafkaLogTransport.connect({ brokers, topicPrefix, partitions });
  await producer.connect();
  try {
    const epochs = Array.from({ length: partitions }, () => 0);
    await log.follow(
      epochs.map((epoch, partition) => ({ partition, next: 0, epoch })),
      (records) => {
        for (const record of records)
          if (record.kind === 'fence') epochs[record.partition] = fenced(epochs[record.partition]!, record.epoch);
      },
      () => undefined,
    );
    await every([200, 900], 'poison', async () => {
      const partition = random.below(partitions);
      await producer.send({ topic: `${topicPrefix}.services`, messages: [{ partition, value: 'not ours' }] });
      const stream = await victim(world, random);
      if (stream === undefined) return;
      const poison = random.pick([...unfoldable, ...impossible]);
      await log.append([{ kind: 'event', ...recordOf(world, stream, poison, epochs) }]);
      world.conversations.add(stream);
    })(world, random, stop);
  } finally {
    await Promise.all([log.close(), producer.disconnect()]);
  }
};

/** The embedded log is written by one process alone: while that is dead, a record that nobody can fold gets into it. */
export const poisonedWhileDown: Fault = every([500, 2_500], 'kill -9 and poison', async (world, random) => {
  const [server] = world.apis as [World['apis'][number]];
  const stream = await victim(world, random);
  await server.end('SIGKILL');
  if (stream !== undefined) {
    const { directory, partitions } = world.place;
    const log = await EmbeddedEventLog.open({ directory, partitions });
    await log.follow([], () => undefined);
    const epochs = Array.from({ length: partitions }, (_, partition) => log.tail(partition).epoch);
    await log.append(recordOf(world, stream, random.pick(unfoldable), epochs), { version: 1 });
    await log.close();
    world.conversations.add(stream);
  }
  await server.start();
  if (random.chance(0.7)) await server.ready();
});
