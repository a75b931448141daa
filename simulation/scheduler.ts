import { Clock } from '#event-log';
import type { Random } from './random.js';

/** Whose code runs: a process that may be killed or hang, or the world around all of them. */
export class Owner {
  alive = true;
  hangs = false;
  /** What it cannot reach. */
  readonly cutOffFrom = new Set<'control' | 'leases'>();
  /** What became ready while the process hung. */
  readonly heldBack: (() => void)[] = [];

  constructor(
    readonly name: string,
    /** When it began, virtual ms. */
    readonly since = 0,
  ) {}
}

interface Continuation {
  readonly owner: Owner;
  readonly run: () => void;
}

interface Timer {
  readonly at: number;
  readonly order: number;
  readonly owner: Owner;
  /** Undefined once it was cancelled. */
  callback: (() => void) | undefined;
}

/** How often a timer or a message comes before code that could go on already. */
const overtaking = 0.25;

/**
 * One thread of everything: of all code that could go on one piece is picked at random, run until it waits again, and
 * then the next. Time is virtual and moves only from timer to timer. The seed makes every choice.
 */
export class Scheduler {
  /** Virtual milliseconds since the beginning. */
  now = 0;
  steps = 0;
  readonly world = new Owner('world');
  private current = this.world;
  private readonly ready: Continuation[] = [];
  private readonly timers = new TimerQueue();

  constructor(private readonly random: Random) {}

  /** What each `await` of the code under test waits for: the value, and then its turn. */
  point<T>(value: T | PromiseLike<T>): Promise<T> {
    const owner = this.current;
    return new Promise((resolve, reject) => {
      if (isThenable(value)) {
        value.then(
          (result) => this.enqueue(owner, () => resolve(result)),
          (error: unknown) => this.enqueue(owner, () => reject(error as Error)),
        );
      } else this.enqueue(owner, () => resolve(value));
    });
  }

  /** Runs as this owner's code, when its turn comes; never if the owner is dead by then. */
  enqueue(owner: Owner, run: () => void): void {
    if (!owner.alive) return;
    if (owner.hangs) owner.heldBack.push(run);
    else this.ready.push({ owner, run });
  }

  after(owner: Owner, ms: number, callback: () => void): () => void {
    const timer: Timer = { at: this.now + Math.max(0, ms), order: this.timers.count, owner, callback };
    this.timers.add(timer);
    return () => (timer.callback = undefined);
  }

  sleep(owner: Owner, ms: number): Promise<void> {
    return new Promise((resolve) => this.after(owner, ms, resolve));
  }

  kill(owner: Owner): void {
    owner.alive = false;
    owner.heldBack.length = 0;
  }

  /** Stops the process as SIGSTOP does: what is sent to it waits. */
  hang(owner: Owner): void {
    owner.hangs = true;
  }

  resume(owner: Owner): void {
    owner.hangs = false;
    for (const run of owner.heldBack.splice(0)) this.enqueue(owner, run);
  }

  /** Resolves when `done` holds, or with false when nothing can happen any more or `maxSteps` are over. */
  run(done: () => boolean, maxSteps: number): Promise<boolean> {
    const last = this.steps + maxSteps;
    const soon = Promise.resolve();
    return new Promise((resolve) => {
      const step = (): void => {
        if (done()) return resolve(true);
        if (this.steps >= last || !this.advance()) return resolve(false);
        void soon.then(tick);
      };
      // The next tick comes when every microtask is done: then all that goes on from here waits again.
      const tick = (): void => process.nextTick(step);
      process.nextTick(step);
    });
  }

  private advance(): boolean {
    for (;;) {
      const timer = this.timers.first();
      const { length } = this.ready;
      if (length === 0 && timer === undefined) return false;
      if (timer !== undefined && (length === 0 || this.random.chance(overtaking))) {
        this.timers.removeFirst();
        const { callback, owner } = timer;
        if (callback === undefined || !owner.alive) continue;
        this.now = timer.at;
        if (owner.hangs) {
          owner.heldBack.push(callback);
          continue;
        }
        return this.goOn(owner, callback);
      }
      const index = length === 1 ? 0 : this.random.below(length);
      const { owner, run } = this.ready[index]!;
      this.ready[index] = this.ready[length - 1]!;
      this.ready.pop();
      if (!owner.alive) continue;
      if (owner.hangs) {
        owner.heldBack.push(run);
        continue;
      }
      return this.goOn(owner, run);
    }
  }

  private goOn(owner: Owner, run: () => void): true {
    this.steps++;
    this.current = owner;
    run();
    return true;
  }
}

/** Earliest first; of equal ones the older. */
class TimerQueue {
  count = 0;
  private readonly heap: Timer[] = [];

  first(): Timer | undefined {
    return this.heap[0];
  }

  add(timer: Timer): void {
    const { heap } = this;
    this.count++;
    let place = heap.length;
    heap.push(timer);
    while (place > 0) {
      const parent = (place - 1) >> 1;
      if (!earlier(timer, heap[parent]!)) break;
      heap[place] = heap[parent]!;
      place = parent;
    }
    heap[place] = timer;
  }

  removeFirst(): void {
    const { heap } = this;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    let place = 0;
    for (;;) {
      let child = 2 * place + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && earlier(heap[child + 1]!, heap[child]!)) child++;
      if (!earlier(heap[child]!, last)) break;
      heap[place] = heap[child]!;
      place = child;
    }
    heap[place] = last;
  }
}

const earlier = (one: Timer, other: Timer): boolean =>
  one.at < other.at || (one.at === other.at && one.order < other.order);

const isThenable = <T>(value: T | PromiseLike<T>): value is PromiseLike<T> =>
  typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';

/** When the simulated world begins, by its true time. */
export const beginning = Date.UTC(2026, 0, 1);

/** A process's own clock: wrong by `skew`, and still while the process is dead. */
export class SimulatedClock extends Clock {
  constructor(
    private readonly scheduler: Scheduler,
    private readonly owner: Owner,
    private readonly skew: number,
  ) {
    super();
  }

  override now(): number {
    return Math.floor(beginning + this.scheduler.now + this.skew);
  }

  override after(ms: number, callback: () => void): () => void {
    return this.scheduler.after(this.owner, ms, callback);
  }
}

/** What the transpiled sources call at each `await` (see build.mjs). */
export function installSchedulingPoints(scheduler: Scheduler): void {
  Object.assign(globalThis, {
    schedulingPoint: <T>(value: T | PromiseLike<T>) => scheduler.point(value),
    schedulingPoints: <T>(items: AsyncIterable<T> | Iterable<T>) => inTurns(items, scheduler),
  });
}

/** The iteration of `for await`, each step a scheduling point. */
function inTurns<T>(items: AsyncIterable<T> | Iterable<T>, scheduler: Scheduler): AsyncIterable<T> | Iterable<T> {
  if (!(Symbol.asyncIterator in items)) return items;
  return {
    [Symbol.asyncIterator]: () => {
      const iterator = items[Symbol.asyncIterator]();
      return {
        next: () => scheduler.point(iterator.next()),
        ...(iterator.return && { return: (value?: unknown) => scheduler.point(iterator.return!(value)) }),
      };
    },
  };
}
