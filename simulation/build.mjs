import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const root = fileURLToPath(new URL('..', import.meta.url));
const builds = path.join(root, 'node_modules/.cache/context-services-simulation');
const ENTRY = 'simulation/play.ts';

/** @typedef {import('./mutations.mjs').Patch} Patch */

/** A patch whose text is not in the source (exactly once): the source has moved on, the patch must follow. */
export class StalePatch extends Error {}

/** Emitted text by path and source, so that each build transpiles only what differs. */
const emitted = new Map();

/**
 * Transpiles everything that the entry needs into a folder of its own and returns the emitted entry. In the sources of
 * libs/ and apps/ each `await` becomes a scheduling point.
 * @param {string} name
 * @param {readonly Patch[]} [patches]
 */
export function build(name, patches = []) {
  const folder = path.join(builds, `${process.pid}`, name.replaceAll(/\W+/g, '-'));
  const pending = [ENTRY];
  const done = new Set(pending);
  for (const file of pending) {
    const source = patched(file, patches);
    const { text, imports } = transpiled(file, source);
    const target = path.join(folder, file.replace(/\.ts$/, '.js'));
    mkdirSync(path.dirname(target), { recursive: true });
    writeFileSync(target, text);
    for (const imported of imports) {
      if (done.has(imported)) continue;
      done.add(imported);
      pending.push(imported);
    }
  }
  const unused = patches.filter(({ file }) => !done.has(file));
  if (unused.length > 0) throw new StalePatch(`${unused[0]?.file} is not part of the simulation`);
  writeFileSync(path.join(folder, 'package.json'), JSON.stringify({ type: 'module', imports: libraries() }));
  return path.join(folder, ENTRY.replace(/\.ts$/, '.js'));
}

/** Removes what this process has built. */
export function removeBuilds() {
  rmSync(path.join(builds, `${process.pid}`), { recursive: true, force: true });
}

const libraries = () =>
  Object.fromEntries(
    ['domain', 'events', 'event-log', 'read-model'].map((name) => [`#${name}`, `./libs/${name}/src/index.js`]),
  );

function patched(/** @type {string} */ file, /** @type {readonly Patch[]} */ patches) {
  let source = readFileSync(path.join(root, file), 'utf8');
  for (const { from, to } of patches.filter((patch) => patch.file === file)) {
    const found = source.split(from).length - 1;
    if (found !== 1) throw new StalePatch(`${file} has this text ${found} times, not once:\n${from}`);
    source = source.replace(from, () => to);
  }
  return source;
}

/** @returns {{ text: string, imports: string[] }} */
function transpiled(/** @type {string} */ file, /** @type {string} */ source) {
  const key = `${file}\n${source}`;
  const before = emitted.get(key);
  if (before) return before;
  const underTest = !file.startsWith('simulation/');
  const { outputText: text } = ts.transpileModule(source, {
    fileName: file,
    compilerOptions: {
      target: ts.ScriptTarget.ES2022,
      module: ts.ModuleKind.ESNext,
      isolatedModules: true,
      experimentalDecorators: true,
      inlineSourceMap: true,
      inlineSources: true,
    },
    transformers: underTest ? { before: [schedulingPoints] } : {},
  });
  const imports = ts
    .preProcessFile(text, true, true)
    .importedFiles.map(({ fileName }) => sourceOf(file, fileName))
    .filter((imported) => imported !== undefined);
  const result = { text, imports };
  emitted.set(key, result);
  return result;
}

/** The source that an import means; undefined for packages. */
function sourceOf(/** @type {string} */ file, /** @type {string} */ imported) {
  if (imported.startsWith('#')) return `libs/${imported.slice(1)}/src/index.ts`;
  if (!imported.startsWith('.')) return undefined;
  return path.posix.join(path.posix.dirname(file), imported).replace(/\.js$/, '.ts');
}

const LATER = new Set(['then', 'catch', 'finally']);

/** @type {ts.TransformerFactory<ts.SourceFile>} */
const schedulingPoints = (context) => (sourceFile) => {
  const { factory } = context;
  const call = (/** @type {string} */ name, /** @type {ts.Expression} */ value) =>
    factory.createCallExpression(factory.createIdentifier(name), undefined, [value]);
  /** @type {ts.Visitor} */
  const visit = (node) => {
    const visited = ts.visitEachChild(node, visit, context);
    if (ts.isAwaitExpression(visited)) {
      return factory.updateAwaitExpression(visited, call('schedulingPoint', visited.expression));
    }
    if (ts.isForOfStatement(visited) && visited.awaitModifier) {
      const { awaitModifier, initializer, expression, statement } = visited;
      return factory.updateForOfStatement(
        visited,
        awaitModifier,
        initializer,
        call('schedulingPoints', expression),
        statement,
      );
    }
    if (ts.isCallExpression(visited) && ts.isPropertyAccessExpression(visited.expression)) {
      const { expression, name } = visited.expression;
      if (LATER.has(name.text)) {
        const access = factory.updatePropertyAccessExpression(
          visited.expression,
          call('schedulingPoint', expression),
          name,
        );
        return factory.updateCallExpression(visited, access, visited.typeArguments, visited.arguments);
      }
    }
    return visited;
  };
  return ts.visitEachChild(sourceFile, visit, context);
};
