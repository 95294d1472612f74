import { createHash } from 'node:crypto';
import { BackfillError } from '../../errors.js';
import type { StopSignal } from '../../stop.js';
import { identifier } from '../sql.js';
import type { PostgresAddress } from './address.js';
import { PostgresClient } from './client.js';
import { PostgresError } from './error.js';
import { refusePooler } from './pooler.js';
import { sessionName } from './session-name.js';
import { applySettings } from './settings.js';
import { HOLDS_DDL, needsTryJson, TRY_JSON_DDL } from './try-json.js';

/** Oldest server that is supported, as `server_version_num` has it. */
const OLDEST = 130_000;

/** First half of the keys of our advisory locks: `umzg` in ASCII. */
const LOCK_CLASS = 0x756d7a67;

/** The same of the locks that tell whose turn it is: greater, so that it comes second where both are listed. */
const TURN_CLASS = LOCK_CLASS + 1;

/** Key of an advisory lock, in its two halves. */
export type LockKey = readonly [number, number];

/** A session with a database. */
export interface PostgresSession {
  readonly client: PostgresClient;
  /** Version of the server, as `server_version_num` has it: 150018 is 15.18. */
  readonly version: number;
  /** Whether this user could make the temporary functions of this package. */
  readonly canMakeFunctions: boolean;
  /** Both halves of the key of the run lock: one for each schema. */
  lockKey: LockKey;
  /** The same of the turn, which a command has from before it takes the run lock until its end. */
  turnKey: LockKey;
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
  readonly #signal: StopSignal | undefined;
  #current: PostgresSession | undefined;
  #users = 0;

  /** @param signal stops whoever waits for the database */
  constructor(address: PostgresAddress, signal?: StopSignal) {
    this.address = address;
    this.#signal = signal;
  }

  /** The session, begun where there is none. To be given back by {@link leave}. */
  async enter(): Promise<PostgresSession> {
    // A lock that is lost with its session is never replaced in silence: what was done under it ends first.
    if (!this.#current || (this.#current.client.isLost && this.#current.lock === 'none')) {
      this.#current = await open(this.address, this.#signal);
      this.#users = 0;
    } else if (this.#current.lock === 'none') Object.assign(this.#current, await placeOf(this.#current));
    this.#users += 1;
    return this.#current;
  }

  /** Gives the session back; the last user ends it. */
  async leave(session: PostgresSession): Promise<void> {
    if (session !== this.#current) return await session.client.close();
    this.#users -= 1;
    if (this.#users > 0) return;
    this.#current = undefined;
    await session.client.close();
  }
}

async function open(address: PostgresAddress, signal: StopSignal | undefined): Promise<PostgresSession> {
  const name = sessionName(address);
  const client = await PostgresClient.open(address, name, signal);
  try {
    await refusePooler(client, name, signal);
    const declaredPath = String((await client.query('SHOW search_path')).rows[0]?.[0]);
    await applySettings(client);
    const [[version, encoding] = []] = (
      await client.query(
        `SELECT current_setting('server_version_num')::int8, current_setting('server_encoding')`,
      )
    ).rows;
    checkServer(Number(version), String(encoding));
    const place = await placeOf({ client, declaredPath });
    return {
      client,
      declaredPath,
      ...place,
      version: Number(version),
      canMakeFunctions: await makesFunctions(client, Number(version), place.path),
      lock: 'none',
    };
  } catch (error) {
    await client.close();
    throw error;
  }
}

/** What a session has by the schemas of its search path. */
type SessionPlace = Pick<PostgresSession, 'schemas' | 'path' | 'lockKey' | 'turnKey'>;

/** Reads the search path again, under a lock that stays what it is. */
export async function readPath(session: PostgresSession): Promise<void> {
  const { schemas, path } = await placeOf(session);
  Object.assign(session, { schemas, path });
}

async function placeOf({
  client,
  declaredPath,
}: Pick<PostgresSession, 'client' | 'declaredPath'>): Promise<SessionPlace> {
  const [[list, schema] = []] = (await client.query(SCHEMAS, [], declaredPath)).rows;
  if (schema === null)
    throw new BackfillError(
      'STORE_REFUSED',
      'No schema of the search_path exists',
      'Name one: --database-url "postgres://…?options=-csearch_path%3DNAME"',
    );
  const schemas = (JSON.parse(String(list)) as string[]).filter((name) => !name.startsWith('pg_temp_'));
  const schemaKey = createHash('sha256').update(String(schema)).digest().readInt32BE(0);
  return {
    schemas,
    path: schemas.map(identifier).join(', '),
    lockKey: [LOCK_CLASS, schemaKey],
    turnKey: [TURN_CLASS, schemaKey],
  };
}

/** The schemas of the search path that there are and this user may use, and the first that is named. */
const SCHEMAS =
  'SELECT pg_catalog.array_to_json(pg_catalog.current_schemas(true))::pg_catalog.text, pg_catalog.current_schema()';

/** Creates the temporary functions, where they are missing. Event triggers of the database's see its path, as with all DDL. */
export const makeFunctions = async (client: PostgresClient, version: number, path: string): Promise<void> =>
  await client.script(needsTryJson(version) ? `${TRY_JSON_DDL}; ${HOLDS_DDL}` : HOLDS_DDL, path);

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

function checkServer(version: number, encoding: string): void {
  const refuse = (message: string, hint: string): never => {
    throw new BackfillError('STORE_REFUSED', message, hint);
  };
  if (version < OLDEST)
    refuse(
      `The server is PostgreSQL ${Math.floor(version / 10_000)}, and 13 is the oldest supported`,
      'Update the server',
    );
  if (encoding !== 'UTF8')
    refuse(
      `The database is in ${encoding}, and only UTF8 holds every text`,
      'Use a database that was created with ENCODING UTF8',
    );
}
