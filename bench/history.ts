import { randomUUID } from 'node:crypto';
import { decide, evolve, unstarted, type Service, type ServiceCommand } from '#domain';
import { encode, type DomainEvent, type NewRecord } from '#events';
import { EmbeddedEventLog } from '#event-log/embedded';
import { KafkaLogTransport } from '#event-log/kafka';
import type { Place } from '../apps/api/test/processes.js';
import { Ids, partitionOf } from '../apps/api/src/services/ids.js';
import { ATTACHED, REPORTED, STATES, TASKS_OF_A_STATE } from './conversation.js';

const TENANT = '1';
const FIVE_YEARS_MS = 5 * 365 * 86_400_000;
const CORRELATION = 'f3b1c2d4-0000-4000-8000-000000000000';
const TOGETHER = 1_000;

/** Services as their log has them, made by the rules and not by requests: for logs of a million of them. */
export class History {
  /** Of all services made so far. */
  readonly serviceIds: string[] = [];
  private readonly ids: Ids;

  constructor(private readonly partitions: number) {
    this.ids = new Ids(partitions);
  }

  /** A whole conversation. */
  *conversation(customer_id: string): Generator<NewRecord> {
    const service_id = this.newService();
    const commands: ServiceCommand[] = [this.start(service_id, customer_id)];
    for (let state = 0; state < STATES; state++) {
      const state_id = this.ids.part(service_id);
      commands.push({
        type: 'StartState',
        data: { ...activity(), service_id, state_id, state_type: state, est_duration: 120, ...attached },
      });
      for (let task = 0; task < TASKS_OF_A_STATE; task++) {
        const task_id = this.ids.part(service_id);
        commands.push(
          {
            type: 'StartTask',
            data: { ...activity(), service_id, state_id, task_id, task_type: task, est_duration: 60, ...attached },
          },
          { type: 'EndTask', data: { ...activity(), service_id, task_id, disposition: 1, disposition_desc: 'done' } },
        );
      }
      commands.push({
        type: 'EndState',
        data: { ...activity(), service_id, state_id, disposition: 1, disposition_desc: 'done' },
      });
    }
    commands.push({
      type: 'EndService',
      data: { ...activity(), service_id, disposition: 1, disposition_desc: 'solved' },
    });
    yield* this.records(service_id, commands);
  }

  /** A service that was started, and ended or not. */
  *short(customer_id: string, isEnded: boolean): Generator<NewRecord> {
    const service_id = this.newService();
    const start = this.start(service_id, customer_id);
    const end: ServiceCommand = { type: 'EndService', data: { ...activity(), service_id, disposition: 1 } };
    yield* this.records(service_id, isEnded ? [start, end] : [start]);
  }

  /** A service with so many active states, and as many tasks. */
  *large(customer_id: string, parts: number): Generator<NewRecord> {
    const service_id = this.newService();
    const commands: ServiceCommand[] = [this.start(service_id, customer_id)];
    for (let part = 0; part < parts; part++)
      commands.push(
        { type: 'StartState', data: { ...activity(), service_id, state_id: this.ids.part(service_id), state_type: 1 } },
        { type: 'StartTask', data: { ...activity(), service_id, task_id: this.ids.part(service_id), task_type: 1 } },
      );
    yield* this.records(service_id, commands);
  }

  private newService(): string {
    const id = this.ids.service();
    this.serviceIds.push(id);
    return id;
  }

  private start(service_id: string, customer_id: string): ServiceCommand {
    return {
      type: 'StartService',
      data: { ...activity(), service_id, customer_id, service_type: 3, est_duration: 600, ...attached },
      lifetime: { slide: FIVE_YEARS_MS },
    };
  }

  private *records(stream: string, commands: readonly ServiceCommand[]): Generator<NewRecord> {
    const partition = partitionOf(stream, this.partitions);
    let service: Service = unstarted;
    let version = 0;
    for (const command of commands) {
      const { event } = decide(command, service);
      const record = recordOf(stream, partition, ++version, event!, command);
      yield record;
      const { value: _value, ...envelope } = { ...record, kind: 'event' as const, offset: 0, recordedAt: Date.now() };
      service = evolve(service, { event: event!, record: envelope });
    }
  }
}

const activity = () => ({ timestamp: new Date().toISOString(), ...REPORTED });
const attached = { extensions: ATTACHED };

const recordOf = (
  stream: string,
  partition: number,
  version: number,
  event: DomainEvent,
  { lifetime }: ServiceCommand,
): NewRecord => ({
  ...encode(event),
  eventId: randomUUID(),
  tenant: TENANT,
  stream,
  partition,
  version,
  epoch: 0,
  correlationId: CORRELATION,
  ...(lifetime && { lifetime }),
});

/** Brings records into the empty log of a place in which no program runs, past the api. Resolves with their number. */
export async function fill(
  place: Place,
  records: Iterable<NewRecord>,
  onProgress: (count: number) => void = () => undefined,
): Promise<number> {
  const log = await openLog(place);
  let count = 0;
  let together: NewRecord[] = [];
  const store = async (): Promise<void> => {
    await log.append(together);
    count += together.length;
    together = [];
    onProgress(count);
  };
  try {
    for (const record of records) {
      together.push(record);
      if (together.length === TOGETHER) await store();
    }
    if (together.length > 0) await store();
    return count;
  } finally {
    await log.close();
  }
}

async function openLog({ engine, directory, topicPrefix, partitions, env }: Place) {
  if (engine === 'distributed') {
    const log = await KafkaLogTransport.connect({ brokers: [env['CS_KAFKA_BROKERS']!], topicPrefix, partitions });
    return {
      append: async (records: readonly NewRecord[]) => {
        const written = await log.append(records.map((record) => ({ kind: 'event' as const, ...record })));
        const missing = records.find(({ partition }) => !written.has(partition));
        if (missing) throw new Error(`Kafka did not take the records of partition ${missing.partition}`);
      },
      close: () => log.close(),
    };
  }
  const log = await EmbeddedEventLog.open({ directory, partitions });
  await log.follow([], () => undefined);
  return {
    append: async (records: readonly NewRecord[]) => {
      const verdicts = await Promise.all(records.map((record) => log.append(record, { version: record.version - 1 })));
      const lost = verdicts.find(({ outcome }) => outcome !== 'accepted');
      if (lost) throw new Error(`a record of the history is void: ${JSON.stringify(lost)}`);
    },
    close: () => log.close(),
  };
}
