import cassandra from 'cassandra-driver';
import { RefusedStart } from '../refused-start.js';
import { asOurs, asOursAtStart } from './driver-errors.js';

const { errors, types } = cassandra;
const { responseErrorCodes } = types;

describe('an error of the driver', () => {
  it.each([
    ['no node can be reached', new errors.NoHostAvailableError({})],
    ['no answer in time', new errors.OperationTimedOutError('late')],
    ['too many requests in flight', new errors.BusyConnectionError('127.0.0.1', 1, 1)],
    ['too few copies are up', new errors.ResponseError(responseErrorCodes.unavailableException, '')],
    ['the node is overloaded', new errors.ResponseError(responseErrorCodes.overloaded, '')],
    ['the node is starting', new errors.ResponseError(responseErrorCodes.isBootstrapping, '')],
    ['too few copies wrote in time', new errors.ResponseError(responseErrorCodes.writeTimeout, '')],
    ['too few copies answered in time', new errors.ResponseError(responseErrorCodes.readTimeout, '')],
    ['a copy failed to write', new errors.ResponseError(responseErrorCodes.writeFailure, '')],
    ['a copy failed to read', new errors.ResponseError(responseErrorCodes.readFailure, '')],
    ['no connection is open', new Error('No connection available')],
    ['the connection was cut', Object.assign(new Error('Socket was closed'), { isSocketError: true })],
    ['the outcome of a transaction is not known', new errors.ResponseError(0x1700, '')],
  ])('is a store that does not answer: %s', (_case, error) =>
    expect(asOurs(error)).toMatchObject({ code: 'store-unavailable', cause: error }),
  );

  it.each([
    ['a wrong statement', new errors.ResponseError(responseErrorCodes.syntaxError, '')],
    ['a wrong value', new errors.ResponseError(responseErrorCodes.invalid, '')],
    ['not allowed', new errors.ResponseError(responseErrorCodes.unauthorized, '')],
    ['a value that cannot be encoded', new TypeError('Expected Number, obtained [object Object]')],
    ['a missing value', new errors.ArgumentError('Parameter not found')],
    ['a fault of ours', new TypeError('undefined is not a function')],
  ])('surfaces as it is: %s', (_case, error) => expect(asOurs(error)).toBe(error));
});

describe('an error of the driver while it connects', () => {
  const wrongOption = new errors.ArgumentError('localDataCenter was configured as elsewhere');

  it.each([
    ['as it is', wrongOption],
    ['from one of the nodes', new errors.NoHostAvailableError({ '10.0.0.1:9042': wrongOption })],
  ])('refuses the start when an option is wrong: %s', (_case, error) =>
    expect(asOursAtStart(error)).toMatchObject({ code: 'refused-start', message: wrongOption.message }),
  );

  it('keeps a refusal as it is', () => {
    const refused = new RefusedStart('no');
    expect(asOursAtStart(refused)).toBe(refused);
  });

  it('says in one line what each node said', () =>
    expect(
      asOursAtStart(new errors.NoHostAvailableError({ a: new Error('refused'), b: new Error('late') })),
    ).toMatchObject({
      code: 'store-unavailable',
      message: 'Cassandra does not answer: a: refused; b: late',
    }));
});
