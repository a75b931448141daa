import { createHash } from 'node:crypto';
import {
  Rejected,
  claimId,
  decideClaim,
  keptAnswer,
  matchesComposite,
  unclaimed,
  type Claim,
  type LiveService,
} from '#domain';
import type { Head, IdempotencyDigest, Lifetime, ServiceClaimed, ServiceStart } from '#events';
import type { EventLog } from '#event-log';
import type { Owner, StreamId } from '#read-model';
import { mergePositions, type LogPositions } from '../position.js';
import { claimPrefix, isServerMade } from './ids.js';
import { isMadeForThis, living, switching, truthfully, type CommandPath } from './command-path.js';
import type { QueryPath } from './query-path.js';
import type { RecentStreams } from './recent-streams.js';
import type { CompositeAnswer, CompositeElement, RequestContext } from './service.messages.js';
import { Unavailable } from './unavailable.js';

export interface CompositePathParts {
  readonly log: EventLog;
  readonly streams: RecentStreams;
  /** Back-pressure: throws `Unavailable` when the projector is too far behind. */
  readonly refuseWhenBehind: () => void;
  readonly commands: CommandPath;
  readonly queries: QueryPath;
  /** Lifetime of a service that is started without one. */
  readonly defaultLifetime: Lifetime;
  /** Makes the id of a state or task of this service. */
  readonly newPartId: (serviceId: string) => string;
}

type Outcome = CompositeAnswer['services'][number];

interface Chosen {
  readonly service_id: string;
  readonly created: boolean;
}

/** How often the service that was found may end before it is used. */
const attempts = 8;

/**
 * Find-or-create of service, state and task (contract S11): a sequence of ordinary commands, each with a sub-key of the
 * caller's key, so that a repeat after a crash in the middle finds what is there and finishes. A claim settles which
 * service parallel calls create (design 2).
 */
export class CompositePath {
  constructor(private readonly parts: CompositePathParts) {}

  /** Throws as `CommandPath.execute`. What was recorded before a failing element stays. */
  async start(
    elements: readonly CompositeElement[],
    createNew: boolean,
    context: RequestContext,
  ): Promise<CompositeAnswer> {
    this.parts.refuseWhenBehind();
    let position: LogPositions = context.seen;
    let isRecorded = false;
    try {
      return await truthfully(async () => {
        await this.parts.streams.catchUpWith(context.seen);
        // Without a key there is no first answer that a repeat could get: nothing is recorded before a refusal.
        if (!context.idempotency) refuse(elements);
        const services: Outcome[] = [];
        for (const [index, element] of elements.entries()) {
          const step = new Step(this.parts, context, index, (reached, recorded) => {
            isRecorded ||= recorded;
            position = mergePositions(position, reached);
          });
          services.push(await step.run(element, createNew));
        }
        return { services, position };
      });
    } catch (error) {
      // Part of it may be recorded: only a repeat with the same key finishes the rest and nothing twice.
      if (error instanceof Unavailable && isRecorded) {
        throw new Unavailable(error.exception, error.message, 'unknown', error.retryAfterSeconds, { cause: error });
      }
      throw error;
    }
  }
}

/** One element: service, state, task. */
class Step {
  constructor(
    private readonly parts: CompositePathParts,
    private readonly context: RequestContext,
    private readonly index: number,
    /** What the answer is based on; `recorded`: on something that this request may have brought into the log. */
    private readonly reached: (position: LogPositions, recorded: boolean) => void,
  ) {}

  async run({ service, state, task, associateStateTask }: CompositeElement, createNew: boolean): Promise<Outcome> {
    const { service_id, created } = createNew ? await this.create(service) : await this.findOrCreate(service);
    let outcome: Outcome = { service_id, service_created: created };
    if (state) {
      const { answer } = await this.execute('state', {
        type: 'FindOrStartState',
        data: { ...state.start, service_id, state_id: state.start.state_id ?? this.parts.newPartId(service_id) },
        ...aboutPart(state),
        ...(state.sought && { sought: state.sought }),
      });
      outcome = { ...outcome, state_id: answer.state_id!, state_created: answer.created! };
    }
    if (task) {
      const parent = associateStateTask && outcome.state_id !== undefined ? { state_id: outcome.state_id } : {};
      const { answer } = await this.execute('task', {
        type: 'FindOrStartTask',
        data: { ...task.start, ...parent, service_id, task_id: task.start.task_id ?? this.parts.newPartId(service_id) },
        ...aboutPart(task),
        ...(task.sought && { sought: task.sought }),
      });
      outcome = { ...outcome, task_id: answer.task_id!, task_created: answer.created! };
    }
    return outcome;
  }

