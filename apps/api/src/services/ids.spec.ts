import { Ids, isServerMade, partitionOf, systemIds } from './ids.js';

const partitions = 12;
const at = Date.parse('2026-11-22T08:00:00.000Z');
const ids = new Ids(partitions, { now: () => at, random: (bytes) => new Uint8Array(bytes).fill(0xff) });

describe('an id made by this server', () => {
  it('is a partition, a dash and a uuid of version 7 that begins with the time', () => {
    const time = at.toString(16).padStart(12, '0');
    expect(ids.service()).toBe(
      `${0xffffffff % partitions}-${time.slice(0, 8)}-${time.slice(8)}-7fff-bfff-ffffffffffff`,
    );
  });

  it('is another one each time', () => {
    const fresh = new Ids(partitions);
    expect(new Set(Array.from({ length: 1000 }, () => fresh.service())).size).toBe(1000);
  });

  it('spreads over all partitions', () => {
    const fresh = new Ids(partitions, systemIds);
    const met = new Set(Array.from({ length: 1000 }, () => partitionOf(fresh.service(), partitions)));
    expect([...met].sort((a, b) => a - b)).toEqual(Array.from({ length: partitions }, (_, n) => n));
  });

  it('is the same again for the same idempotency key, with a uuid of version 8', () => {
    const id = ids.service('a key');
    expect(new Ids(partitions).service('a key')).toBe(id);
    expect(id).toMatch(/^\d+-[0-9a-f]{8}-[0-9a-f]{4}-8/);
    expect(ids.service('another key')).not.toBe(id);
    expect(isServerMade(id)).toBe(true);
  });

  it('gives a state or task the number of its service', () => {
    expect(ids.part('7-0193542a-7c00-7fff-bfff-ffffffffffff')).toMatch(/^7-/);
    expect(ids.part('361-a3793cef-d559-4f9f-a95d-64555a4ba371')).toMatch(/^361-/);
    expect(ids.part('custom')).toMatch(new RegExp(`^${partitionOf('custom', partitions)}-`));
  });
});

describe('the partition of an id', () => {
  it('is the number in front of a server-made id', () => {
    for (let partition = 0; partition < partitions; partition++) {
      expect(partitionOf(`${partition}-0193542a-7c00-7fff-bfff-ffffffffffff`, partitions)).toBe(partition);
      expect(partitionOf(`${partition}-0193542a-7c00-8fff-bfff-ffffffffffff`, partitions)).toBe(partition);
    }
  });

  it.each([
    ['a migrated id (uuid of version 4)', '361-a3793cef-d559-4f9f-a95d-64555a4ba371', 9],
    ['a version 4 uuid with a small number', '3-a3793cef-d559-4f9f-a95d-64555a4ba371', 6],
    ['a number that is no partition', '12-0193542a-7c00-7fff-bfff-ffffffffffff', 6],
    ['a leading zero', '01-0193542a-7c00-7fff-bfff-ffffffffffff', 4],
    ['a claim', 'claim:3f2a', 8],
    ['any text', 'Ünïcode/../__proto__', 5],
  ])('is the hash of %s, for ever', (_what, id, partition) => {
    expect(partitionOf(id, partitions)).toBe(partition);
  });
});

describe('a caller’s id of the server-made form', () => {
  it('is told from others whatever its number', () => {
    expect(isServerMade('999999-0193542a-7c00-7fff-bfff-ffffffffffff')).toBe(true);
    expect(isServerMade('361-a3793cef-d559-4f9f-a95d-64555a4ba371')).toBe(false);
    expect(isServerMade('0193542a-7c00-7fff-bfff-ffffffffffff')).toBe(false);
    expect(isServerMade('7-0193542A-7C00-7FFF-BFFF-FFFFFFFFFFFF')).toBe(false);
  });
});
