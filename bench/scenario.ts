import { openReadModel } from '../apps/api/test/stores.js';
import { Brokers, type CommitLog } from './brokers.js';
import type { Percentiles } from './latencies.js';
import { closedLoop, openLoop, type Loaded } from './load.js';
import { CpuMeter, residentMib } from './processes.js';
import { System } from './system.js';
import { Visibility } from './visibility.js';

export interface ScenarioOptions {
  readonly engine: 'embedded' | 'distributed';
  readonly commitLog: CommitLog;
  readonly seconds: number;
  /** Callers of the closed loop. */
  readonly callers: number;
  /** Of the open loop. */
  readonly requestsPerSecond: number;
  readonly onProgress: (what: string) => void;
  readonly stop: AbortSignal;
}

/** What one loop over the conversations showed. */
export interface LoopMeasured {
  readonly requestsPerSecond: number;
  readonly errors: Readonly<Record<string, number>>;
  /** ms, by kind of call. */
  readonly latencies: Readonly<Record<string, Percentiles>>;
  /** ms, of all commands together. */
  readonly commands: Percentiles | undefined;
  /** ms, from the acknowledgement of a command to its row. */
  readonly visible: Percentiles | undefined;
  /** Percent of one core, by process. */
  readonly cpu: Readonly<Record<string, number>>;
  /** MiB, by process. */
  readonly memory: Readonly<Record<string, number>>;
}

export interface ScenarioMeasured {
  readonly closed: LoopMeasured;
  readonly open: LoopMeasured;
}

const WARM_UP_SECONDS = 8;

/** Conversations on a server of its own: as many as it can do, and then at a fixed rate. */
export async function scenario(options: ScenarioOptions): Promise<ScenarioMeasured> {
  const { engine, commitLog, seconds, callers, requestsPerSecond, onProgress, stop } = options;
  const brokers = engine === 'distributed' ? await Brokers.start(commitLog) : undefined;
  try {
    const system = await System.start(brokers);
    try {
      const { target } = system;
      onProgress('warming up');
      await closedLoop({ target, callers, seconds: WARM_UP_SECONDS, stop });
      onProgress(`${callers} callers`);
      const closed = await measured(system, (onRecorded) => closedLoop({ target, callers, seconds, stop, onRecorded }));
      onProgress(`${requestsPerSecond} requests/s`);
      const open = await measured(system, (onRecorded) =>
        openLoop({ target, requestsPerSecond, seconds, stop, onRecorded }),
      );
      return { closed, open };
    } finally {
      await system.end();
    }
  } finally {
    await brokers?.end();
  }
}

async function measured(
  system: System,
  load: (onRecorded: (serviceId: string, version: number) => void) => Promise<Loaded>,
): Promise<LoopMeasured> {
  const visibility = new Visibility(await openReadModel(system.place));
  const pids = { ...system.pids, load: process.pid };
  const cpu = new CpuMeter(pids);
  const { seconds, requests, errors, latencies } = await load(visibility.recorded);
  const used = cpu.read();
  await visibility.end();
  const visible = visibility.read();
  return {
    requestsPerSecond: Math.round(requests / seconds),
    errors: { ...Object.fromEntries(errors), ...(visibility.missed > 0 && { 'not visible': visibility.missed }) },
    latencies: latencies.byKind(),
    commands: latencies.of((kind) => kind !== 'get service'),
    visible,
    cpu: used,
    memory: Object.fromEntries(Object.entries(pids).map(([name, pid]) => [name, Math.round(residentMib(pid))])),
  };
}
