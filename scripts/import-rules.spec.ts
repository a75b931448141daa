import { execFile } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';

const ROOT = resolve(import.meta.dirname, '..');
const CRUISE_TIMEOUT_MS = 60_000;

interface Planted {
  readonly rule: string;
  readonly file: string;
  readonly text: string;
}

/** At least one file for each rule, in a folder where the rule must see it. */
const PLANTED: readonly Planted[] = [
  { rule: 'no-cycles', file: 'libs/domain/src/planted-cycle.ts', text: "export { b as a } from './planted-elcyc.js';" },
  { rule: 'no-cycles', file: 'libs/domain/src/planted-elcyc.ts', text: "export { a as b } from './planted-cycle.js';" },
  { rule: 'resolvable', file: 'apps/api/src/planted-gone.ts', text: "import './nowhere.js';" },
  { rule: 'events-import-nothing', file: 'libs/events/src/planted-core.ts', text: "import 'node:crypto';" },
  { rule: 'events-import-nothing', file: 'libs/events/src/planted-domain.ts', text: "import type {} from '#domain';" },
  { rule: 'domain-imports-only-events', file: 'libs/domain/src/planted-nest.ts', text: "import '@nestjs/common';" },
  { rule: 'domain-imports-only-events', file: 'libs/domain/src/planted-process.ts', text: "import 'node:process';" },
  { rule: 'event-log-below-rules', file: 'libs/event-log/src/planted.ts', text: "import type {} from '#domain';" },
  { rule: 'event-log-below-rules', file: 'libs/event-log/src/planted-nest.ts', text: "import '@nestjs/common';" },
  { rule: 'read-model-below-log', file: 'libs/read-model/src/planted.ts', text: "import type {} from '#event-log';" },
  { rule: 'read-model-below-log', file: 'libs/read-model/src/planted-nest.ts', text: "import '@nestjs/common';" },
  { rule: 'operations-stand-alone', file: 'libs/operations/src/planted.ts', text: "import type {} from '#events';" },
  {
    rule: 'libs-never-import-apps',
    file: 'libs/event-log/src/planted-app.ts',
    text: "import '../../../apps/api/src/planted-fine.js';",
  },
  {
    rule: 'apps-stay-apart',
    file: 'apps/projector/src/planted-app.ts',
    text: "import '../../api/src/planted-fine.js';",
  },
  {
    rule: 'libs-by-their-name',
    file: 'apps/api/src/planted-deep.ts',
    text: "import type {} from '../../../libs/events/src/envelope.js';",
  },
  { rule: 'tests-are-not-shipped', file: 'apps/api/src/planted-test.ts', text: "import './planted-fine.spec.js';" },
  {
    rule: 'tests-are-not-shipped',
    file: 'apps/api/src/planted-fault.ts',
    text: "import '../../../faults/planted-fine.js';",
  },
  { rule: 'dev-dependencies-are-not-shipped', file: 'apps/api/src/planted-dev.ts', text: "import '@nestjs/testing';" },
  { rule: 'kafkajs-in-one-folder', file: 'libs/event-log/src/planted-kafka.ts', text: "import 'kafkajs';" },
  {
    rule: 'kafkajs-in-one-folder',
    file: 'apps/projector/src/planted-kafka.ts',
    text: "import type {} from 'kafkajs';",
  },
  {
    rule: 'cassandra-driver-in-one-folder',
    file: 'libs/read-model/src/planted-cassandra.ts',
    text: "import 'cassandra-driver';",
  },
  {
    rule: 'sqlite-in-the-embedded-folders',
    file: 'apps/api/src/planted-sqlite.ts',
    text: "import '@photostructure/sqlite';",
  },
];

