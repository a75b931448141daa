// `npm run demo`: plays a conversation against a running server and shows every call with its answer.
//   npm run demo                        against npm start
//   npm run demo -- http://host:port    against another server; several addresses are called in turn
const bases = process.argv.slice(2).filter((argument) => !argument.startsWith('-'));
if (process.argv.includes('--help')) {
  console.log('npm run demo -- [http://host:port ...]   (default http://127.0.0.1:8080, base path /genesys/1/cs)');
  process.exit(0);
}
const origins = bases.length > 0 ? bases : ['http://127.0.0.1:8080'];
const customer = `demo-${Date.now().toString(36)}`;
let position = '';
let turn = 0;

/**
 * Calls the servers in turn. The position of the last answer goes along, so that each one sees what the others did.
 * @param {string} method @param {string} route @param {object} [body] @param {Record<string, string>} [headers]
 */
async function call(method, route, body, headers = {}) {
  const origin = origins[turn++ % origins.length];
  const url = `${origin}/genesys/1/cs/${route}`;
  const answer = await fetch(url, {
    method,
    headers: { ...headers, ...(position && { 'X-CS-Position': position }), 'Content-Type': 'application/json' },
    ...(body && { body: JSON.stringify(body) }),
  }).catch(() => {
    console.error(`No server answers at ${origin}. Start one with npm start, then try again.`);
    process.exit(1);
  });
  position = answer.headers.get('X-CS-Position') ?? position;
  const text = await answer.text();
  console.log(`\n${method} ${url}${body ? `\n  ${JSON.stringify(body)}` : ''}`);
  console.log(`${answer.status} ${answer.statusText}${position ? `   X-CS-Position: ${position}` : ''}`);
  if (text) console.log(JSON.stringify(JSON.parse(text), null, 2).replace(/^/gm, '  '));
  if (answer.status >= 500) process.exitCode = 1;
  return text ? JSON.parse(text) : undefined;
}

const say = (/** @type {string} */ what) => console.log(`\n--- ${what}`);

say('Somebody calls about a loan. We do not know yet who it is.');
const { service_id: service } = await call('POST', 'services/start', {
  contact_key: `${customer}@example.org`,
  service_type: 'Loan',
  media_type: 'voice',
  est_duration: 600,
  RelatedOffers: [{ offer: 'car insurance', comment: 'proposed in spring' }],
});
const { state_id: waiting } = await call('POST', `services/${service}/states/start`, { state_type: 'Identification' });

say('Now we do: the service moves from the anonymous list to the customer.');
await call('POST', `customers/${customer}/services/${service}`, {});
await call('GET', `services/anonymous/${customer}%40example.org`);

say('The caller waits, then an agent takes over and checks an identity card.');
const { state_id: delivering } = await call('POST', `services/${service}/states/transition`, {
  from: { state_id: waiting, disposition: 'identified' },
  to: { state_type: 'Delivering', est_duration: 300 },
});
const { task_id: task } = await call('POST', `services/${service}/tasks/start`, {
  task_type: 'CheckIdentity',
  state_id: delivering,
});
await call('POST', `services/${service}/tasks/${task}/end`, { disposition: 'ok' });

say('The line breaks, the call is repeated with the same key: it happens once.');
const key = { 'Idempotency-Key': `${customer}-survey` };
await call('PUT', `services/${service}/extensions/Survey`, { stars: 5 }, key);
await call('PUT', `services/${service}/extensions/Survey`, { stars: 5 }, key);

say('The next day the customer comes by chat: the whole conversation is there.');
await call('GET', `customers/${customer}/services/active?active_states=true&completed_states=true&extensions=*`);

say('State and service end. A second end is told when the first one was.');
await call('POST', `services/${service}/states/${delivering}/end`, {});
await call('POST', `services/${service}/end`, { disposition: 'signed' });
await call('POST', `services/${service}/end`, {});
await call('GET', `customers/${customer}/services/completed?completed_states=true&completed_tasks=true`);
