import type { Scheduler } from '../scheduler.js';

/** Lets simulated things happen as they come, for tests that wait for them as for real ones. The result ends it. */
export function playOn(scheduler: Scheduler): () => void {
  let over = false;
  const stepsAtOnce = 1_000;
  const goOn = (): void => {
    if (!over) void scheduler.run(() => over, stepsAtOnce).then(() => setImmediate(goOn));
  };
  goOn();
  return () => {
    over = true;
  };
}
