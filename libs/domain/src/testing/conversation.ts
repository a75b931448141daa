import type {
  ExtensionMerged,
  ExtensionReplaced,
  OtherServiceChosen,
  ServiceAssociated,
  ServiceDeleted,
  ServiceEnded,
  ServiceExpired,
  ServiceStarted,
  ServiceUpdated,
  StateEnded,
  StateStarted,
  StateTransitioned,
  StateUpdated,
  TaskEnded,
  TaskStarted,
  TaskUpdated,
} from '#events';

/** The caller's minutes of the conversation that the rules are told with. */
export const at = (minute: number): string => new Date(Date.UTC(2026, 2, 1, 9, minute)).toISOString();

export const service_id = '3-0195510a-0000-7000-8000-000000000001';
export const fiveYears = { slide: 5 * 365 * 24 * 60 * 60 };

type Some<Event extends { data: object }> = Partial<Event['data']>;

export const serviceStarted = (data: Some<ServiceStarted> = {}): ServiceStarted => ({
  type: 'ServiceStarted',
  data: { service_id, contact_key: '+33155550100', service_type: 'Claim', timestamp: at(0), ...data },
});

export const serviceAssociated = (data: Some<ServiceAssociated> = {}): ServiceAssociated => ({
  type: 'ServiceAssociated',
  data: { service_id, customer_id: 'C-1', timestamp: at(1), ...data },
});

export const serviceUpdated = (data: Some<ServiceUpdated> = {}): ServiceUpdated => ({
  type: 'ServiceUpdated',
  data: { service_id, timestamp: at(2), ...data },
});

export const serviceEnded = (data: Some<ServiceEnded> = {}): ServiceEnded => ({
  type: 'ServiceEnded',
  data: { service_id, timestamp: at(50), ...data },
});

export const serviceDeleted: ServiceDeleted = { type: 'ServiceDeleted', data: { service_id } };
export const otherServiceChosen = (other_service_id: string): OtherServiceChosen => ({
  type: 'OtherServiceChosen',
  data: { service_id, other_service_id },
});
export const serviceExpired: ServiceExpired = { type: 'ServiceExpired', data: { service_id } };

export const stateStarted = (state_id: string, data: Some<StateStarted> = {}): StateStarted => ({
  type: 'StateStarted',
  data: { service_id, timestamp: at(3), ...data, state_id },
});

export const stateUpdated = (state_id: string, data: Some<StateUpdated> = {}): StateUpdated => ({
  type: 'StateUpdated',
  data: { service_id, timestamp: at(4), ...data, state_id },
});

export const stateEnded = (state_id: string, data: Some<StateEnded> = {}): StateEnded => ({
  type: 'StateEnded',
  data: { service_id, timestamp: at(5), ...data, state_id },
});

export const stateTransitioned = (
  from: StateTransitioned['data']['from'],
  to: StateTransitioned['data']['to'],
  data: Some<StateTransitioned> = {},
): StateTransitioned => ({ type: 'StateTransitioned', data: { service_id, timestamp: at(6), ...data, from, to } });

export const taskStarted = (task_id: string, data: Some<TaskStarted> = {}): TaskStarted => ({
  type: 'TaskStarted',
  data: { service_id, timestamp: at(7), ...data, task_id },
});

export const taskUpdated = (task_id: string, data: Some<TaskUpdated> = {}): TaskUpdated => ({
  type: 'TaskUpdated',
  data: { service_id, timestamp: at(8), ...data, task_id },
});

export const taskEnded = (task_id: string, data: Some<TaskEnded> = {}): TaskEnded => ({
  type: 'TaskEnded',
  data: { service_id, timestamp: at(9), ...data, task_id },
});

type Owner = { readonly state_id?: string; readonly task_id?: string };

export const extensionReplaced = (
  name: string,
  value: ExtensionReplaced['data']['value'],
  owner: Owner = {},
): ExtensionReplaced => ({ type: 'ExtensionReplaced', data: { service_id, ...owner, name, value } });

export const extensionMerged = (
  name: string,
  value: ExtensionMerged['data']['value'],
  owner: Owner = {},
): ExtensionMerged => ({ type: 'ExtensionMerged', data: { service_id, ...owner, name, value } });
