// `node --import` this: the process looks into the file FAULTS_POINT_FILE for a point of its way, a number of passes and
// a signal; when it comes to the point for the so-many-th time it says so in the file FAULTS_POINTS_HIT, and sends
// itself the signal. Nothing of it is in the programs, and as long as the file is empty nothing is changed in them.
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { ServerResponse } from 'node:http';
import { isMainThread } from 'node:worker_threads';

/**
 * @typedef {object} Place a method that the process comes through
 * @property {string} part whose faults these are
 * @property {'embedded' | 'distributed'} engine
 * @property {() => Promise<any>} method its owner's prototype
 * @property {string} name
 * @property {Record<string, When>} [before] points, and whether this call is one
 * @property {Record<string, When>} [after] likewise, with what it has returned
 */

/** @typedef {(self: any, args: any[], result?: any) => boolean} When */

const dist = (/** @type {string} */ module, /** @type {string} */ name) => async () =>
  (await import(new URL(`../dist/libs/${module}.js`, import.meta.url).href))[name].prototype;
const kafkajs = (/** @type {string} */ module) => async () =>
  createRequire(import.meta.url)(`kafkajs/src/${module}`).prototype;

const arbiter = dist('event-log/src/arbiter', 'Arbiter');
const embeddedLog = dist('event-log/src/embedded/embedded-event-log', 'EmbeddedEventLog');
const logFile = dist('event-log/src/embedded/log-file', 'LogFile');
const kafkaLog = dist('event-log/src/kafka/kafka-log-transport', 'KafkaLogTransport');
const publicTopic = dist('event-log/src/kafka/kafka-public-topic', 'KafkaPublicTopic');
const cassandraConnection = dist('read-model/src/cassandra/connection', 'Connection');
const cassandraRows = dist('read-model/src/cassandra/cassandra-read-model', 'CassandraReadModel');
const embeddedRows = dist('read-model/src/embedded/embedded-read-model', 'EmbeddedReadModel');

const CONTROL_PARTITIONS = 1;
const always = () => true;
const isControl = (/** @type {any} */ log) => log.partitions === CONTROL_PARTITIONS;
/** @returns {When} */
const ofControl =
  (/** @type {string} */ type) =>
  (log, [record]) =>
    isControl(log) && record.type === type;
/** @type {When} */
const isAcceptedEvent = (log, _, verdict) => !isControl(log) && verdict.outcome === 'accepted';
/** @type {When} */
const isChangeDone = ({ req, statusCode }) => req?.method !== 'GET' && statusCode < 300;

/**
 * The steps of a mode switch are appends and fences, whatever the engine.
 * @param {Place['engine']} engine
 * @param {Place['method']} method
 * @returns {readonly Place[]}
 */
const ofSwitches = (engine, method) => [
  {
    ...{ part: 'switch', engine, method, name: 'append' },
    before: {
      'the switch is not recorded': ofControl('ModeSwitchStarted'),
      'this process has drained, and has not said so': ofControl('ProcessDrained'),
      'everything is fenced, the mode is the old one': ofControl('ModeSwitched'),
    },
    after: {
      'the switch is recorded': ofControl('ModeSwitchStarted'),
      'this process has said that it has drained': ofControl('ProcessDrained'),
      'the mode is the new one, nobody was answered': ofControl('ModeSwitched'),
    },
  },
  {
    ...{ part: 'switch', engine, method, name: 'fence' },
    before: { 'the control log is not fenced': isControl },
    after: {
      'a partition is fenced': (/** @type {any} */ log) => !isControl(log),
      'the control log is fenced': isControl,
    },
  },
];

