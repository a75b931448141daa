import { STATUS_CODES } from 'node:http';
import { HttpException, HttpStatus } from '@nestjs/common';
import { Rejected, type RejectionCode } from '#domain';
import { LogUnavailable, NotApplied, OutcomeUnknown } from '#event-log';
import { StoreUnavailable } from '#read-model';
import { MalformedPosition } from '../position.js';
import { BeyondTheLog } from '../services/recent-streams.js';
import { Unavailable } from '../services/unavailable.js';
import { Refused, type RefusalCode } from './refused.js';
import { JSON_TYPE } from './sent-request.js';

interface Form {
  readonly status: HttpStatus;
  readonly exception: string;
}

/** How each rejection looks on the wire. A code missing here does not compile. */
const rejections = {
  'service-not-found': { status: HttpStatus.NOT_FOUND, exception: 'NotFoundException' },
  'state-not-found': { status: HttpStatus.NOT_FOUND, exception: 'NotFoundException' },
  'task-not-found': { status: HttpStatus.NOT_FOUND, exception: 'NotFoundException' },
  'service-already-started': { status: HttpStatus.CONFLICT, exception: 'ConflictException' },
  'state-already-started': { status: HttpStatus.CONFLICT, exception: 'ConflictException' },
  'task-already-started': { status: HttpStatus.CONFLICT, exception: 'ConflictException' },
  'service-already-completed': { status: HttpStatus.CONFLICT, exception: 'ConflictException' },
  'state-already-completed': { status: HttpStatus.CONFLICT, exception: 'ConflictException' },
  'task-already-completed': { status: HttpStatus.CONFLICT, exception: 'ConflictException' },
  'extension-not-mergeable': { status: HttpStatus.BAD_REQUEST, exception: 'BadRequestException' },
  'expiration-not-in-future': { status: HttpStatus.BAD_REQUEST, exception: 'ValidationException' },
  'service-too-large': { status: HttpStatus.PAYLOAD_TOO_LARGE, exception: 'PayloadTooLargeException' },
  'idempotency-key-reused': { status: HttpStatus.UNPROCESSABLE_ENTITY, exception: 'UnprocessableEntityException' },
  'invalid-enumerated-value': { status: HttpStatus.BAD_REQUEST, exception: 'ValidationException' },
  'metadata-not-found': { status: HttpStatus.NOT_FOUND, exception: 'NotFoundException' },
  'metadata-invalid': { status: HttpStatus.BAD_REQUEST, exception: 'ValidationException' },
  'metadata-taken': { status: HttpStatus.CONFLICT, exception: 'ConflictException' },
  'metadata-in-use': { status: HttpStatus.CONFLICT, exception: 'ConflictException' },
  'metadata-too-large': { status: HttpStatus.PAYLOAD_TOO_LARGE, exception: 'PayloadTooLargeException' },
} as const satisfies Record<RejectionCode, Form>;

/** Of services and what is in them: for these an option gives the status of the product (contract 0.3, 2). */
const unknownIds: ReadonlySet<RejectionCode> = new Set(['service-not-found', 'state-not-found', 'task-not-found']);

const refusals = {
  unreadable: { status: HttpStatus.BAD_REQUEST, exception: 'BadRequestException' },
  invalid: { status: HttpStatus.BAD_REQUEST, exception: 'ValidationException' },
  'unknown-tenant': { status: HttpStatus.BAD_REQUEST, exception: 'ContextServicesExceptionResource' },
  'no-such-route': { status: HttpStatus.NOT_FOUND, exception: 'NotFoundException' },
  'no-such-method': { status: HttpStatus.METHOD_NOT_ALLOWED, exception: 'MethodNotAllowedException' },
  'no-profile-schema': { status: HttpStatus.NOT_FOUND, exception: 'NotFoundException' },
  'too-large': { status: HttpStatus.PAYLOAD_TOO_LARGE, exception: 'PayloadTooLargeException' },
  'not-json': { status: HttpStatus.UNSUPPORTED_MEDIA_TYPE, exception: 'UnsupportedMediaTypeException' },
} as const satisfies Record<RefusalCode, Form>;

/** The form that callers of version 8.5.1 and later know (contract 1.6). */
const exceptionPackage = 'com.genesyslab.gsg.services.contextservices.exceptions';
const RETRY_AFTER_SECONDS = 1;

export interface ErrorAnswer {
  readonly status: number;
  readonly message: string;
  /** With its package. */
  readonly exception: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Nobody foresaw this error: it belongs into the log. */
  readonly unexpected: boolean;
}

export interface ErrorContext {
  /** What an unknown id is answered with (contract 0.3, 2). */
  readonly unknownIdStatus: 404 | 400;
  /** Whether the request may have changed something. */
  readonly changes: boolean;
}

/**
 * Every error that can reach a caller, as it is answered. Nothing is a 5xx but 503 with `Retry-After`, and what is not
 * known is said to be unknown (contract 0.3, 11).
 */
