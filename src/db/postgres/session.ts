import { createHash } from 'node:crypto';
import type { AbortSignalLike } from '../../abort.js';
import { BackfillError } from '../../errors.js';
import { type Message, msg } from '../../messages/message.js';
import type { LockHolder } from '../connection.js';
import { identifier } from '../sql.js';
import type { PostgresAddress } from './address.js';
import { PostgresClient, SAFE_PATH } from './client.js';
import { PostgresError } from './connect.js';
import { CAN_CAST_DDL, needsTryJson, TRY_JSON_DDL } from './texts.js';

/** Minimum `server_version_num`. */
const MIN_SERVER = 130_000;

/** A session with the server. */
export interface PostgresSession {
  readonly client: PostgresClient;
  /** `server_version_num` of the server: 150018 is 15.18. */
  readonly version: number;
  /** Whether the temporary functions of this package could be created. */
  readonly canMakeFunctions: boolean;
  /** Second half of the advisory lock keys, derived from the current schema. */
  schemaKey: number;
  /** Mode in which this session holds the run lock. */
  lock: 'none' | 'shared' | 'exclusive';
  /** The user's `search_path`. */
  readonly declaredPath: string;
  /** The existing schemas in it, in order. */
  schemas: readonly string[];
  /** `schemas` as a search path, which excludes schemas created later. */
  path: string;
}

/** The session of one command, shared by its run lock and the stores that are opened under it. Replaced if lost. */
export class Sessions {
  readonly address: PostgresAddress;
  readonly #signal: AbortSignalLike | undefined;
  #current: PostgresSession | undefined;
  #users = 0;

  /** @param signal stops every wait for the database */
  constructor(address: PostgresAddress, signal?: AbortSignalLike) {
    this.address = address;
    this.#signal = signal;
  }

  /** Warnings about the encryption of the session; none before it is opened. */
  get warnings(): readonly Message[] {
    return this.#current?.client.warnings ?? [];
  }

