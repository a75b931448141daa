import type { LiveService, State, Task } from '#domain';
import type { Extensions } from '#events';

/** The extensions that callers of the suite set. */
export const extensionNames = ['Notes', 'Kept'] as const;

/** Shows all of a service that the suite looks at. */
export const everything =
  'active_states=true&completed_states=true&active_tasks=true&completed_tasks=true&extensions=*';

type Shown = { readonly [name: string]: unknown };

/** Of a service in an answer: equal texts say the same of it. */
export function shownInAnswer(body: Shown): string {
  const states = [...parts(body, 'active_states', 'active'), ...parts(body, 'completed_states', 'completed')];
  const tasks = [body, ...states.map(({ part }) => part)].flatMap((holder) => [
    ...parts(holder, 'active_tasks', 'active'),
    ...parts(holder, 'completed_tasks', 'completed'),
  ]);
  return text({
    id: body['service_id'],
    customer: body['customer_id'],
    contact: body['contact_key'],
    status: body['completed'] === undefined ? 'active' : 'completed',
    extensions: extensionsIn(body),
    states: states.map(({ part, status }) => [part['state_id'], status, extensionsIn(part)]),
    tasks: tasks.map(({ part, status }) => [part['task_id'], status, extensionsIn(part)]),
  });
}

/** The same of a service as the log has it. */
export function shownInLog(service: LiveService): string {
  const part = (id: string, { status, extensions }: State | Task) => [id, status, extensionsIn(extensions)];
  return text({
    id: service.service_id,
    customer: service.customer_id,
    contact: service.contact_key,
    status: service.status,
    extensions: extensionsIn(service.extensions),
    states: service.states.map((state) => part(state.state_id, state)),
    tasks: service.tasks.map((task) => part(task.task_id, task)),
  });
}

const parts = (holder: Shown, name: string, status: string): { part: Shown; status: string }[] =>
  ((holder[name] ?? []) as readonly Shown[]).map((part) => ({ part, status }));

const extensionsIn = (holder: Shown | Extensions): Shown =>
  Object.fromEntries(extensionNames.map((name) => [name, (holder as Shown)[name]]));

/** The order of states and tasks is that of their times, which is for other tests. */
const text = (shown: { readonly states: unknown[][]; readonly tasks: unknown[][] } & Shown): string =>
  JSON.stringify({ ...shown, states: sorted(shown.states), tasks: sorted(shown.tasks) });

const sorted = (items: readonly unknown[]): string[] => items.map((item) => JSON.stringify(item)).sort();
