#!/usr/bin/env node
// `npm run faults`: installs and builds what is missing, then runs main.ts as it is. See README.md.
import { runSources } from '../scripts/prepare.mjs';

await runSources(new URL('main.ts', import.meta.url));
