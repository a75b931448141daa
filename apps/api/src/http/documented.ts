import { applyDecorators, HttpCode } from '@nestjs/common';
import { ApiBody, ApiHeader, ApiOperation, ApiQuery, ApiResponse, type ApiQueryOptions } from '@nestjs/swagger';

type Schema = Readonly<Record<string, unknown>>;

export interface Documentation {
  /** Id of the operation in the contract, unique: `S1`. */
  readonly id: string;
  readonly summary: string;
  /** What is not said by names and types: choices where the product is silent, and where we differ from it. */
  readonly description?: string;
  readonly status: 200 | 201 | 204;
  /** Of the answer's body; missing, it is empty. */
  readonly answer?: Schema;
  readonly location?: string;
  /** Status of error answers beside 400, 413, 415, 422 and 503, with their meaning. */
  readonly errors?: Readonly<Record<number, string>>;
  /** Schema of the body where no class says it. */
  readonly body?: Schema;
  readonly query?: readonly ApiQueryOptions[];
  readonly changes?: boolean;
  /** Whether an `Idempotency-Key` is read: as a rule with everything that changes something. */
  readonly keyed?: boolean;
}

/** As `parsePositions` reads it. */
const position = '^ *([sp]\\d{1,5}|c):\\d{1,15} *(, *([sp]\\d{1,5}|c):\\d{1,15} *)*$';

const errorSchema = { $ref: '#/components/schemas/Error' };
const header = (description: string) => ({ description, schema: { type: 'string' as const } });

const everyAnswer = {
  'X-CS-Position': header('Where in the log this answer stands; send it back to read what it says, on any process.'),
  'X-Correlation-Id': header('As sent, or made here.'),
};

const errorAnswer = (status: number, description: string) =>
  ApiResponse({
    status,
    description,
    headers: {
      ...everyAnswer,
      ...(status === 503 && {
        'Retry-After': header('Seconds.'),
        'X-CS-Outcome': header('Of a request that changes something: not-applied or unknown.'),
      }),
    },
    content: {
      'application/json': { schema: errorSchema },
      'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } },
    },
  });

/** One operation of the contract, for the status of its success and for the OpenAPI document. */
export function Documented(about: Documentation): MethodDecorator {
  const { status, answer, location, errors = {}, query = [], changes = false, keyed = changes } = about;
  const operationId = `${about.id}_${about.summary.replace(/[^A-Za-z]+(.)?/g, (_, next?: string) => (next ?? '').toUpperCase())}`;
  return applyDecorators(
    HttpCode(status),
    ApiOperation({
      operationId,
      summary: `${about.id.replace(/_.*/, '')} ${about.summary}`,
      description: about.description ?? '',
    }),
    ApiResponse({
      status,
      description: answer === undefined ? 'Done; the body is empty.' : 'Done.',
      headers: { ...everyAnswer, ...(location !== undefined && { Location: header(location) }) },
      ...(answer !== undefined && { content: { 'application/json': { schema: answer } } }),
    }),
    errorAnswer(400, 'The path, query or body is not as it must be.'),
    ...Object.entries(errors).map(([code, meaning]) => errorAnswer(Number(code), meaning)),
    ...(changes
      ? [
          errorAnswer(413, 'The body, or the service with this change in it, is larger than this server takes.'),
          errorAnswer(415, 'The body says that it is something else than JSON, or compressed.'),
        ]
      : []),
    ...(keyed ? [errorAnswer(422, 'The Idempotency-Key came with another request.')] : []),
    errorAnswer(503, 'Not now. The exception tells why; nothing is said that is not known.'),
    ...(about.body === undefined ? [] : [ApiBody({ schema: about.body, required: true })]),
    ...query.map((parameter) => ApiQuery({ required: false, ...parameter } as ApiQueryOptions)),
    ApiHeader({
      name: 'X-CS-Position',
      required: false,
      description: 'What the caller has seen; the answer is not older. Not a position, or beyond the log: 400.',
      schema: { type: 'string', pattern: position },
      example: 's3:1234,c:41',
    }),
    ApiHeader({
      name: 'X-Correlation-Id',
      required: false,
      description: 'Recorded with every event; made here when missing.',
    }),
    ...(keyed
      ? [
          ApiHeader({
            name: 'Idempotency-Key',
            required: false,
            description:
              '1 to 255 printable characters. A repeat gets the first answer, on any process: 24 hours long, for a start as long as the service exists. Another request with the key of the same service: 422.',
            schema: { type: 'string', pattern: '^[ -~]{1,255}$' },
          }),
        ]
      : []),
  );
}

export const ref = (name: string): Schema => ({ $ref: `#/components/schemas/${name}` });
export const listOf = (name: string): Schema => ({ type: 'array', items: ref(name) });
export const idOnly = (name: string): Schema => ({
  type: 'object',
  required: [name],
  properties: { [name]: { type: 'string' } },
});

const flag = (name: string, description: string): ApiQueryOptions => ({ name, type: Boolean, description });

export const nestedStates = [
  flag('active_states', 'Include active states.'),
  flag('completed_states', 'Include completed states.'),
] as const;

export const nestedTasks = [
  flag('active_tasks', 'Include active tasks: those of a state that is included are in the state.'),
  flag('completed_tasks', 'Include completed tasks: those of a state that is included are in the state.'),
] as const;

export const extensions: ApiQueryOptions = {
  name: 'extensions',
  type: String,
  description:
    'Which extensions to show, separated by commas: `Name` wherever it occurs, `State.Name` of one kind only, `*` all, ' +
    '`State.*` or `State` all of one kind (`Service`, `State`, `Task`). A bare kind is a name where an extension has exactly ' +
    'that name. None is shown by default.',
};

const MOST_COUNTED = 999_999_999;

export const paging: readonly ApiQueryOptions[] = [
  {
    name: 'limit',
    schema: { type: 'integer', minimum: 1, maximum: MOST_COUNTED },
    description: 'At most so many, the newest ones; without it all.',
  },
  {
    name: 'page',
    type: String,
    description: 'From the `Link` with rel="next" of the page before; goes to older ones.',
  },
];

export const typesAsked = (name: string): ApiQueryOptions => ({
  name,
  type: String,
  description:
    'Only these types, separated by commas or given several times: by DBID, name, display name or the last known name of a value that is gone; what is not mapped, as text.',
});

const time = { type: 'string' as const, format: 'date-time' };

export const startedBetween: readonly ApiQueryOptions[] = [
  { name: 'started_from', schema: time, description: 'Started at this time or later.' },
  { name: 'started_to', schema: time, description: 'Started before this time.' },
];
