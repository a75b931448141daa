import cassandra from 'cassandra-driver';
import { StoreUnavailable } from '../read-model.js';
import { RefusedStart } from '../refused-start.js';

const { errors, types } = cassandra;
const { responseErrorCodes } = types;

/** Answers that mean: not now. A write may have been done or not. */
const PASSING_ANSWERS: readonly number[] = [
  responseErrorCodes.serverError,
  responseErrorCodes.unavailableException,
  responseErrorCodes.overloaded,
  responseErrorCodes.isBootstrapping,
  responseErrorCodes.writeTimeout,
  responseErrorCodes.readTimeout,
  responseErrorCodes.readFailure,
  responseErrorCodes.writeFailure,
];
const FAULTS_OF_OURS = [
  errors.ArgumentError,
  errors.NotSupportedError,
  errors.DriverInternalError,
  TypeError,
  RangeError,
  ReferenceError,
  SyntaxError,
];
/** Of a lightweight transaction whose outcome is not known; the driver has no name for it. */
const CAS_WRITE_UNKNOWN = 0x1700;

/**
 * The one place where errors of the driver become ours. What only a change of the program can help (a wrong statement, a
 * wrong value) stays as it is; whatever else there is, some of it plain errors, means that nobody answered.
 */
export function asOurs(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof StoreUnavailable || isFaultOfOurs(error)) return error;
  return new StoreUnavailable(`Cassandra does not answer: ${reasonOf(error)}`, { cause: error });
}

/** Of an error while connecting: what the driver says about its options is said for good. */
export function asOursAtStart(error: unknown): unknown {
  if (error instanceof RefusedStart) return error;
  const wrongOption = [error, ...innerErrors(error)].find((one) => one instanceof errors.ArgumentError);
  return wrongOption ? new RefusedStart(wrongOption.message, { cause: error }) : asOurs(error);
}

/** Of an error while connecting: the node does not know the keyspace. It may list one in its tables a moment earlier. */
export const isUnknownKeyspace = (error: unknown): boolean =>
  [error, ...innerErrors(error)].some(
    (one) => one instanceof errors.ResponseError && one.code === responseErrorCodes.invalid,
  );

const innerErrors = (error: unknown): readonly unknown[] => Object.values(byHost(error));

/** In one line: the driver's own message holds whole stacks. */
function reasonOf(error: Error): string {
  const hosts = Object.entries(byHost(error)).map(([host, { message }]) => `${host}: ${message}`);
  return hosts.length > 0 ? hosts.join('; ') : error.message;
}

const byHost = (error: unknown): Readonly<Record<string, Error>> =>
  error instanceof errors.NoHostAvailableError ? ((error.innerErrors as Record<string, Error> | null) ?? {}) : {};

const isFaultOfOurs = (error: Error): boolean =>
  error instanceof errors.ResponseError
    ? !PASSING_ANSWERS.includes(error.code) && error.code !== CAS_WRITE_UNKNOWN
    : FAULTS_OF_OURS.some((fault) => error instanceof fault);

export async function asking<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    throw asOurs(error);
  }
}