/** Imports that the rules must leave alone. */
const FINE: readonly Omit<Planted, 'rule'>[] = [
  {
    file: 'apps/api/src/planted-fine.ts',
    text: "import '#events'; import '#event-log/planted'; import '@nestjs/common';",
  },
  { file: 'apps/api/src/planted-fine.spec.ts', text: "import '@nestjs/testing'; import 'kafkajs';" },
  { file: 'libs/domain/src/planted-fine.ts', text: "import type {} from '#events';" },
  { file: 'libs/event-log/src/planted/index.ts', text: "import type {} from '#events';" },
  { file: 'libs/event-log/src/kafka/planted-fine.ts', text: "import 'kafkajs';" },
  {
    file: 'libs/read-model/src/cassandra/planted-fine.ts',
    text: "import 'cassandra-driver'; import type {} from '#domain';",
  },
  { file: 'libs/read-model/src/embedded/planted-fine.ts', text: "import '@photostructure/sqlite';" },
  {
    file: 'faults/planted-fine.ts',
    text: "import '../apps/api/src/planted-fine.js'; import '#read-model'; import 'cassandra-driver';",
  },
  { file: 'simulation/planted-fine.ts', text: "import '../apps/api/src/planted-fine.js'; import '#read-model';" },
];

interface Violation {
  readonly from: string;
  readonly rule: { readonly name: string };
  /** The modules of a cycle, which is reported once. */
  readonly cycle?: readonly { readonly name: string }[];
}

describe('the import rules', () => {
  let place: string;
  let violations: readonly Violation[];

  beforeAll(async () => {
    place = mkdtempSync(join(tmpdir(), 'import-rules-'));
    for (const entry of [
      'apps',
      'faults',
      'libs',
      'simulation',
      'package.json',
      'tsconfig.json',
      'tsconfig.base.json',
    ]) {
      if (existsSync(join(ROOT, entry))) cpSync(join(ROOT, entry), join(place, entry), { recursive: true });
    }
    cpSync(join(ROOT, '.dependency-cruiser.cjs'), join(place, '.dependency-cruiser.cjs'));
    symlinkSync(join(ROOT, 'node_modules'), join(place, 'node_modules'));
    for (const { file, text } of [...PLANTED, ...FINE]) {
      mkdirSync(dirname(join(place, file)), { recursive: true });
      writeFileSync(join(place, file), `${text}\n`);
    }
    violations = await cruise(place);
  }, CRUISE_TIMEOUT_MS);

  afterAll(() => {
    rmSync(place, { recursive: true, force: true });
  });

  const rulesBrokenBy = (file: string) =>
    violations
      .filter(({ from, cycle = [] }) => from === file || cycle.some(({ name }) => name === file))
      .map(({ rule }) => rule.name);

  it.each(PLANTED)('$rule is broken by $file', ({ rule, file }) => {
    expect(rulesBrokenBy(file)).toContain(rule);
  });

  it.each(FINE)('$file breaks none', ({ file }) => {
    expect(rulesBrokenBy(file)).toEqual([]);
  });

  it('are all broken by at least one planted file', () => {
    const { forbidden } = createRequire(import.meta.url)('../.dependency-cruiser.cjs') as {
      readonly forbidden: readonly { readonly name: string }[];
    };
    expect(new Set(PLANTED.map(({ rule }) => rule))).toEqual(new Set(forbidden.map(({ name }) => name)));
  });
});

/** Violations make the command end with their number, so its exit code says nothing here; its output does. */
async function cruise(folder: string): Promise<readonly Violation[]> {
  const program = join(ROOT, 'node_modules/dependency-cruiser/bin/dependency-cruise.mjs');
  const folders = ['apps', 'faults', 'libs', 'simulation'];
  const output = await new Promise<string>((done) => {
    const args = [program, ...folders, '--output-type', 'json'];
    execFile(process.execPath, args, { cwd: folder, maxBuffer: 2 ** 28 }, (_error, stdout) => done(stdout));
  });
  const { summary } = JSON.parse(output) as { readonly summary: { readonly violations: readonly Violation[] } };
  return summary.violations;
}
