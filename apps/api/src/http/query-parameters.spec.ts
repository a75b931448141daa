import { QueryParameters } from './query-parameters.js';

describe('a list', () => {
  it('is separated by commas, or given several times, or both', () => {
    expect(new QueryParameters('task_types=1,3').list('task_types')).toEqual(['1', '3']);
    expect(new QueryParameters('task_types=1%2C3&task_types=A').list('task_types')).toEqual(['1', '3', 'A']);
    expect(new QueryParameters('task_types=My+Type&task_types=').list('task_types')).toEqual(['My Type']);
    expect(new QueryParameters('').list('task_types')).toBeUndefined();
    expect(new QueryParameters('task_types=').list('task_types')).toBeUndefined();
  });
});

describe('a flag', () => {
  it.each([
    ['', false],
    ['active_states=true', true],
    ['active_states=TRUE', true],
    ['active_states=False', false],
  ])('%j is %s', (text, expected) => expect(new QueryParameters(text).flag('active_states')).toBe(expected));

  it.each([
    'active_states=',
    'active_states',
    'active_states=1',
    'active_states=yes',
    'active_states=true&active_states=true',
  ])('%j is refused', (text) =>
    expect(() => new QueryParameters(text).flag('active_states')).toThrow(/active_states must be/),
  );
});

describe('a time', () => {
  it('is epoch milliseconds', () => {
    expect(new QueryParameters('t=2009-05-12T12:05:12%2B01:00').time('t')).toBe(Date.parse('2009-05-12T11:05:12Z'));
    expect(new QueryParameters('').time('t')).toBeUndefined();
    for (const offset of ['+02:00', '+0200', '+02', '%2B02:00', '%2b02'])
      expect(new QueryParameters(`t=2020-02-01T02:00:00${offset}`).time('t')).toBe(Date.parse('2020-02-01T00:00:00Z'));
  });

  it.each(['t=', 't=yesterday', 't=2009-05-12'])('%j is refused', (text) =>
    expect(() => new QueryParameters(text).time('t')).toThrow(/t must be a date/),
  );
});

describe('a count', () => {
  it('is a whole number above 0', () => expect(new QueryParameters('limit=20').count('limit')).toBe(20));

  it.each(['limit=0', 'limit=-1', 'limit=1.5', 'limit=abc', 'limit=', 'limit=1&limit=2', 'limit=9999999999'])(
    '%j is refused',
    (text) => expect(() => new QueryParameters(text).count('limit')).toThrow(/limit must be/),
  );
});

describe('a query', () => {
  it.each(['a=%', 'a=%zz', '%ff=1', 'a=%c3%28'])('with bad percent-encoding is refused: %s', (text) =>
    expect(() => new QueryParameters(text)).toThrow(/percent-encoding/),
  );

  it('takes __proto__ as a name like any other', () => {
    expect(new QueryParameters('__proto__=1').list('__proto__')).toEqual(['1']);
    expect(new QueryParameters('a=1').list('constructor')).toBeUndefined();
  });

  it('can be asked again for another page', () => {
    expect(new QueryParameters('limit=2&page=old&x=%2C').with('page', 'a/b')).toBe('limit=2&x=%2C&page=a%2Fb');
  });
});
