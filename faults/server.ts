import { Program, type Place } from '../apps/api/test/processes.js';

type Environment = Readonly<Record<string, string>>;

const preloading = (module: string): string => `--import=${new URL(module, import.meta.url).href}`;

/** Sets the clock of a process off by so much; see shifted-clock.mjs. */
export const clockOffset = (ms: number): Environment => ({
  NODE_OPTIONS: preloading('shifted-clock.mjs'),
  FAULTS_CLOCK_OFFSET_MS: String(ms),
});

/** A place in the programs, and what happens to a process that comes there for the so-many-th time. */
export interface Point {
  readonly name: string;
  readonly passes: number;
  readonly signal: 'SIGKILL' | 'SIGSTOP';
}

/** Of a process that can be caught at named points, see named-points.mjs: where it is told of one, where it says so. */
export const catchable = (pointFile: string, hits: string): Environment => ({
  NODE_OPTIONS: preloading('named-points.mjs'),
  FAULTS_POINT_FILE: pointFile,
  FAULTS_POINTS_HIT: hits,
});

/** All of them; what several preload comes one after another. */
export function together(...environments: readonly Environment[]): Environment {
  const preloaded = environments.flatMap(({ NODE_OPTIONS }) => NODE_OPTIONS ?? []);
  return { ...Object.assign({}, ...environments), ...(preloaded.length > 0 && { NODE_OPTIONS: preloaded.join(' ') }) };
}

/** A process that is killed, paused and started again under the same name. */
export class Server {
  private program: Program | undefined;
  private starting: Promise<Program> | undefined;
  private isWanted = false;

  constructor(
    readonly name: string,
    readonly kind: Program['name'],
    private readonly place: Place,
    private readonly env: Environment = {},
  ) {}

  /** Undefined while it does not run. */
  get origin(): string | undefined {
    return this.program?.origin;
  }

  /** Everything that the process of now has printed. */
  get output(): string {
    return this.program?.output ?? '';
  }

  /** Undefined while it does not run. */
  get pid(): number | undefined {
    return this.hasEnded ? undefined : this.program?.child.pid;
  }

  /** By itself, or never started. */
  get hasEnded(): boolean {
    const { child } = this.program ?? {};
    return !child || child.exitCode !== null || child.signalCode !== null;
  }

  /** Does not wait until it is ready. */
  async start(): Promise<void> {
    this.isWanted = true;
    this.starting = Program.start(this.kind, this.place, this.env);
    this.program = await this.starting;
    if (!this.isWanted) await this.end();
  }

  /** Starts it again if it has ended by itself. Throws when it does not become ready. */
  async ready(): Promise<void> {
    if (this.hasEnded) await this.start();
    await this.program!.ready();
  }

  pause(): void {
    this.program?.signal('SIGSTOP');
  }

  resume(): void {
    this.program?.signal('SIGCONT');
  }

  async end(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    this.isWanted = false;
    const program = this.program;
    this.program = undefined;
    await program?.end(signal);
  }
}
