import { isClaimEvent, type Mode, type RecordedEvent } from '#events';
import type { LogRecord } from '#event-log';
import type { Asked, AskedKind, Answer, ModeHistory } from './mode-history.js';
import { validControlEvents, validEvents } from './valid-events.js';

/** The time of one mode, in the order of the control log and by the broker's clock. */
interface Period {
  readonly mode: Mode;
  readonly epoch: number;
  /** Of the record that opened it. */
  readonly opened: { readonly offset: number; readonly at: number };
  /** Of the record that began the next switch. */
  closed: { readonly offset: number; readonly at: number };
}

const EXCEPTIONS: ReadonlySet<string | undefined> = new Set([
  'ModeException',
  'SwitchingException',
  'OverloadedException',
  'OutcomeUnknownException',
  'ServiceUnavailableException',
]);

const always = { offset: -1, at: Number.NEGATIVE_INFINITY };
const never = { offset: Number.POSITIVE_INFINITY, at: Number.POSITIVE_INFINITY };

/** The mode in which calls of this kind are refused. */
const closedIn: Readonly<Partial<Record<AskedKind, Mode>>> = {
  change: 'maintenance',
  read: 'maintenance',
  schema: 'production',
};

/**
 * In which ways a history breaks the promises of the mode (design 4): nothing valid is recorded in the wrong mode, every
 * answer is true, and nobody waits longer than the limits. Knows of the server only the rule which records count.
 */
export function violations(history: ModeHistory): readonly string[] {
  const { periods, wrong } = periodsOf(history.control);
  return [
    ...wrong,
    ...fences(history, periods),
    ...eventsInTheWrongMode(history, periods),
    ...changes(history.asked, 'change', dataEvents(history)),
    ...changes(history.asked, 'schema', metadataEvents(history)),
    ...callsInTheWrongMode(history, periods),
    ...switches(history, periods),
    ...history.asked.flatMap((asked) => form(asked)),
    ...late(history),
  ];
}

/** The modes one after another, a fresh server being in production. */
function periodsOf(control: readonly LogRecord[]): { periods: readonly Period[]; wrong: readonly string[] } {
  const periods: Period[] = [{ mode: 'production', epoch: 0, opened: always, closed: never }];
  const wrong: string[] = [];
  let begun: { readonly target: Mode; readonly epoch: number } | undefined;
  for (const { event, record } of validControlEvents(control)) {
    const now = periods.at(-1)!;
    const place = { offset: record.offset, at: record.recordedAt };
    if (event.type === 'ModeSwitchStarted') {
      const { target, epoch } = event.data;
      if (begun)
        wrong.push(`control ${record.offset}: a switch begins while that to epoch ${begun.epoch} is under way`);
      if (target === now.mode || epoch !== now.epoch + 1)
        wrong.push(`control ${record.offset}: from ${now.mode} ${now.epoch} to ${target} ${epoch}`);
      begun = { target, epoch };
      now.closed = place;
    } else if (event.type === 'ModeSwitched') {
      const { mode, epoch } = event.data;
      if (begun?.target !== mode || begun.epoch !== epoch)
        wrong.push(`control ${record.offset}: ${mode} ${epoch} is opened, but nobody has begun that switch`);
      periods.push({ mode, epoch, opened: place, closed: never });
      begun = undefined;
    }
  }
  if (begun) wrong.push(`the switch to epoch ${begun.epoch} was never completed`);
  return { periods, wrong };
}

/** Before a mode is opened every partition has its fence. */
function fences({ services, partitions }: ModeHistory, periods: readonly Period[]): readonly string[] {
  return periods.slice(1).flatMap(({ epoch, opened }) =>
    Array.from({ length: partitions }, (_, partition) => partition)
      .filter((partition) => {
        const isInTime = (record: LogRecord): boolean =>
          record.kind === 'fence' && record.epoch >= epoch && record.recordedAt <= opened.at;
        return !services.some((record) => record.partition === partition && isInTime(record));
      })
      .map((partition) => `partition ${partition} has no fence of epoch ${epoch} before that mode was opened`),
  );
}

const dataEvents = ({ services }: ModeHistory): readonly RecordedEvent[] =>
  validEvents(services).flatMap(({ record, event }) => (isClaimEvent(event) ? [] : [record]));

/** Of changes that somebody asked for. */
const metadataEvents = ({ control }: ModeHistory): readonly RecordedEvent[] =>
  validControlEvents(control).flatMap(({ record, event }) =>
    event.type === 'BusinessAttributeDefined' ? [record] : [],
  );

