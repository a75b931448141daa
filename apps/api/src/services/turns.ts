/** Commands of one stream run one after another in this process; those of different streams do not wait for each other. */
export class Turns {
  private readonly last = new Map<string, Promise<void>>();

  async take<T>(stream: string, work: () => Promise<T>): Promise<T> {
    const before = this.last.get(stream);
    let done = (): void => undefined;
    const mine = new Promise<void>((resolve) => (done = resolve));
    this.last.set(stream, mine);
    try {
      if (before) await before;
      return await work();
    } finally {
      if (this.last.get(stream) === mine) this.last.delete(stream);
      done();
    }
  }
}
