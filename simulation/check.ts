import {
  Rejected,
  answerOf,
  claimId,
  decide,
  decideMetadata,
  gone,
  inOrder,
  keptAnswer,
  keptMetadataAnswer,
  matches,
  matchesComposite,
  metadataAnswerOf,
  startedAt,
  unstarted,
  type LiveService,
  type Metadata,
  type MetadataCommand,
  type Service,
  type ServiceCommand,
} from '#domain';
import type { Checkpoint, RecordListener } from '#event-log';
import { isPublicEvent, isServiceEvent, streamKey, type ControlEvent } from '#events';
import { comparePlaces, listEntries, type ListEntry, type ListPlace, type Owner, type StreamRow } from '#read-model';
import { tenant } from './asks.js';
import type { CompositeElement } from '../apps/api/src/services/service.messages.js';
import type {
  Attempt,
  ControlStep,
  ControlTruth,
  Moment,
  Outcome,
  Passed,
  Step,
  StreamHistory,
  Truth,
} from './history.js';
import type { PublishedEvents, SwitchReports, Times } from './processes.js';
import type { SimulatedStore } from './simulated-store.js';

/** The groups of what is checked; each is a case of the run. */
export const rules = [
  'an accepted command has one valid event, where its answer says',
  'a refusal is justified by a state between request and answer',
  'what was not applied or is unknown has not more effect than it says',
  'a key has one effect and one answer',
  'nothing is valid without a request, or in maintenance',
  'the mode is switched step by step, and opened behind every fence',
  'a switch that was answered is in force',
  'a change of metadata has one valid event, in a mode that allows it',
  'no gate is open in a mode that is over, unless that switch gave up waiting for it',
  'composite starts of equal fields agree on one active service',
  'a composite start takes the newest service that it compares',
  'a query is never older than what was answered before',
  'rows, lists and parked streams equal the fold of the log',
  'public events: each valid one, in stream order, none void',
  'everything is answered',
  'the tail shows every record once, in order',
  'the transport is used as it must be',
] as const;

export type Rule = (typeof rules)[number];

export interface History {
  readonly truth: Truth;
  readonly control: ControlTruth;
  readonly attempts: readonly Attempt[];
  readonly reports: SwitchReports;
  readonly times: Pick<Times, 'drainMs' | 'switch'>;
  readonly store: SimulatedStore;
  readonly published: PublishedEvents;
  /** The projector has come to the end of the log. */
  readonly quiet: boolean;
  readonly violation: (rule: Rule, what: string) => void;
}

/** A process knows the log's time only as exactly as its own records tell it: half of their longest round trip, ms. */
const clockUncertaintyMs = 100;

/** Compares what was answered with what the log says, and with what the read model holds in the end. */
export function check(history: History): void {
  const checker = new Checker(history);
  checker.log();
  checker.switches();
  checker.gates();
  checker.answers();
  checker.keys();
  checker.composites();
  checker.queries();
  if (history.quiet) checker.readModel();
  checker.publicEvents();
}

/** Shows the listener what the tail shows, and sees to it that this is every record once, in order. */
export function watchTail(
  process: string,
  from: readonly Checkpoint[],
  listen: RecordListener,
  violation: History['violation'],
): RecordListener {
  const next = new Map(from.map((checkpoint) => [checkpoint.partition, checkpoint.next]));
  return (record, epoch) => {
    const { partition, offset } = record;
    const expected = next.get(partition) ?? 0;
    if (offset !== expected)
      violation(
        'the tail shows every record once, in order',
        `${process} was shown s${partition}:${offset} instead of s${partition}:${expected}`,
      );
    next.set(partition, offset + 1);
    listen(record, epoch);
  };
}

type Answered = Extract<Outcome, { readonly kind: 'answered' }>;
type Unavailable = Extract<Outcome, { readonly kind: 'unavailable' }>;
type Composed = Extract<Outcome, { readonly kind: 'composed' }>;

class Checker {
  private readonly truth: Truth;
  private readonly byId: ReadonlyMap<string, Attempt>;

  constructor(private readonly history: History) {
    this.truth = history.truth;
    this.byId = new Map(history.attempts.map((attempt) => [attempt.id, attempt]));
  }

  /* ---- the log alone ---- */

  log(): void {
    const rule: Rule = 'nothing is valid without a request, or in maintenance';
    for (const what of this.truth.impossible) this.fail(rule, `impossible: ${what}`);
    for (const { record } of this.steps()) {
      const { mode, epoch } = this.history.control.before(record.sequence);
      if (mode !== 'production' || record.epoch !== epoch)
        this.fail(rule, `valid in ${mode}, epoch ${epoch}: ${shown(record)} of epoch ${record.epoch}`);
      const attempt = this.byId.get(record.correlationId);
      if (attempt?.ask.kind !== 'command' && attempt?.ask.kind !== 'composite')
        this.fail(rule, `nobody asked for ${shown(record)}`);
    }
  }

