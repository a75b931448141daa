import type { ActiveService, CompletedService, Service } from '#domain';
import { comparePlaces, listChanges, listEntry } from './list-entries.js';

const active: ActiveService = {
  status: 'active',
  service_id: 's1',
  started: { timestamp: '2026-03-01T10:00:00.000Z' },
  extensions: {},
  states: [],
  tasks: [],
  recordedAt: 7,
  answers: [],
  bytes: 0,
};
const completed: CompletedService = {
  ...active,
  status: 'completed',
  completed: { timestamp: '2026-03-02T00:00:00.000Z' },
};

describe('the list entry of a service', () => {
  it('is its customer’s', () =>
    expect(listEntry({ ...active, customer_id: 'c', service_type: 5 }, '1')).toEqual({
      owner: { tenant: '1', kind: 'customer', id: 'c' },
      status: 'active',
      started: Date.parse('2026-03-01T10:00:00.000Z'),
      recordedAt: 7,
      service_id: 's1',
      service_type: 5,
    }));

  it('is its contact key’s while it is anonymous', () =>
    expect(listEntry({ ...active, contact_key: 'k' }, '1')?.owner).toEqual({ tenant: '1', kind: 'contact', id: 'k' }));

  it('is its customer’s alone once it has one', () =>
    expect(listEntry({ ...active, contact_key: 'k', customer_id: 'c' }, '1')?.owner.kind).toBe('customer'));

  it('is missing for nobody’s service', () => expect(listEntry(active, '1')).toBeUndefined());

  it.each<Service>([{ status: 'unstarted' }, { status: 'gone' }])(
    'is missing for one that is not live: $status',
    (service) => expect(listEntry(service, '1')).toBeUndefined(),
  );

  it('has no type when the service has none', () =>
    expect(listEntry({ ...active, customer_id: 'c' }, '1')).not.toHaveProperty('service_type'));
});

describe('the list changes between two entries', () => {
  const entry = listEntry({ ...active, customer_id: 'c', service_type: 'sales' }, '1')!;

  it('are none when nothing has changed', () =>
    expect(listChanges(entry, { ...entry })).toEqual({ insert: [], remove: [] }));
  it('are none between none', () => expect(listChanges(undefined, undefined)).toEqual({ insert: [], remove: [] }));
  it('insert the first', () => expect(listChanges(undefined, entry)).toEqual({ insert: [entry], remove: [] }));
  it('remove the last', () => expect(listChanges(entry, undefined)).toEqual({ insert: [], remove: [entry] }));

  it('rewrite the entry in place when its type changes', () => {
    const retyped = { ...entry, service_type: 'support' };
    expect(listChanges(entry, retyped)).toEqual({ insert: [retyped], remove: [] });
  });

  it('tell the number 5 from the text 5', () =>
    expect(listChanges({ ...entry, service_type: 5 }, { ...entry, service_type: '5' }).insert).toHaveLength(1));

  it.each([
    { status: 'completed' },
    { owner: { ...entry.owner, id: 'd' } },
    { owner: { ...entry.owner, kind: 'contact' } },
    { started: entry.started + 1 },
    { recordedAt: entry.recordedAt + 1 },
  ] as const)('move the entry when its place or its list changes: %j', (change) => {
    const moved = { ...entry, ...change };
    expect(listChanges(entry, moved)).toEqual({ insert: [moved], remove: [entry] });
  });

  it('lead through a whole life to the lists in which the service is', () => {
    const life: readonly Service[] = [
      { status: 'unstarted' },
      active,
      { ...active, contact_key: 'k' },
      { ...active, contact_key: 'k', service_type: 'sales' },
      { ...active, contact_key: 'k', service_type: 'sales', customer_id: 'c' },
      { ...active, contact_key: 'k', service_type: 'sales', customer_id: 'd' },
      { ...completed, contact_key: 'k', service_type: 'sales', customer_id: 'd' },
      { status: 'gone' },
    ];
    const lists = new Set<string>();
    const seen = life.slice(1).map((service, n) => {
      const { insert, remove } = listChanges(listEntry(life[n]!, '1'), listEntry(service, '1'));
      for (const { owner, status } of insert) lists.add(`${owner.kind} ${owner.id} ${status}`);
      for (const { owner, status } of remove) lists.delete(`${owner.kind} ${owner.id} ${status}`);
      return [...lists];
    });
    expect(seen).toEqual([
      [],
      ['contact k active'],
      ['contact k active'],
      ['customer c active'],
      ['customer d active'],
      ['customer d completed'],
      [],
    ]);
  });
});

describe('the order of places', () => {
  it('is start, then recorded time, then the bytes of the id', () => {
    const places = [
      { started: 2, recordedAt: 0, service_id: 'a' },
      { started: 1, recordedAt: 2, service_id: 'a' },
      { started: 1, recordedAt: 1, service_id: '\u{1F600}' },
      { started: 1, recordedAt: 1, service_id: '\uFFFD' },
      { started: -1, recordedAt: 3, service_id: 'z' },
    ];
    expect(places.toSorted(comparePlaces)).toEqual(places.toReversed());
  });
});
