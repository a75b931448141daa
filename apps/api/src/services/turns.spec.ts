import { Clock, NotApplied } from '#event-log';
import { Turns } from './turns.js';

/** Time stands still until a test moves it. */
class StandingClock extends Clock {
  private timers: (() => void)[] = [];

  override now(): number {
    return 0;
  }

  override after(_ms: number, callback: () => void): () => void {
    this.timers.push(callback);
    return () => {
      this.timers = this.timers.filter((one) => one !== callback);
    };
  }

  passes(): void {
    for (const callback of this.timers.splice(0)) callback();
  }
}

describe('turns', () => {
  let clock: StandingClock;
  let turns: Turns;
  const order: string[] = [];
  const hang = (): { work: () => Promise<void>; release: () => void } => {
    let release = (): void => undefined;
    const released = new Promise<void>((resolve) => (release = resolve));
    return { work: () => released, release };
  };
  const note = (name: string) => async () => {
    order.push(name);
  };

  beforeEach(() => {
    clock = new StandingClock();
    turns = new Turns(clock, 1_000);
    order.length = 0;
  });

  it('come one after another in a stream', async () => {
    const { work, release } = hang();
    const first = turns.take('a', work).then(note('first'));
    const second = turns.take('a', note('second'));
    const other = turns.take('b', note('other stream'));
    await other;
    expect(order).toEqual(['other stream']);
    release();
    await Promise.all([first, second]);
    expect(order).toContain('second');
  });

  it('are given up when they do not come in time, and those behind still wait for the one at work', async () => {
    const { work, release } = hang();
    const first = turns.take('a', work);
    const second = turns.take('a', note('second'));
    clock.passes();
    await expect(second).rejects.toThrow(NotApplied);
    const third = turns.take('a', note('third'));
    await turns.take('b', note('meanwhile'));
    expect(order).toEqual(['meanwhile']);
    release();
    await Promise.all([first, third]);
    expect(order).toEqual(['meanwhile', 'third']);
  });

  it('go on after work that failed', async () => {
    await expect(turns.take('a', () => Promise.reject(new Error('no')))).rejects.toThrow('no');
    await turns.take('a', note('next'));
    expect(order).toEqual(['next']);
  });
});
