import { randomUUID } from 'node:crypto';
import { Arbiter, defaultArbiterOptions } from '#event-log';
import {
  describeEventLog,
  type EventLogFixture,
  type Fault,
} from '../libs/event-log/src/testing/event-log.contract.js';
import { Faults, Network, noFaults } from './network.js';
import { Random } from './random.js';
import { Owner, Scheduler, SimulatedClock } from './scheduler.js';
import { SimulatedLog, SimulatedTransport } from './simulated-log.js';
import { playOn } from './testing/play-on.js';

const seed = 1;

/** Messages take their time, nothing goes wrong but what the suite asks for. */
function open(): Promise<EventLogFixture> {
  const random = new Random(seed);
  const scheduler = new Scheduler(random);
  const faults = new Faults(noFaults);
  let sequence = 0;
  const log = new SimulatedLog({
    scheduler,
    random,
    faults,
    network: new Network(random, 1, 0),
    partitions: 3,
    trace: () => undefined,
    nextSequence: () => sequence++,
  });
  const stop = playOn(scheduler);
  return Promise.resolve(fixture(log, stop));
}

function fixture(log: SimulatedLog, stop: () => void): EventLogFixture {
  const { scheduler } = log.parts;
  const misuse = (what: string): void => {
    throw new Error(what);
  };
  const transports = [1, 2, 3].map((n) => new SimulatedTransport(log, new Owner(`process ${n}`), misuse));
  const [one, two, reader] = transports as [SimulatedTransport, SimulatedTransport, SimulatedTransport];
  const arbiter = (transport: SimulatedTransport) =>
    new Arbiter(transport, new SimulatedClock(scheduler, transport.owner, 0), {
      ...defaultArbiterOptions,
      newId: randomUUID,
      onFatal: (error) => misuse(error.message),
    });
  const producers = [arbiter(one), arbiter(two)] as const;
  const closeAll = async (): Promise<void> => {
    await Promise.all([...producers, reader].map((part) => part.close()));
  };
  return {
    producers,
    reader,
    restart: async () => {
      await closeAll();
      return fixture(log, stop);
    },
    cause: (fault: Fault) => one.causeOnce(fault === 'duplicate' ? 'twice' : 'answer-lost'),
    close: async () => {
      await closeAll();
      stop();
    },
  };
}

describeEventLog('SimulatedTransport', open, ['lost-acknowledgement', 'duplicate']);
