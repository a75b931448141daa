import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import type { ExecutionContext } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { SystemClock } from '#event-log';
import type { ControlLog } from '../control/control-log.js';
import type { Engine } from '../engine/engine.js';
import { Gate } from './gate.js';
import { ModeGuard, RequiresMode } from './mode.guard.js';

class Route {
  @RequiresMode('production')
  call(): void {
    return;
  }
}

/** A call that waits before it is admitted, and meanwhile this happens to its answer. */
async function admittedAfter(happens: (raw: ServerResponse) => void): Promise<{ gate: Gate; raw: ServerResponse }> {
  const raw = new ServerResponse(new IncomingMessage(new Socket()));
  const control = { serverMode: { mode: 'production', epoch: 0 }, catchUpWith: async () => happens(raw) };
  const gate = new Gate(control as unknown as ControlLog, { isHeld: true, term: 0 }, new SystemClock());
  const request = { method: 'GET', routeOptions: { url: '/x' }, sent: { method: 'GET /x' } };
  const guard = new ModeGuard(new Reflector(), { running: () => ({ control, gate }) } as unknown as Engine);
  await guard.canActivate({
    getHandler: () => Route.prototype.call,
    switchToHttp: () => ({ getRequest: () => request, getResponse: () => ({ raw }) }),
  } as unknown as ExecutionContext);
  return { gate, raw };
}

describe('a switch of the mode', () => {
  it('waits for a call until its connection is closed', async () => {
    const { gate, raw } = await admittedAfter(() => undefined);
    expect(await gate.drained('data', 1)).toBe(false);
    raw.emit('close');
    expect(await gate.drained('data', 1)).toBe(true);
  });

  it('does not wait for a call whose connection broke before it was admitted', async () => {
    const { gate } = await admittedAfter((raw) => raw.destroy());
    expect(await gate.drained('data', 1)).toBe(true);
  });
});
