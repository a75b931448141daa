import type { ExtensionOwner, Extensions, Lifetime, ServiceEvent } from '#events';
import { Rejected } from '../rejected.js';
import { answerOf } from './answer.js';
import type { ServiceCommand } from './commands.js';
import { findExtension, findState, findTask, isMergeable, newestActiveState, newestActiveTask } from './find.js';
import type { Answer, LiveService, Service, State, Task } from './service.js';

export interface Decision {
  /** What to record; missing when everything asked for is there already (a composite start that found it all). */
  readonly event?: ServiceEvent;
  readonly answer: Answer;
}

/**
 * What this command adds to the service. Pure. Throws `Rejected`. A repeat with an idempotency key is answered before
 * (`keptAnswer`): so that it can be, a command that came with one (`isKeyed`) always records something. States and tasks
 * go on after the end of their service (contract S3).
 */
export function decide(command: ServiceCommand, service: Service, isKeyed = false): Decision {
  if (command.refusal) throw command.refusal;
  if (command.type === 'StartService') {
    if (service.status !== 'unstarted') {
      throw new Rejected('service-already-started', `There is already a service : ${command.data.service_id}`);
    }
    return record({ type: 'ServiceStarted', data: command.data });
  }
  if (service.status === 'unstarted' || service.status === 'gone') {
    throw new Rejected('service-not-found', `There are no service found for : ${command.data.service_id}`);
  }
  return decideLive(command, service, isKeyed);
}

function decideLive(
  command: Exclude<ServiceCommand, { type: 'StartService' }>,
  service: LiveService,
  isKeyed: boolean,
): Decision {
  switch (command.type) {
    case 'AssociateService': {
      const { customer_id, contact_key } = service;
      const contact = command.data.contact_key ?? contact_key;
      return record({
        type: 'ServiceAssociated',
        data: {
          ...command.data,
          ...(customer_id !== undefined && { previous_customer_id: customer_id }),
          ...(contact !== undefined && { contact_key: contact }),
          ...(contact_key !== undefined && { previous_contact_key: contact_key }),
        },
      });
    }
    case 'UpdateService': {
      refuseCompleted(service);
      const { service_type: _compared, ...data } = command.data;
      if (!isKeyed && !bringsNews(data, command.lifetime))
        return { answer: { service_id: service.service_id, created: false } };
      return record({ type: 'ServiceUpdated', data });
    }
    case 'EndService':
      refuseCompleted(service);
      return record({ type: 'ServiceEnded', data: { ...command.data, ...ownerOf(service) } });
    case 'DeleteService':
      return record({ type: 'ServiceDeleted', data: command.data });
    case 'ChangeExpiration':
      return record({ type: 'ExpirationChanged', data: command.data });
    case 'StartState':
      refuseForeign(command.data.previous_state_id, service);
      refuseTakenState(command.data.state_id, service);
      return record({ type: 'StateStarted', data: command.data });
    case 'FindOrStartState': {
      const { state_id: _unused, state_type, ...data } = command.data;
      refuseForeign(data.previous_state_id, service);
      const found = newestActiveState(service, command.sought ? command.sought.types : state_type);
      if (!found) {
        refuseTakenState(command.data.state_id, service);
        return record({ type: 'StateStarted', data: command.data });
      }
      const { state_id } = found;
      if (!isKeyed && !bringsNews(data, command.lifetime))
        return { answer: { service_id: data.service_id, state_id, created: false } };
      return record({ type: 'StateUpdated', data: { ...data, state_id } });
    }
    case 'EndState':
      refuseCompleted(state(command.data.state_id, service));
      return record({ type: 'StateEnded', data: command.data });
    case 'TransitionState':
      refuseCompleted(state(command.data.from.state_id, service));
      refuseTakenState(command.data.to.state_id, service);
      return record({ type: 'StateTransitioned', data: command.data });
    case 'StartTask':
      refuseForeign(command.data.state_id, service);
      refuseTakenTask(command.data.task_id, service);
      return record({ type: 'TaskStarted', data: command.data });
    case 'FindOrStartTask': {
      const { task_id: _unused, task_type, state_id, ...data } = command.data;
      refuseForeign(state_id, service);
      const found = newestActiveTask(service, command.sought ? command.sought.types : task_type, state_id);
      if (!found) {
        refuseTakenTask(command.data.task_id, service);
        return record({ type: 'TaskStarted', data: command.data });
      }
      const { task_id } = found;
      if (!isKeyed && !bringsNews(data, command.lifetime))
        return { answer: { service_id: data.service_id, task_id, created: false } };
      return record({ type: 'TaskUpdated', data: { ...data, task_id } });
    }
    case 'EndTask':
      refuseCompleted(task(command.data.task_id, service));
      return record({ type: 'TaskEnded', data: command.data });
    case 'ReplaceExtension':
      owner(command.data, service);
      return record({ type: 'ExtensionReplaced', data: command.data });
    case 'MergeExtension':
      refuseNotMergeable(command.data.name, owner(command.data, service).extensions);
      return record({ type: 'ExtensionMerged', data: command.data });
  }
}

