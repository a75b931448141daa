/** Who may import whom, and which library lives in which folder. scripts/import-rules.spec.ts breaks each rule once. */

const SPECS = '\\.(spec|contract)\\.ts$|/(testing|test)/';
const library = (...names) => `^libs/(${names.join('|')})/`;
const NEST = '(^|/)node_modules/@nestjs/';
const forbid = (name, comment, from, to) => ({ name, comment, severity: 'error', from, to });

module.exports = {
  forbidden: [
    forbid(
      'no-cycles',
      'Modules in a cycle see each other half loaded. Types may refer to each other.',
      {},
      { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    ),
    forbid(
      'resolvable',
      'What is imported must be there. What other products need is installed only when they are measured.',
      { pathNot: '^bench/peers/[^/]+\\.mjs$' },
      { couldNotResolve: true },
    ),
    forbid(
      'events-import-nothing',
      'The published language stands on nothing.',
      { path: library('events'), pathNot: SPECS },
      { pathNot: library('events') },
    ),
    forbid(
      'domain-imports-only-events',
      'Rules are pure: no framework, driver, clock or environment.',
      { path: library('domain'), pathNot: SPECS },
      { pathNot: library('domain', 'events') },
    ),
    forbid(
      'event-log-below-rules',
      'The log knows events, not rules, views or Nest.',
      { path: library('event-log') },
      { path: [library('domain', 'read-model', 'operations'), NEST] },
    ),
    forbid(
      'read-model-below-log',
      'Views know events and how they fold, not where they come from.',
      { path: library('read-model') },
      { path: [library('event-log', 'operations'), NEST] },
    ),
    forbid(
      'operations-stand-alone',
      'Options, log lines, metrics and health know nothing of what is operated.',
      { path: library('operations') },
      { path: '^libs/', pathNot: library('operations') },
    ),
    forbid('libs-never-import-apps', 'Programs use libraries.', { path: '^libs/' }, { path: '^apps/' }),
    forbid(
      'apps-stay-apart',
      'Programs meet in the log and in the read model only.',
      { path: '^apps/([^/]+)/' },
      { path: '^apps/', pathNot: '^apps/$1/' },
    ),
    forbid(
      'libs-by-their-name',
      'A library is what its index files export.',
      { path: '^(apps|libs)/([^/]+)/', pathNot: SPECS },
      { path: '^libs/', pathNot: ['^$1/$2/', '^libs/[^/]+/src/index\\.ts$', '^libs/[^/]+/src/[^/]+/index\\.ts$'] },
    ),
    forbid(
      'tests-are-not-shipped',
      'Shipped code does not lean on tests, the fault suite, the simulation or tools.',
      { path: '^(apps|libs)/', pathNot: SPECS },
      { path: [SPECS, '^(faults|fuzz|simulation|scripts|tools)/'] },
    ),
    forbid(
      'dev-dependencies-are-not-shipped',
      'A production install does not have them.',
      { path: '^(apps|libs)/', pathNot: SPECS },
      { dependencyTypes: ['npm-dev'], dependencyTypesNot: ['type-only'] },
    ),
    forbid(
      'kafkajs-in-one-folder',
      'A change of the client must stay a change of one adapter.',
      { path: '^(apps|libs)/', pathNot: ['^libs/event-log/src/kafka/', SPECS] },
      { path: '(^|/)node_modules/kafkajs/' },
    ),
    forbid(
      'cassandra-driver-in-one-folder',
      'A change of the driver must stay a change of one adapter.',
      { path: '^(apps|libs)/', pathNot: ['^libs/read-model/src/cassandra/', SPECS] },
      { path: '(^|/)node_modules/cassandra-driver/' },
    ),
    forbid(
      'sqlite-in-the-embedded-folders',
      'Files on disk belong to the embedded engine.',
      { path: '^(apps|libs)/', pathNot: ['^libs/(event-log|read-model)/src/embedded/', SPECS] },
      { path: '(^|/)node_modules/@photostructure/sqlite/|^(node:)?sqlite$' },
    ),
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^dist/' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'require', 'node', 'default'] },
  },
};