  /** The control log alone: whoever reads it finds one switch after the other, each opened when all logs were closed. */
  switches(): void {
    const rule: Rule = 'the mode is switched step by step, and opened behind every fence';
    const { control } = this.history;
    for (const what of control.impossible) this.fail(rule, `impossible: ${what}`);
    for (const step of control.steps) {
      const { event, record } = step;
      const { mode, epoch, begun } = control.at(record.offset);
      const isNext = 'epoch' in event.data && event.data.epoch === epoch + 1;
      if (event.type === 'ModeSwitchStarted' && (begun || !isNext || event.data.target === mode))
        this.fail(rule, `${shownControl(step)} in ${mode}, epoch ${epoch}${begun ? ', in a switch' : ''}`);
      if (event.type === 'ModeSwitched') {
        if (!begun || !isNext || event.data.mode !== begun.target || record.epoch !== event.data.epoch)
          this.fail(rule, `${shownControl(step)} in ${mode}, epoch ${epoch}`);
        for (const [partition, fences] of this.truth.fences.entries()) {
          const closed = fences.some((fence) => fence.sequence < record.sequence && fence.epoch >= event.data.epoch);
          if (!closed) this.fail(rule, `${shownControl(step)} before the fence of partition ${partition}`);
        }
      }
      if (isAboutMetadata(event)) this.metadataEvent(step, event);
    }
  }

  private metadataEvent(step: ControlStep, event: ControlEvent): void {
    const rule: Rule = 'a change of metadata has one valid event, in a mode that allows it';
    const { record } = step;
    const { mode, epoch } = this.history.control.at(record.offset);
    if (event.type === 'MetadataInitialized') {
      if (record.version > 1) this.fail(rule, `initialized again: ${shownControl(step)}`);
      return;
    }
    if (record.epoch !== epoch || (isForMaintenance(event.type) && mode !== 'maintenance'))
      this.fail(rule, `valid in ${mode}, epoch ${epoch}: ${shownControl(step)}`);
    if (this.byId.get(record.correlationId)?.ask.kind !== 'metadata')
      this.fail(rule, `nobody asked for ${shownControl(step)}`);
  }

  /* ---- gates ---- */

  /**
   * Once another mode is in force, no process lets in a call, or a query's answer out, by the one before: it has closed
   * its gate and said so, or its lease had run out. Except one that was alive, did not say so in time, and has not read of it.
   */
  gates(): void {
    for (const { id, life, admitted, passedOut } of this.history.attempts) {
      if (admitted) this.gate(`${id} was let in`, life, admitted.epoch, admitted, false);
      if (admitted && passedOut) this.gate(`${id} was answered`, life, admitted.epoch, passedOut, true);
    }
  }

  private gate(what: string, life: string, epoch: number, { controlEnd, position }: Passed, isAnswer: boolean): void {
    const rule: Rule = 'no gate is open in a mode that is over, unless that switch gave up waiting for it';
    for (const step of this.history.control.steps) {
      const { event, record } = step;
      if (event.type !== 'ModeSwitched' || event.data.epoch <= epoch || record.offset >= controlEnd) continue;
      const isKnown = record.offset <= position;
      if (isKnown || !this.wasGivenUp(life, event.data.epoch, isAnswer))
        this.fail(rule, `${what} by ${life} in epoch ${epoch}, after ${shownControl(step)}`);
    }
  }

  /** A switch waits for the calls in flight, and for the words of the processes that live, within its limits. */
  private wasGivenUp(life: string, epoch: number, isAnswer: boolean): boolean {
    const { reports, control, times } = this.history;
    const isIncomplete = reports.incomplete.some((one) => one.life === life && one.epoch === epoch);
    if (isAnswer && isIncomplete) return true;
    const begun = control.steps.find((step) => step.begun?.epoch === epoch)?.begun;
    if (!begun) return false;
    const limit = begun.since + times.drainMs[begun.target] + times.switch.drainGraceMs - clockUncertaintyMs;
    return reports.missing.some((one) => one.epoch === epoch && one.lives.includes(life) && one.at >= limit);
  }

  /* ---- answers ---- */

  answers(): void {
    for (const attempt of this.history.attempts) {
      const { outcome, end, ask, id } = attempt;
      if (!outcome || !end) {
        this.fail('everything is answered', `${id} was not answered`);
        continue;
      }
      if (outcome.kind === 'failed') this.fail('everything is answered', `${id} failed: ${outcome.error}`);
      const own = this.truth.byCorrelation.get(id) ?? [];
      if (ask.kind === 'command') this.command(attempt, ask.command, outcome, end, own);
      if (ask.kind === 'composite') this.composite(attempt, outcome, end, own);
      const recorded = this.history.control.byCorrelation.get(id) ?? [];
      if (ask.kind === 'switch') this.switch(attempt, ask.target, outcome, end, recorded);
      if (ask.kind === 'metadata') this.metadata(attempt, ask.command, outcome, end, recorded);
    }
  }

  private switch(
    { id }: Attempt,
    target: string,
    outcome: Outcome,
    end: Moment,
    recorded: readonly ControlStep[],
  ): void {
    const rule: Rule = 'a switch that was answered is in force';
    const { control } = this.history;
    const [began] = recorded;
    if (recorded.length > 1) this.fail(rule, `${id} began ${recorded.length} switches`);
    if (outcome.kind === 'switched') {
      const { controlPosition } = outcome;
      const { mode, epoch, begun } = control.at(controlPosition + 1);
      if (controlPosition >= end.controlEnd || mode !== target || begun || (began?.begun?.epoch ?? epoch) !== epoch)
        this.fail(rule, `${id} was answered ${target} at c:${controlPosition}: there ${mode}, epoch ${epoch}`);
    }
    if (outcome.kind === 'unavailable') this.notMoreThanSaid(id, outcome, began);
  }

