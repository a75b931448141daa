import { Injectable } from '@nestjs/common';
import { Counter, Gauge, Histogram } from 'prom-client';
import type { LogRecord } from '#event-log';
import { registry } from '#operations';

const shortWaits = [0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];

/** What the api counts of its work on the log. */
@Injectable()
export class Instruments {
  private readonly commands = new Counter({
    name: 'cs_commands_total',
    help: 'Commands by type and outcome: accepted, refused, not-applied, unknown',
    labelNames: ['type', 'outcome'],
    registers: [registry],
  });
  private readonly batches = new Histogram({
    name: 'cs_append_batch_records',
    help: 'Records of one append to the log',
    buckets: [1, 2, 5, 10, 25, 50, 100, 250, 500, 1000],
    registers: [registry],
  });
  private readonly barriers = new Histogram({
    name: 'cs_barrier_wait_seconds',
    help: 'How long a read barrier took',
    buckets: shortWaits,
    registers: [registry],
  });
  private readonly records = new Counter({
    name: 'cs_tail_records_total',
    help: 'Records seen by the tail, by kind; `fenced` are events that an epoch made void',
    labelNames: ['kind'],
    registers: [registry],
  });
  private readonly voids = new Counter({
    name: 'cs_void_appends_total',
    help: 'Records of this process that the log made void, by reason',
    labelNames: ['reason'],
    registers: [registry],
  });
  private lags: () => readonly number[] = () => [];

  constructor() {
    const lags = (): readonly number[] => this.lags();
    new Gauge({
      name: 'cs_unconfirmed_records',
      help: 'Records that the tail has seen and the projector has not confirmed',
      labelNames: ['partition'],
      registers: [registry],
      collect() {
        lags().forEach((lag, partition) => this.set({ partition: String(partition) }, lag));
      },
    });
  }

  command(type: string, outcome: 'accepted' | 'refused' | 'not-applied' | 'unknown'): void {
    this.commands.inc({ type, outcome });
  }

  batch(records: number): void {
    this.batches.observe(records);
  }

  barrier(ms: number): void {
    this.barriers.observe(ms / 1000);
  }

  read(record: LogRecord, epoch: number): void {
    this.records.inc({ kind: record.kind === 'event' && record.epoch < epoch ? 'fenced' : record.kind });
  }

  void(reason: string): void {
    this.voids.inc({ reason });
  }

  watchLag(lags: () => readonly number[]): void {
    this.lags = lags;
  }
}