export function onTheWire(error: unknown, { unknownIdStatus, changes }: ErrorContext): ErrorAnswer {
  if (error instanceof Rejected) {
    const { status, exception } = rejections[error.code];
    return answer(unknownIds.has(error.code) ? unknownIdStatus : status, exception, error.message);
  }
  if (error instanceof Refused) {
    const { status, exception } = refusals[error.code];
    return answer(status, exception, error.message, error.headers);
  }
  if (error instanceof MalformedPosition || error instanceof BeyondTheLog)
    return answer(HttpStatus.BAD_REQUEST, 'BadRequestException', error.message);
  if (error instanceof Unavailable) {
    return unavailable(error.exception, error.message, changes ? error.outcome : undefined, error.retryAfterSeconds);
  }
  if (error instanceof OutcomeUnknown) {
    const message = 'It is not known whether the request was applied. Repeat it with the same Idempotency-Key.';
    return unavailable('OutcomeUnknownException', message, 'unknown');
  }
  if (error instanceof NotApplied) {
    return unavailable(
      'OverloadedException',
      'The log does not keep up; nothing was changed. Try again.',
      'not-applied',
    );
  }
  if (error instanceof LogUnavailable || error instanceof StoreUnavailable) {
    const message = 'The log or the read model does not answer. Try again.';
    return unavailable('ServiceUnavailableException', message, changes ? 'not-applied' : undefined);
  }
  return clientError(error) ?? { ...unforeseen(changes), unexpected: true };
}

/** What Fastify and Node say of a request that they cannot read; Nest's own errors too. */
function clientError(error: unknown): ErrorAnswer | undefined {
  if (!(error instanceof Error)) return undefined;
  const status = error instanceof HttpException ? error.getStatus() : Reflect.get(error, 'statusCode');
  if (typeof status !== 'number' || status < 400 || status >= 500) return undefined;
  const code: unknown = Reflect.get(error, 'code');
  if (code === 'FST_ERR_BAD_URL') {
    return answer(HttpStatus.BAD_REQUEST, 'BadRequestException', 'The path holds bad percent-encoding');
  }
  if (status === Number(HttpStatus.PAYLOAD_TOO_LARGE)) {
    return answer(status, 'PayloadTooLargeException', 'The body is larger than this server takes');
  }
  return answer(status, 'BadRequestException', error.message);
}

const unforeseen = (changes: boolean): ErrorAnswer =>
  unavailable(
    'ServiceUnavailableException',
    'The request could not be answered. Try again, with the same Idempotency-Key.',
    changes ? 'unknown' : undefined,
  );

function unavailable(
  exception: string,
  message: string,
  outcome: 'not-applied' | 'unknown' | undefined,
  retryAfterSeconds = RETRY_AFTER_SECONDS,
): ErrorAnswer {
  return answer(HttpStatus.SERVICE_UNAVAILABLE, exception, message, {
    'Retry-After': String(Math.max(1, Math.ceil(retryAfterSeconds))),
    ...(outcome !== undefined && { 'X-CS-Outcome': outcome }),
  });
}

const answer = (
  status: number,
  exception: string,
  message: string,
  headers: Readonly<Record<string, string>> = {},
): ErrorAnswer => ({ status, message, exception: `${exceptionPackage}.${exception}`, headers, unexpected: false });

const problemType = 'application/problem+json';

/** The half of profiles, schemas and the server itself, whose errors tell of the request too (contract 1.1, 1.6). */
const profilesHalf =
  /^\/(?:metadata|profiles|server|interactions)(?:\/|$)|^\/(?:customers|services)\/[^/]+\/interactions(?:\/|$)/;

export interface AskedFor {
  readonly method: string;
  /** Behind the prefix. */
  readonly path: string;
}

/**
 * The body, and its content type: the product's form, of both its halves in one where the request is of the second, or
 * RFC 9457 for a caller that asks for it.
 */
export function errorBody(
  { status, message, exception }: ErrorAnswer,
  accept: string | undefined,
  { method, path }: AskedFor = { method: '', path: '' },
): { readonly contentType: string; readonly body: string } {
  const asked = accept?.split(',').some((range) => {
    const [type, ...parameters] = range.split(';').map((part) => part.trim().toLowerCase());
    return type === problemType && !parameters.some((parameter) => /^q=0(\.0*)?$/.test(parameter));
  });
  if (!asked) {
    const ofTheRequest = profilesHalf.test(path) && {
      http_method: method,
      http_uri: path,
      http_code: status,
      code: status,
      error: STATUS_CODES[status] ?? '',
    };
    return { contentType: JSON_TYPE, body: JSON.stringify({ ...ofTheRequest, message, exception }) };
  }
  const title = exception.slice(exceptionPackage.length + 1);
  return {
    contentType: `${problemType};charset=UTF-8`,
    body: JSON.stringify({ type: 'about:blank', title, status, detail: message, message, exception }),
  };
}