  private metadata(
    attempt: Attempt,
    command: MetadataCommand,
    outcome: Outcome,
    end: Moment,
    recorded: readonly ControlStep[],
  ): void {
    const rule: Rule = 'a change of metadata has one valid event, in a mode that allows it';
    const { id, idempotency, begin } = attempt;
    const [own] = recorded;
    if (recorded.length > 1) this.fail(rule, `${id} has ${recorded.length} valid events`);
    if (outcome.kind === 'unavailable') this.notMoreThanSaid(id, outcome, own);
    if (outcome.kind === 'rejected') {
      if (own) this.fail(rule, `${id} was refused (${outcome.code}) but ${shownControl(own)} is valid`);
      const refused = this.metadataWindow(begin, end).some((metadata) => {
        try {
          if (idempotency && keptMetadataAnswer(metadata, idempotency, begin.time)) return false;
          decideMetadata(command, metadata);
          return false;
        } catch (error) {
          return error instanceof Rejected && error.code === outcome.code;
        }
      });
      if (!refused)
        this.fail(
          'a refusal is justified by a state between request and answer',
          `${id} ${command.type}: ${outcome.code}`,
        );
    }
    if (outcome.kind !== 'changed') return;
    const { answer, controlPosition } = outcome;
    const step =
      own ??
      this.history.control.steps.find(({ record }) => idempotency && record.idempotency?.key === idempotency.key);
    if (!step || !isAboutMetadata(step.event))
      return this.fail(rule, `${id} ${command.type} was accepted but none of its records is valid`);
    const { record, event } = step;
    if (own ? controlPosition !== record.offset : controlPosition < record.offset)
      this.fail(rule, `${id} was answered c:${controlPosition} but ${shownControl(step)} is its event`);
    const before = this.history.control.at(record.offset).metadata;
    if (!same(metadataAnswerOf(event, before), answer) || record.idempotency?.request !== idempotency?.request)
      this.fail(rule, `${id} was answered ${JSON.stringify(answer)} for ${shownControl(step)}`);
  }

  /** The metadata as of `begin` and after each record until `end`. */
  private metadataWindow(begin: Moment, end: Moment): Metadata[] {
    const { control } = this.history;
    const during = control.steps.filter(
      ({ record }) => record.offset >= begin.controlEnd && record.offset < end.controlEnd,
    );
    return [control.at(begin.controlEnd), ...during].map(({ metadata }) => metadata);
  }

  private notMoreThanSaid(id: string, { outcome, exception }: Unavailable, own: ControlStep | undefined): void {
    const rule: Rule = 'what was not applied or is unknown has not more effect than it says';
    if (outcome === undefined) this.fail(rule, `${id} was not told what became of it (${exception})`);
    if (outcome === 'not-applied' && own)
      this.fail(rule, `${id} was told not-applied but ${shownControl(own)} is valid`);
  }

  private command(
    attempt: Attempt,
    command: ServiceCommand,
    outcome: Outcome,
    end: Moment,
    own: readonly Step[],
  ): void {
    const { id } = attempt;
    const effects = 'what was not applied or is unknown has not more effect than it says';
    if (own.length > 1) this.fail(effects, `${id} has ${own.length} valid events`);
    switch (outcome.kind) {
      case 'answered':
        return this.accepted(attempt, command, outcome, end, own);
      case 'rejected':
        if (own[0]) this.fail(effects, `${id} was refused (${outcome.code}) but ${shown(own[0].record)} is valid`);
        if (!this.refusable(attempt, command, outcome.code, end))
          this.fail(
            'a refusal is justified by a state between request and answer',
            `${id} ${command.type}: ${outcome.code}`,
          );
        return;
      case 'unavailable':
        if (outcome.outcome === undefined)
          this.fail(effects, `${id} was not told what became of it (${outcome.exception})`);
        if (outcome.outcome === 'not-applied' && own[0])
          this.fail(effects, `${id} was told not-applied but ${shown(own[0].record)} is valid`);
        return;
      case 'composed':
      case 'found':
      case 'changed':
      case 'switched':
      case 'failed':
      case 'killed':
    }
  }

  private accepted(
    attempt: Attempt,
    command: ServiceCommand,
    { answer, position }: Answered,
    end: Moment,
    own: readonly Step[],
  ): void {
    const rule: Rule = 'an accepted command has one valid event, where its answer says';
    const { id, idempotency } = attempt;
    const stream = this.truth.history({ tenant, stream: command.data.service_id });
    const [step] = own;
    if (step) {
      const { record, event } = step;
      if (position.get(record.partition) !== record.offset)
        this.fail(rule, `${id} was answered ${position.get(record.partition)} but ${shown(record)} is its event`);
      if (event && isServiceEvent(event) && !same(answerOf(event), answer))
        this.fail(
          rule,
          `${id} was answered ${JSON.stringify(answer)} but ${shown(record)} says ${JSON.stringify(answerOf(event))}`,
        );
      if (command.refusal) this.fail(rule, `${id} recorded ${shown(record)} in spite of ${command.refusal.code}`);
      if (!(events[command.type] as readonly string[]).includes(record.type))
        this.fail(rule, `${id} ${command.type} recorded ${shown(record)}`);
      return;
    }
    const recordsNothing = this.candidates(command.data.service_id, attempt.begin, end).some((service) => {
      const decision = decided(command, service, idempotency !== undefined);
      return 'answer' in decision && decision.event === undefined && same(decision.answer, answer);
    });
    if (recordsNothing) return;
    const kept = idempotency && stream?.steps.find(({ record }) => record.idempotency?.key === idempotency.key);
    if (kept) {
      const { record, event } = kept;
      const known =
        record.offset < end.ends[record.partition]! && (position.get(record.partition) ?? -1) >= record.offset;
      const equal = !event || (isServiceEvent(event) && same(answerOf(event), answer));
      if (!known || !equal || record.idempotency?.request !== idempotency.request)
        this.fail(rule, `${id} was answered ${JSON.stringify(answer)} for ${shown(record)}`);
      return;
    }
    this.fail(rule, `${id} ${command.type} was accepted but none of its records is valid`);
  }

