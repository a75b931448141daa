import { Injectable } from '@nestjs/common';
import { CommandBus, QueryBus } from '@nestjs/cqrs';
import {
  EnumeratedValues,
  Rejected,
  inOrder,
  withDbids,
  type Answer,
  type EnumeratedField,
  type LiveService,
  type Metadata,
  type ServiceCommand,
  type State,
  type Task,
} from '#domain';
import type { Enumerated, Lifetime } from '#events';
import { ApiOptions } from '../api.options.js';
import { Engine } from '../engine/engine.js';
import { jsonArray } from '../http/json-array.js';
import { Refused } from '../http/refused.js';
import type { SentRequest } from '../http/sent-request.js';
import { mergePositions, type LogPositions } from '../position.js';
import { extensionsAsked } from './extensions-parameter.js';
import { Ids, claimPrefix, isServerMade, randomFromPool } from './ids.js';
import { lifetimeOf } from './lifetimes.js';
import { cursorOf, pageAsked, pageOf } from './page.js';
import { serviceAnswer, type JsonObject, type Nested } from './service.answer.js';
import {
  ExecuteServiceCommand,
  GetService,
  ListServices,
  type RequestContext,
  type ServicesFilter,
} from './service.messages.js';

export type Status = 'active' | 'completed' | 'all';

/** What the controllers of services, states and tasks share: from a request to the buses and back. */
@Injectable()
export class ServiceCalls {
  private readonly defaultLifetime: Lifetime;
  private readonly meanings = new WeakMap<Metadata, EnumeratedValues>();
  private madeIds: Ids | undefined;

  constructor(
    readonly commands: CommandBus,
    private readonly queries: QueryBus,
    private readonly engine: Engine,
    private readonly options: ApiOptions,
  ) {
    this.defaultLifetime = lifetimeOf(options.expiration);
  }

  /** Epoch milliseconds by the log's clock: a process whose own clock is wrong writes right times. Throws `Unavailable`. */
  now(): number {
    return this.engine.running().backend.log.now();
  }

  /** Throws `Unavailable` until the engine is up. */
  get ids(): Ids {
    this.madeIds ??= new Ids(this.engine.running().backend.log.partitions, {
      now: () => Math.trunc(this.now()),
      random: randomFromPool,
    });
    return this.madeIds;
  }

  /** The id that a start brought with it, if that is allowed (contract 0.3, 33), else a new one. Throws `Refused`. */
  startedId(sent: string | undefined, make: () => string): string {
    return this.broughtId(sent) ?? make();
  }

  /** The id that a start brought with it; undefined when that is not allowed. Throws `Refused`. */
  broughtId(sent: string | undefined): string | undefined {
    if (!this.options.allowCustomIds || sent === undefined) return undefined;
    if (isServerMade(sent)) throw new Refused('invalid', `The id ${sent} has the form of those that the server makes`);
    if (sent.startsWith(claimPrefix))
      throw new Refused('invalid', `The id ${sent} has the form of the server's own streams`);
    return sent;
  }

  /** What enumerated values mean by the metadata of now. Throws `Unavailable` until the engine is up. */
  enumerated({ tenant }: { readonly tenant: string }): EnumeratedValues {
    const metadata = this.engine.running().control.metadata(tenant);
    const known = this.meanings.get(metadata);
    if (known) return known;
    const made = new EnumeratedValues(metadata, this.options);
    this.meanings.set(metadata, made);
    return made;
  }

  /**
   * What a command brings, with DBIDs. Throws `Rejected`. With an idempotency key the refusal is handed on instead: a repeat
   * is told what the first attempt was told, whatever its values mean by now.
   */
  withDbids<Brought extends object>(
    { tenant, idempotency }: RequestContext,
    brought: Brought,
    convert: (values: EnumeratedValues) => Brought,
  ): Brought & { readonly refusal?: Rejected } {
    try {
      return convert(this.enumerated({ tenant }));
    } catch (refusal) {
      if (!idempotency || !(refusal instanceof Rejected)) throw refusal;
      return { ...brought, refusal };
    }
  }

