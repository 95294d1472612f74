import { createHash } from 'node:crypto';
import { hostname } from 'node:os';
import type { AbortSignalLike } from '../../abort.js';
import { BackfillError } from '../../errors.js';
import { msg } from '../../messages/message.js';
import type { LockHolder } from '../connector.js';
import { identifier } from '../sql.js';
import { type PostgresAddress, urlParameter } from './address.js';
import { PostgresClient, SAFE_PATH } from './client.js';
import { PostgresError } from './connect.js';
import { CAN_CAST_DDL, needsTryJson, TRY_JSON_DDL } from './texts.js';

/** Oldest server that is supported, as `server_version_num` has it. */
const MIN_SERVER = 130_000;

/** A session with a database. */
export interface PostgresSession {
  readonly client: PostgresClient;
  /** Version of the server, as `server_version_num` has it: 150018 is 15.18. */
  readonly version: number;
  /** Whether this user could make the temporary functions of this package. */
  readonly canMakeFunctions: boolean;
  /** Second half of the keys of its advisory locks: one for each schema. */
  schemaKey: number;
  /** How the run lock is held. */
  lock: 'none' | 'shared' | 'exclusive';
  /** The search path as this user has it, as SET has it. */
  readonly declaredPath: string;
  /** The schemas of it that there are, in their order. */
  schemas: readonly string[];
  /** These as a path: a schema that somebody makes meanwhile is not in it. */
  path: string;
}

/** The sessions of one command with a database: one at a time, for its run lock and for the stores that are opened under that. */
export class Sessions {
  readonly address: PostgresAddress;
  readonly #signal: AbortSignalLike | undefined;
  #current: PostgresSession | undefined;
  #users = 0;

  /** @param signal stops whoever waits for the database */
  constructor(address: PostgresAddress, signal?: AbortSignalLike) {
    this.address = address;
    this.#signal = signal;
  }

