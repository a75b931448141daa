import * as faults from './injections.js';
import type { Fault } from './injections.js';
import { poisoned, poisonedWhileDown } from './poison.js';
import { diskFull } from './full-disk.js';
import { caughtAt } from './caught.js';
import { network, unreachableAtStart } from './network.js';
import { clockOffset } from './server.js';
import type { Setup } from './world.js';

export interface Scenario extends Setup {
  readonly name: string;
  readonly about: string;
  /** All of them at the same time. */
  readonly faults: readonly Fault[];
  /** What it takes until its faults have happened once. */
  readonly leastMs?: number;
  /** Where its faults can be made; everywhere unless it says so. */
  readonly platform?: NodeJS.Platform;
}

/** Somebody comes to a point, and is started anew. */
const POINT_MS = 8_000;
/** A process starts, and gives up for the first time: the driver of Cassandra takes twelve seconds. */
const UNREACHABLE_MS = 16_000;
const behindProxy = { apis: 1, projectors: 1 };

const HOUR_MS = 3_600_000;
const plain = {};
const distributed = { engine: 'distributed', apis: [plain, plain], projectors: [plain, plain] } as const;
const embedded = { engine: 'embedded', apis: [plain], projectors: [] } as const;

export const scenarios: readonly Scenario[] = [
  { name: 'calm', about: 'no fault at all: what the others are compared with', ...distributed, faults: [] },
  {
    name: 'projector-killed',
    about: 'projectors die at any moment',
    ...distributed,
    faults: [faults.killed('projectors')],
  },
  {
    name: 'api-killed',
    about: 'apis die at any moment; callers repeat on the other one',
    ...distributed,
    apis: [plain, plain, plain],
    faults: [faults.killed('apis')],
  },
  {
    name: 'paused',
    about: 'apis and projectors hang and go on',
    ...distributed,
    faults: [faults.paused('apis'), faults.paused('projectors')],
  },
  {
    name: 'rebalance',
    about: 'projectors join and leave while another one hangs',
    ...distributed,
    faults: [faults.rebalanced, faults.paused('projectors')],
  },
  {
    name: 'network',
    about: 'answers of Kafka are lost, late or cut off',
    ...distributed,
    behindProxy,
    faults: [network('kafka')],
  },
  {
    name: 'cassandra-network',
    about: 'answers of Cassandra are lost, late or cut off',
    ...distributed,
    behindProxy,
    faults: [network('cassandra')],
  },
  {
    name: 'unreachable',
    about: 'Kafka or Cassandra cannot be reached when a process starts',
    ...distributed,
    behindProxy,
    faults: [unreachableAtStart],
    leastMs: UNREACHABLE_MS,
  },
  {
    name: 'api-points',
    about: 'apis die, or hang, between a request and its answer',
    ...distributed,
    apis: [plain, plain, plain],
    isCatchable: true,
    faults: [caughtAt('api')],
    leastMs: POINT_MS,
  },
  {
    name: 'projector-points',
    about: 'projectors die, or hang, between a record and the checkpoint behind it',
    ...distributed,
    isCatchable: true,
    faults: [caughtAt('projector')],
    leastMs: POINT_MS,
  },
  {
    name: 'switch-points',
    about: 'apis die, or hang, in each step of a mode switch',
    ...distributed,
    apis: [plain, plain, plain],
    isCatchable: true,
    faults: [caughtAt('switch'), faults.switched],
    leastMs: POINT_MS,
  },
  { name: 'kafka-killed', about: 'Kafka dies and comes back', ...distributed, faults: [faults.brokerKilled('kafka')] },
  {
    name: 'cassandra-killed',
    about: 'Cassandra dies and comes back',
    ...distributed,
    faults: [faults.brokerKilled('cassandra')],
  },
  {
    name: 'brokers-killed',
    about: 'Kafka and Cassandra die and come back, at the same time too',
    ...distributed,
    faults: [faults.brokerKilled('kafka'), faults.brokerKilled('cassandra')],
  },
  {
    name: 'mode-switches',
    about: 'the mode is switched to and fro while an api hangs',
    ...distributed,
    apis: [plain, plain, plain],
    faults: [faults.switched, faults.paused('apis')],
  },
  {
    name: 'clocks',
    about: 'processes are an hour early and late',
    engine: 'distributed',
    apis: [clockOffset(HOUR_MS), clockOffset(-HOUR_MS), plain],
    projectors: [clockOffset(-HOUR_MS), clockOffset(HOUR_MS)],
    faults: [],
  },
  { name: 'poison', about: 'records that nobody can read', ...distributed, faults: [poisoned] },
  {
    name: 'embedded-killed',
    about: 'the one process dies with everything in it',
    ...embedded,
    faults: [faults.crashed(false)],
  },
  {
    name: 'embedded-torn',
    about: 'it dies in the middle of a write',
    ...embedded,
    faults: [faults.crashed(true)],
  },
  {
    name: 'embedded-points',
    about: 'it dies, or hangs, before or after a commit, in log, read model or mode switch',
    ...embedded,
    isCatchable: true,
    faults: [caughtAt('api', 'projector', 'switch'), faults.switched],
    leastMs: POINT_MS,
  },
  {
    name: 'embedded-full',
    about: 'nothing can be written any more, for a while',
    ...embedded,
    faults: [diskFull],
    platform: 'linux',
  },
  {
    name: 'embedded-poison',
    about: 'it finds a record that nobody can read when it starts again',
    ...embedded,
    faults: [poisonedWhileDown],
  },
  {
    name: 'everything',
    about: 'kills, pauses, a bad network, rebalances and mode switches at the same time',
    ...distributed,
    apis: [plain, plain, plain],
    behindProxy,
    faults: [
      faults.killed('apis'),
      faults.killed('projectors'),
      faults.paused('apis'),
      network('kafka'),
      network('cassandra'),
      faults.switched,
    ],
  },
];