  /** Whether some state of the stream between request and answer refuses the command with this code. */
  private refusable({ begin, idempotency }: Attempt, command: ServiceCommand, code: string, end: Moment): boolean {
    return this.candidates(command.data.service_id, begin, end).some((service) => {
      try {
        if (idempotency && keptAnswer(service, idempotency, begin.time)) return false;
      } catch (error) {
        return error instanceof Rejected && error.code === code;
      }
      const decision = decided(command, service, idempotency !== undefined);
      return 'code' in decision && decision.code === code;
    });
  }

  /** What the service may have been, for a process that knew all at `begin` and not more than all at `end`. */
  private candidates(service_id: string, begin: Moment, end: Moment): Service[] {
    return this.window({ tenant, stream: service_id }, begin, end).flatMap(({ head, aggregate }) => {
      if (head.version === 0) return [unstarted];
      if (aggregate?.kind !== 'service') return [];
      const { service } = aggregate;
      const { expiresAt = Number.POSITIVE_INFINITY } = head;
      return [
        ...(!isLive(service) || expiresAt > begin.time - clockUncertaintyMs ? [service] : []),
        ...(expiresAt <= end.time + clockUncertaintyMs && isLive(service) ? [gone(service)] : []),
      ];
    });
  }

  /** The stream as of `begin` and after each record until `end`. */
  private window(
    id: { tenant: string; stream: string },
    begin: Moment,
    end: Moment,
  ): Pick<Step, 'head' | 'aggregate'>[] {
    const stream = this.truth.history(id);
    const unwritten = { head: { version: 0 } };
    if (!stream) return [unwritten];
    const { partition, steps } = stream;
    const before = steps.findLast(({ record }) => record.offset < begin.ends[partition]!);
    const during = steps.filter(
      ({ record }) => record.offset >= begin.ends[partition]! && record.offset < end.ends[partition]!,
    );
    return [before ?? unwritten, ...during];
  }

  private composite(attempt: Attempt, outcome: Outcome, end: Moment, own: readonly Step[]): void {
    const { id } = attempt;
    switch (outcome.kind) {
      case 'composed':
        return this.composed(attempt, outcome, end);
      case 'rejected':
        if (!this.compositeRefusable(attempt, outcome.code, end))
          this.fail('a refusal is justified by a state between request and answer', `${id} composite: ${outcome.code}`);
        return;
      case 'unavailable': {
        const effects = 'what was not applied or is unknown has not more effect than it says';
        if (outcome.outcome === undefined)
          this.fail(effects, `${id} was not told what became of it (${outcome.exception})`);
        if (outcome.outcome === 'not-applied' && own[0])
          this.fail(effects, `${id} was told not-applied but ${shown(own[0].record)} is valid`);
        return;
      }
      case 'answered':
      case 'found':
      case 'changed':
      case 'switched':
      case 'failed':
      case 'killed':
    }
  }

  private compositeRefusable(attempt: Attempt, code: string, end: Moment): boolean {
    const { idempotency, ask } = attempt;
    if (ask.kind !== 'composite') return false;
    if (code === 'idempotency-key-reused') {
      const others = this.history.attempts.filter((other) => other.idempotency?.key === idempotency?.key);
      return others.some((other) => other.idempotency?.request !== idempotency?.request);
    }
    if (code === 'expiration-not-in-future') return this.mayBeRefused(attempt, ask.elements, end);
    // The id that the caller brought is in use.
    if (code === 'service-already-started')
      return ask.elements.some(({ service }) => this.truth.history({ tenant, stream: service.start.service_id }));
    // Found, and gone before its state or task was started.
    if (code === 'service-not-found')
      return [...this.truth.streams.values()].some(({ steps }) =>
        steps.some(
          ({ aggregate, head }) =>
            aggregate?.kind === 'service' &&
            (aggregate.service.status === 'gone' || (head.expiresAt ?? Infinity) <= end.time + clockUncertaintyMs),
        ),
      );
    return false;
  }

  /** Something of it is refused, and it was not answered before: of services that are still there. */
  private mayBeRefused(attempt: Attempt, elements: readonly CompositeElement[], end: Moment): boolean {
    const { request, begin } = attempt;
    const isOver = (service_id: string): boolean =>
      this.candidates(service_id, begin, end).some(({ status }) => status !== 'active');
    return (
      elements.some(({ service }) => service.refusal) &&
      this.history.attempts.every(
        (other) =>
          other.request !== request ||
          other.outcome?.kind !== 'composed' ||
          other.end!.order > begin.order ||
          other.outcome.answer.some(({ service_id }) => isOver(service_id)),
      )
    );
  }

