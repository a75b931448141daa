import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';

const DEBIAN = '/usr/lib/postgresql';
/** Who runs it where we are root: PostgreSQL refuses to be run by root. The first that there is. */
const UNPRIVILEGED = ['postgres', 'nobody'];

/** The person at the keyboard can do something about it. */
export class PostgresqlMissing extends Error {}

/** PostgreSQL as `initdb` leaves it, every default of it, with data that nobody needs afterwards. */
export class Postgresql {
  static readonly user = 'bench';

  private constructor(
    private readonly server: ChildProcess,
    /** Of its socket; it listens nowhere else. */
    readonly folder: string,
  ) {}

  /** Throws {@link PostgresqlMissing}. */
  static async start(): Promise<Postgresql> {
    const programs = findPrograms();
    const as = runAs();
    const folder = mkdtempSync(path.join(tmpdir(), 'context-services-postgresql-'));
    if (as) chownSync(folder, as.uid, as.gid);
    const data = path.join(folder, 'data');
    const options = { ...as, cwd: folder, env: { PATH: process.env['PATH'], LC_ALL: 'C' } };
    const initial = ['-D', data, '-U', Postgresql.user, '--auth=trust', '--encoding=UTF8', '--locale=C'];
    execFileSync(path.join(programs, 'initdb'), initial, { ...options, stdio: ['ignore', 'ignore', 'pipe'] });
    const args = ['-D', data, '-k', folder, '-c', 'listen_addresses='];
    const server = spawn(path.join(programs, 'postgres'), args, {
      ...options,
      // Ctrl-C asks for what was measured so far: it is for the benchmark alone.
      detached: true,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const postgresql = new Postgresql(server, folder);
    process.once('exit', postgresql.kill);
    let output = '';
    const lines = createInterface(server.stderr!);
    const isReady = new Promise<void>((resolve) => {
      lines.on('line', (line) => {
        if (line.includes('ready to accept connections')) resolve();
        else output += `${line}\n`;
      });
    });
    const ended = once(server, 'exit').then(() => {
      throw new Error(`PostgreSQL ended:\n${output}`);
    });
    ended.catch(() => undefined);
    await Promise.race([isReady, ended]);
    return postgresql;
  }

  get pid(): number {
    return this.server.pid!;
  }

  async end(): Promise<void> {
    process.off('exit', this.kill);
    const ended = once(this.server, 'exit');
    if (this.kill()) await ended;
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** At once, nothing is kept. False: it has ended already. */
  private readonly kill = (): boolean => this.server.kill('SIGQUIT');
}

/** The folder of the newest one's programs. */
function findPrograms(): string {
  const versions = existsSync(DEBIAN) ? readdirSync(DEBIAN).sort((a, b) => Number(b) - Number(a)) : [];
  const folders = [
    ...versions.map((version) => path.join(DEBIAN, version, 'bin')),
    ...(process.env['PATH'] ?? '').split(path.delimiter),
  ];
  const found = folders.find((folder) => ['initdb', 'postgres'].every((name) => existsSync(path.join(folder, name))));
  if (found !== undefined) return found;
  throw new PostgresqlMissing(
    'PostgreSQL is not here, so nothing that needs it is measured. ' +
      'Install it (Debian, Ubuntu: apt-get install postgresql; macOS: brew install postgresql).',
  );
}

/** Undefined: as ourselves. */
function runAs(): { readonly uid: number; readonly gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined;
  for (const user of UNPRIVILEGED) {
    try {
      const [uid, gid] = ['-u', '-g'].map((option) =>
        Number(execFileSync('id', [option, user], { stdio: ['ignore', 'pipe', 'ignore'] })),
      );
      return { uid: uid!, gid: gid! };
    } catch {
      continue;
    }
  }
  throw new PostgresqlMissing(`PostgreSQL does not run as root, and there is no user ${UNPRIVILEGED.join(' or ')}.`);
}
