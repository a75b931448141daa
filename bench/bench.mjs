#!/usr/bin/env node
// `npm run bench`: installs and builds what is missing, then runs main.ts as it is. See README.md.
import { build, install, Problem } from '../scripts/prepare.mjs';

process.env.NODE_ENV ??= 'production';
try {
  install();
  if (!process.argv.includes('--help')) build();
} catch (error) {
  if (!(error instanceof Problem)) throw error;
  console.error(error.message);
  process.exit(1);
}
for (const module of ['../libs/event-log/src/testing/run-typescript.mjs', 'main.ts'])
  await import(new URL(module, import.meta.url).href);
