import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeServerFolder, onFreePort, startByScript, whyNoUser } from '../../demo/ends-with-us.js';
import { type PostgresServer, sharedServer } from './postgres-server.js';

// A real PgBouncer before a PostgreSQL server.

/** A running pooler. */
export interface Pgbouncer {
  readonly host: string;
  readonly port: number;
  /** URL of a database of the server, through the pooler. */
  url(database: string): string;
  /** Ends it at once. */
  stop(): Promise<void>;
}

export interface PgbouncerOptions {
  readonly poolMode: 'transaction' | 'session' | 'statement';
  /** Default: the shared one. */
  readonly server?: PostgresServer;
  /** Further settings of its section `[pgbouncer]`; what is not set is as it is out of the box. */
  readonly settings?: Readonly<Record<string, string>>;
}

/** It never says `ready` in words of ours, so what it logs is passed on; when it fails, the script ends with it. */
const SCRIPT = `
  PATH=$PATH:/usr/sbin
  exec 3<&0
  pgbouncer "$1/pgbouncer.ini" 2>&1 & bouncer=$!
  { cat <&3 > /dev/null; kill "$bouncer"; } &
  wait "$bouncer"
  cd / && rm -rf "$1"`;

/** Why no PgBouncer can be started here; undefined when one can. */
export function whyNoPgbouncer(): string | undefined {
  const PATH = `${process.env.PATH}:/usr/sbin`; // where Debian has it, and not everybody looks
  const { status } = spawnSync('pgbouncer', ['--version'], { env: { ...process.env, PATH } });
  return status === 0 ? whyNoUser() : 'without PgBouncer there is no pooler';
}

/** Skips a test where no PgBouncer can be started. */
export function needPgbouncer(test: Mocha.Context): void {
  const trouble = whyNoPgbouncer();
  if (trouble === undefined) return;
  console.log(`    skipped: ${trouble}`);
  test.skip();
}

/** Starts a pooler, which ends with this process at the latest. */
export async function startPgbouncer(options: PgbouncerOptions): Promise<Pgbouncer> {
  const server = options.server ?? (await sharedServer());
  const host = '127.0.0.1';
  return await onFreePort(async (port) => {
    const folder = makeServerFolder('pgbouncer');
    const settings = {
      listen_addr: host,
      listen_port: String(port),
      unix_socket_dir: '',
      // Every role of the server may connect, as on the server itself.
      auth_type: 'trust',
      auth_file: join(folder, 'users'),
      auth_user: 'postgres',
      pool_mode: options.poolMode,
      ...options.settings,
    };
    const lines = Object.entries(settings).map(([name, value]) => `${name} = ${value}\n`);
    const databases = `[databases]\n* = host=${server.host} port=${server.port}\n`;
    writeFileSync(join(folder, 'users'), '"postgres" ""\n');
    writeFileSync(join(folder, 'pgbouncer.ini'), `${databases}[pgbouncer]\n${lines.join('')}`);
    const stop = await startByScript(SCRIPT, folder, { ready: /process up/ });
    const url = (database: string) => `postgres://postgres@${host}:${port}/${encodeURIComponent(database)}`;
    return { host, port, url, stop };
  });
}
