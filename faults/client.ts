import { formatPositions, mergeSeen, parsePositions, type SeenPositions } from '../apps/api/src/position.js';
import type { Ask, Call, CallAnswered, History, OwnerAsked } from './history.js';
import type { Server } from './server.js';
import { everything } from './shown.js';

interface HttpRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  readonly route: string;
  readonly body?: unknown;
}

const exceptionPackage = 'com.genesyslab.gsg.services.contextservices.exceptions.';

/** Asks over HTTP, and writes down what was asked and answered. */
export class Client {
  private calls = 0;

  constructor(
    private readonly history: History,
    /** Part of every correlation id: no other run has used it. */
    private readonly name: string,
    /** How long an answer is waited for, ms. */
    private readonly patienceMs: number,
  ) {}

  /** A repeat says of which call. */
  async ask(
    server: Server,
    ask: Ask,
    { key, seen, repeats }: { readonly key?: string; readonly seen?: string; readonly repeats?: Call } = {},
  ): Promise<Call> {
    const id = `${this.name}.${this.calls++}`;
    const call = this.history.asked({
      id,
      request: repeats?.request ?? id,
      process: server.name,
      ask,
      ...(key !== undefined && { key }),
      ...(seen !== undefined && { seen }),
    });
    const answered = server.origin === undefined ? undefined : await this.send(server.origin, call);
    if (answered) this.history.answered(call, answered);
    return call;
  }

  /** Undefined when the connection broke, or nothing came in time. */
  private async send(origin: string, { id, ask, key, seen }: Call): Promise<CallAnswered | undefined> {
    const { method, route, body } = requestOf(ask);
    try {
      const response = await fetch(`${origin}/genesys/1/cs/${route}`, {
        method,
        headers: {
          'x-correlation-id': id,
          ...(key !== undefined && { 'idempotency-key': key }),
          ...(seen !== undefined && { 'x-cs-position': seen }),
          ...(body !== undefined && { 'content-type': 'application/json' }),
        },
        signal: AbortSignal.timeout(this.patienceMs),
        ...(body !== undefined && { body: JSON.stringify(body) }),
      });
      const text = await response.text();
      return answeredBy(response, text);
    } catch {
      return undefined;
    }
  }
}

function answeredBy({ status, headers }: Response, text: string): CallAnswered {
  const header = (name: string): string | undefined => headers.get(name) ?? undefined;
  const body: unknown = text === '' ? undefined : JSON.parse(text);
  const exception = (body as { readonly exception?: string } | undefined)?.exception?.replace(exceptionPackage, '');
  const position = header('x-cs-position');
  // Whoever is told to come back is told when.
  const isOdd = status === 503 && !/^\d+$/.test(header('retry-after') ?? '');
  const outcome = isOdd ? '503 without Retry-After' : header('x-cs-outcome');
  return {
    status,
    ...(outcome !== undefined && { outcome }),
    ...(exception !== undefined && { exception }),
    ...(position !== undefined && { position }),
    ...(body !== undefined && { body }),
  };
}

function requestOf(ask: Ask): HttpRequest {
  const post = (route: string, body?: unknown): HttpRequest => ({ method: 'POST', route, body });
  const service = 'service_id' in ask ? `services/${ask.service_id}` : '';
  switch (ask.kind) {
    case 'start':
      return post('services/start', { ...ownerOf(ask), ...(ask.ttl !== undefined && { ttl: ask.ttl }) });
    case 'associate':
      return post(`customers/${ask.customer_id}/${service}`, {});
    case 'end':
      return post(`${service}/end`, { disposition_desc: 'done' });
    case 'delete':
      return { method: 'DELETE', route: service };
    case 'expire':
      return { method: 'PUT', route: service, body: { ttl: ask.ttl } };
    case 'start-state':
      return post(`${service}/states/start`, { state_type: 'First' });
    case 'end-state':
      return post(`${service}/states/${ask.state_id}/end`, {});
    case 'transition':
      return post(`${service}/states/transition`, { from: { state_id: ask.state_id }, to: { state_type: 'Next' } });
    case 'start-task':
      return post(`${service}/tasks/start`, {
        task_type: 'Call',
        ...(ask.state_id !== undefined && { state_id: ask.state_id }),
      });
    case 'end-task':
      return post(`${service}/tasks/${ask.task_id}/end`, {});
    case 'replace':
    case 'merge': {
      const part = ask.state_id !== undefined ? `/states/${ask.state_id}` : ask.task_id ? `/tasks/${ask.task_id}` : '';
      const extension = `${service}${part}/extensions/${ask.name}`;
      return { method: 'PUT', route: ask.kind === 'merge' ? `${extension}/merge` : extension, body: ask.value };
    }
    case 'composite': {
      const task = ask.withTask ? { task: { task_type: 'Call' } } : {};
      return post('services_composite/start', {
        services: [{ service: ownerOf(ask), state: { state_type: 'First' }, ...task }],
      });
    }
    case 'get':
      return { method: 'GET', route: `${service}?${everything}` };
    case 'list': {
      const list =
        ask.customer_id !== undefined
          ? `customers/${ask.customer_id}/services`
          : `services/anonymous/${ask.contact_key}`;
      return { method: 'GET', route: `${list}${ask.status === 'all' ? '' : `/${ask.status}`}?${everything}` };
    }
    case 'switch':
      return post('server/mode', { mode: ask.mode });
  }
}

const ownerOf = ({ customer_id, contact_key }: OwnerAsked): OwnerAsked => ({
  ...(customer_id !== undefined && { customer_id }),
  ...(contact_key !== undefined && { contact_key }),
});

/** What a caller has seen of the log: the positions of its answers, merged. */
export class Seen {
  private positions: SeenPositions = { services: new Map() };

  add({ answer }: Call): void {
    this.positions = mergeSeen(this.positions, parsePositions(answer?.position));
  }

  get header(): string | undefined {
    return formatPositions(this.positions);
  }
}
