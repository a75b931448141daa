import { setTimeout as sleep } from 'node:timers/promises';
import type { ReadModel } from '#read-model';
import { Latencies, type Percentiles } from './latencies.js';

const LOOK_EVERY_MS = 2;
const PATIENCE_MS = 30_000;
const TENANT = '1';

/**
 * Time from an acknowledgement until the row in the read model has it, of one command at a time; read from the store,
 * past the api, which would wait for the row.
 */
export class Visibility {
  private readonly latencies = new Latencies();
  private looking = false;
  missed = 0;

  constructor(private readonly readModel: ReadModel) {}

  /** To be told of each acknowledged command; most are passed over. */
  readonly recorded = (stream: string, version: number): void => {
    if (this.looking) return;
    this.looking = true;
    void this.look(stream, version, performance.now()).finally(() => (this.looking = false));
  };

  read(): Percentiles | undefined {
    return this.latencies.of();
  }

  async end(): Promise<void> {
    while (this.looking) await sleep(LOOK_EVERY_MS);
    await this.readModel.close();
  }

  private async look(stream: string, version: number, since: number): Promise<void> {
    while (performance.now() - since < PATIENCE_MS) {
      const row = await this.readModel.find({ tenant: TENANT, stream });
      if (row && row.head.version >= version) return this.latencies.add('visible', performance.now() - since);
      await sleep(LOOK_EVERY_MS);
    }
    this.missed++;
  }
}
