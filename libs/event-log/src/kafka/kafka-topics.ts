import './record-encoding.js'; // before kafkajs
import kafkajs, { type Admin } from 'kafkajs';
import { setTimeout as sleep } from 'node:timers/promises';
import { RefusedStart } from '../refused-start.js';

/** The largest record, bytes: a body of 1 MiB (the API's limit) with room for what is folded from several. */
export const MAX_RECORD_BYTES = 4 * 1024 * 1024;

const PRESENCE_SEGMENT_MS = 10 * 60 * 1000;

const NEW_TOPIC_POLL_MS = 50;
const NEW_TOPIC_POLLS = 200;

export interface TopicOptions {
  readonly topicPrefix: string;
  /** Of the logs that are partitioned by stream. */
  readonly partitions: number;
  readonly replicationFactor: number;
  /** For how long the public topic keeps its records, when it is created, ms. */
  readonly publicRetentionMs: number;
}

export const topicNames = (prefix: string) => ({
  services: `${prefix}.services`,
  control: `${prefix}.control`,
  presence: `${prefix}.presence`,
  deadLetters: `${prefix}.dead-letters`,
  events: `${prefix}.events`,
});

interface Setting {
  readonly name: string;
  /** What a new topic gets. */
  readonly value: string;
  /** What an existing one may have instead; by default nothing else. */
  readonly accepts?: (found: string) => boolean;
  readonly because: string;
}

interface TopicPlan {
  readonly topic: string;
  readonly partitions: number;
  readonly settings: readonly Setting[];
}

const keptForEver: readonly Setting[] = [
  { name: 'cleanup.policy', value: 'delete', because: 'compaction removes events' },
  { name: 'retention.ms', value: '-1', because: 'events are kept for ever' },
  { name: 'retention.bytes', value: '-1', because: 'events are kept for ever' },
];

/** Expiry, leases and the order of times are judged by the broker's clock, never by that of a process. */
const timedByTheBroker: Setting = {
  name: 'message.timestamp.type',
  value: 'LogAppendTime',
  because: 'recorded time is the time of the append',
};

const ofEveryTopic = (replication: number): readonly Setting[] => [
  {
    name: 'max.message.bytes',
    value: String(MAX_RECORD_BYTES),
    accepts: (found) => Number(found) >= MAX_RECORD_BYTES,
    because: 'larger events could not be recorded',
  },
  {
    name: 'unclean.leader.election.enable',
    value: 'false',
    because: 'a replica that lags behind would lose acknowledged events',
  },
  ...(replication > 1
    ? [
        {
          name: 'min.insync.replicas',
          value: '2',
          accepts: (found: string) => Number(found) >= 2,
          because: 'an event on one replica alone is lost with it',
        },
      ]
    : []),
];

function plans({ topicPrefix, partitions, publicRetentionMs }: TopicOptions): readonly TopicPlan[] {
  const names = topicNames(topicPrefix);
  return [
    { topic: names.services, partitions, settings: [...keptForEver, timedByTheBroker] },
    { topic: names.control, partitions: 1, settings: [...keptForEver, timedByTheBroker] },
    {
      topic: names.presence,
      partitions: 1,
      settings: [
        { name: 'cleanup.policy', value: 'compact', because: 'only the last lease of a process counts' },
        timedByTheBroker,
        {
          name: 'segment.ms',
          value: String(PRESENCE_SEGMENT_MS),
          accepts: () => true,
          because: 'the newest segment is not compacted, and each start reads all of it',
        },
      ],
    },
    { topic: names.deadLetters, partitions, settings: keptForEver },
    {
      topic: names.events,
      partitions,
      settings: [
        { name: 'retention.ms', value: String(publicRetentionMs), accepts: () => true, because: 'it is an option' },
      ],
    },
  ];
}

/**
 * Creates what is missing and checks what is there. Two processes may do it at once. Throws {@link RefusedStart} when a
 * topic would lose data, or is not the one that ids and checkpoints speak of.
 */
export async function prepareTopics(admin: Admin, options: TopicOptions): Promise<void> {
  const planned = plans(options);
  const existing = new Set(await admin.listTopics());
  const missing = planned.filter(({ topic }) => !existing.has(topic));
  if (missing.length > 0) {
    const { replicationFactor } = options;
    await admin.createTopics({
      waitForLeaders: false,
      topics: missing.map(({ topic, partitions, settings }) => ({
        topic,
        numPartitions: partitions,
        replicationFactor,
        configEntries: [...settings, ...ofEveryTopic(replicationFactor)].map(({ name, value }) => ({ name, value })),
      })),
    });
  }
  await untilLed(admin, planned);
  await check(admin, planned, options.replicationFactor);
}

/** A topic that was created a moment ago, here or by another process, is not known everywhere, and has no leaders. */
async function untilLed(admin: Admin, planned: readonly TopicPlan[]): Promise<void> {
  for (let polls = 0; ; polls += 1) {
    try {
      const { topics } = await admin.fetchTopicMetadata({ topics: planned.map(({ topic }) => topic) });
      if (topics.every(({ partitions }) => partitions.length > 0 && partitions.every(({ leader }) => leader >= 0)))
        return;
    } catch (error) {
      if (polls >= NEW_TOPIC_POLLS) throw error;
    }
    if (polls >= NEW_TOPIC_POLLS) throw new Error('some partitions have no leader');
    await sleep(NEW_TOPIC_POLL_MS);
  }
}

async function check(admin: Admin, planned: readonly TopicPlan[], replicationFactor: number): Promise<void> {
  const topics = planned.map(({ topic }) => topic);
  const [metadata, configs] = await Promise.all([
    admin.fetchTopicMetadata({ topics }),
    admin.describeConfigs({
      includeSynonyms: false,
      resources: topics.map((name) => ({ type: kafkajs.ConfigResourceTypes.TOPIC, name })),
    }),
  ]);
  const problems = planned.flatMap(({ topic, partitions, settings }) => {
    const found = metadata.topics.find(({ name }) => name === topic)?.partitions ?? [];
    const replicas = Math.min(...found.map((partition) => partition.replicas.length));
    const entries = configs.resources.find(({ resourceName }) => resourceName === topic)?.configEntries ?? [];
    const values = new Map(entries.map(({ configName, configValue }) => [configName, configValue]));
    return [
      found.length !== partitions &&
        `topic ${topic}: it has ${found.length} partitions, ${partitions} are configured: ids would not find their partition; ` +
          'configure as many as the log was begun with',
      replicas < replicationFactor &&
        `topic ${topic}: its replication factor is ${replicas}, at least ${replicationFactor} is configured`,
      ...[...settings, ...ofEveryTopic(replicas)].map(({ name, value, accepts, because }) => {
        const is = values.get(name);
        if (is !== undefined && (is === value || accepts?.(is))) return false;
        const needed = accepts ? `at least ${value}` : value;
        return `topic ${topic}: ${name} is ${is ?? 'unknown'}, needed is ${needed}: ${because}`;
      }),
    ].filter((problem) => problem !== false);
  });
  if (problems.length > 0) throw new RefusedStart(problems.join('; '));
}
