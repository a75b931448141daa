import { join } from 'node:path';
import { DamagedLog, LogFile } from './log-file.js';

export const LOG_FILE = 'log.db';

export interface VerifiedPartition {
  readonly partition: number;
  readonly logId: string;
  readonly records: number;
  /** Of the last record. Two partitions that agree in it agree in every record. */
  readonly checksum: string;
}

/**
 * Reads the whole log and its tables' structure, also while it is written to. Throws {@link DamagedLog} with the first
 * place that is not as it was written.
 */
export async function verify(directory: string): Promise<readonly VerifiedPartition[]> {
  const file = await LogFile.openToRead(join(directory, LOG_FILE));
  try {
    const damage = file.structuralDamage();
    if (damage !== undefined) throw new DamagedLog(damage);
    return Array.from({ length: file.partitions }, (_, partition) => {
      const { next, checksum } = prove(file, partition, 0);
      return { partition, logId: file.logId(partition), records: next, checksum };
    });
  } finally {
    file.close();
  }
}

/**
 * Proves what was written since it was last proved, and remembers that. Everything the next start will not look at
 * again has been read back from the disk once. Throws {@link DamagedLog}.
 */
export function verifyFromMarks(file: LogFile): void {
  const proved = Array.from({ length: file.partitions }, (_, partition) => {
    const mark = file.verified(partition);
    if (file.checksumBefore(partition, mark.next) !== mark.checksum) {
      throw new DamagedLog(`record ${partition}:${mark.next - 1} is not the one that was there at the last start`);
    }
    return { ...prove(file, partition, mark.next), mark };
  });
  file.transaction(() => {
    for (const [partition, { next, checksum, mark }] of proved.entries()) {
      if (next > mark.next) file.markVerified(partition, { next, checksum });
    }
  });
}

function prove(file: LogFile, partition: number, from: number): { next: number; checksum: string } {
  let last = { next: from, checksum: file.checksumBefore(partition, from) };
  for (const { record, checksum } of file.records(partition, from)) last = { next: record.offset + 1, checksum };
  return last;
}
