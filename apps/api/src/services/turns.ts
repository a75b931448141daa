import { NotApplied, type Clock } from '#event-log';

/** Commands of one stream run one after another in this process; those of different streams do not wait for each other. */
export class Turns {
  private readonly last = new Map<string, Promise<void>>();

  constructor(
    private readonly clock: Clock,
    /** How long a command waits for its turn, ms: one that hangs must not add up for all behind it. */
    private readonly patienceMs: number,
  ) {}

  /** Throws `NotApplied` when the turn does not come in time. */
  async take<T>(stream: string, work: () => Promise<T>): Promise<T> {
    const before = this.last.get(stream);
    let done = (): void => undefined;
    const mine = new Promise<void>((resolve) => (done = resolve));
    const end = (): void => {
      if (this.last.get(stream) === mine) this.last.delete(stream);
      done();
    };
    this.last.set(stream, mine);
    if (before && !(await this.comes(before))) {
      // Whoever is behind still waits for the one before.
      void before.then(end);
      throw new NotApplied(`${stream}: others were at work for ${this.patienceMs} ms`);
    }
    try {
      return await work();
    } finally {
      end();
    }
  }

  private comes(before: Promise<void>): Promise<boolean> {
    return new Promise((resolve) => {
      const cancel = this.clock.after(this.patienceMs, () => resolve(false));
      void before.then(() => {
        cancel();
        resolve(true);
      });
    });
  }
}
