import { Program, type Place } from '../apps/api/test/processes.js';

/** Sets the clock of a process off by so much; see shifted-clock.mjs. */
export const clockOffset = (ms: number): Readonly<Record<string, string>> => ({
  NODE_OPTIONS: `--import=${new URL('shifted-clock.mjs', import.meta.url).href}`,
  FAULTS_CLOCK_OFFSET_MS: String(ms),
});

/** A process that is killed, paused and started again under the same name. */
export class Server {
  private program: Program | undefined;
  private starting: Promise<Program> | undefined;
  private isWanted = false;

  constructor(
    readonly name: string,
    readonly kind: Program['name'],
    private readonly place: Place,
    private readonly env: Readonly<Record<string, string>> = {},
  ) {}

  /** Undefined while it does not run. */
  get origin(): string | undefined {
    return this.program?.origin;
  }

  /** Everything that the process of now has printed. */
  get output(): string {
    return this.program?.output ?? '';
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
    const { child } = this.program ?? {};
    if (!child || child.exitCode !== null || child.signalCode !== null) await this.start();
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
