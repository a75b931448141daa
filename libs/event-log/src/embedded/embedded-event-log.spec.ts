import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describeEventLog, type EventLogFixture } from '../testing/event-log.contract.js';
import { EmbeddedEventLog } from './embedded-event-log.js';
import { EmbeddedLogReader } from './embedded-log-reader.js';

const PARTITIONS = 3;

async function openFixture(directory: string): Promise<EventLogFixture> {
  const log = await EmbeddedEventLog.open({ directory, partitions: PARTITIONS });
  const reader = await EmbeddedLogReader.open({ directory });
  const close = async (): Promise<void> => {
    await reader.close();
    await log.close();
  };
  return {
    producers: [log, log],
    reader,
    restart: async () => {
      await close();
      return openFixture(directory);
    },
    close: async () => {
      await close();
      await rm(directory, { recursive: true });
    },
  };
}

describeEventLog('EmbeddedEventLog', async () => openFixture(await mkdtemp(join(tmpdir(), 'event-log-'))));
