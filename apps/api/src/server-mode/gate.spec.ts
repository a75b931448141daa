import { SystemClock } from '#event-log';
import type { ServerMode } from '#domain';
import type { ControlLog } from '../control/control-log.js';
import { Gate } from './gate.js';

const production: ServerMode = { mode: 'production', epoch: 4, keyed: [] };
const maintenance: ServerMode = { mode: 'maintenance', epoch: 5, keyed: [] };
const underWay: ServerMode = {
  ...production,
  switching: { target: 'maintenance', epoch: 5, process: 'p', since: 0, drained: new Set() },
};

/** The gate of a process that knows this mode, and holds its lease or does not. */
function gateIn(serverMode: ServerMode, lease = { isHeld: true, term: 1 }) {
  const control = { serverMode };
  return { gate: new Gate(control as unknown as ControlLog, lease, new SystemClock()), control, lease };
}

describe('admission', () => {
  it.each([
    { server: production, requirement: 'production' },
    { server: production, requirement: 'both' },
    { server: maintenance, requirement: 'maintenance' },
    { server: maintenance, requirement: 'both' },
  ] as const)('gives the epoch of the mode: $requirement in $server.mode', ({ server, requirement }) =>
    expect(gateIn(server).gate.admit(requirement, 'GET /x')).toStrictEqual({ epoch: server.epoch, term: 1 }),
  );

  it.each([
    { server: production, requirement: 'maintenance' },
    { server: maintenance, requirement: 'production' },
  ] as const)('refuses $requirement in $server.mode, and names the call and the mode', ({ server, requirement }) =>
    expect(() => gateIn(server).gate.admit(requirement, 'POST /services/start')).toThrow(
      expect.objectContaining({
        exception: 'ModeException',
        outcome: 'not-applied',
        message: `The method 'POST /services/start' is not available while the system is in '${server.mode}' mode.`,
      }) as Error,
    ),
  );

  it.each(['production', 'maintenance', 'both'] as const)('refuses %s while the mode is switched', (requirement) =>
    expect(() => gateIn(underWay).gate.admit(requirement, 'GET /x')).toThrow(
      expect.objectContaining({ exception: 'SwitchingException' }) as Error,
    ),
  );

  it.each(['production', 'both'] as const)('refuses %s when the lease has run out', (requirement) =>
    expect(() => gateIn(production, { isHeld: false, term: 1 }).gate.admit(requirement, 'GET /x')).toThrow(
      expect.objectContaining({ exception: 'ServiceUnavailableException' }) as Error,
    ),
  );
});

describe('the second look, before an answer goes out', () => {
  it('passes while the mode is the same, also when its end has begun', () => {
    const { gate, control } = gateIn(production);
    const admitted = gate.admit('production', 'GET /x');
    control.serverMode = underWay;
    expect(() => gate.readmit(admitted)).not.toThrow();
  });
  it('refuses when another mode has begun', () => {
    const { gate, control } = gateIn(production);
    const admitted = gate.admit('production', 'GET /x');
    control.serverMode = maintenance;
    expect(() => gate.readmit(admitted)).toThrow(expect.objectContaining({ exception: 'SwitchingException' }) as Error);
  });
  it('refuses when the lease has run out', () => {
    const { gate, lease } = gateIn(production);
    const admitted = gate.admit('production', 'GET /x');
    lease.isHeld = false;
    expect(() => gate.readmit(admitted)).toThrow('may not know the mode');
  });
  it('refuses when the lease had run out meanwhile', () => {
    const { gate, lease } = gateIn(production);
    const admitted = gate.admit('production', 'GET /x');
    lease.term++;
    expect(() => gate.readmit(admitted)).toThrow('may not know the mode');
  });
});

describe('calls in flight', () => {
  it('none: drained at once', async () => expect(await gateIn(production).gate.drained('data', 0)).toBe(true));

  it('are waited for, the last one too, and only those of the kind that is asked for', async () => {
    const { gate } = gateIn(production);
    gate.enter('schema');
    const leave = [gate.enter('data'), gate.enter('data')];
    let isDrained = false;
    const drained = gate.drained('data', 60_000).then((complete) => (isDrained = complete));
    leave[0]!();
    // A call that says twice that it has ended does not end another one.
    leave[0]!();
    await new Promise(setImmediate);
    expect(isDrained).toBe(false);
    leave[1]!();
    expect(await drained).toBe(true);
  });

  it('are waited for within a limit', async () => {
    const { gate } = gateIn(production);
    gate.enter('data');
    expect(await gate.drained('data', 5)).toBe(false);
  });
});
