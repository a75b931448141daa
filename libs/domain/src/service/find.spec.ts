import { foldLive } from '../testing/specification.js';
import { at, serviceStarted, stateEnded, stateStarted, taskEnded, taskStarted } from '../testing/conversation.js';
import { findState, findTask, inOrder, newestActiveState, newestActiveTask } from './find.js';

const ids = (items: readonly { state_id?: string; task_id?: string }[]) =>
  items.map((item) => item.task_id ?? item.state_id);

describe('the order of a list', () => {
  it('is that of started.timestamp as an instant', () => {
    const { states } = foldLive([
      serviceStarted(),
      stateStarted('third', { timestamp: '2026-03-01T09:00:00.500Z' }),
      stateStarted('first', { timestamp: '2026-03-01T11:00:00+02:00' }),
      stateStarted('second', { timestamp: '2026-03-01T09:00:00.1Z' }),
      stateStarted('fourth', { timestamp: '+010000-01-01T00:00:00.000Z' }),
    ]);
    expect(ids(inOrder(states))).toStrictEqual(['first', 'second', 'third', 'fourth']);
    expect(ids(states)).toStrictEqual(['third', 'first', 'second', 'fourth']);
  });
  it('is that of recorded time where the caller names the same instant', () => {
    const { tasks } = foldLive([serviceStarted(), taskStarted('b'), taskStarted('c'), taskStarted('a')]);
    expect(ids(inOrder(tasks))).toStrictEqual(['b', 'c', 'a']);
  });
  it('is that of the ids where both are the same', () => {
    const recordedAt = 1;
    const { tasks, states } = foldLive([
      serviceStarted(),
      [taskStarted('b'), { recordedAt }],
      [taskStarted('a'), { recordedAt }],
      [stateStarted('z'), { recordedAt }],
      [stateStarted('B'), { recordedAt }],
    ]);
    expect(ids(inOrder(tasks))).toStrictEqual(['a', 'b']);
    expect(ids(inOrder(states))).toStrictEqual(['B', 'z']);
  });
  it('is the same for services', () => {
    const service = (service_id: string, minute: number) =>
      foldLive([serviceStarted({ service_id, timestamp: at(minute) })]);
    const services = [service('c', 2), service('b', 1), service('a', 1)];
    expect(inOrder(services).map(({ service_id }) => service_id)).toStrictEqual(['a', 'b', 'c']);
  });
});

describe('finding', () => {
  const service = foldLive([
    serviceStarted(),
    stateStarted('s1', { state_type: 5 }),
    stateStarted('s2', { state_type: '5', timestamp: at(0) }),
    stateStarted('s3', { state_type: '05', timestamp: at(30) }),
    stateStarted('s4', { timestamp: at(40) }),
    stateEnded('s4'),
    taskStarted('t1', { state_id: 's1', task_type: 5 }),
    taskStarted('t2', { task_type: 5 }),
    taskEnded('t2'),
  ]);

  it('takes ids as they are', () => {
    expect(findState(service, 's1')?.state_type).toBe(5);
    expect(findTask(service, 't1')?.state_id).toBe('s1');
    for (const id of ['S1', '', '__proto__', 't1']) expect(findState(service, id)).toBeUndefined();
    for (const id of ['T1', '', '__proto__', 's1']) expect(findTask(service, id)).toBeUndefined();
  });
  it('compares types as text and takes the newest active one', () => {
    expect(newestActiveState(service, '5')?.state_id).toBe('s1');
    expect(newestActiveState(service, 5)?.state_id).toBe('s1');
    expect(newestActiveState(service)?.state_id).toBe('s3');
    expect(newestActiveState(service, ['5', '05'])?.state_id).toBe('s3');
    expect(newestActiveState(service, 'none')).toBeUndefined();
    expect(newestActiveState(service, ['none'])).toBeUndefined();
    expect(newestActiveTask(service, 5)?.task_id).toBe('t1');
    expect(newestActiveTask(service, 5, 's1')?.task_id).toBe('t1');
    expect(newestActiveTask(service, 5, 's2')).toBeUndefined();
  });
});
