import { createHash, randomUUID } from 'node:crypto';
import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { IdempotencyDigest } from '#events';
import {
  formatPositions,
  mergeSeen,
  nothingSeen,
  parsePositions,
  type LogPositions,
  type SeenPositions,
} from '../position.js';
import type { Admitted } from '../services/admission.js';
import type { RequestContext } from '../services/service.messages.js';
import type { SentBody } from './json-body.js';
import { QueryParameters } from './query-parameters.js';
import { Refused } from './refused.js';

declare module 'fastify' {
  interface FastifyRequest {
    /** Missing only when Fastify itself could not read the request's path. */
    sent?: SentRequest;
    /** `Content-Type`; the header itself is taken away. */
    sentType?: string;
  }
}

export interface UrlPrefixes {
  /** Of the routes, without a slash at the end: `/genesys/1/cs`. */
  readonly base: string;
  /** Other prefixes under which the same routes are served; the longest one that fits is taken. */
  readonly extra: readonly string[];
}

export const JSON_TYPE = 'application/json;charset=UTF-8';
const HTML_TYPE = 'text/html;charset=UTF-8';

/** Characters of a path that a message repeats. */
const LONGEST_NAMED_PATH = 200;

/** Correlation ids go into record headers. */
const goodCorrelationId = /^[\x21-\x7e]{1,128}$/;
const goodIdempotencyKey = /^[\x20-\x7e]{1,255}$/;

const noQuery = new QueryParameters('');

/** What came with a request beside path and body, and the headers that its answer carries. */
export class SentRequest {
  readonly correlationId: string;
  /** Of the URL as it was sent; answers' `Location` and `Link` carry it. */
  readonly prefix: string;
  /** As it was sent, but for scheme and host. */
  private readonly url: string;
  /** Given by the guard, before any handler. */
  admitted: Admitted | undefined;
  /** Given by the guard to queries: throws when what was admitted may not be answered any more. */
  beforeAnswer: (() => void) | undefined;
  private seen: SeenPositions = { services: nothingSeen };

  constructor(
    private readonly request: FastifyRequest,
    private readonly reply: FastifyReply,
    readonly tenant: string,
    prefixes: UrlPrefixes,
  ) {
    const given = request.headers['x-correlation-id'];
    this.correlationId = typeof given === 'string' && goodCorrelationId.test(given) ? given : randomUUID();
    this.url = withoutOrigin(request.originalUrl);
    this.prefix = prefixOf(this.url, prefixes) ?? prefixes.base;
    reply.header('X-Correlation-Id', this.correlationId);
  }

  /** Reads what must be readable before any work is done. Throws `Refused` or `MalformedPosition`. */
  read(): void {
    this.query = new QueryParameters(queryText(this.request.url));
    const tenant = this.request.headers['contactcenterid'];
    if (tenant !== undefined && tenant !== this.tenant) {
      throw new Refused(
        'unknown-tenant',
        `Invalid tenant specified : specified tenant in HTTP header 'ContactCenterId'='${String(tenant)}' not configured. Verify configuration.`,
      );
    }
    const seen = this.request.headers['x-cs-position'];
    if (seen !== undefined) this.stand(parsePositions(Array.isArray(seen) ? seen.join(',') : seen));
  }

  query = noQuery;

  /** How messages name this request: `POST /services/start`. */
  get method(): string {
    return `${this.request.method} ${this.path.slice(0, LONGEST_NAMED_PATH)}`;
  }

  /** Behind the prefix, as it was sent. */
  get path(): string {
    return behindPrefix(this.url, this.prefix);
  }

  /** As it was sent, with a body or without. */
  get contentType(): string | undefined {
    return this.request.sentType;
  }

  /** For the buses. Throws `Refused` for a bad `Idempotency-Key`. */
  get context(): RequestContext {
    const idempotency = this.idempotency();
    if (!this.admitted) throw new Error('no gate has admitted this request');
    return {
      admitted: this.admitted,
      tenant: this.tenant,
      correlationId: this.correlationId,
      seen: this.seen.services,
      ...(idempotency && { idempotency }),
    };
  }

