// `npm run dev`: compiles on every change and restarts api and projector on the embedded engine.
import { spawn } from 'node:child_process';
import { build, install, root } from './prepare.mjs';

install();
build();
const children = [
  ['node_modules/typescript-7/bin/tsc', '-p', 'tsconfig.build.json', '--watch', '--preserveWatchOutput'],
  ['--watch', '--watch-preserve-output', 'scripts/start.mjs', ...process.argv.slice(2)],
].map((args) => spawn(process.execPath, args, { cwd: root, stdio: 'inherit' }));

const end = () => {
  for (const child of children) child.kill();
};
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, end);
for (const child of children) child.once('exit', end);
