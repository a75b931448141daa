import { parseArgs } from 'node:util';
import { evolve, unstarted, type Service } from '#domain';
import {
  advance,
  isClaimEvent,
  isPublicEvent,
  NewerSchema,
  open,
  streamKey,
  unwritten,
  type Head,
  type RecordedEvent,
} from '#events';
import { judge, type Batch, type LogReader, type PublicEvent } from '#event-log';
import { EmbeddedLogReader } from '#event-log/embedded';
import { loadOptions, optionsHelp } from '#operations';
import { publicEvent } from './projection/public-event.js';
import { OPTIONS_OF_THE_API, ProjectorOptions } from './projector.options.js';

const HELP = `The public events of the embedded engine, read from its log: one CloudEvents 1.0 JSON object per line, first
appearances in stream order. The distributed engine has the same events in the topic <prefix>.events.

  npm run events -- [--follow]

  --follow   goes on with events as they are recorded; Ctrl-C ends it

Options, from the environment:
${optionsHelp(ProjectorOptions)}
`;

/**
 * Folds a log and hands out its valid events. Properties are those as of each event, so the log is read from its
 * beginning and the services that are not gone stay in memory.
 */
export class PublicFeed {
  private readonly streams = new Map<string, { readonly head: Head; readonly service: Service }>();
  /** What comes after a record that cannot be folded waits for an operator, as in the read model. */
  private readonly parked = new Set<string>();

  constructor(
    private readonly publish: (event: PublicEvent) => void,
    private readonly onParked: (stream: string, error: unknown) => void,
  ) {}

  /** One batch; those of a partition in order. */
  read({ records, epochs }: Pick<Batch, 'records' | 'epochs'>): void {
    records.forEach((record, index) => {
      if (record.kind === 'event') this.fold(record, epochs[index]!);
    });
  }

  private fold(record: RecordedEvent, epoch: number): void {
    const key = streamKey(record);
    if (this.parked.has(key)) return;
    try {
      this.foldInto(key, record, epoch);
    } catch (error) {
      if (error instanceof NewerSchema) throw error;
      this.parked.add(key);
      this.onParked(key, error);
    }
  }

  private foldInto(key: string, record: RecordedEvent, epoch: number): void {
    const { head, service } = this.streams.get(key) ?? { head: unwritten, service: unstarted };
    if (!judge(record, head, epoch).valid) return;
    const { event } = open(record);
    const after = isClaimEvent(event) ? service : evolve(service, { event, record });
    this.streams.set(key, { head: advance(head, record), service: after });
    if (isPublicEvent(event)) this.publish(publicEvent({ event, record }, service, after));
  }
}

/** Resolves when every record that was there at the call is read, and with `follow` not before the log is closed. */
export async function readPublicEvents(
  log: LogReader,
  publish: (event: PublicEvent) => void,
  follow: boolean,
  onParked: (stream: string, error: unknown) => void = () => undefined,
): Promise<void> {
  const feed = new PublicFeed(publish, onParked);
  const ends = await log.ends();
  const unread = new Set(ends.flatMap((end, partition) => (end > 0 ? [partition] : [])));
  await new Promise<void>((resolve, reject) => {
    log
      .subscribe({
        group: 'public-feed',
        checkpoint: async (partition) => ({ partition, next: 0, epoch: 0 }),
        handle: async (batch) => {
          try {
            feed.read(batch);
          } catch (error) {
            return reject(error as Error);
          }
          if (batch.records.at(-1)!.offset >= ends[batch.partition]! - 1) unread.delete(batch.partition);
          if (unread.size === 0 && !follow) resolve();
        },
        onFatal: reject,
      })
      .catch(reject);
    if (unread.size === 0 && !follow) resolve();
  });
}

/** CloudEvents 1.0, JSON format. */
const cloudEvent = ({ key: _key, partition: _partition, ...event }: PublicEvent): object => ({
  specversion: '1.0',
  source: 'context-services',
  datacontenttype: 'application/json',
  ...event,
});

async function run(): Promise<void> {
  const { values } = parseArgs({
    options: { follow: { type: 'boolean', default: false }, help: { type: 'boolean', default: false } },
  });
  if (values.help) return void process.stdout.write(HELP);
  const { dataDir } = loadOptions(ProjectorOptions, process.env, { alsoKnown: OPTIONS_OF_THE_API });
  const log = await EmbeddedLogReader.open({ directory: dataDir });
  process.stdout.on('error', () => process.exit(0)); // whoever read has enough
  const print = (event: PublicEvent): boolean => process.stdout.write(`${JSON.stringify(cloudEvent(event))}\n`);
  await readPublicEvents(log, print, values.follow, (stream, error) =>
    process.stderr.write(
      `left out from here on, ${stream}: ${error instanceof Error ? error.message : String(error)}\n`,
    ),
  );
  await log.close();
}

if (import.meta.filename === process.argv[1]) {
  await run().catch((error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(1);
  });
}
