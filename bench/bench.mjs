#!/usr/bin/env node
// `npm run bench`: installs and builds what is missing, then runs main.ts as it is. See README.md.
import { runSources } from '../scripts/prepare.mjs';

process.env.NODE_ENV ??= 'production';
await runSources(new URL('main.ts', import.meta.url));