const ownerOf = ({ customer_id, contact_key }: LiveService) => ({
  ...(customer_id !== undefined && { customer_id }),
  ...(contact_key !== undefined && { contact_key }),
});

const record = (event: ServiceEvent): Decision => ({ event, answer: answerOf(event) });

/**
 * Whether a composite start brings anything for what it found: extensions, a lifetime, or a field beside ids and time.
 * The time is no news, callers that send none have it defaulted.
 */
function bringsNews(data: { readonly extensions?: Extensions }, lifetime: Lifetime | undefined): boolean {
  const {
    service_id: _id,
    timestamp: _time,
    extensions = {},
    ...fields
  } = data as Record<string, unknown> & typeof data;
  return (
    lifetime !== undefined ||
    Object.keys(extensions).length > 0 ||
    Object.values(fields).some((value) => value !== undefined)
  );
}

function state(id: string, service: LiveService): State {
  const found = findState(service, id);
  if (!found) throw new Rejected('state-not-found', `There are no state found for : ${id}`);
  return found;
}

function task(id: string, service: LiveService): Task {
  const found = findTask(service, id);
  if (!found) throw new Rejected('task-not-found', `There are no task found for : ${id}`);
  return found;
}

const owner = ({ state_id, task_id }: ExtensionOwner, service: LiveService): LiveService | State | Task =>
  task_id !== undefined ? task(task_id, service) : state_id !== undefined ? state(state_id, service) : service;

function refuseCompleted(item: LiveService | State | Task): void {
  if (item.status === 'active') return;
  const [kind, id] =
    'task_id' in item
      ? (['task', item.task_id] as const)
      : 'states' in item
        ? (['service', item.service_id] as const)
        : (['state', item.state_id] as const);
  throw new Rejected(`${kind}-already-completed`, `The ${kind} ${id} was completed at ${item.completed.timestamp}`);
}

/**
 * A state that a new task hangs on is one of its service (contract K1). We hold `previous_state_id` to the same, where
 * no source says: a timeline must not point to nowhere.
 */
function refuseForeign(stateId: string | undefined, service: LiveService): void {
  if (stateId !== undefined) state(stateId, service);
}

function refuseTakenState(id: string, service: LiveService): void {
  if (findState(service, id)) throw new Rejected('state-already-started', `There is already a state : ${id}`);
}

function refuseTakenTask(id: string, service: LiveService): void {
  if (findTask(service, id)) throw new Rejected('task-already-started', `There is already a task : ${id}`);
}

function refuseNotMergeable(name: string, extensions: Extensions): void {
  const stored = findExtension(extensions, name);
  if (stored === undefined || isMergeable(stored)) return;
  throw new Rejected(
    'extension-not-mergeable',
    `The extension ${name} is not an object: nothing can be merged into it`,
  );
}
