import { caseless, profileSchema, type Metadata } from '#domain';
import type { AttributeSchema, BusinessAttribute, IdentificationKey, ProfileExtensionSchema } from '#events';

type CoreAttribute = AttributeSchema & { readonly encrypt: boolean };

/** The core attributes as the product shows them (contract 6.2): nothing is encrypted. */
export const profileAnswer = (metadata: Metadata): readonly CoreAttribute[] =>
  profileSchema(metadata).map((attribute) => ({ ...attribute, encrypt: false }));

/** Attributes of an extension carry its name (contract 6.4). */
export const keyAnswer = ({ name, source, attributes, unique }: IdentificationKey) => ({
  name,
  source,
  attributes: source === 'profile' ? attributes : attributes.map((attribute) => `${source}.${attribute}`),
  unique,
});

export const extensionsByName = ({ profileExtensions }: Metadata): readonly ProfileExtensionSchema[] =>
  byName(profileExtensions, caseless);
export const keysByName = ({ identificationKeys }: Metadata): readonly IdentificationKey[] =>
  byName(identificationKeys, caseless);
export const attributesByName = ({ businessAttributes }: Metadata): readonly BusinessAttribute[] =>
  byName(businessAttributes, (name) => name);

const byName = <Named extends { readonly name: string }>(
  all: ReadonlyMap<string, Named>,
  as: (name: string) => string,
): readonly Named[] => [...all.values()].sort((a, b) => (as(a.name) < as(b.name) ? -1 : 1));

/** What the product calls the parts of its metadata, and where they are (contract 8, C9). */
const parts = {
  'identification-keys schemas': 'metadata/identification-keys',
  'business-attributes mapping': 'metadata/business-attributes',
  'Profile Extensions': 'metadata/profiles/extensions',
  'Profile Schema': 'metadata/profiles',
} as const;

/** Paths by title, under the prefix of the request. */
export const metadataLinks = (prefix: string): Readonly<Record<string, string>> =>
  Object.fromEntries(Object.entries(parts).map(([title, path]) => [title, `${prefix}/${path}`]));

export const metadataPage = (prefix: string): string => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Metadata</title>
</head>
<body>
<h1>Metadata</h1>
<ul>
${Object.entries(metadataLinks(prefix))
  .map(([title, path]) => `<li><a href="${path}">${title}</a></li>`)
  .join('\n')}
</ul>
</body>
</html>
`;

/** Whether the caller wants a page: by the type that it says the request has, as the product reads it, or by `Accept`. */
export function wantsPage(contentType: string | undefined, accept: string | undefined): boolean {
  if (contentType !== undefined) return /^\s*text\/html\b/i.test(contentType);
  const [first] = (accept ?? '').split(',').filter((range) => /^\s*(?:text\/html|application\/json)\b/i.test(range));
  return first !== undefined && /text\/html/i.test(first);
}
