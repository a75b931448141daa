import { createHash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { isMergeable, type LiveService, type Service, type State, type Task } from '#domain';
import { isPublicEvent, streamKey, type Mode } from '#events';
import type { LogRecord, PublicEvent } from '#event-log';
import { listEntries, type ListEntry, type StreamRow } from '#read-model';
import { Truth, type Step, type StreamHistory } from '../simulation/history.js';
import { isChange, outcomeOf, type Ask, type Call, type Moment, type OwnerAsked } from './history.js';
import { isImpossible, judgeAll, lettersOf, parkingOf, type Judged, type Letter, type Parking } from './judged.js';
import { Knowledge, Told, servicesIn } from './knowledge.js';
import { differences, lineOfCall, lineOfRecord, named } from './lines.js';
import { shownInAnswer, shownInLog } from './shown.js';

/** What is decided; each is a line of the report. */
export const rules = [
  'an acknowledged command has one valid event, at the place that its answer says',
  'what was refused or not applied has no valid event, what is unknown has at most one',
  'requests with one key have one effect and one answer',
  'a record that counts was asked for, and no answer names a place that the log does not have',
  'a command is accepted, or refused, by a state that the service had between call and answer',
  'composite starts of equal fields agree on one active service',
  'a read never goes back, and shows only what was',
  'rows and lists equal the fold of the log',
  'nothing of a service counts between a switch to maintenance and the next switch',
  'every answer is one that the contract knows',
  'every valid event of a service is public: under one id, in the partition of its source, first in stream order',
  'what is foreign or waits for an operator is in the dead letters with its reason, and nothing else is',
] as const;

export type Rule = (typeof rules)[number];

/** Everything that a run leaves behind. */
export interface Evidence {
  readonly calls: readonly Call[];
  readonly partitions: number;
  /** The whole services log. */
  readonly services: readonly LogRecord[];
  readonly control: readonly LogRecord[];
  /** The whole read model, after the projector has come to the end of the log. */
  readonly rows: readonly StreamRow[];
  readonly entries: readonly ListEntry[];
  /** The whole public topic, of each partition in its order; embedded: what is made of the log for others. */
  readonly published: readonly PublicEvent[];
  readonly letters: readonly Letter[];
  /** Correlation ids of records that a fault has written past the protocol. */
  readonly planted: ReadonlySet<string>;
}

export interface Violation {
  readonly rule: Rule;
  readonly what: string;
  /** The least that shows it: the records and calls concerned. */
  readonly shown: readonly string[];
}

/** In which ways the evidence breaks the rules. Knows of the server only the rule which records count, and `evolve`. */
export const violations = (evidence: Evidence): readonly Violation[] => new Checker(evidence).run();

const tenant = '1';
type Held = Pick<Step, 'head' | 'aggregate'> & Partial<Pick<Step, 'record'>>;
const unwritten: Held = { head: { version: 0 } };

class Checker {
  private readonly found: Violation[] = [];
  private readonly truth: Truth;
  private readonly knowledge: Knowledge;
  private readonly told = new Told();
  private readonly byId: ReadonlyMap<string, Call>;
  private readonly requests = new Map<string, Call[]>();
  /** By offset, of each partition. */
  private readonly partitions: readonly LogRecord[][];
  private readonly judged: ReadonlyMap<string, readonly Judged[]>;
  private readonly parkings = new Map<string, Parking>();

  /** Streams by the call that has written to them, in vain perhaps. */
  private readonly written = new Map<string, string[]>();

  constructor(private readonly evidence: Evidence) {
    this.partitions = Array.from({ length: evidence.partitions }, () => []);
    for (const record of evidence.services.toSorted((a, b) => a.offset - b.offset)) {
      this.partitions[record.partition]!.push(record);
      if (record.kind !== 'event') continue;
      this.written.set(record.correlationId, [...(this.written.get(record.correlationId) ?? []), record.stream]);
    }
    this.judged = judgeAll(this.partitions);
    const impossible = new Set<LogRecord>(
      [...this.judged.values()].flat().flatMap((one) => (isImpossible(one) ? [one.record] : [])),
    );
    this.truth = new Truth(
      this.partitions.map((records) =>
        records.filter((record) => !impossible.has(record)).map((record) => ({ ...record, sequence: 0 })),
      ),
    );
    for (const [key, judged] of this.judged) {
      const parking = parkingOf(judged, this.truth.streams.get(key));
      if (parking) this.parkings.set(key, parking);
    }
    this.knowledge = new Knowledge(evidence.calls, this.truth.streams.values());
    this.byId = new Map(evidence.calls.map((call) => [call.id, call]));
    for (const call of evidence.calls) {
      const attempts = this.requests.get(call.request) ?? [];
      attempts.push(call);
      this.requests.set(call.request, attempts);
    }
  }

  run(): readonly Violation[] {
    this.log();
    for (const call of this.evidence.calls) this.answer(call);
    for (const attempts of this.requests.values()) this.oneEffect(attempts);
    this.composites();
    this.reads();
    this.readModel();
    this.publicEvents();
    this.deadLetters();
    this.maintenance();
    return this.found;
  }

  /* ---- the log, and the form of answers ---- */

  private log(): void {
    const rule: Rule = 'a record that counts was asked for, and no answer names a place that the log does not have';
    for (const { steps } of this.truth.streams.values()) {
      for (const { record } of steps) {
        const call = this.byId.get(record.correlationId);
        if ((!call || !isChange(call.ask)) && !this.evidence.planted.has(record.correlationId))
          this.fail(rule, `nobody asked for ${named(record)}`, { streams: [record] });
      }
    }
    for (const stream of this.truth.streams.values()) this.oneRequestPerKey(stream);
    for (const one of [...this.judged.values()].flat()) {
      const { record, before, epoch } = one;
      if (isImpossible(one) && !this.evidence.planted.has(record.correlationId))
        this.fail(
          rule,
          `the protocol cannot have written ${named(record)}: after v${before.version}, in epoch ${epoch}`,
          { streams: [record] },
        );
    }
    for (const call of this.evidence.calls) {
      for (const [partition, offset] of servicesIn(call.answer?.position)) {
        const end = (this.partitions[partition]?.at(-1)?.offset ?? -1) + 1;
        if (offset >= end)
          this.fail(rule, `${call.id} was answered at s${partition}:${offset}, the log ends at ${end}`, {
            calls: [call],
          });
      }
    }
  }

  private answer(call: Call): void {
    const { ask, answer, id } = call;
    const outcome = outcomeOf(call);
    if (outcome === 'odd')
      this.fail(
        'every answer is one that the contract knows',
        `${id} ${ask.kind} was answered ${answer!.status}${answer!.status === 503 ? ` with X-CS-Outcome ${answer!.outcome ?? 'missing'}` : ''}`,
        { calls: [call] },
      );
    if (!isChange(ask)) return;
    const own = this.truth.byCorrelation.get(id) ?? [];
    const most = outcome === 'not-applied' ? 0 : ask.kind === 'composite' ? own.length : outcome === 'refused' ? 0 : 1;
    if (own.length > most)
      this.fail(
        'what was refused or not applied has no valid event, what is unknown has at most one',
        `${id} was answered '${outcome}', its valid events are ${own.length}: it may have ${most}`,
        { calls: [call], streams: own.map(({ record }) => record) },
      );
    if (ask.kind === 'composite') {
      if (outcome === 'ok') this.composed(call);
      if (outcome === 'refused') this.compositeRefused(call);
    } else {
      if (outcome === 'ok') this.accepted(call, own);
      if (outcome === 'refused') this.refused(call);
    }
  }

  /* ---- commands ---- */

  private accepted(call: Call, own: readonly Step[]): void {
    const rule: Rule = 'an acknowledged command has one valid event, at the place that its answer says';
    const { id, ask, answer, begin } = call;
    const position = servicesIn(answer!.position);
    const [step] = own;
    if (!step) {
      const first = this.eventsOf(this.requests.get(call.request)!).at(0);
      if (!first) return this.fail(rule, `${id} was accepted and none of its records counts`, { calls: [call] });
      const about = { calls: [call], streams: [first.record] };
      if ((position.get(first.record.partition) ?? -1) < first.record.offset)
        this.fail(rule, `${id} repeats ${named(first.record)}, and was answered at ${answer!.position}`, about);
      if (first.event && !tells(answer!.body, first.event.data))
        this.fail(
          rule,
          `${id} was answered ${JSON.stringify(answer!.body)}, ${named(first.record)} says otherwise`,
          about,
        );
      return;
    }
    const { record, event } = step;
    const about = { calls: [call], streams: [record] };
    if (position.get(record.partition) !== record.offset)
      this.fail(rule, `${id} was answered at ${answer!.position ?? 'no place'}, its event is ${named(record)}`, about);
    if (record.offset <= this.knowledge.before(record.partition, begin))
      this.fail(rule, `${id} was answered with ${named(record)}, which was in the log before it was asked`, about);
    if (!recordedBy[ask.kind].includes(record.type))
      this.fail(rule, `${id} ${ask.kind} has recorded ${named(record)}`, about);
    if (event && !tells(answer!.body, event.data))
      this.fail(rule, `${id} was answered ${JSON.stringify(answer!.body)}, its event says otherwise`, about);
    const before = this.steps(record)[record.version - 2] ?? unwritten;
    if (before.aggregate?.kind === 'claim' || (record.version > 1 && !before.aggregate)) return;
    const statuses = refusals(ask, serviceIn(before));
    if (statuses.length > 0)
      this.fail(
        'a command is accepted, or refused, by a state that the service had between call and answer',
        `${id} ${ask.kind} was accepted, a service of that state refuses it with ${statuses.join(' or ')}`,
        about,
      );
  }

  private refused(call: Call): void {
    const { ask, id, answer, key } = call;
    const { status } = answer!;
    if (status === 422 && key !== undefined && this.isReused(call)) return;
    const stream = 'service_id' in ask ? this.stream(ask.service_id) : undefined;
    const digest = key === undefined ? undefined : digestOf(key);
    const isPossible = this.during(stream, call.begin, answer!.end).some((held) => {
      if (held.head.version > 0 && !held.aggregate) return false;
      const service = serviceIn(held);
      // A repeat gets the first answer, whatever the service is now.
      const isKept = stream?.steps.some(
        ({ record }) => record.version <= held.head.version && record.idempotency?.key === digest,
      );
      return !(digest !== undefined && isKept && isLive(service)) && refusals(ask, service).includes(status);
    });
    if (!isPossible)
      this.fail(
        'a command is accepted, or refused, by a state that the service had between call and answer',
        `${id} ${ask.kind} was refused with ${status}, no state between call and answer does so`,
        { calls: [call], ...(stream && { streams: [stream] }) },
      );
  }

  /** Another request came with this key. */
  private isReused({ key, request, answer }: Call): boolean {
    return this.evidence.calls.some(
      (other) => other.key === key && other.request !== request && other.begin.order < answer!.end.order,
    );
  }

  private oneEffect(attempts: readonly Call[]): void {
    const rule: Rule = 'requests with one key have one effect and one answer';
    const [{ ask, request, key }] = attempts as [Call];
    if (!isChange(ask)) return;
    const isComposite = ask.kind === 'composite';
    const events = this.eventsOf(attempts);
    // Of a composite each part has one, in one stream of all; and it may have started what another one has claimed.
    const partOf = ({ record: { idempotency, type } }: Step) =>
      idempotency?.key ?? (type === 'ServiceStarted' ? undefined : type);
    const parts = new Set(events.map(partOf).filter((part) => part !== undefined));
    const effects = isComposite ? [...parts].map((part) => events.filter((step) => partOf(step) === part)) : [events];
    for (const same of effects)
      if (same.length > 1)
        this.fail(rule, `${request} has ${same.length} valid events`, {
          calls: attempts,
          streams: same.map(({ record }) => record),
        });
    const answered = attempts.filter((call) => outcomeOf(call) === 'ok');
    const isSame = ({ answer }: Call) =>
      answer!.status === answered[0]!.answer!.status && isDeepStrictEqual(answer!.body, answered[0]!.answer!.body);
    if (key !== undefined && !answered.every(isSame))
      this.fail(rule, `${request} was given several answers`, { calls: attempts });
  }

  /** What one key has recorded in one stream. */
  private oneRequestPerKey(stream: StreamHistory): void {
    const byKey = new Map<string, Call>();
    for (const { record } of stream.steps) {
      const call = this.byId.get(record.correlationId);
      const key = record.idempotency?.key;
      // A composite start is recorded in parts, by whoever finds it unfinished.
      if (!call || key === undefined || call.ask.kind === 'composite') continue;
      const other = byKey.get(key);
      byKey.set(key, call);
      if (other && other.request !== call.request)
        this.fail('requests with one key have one effect and one answer', `${other.id} and ${call.id} have one key`, {
          calls: [other, call],
        });
    }
  }

  private eventsOf(attempts: readonly Call[]): readonly Step[] {
    return attempts.flatMap(({ id }) => this.truth.byCorrelation.get(id) ?? []).filter(isOfService);
  }

  /* ---- composite starts ---- */

  private composed(call: Call): void {
    const rule: Rule = 'an acknowledged command has one valid event, at the place that its answer says';
    const { answer, id, ask, request } = call;
    const position = servicesIn(answer!.position);
    for (const { record } of this.truth.byCorrelation.get(id) ?? [])
      if ((position.get(record.partition) ?? -1) < record.offset)
        this.fail(rule, `${id} was answered at ${answer!.position}, before its own ${named(record)}`, {
          calls: [call],
          streams: [record],
        });
    const chosen = chosenBy(call);
    const stream = chosen && this.stream(chosen.service_id);
    const known = stream?.steps.filter(({ record }) => record.offset <= (position.get(record.partition) ?? -1)) ?? [];
    const about = { calls: [call], ...(stream && { streams: [stream] }) };
    if (!chosen || known.length === 0) return this.fail(rule, `${id} was answered what nobody has started`, about);
    const services = known.map(serviceIn).filter(isLive);
    const { state_id, task_id } = chosen;
    if (!services.some(({ states }) => states.some((state) => state.state_id === state_id)))
      this.fail(rule, `${id} was answered state ${state_id}, which ${chosen.service_id} never had`, about);
    if (task_id !== undefined && !services.some(({ tasks }) => tasks.some((task) => task.task_id === task_id)))
      this.fail(rule, `${id} was answered task ${task_id}, which ${chosen.service_id} never had`, about);
    if (chosen.service_created) return;
    const { begin } = this.requests.get(request)![0]!;
    const isFound = this.during(stream, begin, answer!.end).some((held) => {
      const service = serviceIn(held);
      return service.status === 'active' && agrees(service, ask as OwnerAsked);
    });
    if (!isFound) this.fail(rule, `${id} found ${chosen.service_id}, which did not match`, about);
  }

  /** The service was deleted between look and command, or the key came with something else. */
  private compositeRefused(call: Call): void {
    const { id, answer, ask, key } = call;
    if (answer!.status === 422 && key !== undefined && this.isReused(call)) return;
    const isGone = [...this.truth.streams.values()].some(
      ({ steps, partition }) =>
        steps.some(({ aggregate }) => aggregate?.kind === 'service' && aggregate.service.status === 'gone') &&
        steps.some((step) => isLive(serviceIn(step)) && agrees(serviceIn(step) as LiveService, ask as OwnerAsked)) &&
        steps[0]!.record.offset < this.knowledge.after(partition, answer!.end),
    );
    if (answer!.status !== 404 || !isGone)
      this.fail(
        'a command is accepted, or refused, by a state that the service had between call and answer',
        `${id} composite was refused with ${answer!.status}`,
        { calls: [call] },
      );
  }

  /** Nothing is created while a service that was created for the same fields is known to be active all the time. */
  private composites(): void {
    const created = this.evidence.calls.filter(
      (call) => call.ask.kind === 'composite' && outcomeOf(call) === 'ok' && chosenBy(call)?.service_created,
    );
    for (const call of created) {
      const { service_id } = chosenBy(call)!;
      const mine = this.stream(service_id)?.steps.find(isOfService)?.record;
      // A repeat is told what the first attempt has created.
      if (!mine || mine.offset <= this.knowledge.before(mine.partition, call.begin)) continue;
      for (const other of created) {
        const { service_id: otherId } = chosenBy(other)!;
        const stream = this.stream(otherId);
        if (otherId === service_id || !stream || other.answer!.end.order > call.begin.order) continue;
        if (ownerOf(other.ask) !== ownerOf(call.ask)) continue;
        const { begin } = this.requests.get(call.request)![0]!;
        const isActive = this.during(stream, begin, call.answer!.end).every((held) => {
          const service = serviceIn(held);
          return service.status === 'active' && agrees(service, call.ask as OwnerAsked);
        });
        if (isActive)
          this.fail(
            'composite starts of equal fields agree on one active service',
            `${call.id} created ${service_id} in spite of ${otherId}, created by ${other.id}`,
            { calls: [other, call], streams: [stream, mine] },
          );
      }
    }
  }

  /* ---- reads ---- */

  private reads(): void {
    const answered = this.evidence.calls.filter((call) => outcomeOf(call) === 'ok' || outcomeOf(call) === 'refused');
    for (const call of answered.sort((a, b) => a.answer!.end.order - b.answer!.end.order)) {
      if (call.ask.kind === 'get') this.get(call, call.ask.service_id);
      else if (call.ask.kind === 'list') this.list(call);
      else this.learn(call);
    }
  }

  /** What a process has acknowledged it knows. */
  private learn(call: Call): void {
    if (outcomeOf(call) !== 'ok') return;
    const position = servicesIn(call.answer!.position);
    for (const { record } of this.eventsOf(this.requests.get(call.request)!))
      if (record.offset <= (position.get(record.partition) ?? -1))
        this.told.version(call, streamKey(record), record.version);
  }

  /** What the answer may not be older than, and why. */
  private floor({ process, begin, seen }: Call, { steps, stream, partition }: StreamHistory): Floor {
    const sent = servicesIn(seen).get(partition) ?? -1;
    const bySent = steps.findLast(({ record }) => record.offset <= sent)?.record.version ?? 0;
    const told = this.told.by(process, streamKey({ tenant, stream }), begin);
    if (!told || bySent >= told.version)
      return { version: bySent, why: `its caller had sent s${partition}:${sent}, which is v${bySent}`, calls: [] };
    return {
      version: told.version,
      why: `${process} had told v${told.version} to ${told.call.id}`,
      calls: [told.call],
    };
  }

  private get(call: Call, service_id: string): void {
    const { id, answer } = call;
    const stream = this.stream(service_id);
    if (outcomeOf(call) === 'ok') return this.shows(call, answer!.body as Shown);
    const isAbsent = this.during(stream, call.begin, answer!.end).some((held) => !isLive(serviceIn(held)));
    if (answer!.status !== 404 || !isAbsent)
      this.fail(
        'a read never goes back, and shows only what was',
        `${id} was refused ${service_id} with ${answer!.status}, which was there all the time`,
        { calls: [call], ...(stream && { streams: [stream] }) },
      );
  }

  /** What was shown is a state of the service that is not older than the floor. */
  private shows(call: Call, body: Shown): void {
    const rule: Rule = 'a read never goes back, and shows only what was';
    const { id, answer } = call;
    const service_id = idOf(body);
    const stream = this.stream(service_id);
    const floor = stream && this.floor(call, stream);
    const shown = shownInAnswer(body);
    const hits = (stream?.steps ?? []).filter((held) => {
      const service = serviceIn(held);
      return isLive(service) && shownInLog(service) === shown;
    });
    const after = stream && this.knowledge.after(stream.partition, answer!.end);
    const past = hits.filter(({ record }) => record.offset < (after ?? 0));
    const good = past.find(({ record }) => record.version >= floor!.version);
    const old = past.at(-1)?.record;
    if (good) this.told.version(call, streamKey(good.record), good.record.version);
    else if (old)
      this.fail(rule, `${id} was shown v${old.version} of ${service_id}, but ${floor!.why}`, {
        calls: [call, ...floor!.calls],
        streams: [stream!, old],
        service_id,
      });
    else {
      const latest = stream?.steps.findLast(({ record }) => record.offset < (after ?? 0));
      const service = latest && serviceIn(latest);
      const inLog = service && isLive(service) ? shownInLog(service) : undefined;
      const differing = differences(JSON.parse(shown), inLog && JSON.parse(inLog));
      const least = latest ? `unlike v${latest.record.version}: ${differing.join('; ')}` : `which nobody had started`;
      this.fail(rule, `${id} was shown ${service_id} as it never was, ${least}`, {
        calls: [call],
        ...(stream && { streams: [stream] }),
        service_id,
      });
    }
  }

  private list(call: Call): void {
    const rule: Rule = 'a read never goes back, and shows only what was';
    const { ask, id, answer } = call;
    if (ask.kind !== 'list') return;
    if (outcomeOf(call) !== 'ok')
      return this.fail(rule, `${id} was refused a list with ${answer!.status}`, { calls: [call] });
    const belongs = (service: Service): boolean =>
      isLive(service) && (ask.status === 'all' || ask.status === service.status) && isOf(service, ask);
    const isWrong = (body: Shown): boolean =>
      !isOf(body, ask) || (ask.status !== 'all' && ask.status !== (body['completed'] ? 'completed' : 'active'));
    const listed = answer!.body as readonly Shown[];
    const ids = new Set(listed.map(idOf));
    const twice = listed.find((body, place) => listed.findIndex((one) => idOf(one) === idOf(body)) < place);
    if (twice) this.fail(rule, `${id} lists ${idOf(twice)} twice`, { calls: [call], service_id: idOf(twice) });
    for (const body of listed) {
      this.shows(call, body);
      if (isWrong(body))
        this.fail(rule, `${id} lists ${idOf(body)}, which does not belong there`, {
          calls: [call],
          service_id: idOf(body),
        });
    }
    for (const stream of this.truth.streams.values()) {
      if (ids.has(stream.stream)) continue;
      const floor = this.floor(call, stream);
      const end = this.knowledge.after(stream.partition, answer!.end);
      const since = stream.steps.filter(({ record }) => record.version >= floor.version && record.offset < end);
      if (floor.version > 0 && since.length > 0 && since.every((held) => belongs(serviceIn(held))))
        this.fail(rule, `${id} does not list ${stream.stream}, but ${floor.why}`, {
          calls: [call, ...floor.calls],
          streams: [stream],
          service_id: stream.stream,
        });
    }
  }

  /* ---- read model ---- */

  private readModel(): void {
    const rule: Rule = 'rows and lists equal the fold of the log';
    const rows = new Map(this.evidence.rows.map((row) => [streamKey(row), row]));
    const expected: ListEntry[] = [];
    for (const [key, stream] of this.truth.streams) {
      const row = rows.get(key);
      rows.delete(key);
      const last = stream.steps.at(-1);
      const parking = this.parkings.get(key);
      const step = parking ? stream.steps.findLast(({ record }) => record.offset < parking.record.offset) : last;
      if (row?.parkedAtVersion !== parking?.version)
        this.fail(
          rule,
          `the row of ${stream.stream} is ${parkedText(row?.parkedAtVersion)}; by the log it is ${parkedText(parking?.version)}`,
          { streams: [parking?.record ?? stream] },
        );
      const [found, folded] = [row && row.offset >= 0 ? contentOf(row) : undefined, step && contentOf(rowOf(step))];
      const differing = differences(found, folded);
      if (differing.length > 0)
        this.fail(rule, `the row of ${stream.stream} is not what the log says: ${differing.join('; ')}`, {
          streams: [stream],
        });
      if (step?.aggregate?.kind === 'service') expected.push(...listEntries(step.aggregate.service, tenant));
    }
    for (const [key, row] of rows) {
      // Nothing of it counts, but that it is parked.
      const parking = this.parkings.get(key);
      if (parking && row.parkedAtVersion === parking.version && row.offset < 0) continue;
      this.fail(rule, `the log has nothing of ${row.stream}, the read model has v${row.head.version} of it`);
    }
    const inLists = (entries: readonly ListEntry[]) => new Map(entries.map((entry) => [entryText(entry), entry]));
    const [have, must] = [inLists(this.evidence.entries), inLists(expected)];
    const aboutEntry = ({ service_id }: ListEntry) => {
      const stream = this.stream(service_id);
      return stream ? { streams: [stream] } : {};
    };
    for (const [text, entry] of must)
      if (!have.has(text)) this.fail(rule, `the lists miss ${inWords(entry)}`, aboutEntry(entry));
    for (const [text, entry] of have)
      if (!must.has(text)) this.fail(rule, `the lists should not have ${inWords(entry)}`, aboutEntry(entry));
  }

  /* ---- what others are told ---- */

  private publicEvents(): void {
    const rule: Rule =
      'every valid event of a service is public: under one id, in the partition of its source, first in stream order';
    const published = new Map<string, PublicEvent[]>();
    for (const event of this.evidence.published) published.set(event.key, [...(published.get(event.key) ?? []), event]);
    for (const [key, { steps, stream }] of this.truth.streams) {
      const about = { streams: [{ stream }] };
      const parking = this.parkings.get(key);
      const before = steps.filter(({ record }) => !parking || record.offset < parking.record.offset);
      const due = before[0]?.aggregate?.kind === 'service' ? before : [];
      let known = 0;
      for (const event of published.get(key) ?? []) {
        const step = due[event.sequence - 1];
        const what = `of ${stream} the public topic has ${event.type} as number ${event.sequence} (${event.id})`;
        if (due.slice(known, event.sequence - 1).some(isOfService))
          this.fail(rule, `${what} right after number ${known}`, about);
        known = Math.max(known, event.sequence);
        if (!step || !isOfService(step)) this.fail(rule, `${what}, which does not count`, about);
        else this.asRecorded(rule, what, event, step);
      }
      published.delete(key);
      const missing = due.slice(known).find(isOfService);
      if (missing) this.fail(rule, `${named(missing.record)} is not public`, { streams: [missing.record] });
    }
    for (const [key, [event]] of published)
      this.fail(rule, `the public topic has ${event!.type} of ${key}, of which the log has nothing`);
  }

  private asRecorded(rule: Rule, what: string, event: PublicEvent, { record, event: recorded }: Step): void {
    const { partition, recordedAt, eventId, type } = record;
    const mine = { id: event.id, type: event.type, partition: event.partition, time: event.time };
    const its = { id: eventId, type, partition, time: new Date(recordedAt).toISOString() };
    const data = JSON.parse(JSON.stringify(recorded!.data)) as Shown;
    const dataShown = Object.fromEntries(Object.keys(data).map((name) => [name, event.data[name]]));
    const differing = [...differences(mine, its), ...differences(dataShown, data)];
    if (differing.length > 0)
      this.fail(rule, `${what}, unlike ${named(record)}: ${differing.join('; ')}`, { streams: [record] });
  }

  private deadLetters(): void {
    const rule: Rule =
      'what is foreign or waits for an operator is in the dead letters with its reason, and nothing else is';
    const due = new Map<string, { readonly record: Letter['record']; readonly mustBe: boolean }>();
    const add = (mustBe: boolean) => (record: Letter['record']) => void due.set(placeOf(record), { record, mustBe });
    for (const record of this.partitions.flat()) if (record.kind === 'foreign') add(true)(record);
    for (const [key, parking] of this.parkings) {
      const { must, may } = lettersOf(this.judged.get(key)!, parking);
      may.forEach(add(false));
      must.forEach(add(true));
    }
    const read = new Set<string>();
    for (const { record, reason } of this.evidence.letters) {
      const place = placeOf(record);
      const expected = due.get(place);
      const about = record.kind === 'event' ? { streams: [record] } : {};
      read.add(place);
      if (!expected) this.fail(rule, `${place} is in the dead letters, and nothing is wrong with it`, about);
      else if (!isDeepStrictEqual(plain(record), plain(expected.record)))
        this.fail(
          rule,
          `the dead letter of ${place} says otherwise: ${differences(record, expected.record).join('; ')}`,
          about,
        );
      else if (reason === '' || (expected.record.kind === 'foreign' && reason !== expected.record.reason))
        this.fail(rule, `the dead letter of ${place} gives the reason '${reason}'`, about);
    }
    for (const [place, { record, mustBe }] of due)
      if (mustBe && !read.has(place))
        this.fail(
          rule,
          record.kind === 'event'
            ? `${named(record)} waits for an operator, and is not in the dead letters`
            : `the foreign record at ${place} is not in the dead letters: ${record.reason}`,
          record.kind === 'event' ? { streams: [record] } : {},
        );
  }

  /* ---- maintenance ---- */

  private maintenance(): void {
    const rule: Rule = 'nothing of a service counts between a switch to maintenance and the next switch';
    const periods = periodsOf(this.evidence.control);
    const modes = new Map(periods.map(({ epoch, mode }) => [epoch, mode]));
    for (const { steps } of this.truth.streams.values()) {
      for (const { record } of steps) {
        const { epoch, recordedAt } = record;
        const period = periods.find(({ from, to }) => from < recordedAt && recordedAt < to);
        if (modes.get(epoch) !== 'production')
          this.fail(rule, `${named(record)} counts in epoch ${epoch}: ${modes.get(epoch)}`, { streams: [record] });
        else if (period?.mode === 'maintenance')
          this.fail(rule, `${named(record)} was recorded in maintenance, and counts`, { streams: [record] });
      }
    }
    const switches = this.evidence.calls.filter(({ ask }) => ask.kind === 'switch');
    for (const arrived of switches) {
      if (arrived.ask.kind !== 'switch' || arrived.ask.mode !== 'maintenance' || outcomeOf(arrived) !== 'ok') continue;
      const { order } = arrived.answer!.end;
      const back = switches.filter(({ ask }) => ask.kind === 'switch' && ask.mode === 'production');
      if (back.some(({ begin, answer }) => begin.order < order && (!answer || answer.end.order > order))) continue;
      const next = back.find(({ begin }) => begin.order > order);
      for (const call of this.evidence.calls) {
        const { begin, answer, ask } = call;
        if (!answer || begin.order < order || (next && answer.end.order > next.begin.order)) continue;
        if (ask.kind === 'switch' || answer.status === 503) continue;
        this.fail(rule, `${call.id} ${ask.kind} was answered ${answer.status} in maintenance`, {
          calls: [arrived, call, ...(next ? [next] : [])],
        });
      }
    }
  }

  /* ---- streams ---- */

  private stream(service_id: string): StreamHistory | undefined {
    return this.truth.history({ tenant, stream: service_id });
  }

  private steps(id: { readonly tenant: string; readonly stream: string }): readonly Step[] {
    return this.truth.history(id)?.steps ?? [];
  }

  /** The stream as it certainly was at `begin`, and after each record that may have come until `end`. */
  private during(stream: StreamHistory | undefined, begin: Moment, end: Moment): readonly Held[] {
    if (!stream) return [unwritten];
    const { partition, steps } = stream;
    const [from, to] = [this.knowledge.before(partition, begin), this.knowledge.after(partition, end)];
    const before = steps.findLast(({ record }) => record.offset <= from);
    return [before ?? unwritten, ...steps.filter(({ record }) => record.offset > from && record.offset < to)];
  }

  /* ---- what is shown ---- */

  /** `streams`: all of a stream, or one record that must be among what is shown of it. */
  private fail(
    rule: Rule,
    what: string,
    about: {
      readonly calls?: readonly Call[];
      readonly streams?: readonly ({ readonly stream: string } | LogEvent)[];
      /** Nothing else in the body of an answer matters. */
      readonly service_id?: string;
    } = {},
  ): void {
    const { calls = [], streams = [], service_id } = about;
    const ofCalls = calls.flatMap(({ id, ask }) => [
      ...('service_id' in ask ? [ask.service_id] : []),
      ...(this.written.get(id) ?? []),
    ]);
    const ids = [...new Set([...streams.map(({ stream }) => stream), ...ofCalls])];
    const named = new Set(streams.flatMap((one) => ('offset' in one ? [placeOf(one)] : [])));
    const records = ids.flatMap((id) => this.recordsOf(id, calls, named));
    const brought = records.flatMap(({ correlationId }) => this.byId.get(correlationId ?? '') ?? []);
    const concerned = [...new Set([...calls, ...brought])].sort((a, b) => a.begin.order - b.begin.order);
    const shown = [
      ...(records.length > 0 ? ['  the log has:', ...records.map(({ line }) => line)] : []),
      ...(concerned.length > 0 ? ['  callers asked, and were answered (#: the order of all that):'] : []),
      ...concerned.map((call) => lineOfCall(call, service_id)),
    ];
    this.found.push({ rule, what, shown });
  }

  /**
   * The records of a stream, in log order, with what the rule says of them: the last that was there when these calls
   * began, and what came until all of them had ended. Without calls: the last ones.
   */
  private recordsOf(id: string, calls: readonly Call[], named: ReadonlySet<string>): readonly ShownRecord[] {
    return this.partitions.flatMap((_, partition) => {
      const all = (this.judged.get(streamKey({ tenant, stream: id })) ?? []).filter(
        ({ record }) => record.partition === partition,
      );
      const ends = calls.map(({ answer }) => this.knowledge.after(partition, answer?.end));
      const known = Math.min(...calls.map(({ begin }) => this.knowledge.before(partition, begin)));
      const to = calls.length > 0 ? Math.max(...ends) : Number.POSITIVE_INFINITY;
      const until = all.filter(({ record }) => record.offset < to || named.has(placeOf(record)));
      const last = until.findLast(({ record, judgement }) => judgement.valid && record.offset <= known);
      const from =
        calls.length > 0 ? (last?.record.offset ?? 0) : (until.at(-RECORDS_WITHOUT_CALLS)?.record.offset ?? 0);
      const parkedBy = this.parkings.get(streamKey({ tenant, stream: id }))?.record;
      const isShown = ({ record }: Judged): boolean => record.offset >= from || named.has(placeOf(record));
      return until.flatMap((one, place): ShownRecord[] => {
        if (isShown(one))
          return [{ correlationId: one.record.correlationId, line: lineOfRecord(one, one.record === parkedBy) }];
        const isFirstLeftOut = place === 0 || isShown(until[place - 1]!);
        const next = until.findIndex((later, there) => there > place && isShown(later));
        const leftOut = (next < 0 ? until.length : next) - place;
        return isFirstLeftOut ? [{ line: `    ... ${leftOut} more of ${id}` }] : [];
      });
    });
  }
}

interface ShownRecord {
  /** Missing for the line that stands for several. */
  readonly correlationId?: string;
  readonly line: string;
}

/** A violation without calls shows so many of the stream's last records. */
const RECORDS_WITHOUT_CALLS = 3;

type LogEvent = LogRecord & { readonly kind: 'event' };

interface Floor {
  readonly version: number;
  readonly why: string;
  readonly calls: readonly Call[];
}

const placeOf = ({ partition, offset }: { readonly partition: number; readonly offset: number }): string =>
  `s${partition}:${offset}`;

const parkedText = (version: number | undefined): string =>
  version === undefined ? 'not parked' : `parked at v${version}`;

const inWords = ({ service_id, status, owner, started, recordedAt, service_type }: ListEntry): string =>
  `${service_id} as ${status} of ${owner.kind} ${owner.id}, started ${started}, recorded ${recordedAt}, ` +
  (service_type === undefined ? 'without type' : `of type ${service_type}`);

const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

type Shown = { readonly [name: string]: unknown };

const recordedBy: Readonly<Record<Ask['kind'], readonly string[]>> = {
  start: ['ServiceStarted'],
  associate: ['ServiceAssociated'],
  end: ['ServiceEnded'],
  delete: ['ServiceDeleted'],
  expire: ['ExpirationChanged'],
  'start-state': ['StateStarted'],
  'end-state': ['StateEnded'],
  transition: ['StateTransitioned'],
  'start-task': ['TaskStarted'],
  'end-task': ['TaskEnded'],
  replace: ['ExtensionReplaced'],
  merge: ['ExtensionMerged'],
  composite: [],
  get: [],
  list: [],
  switch: [],
};

/** With which statuses a service of this state refuses (contract 0.3: 2 and 4); none when it accepts. */
function refusals(ask: Ask, service: Service): readonly number[] {
  if (ask.kind === 'start') return service.status === 'unstarted' ? [] : [409];
  if (!isLive(service)) return [404];
  const partOf = ({ state_id, task_id }: { state_id?: string; task_id?: string }) =>
    state_id !== undefined
      ? service.states.find((state) => state.state_id === state_id)
      : task_id !== undefined
        ? service.tasks.find((task) => task.task_id === task_id)
        : service;
  const ending = (item: LiveService | State | Task | undefined): readonly number[] =>
    !item ? [404] : item.status === 'completed' ? [409] : [];
  switch (ask.kind) {
    case 'end':
      return ending(service);
    case 'end-state':
    case 'transition':
    case 'end-task':
      return ending(partOf(ask));
    case 'start-task':
    case 'replace':
      return partOf(ask) ? [] : [404];
    case 'merge': {
      const item = partOf(ask);
      const stored = item && Object.hasOwn(item.extensions, ask.name) ? item.extensions[ask.name] : {};
      return !item ? [404] : isMergeable(stored!) ? [] : [400];
    }
    case 'associate':
    case 'delete':
    case 'expire':
    case 'start-state':
    case 'composite':
    case 'get':
    case 'list':
    case 'switch':
      return [];
  }
}

/** The modes one after another, by the control log and its broker's clock. A fresh server is in production. */
function periodsOf(control: readonly LogRecord[]): readonly Period[] {
  const periods: Period[] = [{ mode: 'production', epoch: 0, from: Number.NEGATIVE_INFINITY, to: Infinity }];
  const steps = new Truth([
    control.toSorted((a, b) => a.offset - b.offset).map((record) => ({ ...record, sequence: 0 })),
  ]);
  const records = [...steps.streams.values()].flatMap((stream) => stream.steps.map(({ record }) => record));
  for (const { type, value, recordedAt } of records.sort((a, b) => a.offset - b.offset)) {
    const data = JSON.parse(value) as { readonly mode: Mode; readonly epoch: number };
    if (type === 'ModeSwitchStarted') periods.at(-1)!.to = recordedAt;
    if (type === 'ModeSwitched') periods.push({ ...data, from: recordedAt, to: Infinity });
  }
  return periods;
}

interface Period {
  readonly mode: Mode;
  readonly epoch: number;
  /** Epoch milliseconds of the record that opened it, and of that which began the next switch. */
  readonly from: number;
  to: number;
}

/** As the server does it, of the key of the one tenant. */
export const digestOf = (key: string): string => createHash('sha256').update(`${tenant}\n${key}`).digest('base64url');

const serviceIn = ({ aggregate }: Held): Service =>
  aggregate?.kind === 'service' ? aggregate.service : { status: 'unstarted' };

const idOf = (body: Shown): string => String(body['service_id']);

const isLive = (service: Service): service is LiveService =>
  service.status === 'active' || service.status === 'completed';

/** Whose list it is in; with a customer it is not in that of its contact key. */
const isOf = (
  { customer_id, contact_key }: { customer_id?: unknown; contact_key?: unknown },
  owner: OwnerAsked,
): boolean =>
  owner.customer_id !== undefined
    ? customer_id === owner.customer_id
    : customer_id === undefined && contact_key === owner.contact_key;

/** A field that is missing is not compared. */
const agrees = ({ customer_id, contact_key }: LiveService, owner: OwnerAsked): boolean =>
  (owner.customer_id === undefined || customer_id === owner.customer_id) &&
  (owner.contact_key === undefined || contact_key === owner.contact_key);

const ownerOf = (ask: Ask): string => {
  const { customer_id, contact_key } = ask as OwnerAsked;
  return JSON.stringify([customer_id, contact_key]);
};

interface Chosen {
  readonly service_id: string;
  readonly service_created: boolean;
  readonly state_id: string;
  readonly task_id?: string;
}

const chosenBy = ({ answer }: Call): Chosen | undefined =>
  (answer?.body as { readonly services?: readonly Chosen[] } | undefined)?.services?.[0];

/** The ids of the answer are those of the event. */
function tells(body: unknown, data: object): boolean {
  const said = JSON.stringify(data);
  return Object.values((body ?? {}) as Shown).every(
    (id) => typeof id !== 'string' || said.includes(JSON.stringify(id)),
  );
}

/** It tells something of a service, not how composite starts agree on one. */
const isOfService = ({ event }: Step): boolean => !event || isPublicEvent(event);

const rowOf = ({ record, head, aggregate }: Step): Pick<StreamRow, 'head' | 'offset' | 'aggregate'> => ({
  head,
  offset: record.offset,
  aggregate: aggregate!,
});

const contentOf = ({ head, offset, aggregate }: Pick<StreamRow, 'head' | 'offset' | 'aggregate'>): unknown =>
  JSON.parse(JSON.stringify({ head, offset, aggregate }));

const entryText = ({ owner, status, started, recordedAt, service_id, service_type }: ListEntry): string =>
  JSON.stringify([owner.kind, owner.id, status, started, recordedAt, service_id, service_type]);
