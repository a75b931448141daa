// `npm start`: installs and builds what is missing, then runs api and projector on the embedded engine in this process.
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (!((major === 20 && minor >= 19) || (major === 22 && minor >= 14) || major > 22)) {
  console.error(
    `Node ${process.versions.node} is not supported: install Node 24, or 22.14 or newer, or 20.19 or newer.`,
  );
  process.exit(1);
}

const { build, install, Problem } = await import('./prepare.mjs');
try {
  install();
  build();
} catch (error) {
  if (!(error instanceof Problem)) throw error;
  console.error(error.message);
  process.exit(1);
}
// The program finds itself where it would be if it had been started alone.
const program = new URL('../dist/apps/api/src/main.js', import.meta.url);
await import(program.href);
