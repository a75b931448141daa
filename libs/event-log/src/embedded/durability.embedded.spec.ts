import { execFileSync, spawn } from 'node:child_process';
import { randomInt, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { unwritten, type NewRecord } from '#events';
import { Clock } from '../clock.js';
import type { LogRecord } from '../log-record.js';
import { DamagedLog, EmbeddedEventLog, EmbeddedLogReader, verify } from './index.js';

const PARTITIONS = 3;
const TIMEOUT_MS = 60_000;

const folders: string[] = [];
const newFolder = (): string => {
  const folder = mkdtempSync(join(tmpdir(), 'event-log-'));
  folders.push(folder);
  return folder;
};
const opened = new Set<EmbeddedEventLog>();
const openLog = async (directory: string, more: Partial<Parameters<typeof EmbeddedEventLog.open>[0]> = {}) => {
  const log = await EmbeddedEventLog.open({ directory, partitions: PARTITIONS, ...more });
  opened.add(log);
  return log;
};

afterEach(async () => {
  await Promise.all([...opened].map((log) => log.close()));
  opened.clear();
});
afterAll(() => folders.forEach((folder) => rmSync(folder, { recursive: true, force: true })));

const event = (partition: number, more: Partial<NewRecord> = {}): NewRecord => ({
  eventId: randomUUID(),
  type: 'ServiceStarted',
  schemaVersion: 1,
  tenant: '1',
  stream: `${partition}-${randomUUID()}`,
  partition,
  version: 1,
  epoch: 0,
  correlationId: randomUUID(),
  value: '{"service_id":"a service"}',
  ...more,
});

/** Reads everything there is, in order. */
async function readAll(log: EmbeddedEventLog): Promise<readonly LogRecord[]> {
  const records: LogRecord[] = [];
  await log.follow([], (record) => records.push(record));
  return records;
}
const eventIds = (records: readonly LogRecord[]): ReadonlySet<string> =>
  new Set(records.flatMap((record) => (record.kind === 'event' ? [record.eventId] : [])));

const nothing = (): void => undefined;
const refusal = { code: 'refused-start' };

/**
 * A copy of the folder as a crash at this moment would leave it. Made by a process of its own: closing a file of the
 * log in this one would drop SQLite's locks on it.
 */
function crashImage(directory: string): string {
  const image = newFolder();
  execFileSync('cp', ['-r', `${directory}/.`, image]);
  rmSync(join(image, 'log.db-shm'), { force: true });
  return image;
}

const flip = (path: string, at: number, by: number): void => {
  const bytes = readFileSync(path);
  bytes[at]! ^= by;
  writeFileSync(path, bytes);
};

const seed = Number(process.env['CS_TEST_SEED'] ?? randomInt(2 ** 31));
let random: () => number;

beforeAll(() => {
  process.stdout.write(`durability of the embedded log: CS_TEST_SEED=${seed}\n`);
});
beforeEach(() => {
  let state = seed;
  random = () => {
    // mulberry32
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
});
const below = (limit: number): number => Math.floor(random() * limit);

describe('the one writer', () => {
  it('is refused a folder that another one writes, and gets it once that one has ended', async () => {
    const directory = newFolder();
    const log = await openLog(directory);
    const again = openLog(directory);
    await expect(again).rejects.toMatchObject(refusal);
    await expect(again).rejects.toThrow(directory);
    await log.close();
    await openLog(directory);
  });

  it('is refused another number of partitions, and told which one is right', async () => {
    const directory = newFolder();
    await (await openLog(directory)).close();
    const open = openLog(directory, { partitions: PARTITIONS + 1 });
    await expect(open).rejects.toMatchObject(refusal);
    await expect(open).rejects.toThrow(/has 3 partitions, not 4/);
  });

  it('makes one commit of appends that come together', async () => {
    let commits = 0;
    const log = await openLog(newFolder(), { onCommit: () => (commits += 1) });
    await log.follow([], nothing);
    await Promise.all(Array.from({ length: 100 }, (_, n) => log.append(event(n % PARTITIONS), unwritten)));
    expect(commits).toBe(1);
  });

  it('refuses a version or an epoch that nobody can have, and stores nothing', async () => {
    const log = await openLog(newFolder());
    await log.follow([], nothing);
    const ends = await log.ends();
    const ahead = log.append(event(0, { version: 3 }), { version: 2 });
    const newer = log.append(event(0, { epoch: 1 }), unwritten);
    await expect(ahead).rejects.toMatchObject({ code: 'impossible-record' });
    await expect(newer).rejects.toMatchObject({ code: 'impossible-record' });
    expect(await log.ends()).toEqual(ends);
  });

  it('says not applied before it follows and after it is closed', async () => {
    const log = await openLog(newFolder());
    await expect(log.append(event(0), unwritten)).rejects.toMatchObject({ code: 'not-applied' });
    await log.follow([], nothing);
    const queued = log.append(event(0), unwritten);
    await log.close();
    expect(await queued).toMatchObject({ outcome: 'accepted' });
    await expect(log.append(event(0), unwritten)).rejects.toMatchObject({ code: 'not-applied' });
    await expect(log.barrier(0)).rejects.toMatchObject({ code: 'log-unavailable' });
  });

  it('records a time that never goes back, in this run and the next, when the clock does', async () => {
    const directory = newFolder();
    const recordedAt = async (log: EmbeddedEventLog): Promise<number> => {
      const verdict = await log.append(event(0), unwritten);
      return verdict.outcome === 'accepted' ? verdict.recordedAt : NaN;
    };
    const clock = new SetClock(2_000_000_000_000);
    const log = await openLog(directory, { clock });
    await log.follow([], nothing);
    expect(await recordedAt(log)).toBe(2_000_000_000_000);
    clock.time -= 3_600_000;
    expect(await recordedAt(log)).toBe(2_000_000_000_000);
    expect(log.now()).toBe(2_000_000_000_000);
    await log.close();

    const next = await openLog(directory, { clock });
    await next.follow([], nothing);
    expect(await recordedAt(next)).toBe(2_000_000_000_000);
    clock.time += 7_200_000;
    expect(await recordedAt(next)).toBe(2_000_003_600_000);
  });
});

describe('a reader of its own', () => {
  it('waits for the log, and sees a commit when it is told of it', async () => {
    const directory = newFolder();
    const waiting = EmbeddedLogReader.open({ directory });
    const log = await openLog(directory);
    await log.follow([], nothing);
    await (await waiting).close();

    const reader = await EmbeddedLogReader.open({ directory, clock: new SetClock(0) }); // looks at nothing by itself
    const ends: number[] = [];
    let look = nothing;
    const reaches = (end: number): Promise<void> =>
      new Promise((resolve) => {
        look = () => ends.includes(end) && resolve();
        look();
      });
    await reader.subscribe({
      group: 'projector',
      checkpoint: async (partition) => ({ partition, next: 0, epoch: 0 }),
      handle: async ({ partition, end }) => {
        if (partition !== 1) return;
        ends.push(end);
        look();
      },
      onFatal: nothing,
    });
    await reaches(1);
    await log.append(event(1), unwritten);
    reader.wake();
    await reaches(2);
    await reader.close();
  });

  it('leaves the log as it is: a reader alone after a crash changes nothing', async () => {
    const directory = newFolder();
    const log = await openLog(directory);
    await log.follow([], nothing);
    await log.append(event(0), unwritten);
    const image = crashImage(directory);
    const bytes = (): Buffer[] => ['log.db', 'log.db-wal'].map((name) => readFileSync(join(image, name)));
    const before = bytes();
    const reader = await EmbeddedLogReader.open({ directory: image });
    expect(await reader.ends()).toEqual(await log.ends());
    await reader.close();
    expect(bytes()).toEqual(before);
  });
});

interface Outcomes {
  readonly accepted: string[];
  readonly 'not-applied': string[];
  readonly 'outcome-unknown': string[];
}

/** Runs the writing program until it ends; `stopAfter` answers it is killed. */
async function write(
  directory: string,
  {
    writers,
    valueSize,
    stopAfter = Infinity,
    limitBlocks,
  }: { writers: number; valueSize: number; stopAfter?: number; limitBlocks?: number },
): Promise<Outcomes & { readonly order: readonly string[]; readonly troubles: readonly string[] }> {
  const here = (name: string): string => fileURLToPath(new URL(`../testing/${name}`, import.meta.url));
  const program = [
    '--import',
    here('run-typescript.mjs'),
    here('append-until-stopped.ts'),
    directory,
    PARTITIONS,
    writers,
    valueSize,
  ].map(String);
  const child =
    limitBlocks === undefined
      ? spawn(process.execPath, program, { stdio: ['ignore', 'pipe', 'pipe'] })
      : spawn('sh', ['-c', `ulimit -f ${limitBlocks}; exec "$0" "$@"`, process.execPath, ...program], {
          stdio: ['ignore', 'pipe', 'pipe'],
        });
  const ended = once(child, 'close');
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const outcomes: Outcomes & { order: string[] } = {
    accepted: [],
    'not-applied': [],
    'outcome-unknown': [],
    order: [],
  };
  let answers = 0;
  for await (const line of createInterface(child.stdout)) {
    const [outcome, eventId] = line.split(' ') as [keyof Outcomes, string];
    outcomes[outcome].push(eventId);
    outcomes.order.push(outcome);
    answers += 1;
    if (answers === stopAfter) child.kill('SIGKILL');
  }
  const [code, signal] = (await ended) as [number | null, NodeJS.Signals | null];
  if (code !== 0 && signal !== 'SIGKILL') throw new Error(`the writing program ended with ${code ?? signal}: ${said}`);
  return { ...outcomes, troubles: said.split('\n').slice(0, -1) };
}

describe('a process that is killed', () => {
  it(
    'leaves every append that it has answered, and frees the folder at once',
    async () => {
      const directory = newFolder();
      const accepted: string[] = [];
      for (let round = 0; round < 5; round += 1) {
        const outcomes = await write(directory, {
          writers: 1 + below(64),
          valueSize: 2_000,
          stopAfter: 1 + below(1_500),
        });
        expect(outcomes['not-applied'].length + outcomes['outcome-unknown'].length).toBe(0);
        accepted.push(...outcomes.accepted);

        const log = await openLog(directory);
        const stored = eventIds(await readAll(log));
        expect(accepted.filter((eventId) => !stored.has(eventId))).toEqual([]);
        await log.close();
        await verify(directory);
      }
      expect(accepted.length).toBeGreaterThan(5);
    },
    TIMEOUT_MS,
  );
});

describe('a disk that is full', () => {
  it(
    'is told as it is: what was accepted is there, what was not applied is not',
    async () => {
      const directory = newFolder();
      // 600 blocks of 512 bytes in any one file. First the write-ahead log meets the limit, which emptying it cures;
      // in the end the log file does, and then a commit that failed cannot be taken out of the write-ahead log.
      const outcomes = await write(directory, { writers: 4, valueSize: 4_000, limitBlocks: 600 });
      expect(outcomes.order.indexOf('not-applied')).toBeGreaterThan(0);
      expect(outcomes.order.lastIndexOf('accepted')).toBeGreaterThan(outcomes.order.indexOf('not-applied'));
      expect(outcomes['outcome-unknown'].length).toBeGreaterThan(0);
      // Once for each time that it cannot store, and once when it can again.
      expect(outcomes.troubles.slice(0, 3)).toEqual([
        'trouble: disk I/O error',
        'well again',
        'trouble: disk I/O error',
      ]);
      expect(outcomes.troubles.at(-1)).toBe('trouble: disk I/O error');
      expect(outcomes.troubles.length).toBeLessThan(outcomes['not-applied'].length);

      const log = await openLog(directory);
      const stored = eventIds(await readAll(log));
      expect(outcomes.accepted.filter((eventId) => !stored.has(eventId))).toEqual([]);
      expect(outcomes['not-applied'].filter((eventId) => stored.has(eventId))).toEqual([]);
      expect(await log.append(event(0), unwritten)).toMatchObject({ outcome: 'accepted' });
    },
    TIMEOUT_MS,
  );
});

describe('damage to the write-ahead log', () => {
  /** Twenty commits that are only in the write-ahead log, and where the last one begins in it. */
  async function crashed(): Promise<{ image: string; commits: string[][]; lastCommit: number; wal: string }> {
    const directory = newFolder();
    const log = await openLog(directory);
    await log.follow([], nothing);
    const commits: string[][] = [];
    let lastCommit = 0;
    for (let n = 0; n < 20; n += 1) {
      lastCommit = statSync(join(directory, 'log.db-wal')).size;
      const records = Array.from({ length: 1 + below(8) }, (_, k) =>
        event(k % PARTITIONS, { value: 'x'.repeat(below(3_000)) }),
      );
      await Promise.all(records.map((record) => log.append(record, unwritten)));
      commits.push(records.map(({ eventId }) => eventId));
    }
    const image = crashImage(directory);
    await log.close();
    return { image, commits, lastCommit, wal: join(image, 'log.db-wal') };
  }

  it(
    'before the last commit refuses the start, in any byte',
    async () => {
      const { image, lastCommit } = await crashed();
      for (let n = 0; n < 40; n += 1) {
        const damaged = crashImage(image);
        const at = below(n < 10 ? 32 : lastCommit);
        flip(join(damaged, 'log.db-wal'), at, 1 + below(255));
        const open = openLog(damaged);
        await expect(open).rejects.toMatchObject(refusal);
        await expect(open).rejects.toThrow(/write-ahead log is damaged/);
      }
    },
    TIMEOUT_MS,
  );

  it(
    'in the last commit takes no other one with it',
    async () => {
      const { image, commits, lastCommit, wal } = await crashed();
      const { size } = statSync(wal);
      const before = commits.slice(0, -1).flat();
      let started = 0;
      for (let n = 0; n < 20; n += 1) {
        const damaged = crashImage(image);
        flip(join(damaged, 'log.db-wal'), lastCommit + below(size - lastCommit), 1 + below(255));
        const log = await openLog(damaged).catch((error: unknown) => error);
        if (!(log instanceof EmbeddedEventLog)) {
          expect(log).toMatchObject(refusal); // the byte said where the commit ends: now something follows its end
          continue;
        }
        started += 1;
        const stored = eventIds(await readAll(log));
        expect(before.filter((eventId) => !stored.has(eventId))).toEqual([]);
      }
      expect(started).toBeGreaterThan(10);
    },
    TIMEOUT_MS,
  );

  it(
    'that is a torn tail, or one that a power cut left in part, is none',
    async () => {
      const { image, commits, lastCommit, wal } = await crashed();
      const { size } = statSync(wal);
      const before = commits.slice(0, -1).flat();
      for (let n = 0; n < 10; n += 1) {
        const torn = crashImage(image);
        truncateSync(join(torn, 'log.db-wal'), lastCommit + below(size - lastCommit));
        const log = await openLog(torn);
        expect([...eventIds(await readAll(log))].sort()).toEqual([...before].sort());
        expect(await log.append(event(0), unwritten)).toMatchObject({ outcome: 'accepted' });
      }
      const reordered = crashImage(image);
      const bytes = readFileSync(wal);
      bytes.fill(0, lastCommit, lastCommit + 4096);
      writeFileSync(join(reordered, 'log.db-wal'), bytes);
      expect([...eventIds(await readAll(await openLog(reordered)))].sort()).toEqual([...before].sort());
    },
    TIMEOUT_MS,
  );

  it('that takes a commit away which the read model has seen refuses the start', async () => {
    const { image, lastCommit, wal } = await crashed();
    const whole = await openLog(crashImage(image));
    await whole.follow([], nothing);
    const checkpoints = [0, 1, 2].map((partition) => whole.tail(partition));
    truncateSync(wal, lastCommit);
    const open = openLog(image, { checkpoints });
    await expect(open).rejects.toMatchObject(refusal);
    await expect(open).rejects.toThrow(
      /has lost records: partition 0 ends at \d+ in epoch 0, the read model was at \d+/,
    );
  });
});

describe('damage to the log file', () => {
  /** A log with 50 events on either side of what the last start has proved, all in the main file. */
  async function stored(): Promise<string> {
    const directory = newFolder();
    for (const half of ['proved', 'later']) {
      const log = await openLog(directory);
      await log.follow([], nothing);
      for (let n = 0; n < 50; n += 1) {
        await log.append(event(n % PARTITIONS, { value: `"${half}-${n}-${'x'.repeat(below(500))}"` }), unwritten);
      }
      await log.close();
    }
    return directory;
  }
  /** Everywhere: a page may still hold what was moved to another one. */
  const alter = (directory: string, text: string): void => {
    const path = join(directory, 'log.db');
    const bytes = readFileSync(path);
    for (let at = bytes.indexOf(text); at >= 0; at = bytes.indexOf(text, at)) bytes[at]! ^= 1;
    writeFileSync(path, bytes);
  };

  it('in what no start has proved yet refuses the next one', async () => {
    const directory = await stored();
    alter(directory, '"later-25-');
    const open = openLog(directory);
    await expect(open).rejects.toMatchObject(refusal);
    await expect(open).rejects.toThrow(/record 1:26 is not what was written/);
  });

  it('in what was proved is found by verifying the whole, and by whoever reads it', async () => {
    const directory = await stored();
    await verify(directory);
    alter(directory, '"proved-25-');
    await expect(verify(directory)).rejects.toThrow(/record 1:9 is not what was written/);
    await expect(verify(directory)).rejects.toBeInstanceOf(DamagedLog);

    const log = await openLog(directory);
    const fatal = new Promise<Error>((resolve) => {
      void log.subscribe({
        group: 'projector',
        checkpoint: async (partition) => ({ partition, next: 0, epoch: 0 }),
        handle: async () => undefined,
        onFatal: resolve,
      });
    });
    expect(await fatal).toMatchObject({ code: 'damaged-log' });
    await expect(readAll(log)).rejects.toMatchObject(refusal);
  });

  it(
    'in any byte is refused, found, or harmless',
    async () => {
      const directory = await stored();
      const log = await openLog(directory);
      const written = await readAll(log);
      await log.close();
      const { size } = statSync(join(directory, 'log.db'));
      const results = { refused: 0, found: 0, harmless: 0 };
      for (let n = 0; n < 50; n += 1) {
        const damaged = crashImage(directory);
        const at = below(size);
        flip(join(damaged, 'log.db'), at, 1 + below(255));
        try {
          const read = await readAll(await openLog(damaged));
          if (JSON.stringify(read) !== JSON.stringify(written)) throw new Error(`byte ${at} changes what is read`);
          const isFound = await verify(damaged).then(
            () => false,
            () => true,
          );
          results[isFound ? 'found' : 'harmless'] += 1;
        } catch (error) {
          expect(error).toMatchObject(refusal);
          results.refused += 1;
        }
      }
      expect(results.refused).toBeGreaterThan(5);
    },
    TIMEOUT_MS,
  );
});

/** Stands still, and calls nobody back. */
class SetClock extends Clock {
  constructor(public time: number) {
    super();
  }
  override now(): number {
    return this.time;
  }
  override after(): () => void {
    return nothing;
  }
}