  private async findOrCreate(service: ServicePart): Promise<Chosen> {
    const { start, refusal } = service;
    const first = await this.chosenBefore(start);
    if (!first && refusal) {
      // The first attempt may have created it in another process a moment ago.
      await this.parts.log.barrier(this.parts.commands.partition(this.streamOf(start.service_id)));
      const created = await this.createdBefore(start.service_id);
      if (!created) throw refusal;
      return created;
    }
    for (let attempt = 0; attempt < attempts; attempt++) {
      const chosen = (attempt === 0 && first) || (await this.choose(service));
      if (chosen.created) {
        // What an earlier round has found and remembered is not what the answer says.
        if (attempt > 0) await this.remember(chosen.service_id, start);
        return chosen;
      }
      try {
        await this.remember(chosen.service_id, start);
        await this.update(chosen.service_id, service);
        return chosen;
      } catch (error) {
        if (!(error instanceof Rejected)) throw error;
        if (!endedMeanwhile.has(error.code) && error.code !== refusal?.code) throw error;
        if (chosen === first) {
          // A repeat is told what the first attempt was told, also when that has ended since; its place is reached so.
          if ((await this.serviceNow(chosen.service_id)).status === 'active') throw error;
          return chosen;
        }
        // It ended between the look and the command: look again.
      }
    }
    throw new Unavailable(
      'OverloadedException',
      `The service that was found ended ${attempts} times before it could be used. Try again.`,
      'not-applied',
    );
  }

  private async choose(service: ServicePart): Promise<Chosen> {
    const found = await this.find(service);
    if (!found) return this.claim(service);
    // A parallel attempt of this very request may just have created it.
    return (await this.createdBefore(found.service_id)) ?? { service_id: found.service_id, created: false };
  }

  private find(service: ServicePart): Promise<LiveService | undefined> {
    const compared = comparedIn(service);
    const { customer_id, contact_key, service_type: serviceTypes } = compared;
    const { tenant } = this.context;
    // By a contact key alone also what a customer has: a field that is missing is not compared.
    const owners: readonly Owner[] =
      customer_id !== undefined
        ? [{ tenant, kind: 'customer', id: customer_id }]
        : (['contact', 'associated'] as const).map((kind) => ({ tenant, kind, id: contact_key! }));
    const types = serviceTypes === undefined ? {} : { serviceTypes };
    return this.parts.queries.newestActive(owners, types, (found) => matchesComposite(found, compared));
  }

  /** Creates the service without looking for one, or finds the one that the first attempt of this request created. */
  private async create(service: ServicePart): Promise<Chosen> {
    const { start, refusal } = service;
    const isNew = isMadeForThis(start.service_id, this.context);
    const { answer, position } = await this.parts.commands.run(
      { type: 'StartService', data: start, lifetime: this.lifetimeOfNew(service), ...(refusal && { refusal }) },
      this.contextOf('service'),
      isNew,
    );
    this.reached(position, true);
    return { service_id: answer.service_id!, created: true };
  }

