import { resolve } from 'node:path';
import { isPostgresUrl, urlAddress } from '../address.js';
import type { PostgresAddress } from '../db/postgres/address.js';
import { type DriverSettings, displayUrl } from '../db/postgres/settings.js';
import { BackfillError } from '../errors.js';
import { msg } from '../messages/message.js';
import { learnSecrets } from '../secrets.js';
import { type Call, isPlain, readSettings, unfit } from './postgres-config.js';

// Finds the store of an application in its own objects, by their members, without a dependency on their packages. Only settings are read:
// no connection of the application is used.

/** Location of a store: a file, or a database of a server. */
export type Found = { readonly file: string } | { readonly postgres: PostgresAddress };

/** Returns a member of an object or function; undefined for other values. */
const member = (of: unknown, name: string): unknown =>
  (typeof of === 'object' && of !== null) || typeof of === 'function' ? Reflect.get(of, name) : undefined;

/** Returns an object, or an empty one for other values. */
const objectOf = (value: unknown): object => (typeof value === 'object' && value !== null ? value : {});

const isFunction = (value: unknown): value is () => unknown => typeof value === 'function';

/** Whether a value is a function to call for an address; a knex is a function, too. */
export const isSource = (value: unknown): value is () => unknown =>
  isFunction(value) && member(value, 'client') === undefined;

/**
 * Finds the store of a `Pool` or `Client` of pg, a Sequelize, a knex, or settings; undefined for anything else.
 *
 * @throws {BackfillError} with the code of the call for settings that cannot be carried over; `STORE_NOT_A_FILE`, `STORE_BUSY`, `USAGE`
 */
export function storeOf(given: unknown, call: Call): Found | undefined {
  const client = member(given, 'client');
  if (typeof member(client, 'config') === 'object') return storeOfKnex(objectOf(client), call);
  if (isFunction(member(given, 'define')) && member(given, 'options') !== undefined)
    return storeOfSequelize(objectOf(given), call);
  if (member(given, 'totalCount') !== undefined && isFunction(member(given, 'connect')))
    return server(readSettings(objectOf(member(given, 'options')), call));
  const parameters = member(given, 'connectionParameters');
  if (typeof parameters === 'object') return server(readSettings(settingsOfClient(given, parameters), call));
  return isPlain(given) && Object.keys(given).length > 0 ? server(readSettings(given, call)) : undefined;
}

const server = (settings: DriverSettings): Found => ({ postgres: { url: displayUrl(settings), settings } });

/**
 * Returns the address that a function gives for each connection.
 *
 * @throws {BackfillError} as the promise of `fresh()`: `STORE_UNREACHABLE` if the function throws
 */
export const addressFrom = (source: () => unknown, call: Call): PostgresAddress => ({
  url: 'postgres://',
  async fresh() {
    const given = await called(source);
    if (typeof given === 'string') learnSecrets([given]);
    const found =
      typeof given === 'string' && isPostgresUrl(given) ? urlAddress(given) : storeOf(given, call);
    if (found && 'postgres' in found && !found.postgres.fresh) return found.postgres;
    throw new BackfillError(
      call.code,
      msg('The function passed to {what} as `database` returned no address of PostgreSQL', {
        what: call.what,
      }),
      msg('Return a URL, or settings as pg takes them: {example}', {
        example: '{ host, user, password, … }',
      }),
    );
  },
});

async function called(source: () => unknown): Promise<unknown> {
  try {
    return await source();
  } catch (error) {
    throw new BackfillError(
      'STORE_UNREACHABLE',
      msg('The function passed as `database` failed'),
      msg('Check why it throws: its error is the cause of this one; then run the same command again'),
      { cause: error },
    );
  }
}

/** Returns the settings that a Client was made with; a password that a function gave is the last one. */
const settingsOfClient = (client: unknown, parameters: unknown): object => {
  const names = 'host port user database password ssl sslnegotiation options application_name replication';
  return {
    ...Object.fromEntries(names.split(' ').map((name) => [name, member(parameters, name)])),
    password: member(client, 'password') ?? member(parameters, 'password'),
    enableChannelBinding: member(client, 'enableChannelBinding'),
    connectionTimeoutMillis: member(client, '_connectionTimeoutMillis'),
  };
};

/** Settings in Sequelize's `dialectOptions` that version 6 passes to pg. */
const DIALECT_OPTIONS = ['ssl', 'options', 'application_name', 'connectionTimeoutMillis', 'stream'];

