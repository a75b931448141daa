// @ts-nocheck: what it imports is installed only when it is measured.
// The calls of the conversation as a user of Emmett would serve them. `server.mjs SOCKETS USER` prints address and
// settings. One stream for each service, folded for each command and for the query: an inline projection, which would
// save the query its fold, doubles the work of every command, and there is one query in 33 calls.
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { DeciderCommandHandler } from '@event-driven-io/emmett';
import { getPostgreSQLEventStore } from '@event-driven-io/emmett-postgresql';
import fastify from 'fastify';
import pg from 'pg';

/* ---- what a service is ---- */

const initialState = () => ({ status: 'unknown', states: {}, tasks: {} });

class Refused extends Error {
  constructor(statusCode, message) {
    super(message);
    this.statusCode = statusCode;
  }
}

function refuseUnlessActive(parts, id) {
  if (!Object.hasOwn(parts, id)) throw new Refused(404, `there is no ${id}`);
  if (parts[id].completed) throw new Refused(409, `${id} is completed`);
}

function decide({ type, data }, service) {
  if (type !== 'StartService' && service.status === 'unknown') throw new Refused(404, 'there is no such service');
  switch (type) {
    case 'StartService':
      if (service.status !== 'unknown') throw new Refused(409, 'there is such a service');
      return { type: 'ServiceStarted', data };
    case 'StartState':
      return { type: 'StateStarted', data };
    case 'StartTask':
      if (data.state_id !== undefined) refuseUnlessActive(service.states, data.state_id);
      return { type: 'TaskStarted', data };
    case 'EndTask':
      refuseUnlessActive(service.tasks, data.task_id);
      return { type: 'TaskEnded', data };
    case 'EndState':
      refuseUnlessActive(service.states, data.state_id);
      return { type: 'StateEnded', data };
    case 'EndService':
      if (service.status === 'completed') throw new Refused(409, 'the service is completed');
      return { type: 'ServiceEnded', data };
  }
}

const added = (parts, id, started) => ({ ...parts, [id]: { started } });
const ended = (parts, id, completed) => ({ ...parts, [id]: { ...parts[id], completed } });

function evolve(service, { type, data }) {
  switch (type) {
    case 'ServiceStarted':
      return { ...service, status: 'active', started: data };
    case 'StateStarted':
      return { ...service, states: added(service.states, data.state_id, data) };
    case 'TaskStarted':
      return { ...service, tasks: added(service.tasks, data.task_id, data) };
    case 'TaskEnded':
      return { ...service, tasks: ended(service.tasks, data.task_id, data) };
    case 'StateEnded':
      return { ...service, states: ended(service.states, data.state_id, data) };
    case 'ServiceEnded':
      return { ...service, status: 'completed', completed: data };
    default:
      return service;
  }
}

/* ---- where it is kept ---- */

/** pg's own default; with 4, 8, 16 and 32 it is no faster on two cores. */
const CONNECTIONS = 10;

const [host, user] = process.argv.slice(2);
const pool = new pg.Pool({ host, user, database: 'postgres', max: CONNECTIONS });
const store = getPostgreSQLEventStore(`postgresql://${user}@localhost/postgres?host=${host}`, {
  connectionOptions: { pool },
});
await store.schema.migrate();

const streamOf = (serviceId) => `service-${serviceId}`;
const handle = DeciderCommandHandler({
  decide,
  evolve,
  initialState,
  mapToStreamId: streamOf,
  retry: { onVersionConflict: true },
});

/* ---- its calls ---- */

const id = { type: 'string', minLength: 1, maxLength: 1024 };
const whole = { type: 'integer', minimum: 0 };
const text = (maxLength) => ({ type: 'string', maxLength });
const bodyOf = (properties) => ({
  type: 'object',
  properties: {
    timestamp: { type: 'string', format: 'date-time' },
    session_id: text(32),
    interaction_id: text(50),
    application_type: whole,
    application_id: whole,
    resource_type: whole,
    resource_id: whole,
    media_type: whole,
    ...properties,
  },
});
const duration = { est_duration: whole };
const outcome = { disposition: whole, disposition_desc: text(64) };
const params = { type: 'object', properties: { service_id: id, state_id: id, task_id: id } };
const answering = (name) => ({ 201: { type: 'object', properties: { [name]: { type: 'string' } } } });

const server = fastify();
const record = (type, serviceId, body, ids) =>
  handle(store, serviceId, { type, data: { timestamp: new Date().toISOString(), ...body, ...ids } });

function starts(path, type, name, properties) {
  const schema = { params, body: bodyOf({ ...duration, ...properties }), response: answering(name) };
  server.post(path, { schema }, async ({ params: { service_id }, body }, reply) => {
    const ids = { [name]: randomUUID() };
    await record(type, service_id ?? ids.service_id, body, ids);
    return reply.code(201).send(ids);
  });
}

function ends(path, type) {
  const schema = { params, body: bodyOf(outcome) };
  server.post(path, { schema }, async ({ params: { service_id, ...ids }, body }, reply) => {
    await record(type, service_id, body, ids);
    return reply.code(204).send();
  });
}

starts('/services/start', 'StartService', 'service_id', { customer_id: id, service_type: whole });
starts('/services/:service_id/states/start', 'StartState', 'state_id', { state_type: whole });
starts('/services/:service_id/tasks/start', 'StartTask', 'task_id', { task_type: whole, state_id: id });
ends('/services/:service_id/tasks/:task_id/end', 'EndTask');
ends('/services/:service_id/states/:state_id/end', 'EndState');
ends('/services/:service_id/end', 'EndService');

const query = { type: 'object', properties: { extensions: text(1024) } };
server.get('/services/:service_id', { schema: { params, querystring: query } }, async ({ params: { service_id } }) => {
  const { state, streamExists } = await store.aggregateStream(streamOf(service_id), { evolve, initialState });
  if (!streamExists) throw new Refused(404, 'there is no such service');
  return { ...state.started, status: state.status, completed: state.completed };
});

process.on('SIGTERM', () => process.exit(0));
const origin = await server.listen({ port: 0, host: '127.0.0.1' });
const { dependencies } = JSON.parse(readFileSync(new URL('package.json', import.meta.url), 'utf8'));
const shown = [
  'server_version',
  'fsync',
  'synchronous_commit',
  'full_page_writes',
  'wal_sync_method',
  'shared_buffers',
];
const { rows } = await pool.query('select name, current_setting(name) as value from unnest($1::text[]) as name', [
  shown,
]);
const database = Object.fromEntries(rows.map(({ name, value }) => [`PostgreSQL, ${name}`, value]));
const settings = { ...dependencies, ...database, connections: String(CONNECTIONS), query: 'folds the stream' };
console.log(JSON.stringify({ origin, settings }));
