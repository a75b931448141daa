const DAY_MS = 86_400_000;

/** The requests of today that this process has answered (contract 8, V1); a day is one of UTC, as all times of the contract. */
export class RequestCounts {
  private day = Number.NaN;
  private requests = 0;
  private clientErrors = 0;
  private serverErrors = 0;
  private last: Date | undefined;

  constructor(private readonly now: () => Date = () => new Date()) {}

  /** One request that was answered with this status. */
  count(status: number): void {
    this.beginDay();
    this.last = this.now();
    this.requests++;
    if (status >= 500) this.serverErrors++;
    else if (status >= 400) this.clientErrors++;
  }

  /** `last` is undefined before the first request. */
  get today(): { requests: number; clientErrors: number; serverErrors: number; last: Date | undefined } {
    this.beginDay();
    const { requests, clientErrors, serverErrors, last } = this;
    return { requests, clientErrors, serverErrors, last };
  }

  private beginDay(): void {
    const day = Math.floor(this.now().getTime() / DAY_MS);
    if (day === this.day) return;
    this.day = day;
    this.requests = this.clientErrors = this.serverErrors = 0;
  }
}