  private composed(attempt: Attempt, { answer, position }: Composed, end: Moment): void {
    const rule: Rule = 'an accepted command has one valid event, where its answer says';
    const { ask, id } = attempt;
    if (ask.kind !== 'composite') return;
    if (answer.length !== ask.elements.length)
      this.fail(rule, `${id} has ${answer.length} answers to ${ask.elements.length} elements`);
    for (const own of this.truth.byCorrelation.get(id) ?? []) {
      const { partition, offset } = own.record;
      if ((position.get(partition) ?? -1) < offset)
        this.fail(rule, `${id} was answered behind its own ${shown(own.record)}`);
    }
    for (const [index, { service_id, state_id, task_id, service_created }] of answer.entries()) {
      const element = ask.elements[index]!;
      const stream = this.truth.history({ tenant, stream: service_id });
      const known =
        stream?.steps.filter(isOfService).filter(({ record }) => record.offset < end.ends[stream.partition]!) ?? [];
      if (known.length === 0) {
        this.fail(rule, `${id} was answered ${service_id}, which nobody started`);
        continue;
      }
      const { partition, offset } = known[0]!.record;
      if ((position.get(partition) ?? -1) < offset)
        this.fail(rule, `${id} was answered behind the start of ${service_id}`);
      const services = known.flatMap(({ aggregate }) => (aggregate?.kind === 'service' ? [aggregate.service] : []));
      const everHad = (has: (service: LiveService) => boolean) =>
        services.some((service) => 'states' in service && has(service));
      const poisoned = services.length < known.length;
      if (poisoned) continue;
      if (state_id !== undefined && !everHad(({ states }) => states.some((state) => state.state_id === state_id)))
        this.fail(rule, `${id} was answered state ${state_id}, which ${service_id} never had`);
      if (task_id !== undefined && !everHad(({ tasks }) => tasks.some((task) => task.task_id === task_id)))
        this.fail(rule, `${id} was answered task ${task_id}, which ${service_id} never had`);
      if (service_created) continue;
      const begin = this.firstOf(attempt).begin;
      const matched = this.window({ tenant, stream: service_id }, begin, end).some(
        ({ aggregate }) => aggregate?.kind === 'service' && matchesComposite(aggregate.service, element.service.start),
      );
      if (!matched) this.fail(rule, `${id} found ${service_id}, which did not match`);
    }
  }

  private firstOf(attempt: Attempt): Attempt {
    return this.history.attempts.find(({ request }) => request === attempt.request) ?? attempt;
  }

  /* ---- keys ---- */

  keys(): void {
    const rule: Rule = 'a key has one effect and one answer';
    const effects = new Map<string, Step | ControlStep>();
    for (const step of [...this.steps(), ...this.history.control.steps]) {
      const { idempotency, tenant: owner, stream, type, correlationId } = step.record;
      // Which service a composite start uses may be decided again, when what was found has ended.
      if (!idempotency || type === 'OtherServiceChosen') continue;
      // The part of a composite start has its effect in one stream of all.
      const isPart = this.byId.get(correlationId)?.ask.kind === 'composite';
      const key = `${isPart ? '' : streamKey({ tenant: owner, stream })} ${idempotency.key}`;
      const other = effects.get(key);
      if (other) this.fail(rule, `${shown(other.record)} and ${shown(step.record)} have the same key`);
      effects.set(key, step);
    }
    const requests = new Map<string, Attempt[]>();
    for (const attempt of this.history.attempts) {
      if (!attempt.idempotency) continue;
      const { key, request } = attempt.idempotency;
      requests.set(`${key} ${request}`, [...(requests.get(`${key} ${request}`) ?? []), attempt]);
    }
    for (const attempts of requests.values()) this.sameAnswers(attempts);
  }

  private sameAnswers(attempts: readonly Attempt[]): void {
    const rule: Rule = 'a key has one effect and one answer';
    const [first, ...others] = attempts.flatMap(({ id, outcome }) =>
      outcome && 'answer' in outcome ? [{ id, answer: outcome.answer }] : [],
    );
    for (const { id, answer } of others) {
      if (!same(answer, first!.answer))
        this.fail(rule, `${id} was answered ${JSON.stringify(answer)}, ${first!.id} ${JSON.stringify(first!.answer)}`);
    }
  }

  /* ---- composite starts ---- */

  composites(): void {
    const rule: Rule = 'composite starts of equal fields agree on one active service';
    const steps = [...this.steps()].sort((a, b) => a.record.sequence - b.record.sequence);
    /** The services that composite starts of the same fields created, as they are at the step. */
    const groups = new Map<string, Map<string, Step>>();
    const groupOf = new Map<string, { group: Map<string, Step>; started: Attempt }>();
    for (const step of steps) {
      const { record, event } = step;
      if (event?.type === 'ServiceStarted') {
        const attempt = this.byId.get(record.correlationId);
        if (attempt?.ask.kind === 'composite' && !attempt.ask.createNew) {
          const name = claimId(event.data);
          const group = groups.get(name) ?? new Map<string, Step>();
          groups.set(name, group);
          groupOf.set(record.stream, { group, started: attempt });
        }
      }
      const member = groupOf.get(record.stream);
      if (!member) continue;
      member.group.set(record.stream, step);
      if (event?.type !== 'ServiceStarted') continue;
      const active = [...member.group].filter(
        ([, { aggregate, head }]) =>
          aggregate?.kind === 'service' &&
          matchesComposite(aggregate.service, event.data) &&
          (head.expiresAt ?? Infinity) > record.recordedAt + clockUncertaintyMs,
      );
      if (active.length > 1)
        this.fail(rule, `${active.map(([stream]) => stream).join(' and ')} are active at ${shown(record)}`);
    }
    const creators = new Map<string, Attempt>();
    for (const attempt of this.history.attempts) {
      if (attempt.outcome?.kind !== 'composed') continue;
      for (const { service_id, service_created } of attempt.outcome.answer) {
        if (!service_created) continue;
        const other = creators.get(service_id);
        if (other && other.request !== attempt.request)
          this.fail(rule, `${other.id} and ${attempt.id} were both told that they created ${service_id}`);
        creators.set(service_id, attempt);
      }
    }
  }

  /* ---- queries ---- */

