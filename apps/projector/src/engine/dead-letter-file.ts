import { open, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import type { RecordedEvent } from '#events';
import type { Foreign } from '#event-log';
import { DeadLetters } from '../projection/ports.js';

const FILE = 'dead-letters.ndjson';

/** One JSON object per line: what could not be projected, why, and when that was found. */
export class DeadLetterFile extends DeadLetters {
  private constructor(private readonly file: FileHandle) {
    super();
  }

  static async open(directory: string): Promise<DeadLetterFile> {
    return new DeadLetterFile(await open(join(directory, FILE), 'a'));
  }

  /** Resolves when it is on disk. A line that a crash cut off stays as it is: each one begins on a line of its own. */
  override async add(record: RecordedEvent | Foreign, reason: string): Promise<void> {
    const letter = { reason, foundAt: new Date().toISOString(), record };
    await this.file.appendFile(`\n${JSON.stringify(letter)}`);
    await this.file.datasync();
  }

  async close(): Promise<void> {
    await this.file.close();
  }
}