function storeOfSequelize(sequelize: object, call: Call): Found | undefined {
  const [options, config] = [objectOf(member(sequelize, 'options')), member(sequelize, 'config')];
  const dialect = String(member(member(sequelize, 'dialect'), 'name') ?? member(options, 'dialect'));
  const replication = member(options, 'replication');
  const primary = Object.entries(objectOf(member(replication, 'write'))).filter(
    ([, value]) => value !== undefined,
  );
  // Version 7 has no `config`: it keeps what it passes to the driver in `options.replication`.
  const at: object = { ...objectOf(config), ...Object.fromEntries(primary) };
  if (/^sqlite3?$/.test(dialect))
    return { file: filePath(member(options, 'storage') ?? member(at, 'storage') ?? hostPath(options), call) };
  if (!/^postgres/.test(dialect)) return undefined;
  if (changesSettings(sequelize))
    throw new BackfillError(
      call.code,
      msg('The Sequelize passed to {what} changes its settings in a hook, beforeConnect', {
        what: call.what,
      }),
      msg('Pass a function that returns them for each connection: {example}', {
        example: 'database: async () => ({ host, user, password, … })',
      }),
    );
  if (config === undefined) return server(readSettings({ port: 5432, ...at }, call)); // its default, whatever PGPORT says
  const { dialectOptions, ...rest } = at as { readonly dialectOptions?: unknown };
  const passed = DIALECT_OPTIONS.filter((name) => member(dialectOptions, name) !== undefined);
  return server(
    readSettings(
      {
        ...Object.fromEntries(
          ['host', 'port', 'database', 'password'].map((name) => [name, member(rest, name)]),
        ),
        user: member(rest, 'username') ?? member(rest, 'user'),
        ...Object.fromEntries(passed.map((name) => [name, member(dialectOptions, name)])),
      },
      call,
    ),
  );
}

/** Sequelize 6 takes a `host` for the path of a file; `localhost` is its default. */
const hostPath = (options: object): unknown =>
  member(options, 'host') === 'localhost' ? undefined : member(options, 'host');

function changesSettings(sequelize: object): boolean {
  const hooks = member(sequelize, 'hooks');
  const [has, of] = isFunction(member(hooks, 'hasListeners'))
    ? [member(hooks, 'hasListeners'), hooks]
    : [member(sequelize, 'hasHook'), sequelize];
  return isFunction(has) && Reflect.apply(has, of, ['beforeConnect']) === true;
}

function storeOfKnex(client: object, call: Call): Found | undefined {
  if (member(client, 'transacting') === true)
    throw new BackfillError(
      'STORE_BUSY',
      msg(
        'The connection passed to {what} is in the middle of a transaction, which would keep others from writing',
        { what: call.what },
      ),
      msg(
        'Pass the knex itself instead of a transaction of it, and run the backfill outside of transactions',
      ),
    );
  const dialect = String(member(client, 'dialect'));
  const settings = member(client, 'connectionSettings');
  if (dialect === 'sqlite3') return { file: filePath(member(settings, 'filename'), call) };
  if (dialect !== 'postgresql') return undefined;
  const schemas = searchPathOf(client, call);
  const source = member(client, 'connectionConfigProvider');
  if (isFunction(source)) {
    const { url, fresh } = addressFrom(source, call);
    return { postgres: { url, fresh: async () => withSchemas(await fresh?.(), schemas) } };
  }
  const pool = member(member(client, 'config'), 'connectionPool');
  const found = storeOf(pool ?? { ...objectOf(settings), password: member(settings, 'password') }, call);
  return found && 'postgres' in found ? { postgres: withSchemas(found.postgres, schemas) } : undefined;
}

const withSchemas = (address: PostgresAddress | undefined, searchPath: readonly string[] | undefined) => {
  const { url, settings } = address ?? { url: '', settings: undefined };
  return {
    url,
    settings: { ...(settings ?? { connectionString: url }), ...(searchPath && { searchPath }) },
  };
};

/** Returns the search path that knex sets on each connection. */
function searchPathOf(client: object, call: Call): readonly string[] | undefined {
  const given = member(client, 'searchPath');
  if (given === undefined || given === null || given === '') return undefined;
  const schemas: unknown[] = [given].flat();
  if (schemas.every((schema) => typeof schema === 'string')) return schemas;
  throw unfit('searchPath', msg('a text'), call);
}

/** Returns the absolute path of a file, and refuses a database in memory. */
function filePath(path: unknown, call: Call): string {
  if (typeof path === 'string' && path !== '' && path !== ':memory:') return resolve(path);
  throw notAFile(call);
}

/** Returns the error for a database that is in memory or temporary. */
export const notAFile = ({ what }: Call): BackfillError =>
  new BackfillError(
    'STORE_NOT_A_FILE',
    msg(
      'The connection passed to {what} is to a database in memory or a temporary one, which no second connection can open',
      { what },
    ),
    msg('Pass a connection to a file: new Database(PATH)'),
  );