  queries(): void {
    const known = new Known();
    const ended = this.history.attempts.filter(({ end }) => end);
    for (const attempt of ended.sort((a, b) => a.end!.order - b.end!.order)) this.learn(attempt, known);
    for (const attempt of this.history.attempts) {
      const { ask, outcome, end } = attempt;
      if (!outcome || !end) continue;
      const floor = known.floor(attempt);
      if (ask.kind === 'get') this.get(attempt, ask.service_id, outcome, end, floor);
      if (ask.kind === 'list') this.list(attempt, outcome, end, floor);
      if (ask.kind === 'composite') this.overlooked(attempt, outcome, end, floor);
    }
  }

  private learn({ id, process, outcome, ask, idempotency, end }: Attempt, known: Known): void {
    if (!end) return;
    const since = end.order;
    if (outcome?.kind === 'answered' || outcome?.kind === 'composed') {
      for (const { record } of this.truth.byCorrelation.get(id) ?? [])
        known.told(process, streamKey(record), { since, version: record.version });
      if (idempotency && ask.kind === 'command') {
        const kept = this.truth
          .history({ tenant, stream: ask.command.data.service_id })
          ?.steps.find(
            ({ record }) => record.idempotency?.key === idempotency.key && record.offset < end.ends[record.partition]!,
          );
        if (kept) known.told(process, streamKey(kept.record), { since, version: kept.record.version });
      }
    }
    if (outcome?.kind !== 'found') return;
    for (const service of outcome.services) {
      const stream = this.truth.history({ tenant, stream: service.service_id });
      // The oldest state that looks like this: it was at least that one.
      const version =
        (stream?.steps.findIndex(
          ({ aggregate }) => aggregate?.kind === 'service' && same(aggregate.service, service),
        ) ?? -1) + 1;
      if (version > 0) known.read(streamKey({ tenant, stream: service.service_id }), { since, version });
    }
  }

  private get(
    attempt: Attempt,
    service_id: string,
    outcome: Outcome,
    end: Moment,
    floor: (stream: StreamHistory) => number,
  ): void {
    const rule: Rule = 'a query is never older than what was answered before';
    const { id, begin } = attempt;
    if (outcome.kind === 'rejected') {
      const absent = this.candidates(service_id, begin, end).some(
        ({ status }) => status === 'unstarted' || status === 'gone',
      );
      if (!absent)
        this.fail(
          'a refusal is justified by a state between request and answer',
          `${id} get ${service_id}: ${outcome.code}`,
        );
    }
    if (outcome.kind !== 'found') return;
    for (const service of outcome.services) this.shows(rule, attempt, service, end, floor);
  }

  /** What was shown is a state of the service, not older than the floor, and was not over yet. */
  private shows(
    rule: Rule,
    { id, begin }: Attempt,
    service: LiveService,
    end: Moment,
    floor: (stream: StreamHistory) => number,
  ): Step | undefined {
    const stream = this.truth.history({ tenant, stream: service.service_id });
    const step = stream?.steps.findLast(
      ({ aggregate, record }) =>
        record.offset < end.ends[record.partition]! &&
        aggregate?.kind === 'service' &&
        same(aggregate.service, service),
    );
    if (!stream || !step) {
      this.fail(rule, `${id} was shown ${service.service_id} as it never was`);
      return undefined;
    }
    if (step.record.version < floor(stream))
      this.fail(rule, `${id} was shown ${service.service_id} v${step.record.version}, v${floor(stream)} was known`);
    if ((step.head.expiresAt ?? Infinity) <= begin.time - clockUncertaintyMs)
      this.fail(rule, `${id} was shown ${service.service_id} after its time`);
    return step;
  }

  private list(attempt: Attempt, outcome: Outcome, end: Moment, floor: (stream: StreamHistory) => number): void {
    const rule: Rule = 'a query is never older than what was answered before';
    const { ask, id } = attempt;
    if (ask.kind !== 'list' || outcome.kind !== 'found') return;
    const { owner, filter, page } = ask;
    const belongs = (service: Service): boolean =>
      isLive(service) &&
      (filter.status === 'all' || filter.status === service.status) &&
      owns(owner, service) &&
      (filter.serviceTypes === undefined || filter.serviceTypes.some((type) => matches(service.service_type, type)));
    const { services } = outcome;
    for (const service of services) {
      if (!belongs(service)) this.fail(rule, `${id} lists ${service.service_id}, which does not belong there`);
      this.shows(rule, attempt, service, end, floor);
    }
    if (new Set(services.map(({ service_id }) => service_id)).size < services.length)
      this.fail(rule, `${id} lists a service twice`);
    if (!same(inOrder(services), services)) this.fail(rule, `${id} is not in order`);
    const { limit = Number.POSITIVE_INFINITY } = page;
    if (services.length > limit) this.fail(rule, `${id} lists more than its limit`);
    const oldest = services.length < limit ? undefined : services[0];
    for (const stream of this.truth.streams.values()) {
      if (services.some(({ service_id }) => service_id === stream.stream)) continue;
      const last = this.always(belongs, stream, floor(stream), end);
      if (!last) continue;
      if (oldest && (startedAt(last) - startedAt(oldest) || last.recordedAt - oldest.recordedAt) <= 0) continue;
      this.fail(rule, `${id} does not list ${stream.stream}, known at v${floor(stream)}`);
    }
  }