  /** Agrees with parallel calls on one service. What the claim names and is not there yet is written by whoever sees it. */
  private async claim(wanted: ServicePart): Promise<Chosen> {
    const { start } = wanted;
    const lifetime = this.lifetimeOfNew(wanted);
    const id = this.claimStream('service', claimId(start));
    const mine = this.digestOf('service');
    return this.parts.commands.inTurn(id, async () => {
      for (let attempt = 0; attempt < attempts; attempt++) {
        const { claim, head } = await this.loadClaim(id);
        if (claim.status === 'claimed') {
          const { service } = await this.finish(claim);
          const own = mine !== undefined && claim.idempotency?.key === mine.key;
          if (own) await this.refuseTaken(start);
          if (own || (service && matchesComposite(service, comparedIn(wanted))))
            return { service_id: claim.service_id, created: own };
        }
        const event = decideClaim(start, lifetime, claim, mine);
        if (!event || (await this.append(id, head, event))) {
          const claimed = { service_id: start.service_id, start, lifetime, ...(mine && { idempotency: mine }) };
          const { isStartedHere } = await this.finish(claimed);
          if (!isStartedHere) await this.refuseTaken(start);
          return { service_id: start.service_id, created: true };
        }
      }
      throw new Unavailable(
        'OverloadedException',
        `Others claimed ${attempts} times before this could be recorded. Try again.`,
        'not-applied',
      );
    });
  }

  /** Writes the first record of a claimed service when it is missing. No service: it is over. */
  private async finish(claim: ServiceClaimed['data']): Promise<{ service?: LiveService; isStartedHere: boolean }> {
    let isStartedHere = false;
    if ((await this.serviceNow(claim.service_id)).status === 'unstarted') {
      const { idempotency: _mine, ...rest } = this.context;
      const context = { ...rest, ...(claim.idempotency && { idempotency: claim.idempotency }) };
      const { start, lifetime } = claim;
      try {
        const command = { type: 'StartService', data: start, lifetime } as const;
        this.reached((await this.parts.commands.run(command, context)).position, true);
        isStartedHere = true;
      } catch (error) {
        // Somebody else who met the claim was faster.
        if (!(error instanceof Rejected) || error.code !== 'service-already-started') throw error;
      }
    }
    const service = await this.serviceNow(claim.service_id);
    return { isStartedHere, ...(service.status === 'active' && { service }) };
  }

  /**
   * An id that the caller brought (contract 0.3, 33) and that this call has not started is somebody else's service, unless
   * an attempt with the same key has started it.
   */
  private async refuseTaken(start: ServiceStart): Promise<void> {
    if (isServerMade(start.service_id)) return;
    if ((await this.createdBefore(start.service_id)) === undefined)
      throw new Rejected('service-already-started', `There is already a service : ${start.service_id}`);
  }

  private lifetimeOfNew({ lifetime, lifetimeOfNew }: ServicePart): Lifetime {
    return lifetime ?? lifetimeOfNew ?? this.parts.defaultLifetime;
  }

  private async update(service_id: string, service: ServicePart): Promise<void> {
    const { customer_id: _compared, contact_key: _comparedToo, ...change } = service.start;
    await this.execute('service', {
      type: 'UpdateService',
      data: { ...change, service_id },
      ...aboutPart(service),
    });
  }

  /** With a key: what the first attempt of this request created or found, also when it has ended since. */
  private async chosenBefore(start: ServiceStart): Promise<Chosen | undefined> {
    const digest = this.digestOf('service');
    if (!digest) return undefined;
    const id = this.claimStream('request', digest.key);
    let { claim: remembered } = await this.loadClaim(id);
    if (remembered.status === 'unclaimed') {
      const created = await this.createdBefore(start.service_id);
      if (created) return created;
      // The first attempt may have been answered by another process a moment ago.
      await this.parts.log.barrier(this.parts.commands.partition(id));
      ({ claim: remembered } = await this.loadClaim(id));
    }
    if (remembered.status !== 'claimed') return undefined;
    if (remembered.idempotency?.request !== digest.request) throw reused();
    // Not the service that an attempt without an answer has created, when one that came after it found another.
    const { service_id } = remembered;
    return (await this.createdBefore(service_id)) ?? { service_id, created: false };
  }

  /** With a key: this service, when an attempt of this very request has started it. */
  private async createdBefore(service_id: string): Promise<Chosen | undefined> {
    const digest = this.digestOf('service');
    const kept = digest && keptAnswer(await this.serviceNow(service_id), digest, this.parts.log.now());
    return kept?.created ? { service_id, created: true } : undefined;
  }

