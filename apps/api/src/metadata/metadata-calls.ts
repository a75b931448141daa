import { Injectable } from '@nestjs/common';
import { Rejected, type Metadata, type MetadataAnswer, type MetadataCommand } from '#domain';
import { Engine } from '../engine/engine.js';
import type { SentRequest } from '../http/sent-request.js';

/** What the routes of metadata do with a request that was admitted. */
@Injectable()
export class MetadataCalls {
  private read = new Date();

  constructor(private readonly engine: Engine) {}

  /** In force in this process when it resolves. Throws `Rejected`, `Unavailable`. */
  async change(sent: SentRequest, command: MetadataCommand): Promise<MetadataAnswer> {
    const { answer, position } = await this.engine.running().metadata.change(command, sent.context);
    sent.answeredAtControl(position);
    return answer;
  }

  /** The metadata of the caller's tenant, as this process knows it now. */
  known(sent: SentRequest): Metadata {
    const { control } = this.engine.running();
    sent.answeredAtControl(control.position);
    return control.metadata(sent.context.tenant);
  }

  /**
   * What `find` finds in the metadata. Throws `Rejected` when it is not there, also in what other processes have recorded
   * by now; `LogUnavailable`.
   */
  async found<Part>(
    sent: SentRequest,
    what: string,
    name: string,
    find: (metadata: Metadata) => Part | undefined,
  ): Promise<Part> {
    const known = find(this.known(sent));
    if (known !== undefined) return known;
    await this.engine.running().control.barrier();
    const now = find(this.known(sent));
    if (now !== undefined) return now;
    throw new Rejected('metadata-not-found', `There are no ${what} found for : ${name}`);
  }

  /** Since when this process has followed the metadata, or when it was last asked to look again. */
  get loaded(): Date {
    return this.read;
  }

  /** Resolves when this process knows everything that was recorded before. Throws `LogUnavailable`. */
  async reload(): Promise<void> {
    await this.engine.running().control.barrier();
    this.read = new Date();
  }
}
