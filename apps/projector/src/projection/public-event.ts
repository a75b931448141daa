import type { LiveService, Service, State, Task } from '#domain';
import { streamKey, type EventEnvelope, type PublishedServiceEvent } from '#events';
import type { PublicEvent } from '#event-log';

/**
 * A valid event as analysts read it: its own data, and beside it the properties of contract 12.1 as they are after it
 * (of a service that is gone: as they were last), so that no consumer needs a store of its own.
 */
export function publicEvent(
  { event, record }: EventEnvelope<PublishedServiceEvent>,
  before: Service,
  after: Service,
): PublicEvent {
  const time = new Date(record.recordedAt).toISOString();
  return {
    id: record.eventId,
    type: event.type,
    subject: record.stream,
    sequence: record.version,
    time,
    partition: record.partition,
    key: streamKey(record),
    // Assigned: spreading a second object into a literal takes ten times as long. The names are ours, never a caller's.
    data: Object.assign(properties(event, live(after) ?? live(before)), { recorded_time: time }, event.data),
  };
}

const live = (service: Service): LiveService | undefined =>
  service.status === 'active' || service.status === 'completed' ? service : undefined;

function properties(event: PublishedServiceEvent, service: LiveService | undefined): PublicEvent['data'] {
  if (!service) return {};
  const { customer_id, contact_key, service_type } = service;
  const part = partConcerned(event, service);
  const { est_duration, disposition, disposition_desc, status } = part ?? service;
  return Object.assign(
    { customer_id, contact_key, service_type },
    part && ('task_id' in part ? taskProperties(part) : stateProperties(part)),
    { est_duration, disposition, disposition_desc, status },
    // A transition tells how the state before it ended.
    event.type === 'StateTransitioned' && {
      disposition: event.data.from.disposition,
      disposition_desc: event.data.from.disposition_desc,
    },
  );
}

const stateProperties = ({ state_id, state_type, previous_state_id }: State): PublicEvent['data'] => ({
  state_id,
  state_type,
  previous_state_id,
});

const taskProperties = ({ task_id, task_type, state_id }: Task): PublicEvent['data'] => ({
  task_id,
  task_type,
  state_id,
});

/** The state or task that the event is about; undefined when that is the service itself. */
function partConcerned({ type, data }: PublishedServiceEvent, service: LiveService): State | Task | undefined {
  switch (type) {
    case 'StateStarted':
    case 'StateUpdated':
    case 'StateEnded':
      return stateOf(service, data.state_id);
    case 'StateTransitioned':
      return stateOf(service, data.to.state_id);
    case 'TaskStarted':
    case 'TaskUpdated':
    case 'TaskEnded':
      return taskOf(service, data.task_id);
    case 'ExtensionReplaced':
    case 'ExtensionMerged':
      return data.task_id === undefined ? stateOf(service, data.state_id) : taskOf(service, data.task_id);
    case 'ServiceStarted':
    case 'ServiceAssociated':
    case 'ServiceUpdated':
    case 'ServiceEnded':
    case 'ExpirationChanged':
    case 'ServiceExpired':
    case 'ServiceDeleted':
      return undefined;
  }
}

const stateOf = (service: LiveService, id: string | undefined): State | undefined =>
  service.states.find(({ state_id }) => state_id === id);

const taskOf = (service: LiveService, id: string): Task | undefined =>
  service.tasks.find(({ task_id }) => task_id === id);
