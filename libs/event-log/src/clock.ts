/** Time and timers from outside, so that a simulation can own them. */
export abstract class Clock {
  /** Epoch milliseconds of this process. */
  abstract now(): number;
  /** Calls back once after `ms`; the returned function cancels it. */
  abstract after(ms: number, callback: () => void): () => void;

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.after(ms, resolve));
  }
}

export class SystemClock extends Clock {
  override now(): number {
    return Date.now();
  }

  override after(ms: number, callback: () => void): () => void {
    const timer = setTimeout(callback, ms);
    return () => clearTimeout(timer);
  }
}