/** By their epochs, and once more by the broker's clock. */
function eventsInTheWrongMode(history: ModeHistory, periods: readonly Period[]): readonly string[] {
  const modes = new Map(periods.map(({ epoch, mode }) => [epoch, mode]));
  const wrong = (records: readonly RecordedEvent[], closed: Mode): readonly string[] =>
    records.flatMap(({ type, partition, offset, epoch, recordedAt }) => {
      const name = `${type} at ${partition}:${offset}`;
      const period = periods.find((one) => one.opened.at < recordedAt && recordedAt < one.closed.at);
      return [
        ...(modes.get(epoch) === closed ? [`${name} is valid in epoch ${epoch}, ${closed}`] : []),
        ...(period?.mode === closed ? [`${name} is valid, and was recorded while ${closed} was in force`] : []),
      ];
    });
  const data = validEvents(history.services).map(({ record }) => record);
  return [...wrong(data, 'maintenance'), ...wrong(metadataEvents(history), 'production')];
}

/** Every change that was answered with success has exactly its one valid event, and no other has one that was denied. */
function changes(asked: readonly Asked[], kind: AskedKind, events: readonly RecordedEvent[]): readonly string[] {
  const recorded = new Map<string, number>();
  for (const { correlationId } of events) recorded.set(correlationId, (recorded.get(correlationId) ?? 0) + 1);
  const calls = new Map<string, Asked[]>();
  for (const call of asked.filter((one) => one.kind === kind))
    calls.set(call.correlationId, [...(calls.get(call.correlationId) ?? []), call]);
  const unasked = [...recorded.keys()].filter((correlationId) => !calls.has(correlationId));
  return [
    ...unasked.map((correlationId) => `${correlationId} has an event, and nobody has asked for it`),
    ...[...calls].flatMap(([correlationId, repeats]) => {
      const events = recorded.get(correlationId) ?? 0;
      const answers = repeats.map(({ answer }) => answer);
      const successes = answers.filter((answer) => answer !== undefined && isSuccess(answer));
      const told = answers.map((answer) => answer?.status ?? 'nothing').join(', ');
      if (new Set(successes.map((answer) => answer?.body)).size > 1)
        return [`${correlationId} was given several answers: ${successes.map((answer) => answer?.body).join(' ')}`];
      if (successes.length > 0)
        return events === 1 ? [] : [`${correlationId} was answered ${told}, and has ${events} valid events`];
      const most = answers.every((answer) => answer?.outcome === 'not-applied') ? 0 : 1;
      return events <= most ? [] : [`${correlationId} was answered ${told}, and has ${events} valid events`];
    }),
  ];
}

/** From the moment at which a mode is in force until the next switch, nothing is answered that it does not allow. */
function callsInTheWrongMode({ asked }: ModeHistory, periods: readonly Period[]): readonly string[] {
  return asked.flatMap(({ kind, process, correlationId, sentAt, answer }) => {
    if (!answer || answer.status === 503) return [];
    const period = periods.find(({ opened, closed }) => opened.at < sentAt && answer.at < closed.at);
    if (period === undefined || period.mode !== closedIn[kind]) return [];
    return [`${process} answered ${kind} ${correlationId} with ${answer.status} in ${period.mode}`];
  });
}

/** Where a switch says that it has arrived, its mode is in force. */
function switches({ asked }: ModeHistory, periods: readonly Period[]): readonly string[] {
  return asked.flatMap(({ kind, to, process, answer }) => {
    if (kind !== 'switch' || !answer || !isSuccess(answer)) return [];
    const at = Number(/(?:^|,)c:(\d+)$/.exec(answer.position ?? '')?.[1] ?? Number.NaN);
    const period = periods.find(({ opened, closed }) => opened.offset <= at && at < closed.offset);
    const isTrue = period?.mode === to && period !== undefined && period.opened.at <= answer.at;
    return isTrue ? [] : [`${process} said at ${answer.position} that it is in ${to}, the log does not`];
  });
}

/** A call succeeds, or is told to come back and what became of it. */
function form({ kind, process, correlationId, answer }: Asked): readonly string[] {
  if (!answer || isSuccess(answer)) return [];
  const { status, exception, retryAfter, outcome } = answer;
  const isOutcomeGood =
    kind === 'read' || kind === 'status' ? outcome === undefined : outcome === 'not-applied' || outcome === 'unknown';
  const isGood = status === 503 && EXCEPTIONS.has(exception) && Number(retryAfter) >= 1 && isOutcomeGood;
  const said = `${status} ${exception}, Retry-After ${retryAfter}, outcome ${outcome}`;
  return isGood ? [] : [`${process} answered ${kind} ${correlationId} with ${said}`];
}

function late({ asked, limitMs, pauses, killed }: ModeHistory): readonly string[] {
  return asked.flatMap(({ kind, process, correlationId, sentAt, answer }) => {
    const name = `${kind} ${correlationId} at ${process}`;
    if (!answer) return killed.has(process) ? [] : [`${name} was not answered`];
    const paused = pauses
      .filter((pause) => pause.process === undefined || pause.process === process)
      .reduce((sum, { from, to }) => sum + Math.max(0, Math.min(to, answer.at) - Math.max(from, sentAt)), 0);
    const ms = answer.at - sentAt - paused;
    return ms <= limitMs ? [] : [`${name} took ${ms} ms, ${limitMs} are allowed`];
  });
}

const isSuccess = ({ status }: Answer): boolean => status >= 200 && status < 300;
