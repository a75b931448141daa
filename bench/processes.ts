import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';

/** Of Linux's clock in /proc, which has not changed in decades. */
const TICKS_PER_SECOND = 100;

/** CPU seconds that a process has used so far, its threads included. */
export function cpuSeconds(pid: number): number {
  if (!existsSync('/proc/self/stat')) return cpuSecondsOfPs(pid);
  const [, rest = ''] = /^.*\) (.*)$/s.exec(readFileSync(`/proc/${pid}/stat`, 'utf8')) ?? [];
  const fields = rest.split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

function cpuSecondsOfPs(pid: number): number {
  const time = execFileSync('ps', ['-o', 'time=', '-p', String(pid)], { encoding: 'utf8' }).trim();
  return time.split(/[:-]/).reduce((sum, part) => sum * 60 + Number(part), 0);
}

/** Resident memory, MiB. */
export function residentMib(pid: number): number {
  return Number(execFileSync('ps', ['-o', 'rss=', '-p', String(pid)], { encoding: 'utf8' })) / 1_024;
}

/** CPU that each process uses from now on. */
export class CpuMeter {
  private readonly began = performance.now();
  private readonly before: ReadonlyMap<string, number>;

  constructor(private readonly pids: Readonly<Record<string, number>>) {
    this.before = new Map(Object.entries(pids).map(([name, pid]) => [name, cpuSeconds(pid)]));
  }

  /** Percent of one core, by name. */
  read(): Readonly<Record<string, number>> {
    const seconds = (performance.now() - this.began) / 1_000;
    return Object.fromEntries(
      Object.entries(this.pids).map(([name, pid]) => [
        name,
        Math.round((100 * (cpuSeconds(pid) - this.before.get(name)!)) / seconds),
      ]),
    );
  }
}
