/** What is measured apart from the others. */
export const kinds = [
  'start service',
  'start state',
  'start task',
  'end task',
  'end state',
  'get service',
  'end service',
] as const;

export type Kind = (typeof kinds)[number];

export interface Call {
  readonly kind: Kind;
  readonly method: 'GET' | 'POST';
  /** Below the base path. */
  readonly path: string;
  readonly body?: string;
}

/** What an answer tells of ids. */
export interface Ids {
  readonly service_id?: string;
  readonly state_id?: string;
  readonly task_id?: string;
}

export const STATES = 5;
export const TASKS_OF_A_STATE = 2;

/** Text that an agent desktop would attach: with it the bodies of a conversation come to about 10 kB. */
const NOTE =
  'The caller asked about the second instalment and was told the date. Identification by date of birth. Language: ' +
  'English. The line was noisy; a confirmation goes out by mail. Next: check the limit, then call back before noon. ';
export const ATTACHED = {
  Channel: { name: 'voice', queue: 'loans-first-level', wait: 42, overflow: false },
  Note: NOTE,
};
export const REPORTED = {
  application_type: 2,
  application_id: 4711,
  resource_type: 1,
  resource_id: 1042,
  media_type: 1,
};

/**
 * The published load of the product, a call after the other: one service of five states with two tasks each, everything
 * started and ended, and read once before its end: 33 calls. `isRead`: with that one.
 */
export function* conversation(customer: string, isRead = true): Generator<Call, void, Ids> {
  const { service_id } = yield post('start service', 'services/start', {
    customer_id: customer,
    service_type: 3,
    est_duration: 600,
    interaction_id: '0123456789abcdef0123456789abcdef',
    ...REPORTED,
    ...ATTACHED,
  });
  const service = `services/${service_id}`;
  for (let state = 0; state < STATES; state++) {
    const { state_id } = yield post('start state', `${service}/states/start`, {
      state_type: state,
      est_duration: 120,
      ...REPORTED,
      ...ATTACHED,
    });
    for (let task = 0; task < TASKS_OF_A_STATE; task++) {
      const { task_id } = yield post('start task', `${service}/tasks/start`, {
        state_id,
        task_type: task,
        est_duration: 60,
        ...REPORTED,
        ...ATTACHED,
      });
      yield post('end task', `${service}/tasks/${task_id}/end`, {
        disposition: 1,
        disposition_desc: 'done',
        ...REPORTED,
      });
    }
    yield post('end state', `${service}/states/${state_id}/end`, {
      disposition: 1,
      disposition_desc: 'done',
      ...REPORTED,
    });
  }
  if (isRead) yield { kind: 'get service', method: 'GET', path: `${service}?extensions=*` };
  yield post('end service', `${service}/end`, { disposition: 1, disposition_desc: 'solved', ...REPORTED });
}

const post = (kind: Kind, path: string, body: object): Call => ({
  kind,
  method: 'POST',
  path,
  body: JSON.stringify(body),
});

export const CALLS = 33;
