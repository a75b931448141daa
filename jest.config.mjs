import { existsSync } from 'node:fs';

const FOLDERS = ['apps', 'bench', 'faults', 'fuzz', 'libs', 'scripts', 'simulation', 'tools'];

/** One configuration for every level; `npm test` chooses the levels by file name (.spec, .int.spec, .e2e.spec). */
export default {
  roots: FOLDERS.filter((folder) => existsSync(new URL(folder, import.meta.url))).map(
    (folder) => `<rootDir>/${folder}`,
  ),
  testEnvironment: 'node',
  // Far more than any test needs on a quiet machine; a busy one is no reason to fail.
  testTimeout: 30_000,
  testMatch: ['**/*.spec.ts'],
  extensionsToTreatAsEsm: ['.ts'],
  moduleNameMapper: {
    '^#(domain|events|event-log|operations|read-model)$': '<rootDir>/libs/$1/src/index.ts',
    '^#(event-log|read-model)/(.+)$': '<rootDir>/libs/$1/src/$2/index.ts',
    '^(\\.{1,2}/.*)\\.js$': '$1',
  },
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      {
        jsc: {
          target: 'es2022',
          parser: { syntax: 'typescript', decorators: true },
          transform: { legacyDecorator: true, decoratorMetadata: true },
          keepClassNames: true,
        },
        module: { type: 'es6' },
        sourceMaps: 'inline',
      },
    ],
  },
};
