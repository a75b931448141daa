import { encode, decode, isClaimEvent } from '#events';
import type { ClaimEvent } from '#events';
import { fiveYears, serviceDeleted, serviceEnded, service_id, serviceStarted } from '../testing/conversation.js';
import { fold, foldLive, recorded } from '../testing/specification.js';
import { claimId, claimOf, evolveClaim, matchesComposite, unclaimed } from './claim.js';
import type { Claim, ClaimedFields, ComparedFields } from './claim.js';

const after = (claim: Claim, event: ClaimEvent): Claim => {
  const decoded = decode(encode(event));
  if (!isClaimEvent(decoded)) throw new Error('not a claim');
  return evolveClaim(claim, { event: decoded, record: { ...recorded(serviceStarted()).record, type: event.type } });
};

describe('a composite start that finds no service', () => {
  const { data: start } = serviceStarted({ extensions: { a: 1 } });
  const claimed = after(unclaimed, { type: 'ServiceClaimed', data: { service_id, start, lifetime: fiveYears } });

  it('reserves one, with all that its first record must hold and the place it must take', () =>
    expect(claimOf(start, fiveYears, 1)).toStrictEqual({
      type: 'ServiceClaimed',
      data: { service_id, start, lifetime: fiveYears, place: 1 },
    }));
  it('reserves the next one after that', () => {
    const second = { ...start, service_id: 'the second' };
    expect(after(claimed, claimOf(second, { ttl: 60 }, 1))).toStrictEqual({
      status: 'claimed',
      service_id: 'the second',
      start: second,
      lifetime: { ttl: 60 },
      place: 1,
    });
  });
  it('reserves the same one again at a later place', () =>
    expect(after(claimed, claimOf(start, fiveYears, 3))).toMatchObject({ service_id, place: 3 }));
  it('reserves it in the name of the request: whoever writes the first record gives it that key', () => {
    const idempotency = { key: 'k', request: 'r' };
    expect(after(unclaimed, claimOf(start, fiveYears, 2, idempotency))).toStrictEqual({
      status: 'claimed',
      service_id,
      start,
      lifetime: fiveYears,
      place: 2,
      idempotency,
    });
  });
});

describe('the id of a claim', () => {
  const different: readonly ClaimedFields[] = [
    {},
    { customer_id: 'a' },
    { contact_key: 'a' },
    { service_type: 'a' },
    { customer_id: 'a', contact_key: 'b' },
    { customer_id: 'b', contact_key: 'a' },
    { customer_id: 'a', service_type: 'b' },
    { customer_id: 'a,b' },
    { customer_id: 'a","b' },
    { customer_id: '' },
    { customer_id: 'null' },
    { service_type: 5 },
    { service_type: '05' },
    { customer_id: '5' },
    { contact_key: '__proto__' },
    { contact_key: 'é' },
    { contact_key: 'e\u0301' },
  ];

  it('tells different fields apart', () => expect(new Set(different.map(claimId)).size).toBe(different.length));
  it('is the same for a type as number and as text', () =>
    expect(claimId({ service_type: 5 })).toBe(claimId({ service_type: '5' })));
  it('is the same whatever else a start brings and in whatever order', () =>
    expect(claimId({ ...serviceStarted({ extensions: { a: 1 } }).data })).toBe(
      claimId({ service_type: 'Claim', contact_key: '+33155550100' }),
    ));
  it('is the same for a missing field and one without a value', () =>
    expect(claimId({ customer_id: 'a', contact_key: undefined })).toBe(claimId({ customer_id: 'a' })));
});

describe('a service matches a composite start', () => {
  const started = serviceStarted({ customer_id: 'C-1', contact_key: 'a@b', service_type: 5 });
  const service = foldLive([started]);
  const bare = foldLive([serviceStarted({ contact_key: undefined, service_type: undefined, customer_id: 'C-1' })]);

  it.each<ComparedFields>([
    {},
    { customer_id: 'C-1' },
    { contact_key: 'a@b' },
    { service_type: '5' },
    { service_type: 5 },
    { service_type: ['sales', '5'] },
    { customer_id: 'C-1', contact_key: 'a@b', service_type: '5' },
  ])('of %j', (compared) => expect(matchesComposite(service, compared)).toBe(true));
  it.each<ComparedFields>([
    { customer_id: 'C-2' },
    { contact_key: 'A@B' },
    { service_type: '05' },
    { service_type: ['sales', '55'] },
    { service_type: [] },
    { customer_id: 'C-1', service_type: 6 },
    { customer_id: 'a@b' },
  ])('but not of %j', (compared) => expect(matchesComposite(service, compared)).toBe(false));
  it('not when it does not have a compared field', () => {
    expect(matchesComposite(bare, { service_type: 'undefined' })).toBe(false);
    expect(matchesComposite(bare, { contact_key: 'a@b' })).toBe(false);
    expect(matchesComposite(bare, { customer_id: 'C-1' })).toBe(true);
  });
  it('not when it is not active', () => {
    for (const events of [[], [started, serviceEnded()], [started, serviceDeleted]]) {
      expect(matchesComposite(fold(events), {})).toBe(false);
    }
  });
});
