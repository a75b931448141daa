import { STATUS_CODES, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { Readable } from 'node:stream';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { Histogram } from 'prom-client';
import { labelled, registry, type Logger } from '#operations';
import { ErrorsFilter } from './errors.filter.js';
import type { SentBody } from './json-body.js';
import { errorBody, onTheWire } from './on-the-wire.js';
import { Refused } from './refused.js';
import { Routes } from './routes.js';
import { JSON_TYPE, prefixOf, SentRequest, withoutOrigin, type UrlPrefixes } from './sent-request.js';

export interface ServerOptions {
  readonly prefixes: UrlPrefixes;
  readonly tenant: string;
  readonly maxBodyBytes: number;
  readonly unknownIdStatus: 404 | 400;
  readonly log: Logger;
  /** Each answer to a route that is not of the operations. */
  readonly onAnswered: (status: number) => void;
}

/** Node takes no longer URL; a contact key of 1024 bytes, percent-encoded, is well within. */
const LONGEST_PARAMETER = 16 * 1024;

const latency = new Histogram({
  name: 'cs_http_request_seconds',
  help: 'Time from a request to the end of its answer, by route pattern and status.',
  labelNames: ['method', 'route', 'status'] as const,
  buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
  registers: [registry],
});

/**
 * Fastify below Nest, reading and refusing requests as the contract says (0.3, 29 and 30). The filter answers what Nest
 * and its controllers throw; the same form is used where Nest is not reached.
 */
export function createServer(options: ServerOptions): {
  adapter: FastifyAdapter;
  errors: ErrorsFilter;
  routes: Routes;
} {
  const { prefixes, maxBodyBytes, log } = options;
  const routes = new Routes();
  const errors = new ErrorsFilter(routes, options.unknownIdStatus, prefixes, log);
  const unanswered = new Unanswered();
  const adapter = new FastifyAdapter({
    bodyLimit: maxBodyBytes,
    routerOptions: { ignoreTrailingSlash: true, maxParamLength: LONGEST_PARAMETER, querystringParser: () => ({}) },
    // An open connection is served until the server is closed: what arrives on it is not refused.
    return503OnClosing: false,
    // Node would refuse it without a body.
    http: { requireHostHeader: false },
    rewriteUrl: ({ url = '/' }) => withBase(withoutOrigin(url), prefixes),
    frameworkErrors: (error: Error, request: FastifyRequest, reply: FastifyReply) =>
      errors.answer(error, request, reply),
    clientErrorHandler: (error: NodeJS.ErrnoException, socket: Socket) => {
      unanswered.afterThose(socket, (others) => answerUnparsable(error, socket, others));
    },
  });
  const server: FastifyInstance = adapter.getInstance();
  server.server.on('checkExpectation', refuseExpectation);
  server.server.on('request', unanswered.add);
  server.decorateRequest('sentType');
  readBodiesAsBytes(server, maxBodyBytes);
  server.addHook('onRoute', ({ method, url }) => {
    for (const one of [method].flat()) routes.add({ method: one, pattern: url });
  });
  server.decorateRequest('sent');
  server.addHook('onRequest', (request, reply, done) => {
    request.sent = new SentRequest(request, reply, options.tenant, prefixes);
    try {
      refuseNoHost(request);
      refuseEmptySegments(request.url);
      // What is wrong with path or method is said before what is wrong with headers and body: those belong to a route.
      if (request.is404) return errors.answerUnrouted(request, reply);
      if (!operations.test(request.url)) request.sent.read();
      done();
    } catch (error) {
      done(error as Error);
    }
  });
  // Only what is serialized here passes: Fastify has named its own form of the type by then.
  server.addHook('preSerialization', (_request, reply, payload, done) => {
    reply.header('Content-Type', JSON_TYPE);
    done(null, payload);
  });
  server.addHook('onSend', (request, _reply, payload, done) => lookAgain(request, payload, done));
  closeWhatIsAnswered(server);
  server.addHook('onResponse', (request, reply, done) => {
    const { method } = request;
    const route = request.routeOptions.url ?? 'none';
    labelled(latency, method, route, String(reply.statusCode)).observe(reply.elapsedTime / 1000);
    const { sent } = request;
    if (!operations.test(request.url)) options.onAnswered(reply.statusCode);
    log.debug(
      { method, route, status: reply.statusCode, ms: reply.elapsedTime, correlationId: sent?.correlationId },
      'answered',
    );
    done();
  });
  return { adapter, errors, routes };
}

/** Just before a query is answered, be it by an error: a stream that is not sent must end, too. */
function lookAgain({ sent }: FastifyRequest, payload: unknown, done: (error: Error | null, payload?: unknown) => void) {
  const look = sent?.beforeAnswer;
  if (!sent || !look) return done(null, payload);
  // Only once: the refusal is an answer as well.
  sent.beforeAnswer = undefined;
  try {
    look();
    done(null, payload);
  } catch (error) {
    if (payload instanceof Readable) payload.destroy();
    done(error as Error);
  }
}

/** Not of the contract: they have no prefix. */
const operations = /^\/(?:health|metrics)(?:[/?]|$)/;

/** Routes stand under the base path; another prefix is put in its place. */
function withBase(url: string, prefixes: UrlPrefixes): string {
  if (operations.test(url)) return url;
  const prefix = prefixOf(url, prefixes);
  return prefix === undefined || prefix === prefixes.base ? url : prefixes.base + url.slice(prefix.length);
}

/**
 * Whatever its content type is, a body is kept as bytes for the pipe that knows what is to be read. The header is taken
 * away because Fastify would refuse a body that names a type which it cannot parse.
 */
function readBodiesAsBytes(server: FastifyInstance, maxBodyBytes: number): void {
  server.addHook('onRequest', (request, _reply, done) => {
    const type = request.raw.headers['content-type'];
    if (type !== undefined) {
      request.sentType = type;
      request.raw.headers['content-type'] = undefined;
    }
    done();
  });
  server.removeAllContentTypeParsers();
  server.addContentTypeParser(
    '*',
    { parseAs: 'buffer', bodyLimit: maxBodyBytes },
    (request: FastifyRequest, bytes: Buffer, done: (error: Error | null, body?: SentBody) => void) => {
      const { sentType: contentType } = request;
      const encoding = request.headers['content-encoding'] ?? 'identity';
      if (encoding !== 'identity') {
        return done(new Refused('not-json', `The content encoding ${encoding.slice(0, 60)} is not known here`));
      }
      done(null, { bytes, ...(contentType !== undefined && { contentType }) });
    },
  );
}

/** Node closes idle connections when the server closes, but not those that become idle later: the end would wait for them. */
function closeWhatIsAnswered(server: FastifyInstance): void {
  let closing = false;
  server.addHook('preClose', (done) => {
    closing = true;
    done();
  });
  server.addHook('onSend', (_request, reply, _payload, done) => {
    if (closing) reply.header('Connection', 'close');
    done();
  });
  server.addHook('onResponse', (_request, _reply, done) => {
    if (closing) setImmediate(() => server.server.closeIdleConnections());
    done();
  });
}

function refuseEmptySegments(url: string): void {
  const [empty, query] = [url.indexOf('//'), url.indexOf('?')];
  if (empty !== -1 && (query === -1 || empty < query))
    throw new Refused('unreadable', 'The path holds an empty segment');
}

function refuseNoHost({ raw }: FastifyRequest): void {
  if (raw.headers.host === undefined && raw.httpVersion === '1.1')
    throw new Refused('unreadable', 'A request of HTTP/1.1 needs the header Host');
}

/** Node asks before Fastify sees the request. The connection ends: a body may follow that nobody reads. */
function refuseExpectation(request: IncomingMessage, response: ServerResponse): void {
  const refusal = Object.assign(new Error('Only 100-continue can be expected'), { statusCode: 417 });
  const { contentType, body } = errorBody(
    onTheWire(refusal, { unknownIdStatus: 404, changes: false }),
    request.headers.accept,
  );
  const length = Buffer.byteLength(body);
  response.writeHead(417, { 'Content-Type': contentType, 'Content-Length': length, Connection: 'close' }).end(body);
}

const clientErrorStatus: Readonly<Record<string, number>> = {
  HPE_HEADER_OVERFLOW: 431,
  HPE_CHUNK_EXTENSIONS_OVERFLOW: 413,
  ERR_HTTP_REQUEST_TIMEOUT: 408,
};

/**
 * By connection, the answers to requests that came whole. What comes behind them and cannot be read must not be answered
 * in their place: their callers would take a refusal for the outcome of what is being done (contract 0.3, 9).
 */
class Unanswered {
  private readonly owed = new WeakMap<Socket, Set<ServerResponse>>();
  private readonly broken = new WeakSet<Socket>();

  readonly add = (request: IncomingMessage, response: ServerResponse): void => {
    const { socket } = request;
    const owed = this.owed.get(socket) ?? new Set();
    this.owed.set(socket, owed.add(response));
    response.once('close', () => owed.delete(response));
  };

  /** Node reports a connection that it cannot read each time that something comes; `act` is called once, after the answers. */
  afterThose(socket: Socket, act: (others: boolean) => void): void {
    if (this.broken.has(socket)) return;
    this.broken.add(socket);
    const whole = [...(this.owed.get(socket) ?? [])].filter(({ req }) => req.complete);
    if (whole.length === 0) return act(false);
    // They are answered in the order of the requests.
    whole.at(-1)?.once('close', () => act(true));
  }
}

/**
 * Node could not read the request at all: no Fastify request exists, the answer is written to the socket. Behind other
 * answers the connection only ends.
 */
function answerUnparsable(error: NodeJS.ErrnoException, socket: Socket, behindOthers: boolean): void {
  if (error.code === 'ECONNRESET' || socket.destroyed) return;
  if (behindOthers) return socket.destroySoon();
  const status = clientErrorStatus[error.code ?? ''] ?? 400;
  const reason = STATUS_CODES[status] ?? 'Bad Request';
  const refusal = Object.assign(new Error(`The request cannot be read: ${reason}`), { statusCode: status });
  const { contentType, body } = errorBody(onTheWire(refusal, { unknownIdStatus: 404, changes: false }), undefined);
  if (socket.writable) {
    socket.write(
      `HTTP/1.1 ${status} ${reason}\r\nContent-Type: ${contentType}\r\n` +
        `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
    );
  }
  socket.destroy(error);
}
