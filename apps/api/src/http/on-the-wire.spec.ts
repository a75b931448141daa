import { BadRequestException, InternalServerErrorException } from '@nestjs/common';
import { Rejected } from '#domain';
import { LogUnavailable, NotApplied, OutcomeUnknown } from '#event-log';
import { StoreUnavailable } from '#read-model';
import { MalformedPosition } from '../position.js';
import { Unavailable } from '../services/unavailable.js';
import { errorBody, onTheWire } from './on-the-wire.js';
import { Refused } from './refused.js';

const changing = { unknownIdStatus: 404, changes: true } as const;
const asking = { unknownIdStatus: 404, changes: false } as const;
const shown = (error: unknown, context: { unknownIdStatus: 404 | 400; changes: boolean } = changing) => {
  const { status, exception, headers, unexpected } = onTheWire(error, context);
  return [status, exception.split('.').at(-1), headers['X-CS-Outcome'], headers['Retry-After'], unexpected];
};

it.each([
  [new Rejected('service-not-found', 'm'), [404, 'NotFoundException', undefined, undefined, false]],
  [new Rejected('state-already-completed', 'm'), [409, 'ConflictException', undefined, undefined, false]],
  [new Rejected('extension-not-mergeable', 'm'), [400, 'BadRequestException', undefined, undefined, false]],
  [new Rejected('service-too-large', 'm'), [413, 'PayloadTooLargeException', undefined, undefined, false]],
  [new Rejected('idempotency-key-reused', 'm'), [422, 'UnprocessableEntityException', undefined, undefined, false]],
  [new Rejected('invalid-enumerated-value', 'm'), [400, 'ValidationException', undefined, undefined, false]],
  [new Rejected('metadata-not-found', 'm'), [404, 'NotFoundException', undefined, undefined, false]],
  [new Rejected('metadata-invalid', 'm'), [400, 'ValidationException', undefined, undefined, false]],
  [new Rejected('metadata-taken', 'm'), [409, 'ConflictException', undefined, undefined, false]],
  [new Rejected('metadata-in-use', 'm'), [409, 'ConflictException', undefined, undefined, false]],
  [new Rejected('metadata-too-large', 'm'), [413, 'PayloadTooLargeException', undefined, undefined, false]],
  [new Refused('invalid', 'm'), [400, 'ValidationException', undefined, undefined, false]],
  [new Refused('not-json', 'm'), [415, 'UnsupportedMediaTypeException', undefined, undefined, false]],
  [new MalformedPosition('m'), [400, 'BadRequestException', undefined, undefined, false]],
  [new Unavailable('ModeException', 'm', 'not-applied', 3), [503, 'ModeException', 'not-applied', '3', false]],
  [new Unavailable('StreamParkedException', 'm'), [503, 'StreamParkedException', undefined, '1', false]],
  [
    new Unavailable('OverloadedException', 'm', 'not-applied', 0.2),
    [503, 'OverloadedException', 'not-applied', '1', false],
  ],
  [new OutcomeUnknown('m'), [503, 'OutcomeUnknownException', 'unknown', '1', false]],
  [new NotApplied('m'), [503, 'OverloadedException', 'not-applied', '1', false]],
  [Object.assign(new Error('m'), { statusCode: 413 }), [413, 'PayloadTooLargeException', undefined, undefined, false]],
  [new BadRequestException('m'), [400, 'BadRequestException', undefined, undefined, false]],
])('%s', (error, expected) => expect(shown(error)).toEqual(expected));

it('answers what nobody foresaw with 503, whatever it says of itself, and with what is known of the change', () => {
  for (const error of [
    new Error('bug'),
    new InternalServerErrorException(),
    Object.assign(new Error('x'), { statusCode: 502 }),
    'text',
    undefined,
    null,
  ]) {
    expect(shown(error, changing)).toEqual([503, 'ServiceUnavailableException', 'unknown', '1', true]);
    expect(shown(error, asking)).toEqual([503, 'ServiceUnavailableException', undefined, '1', true]);
    expect(onTheWire(error, asking).message).not.toMatch(/bug/);
  }
});

it('says of a store or log that does not answer what became of a change', () => {
  for (const error of [new StoreUnavailable('m'), new LogUnavailable('m')]) {
    expect(shown(error, asking)).toEqual([503, 'ServiceUnavailableException', undefined, '1', false]);
    expect(shown(error, changing)).toEqual([503, 'ServiceUnavailableException', 'not-applied', '1', false]);
  }
});

it('answers unknown ids with 400 where the option says so', () => {
  for (const code of ['service-not-found', 'state-not-found', 'task-not-found'] as const) {
    expect(shown(new Rejected(code, 'm'), { ...changing, unknownIdStatus: 400 })).toEqual([
      400,
      'NotFoundException',
      undefined,
      undefined,
      false,
    ]);
  }
  expect(shown(new Refused('no-such-route', 'm'), { ...changing, unknownIdStatus: 400 })[0]).toBe(404);
  expect(shown(new Rejected('metadata-not-found', 'm'), { ...changing, unknownIdStatus: 400 })[0]).toBe(404);
});

it.each([
  [undefined, false],
  ['*/*', false],
  ['application/json', false],
  ['application/problem+json', true],
  ['text/html, Application/Problem+JSON;q=0.5', true],
  ['application/problem+json;q=0', false],
])('is a problem for a caller that accepts %j: %s', (accept, isProblem) => {
  const { contentType, body } = errorBody(onTheWire(new Refused('invalid', 'm'), asking), accept);
  expect(contentType).toBe(isProblem ? 'application/problem+json;charset=UTF-8' : 'application/json;charset=UTF-8');
  expect(Object.keys(JSON.parse(body) as object)).toEqual(
    isProblem ? ['type', 'title', 'status', 'detail', 'message', 'exception'] : ['message', 'exception'],
  );
});

it.each([
  ['/metadata', true],
  ['/metadata/profiles/extensions', true],
  ['/server/status', true],
  ['/profiles/0001', true],
  ['/interactions/0001', true],
  ['/services/1-2/interactions', true],
  ['/customers/C/interactions/', true],
  ['/services/start', false],
  ['/services/1-2/states', false],
  ['/customers/interactions/services', false],
  ['/metadatas', false],
  ['', false],
])('tells of a request for %s in the form of its half of the contract: %s', (path, ofTheProfilesHalf) => {
  const { body } = errorBody(onTheWire(new Refused('no-such-route', 'm'), asking), undefined, { method: 'GET', path });
  expect(JSON.parse(body)).toEqual({
    ...(ofTheProfilesHalf && { http_method: 'GET', http_uri: path, http_code: 404, code: 404, error: 'Not Found' }),
    message: 'm',
    exception: 'com.genesyslab.gsg.services.contextservices.exceptions.NotFoundException',
  });
});
