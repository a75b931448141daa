import type { LiveService } from '#domain';
import type { Extensions } from '#events';

export type Kind = 'Service' | 'State' | 'Task';

const kinds: readonly Kind[] = ['Service', 'State', 'Task'];

/** Which extensions an answer shows: what the `extensions` query parameter asks for (contract 2.6). */
export interface ExtensionsAsked {
  /** By the service that the answer is made of: a bare `State` is a name if an extension there has exactly that name. */
  of(service: LiveService): ShowExtensions;
}

export type ShowExtensions = (kind: Kind, extensions: Extensions) => Extensions;

/**
 * Names wherever they occur (`Feedback`), of one kind (`State.Feedback`), all (`*`), all of one kind (`State.*`, `State`).
 * Case-sensitive; what is not there is not shown. A name with a dot is also tried as it is.
 */
export function extensionsAsked(list: readonly string[] | undefined): ExtensionsAsked {
  if (list === undefined || list.length === 0) return { of: () => none };
  const names = new Set(list);
  if (names.has('*')) return { of: () => all };
  const bare = kinds.filter((kind) => names.has(kind));
  return {
    of: (service) => {
      const everything = new Set<Kind>([
        ...kinds.filter((kind) => names.has(`${kind}.*`)),
        ...bare.filter((kind) => !hasExtension(service, kind)),
      ]);
      return (kind, extensions) =>
        everything.has(kind)
          ? extensions
          : Object.fromEntries(
              Object.entries(extensions).filter(([name]) => names.has(name) || names.has(`${kind}.${name}`)),
            );
    },
  };
}

const none: ShowExtensions = () => ({});
const all: ShowExtensions = (_kind, extensions) => extensions;

const hasExtension = (service: LiveService, name: string): boolean =>
  [service, ...service.states, ...service.tasks].some(({ extensions }) => Object.hasOwn(extensions, name));
