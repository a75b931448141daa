export interface Route {
  readonly method: string;
  /** With `:name` for a parameter, as Nest and Fastify write it. */
  readonly pattern: string;
}

/** All routes of the server, to tell an unknown path from a known one that is asked with the wrong method. */
export class Routes {
  private readonly known: { readonly method: string; readonly segments: readonly string[] }[] = [];

  add({ method, pattern }: Route): void {
    this.known.push({ method, segments: segmentsOf(pattern) });
  }

  all(): readonly Route[] {
    return this.known.map(({ method, segments }) => ({ method, pattern: `/${segments.join('/')}` }));
  }

  /** The methods of every pattern that matches the path of a URL, sorted (contract 0.3, 30). */
  allowed(url: string): readonly string[] {
    const [path] = url.split('?') as [string];
    const segments = segmentsOf(path);
    const methods = this.known.filter((route) => matches(route.segments, segments)).map(({ method }) => method);
    return [...new Set(methods)].sort();
  }
}

const segmentsOf = (path: string): readonly string[] => path.split('/').filter((segment) => segment !== '');

const matches = (pattern: readonly string[], path: readonly string[]): boolean =>
  pattern.length === path.length &&
  pattern.every((segment, place) => segment.startsWith(':') || segment === path[place]);
