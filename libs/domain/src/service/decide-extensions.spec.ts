import type { Json } from '#events';
import type { ServiceCommand } from './commands.js';
import { given } from '../testing/specification.js';
import {
  extensionMerged,
  extensionReplaced,
  serviceEnded,
  service_id,
  serviceStarted,
  stateStarted,
  taskStarted,
} from '../testing/conversation.js';

const begun = [serviceStarted(), stateStarted('s1'), taskStarted('t1')];
const hostileNames = ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'valueOf'];

describe.each([
  ['a service', {}],
  ['a state', { state_id: 's1' }],
  ['a task', { task_id: 't1' }],
])('an extension of %s', (_owner, owner) => {
  const replace = (name: string, value: Json): ServiceCommand => ({
    type: 'ReplaceExtension',
    data: { service_id, ...owner, name, value },
  });
  const merge = (name: string, value: { [name: string]: Json }): ServiceCommand => ({
    type: 'MergeExtension',
    data: { service_id, ...owner, name, value },
  });

  it.each([[{ a: 1 }], [[1, 2]], ['text'], [0], [false], [null]])('is created with the value %j', (value) =>
    given(...begun)
      .when(replace('offer', value))
      .thenRecords(extensionReplaced('offer', value, owner)),
  );
  it('is replaced', () =>
    given(...begun, extensionReplaced('offer', [1], owner))
      .when(replace('offer', { a: 1 }))
      .thenRecords(extensionReplaced('offer', { a: 1 }, owner)));
  it('is replaced by the same value: each update counts', () =>
    given(...begun, extensionReplaced('offer', 1, owner))
      .when(replace('offer', 1))
      .thenRecords(extensionReplaced('offer', 1, owner)));
  it('is answered with the ids of its owner', () =>
    given(...begun)
      .when(replace('offer', 1))
      .thenAnswers({ service_id, ...owner }));

  it('is created by a merge', () =>
    given(...begun)
      .when(merge('offer', { a: 1 }))
      .thenRecords(extensionMerged('offer', { a: 1 }, owner)));
  it('takes a merge when it is an object', () =>
    given(...begun, extensionReplaced('offer', { b: 2 }, owner))
      .when(merge('offer', { a: 1 }))
      .thenRecords(extensionMerged('offer', { a: 1 }, owner)));
  it.each([[[1, 2]], ['text'], [0], [false], [null]])('takes no merge when it is %j', (value) =>
    given(...begun, extensionReplaced('offer', value, owner))
      .when(merge('offer', { a: 1 }))
      .thenRejects('extension-not-mergeable', 'The extension offer is not an object: nothing can be merged into it'),
  );
  it('changes on a completed service too', () => {
    given(...begun, serviceEnded())
      .when(replace('offer', 1))
      .thenRecords(extensionReplaced('offer', 1, owner));
    given(...begun, serviceEnded())
      .when(merge('offer', { a: 1 }))
      .thenRecords(extensionMerged('offer', { a: 1 }, owner));
  });

  it.each(hostileNames)('may be called %s', (name) => {
    given(...begun)
      .when(replace(name, { a: 1 }))
      .thenRecords(extensionReplaced(name, { a: 1 }, owner));
    given(...begun)
      .when(merge(name, { a: 1 }))
      .thenRecords(extensionMerged(name, { a: 1 }, owner));
    given(...begun, extensionReplaced(name, 'text', owner))
      .when(merge(name, { a: 1 }))
      .thenRejects('extension-not-mergeable');
  });
});

describe.each(['ReplaceExtension', 'MergeExtension'] as const)('%s', (type) => {
  const extend = (owner: { state_id?: string; task_id?: string }): ServiceCommand => ({
    type,
    data: { service_id, ...owner, name: 'offer', value: { a: 1 } },
  });

  it('is refused for a state that the service does not have', () =>
    given(...begun)
      .when(extend({ state_id: 't1' }))
      .thenRejects('state-not-found', 'There are no state found for : t1'));
  it('is refused for a task that the service does not have', () =>
    given(...begun)
      .when(extend({ task_id: 's1' }))
      .thenRejects('task-not-found', 'There are no task found for : s1'));
});
