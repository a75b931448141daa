import type { ActiveService, CompletedService, Service } from '#domain';
import type { ListEntry } from './read-model.js';
import { bothChanges, comparePlaces, listChanges, listChangesBetween, listEntries } from './list-entries.js';

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

const ownersIn = (service: Service): readonly string[] =>
  listEntries(service, '1').map(({ owner: { kind, id } }) => `${kind} ${id}`);

describe('the list entries of a service', () => {
  it('are its customer’s', () =>
    expect(listEntries({ ...active, customer_id: 'c', service_type: 5 }, '1')).toEqual([
      {
        owner: { tenant: '1', kind: 'customer', id: 'c' },
        status: 'active',
        started: Date.parse('2026-03-01T10:00:00.000Z'),
        recordedAt: 7,
        service_id: 's1',
        service_type: 5,
      },
    ]));

  it('are its contact key’s while it is anonymous', () =>
    expect(ownersIn({ ...active, contact_key: 'k' })).toEqual(['contact k']));

  it('are its customer’s and its contact key’s, apart from anonymous ones, once it has both', () =>
    expect(ownersIn({ ...active, contact_key: 'k', customer_id: 'c' })).toEqual(['customer c', 'associated k']));

  it('are none for nobody’s service', () => expect(listEntries(active, '1')).toEqual([]));

  it.each<Service>([{ status: 'unstarted' }, { status: 'gone' }])(
    'are none for one that is not live: $status',
    (service) => expect(listEntries(service, '1')).toEqual([]),
  );

  it('have no type when the service has none', () =>
    expect(listEntries({ ...active, customer_id: 'c' }, '1')[0]).not.toHaveProperty('service_type'));
});

describe('the list changes between two services', () => {
  it.each<[what: string, before: Service, after: Service]>([
    ['none when it is still listed as it was', active, { ...active, bytes: 9 }],
    ['those of a start', { status: 'unstarted' }, { ...active, customer_id: 'c' }],
    ['those of an end', { ...active, customer_id: 'c' }, { ...completed, customer_id: 'c' }],
    ['those of another owner', { ...active, contact_key: 'k' }, { ...active, contact_key: 'k', customer_id: 'c' }],
    ['those of another type', { ...active, customer_id: 'c' }, { ...active, customer_id: 'c', service_type: 5 }],
    ['those of a deletion', { ...active, customer_id: 'c' }, { status: 'gone' }],
  ])('are %s', (_, before, after) =>
    expect(listChangesBetween(before, after, '1')).toEqual(
      listChanges(listEntries(before, '1'), listEntries(after, '1')),
    ),
  );

  const entry = listEntries({ ...active, customer_id: 'c', service_type: 'sales' }, '1')[0]!;

  it('are none when nothing has changed', () =>
    expect(listChanges([entry], [{ ...entry }])).toEqual({ insert: [], remove: [] }));
  it('are none between none', () => expect(listChanges([], [])).toEqual({ insert: [], remove: [] }));
  it('insert the first', () => expect(listChanges([], [entry])).toEqual({ insert: [entry], remove: [] }));
  it('remove the last', () => expect(listChanges([entry], [])).toEqual({ insert: [], remove: [entry] }));

  it('rewrite the entry in place when its type changes', () => {
    const retyped = { ...entry, service_type: 'support' };
    expect(listChanges([entry], [retyped])).toEqual({ insert: [retyped], remove: [] });
  });

  it('tell the number 5 from the text 5', () =>
    expect(listChanges([{ ...entry, service_type: 5 }], [{ ...entry, service_type: '5' }]).insert).toHaveLength(1));

  it.each([
    { status: 'completed' },
    { owner: { ...entry.owner, id: 'd' } },
    { owner: { ...entry.owner, kind: 'contact' } },
    { owner: { ...entry.owner, kind: 'associated' } },
    { started: entry.started + 1 },
    { recordedAt: entry.recordedAt + 1 },
  ] as const)('move the entry when its place or its list changes: %j', (change) => {
    const moved = { ...entry, ...change };
    expect(listChanges([entry], [moved])).toEqual({ insert: [moved], remove: [entry] });
  });

  it('leave the entry that stays alone', () => {
    const lists = (contact_key: string) => listEntries({ ...active, customer_id: 'c', contact_key }, '1');
    expect(listChanges(lists('k'), lists('l'))).toEqual({ insert: [lists('l')[1]], remove: [lists('k')[1]] });
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
      const { insert, remove } = listChanges(listEntries(life[n]!, '1'), listEntries(service, '1'));
      for (const { owner, status } of insert) lists.add(`${owner.kind} ${owner.id} ${status}`);
      for (const { owner, status } of remove) lists.delete(`${owner.kind} ${owner.id} ${status}`);
      return [...lists];
    });
    expect(seen).toEqual([
      [],
      ['contact k active'],
      ['contact k active'],
      ['customer c active', 'associated k active'],
      ['associated k active', 'customer d active'],
      ['customer d completed', 'associated k completed'],
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

describe('the list changes of two records together', () => {
  const [a, b, c] = ['a', 'b', 'c'].map((customer_id) => listEntries({ ...active, customer_id }, '1')[0]!) as [
    ListEntry,
    ListEntry,
    ListEntry,
  ];
  const over = (...entries: readonly (readonly ListEntry[])[]) =>
    entries
      .slice(1)
      .map((after, number) => listChanges(entries[number]!, after))
      .reduce(bothChanges);

  it('are those of the one that changes anything', () => {
    expect(over([], [a], [a])).toEqual({ insert: [a], remove: [] });
    expect(over([a], [a], [b])).toEqual({ insert: [b], remove: [a] });
  });

  it('remove what was there only in between, and what was there before', () =>
    expect(over([a], [b], [c])).toEqual({ insert: [c], remove: [a, b] }));

  it('insert again what came back to where it was', () =>
    expect(over([a], [b], [a])).toEqual({ insert: [a], remove: [b] }));

  it('remove what came and went', () => expect(over([], [a], [])).toEqual({ insert: [], remove: [a] }));

  it('insert the last of several types', () => {
    const typed = (service_type: string) => ({ ...a, service_type });
    expect(over([a], [typed('one')], [typed('two')])).toEqual({ insert: [typed('two')], remove: [] });
  });
});