  /** Says where in the log the answer stands: not before what the caller has seen. */
  answeredAt(position: LogPositions): void {
    this.stand({ services: position });
  }

  /** The same for the control log. */
  answeredAtControl(offset: number): void {
    this.stand({ services: nothingSeen, control: offset });
  }

  /** What the caller has seen of the control log. */
  get seenControl(): number | undefined {
    return this.seen.control;
  }

  /** What the caller has seen of the services log. */
  get seenServices(): LogPositions {
    return this.seen.services;
  }

  private stand(position: SeenPositions): void {
    this.seen = mergeSeen(this.seen, position);
    const header = formatPositions(this.seen);
    if (header !== undefined) this.reply.header('X-CS-Position', header);
  }

  /** `Location`: a path with the prefix of the request (contract 0.3, 20). */
  location(...segments: readonly string[]): void {
    this.reply.header('Location', [this.prefix, ...segments.map(encodeURIComponent)].join('/'));
  }

  /** `Link` to the next page: the same URL with another cursor. */
  nextPage(cursor: string): void {
    const [path] = this.url.split('?') as [string];
    this.reply.header('Link', `<${path}?${this.query.with('page', cursor)}>; rel="next"`);
  }

  /** For an answer that is JSON already, a text or a stream. */
  answersJson(): void {
    this.reply.header('Content-Type', JSON_TYPE);
  }

  answersHtml(): void {
    this.reply.header('Content-Type', HTML_TYPE);
  }

  private idempotency(): IdempotencyDigest | undefined {
    const { method, headers } = this.request;
    const key = headers['idempotency-key'];
    if (key === undefined || (method !== 'POST' && method !== 'PUT')) return undefined;
    if (typeof key !== 'string' || !goodIdempotencyKey.test(key)) {
      throw new Refused('unreadable', 'Idempotency-Key must be 1 to 255 printable characters');
    }
    const body = this.request.body as SentBody | undefined;
    return {
      key: digest(this.tenant, '\n', key),
      request: digest(method, ' ', this.pathWithinPrefix(), '?', queryText(this.url), '\n', body?.bytes ?? ''),
    };
  }

  /** The same for every prefix, every percent-encoding of one path, and with or without a slash at the end. */
  private pathWithinPrefix(): string {
    return JSON.stringify(this.path.replace(/\/$/, '').split('/').map(decodeURIComponent));
  }
}

/** The prefix under which this URL was sent; undefined for a URL of no prefix. */
export function prefixOf(url: string, { base, extra }: UrlPrefixes): string | undefined {
  let longest: string | undefined;
  for (const prefix of extra.length === 0 ? [base] : [base, ...extra]) {
    const isOf = url.startsWith(prefix) && (url.length === prefix.length || '/?'.includes(url.charAt(prefix.length)));
    if (isOf && (longest === undefined || prefix.length > longest.length)) longest = prefix;
  }
  return longest;
}

/** Of a URL of any request, also one that could not be read any further. */
export function pathBehindPrefix(url: string, prefixes: UrlPrefixes): string {
  const path = withoutOrigin(url);
  return behindPrefix(path, prefixOf(path, prefixes) ?? '');
}

const behindPrefix = (url: string, prefix: string): string => {
  const [path] = url.split('?') as [string];
  return path.slice(prefix.length);
};

/** HTTP/1.1 lets a client, as it does to a proxy, name scheme and host in front of the path. */
export function withoutOrigin(url: string): string {
  if (url.startsWith('/')) return url;
  const path = url.replace(/^https?:\/\/[^/?#]*/i, '');
  return path.startsWith('/') || path === url ? path : `/${path}`;
}

const queryText = (url: string): string => {
  const at = url.indexOf('?');
  return at === -1 ? '' : url.slice(at + 1);
};

function digest(...parts: readonly (string | Buffer)[]): string {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest('base64url');
}

/** The {@link SentRequest} of a handler's call. */
export const Sent = createParamDecorator((_data: unknown, context: ExecutionContext): SentRequest => {
  const { sent } = context.switchToHttp().getRequest<FastifyRequest>();
  if (!sent) throw new Error('the server was not made by createServer');
  return sent;
});
