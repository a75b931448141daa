import { every, wait, type Fault } from './injections.js';

/** Bytes a second of a slow connection: a batch takes a while, a heartbeat does not. */
const [SLOWEST, FASTEST] = [2_000, 40_000];

/** Between Kafka, or Cassandra, and the processes behind the proxy. */
export const network = (to: 'kafka' | 'cassandra'): Fault =>
  every([100, 700], `network to ${to}`, async (world, random, stop) => {
    const { kafka, cassandra } = world.proxies!;
    const proxy = to === 'kafka' ? kafka : cassandra;
    const kind = random.weighted({
      answer: 6,
      request: to === 'kafka' ? 3 : 0,
      delay: 2,
      throttle: 2,
      cut: 2,
      'half-open requests': 1,
      'half-open answers': 1,
      silence: 1,
      unplug: 1,
    });
    world.count(`network to ${to}: ${kind}`);
    const topic = `${world.place.topicPrefix}.services`;
    const isLost = { kafka: () => kafka.loseNextProduceAnswer(topic), cassandra: () => cassandra.loseNextAnswer() };
    if (kind === 'answer') await Promise.race([isLost[to](), wait(1_000, stop)]);
    if (kind === 'request') await Promise.race([kafka.loseNextProduceRequest(topic), wait(1_000, stop)]);
    if (kind === 'delay') proxy.delay(random.between(20, 400));
    if (kind === 'throttle') proxy.throttle(random.between(SLOWEST, FASTEST));
    if (kind === 'cut') proxy.cut();
    if (kind === 'half-open requests') proxy.halfOpen('requests');
    if (kind === 'half-open answers') proxy.halfOpen('answers');
    if (kind === 'silence') proxy.silence();
    if (kind === 'unplug') proxy.unplug();
    await wait(random.between(200, 1_500), stop);
    proxy.heal();
  });

/** The driver of Cassandra waits its time for an answer, though the connection is gone. */
const TOLD_WITHIN_MS = 40_000;
const POLL_MS = 50;

/** Kafka or Cassandra cannot be reached when a process starts: it says so, tries again, and is ready when they can be. */
export const unreachableAtStart: Fault = every([200, 600], 'unreachable at start', async (world, random, stop) => {
  const what = random.pick(['kafka', 'cassandra'] as const);
  const proxy = world.proxies![what];
  // The first ones are behind the proxy.
  const server = random.pick([world.apis[0]!, world.projectors[0]!]);
  await server.end('SIGKILL');
  proxy.unplug();
  try {
    await server.start();
    const deadline = performance.now() + TOLD_WITHIN_MS;
    const isTold = (): boolean => server.output.includes('will try again');
    while (!isTold() && performance.now() < deadline && (await wait(POLL_MS, stop)));
    if (stop.aborted) return;
    const health = await fetch(`${server.origin}/health/ready`).catch(() => undefined);
    const isRight = isTold() && health?.status === 503 && !server.hasEnded;
    if (isRight) world.count(`unreachable at start: ${what}, ${server.kind}`);
    else
      world.complaints.push(
        `${server.name} without ${what}: health is answered ${health?.status}, it says ${server.output || 'nothing'}`,
      );
    await wait(random.between(0, 1_000), stop);
  } finally {
    proxy.heal();
    await server.ready().catch(({ message }: Error) => world.complaints.push(message));
  }
});
