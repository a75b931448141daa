import { Catch, NotFoundException, type ArgumentsHost, type ExceptionFilter } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Logger } from '#operations';
import { RejectedAt } from '../services/rejected-at.js';
import { errorBody, onTheWire } from './on-the-wire.js';
import { Refused } from './refused.js';
import type { Routes } from './routes.js';
import { pathBehindPrefix, type UrlPrefixes } from './sent-request.js';

const changing: ReadonlySet<string> = new Set(['POST', 'PUT', 'DELETE', 'PATCH']);

/** Answers every error, whoever threw it: Fastify, Nest, a controller, a handler behind the buses. */
@Catch()
export class ErrorsFilter implements ExceptionFilter {
  constructor(
    private readonly routes: Routes,
    private readonly unknownIdStatus: 404 | 400,
    private readonly prefixes: UrlPrefixes,
    private readonly log: Logger,
  ) {}

  catch(error: unknown, host: ArgumentsHost): void {
    const http = host.switchToHttp();
    this.answer(error, http.getRequest<FastifyRequest>(), http.getResponse<FastifyReply>());
  }

  answer(error: unknown, request: FastifyRequest, reply: FastifyReply): void {
    // Nest says so of a URL that no route matches; nothing of ours throws it.
    if (error instanceof NotFoundException) return this.answerUnrouted(request, reply);
    const { method } = request;
    const answer = onTheWire(error, { unknownIdStatus: this.unknownIdStatus, changes: changing.has(method) });
    if (answer.unexpected) {
      const correlationId = request.sent?.correlationId;
      this.log.error(
        { correlationId, method, route: request.routeOptions.url, error },
        'a request failed unexpectedly',
      );
    }
    if (reply.sent) return;
    if (error instanceof RejectedAt) {
      request.sent?.answeredAt(error.position);
      if (error.controlPosition !== undefined) request.sent?.answeredAtControl(error.controlPosition);
    }
    const path = pathBehindPrefix(request.originalUrl, this.prefixes);
    const { contentType, body } = errorBody(answer, request.headers.accept, { method, path });
    void reply.status(answer.status).headers(answer.headers).header('Content-Type', contentType).send(body);
  }

  /** No route has this path and method: 404, or 405 with what is allowed (contract 0.3, 30). */
  answerUnrouted(request: FastifyRequest, reply: FastifyReply): void {
    const allowed = this.routes.allowed(request.url);
    const Allow = allowed.join(', ');
    if (allowed.length === 0) {
      this.answer(new Refused('no-such-route', 'There is no resource at this path'), request, reply);
    } else if (request.method === 'OPTIONS') {
      void reply.status(204).header('Allow', Allow).send();
    } else {
      const message = `The method ${request.method} is not allowed here: ${Allow}`;
      this.answer(new Refused('no-such-method', message, { Allow }), request, reply);
    }
  }
}
