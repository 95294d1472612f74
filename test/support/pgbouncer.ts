import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeServerFolder, onFreePort, startByScript, whyNoUser } from '../../demo/ends-with-us.js';
import { sharedServer } from './postgres-server.js';

// A real PgBouncer before a PostgreSQL server.

/** It never says `ready` in words of ours, so what it logs is passed on; when it fails, the script ends with it. */
const SCRIPT = `
  PATH=$PATH:/usr/sbin
  exec 3<&0
  pgbouncer "$1/pgbouncer.ini" 2>&1 & bouncer=$!
  { cat <&3 > /dev/null; kill "$bouncer"; } &
  wait "$bouncer"
  cd / && rm -rf "$1"`;

/** Skips a test where no PgBouncer can be started. */
export function needPgbouncer(test: Mocha.Context): void {
  const PATH = `${process.env.PATH}:/usr/sbin`; // where Debian has it, and not everybody looks
  const { status } = spawnSync('pgbouncer', ['--version'], { env: { ...process.env, PATH } });
  const trouble = status === 0 ? whyNoUser() : 'without PgBouncer there is no pooler';
  if (trouble === undefined) return;
  console.log(`    skipped: ${trouble}`);
  test.skip();
}

/** Starts a pooler before the shared server, which ends with this process at the latest: `url` leads through it to a database. */
export async function startPgbouncer(poolMode: 'transaction' | 'session' | 'statement') {
  const server = await sharedServer();
  return await onFreePort(async (port) => {
    const folder = makeServerFolder('pgbouncer');
    // Every role of the server may connect, as on the server itself; what is not set is as it is out of the box.
    const settings = `[databases]
      * = host=${server.host} port=${server.port}
      [pgbouncer]
      listen_addr = 127.0.0.1
      listen_port = ${port}
      unix_socket_dir =
      auth_type = trust
      auth_file = ${join(folder, 'users')}
      auth_user = postgres
      pool_mode = ${poolMode}\n`;
    writeFileSync(join(folder, 'users'), '"postgres" ""\n');
    writeFileSync(join(folder, 'pgbouncer.ini'), settings.replaceAll(/^ +/gm, ''));
    const stop = await startByScript(SCRIPT, folder, { ready: /process up/ });
    const url = (database: string) => `postgres://postgres@127.0.0.1:${port}/${encodeURIComponent(database)}`;
    return { url, stop };
  });
}