  /** A composite start does not pass over what its process or its caller knew to match. */
  private overlooked(attempt: Attempt, outcome: Outcome, end: Moment, floor: (stream: StreamHistory) => number): void {
    const rule: Rule = 'a composite start takes the newest service that it compares';
    const { ask, id, request } = attempt;
    if (ask.kind !== 'composite' || ask.createNew || outcome.kind !== 'composed') return;
    // Another attempt may have chosen, and known less.
    if (this.history.attempts.some((other) => other !== attempt && other.request === request)) return;
    for (const [index, { service_id, service_created }] of outcome.answer.entries()) {
      const { start } = ask.elements[index]!.service;
      const chosen = this.truth.history({ tenant, stream: service_id })?.steps.find(isOfService)?.aggregate;
      for (const stream of this.truth.streams.values()) {
        if (stream.stream === service_id) continue;
        const known = this.always((service) => matchesComposite(service, start), stream, floor(stream), end);
        if (!known) continue;
        const isNewer =
          chosen?.kind === 'service' &&
          isLive(chosen.service) &&
          comparePlaces(placeOf(known), placeOf(chosen.service)) > 0;
        if (service_created || isNewer)
          this.fail(rule, `${id} ${service_created ? 'created' : 'took'} ${service_id} in spite of ${stream.stream}`);
      }
    }
  }

  /** The service at this version, when it `belongs` from there to the end of the request. */
  private always(
    belongs: (service: Service) => boolean,
    { steps, partition }: StreamHistory,
    version: number,
    end: Moment,
  ): LiveService | undefined {
    const first = steps[version - 1]?.aggregate;
    if (first?.kind !== 'service' || !isLive(first.service)) return undefined;
    const isCertain = steps
      .slice(version - 1)
      .every(
        ({ aggregate, head, record }) =>
          record.offset >= end.ends[partition]! ||
          (aggregate?.kind === 'service' &&
            belongs(aggregate.service) &&
            (head.expiresAt ?? Infinity) > end.time + clockUncertaintyMs),
      );
    return isCertain ? first.service : undefined;
  }

  /* ---- read model ---- */

  readModel(): void {
    const rule: Rule = 'rows, lists and parked streams equal the fold of the log';
    const { store, published } = this.history;
    const rows = new Map(store.allRows().map((row) => [streamKey(row), row]));
    const expectedEntries: ListEntry[] = [];
    for (const [key, { steps, stream, tenant: owner }] of this.truth.streams) {
      const row = rows.get(key);
      rows.delete(key);
      const bad = steps.findIndex(({ aggregate }) => aggregate === undefined);
      const shownStep = bad === -1 ? steps.at(-1)! : steps[bad - 1];
      if (bad !== -1) {
        if (row?.parkedAtVersion !== bad + 1)
          this.fail(rule, `${stream} is not parked at v${bad + 1}: ${JSON.stringify(row)}`);
        for (const { record } of steps.slice(bad)) {
          if (
            !published.deadLetters.some(
              ({ partition, offset }) => partition === record.partition && offset === record.offset,
            )
          )
            this.fail(rule, `${shown(record)} is not among the dead letters`);
        }
      } else if (row?.parkedAtVersion !== undefined)
        this.fail(rule, `${stream} is parked at v${row.parkedAtVersion} without reason`);
      if (!same(visible(row), visible(shownStep && rowOf(shownStep))))
        this.fail(
          rule,
          `${stream} has the row ${JSON.stringify(row)}, the log says ${JSON.stringify(shownStep && rowOf(shownStep))}`,
        );
      if (shownStep?.aggregate?.kind !== 'service') continue;
      expectedEntries.push(...listEntries(shownStep.aggregate.service, owner));
    }
    for (const { kind, partition, offset } of this.truth.partitions.flat()) {
      const isSetAside = published.deadLetters.some((one) => one.partition === partition && one.offset === offset);
      if (kind === 'foreign' && !isSetAside)
        this.fail(rule, `the foreign s${partition}:${offset} is not among the dead letters`);
    }
    for (const row of rows.values()) this.fail(rule, `${row.stream} has a row that the log does not explain`);
    const inLists = (entries: readonly ListEntry[]) => entries.map((entry) => JSON.stringify(entry)).sort();
    const [found, expected] = [inLists(store.allEntries()), inLists(expectedEntries)];
    for (const entry of expected) if (!found.includes(entry)) this.fail(rule, `the lists miss ${entry}`);
    for (const entry of found) if (!expected.includes(entry)) this.fail(rule, `the lists should not have ${entry}`);
  }

  /* ---- public events ---- */

  publicEvents(): void {
    const rule: Rule = 'public events: each valid one, in stream order, none void';
    const { published, quiet } = this.history;
    const last = new Map<string, number>();
    const ids = new Map<string, string>();
    for (const { id, key, sequence } of published.events) {
      const step = this.truth.streams.get(key)?.steps[sequence - 1];
      if (!step || step.record.eventId !== id)
        this.fail(rule, `${key} ${sequence} (${id}) was published and is not valid`);
      const before = last.get(key) ?? 0;
      if (
        this.truth.streams
          .get(key)
          ?.steps.slice(before, sequence - 1)
          .some(isOfService)
      )
        this.fail(rule, `${key} ${sequence} was published right after ${before}`);
      last.set(key, Math.max(before, sequence));
      ids.set(`${key} ${sequence}`, id);
    }
    if (!quiet) return;
    for (const [key, { steps }] of this.truth.streams) {
      for (const { record, event, aggregate } of steps) {
        if (aggregate?.kind !== 'service' || !event) break;
        if (isPublicEvent(event) && !ids.has(`${key} ${record.version}`))
          this.fail(rule, `${shown(record)} was not published`);
      }
    }
  }

  private *steps(): Generator<Step> {
    for (const { steps } of this.truth.streams.values()) yield* steps;
  }

