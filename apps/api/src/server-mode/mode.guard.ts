import { applyDecorators, Injectable, SetMetadata, type CanActivate, type ExecutionContext } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { ApiExtension } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Engine } from '../engine/engine.js';
import type { Requirement } from '../services/admission.js';
import type { CallKind } from './gate.js';

const DECLARED = 'what a route requires of the mode';

interface Declared {
  /** `always`: not of the contract, answered in every state of the server. */
  readonly requirement: Requirement | 'always';
  /** Which switch waits for the call; undefined when none does. */
  readonly kind?: CallKind;
}

/** What a route requires of the server's mode (contract 0.3, 1); a route without it is never answered. */
export const RequiresMode = (requirement: Declared['requirement']): MethodDecorator =>
  declared({
    requirement,
    ...(requirement !== 'always' && { kind: requirement === 'production' ? 'data' : 'schema' }),
  });

/** The call that switches the mode: possible in both, and the switch does not wait for it. */
export const SwitchesMode = (): MethodDecorator => declared({ requirement: 'both' });

/** For the guard, and for readers of the OpenAPI document. */
const declared = (about: Declared): MethodDecorator =>
  applyDecorators(SetMetadata<string, Declared>(DECLARED, about), ApiExtension('x-requires-mode', about.requirement));

/** Health and metrics answer in every state; the modules that they are in know nothing of modes. */
const operations = /^\/(?:health\/|metrics$)/;

/** The gate for HTTP: whatever a route does later, it does with the admission that is given here (design 4). */
@Injectable()
export class ModeGuard implements CanActivate {
  constructor(
    private readonly reflector: Reflector,
    private readonly engine: Engine,
  ) {}

  /** Throws `Unavailable`, `BeyondTheLog`. */
  async canActivate(context: ExecutionContext): Promise<boolean> {
    const request = context.switchToHttp().getRequest<FastifyRequest>();
    const declared = this.reflector.get<Declared | undefined>(DECLARED, context.getHandler());
    if (!declared) {
      if (operations.test(request.routeOptions.url ?? '')) return true;
      throw new Error(`${request.method} ${request.routeOptions.url} does not declare the mode that it requires`);
    }
    const { requirement, kind } = declared;
    const { sent } = request;
    if (requirement === 'always') return true;
    if (!sent) throw new Error('the server was not made by createServer');
    const { control, streams, gate } = this.engine.running();
    await control.catchUpWith(sent.seenControl);
    // The paths of services wait for it themselves.
    if (requirement !== 'production') await streams.catchUpWith(sent.seenServices);
    const admitted = gate.admit(requirement, sent.method);
    sent.admitted = admitted;
    // What a command answers is true for ever; a query may have taken its time.
    if (request.method === 'GET') sent.beforeAnswer = () => this.engine.running().gate.readmit(admitted);
    if (kind) {
      // Nothing is awaited since the admission: a switch that begins now waits for this call.
      const leave = gate.enter(kind);
      const { raw } = context.switchToHttp().getResponse<FastifyReply>();
      // What was answered is closed, and so is a connection that breaks; one that broke before says nothing any more.
      if (raw.destroyed) leave();
      else raw.once('close', leave);
    }
    return true;
  }
}
