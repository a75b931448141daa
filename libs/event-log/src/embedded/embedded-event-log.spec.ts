import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { LogReader } from '../event-log.js';
import { RefusedStart } from '../refused-start.js';
import { describeEventLog, type EventLogFixture } from '../testing/event-log.contract.js';
import { EmbeddedEventLog } from './embedded-event-log.js';
import { EmbeddedLogReader } from './embedded-log-reader.js';

const PARTITIONS = 3;

type OpenReader = (directory: string, log: EmbeddedEventLog) => Promise<LogReader>;

async function openFixture(
  directory: string,
  openReader: OpenReader,
  partitions = PARTITIONS,
): Promise<EventLogFixture> {
  const log = await EmbeddedEventLog.open({ directory, partitions });
  const reader = await openReader(directory, log);
  const close = async (): Promise<void> => {
    await reader.close();
    await log.close();
  };
  return {
    producers: [log, log],
    reader,
    restart: async () => {
      await close();
      return openFixture(directory, openReader, partitions);
    },
    close: async () => {
      await close();
      await rm(directory, { recursive: true });
    },
  };
}

const newFolder = (): Promise<string> => mkdtemp(join(tmpdir(), 'event-log-'));

describeEventLog('EmbeddedEventLog', async () =>
  openFixture(await newFolder(), (directory) => EmbeddedLogReader.open({ directory })),
);
describeEventLog('EmbeddedEventLog as its own reader', async () =>
  openFixture(await newFolder(), async (_, log) => log),
);
describeEventLog('EmbeddedEventLog of one partition', async () =>
  openFixture(await newFolder(), (directory) => EmbeddedLogReader.open({ directory }), 1),
);

describe('a log in a folder below that of another', () => {
  let directory = '';
  const opened: { close(): Promise<void> }[] = [];

  const open = async (folder: string, partitions: number): Promise<EmbeddedEventLog> => {
    const log = await EmbeddedEventLog.open({ directory: folder, partitions });
    opened.push(log);
    return log;
  };

  beforeEach(async () => {
    directory = await newFolder();
  });

  afterEach(async () => {
    for (const log of opened.splice(0)) await log.close();
    await rm(directory, { recursive: true });
  });

  it('is a log of its own: name, epochs and lock', async () => {
    const below = join(directory, 'control');
    const [services, control] = await Promise.all([open(directory, PARTITIONS), open(below, 1)]);
    await Promise.all([services, control].map((log) => log.follow([], () => undefined)));
    expect([services.partitions, control.partitions]).toEqual([PARTITIONS, 1]);
    expect(control.logId(0)).not.toBe(services.logId(0));
    await control.fence(0, 1);
    expect([services.tail(0).epoch, control.tail(0).epoch]).toEqual([0, 1]);

    await expect(open(directory, PARTITIONS)).rejects.toBeInstanceOf(RefusedStart);
    await expect(open(below, 1)).rejects.toBeInstanceOf(RefusedStart);
    await services.close();
    await open(directory, PARTITIONS);
    await expect(open(below, 1)).rejects.toBeInstanceOf(RefusedStart);
  });
});
