import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';

interface Package {
  readonly resolved?: string;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

const FILES = ['package-lock.json', 'bench/peers/package-lock.json'];

describe.each(FILES)('%s', (file) => {
  const { packages } = JSON.parse(readFileSync(resolve(import.meta.dirname, '..', file), 'utf8')) as {
    readonly packages: Readonly<Record<string, Package>>;
  };

  it('names no registry', () => {
    const tied = Object.entries(packages).filter(([, { resolved }]) => resolved !== undefined);
    expect(tied.map(([name]) => name)).toEqual([]);
  });

  it('holds the packages of every platform, also those that the registry it was made from did not have yet', () => {
    const names = new Set(Object.keys(packages).map((path) => path.split('node_modules/').at(-1)));
    const missing = Object.entries(packages).flatMap(([path, { optionalDependencies = {} }]) =>
      Object.keys(optionalDependencies)
        .filter((dependency) => !names.has(dependency))
        .map((dependency) => `${dependency} of ${path}`),
    );
    expect(missing).toEqual([]);
  });
});
