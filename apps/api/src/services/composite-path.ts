import { createHash } from 'node:crypto';
import {
  Rejected,
  claimId,
  claimOf,
  keptAnswer,
  matchesComposite,
  refuseTooLarge,
  unclaimed,
  type Answer,
  type Claim,
  type LiveService,
} from '#domain';
import type { Head, IdempotencyDigest, Lifetime, OtherServiceChosen, ServiceClaimed, ServiceStarted } from '#events';
import type { EventLog } from '#event-log';
import type { Owner, StreamId } from '#read-model';
import { mergePositions, type LogPositions } from '../position.js';
import { claimPrefix, isServerMade } from './ids.js';
import {
  isMadeForThis,
  living,
  serviceIn,
  switching,
  truthfully,
  type Appending,
  type CommandPath,
} from './command-path.js';
import type { QueryPath } from './query-path.js';
import type { KnownStream, RecentStreams } from './recent-streams.js';
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

/** How often a request looks again after what it has found ended, or others were faster. */
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

  /**
   * With a key the stream of the service that would be created says which one the request uses: it was started for it, or
   * another one was chosen. Whoever records that first decides for every attempt. What was chosen and ended before its
   * update is chosen no more: for all attempts alike, since its stream does not change in that.
   */
  private async findOrCreate(service: ServicePart): Promise<Chosen> {
    const { start, refusal } = service;
    const id = this.streamOf(start.service_id);
    if (isMadeForThis(start.service_id, this.context)) this.parts.streams.expectNew(id);
    let ended: string | undefined;
    let barrierPassed = false;
    for (let attempt = 0; attempt < attempts; attempt++) {
      const own = await this.load(id, 'service');
      const said = this.saidIn(own);
      if (said instanceof Rejected || (!said && refusal)) {
        if (barrierPassed) throw said ?? refusal!;
        // An attempt in another process may have decided a moment ago.
        await this.parts.log.barrier(this.parts.commands.partition(id));
        barrierPassed = true;
        continue;
      }
      if (said?.created) return { service_id: start.service_id, created: true };
      const isDecided = said !== undefined && said.service_id !== ended;
      const chosen = isDecided
        ? { service_id: said.service_id!, created: false }
        : await this.choose(service, own, said !== undefined);
      if (chosen?.created) return chosen;
      if (!chosen) continue;
      const answer = await this.update(chosen.service_id, service);
      if (answer?.service_id === chosen.service_id) return { ...chosen, created: answer.created === true };
      if (!answer) ended = chosen.service_id;
    }
    throw new Unavailable(
      'OverloadedException',
      `What was found changed ${attempts} times before it could be used. Try again.`,
      'not-applied',
    );
  }

  /** With a key: what the stream of the service that would be created tells this request, a refusal perhaps. */
  private saidIn(own: KnownStream): Answer | Rejected | undefined {
    const digest = this.digestOf('service');
    try {
      return digest && keptAnswer(serviceIn(own), digest, this.parts.log.now());
    } catch (error) {
      if (error instanceof Rejected) return error;
      throw error;
    }
  }

  /** A service to use, with a key only once it is recorded. Undefined when others were faster: then look again. */
  private async choose(service: ServicePart, own: KnownStream, isAgain: boolean): Promise<Chosen | undefined> {
    const { service_id } = service.start;
    const id = this.streamOf(service_id);
    const found = (await this.find(service))?.service_id;
    if (found !== undefined && !(await this.matchesNow(found, service))) return undefined;
    if (found === service_id && !isAgain) return { service_id, created: false };
    if (serviceIn(own).status !== 'unstarted') {
      // An id that the caller brought (contract 0.3, 33), and that is somebody else's service.
      await this.parts.log.barrier(this.parts.commands.partition(id));
      if ((await this.load(id, 'service')).head.version > own.head.version) return undefined;
      throw new Rejected('service-already-started', `There is already a service : ${service_id}`);
    }
    const chosen =
      found === undefined ? await this.claim(service, own.head.version + 1) : { service_id: found, created: false };
    const idempotency = this.digestOf('service');
    if (!chosen || chosen.created || !idempotency) return chosen;
    refuseTooLarge(serviceIn(own));
    const event: OtherServiceChosen = {
      type: 'OtherServiceChosen',
      data: { service_id, other_service_id: chosen.service_id },
    };
    return (await this.append({ id, kind: 'service', event, head: own.head, idempotency })) ? chosen : undefined;
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

  /**
   * Agrees with parallel calls on one service: the first record of the one that the claim names is written, at the place
   * that the claim gives it, by whoever sees it missing. Undefined: what became of one's own is to be read in its stream.
   */
  private async claim(wanted: ServicePart, place: number): Promise<Chosen | undefined> {
    const { start } = wanted;
    const { service_id } = start;
    const id = this.claimStream(claimId(start));
    const mine = this.digestOf('service');
    return this.parts.commands.inTurn(id, async () => {
      for (let attempt = 0; attempt < attempts; attempt++) {
        const { claim, head } = await this.loadClaim(id);
        if (claim.status === 'claimed') {
          await this.finish(claim);
          if (claim.service_id === service_id && (claim.place ?? 1) >= place) return undefined;
          if (await this.matchesNow(claim.service_id, wanted)) return { service_id: claim.service_id, created: false };
        }
        const event = claimOf(start, this.lifetimeOfNew(wanted), place, mine);
        if (!(await this.append({ id, kind: 'claim', event, head }))) continue;
        const isStartedHere = await this.finish(event.data);
        return !mine && (isStartedHere || isServerMade(service_id)) ? { service_id, created: true } : undefined;
      }
      throw new Unavailable(
        'OverloadedException',
        `Others claimed ${attempts} times before this could be recorded. Try again.`,
        'not-applied',
      );
    });
  }

  /** Whether it is compared equal while this call is under way, and not only by what was known before. */
  private async matchesNow(service_id: string, wanted: ServicePart): Promise<boolean> {
    const id = this.streamOf(service_id);
    await this.parts.log.barrier(this.parts.commands.partition(id));
    const service = living(await this.load(id, 'service'), this.parts.log.now());
    return matchesComposite(service, comparedIn(wanted));
  }

  /** Writes the first record of a claimed service, unless its place is taken: then the claim is done, or over. */
  private async finish(claim: ServiceClaimed['data']): Promise<boolean> {
    const { service_id, start: data, lifetime, place = 1, idempotency } = claim;
    const id = this.streamOf(service_id);
    // Whoever claimed it may have known more.
    let { head } = await this.load(id, 'service');
    if (head.version < place - 1) {
      await this.parts.log.barrier(this.parts.commands.partition(id));
      ({ head } = await this.load(id, 'service'));
    }
    const event: ServiceStarted = { type: 'ServiceStarted', data };
    const isStartedHere =
      head.version === place - 1 &&
      (await this.append({ id, kind: 'service', event, head, lifetime, ...(idempotency && { idempotency }) }));
    // Whoever was faster: the answer stands behind it.
    await this.load(id, 'service');
    return isStartedHere;
  }

  private lifetimeOfNew({ lifetime, lifetimeOfNew }: ServicePart): Lifetime {
    return lifetime ?? lifetimeOfNew ?? this.parts.defaultLifetime;
  }

  /** Undefined when it has ended, as all who ask will be told. */
  private async update(service_id: string, service: ServicePart): Promise<Answer | undefined> {
    const { customer_id: _compared, contact_key: _comparedToo, ...change } = service.start;
    const data = { ...change, service_id };
    try {
      return (await this.execute('service', { type: 'UpdateService', data, ...aboutPart(service) })).answer;
    } catch (error) {
      if (error instanceof Rejected && endedMeanwhile.has(error.code)) return undefined;
      throw error;
    }
  }

  /** False when another record took the place. */
  private async append(appending: Omit<Appending, 'epoch' | 'correlationId'>): Promise<boolean> {
    const { admitted, correlationId } = this.context;
    const verdict = await this.parts.commands.append({ ...appending, epoch: admitted.epoch, correlationId });
    if (verdict.outcome === 'accepted')
      this.reached(new Map([[verdict.position.partition, verdict.position.offset]]), true);
    else if (verdict.reason === 'epoch') throw switching();
    return verdict.outcome === 'accepted';
  }

  private async loadClaim(id: StreamId): Promise<{ claim: Claim; head: Head }> {
    const { aggregate, head } = await this.load(id, 'claim');
    return { claim: aggregate.kind === 'claim' ? aggregate.claim : unclaimed, head };
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

  private claimStream(compared: string): StreamId {
    const { tenant } = this.context;
    return { tenant, stream: `${claimPrefix}${digest(JSON.stringify(['service', tenant, compared]))}` };
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

const digest = (text: string): string => createHash('sha256').update(text).digest('base64url');