  /** Of a new conversation that brings no lifetime of its own: that of its type, else the default (contract 9). */
  lifetimeOfNew(asked: { readonly tenant: string }, serviceType: Enumerated | undefined): Lifetime {
    const expiration = this.enumerated(asked).expirationOf(serviceType);
    return expiration === undefined ? this.defaultLifetime : lifetimeOf(expiration);
  }

  /** The types that a list is asked for, in every form that they may be held in; undefined when it asks for none. */
  typesAsked(sent: SentRequest, field: EnumeratedField, parameter: string): readonly string[] | undefined {
    const values = this.enumerated(sent);
    return sent.query.list(parameter)?.flatMap((type) => values.storedForms(field, type));
  }

  async execute(sent: SentRequest, command: ServiceCommand): Promise<Answer> {
    const { context } = sent;
    const held = this.withDbids(context, command, (values) => withDbids(command, values));
    const { answer, position } = await this.commands.execute(new ExecuteServiceCommand(held, context));
    sent.answeredAt(position);
    return answer;
  }

  /** `has`: what the caller looks for in the service, so that its absence is not said too early. */
  async service(sent: SentRequest, serviceId: string, has?: (service: LiveService) => boolean): Promise<LiveService> {
    if (sent.query.list('at') !== undefined)
      throw new Refused(
        'invalid',
        'The query parameter at is not served yet: only the conversation of now can be asked',
      );
    const { service, position } = await this.queries.execute(new GetService(serviceId, sent.context, has));
    sent.answeredAt(position);
    return service;
  }

  /** A list of services, as a text or, when it is long, as a stream (contract S6, S7). */
  async services(sent: SentRequest, kind: 'customer' | 'contact', id: string, status: Status): Promise<unknown> {
    const { query } = sent;
    const [startedFrom, startedTo] = [query.time('started_from'), query.time('started_to')];
    const serviceTypes = this.typesAsked(sent, 'Service.type', 'service_types');
    const filter: ServicesFilter = {
      status,
      ...(startedFrom !== undefined && { startedFrom }),
      ...(startedTo !== undefined && { startedTo }),
      ...(serviceTypes !== undefined && { serviceTypes }),
    };
    const [nested, asked] = [nestedAsked(sent), extensionsAsked(query.list('extensions'))];
    const known = this.known();
    const found = await this.queries.execute(new ListServices({ kind, id }, filter, pageAsked(query), sent.context));
    sent.answeredAt(mergePositions(known, found.position));
    if (found.next !== undefined) sent.nextPage(cursorOf(found.next));
    sent.answersJson();
    return jsonArray(answers(found.services, nested, asked, this.enumerated(sent)));
  }

  /** What this process has seen of every partition: a list is not older, also in what it does not show. */
  private known(): LogPositions {
    const { log } = this.engine.running().backend;
    const ends = Array.from(
      { length: log.partitions },
      (_, partition) => [partition, log.tail(partition).next - 1] as const,
    );
    return new Map(ends.filter(([, offset]) => offset >= 0));
  }

  /** The states or tasks of one service that a list route asks for, in order, one page of them. */
  partsAsked<Part extends State | Task>(
    sent: SentRequest,
    parts: readonly Part[],
    status: Status,
    isAsked: (part: Part) => boolean,
  ): readonly Part[] {
    const wanted = inOrder(parts).filter((part) => (status === 'all' || part.status === status) && isAsked(part));
    const page = pageOf(wanted, pageAsked(sent.query));
    if (page.next !== undefined) sent.nextPage(cursorOf(page.next));
    return page.parts;
  }
}

async function* answers(
  services: AsyncIterable<LiveService>,
  nested: Nested,
  asked: ReturnType<typeof extensionsAsked>,
  values: EnumeratedValues,
): AsyncGenerator<JsonObject> {
  for await (const service of services) yield serviceAnswer(service, nested, asked, values);
}

export const nestedAsked = ({ query }: SentRequest): Nested => ({
  active_states: query.flag('active_states'),
  completed_states: query.flag('completed_states'),
  active_tasks: query.flag('active_tasks'),
  completed_tasks: query.flag('completed_tasks'),
});
