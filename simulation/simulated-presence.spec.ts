import { describePresence, type PresenceFixture } from '../libs/event-log/src/testing/presence.contract.js';
import { Faults, Network, noFaults } from './network.js';
import { Random } from './random.js';
import { Owner, Scheduler } from './scheduler.js';
import { SimulatedLeases, SimulatedPresence } from './simulated-presence.js';
import { playOn } from './testing/play-on.js';

/** Virtual: a question and its answer take a few ms. */
const shortLeaseMs = 200;

/** Messages take their time, nothing goes wrong. */
function open(): Promise<PresenceFixture> {
  const random = new Random(1);
  const scheduler = new Scheduler(random);
  const leases = new SimulatedLeases({
    scheduler,
    random,
    network: new Network(random, 1, 0),
    faults: new Faults(noFaults),
    trace: () => undefined,
  });
  const stop = playOn(scheduler);
  const monotonic = (): number => scheduler.now;
  let processes = 0;
  return Promise.resolve({
    open: () => Promise.resolve(new SimulatedPresence(leases, new Owner(`process ${++processes}`), monotonic)),
    monotonic,
    close: () => Promise.resolve(stop()),
  });
}

describePresence('SimulatedPresence', open, { processes: 'several', shortLeaseMs });
