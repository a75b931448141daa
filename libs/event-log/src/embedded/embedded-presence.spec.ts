import { SystemClock } from '../clock.js';
import { describePresence } from '../testing/presence.contract.js';
import { EmbeddedPresence } from './embedded-presence.js';

describePresence(
  'EmbeddedPresence',
  async () => ({ open: async () => new EmbeddedPresence(), close: async () => undefined }),
  { processes: 'one', shortLeaseMs: 200 },
);

/** Of a machine whose clock is set while the process runs. */
class SetClock extends SystemClock {
  offsetMs = 0;
  override now(): number {
    return super.now() + this.offsetMs;
  }
}

const HOUR_MS = 60 * 60 * 1000;

describe('EmbeddedPresence', () => {
  it.each([HOUR_MS, -HOUR_MS])('keeps its lease when the clock is set by %d ms', async (offsetMs) => {
    const clock = new SetClock();
    const presence = new EmbeddedPresence(clock);
    await presence.renew(HOUR_MS / 2);
    clock.offsetMs = offsetMs;
    const [lease] = await presence.live();
    expect(lease?.process).toBe(presence.process);
    expect(lease!.until).toBeGreaterThan(clock.now());
  });
});