  /** With a key: which service this request found, so that its repeat does not look again. */
  private async remember(service_id: string, start: ServiceStart): Promise<void> {
    const digest = this.digestOf('service');
    if (!digest) return;
    const id = this.claimStream('request', digest.key);
    for (let attempt = 0; attempt < attempts; attempt++) {
      const { claim, head } = await this.loadClaim(id);
      const event = decideClaim({ ...start, service_id }, this.parts.defaultLifetime, claim, digest);
      if (!event || (await this.append(id, head, event))) return;
    }
  }

  /** False when another process was first. */
  private async append(id: StreamId, head: Head, event: ServiceClaimed): Promise<boolean> {
    const { correlationId } = this.context;
    const verdict = await this.parts.commands.append({
      id,
      kind: 'claim',
      event,
      head,
      epoch: this.context.admitted.epoch,
      correlationId,
    });
    if (verdict.outcome === 'accepted')
      this.reached(new Map([[verdict.position.partition, verdict.position.offset]]), true);
    else if (verdict.reason === 'epoch') throw switching();
    return verdict.outcome === 'accepted';
  }

  private async loadClaim(id: StreamId): Promise<{ claim: Claim; head: Head }> {
    const { aggregate, head } = await this.load(id, 'claim');
    return { claim: aggregate.kind === 'claim' ? aggregate.claim : unclaimed, head };
  }

  private async serviceNow(service_id: string) {
    return living(await this.load(this.streamOf(service_id), 'service'), this.parts.log.now());
  }

  private streamOf(service_id: string): StreamId {
    return { tenant: this.context.tenant, stream: service_id };
  }

  private async load(id: StreamId, kind: 'service' | 'claim') {
    const partition = this.parts.commands.partition(id);
    const known = await this.parts.streams.load(id, partition, kind);
    if (known.head.version > 0) this.reached(new Map([[partition, known.offset]]), false);
    return known;
  }

  private async execute(part: Part, command: Parameters<CommandPath['run']>[0]) {
    const answered = await this.parts.commands.run(command, this.contextOf(part));
    this.reached(answered.position, true);
    return answered;
  }

  private contextOf(part: Part): RequestContext {
    const { idempotency: _whole, ...context } = this.context;
    const idempotency = this.digestOf(part);
    return { ...context, ...(idempotency && { idempotency }) };
  }

  /** The sub-key of one command of this element. */
  private digestOf(part: Part): IdempotencyDigest | undefined {
    const { idempotency } = this.context;
    return idempotency && { key: digest(`${idempotency.key}/${this.index}/${part}`), request: idempotency.request };
  }

  private claimStream(kind: 'service' | 'request', text: string): StreamId {
    return {
      tenant: this.context.tenant,
      stream: `${claimPrefix}${digest(JSON.stringify([kind, this.context.tenant, text]))}`,
    };
  }
}

type Part = 'service' | 'state' | 'task';
type ServicePart = CompositeElement['service'];

/** What a service is looked up by: the fields that the event carries (contract 0.3, 31). */
const comparedIn = ({ start: { customer_id, contact_key, service_type }, sought }: ServicePart) => {
  const types = service_type === undefined ? undefined : [String(service_type)];
  return { customer_id, contact_key, service_type: sought ? sought.types : types };
};

/** What a command takes from its part of the element beside the data. */
const aboutPart = ({ lifetime, refusal }: Pick<ServicePart, 'lifetime' | 'refusal'>) => ({
  ...(lifetime && { lifetime }),
  ...(refusal && { refusal }),
});

/** Throws what one of the elements is refused for. */
function refuse(elements: readonly CompositeElement[]): void {
  for (const { service, state, task } of elements)
    for (const refusal of [service.refusal, state?.refusal, task?.refusal]) if (refusal) throw refusal;
}

const endedMeanwhile: ReadonlySet<string> = new Set(['service-not-found', 'service-already-completed']);

const reused = (): Rejected =>
  new Rejected('idempotency-key-reused', 'This Idempotency-Key came before with another method, path or body');

const digest = (text: string): string => createHash('sha256').update(text).digest('base64url');
