import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { LogReader } from '../event-log.js';
import { describeEventLog, type EventLogFixture } from '../testing/event-log.contract.js';
import { EmbeddedEventLog } from './embedded-event-log.js';
import { EmbeddedLogReader } from './embedded-log-reader.js';

const PARTITIONS = 3;

type OpenReader = (directory: string, log: EmbeddedEventLog) => Promise<LogReader>;

async function openFixture(directory: string, openReader: OpenReader): Promise<EventLogFixture> {
  const log = await EmbeddedEventLog.open({ directory, partitions: PARTITIONS });
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
      return openFixture(directory, openReader);
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
