import * as faults from './injections.js';
import type { Fault } from './injections.js';
import { poisoned, poisonedWhileDown } from './poison.js';
import { clockOffset } from './server.js';
import type { Setup } from './world.js';

export interface Scenario extends Setup {
  readonly name: string;
  readonly about: string;
  /** All of them at the same time. */
  readonly faults: readonly Fault[];
}

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
    behindProxy: { apis: 1, projectors: 1 },
    faults: [faults.network],
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
    behindProxy: { apis: 1, projectors: 1 },
    faults: [
      faults.killed('apis'),
      faults.killed('projectors'),
      faults.paused('apis'),
      faults.network,
      faults.switched,
    ],
  },
];
