import type { LogReader } from '#event-log';
import type { ReadModel } from '#read-model';
import type { DeadLetters, PublicEvents } from '../projection/ports.js';

/** Everything that the projector stands on, opened and checked. */
export interface Engine {
  readonly log: LogReader;
  readonly readModel: ReadModel;
  /** Missing where the public feed is read from the log itself. */
  readonly publicEvents?: PublicEvents;
  readonly deadLetters: DeadLetters;
  /** All processes that share the partitions. */
  readonly group: string;
  /** Somebody recorded something: look now. Missing where the log tells by itself. */
  readonly wake?: () => void;
  /** What still waits to be sent is given up. */
  stopSending(): Promise<void>;
  /** The read model last. */
  close(): Promise<void>;
}

export interface EngineHooks {
  /** A client of the log reports trouble that it goes on healing by itself. */
  readonly onTrouble: (message: string, details: object) => void;
}

interface Closable {
  close(): Promise<void>;
}

/** Opens one part after the other; closes those that are open, the last first, when one of them fails. */
export class Opened {
  private readonly parts: Closable[] = [];

  async add<Part extends Closable>(part: Promise<Part>): Promise<Part> {
    try {
      const opened = await part;
      this.parts.push(opened);
      return opened;
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    for (const part of this.parts.splice(0).reverse()) await part.close();
  }
}
