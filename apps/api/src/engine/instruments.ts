import { Injectable } from '@nestjs/common';
import { Counter, Gauge, Histogram } from 'prom-client';
import type { LogRecord } from '#event-log';
import type { ServerMode } from '#domain';
import { labelled, registry, type Logger } from '#operations';
import type { SwitchObserver } from '../server-mode/mode-switch.js';

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
  private readonly switchSteps = new Histogram({
    name: 'cs_mode_switch_seconds',
    help: 'Duration of the steps of a mode switch as this process saw it: drain, fence, whole',
    labelNames: ['step'],
    buckets: shortWaits.concat([10, 30, 60, 120]),
    registers: [registry],
  });
  private readonly drainedProcesses = new Gauge({
    name: 'cs_mode_switch_drained_processes',
    help: 'Processes that had drained when this process completed the last switch',
    registers: [registry],
  });
  private lags: () => readonly number[] = () => [];
  private mode: () => ServerMode | undefined = () => undefined;

  constructor() {
    const mode = (): ServerMode | undefined => this.mode();
    new Gauge({
      name: 'cs_mode',
      help: '1 for the mode that this process is in: production, maintenance, or switching',
      labelNames: ['mode'],
      registers: [registry],
      collect() {
        const now = mode();
        const is = now?.switching ? 'switching' : now?.mode;
        for (const one of ['production', 'maintenance', 'switching']) this.set({ mode: one }, one === is ? 1 : 0);
      },
    });
    new Gauge({
      name: 'cs_epoch',
      help: 'Number of the mode in force, as this process knows it',
      registers: [registry],
      collect() {
        this.set(mode()?.epoch ?? 0);
      },
    });
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
    labelled(this.commands, type, outcome).inc();
  }

  batch(records: number): void {
    this.batches.observe(records);
  }

  barrier(ms: number): void {
    this.barriers.observe(ms / 1000);
  }

  read(record: LogRecord, epoch: number): void {
    labelled(this.records, record.kind === 'event' && record.epoch < epoch ? 'fenced' : record.kind).inc();
  }

  void(reason: string): void {
    this.voids.inc({ reason });
  }

  watchMode(mode: () => ServerMode): void {
    this.mode = mode;
  }

  /** Each step of a switch as a log line with its duration, and as metrics. */
  modeSwitch(logger: Logger): SwitchObserver {
    const step = (name: string, ms: number): void => this.switchSteps.observe({ step: name }, ms / 1000);
    return {
      started: (to, epoch, process) => logger.info({ to, epoch, process }, 'mode switch: begun, the gate is closed'),
      drained: (epoch, ms, complete) => {
        step('drain', ms);
        if (complete) logger.info({ epoch, ms }, 'mode switch: no call is under way here any more');
        else logger.warn({ epoch, ms }, 'mode switch: calls are still under way here, they will not be recorded');
      },
      finishing: (epoch, drained, missing) => {
        this.drainedProcesses.set(drained);
        if (missing.length === 0) logger.info({ epoch, drained }, 'mode switch: every live process has drained');
        else logger.warn({ epoch, drained, missing }, 'mode switch: some processes did not drain in time');
      },
      fenced: (epoch, ms) => {
        step('fence', ms);
        logger.info({ epoch, ms }, 'mode switch: every partition is fenced');
      },
      switched: (mode, epoch, ms) => {
        step('whole', ms);
        logger.info({ mode, epoch, ms }, 'mode switch: complete, the gate is open');
      },
      failed: (epoch, error) => logger.warn({ epoch, error }, 'mode switch: a step failed and is tried again'),
    };
  }

  watchLag(lags: () => readonly number[]): void {
    this.lags = lags;
  }
}