  /** The session, begun where there is none. To be given back by {@link leave}. */
  async enter(): Promise<PostgresSession> {
    // A lock that is lost with its session is never replaced in silence: what was done under it ends first.
    let session = this.#current;
    if (!session || (session.client.isLost && session.lock === 'none')) {
      session = await open(this.address, this.#signal);
      this.#current = session;
      this.#users = 0;
    } else if (session.lock === 'none')
      Object.assign(session, await placeOf(session.client, session.declaredPath));
    this.#users += 1;
    return session;
  }

  /** Gives the session back; the last user ends it. */
  async leave(session: PostgresSession): Promise<void> {
    if (session !== this.#current) return await session.client.close();
    this.#users -= 1;
    if (this.#users > 0) return;
    this.#current = undefined;
    await session.client.close();
  }

  /** Acts with the session, and gives it back. */
  async using<Result>(act: (session: PostgresSession) => Promise<Result>): Promise<Result> {
    const session = await this.enter();
    try {
      return await act(session);
    } finally {
      await this.leave(session);
    }
  }
}

async function open(address: PostgresAddress, signal: AbortSignalLike | undefined): Promise<PostgresSession> {
  const name = sessionName(address);
  const client = await PostgresClient.open(address, name, signal);
  try {
    await refusePooler(client, name, signal);
    const declaredPath = String((await client.query('SHOW search_path')).rows[0]?.[0]);
    await applySettings(client);
    const version = await requireServer(client);
    const place = await placeOf(client, declaredPath);
    const canMakeFunctions = await makesFunctions(client, version, place.path);
    return { client, declaredPath, ...place, version, canMakeFunctions, lock: 'none' };
  } catch (error) {
    await client.close();
    throw error;
  }
}

/** What a session has by the schemas of its search path. */
type SessionPlace = Pick<PostgresSession, 'schemas' | 'path' | 'schemaKey'>;

/** Reads the search path again, under a lock that stays what it is. */
export async function readPath(session: PostgresSession): Promise<void> {
  const { schemas, path } = await placeOf(session.client, session.declaredPath);
  Object.assign(session, { schemas, path });
}

async function placeOf(client: PostgresClient, declaredPath: string): Promise<SessionPlace> {
  const [[list, schema] = []] = (await client.query(SCHEMAS, [], declaredPath)).rows;
  if (schema === null)
    throw new BackfillError(
      'STATEMENT_REJECTED',
      msg('No schema of the search_path exists'),
      msg('Name one: --database-url "postgres://…?options=-csearch_path%3DNAME"'),
    );
  const schemas = (JSON.parse(String(list)) as string[]).filter((name) => !name.startsWith('pg_temp_'));
  return {
    schemas,
    path: schemas.map(identifier).join(', '),
    schemaKey: createHash('sha256').update(String(schema)).digest().readInt32BE(0),
  };
}

/** The schemas of the search path that there are and this user may use, and the first that is named. */
const SCHEMAS =
  'SELECT pg_catalog.array_to_json(pg_catalog.current_schemas(true))::pg_catalog.text, pg_catalog.current_schema()';

/** Creates the temporary functions, where they are missing. Event triggers of the database's see its path, as with all DDL. */
export const makeFunctions = async (client: PostgresClient, version: number, path: string): Promise<void> =>
  await client.script(needsTryJson(version) ? `${TRY_JSON_DDL}; ${CAN_CAST_DDL}` : CAN_CAST_DDL, path);

/** Makes the temporary functions; not every user may, nor can a replica. */
async function makesFunctions(client: PostgresClient, version: number, path: string): Promise<boolean> {
  try {
    await makeFunctions(client, version, path);
    return true;
  } catch (error) {
    if (error instanceof PostgresError && /^POSTGRES_(?:42501|25006|0A000)$/.test(error.code)) return false;
    throw error;
  }
}

/** Returns the version of a server, if this program can work with it. */
async function requireServer(client: PostgresClient): Promise<number> {
  const asked = `SELECT current_setting('server_version_num')::int8, current_setting('server_encoding')`;
  const [[number, encoding] = []] = (await client.query(asked)).rows;
  const version = Number(number);
  if (version < MIN_SERVER)
    throw new BackfillError(
      'STATEMENT_REJECTED',
      msg('The server is PostgreSQL {version}, and 13 is the oldest supported', {
        version: Math.floor(version / 10_000),
      }),
      msg('Update the server'),
    );
  if (encoding !== 'UTF8')
    throw new BackfillError(
      'STATEMENT_REJECTED',
      msg('The database is in {encoding}, and only UTF8 holds every text', { encoding: String(encoding) }),
      msg('Use a database that was created with ENCODING UTF8'),
    );
  return version;
}

/**
 * Settings of every session of ours: texts that mean the same whatever the role, the database or the server sets, and an end of
 * sessions whose client is gone. TCP settings find a dead client within 30 seconds, but end at a pooler. The end of an idle
 * transaction holds behind one as well; the client keeps it from a batch that this program takes longer for.
 */
const SESSION_SETTINGS = `SET search_path = ${SAFE_PATH}; SET client_encoding = 'UTF8'; SET standard_conforming_strings = on; SET DateStyle = 'ISO, YMD';
  SET TimeZone = 'UTC'; SET bytea_output = 'hex'; SET extra_float_digits = 1; SET client_min_messages = 'error';
  SET row_security = off; SET statement_timeout = 0; SET idle_in_transaction_session_timeout = '60s';
  SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 4; SET tcp_user_timeout = '30s'`;

/** The same, where the server knows the setting: 14 and later, and 17 and later. */
const SETTINGS_IF_KNOWN = `SELECT set_config(name, CASE name WHEN 'client_connection_check_interval' THEN '500' ELSE '0' END, false)
  FROM pg_settings WHERE name IN ('client_connection_check_interval', 'idle_session_timeout', 'transaction_timeout')`;

async function applySettings(client: PostgresClient): Promise<void> {
  await client.script(SESSION_SETTINGS);
  await client.query(SETTINGS_IF_KNOWN);
}

/** Settings that a statement may change and that outlive its transaction. */
const CHANGEABLE = `FROM pg_settings WHERE context IN ('user', 'superuser')
  AND name NOT IN ('transaction_isolation', 'transaction_read_only', 'transaction_deferrable')`;

/** Reads the settings of a session by name, as JSON. */
export const readSettings = async (client: PostgresClient): Promise<string> =>
  String((await client.query(`SELECT json_object_agg(name, setting) ${CHANGEABLE}`)).rows[0]?.[0]);

/** Puts the settings of a session back to what they were, and its role; settings that no server knows go. */
export async function restoreSettings(client: PostgresClient, settings: string): Promise<void> {
  await client.script(
    `SET statement_timeout = 0; RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL; SET search_path = ${SAFE_PATH}`,
  );
  await client.query(
    `SELECT set_config(was.name, was.setting, false)
    FROM json_each_text($1) AS was (name, setting) JOIN (SELECT name, setting ${CHANGEABLE}) AS is_now USING (name)
    WHERE is_now.setting IS DISTINCT FROM was.setting`,
    [settings],
  );
}

/** Pairs of looks at the two sessions: other clients of a pooler may take a session in between. */
const PROBES = 3;

const sessionOf = async (client: PostgresClient): Promise<unknown> =>
  (await client.query('SELECT pg_catalog.pg_backend_pid()')).rows[0]?.[0];

/**
 * Refuses a pooler that gives each transaction another session: locks of a session, and what is set in it, would not be this process's.
 * Seen by two connections at once that have one session, or by one that has two. To be called before anything is set: another client of
 * the pool would get a session with that.
 *
 * @param name what the server calls the second connection
 * @throws {BackfillError} `POOLER_UNSUPPORTED`
 * @see https://www.pgbouncer.org/features.html
 */
async function refusePooler(
  client: PostgresClient,
  name: string,
  signal: AbortSignalLike | undefined,
): Promise<void> {
  const other = await PostgresClient.open(client.address, name, signal);
  try {
    const [first, second] = [new Set<unknown>(), new Set<unknown>()];
    for (let i = 0; i < PROBES; i += 1) {
      first.add(await sessionOf(client));
      second.add(await sessionOf(other));
    }
    const isApart = first.size === 1 && second.size === 1 && ![...first].some((pid) => second.has(pid));
    if (isApart) return;
  } finally {
    await other.close();
  }
  throw new BackfillError(
    'POOLER_UNSUPPORTED',
    msg('The connection goes through a pooler that gives each transaction another session'),
    msg('Name the server itself in --database-url, or a pool in session mode'),
  );
}

// What a server calls our sessions, so that others can tell which process on which machine has one.

/** Longest name of a session, in bytes: of a longer one PostgreSQL drops the rest. */
const LONGEST_NAME = 63;

/** The name of a session of this process: `umzug-backfill PID@HOST`, after the `application_name` that the URL gives. */
function sessionName({ url }: PostgresAddress): string {
  const ours = `umzug-backfill ${process.pid}@${hostname()}`.slice(0, LONGEST_NAME);
  const room = Math.max(0, LONGEST_NAME - ours.length - 1);
  // In ASCII: the server replaces what is not, from 16 on by something longer, and cuts the end off.
  const given = (urlParameter(url, 'application_name') ?? '').replace(/[^ -~]/g, '?').slice(0, room);
  return given === '' ? ours : `${given} ${ours}`;
}

/** SQL that is true for the name of a session of ours. */
export const isOurs = (name: string): string => `${name} ~ '(^| )umzug-backfill [0-9]+@'`;

/** Returns the process that has a session of this name, or undefined if the name is not one of ours. */
export function holderNamed(name: unknown, since: unknown): LockHolder | undefined {
  const [, pid, host] = /(?:^| )umzug-backfill (\d+)@(\S*)/.exec(String(name ?? '')) ?? [];
  if (pid === undefined || host === undefined) return undefined;
  return { pid: Number(pid), host, ...(since === null ? {} : { since: String(since) }) }; // null: to another role
}
