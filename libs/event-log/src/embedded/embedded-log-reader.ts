import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { SystemClock, type Clock } from '../clock.js';
import { LogReader, LogUnavailable, type Subscriber, type Subscription } from '../event-log.js';
import { RefusedStart } from '../refused-start.js';
import { Feed } from './feed.js';
import { DamagedLog, LogFile } from './log-file.js';
import { isPassing, sqliteCode } from './sqlite.js';
import { LOG_FILE } from './verify.js';

/** Who commits says so with `wake`; looking by itself is for commits of which nobody told. */
const LOOK_INTERVAL_MS = 20;
const OPEN_INTERVAL_MS = 50;

/** The code of "no such table": the writer has made the file and not yet what is in it. */
const SQLITE_ERROR = 1;

/** Reads the embedded log in a process or thread of its own, without ever changing it. */
export class EmbeddedLogReader extends LogReader {
  private readonly feeds = new Set<Feed>();
  private readonly logIds: readonly string[];
  private stopLooking: () => void = () => undefined;
  private seenVersion = 0;
  private isClosed = false;

  private constructor(
    private readonly file: LogFile,
    private readonly clock: Clock,
  ) {
    super();
    this.logIds = Array.from({ length: file.partitions }, (_, partition) => file.logId(partition));
    this.look();
  }

  /** Waits for as long as there is no log in the folder. Throws {@link RefusedStart} when it cannot be read at all. */
  static async open({
    directory,
    clock = new SystemClock(),
  }: {
    directory: string;
    clock?: Clock;
  }): Promise<EmbeddedLogReader> {
    const path = join(directory, LOG_FILE);
    for (;;) {
      const file = existsSync(path) ? await openUnlessTooEarly(path) : undefined;
      if (file !== undefined) return new EmbeddedLogReader(file, clock);
      await clock.sleep(OPEN_INTERVAL_MS);
    }
  }

  override get partitions(): number {
    return this.file.partitions;
  }

  override logId(partition: number): string {
    return this.logIds[partition]!;
  }

  override async subscribe(subscriber: Subscriber): Promise<Subscription> {
    const feed = new Feed(this.file, subscriber, this.clock);
    this.feeds.add(feed);
    return {
      close: async () => {
        await feed.close();
        this.feeds.delete(feed);
      },
    };
  }

  /** Something was committed: look now. */
  wake(): void {
    for (const feed of this.feeds) feed.wake();
  }

  override async ends(): Promise<readonly number[]> {
    try {
      return this.logIds.map((_, partition) => this.file.end(partition));
    } catch (cause) {
      throw new LogUnavailable('the log cannot be read', { cause });
    }
  }

  override async close(): Promise<void> {
    if (this.isClosed) return;
    this.isClosed = true;
    this.stopLooking();
    await Promise.all([...this.feeds].map((feed) => feed.close()));
    this.file.close();
  }

  private look(): void {
    this.stopLooking = this.clock.after(LOOK_INTERVAL_MS, () => {
      const version = this.file.dataVersion();
      if (version !== this.seenVersion) this.wake();
      this.seenVersion = version;
      this.look();
    });
  }
}

async function openUnlessTooEarly(path: string): Promise<LogFile | undefined> {
  try {
    return await LogFile.openToRead(path);
  } catch (error) {
    if (isPassing(error) || sqliteCode(error) === SQLITE_ERROR) return undefined;
    if (error instanceof DamagedLog || sqliteCode(error) !== undefined) {
      throw new RefusedStart(`the log in ${path} cannot be read: ${String(error)}`, { cause: error });
    }
    throw error;
  }
}
