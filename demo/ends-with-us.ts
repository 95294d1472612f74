import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, existsSync, mkdtempSync, statfsSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

// Servers that live as long as this process, and no longer, however it ends.

const isRoot = process.getuid?.() === 0;
const idOf = (flag: string, name: string): number =>
  Number(spawnSync('id', [flag, name], { encoding: 'utf8' }).stdout || Number.NaN);

/** Whom root starts a server as: Debian's package makes the first user, every system has the second. */
const serverUser = (): string => (Number.isNaN(idOf('-u', 'postgres')) ? 'nobody' : 'postgres');

/** A command as that user. */
const asServerUser = (): string[] => {
  const name = serverUser();
  return ['setpriv', `--reuid=${idOf('-u', name)}`, `--regid=${idOf('-g', name)}`, '--clear-groups'];
};

/** Why no server can be started here, whichever it is: PostgreSQL and PgBouncer refuse to be root. */
export function whyNoUser(): string | undefined {
  if (!isRoot) return undefined;
  if (spawnSync('setpriv', ['--version']).status !== 0)
    return 'root needs setpriv to start it as another user';
  return undefined;
}

/** Whether whoever runs a server may run this program: a checkout in root's own folder is closed to others. */
export function canServerRun(program: string): boolean {
  if (!isRoot) return true;
  const [command = '', ...rest] = [...asServerUser(), 'test', '-x', program];
  return spawnSync(command, rest).status === 0;
}

/** In memory where that has room, as it has not in many containers: a database is some 300 files, made and removed by each test. */
function filesRoot(): string {
  const memory = '/dev/shm';
  if (!existsSync(memory)) return tmpdir();
  const { bavail, bsize } = statfsSync(memory);
  return bavail * bsize > 4 * 2 ** 30 ? memory : tmpdir();
}

/**
 * A new folder for a server's files; everybody may reach a socket in it.
 *
 * @param parent where it is made; default: in memory where that has room
 */
export function makeServerFolder(name: string, parent: string = filesRoot()): string {
  const folder = mkdtempSync(join(parent, `umzug-backfill-${name}-`));
  chmodSync(folder, 0o755);
  if (isRoot) chownSync(folder, idOf('-u', serverUser()), idOf('-g', serverUser()));
  return folder;
}

/** A port on 127.0.0.1 that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { readonly port: number };
  server.close();
  await once(server, 'close');
  return port;
}

/**
 * Runs a shell script, given `folder` as `$1`, and waits until it prints what `ready` matches. The script must take down what
 * it started, and remove its folder, once its standard input ends. That is a pipe whose other end only this process holds, so
 * the kernel closes it even after SIGKILL. Returns what ends it and waits for that.
 */
export async function startByScript(
  script: string,
  folder: string,
  { ready, args = [] }: { readonly ready: RegExp; readonly args?: readonly string[] },
): Promise<() => Promise<void>> {
  const [command = 'sh', ...rest] = [
    ...(isRoot ? asServerUser() : []),
    'sh',
    '-c',
    script,
    'sh',
    folder,
    ...args,
  ];
  // Its own session, so that neither Ctrl-C nor a kill of our process group ends the script before it has tidied up.
  const child = spawn(command, rest, { cwd: folder, detached: true, stdio: 'pipe' });
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  await printed(child, ready);
  for (const handle of [child, child.stdin as Socket, child.stdout as Socket, child.stderr as Socket]) {
    handle.unref(); // or mocha would wait for the server
  }
  return async () => {
    child.ref();
    child.stdin.end();
    await exited;
  };
}

function printed(child: ChildProcess, ready: RegExp): Promise<void> {
  let output = '';
  return new Promise((resolve, reject) => {
    const read = (text: string): void => {
      output = (output + text).slice(-20_000);
      if (ready.test(output)) resolve();
    };
    child.stdout?.setEncoding('utf8').on('data', read);
    child.stderr?.setEncoding('utf8').on('data', read);
    child.once('error', reject);
    child.once('exit', () => reject(new Error(`Expected a server to start, and it ended:\n${output}`)));
  });
}

/** Tries again with another port when a port was taken between its being found free and its being used. */
export async function onFreePort<Result>(start: (port: number) => Promise<Result>): Promise<Result> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await start(await freePort());
    } catch (error) {
      const isTaken = /address already in use|could not create any TCP\/IP sockets/i.test(String(error));
      if (!isTaken || tries === 3) throw error;
    }
  }
}
