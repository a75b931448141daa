import type { IdempotencyDigest, ServiceEvent } from '#events';
import { Rejected } from '../rejected.js';
import type { Answer, KeptStart, Service } from './service.js';

/** How long the answer to a command with an idempotency key is kept, in recorded time (design 3, idempotency). */
export const answersKeptForMs = 24 * 60 * 60 * 1000;

/** What a command is answered with once this event is recorded. Deciding and folding both ask here, so they agree. */
export function answerOf({ type, data }: ServiceEvent): Answer {
  const { service_id } = data;
  switch (type) {
    case 'ServiceStarted':
      return { service_id, created: true };
    case 'ServiceUpdated':
      return { service_id, created: false };
    case 'StateStarted':
      return { service_id, state_id: data.state_id, created: true };
    case 'StateUpdated':
      return { service_id, state_id: data.state_id, created: false };
    case 'StateEnded':
      return { service_id, state_id: data.state_id };
    case 'StateTransitioned':
      return { service_id, state_id: data.to.state_id, created: true };
    case 'TaskStarted':
      return { service_id, task_id: data.task_id, created: true };
    case 'TaskUpdated':
      return { service_id, task_id: data.task_id, created: false };
    case 'TaskEnded':
      return { service_id, task_id: data.task_id };
    case 'ExtensionReplaced':
    case 'ExtensionMerged':
      return {
        service_id,
        ...(data.state_id !== undefined && { state_id: data.state_id }),
        ...(data.task_id !== undefined && { task_id: data.task_id }),
      };
    case 'ServiceAssociated':
    case 'ServiceEnded':
    case 'ExpirationChanged':
    case 'ServiceExpired':
    case 'ServiceDeleted':
      return { service_id };
    case 'OtherServiceChosen':
      return { service_id: data.other_service_id, created: false };
  }
}

/**
 * The first answer to a request with this key, undefined when the key is new to the service. `now`: recorded time. That
 * of the start is kept as long as the stream, also after the service is gone. Throws `Rejected` when the key came with
 * another request.
 */
export function keptAnswer(service: Service, digest: IdempotencyDigest, now: number): Answer | undefined {
  const kept = keptFor(service, digest.key, now);
  if (kept !== undefined && kept.request !== digest.request) {
    throw new Rejected('idempotency-key-reused', 'This Idempotency-Key came before with another method, path or body');
  }
  return kept?.answer;
}

function keptFor(service: Service, key: string, now: number): KeptStart | undefined {
  if ('start' in service && service.start?.key === key) return service.start;
  const { answers = [] } = 'answers' in service ? service : {};
  return answers.findLast((answer) => answer.key === key && now - answer.at <= answersKeptForMs);
}
