import { describeReadModel } from '../libs/read-model/src/testing/read-model.contract.js';
import { Faults, Network, noFaults } from './network.js';
import { Random } from './random.js';
import { Scheduler } from './scheduler.js';
import { SimulatedReadModel, SimulatedStore } from './simulated-store.js';
import { playOn } from './testing/play-on.js';

const random = new Random(1);
const scheduler = new Scheduler(random);
const parts = {
  scheduler,
  random,
  network: new Network(random, 1, 0),
  faults: new Faults(noFaults),
  trace: () => undefined,
};
const store = new SimulatedStore();
const stop = playOn(scheduler);
afterAll(stop);

const open = () => Promise.resolve(new SimulatedReadModel(store, parts, 'a process'));
describeReadModel('SimulatedReadModel', { open, openReader: open });