  private fail(rule: Rule, what: string): void {
    this.history.violation(rule, what);
  }
}

/** What callers know: at least these versions exist. To be told in the order of the answers. */
class Known {
  /** By process and stream, from the answers to commands. */
  private readonly processes = new Map<number, Map<string, Learnt[]>>();
  /** From rows that were shown, by whomever: the store never goes back. */
  private readonly rows = new Map<string, Learnt[]>();

  told(process: number, stream: string, learnt: Learnt): void {
    const streams = this.processes.get(process) ?? new Map<string, Learnt[]>();
    this.processes.set(process, streams);
    learn(streams, stream, learnt);
  }

  read(stream: string, learnt: Learnt): void {
    learn(this.rows, stream, learnt);
  }

  /** What the answer to this request may not be older than. */
  floor({ process, seen, begin }: Attempt): (stream: StreamHistory) => number {
    const told = this.processes.get(process);
    return (history) => {
      const key = streamKey(history);
      const sent = seen.get(history.partition) ?? -1;
      const bySeen = history.steps.findLast(({ record }) => record.offset <= sent)?.record.version ?? 0;
      return Math.max(before(told?.get(key), begin), before(this.rows.get(key), begin), bySeen);
    };
  }
}

/** A version, and the order of the moment from which on it is known. */
interface Learnt {
  readonly since: number;
  readonly version: number;
}

/** Keeps what is more than was known: the last one is the highest. */
function learn(streams: Map<string, Learnt[]>, stream: string, learnt: Learnt): void {
  const all = streams.get(stream);
  if (!all) streams.set(stream, [learnt]);
  else if (learnt.version > all.at(-1)!.version) all.push(learnt);
}

const before = (learnt: readonly Learnt[] | undefined, { order }: Moment): number =>
  learnt?.findLast(({ since }) => since < order)?.version ?? 0;

const events = {
  StartService: ['ServiceStarted'],
  AssociateService: ['ServiceAssociated'],
  UpdateService: ['ServiceUpdated'],
  EndService: ['ServiceEnded'],
  DeleteService: ['ServiceDeleted'],
  ChangeExpiration: ['ExpirationChanged'],
  StartState: ['StateStarted'],
  FindOrStartState: ['StateStarted', 'StateUpdated'],
  EndState: ['StateEnded'],
  TransitionState: ['StateTransitioned'],
  StartTask: ['TaskStarted'],
  FindOrStartTask: ['TaskStarted', 'TaskUpdated'],
  EndTask: ['TaskEnded'],
  ReplaceExtension: ['ExtensionReplaced'],
  MergeExtension: ['ExtensionMerged'],
} as const satisfies Record<ServiceCommand['type'], readonly string[]>;

function decided(
  command: ServiceCommand,
  service: Service,
  isKeyed: boolean,
): ReturnType<typeof decide> | { readonly code: string } {
  try {
    return decide(command, service, isKeyed);
  } catch (error) {
    if (error instanceof Rejected) return { code: error.code };
    throw error;
  }
}

const owns = ({ kind, id }: Owner, { customer_id, contact_key }: LiveService): boolean =>
  kind === 'customer' ? customer_id === id : customer_id === undefined && contact_key === id;

const rowOf = ({ record, head, aggregate }: Step): Partial<StreamRow> => {
  const { tenant: owner, stream, offset } = record;
  return { tenant: owner, stream, head, offset, ...(aggregate && { aggregate }) };
};

/** It tells something of the service, not which one a composite start has chosen instead. */
const isOfService = ({ event }: Step): boolean => event === undefined || isPublicEvent(event);

const isLive = (service: Service): service is LiveService =>
  service.status === 'active' || service.status === 'completed';

const placeOf = (service: LiveService): ListPlace => ({
  started: startedAt(service),
  recordedAt: service.recordedAt,
  service_id: service.service_id,
});

/** What a row shows beside its being parked; nothing while it shows no record. */
const visible = (row: Partial<StreamRow> | undefined): unknown =>
  row && row.offset !== -1 ? [row.tenant, row.stream, row.head, row.offset, row.aggregate] : undefined;

const same = (one: unknown, other: unknown): boolean => one === other || json(one) === json(other);

/** Of what is compared again and again. What is part of a history does not change any more. */
const asJson = new WeakMap<object, string>();

function json(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const before = asJson.get(value);
  if (before !== undefined) return before;
  const text = JSON.stringify(value);
  asJson.set(value, text);
  return text;
}

type MetadataEvent = Exclude<ControlEvent, { readonly type: 'ModeSwitchStarted' | 'ModeSwitched' | 'ProcessDrained' }>;

const isAboutMetadata = (event: ControlEvent): event is MetadataEvent => !modeEvents.has(event.type);

const modeEvents: ReadonlySet<string> = new Set(['ModeSwitchStarted', 'ModeSwitched', 'ProcessDrained']);

/** Commands and events of metadata that need maintenance (contract C4); the others are possible in both modes. */
export const isForMaintenance = (type: string): boolean =>
  type === 'DeleteProfileExtensionSchema' || type === 'ProfileExtensionSchemaDeleted';

const shownControl = ({ record: { type, offset, epoch }, event }: ControlStep): string =>
  `${type} ${'epoch' in event.data ? `to epoch ${event.data.epoch} ` : ''}of epoch ${epoch} at c0:${offset}`;

const shown = ({ stream, version, partition, offset, type, correlationId }: Step['record']): string =>
  `${stream} v${version} ${type} at s${partition}:${offset} by ${correlationId}`;
