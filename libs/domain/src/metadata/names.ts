import { Rejected } from '../rejected.js';
import { caseless } from './metadata.js';

/** Of schemas, keys and their attributes (contract 6.3). The names of the product's own columns are this long at most. */
const form = /^[A-Za-z][A-Za-z0-9_]{0,25}$/;

/** Names with a meaning of their own in profiles and their queries (contract 6.3, unauthorized strings). */
const unauthorized: ReadonlySet<string> = new Set([
  'customer_id',
  'extensions',
  'include_profile',
  'include_extensions',
  'id_key',
  'profile',
  'tenant_id',
]);

/** `what` begins the sentence. Throws `Rejected`. */
export function refuseBadName(what: string, name: string): void {
  if (!form.test(name)) {
    throw new Rejected(
      'metadata-invalid',
      `The name of the ${what} '${name}' must be a letter and at most 25 more letters, digits and underscores`,
    );
  }
  if (unauthorized.has(caseless(name))) {
    throw new Rejected('metadata-invalid', `The ${what} cannot be named ${name}: the name has a meaning of its own`);
  }
}

/** Throws `Rejected` when two of a list have one name. `as`: how names are compared. */
export function refuseTwice(
  what: string,
  list: readonly { readonly name: string }[],
  as: (name: string) => string = (name) => name,
): void {
  const seen = new Set<string>();
  for (const { name } of list) {
    if (seen.has(as(name))) throw new Rejected('metadata-invalid', `There is more than one ${what} named '${name}'`);
    seen.add(as(name));
  }
}