/** @type {readonly Place[]} */
const places = [
  {
    ...{ part: 'api', engine: 'distributed', method: kafkajs('network/requestQueue/socketRequest'), name: 'send' },
    after: {
      'a batch is sent, not acknowledged': ({ entry, clientId }) =>
        entry.apiName === 'Produce' && clientId === 'context-services-api.services',
    },
  },
  {
    ...{ part: 'api', engine: 'distributed', method: kafkaLog, name: 'append' },
    after: { 'a batch with events is acknowledged': (_, [batch]) => batch.some(({ kind }) => kind === 'event') },
  },
  {
    ...{ part: 'api', engine: 'distributed', method: arbiter, name: 'judgeWaiting' },
    before: {
      'the own record is read back, not judged': (log, [{ correlationId }]) =>
        !isControl(log) &&
        [...log.waiting.values()].some((all) => [...all].some(({ record }) => record.correlationId === correlationId)),
    },
  },
  {
    ...{ part: 'api', engine: 'distributed', method: arbiter, name: 'append' },
    after: { 'the own record is accepted, nobody was answered': isAcceptedEvent },
  },
  {
    ...{ part: 'api', engine: 'distributed', method: arbiter, name: 'barrier' },
    after: { 'a barrier is passed': (log) => !isControl(log) },
  },
  ...ofSwitches('distributed', arbiter),
  {
    ...{ part: 'projector', engine: 'distributed', method: publicTopic, name: 'publish' },
    before: { 'the event is not published': always },
    after: { 'the event is published, no row is written': always },
  },
  {
    ...{ part: 'projector', engine: 'distributed', method: cassandraConnection, name: 'execute' },
    after: {
      'a list entry is written, the row is not': (_, [, parameters]) => 'service_type' in parameters,
      'a list entry is removed, the row is not written': (_, [, parameters]) => 'deleted' in parameters,
    },
  },
  {
    ...{ part: 'projector', engine: 'distributed', method: cassandraRows, name: 'save' },
    after: { 'the row is written, the checkpoint is not': always },
  },
  {
    ...{ part: 'projector', engine: 'distributed', method: cassandraRows, name: 'saveCheckpoint' },
    before: { 'all rows of a batch are written': always },
    after: { 'the checkpoint is written': always },
  },
  {
    ...{ part: 'api', engine: 'embedded', method: logFile, name: 'insert' },
    after: { 'a record is inserted, not committed': always },
  },
  {
    ...{ part: 'api', engine: 'embedded', method: logFile, name: 'transaction' },
    after: { 'a record is committed, nobody was answered': always },
  },
  {
    ...{ part: 'api', engine: 'embedded', method: embeddedLog, name: 'append' },
    after: { 'a command is accepted, nobody was answered': isAcceptedEvent },
  },
  ...ofSwitches('embedded', embeddedLog),
  {
    ...{ part: 'projector', engine: 'embedded', method: embeddedRows, name: 'save' },
    before: { 'no row is written': always },
    after: { 'the row is committed, the checkpoint is not': always },
  },
  {
    ...{ part: 'projector', engine: 'embedded', method: embeddedRows, name: 'saveCheckpoint' },
    after: { 'the checkpoint is committed': always },
  },
  ...['embedded', 'distributed'].map((engine) => ({
    ...{ part: 'api', engine: /** @type {Place['engine']} */ (engine), name: 'end' },
    method: async () => ServerResponse.prototype,
    before: { 'the answer is ready, not sent': isChangeDone },
    after: { 'the answer is sent': isChangeDone },
  })),
];

/** The points of a part of the system, in the order of their places here. */
export const pointsOf = (/** @type {string} */ part, /** @type {string} */ engine) =>
  places
    .filter((place) => place.part === part && place.engine === engine)
    .flatMap(({ before = {}, after = {} }) => [...Object.keys(before), ...Object.keys(after)]);

/**
 * Calls `arrive` at the point from now on.
 * @param {Place} place
 * @param {string} point
 * @param {() => void} arrive
 */
async function watch({ method, name, before = {}, after = {} }, point, arrive) {
  const [isBefore, isAfter] = [before[point], after[point]];
  if (!isBefore && !isAfter) return;
  const prototype = await method();
  const original = prototype[name];
  prototype[name] = function (...args) {
    if (isBefore?.(this, args)) arrive();
    const result = original.apply(this, args);
    if (!isAfter) return result;
    const look = (/** @type {any} */ value) => {
      if (isAfter(this, args, value)) arrive();
      return value;
    };
    return result instanceof Promise ? result.then(look) : look(result);
  };
}

const LOOK_MS = 50;
const { FAULTS_POINT_FILE, FAULTS_POINTS_HIT, CS_ENGINE } = process.env;
const own = places.filter(({ engine }) => engine === CS_ENGINE);
let told = '';
let passes = 0;

const fileNow = () => (existsSync(String(FAULTS_POINT_FILE)) ? readFileSync(String(FAULTS_POINT_FILE), 'utf8') : '');

async function look() {
  const text = fileNow();
  if (text === told) return;
  told = text;
  passes = 0;
  if (text === '') return;
  const point = JSON.parse(text);
  passes = point.passes;
  const arrive = () => {
    // Not of an earlier point, nor of one that was taken back just now.
    if (told !== text || --passes !== 0 || fileNow() !== text) return;
    appendFileSync(String(FAULTS_POINTS_HIT), `${JSON.stringify({ told: FAULTS_POINT_FILE, point: point.name })}\n`);
    process.kill(process.pid, point.signal);
  };
  for (const place of own) await watch(place, point.name, arrive);
}

if (FAULTS_POINT_FILE !== undefined) {
  if (isMainThread) await check();
  setInterval(() => void look(), LOOK_MS);
}

async function check() {
  for (const { method, name } of own)
    if (typeof (await method())[name] !== 'function')
      throw new Error(`points are at a method ${name} that is not there`);
}
