import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';

/** Of Linux's clock in /proc, which has not changed in decades. */
const TICKS_PER_SECOND = 100;

/** CPU seconds that a process has used so far, its threads included. */
export function cpuSeconds(pid: number): number {
  return existsSync('/proc/self/stat') ? ticks(pid).slice(0, 2).reduce(sum) / TICKS_PER_SECOND : cpuSecondsOfPs(pid);
}

/** Together with its children; with those too that have ended, where there is a /proc. */
export function cpuSecondsOfFamily(pid: number): number {
  const processes = execFileSync('ps', ['-A', '-o', 'ppid=,pid='], { encoding: 'utf8' }).trim().split('\n');
  const children = processes.map((line) => line.trim().split(/\s+/).map(Number)).filter(([parent]) => parent === pid);
  const living = children.map(([, child]) => {
    try {
      return cpuSeconds(child!);
    } catch {
      return 0; // ended a moment ago: its parent has its time
    }
  });
  const ended = existsSync('/proc/self/stat') ? ticks(pid).slice(2).reduce(sum) / TICKS_PER_SECOND : 0;
  return cpuSeconds(pid) + ended + living.reduce(sum, 0);
}

/** Of the process in user and system mode, and of its children that have ended in both. */
function ticks(pid: number): readonly number[] {
  const [, rest = ''] = /^.*\) (.*)$/s.exec(readFileSync(`/proc/${pid}/stat`, 'utf8')) ?? [];
  return rest.split(' ').slice(11, 15).map(Number);
}

const sum = (one: number, other: number): number => one + other;

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
