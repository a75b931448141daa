// For tests that need a process of their own: `node --import ./run-typescript.mjs program.ts` runs the sources as they
// are, with the names of package.json's "imports" leading to them instead of to what was built.
import { existsSync, readFileSync } from 'node:fs';
import { register } from 'node:module';
import { fileURLToPath } from 'node:url';
import { isMainThread } from 'node:worker_threads';
import { transformSync } from '@swc/core';

if (isMainThread) register(import.meta.url);

const LIBS = new URL('../../../', import.meta.url);
const SWC_OPTIONS = /** @type {const} */ ({
  jsc: {
    target: 'es2022',
    parser: { syntax: 'typescript', decorators: true },
    transform: { legacyDecorator: true, decoratorMetadata: true },
    keepClassNames: true,
  },
  module: { type: 'es6' },
  sourceMaps: 'inline',
});

/** @type {import('node:module').ResolveHook} */
export async function resolve(specifier, context, next) {
  const [, lib, folder = ''] = /^#([a-z-]+)(\/[a-z]+)?$/.exec(specifier) ?? [];
  if (lib !== undefined) return { url: new URL(`${lib}/src${folder}/index.ts`, LIBS).href, shortCircuit: true };
  if (/^\.{1,2}\/.*\.js$/.test(specifier) && context.parentURL?.endsWith('.ts')) {
    const source = new URL(specifier.replace(/\.js$/, '.ts'), context.parentURL);
    if (existsSync(source)) return { url: source.href, shortCircuit: true };
  }
  return next(specifier, context);
}

/** @type {import('node:module').LoadHook} */
export async function load(url, context, next) {
  if (!url.endsWith('.ts')) return next(url, context);
  const filename = fileURLToPath(url);
  const { code } = transformSync(readFileSync(filename, 'utf8'), { ...SWC_OPTIONS, filename });
  return { format: 'module', source: code, shortCircuit: true };
}