  /** Returns the session, opening it if necessary. Each call must be paired with {@link leave}. */
  async enter(): Promise<PostgresSession> {
    // A session that is lost while it held the run lock is not replaced: the work under that lock must fail first.
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

  /** Releases the session. The last user closes it. */
  async leave(session: PostgresSession): Promise<void> {
    if (session !== this.#current) return await session.client.close();
    this.#users -= 1;
    if (this.#users > 0) return;
    this.#current = undefined;
    await session.client.close();
  }

  /** Runs `act` with the session, then releases it. */
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
  const client = await PostgresClient.open(address, signal);
  try {
    await refusePooler(client, address, signal);
    const declaredPath = String((await client.query('SHOW search_path')).rows[0]?.[0]);
    await client.script(SESSION_SETTINGS);
    await client.query(SETTINGS_IF_KNOWN);
    const version = await requireServer(client);
    const place = await placeOf(client, declaredPath);
    const canMakeFunctions = await makesFunctions(client, version, place.path);
    return { client, declaredPath, ...place, version, canMakeFunctions, lock: 'none' };
  } catch (error) {
    await client.close();
    throw error;
  }
}

/** Updates the search path of a session, but not its lock key. */
export async function readPath(session: PostgresSession): Promise<void> {
  const { schemas, path } = await placeOf(session.client, session.declaredPath);
  Object.assign(session, { schemas, path });
}

/** Returns the parts of a session that depend on its search path. */
async function placeOf(client: PostgresClient, declaredPath: string) {
  const [[list, schema] = []] = (await client.query(SCHEMAS, [], declaredPath)).rows;
  if (schema === null)
    throw new BackfillError(
      'STATEMENT_REJECTED',
      msg('No schema in search_path exists'),
      msg('Pass one: --database-url "postgres://…?options=-csearch_path%3DNAME"'),
    );
  const schemas = (JSON.parse(String(list)) as string[]).filter((name) => !name.startsWith('pg_temp_'));
  return {
    schemas,
    path: schemas.map(identifier).join(', '),
    schemaKey: createHash('sha256').update(String(schema)).digest().readInt32BE(0),
  };
}

/** Selects the existing schemas of the search path that this user may use, and the first named one. */
const SCHEMAS =
  'SELECT pg_catalog.array_to_json(pg_catalog.current_schemas(true))::pg_catalog.text, pg_catalog.current_schema()';

/** Creates the temporary functions if they are missing, with the database's search path for its event triggers. */
export const makeFunctions = async (client: PostgresClient, version: number, path: string): Promise<void> =>
  await client.script(needsTryJson(version) ? `${TRY_JSON_DDL}; ${CAN_CAST_DDL}` : CAN_CAST_DDL, path);

/** Creates the temporary functions. Returns false for a user without that privilege, and on a replica. */
async function makesFunctions(client: PostgresClient, version: number, path: string): Promise<boolean> {
  try {
    await makeFunctions(client, version, path);
    return true;
  } catch (error) {
    if (error instanceof PostgresError && /^POSTGRES_(?:42501|25006|0A000)$/.test(error.code)) return false;
    throw error;
  }
}

/** Returns the version of a supported server; refuses any other. */
async function requireServer(client: PostgresClient): Promise<number> {
  const asked = `SELECT current_setting('server_version_num')::int8, current_setting('server_encoding')`;
  const [[number, encoding] = []] = (await client.query(asked)).rows;
  const version = Number(number);
  if (version < MIN_SERVER)
    throw new BackfillError(
      'STATEMENT_REJECTED',
      msg('The server is PostgreSQL {version}; the oldest supported version is 13', {
        version: Math.floor(version / 10_000),
      }),
      msg('Upgrade the server'),
    );
  if (encoding !== 'UTF8')
    throw new BackfillError(
      'STATEMENT_REJECTED',
      msg('The database is encoded in {encoding}; only UTF8 can store every text', {
        encoding: String(encoding),
      }),
      msg('Use a database that was created with ENCODING UTF8'),
    );
  return version;
}

/**
 * Settings of every session: text formats that do not depend on the role, the database or the server, and limits that end the
 * session of a dead client. TCP settings detect one within 30 seconds, but only up to a pooler; the limit for an idle transaction
 * works through a pooler too. The client sends empty statements so that a slow batch does not reach that limit. JIT compilation takes a
 * tenth of a second for each statement of some thousand rows, which is more than it saves.
 */
const SESSION_SETTINGS = `SET search_path = ${SAFE_PATH}; SET client_encoding = 'UTF8'; SET standard_conforming_strings = on; SET DateStyle = 'ISO, YMD';
  SET TimeZone = 'UTC'; SET bytea_output = 'hex'; SET extra_float_digits = 1; SET client_min_messages = 'error';
  SET row_security = off; SET jit = off; SET statement_timeout = 0; SET idle_in_transaction_session_timeout = '60s';
  SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 4; SET tcp_user_timeout = '30s'`;

/** Settings that only servers from 14 or 17 on know. */
const SETTINGS_IF_KNOWN = `SELECT set_config(name, CASE name WHEN 'client_connection_check_interval' THEN '500' ELSE '0' END, false)
  FROM pg_settings WHERE name IN ('client_connection_check_interval', 'idle_session_timeout', 'transaction_timeout')`;

/** Settings that a statement can change beyond its transaction. */
const CHANGEABLE = `FROM pg_settings WHERE context IN ('user', 'superuser')
  AND name NOT IN ('transaction_isolation', 'transaction_read_only', 'transaction_deferrable')`;

/** Returns the settings of a session as JSON. */
export const readSettings = async (client: PostgresClient): Promise<string> =>
  String((await client.query(`SELECT json_object_agg(name, setting) ${CHANGEABLE}`)).rows[0]?.[0]);

/** Restores the settings and the role of a session, and removes custom settings. */
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

/** Number of probes of both connections; several, because other clients of a pooler may take a session in between. */
const PROBES = 3;

const sessionOf = async (client: PostgresClient): Promise<unknown> =>
  (await client.query('SELECT pg_catalog.pg_backend_pid()')).rows[0]?.[0];

/**
 * Refuses a pooler that assigns a session per transaction: session locks and settings would not belong to this process. Detected
 * by two connections with the same session, or one connection with two. Call it before changing settings, which another client of
 * the pool would inherit.
 *
 * @throws {BackfillError} `POOLER_UNSUPPORTED`
 * @see https://www.pgbouncer.org/features.html
 */
async function refusePooler(
  client: PostgresClient,
  address: PostgresAddress,
  signal: AbortSignalLike | undefined,
): Promise<void> {
  const other = await PostgresClient.open(address, signal);
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
    msg('The connection uses a pooler that assigns a session per transaction'),
    msg('Pass the address of the server, or of a pool in session mode, with --database-url'),
  );
}

// Names of our sessions; see attempts.ts.

/** Returns SQL that is true for the name of one of our sessions. */
export const isOurs = (name: string): string => `${name} ~ '(^| )umzug-backfill [0-9]+@'`;

/** Returns the process of a session with this name, or undefined if this package did not set the name. */
export function holderNamed(name: unknown, since: unknown): LockHolder | undefined {
  const [, pid, host] = /(?:^| )umzug-backfill (\d+)@(\S*)/.exec(String(name ?? '')) ?? [];
  if (pid === undefined || host === undefined) return undefined;
  return { pid: Number(pid), host, ...(since === null ? {} : { since: String(since) }) }; // null if hidden from this role
}
