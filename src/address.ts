import { existsSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Config, PostgresEnv } from './config.js';
import { expandHome } from './db/path.js';
import {
  type PostgresAddress,
  parseAddress,
  redactedUrl,
  refuseUnknownParameters,
  requireSslMode,
  tlsSettings,
} from './db/postgres/address.js';
import { BackfillError, rootBackfillError } from './errors.js';
import { type Message, msg } from './messages/message.js';
import { learnPassword, learnSecrets } from './secrets.js';
import { shellWord } from './shell.js';

/** Store options of one invocation. */
export interface StoreFlags {
  /** Value of `--db-path`; programs may also pass a PostgreSQL URL. */
  readonly dbPath?: string | undefined;
  /** Value of `--database-url`. */
  readonly databaseUrl?: string | undefined;
  /** Whether `--postgres` was passed, which selects `DATABASE_URL` of the environment. */
  readonly postgres?: boolean | undefined;
}

/** Location of a store. */
export interface StoreAddress {
  /** Path of the file; for a database, its display name. */
  readonly path: string;
  readonly postgres?: PostgresAddress;
}

const usage = (message: Message, hint: Message): BackfillError => new BackfillError('USAGE', message, hint);

/** Whether a text is a PostgreSQL URL. */
export const isPostgresUrl = (text: string): boolean => /^postgres(?:ql)?:\/\//i.test(text);

/** Whether a program has passed the address from its code, so that no argument can contain it: its URL is a display name. */
export const isFromCode = ({ postgres }: { readonly postgres?: PostgresAddress | undefined }): boolean =>
  (postgres?.settings ?? postgres?.fresh) !== undefined;

/**
 * Returns the store of an invocation: from its options, else from the environment, else the config's default. An option overrides
 * the environment if both specify a file; a file and a database, or two databases, are refused.
 *
 * @throws {BackfillError} `USAGE` if several stores are specified, or none
 */
export function storeAddress(config: Config, given: StoreFlags, env: NodeJS.ProcessEnv): StoreAddress {
  const { path, postgres: names } = config.database;
  const named = (name: string | undefined): string | undefined =>
    name === undefined || env[name] === '' ? undefined : env[name];
  learnSecrets([given.dbPath, given.databaseUrl, path], env);
  learnPassword(named(names?.password) ?? '');
  const variable = variablesOf(config).find((name) => named(name) !== undefined);
  const file = given.dbPath === undefined || isPostgresUrl(given.dbPath) ? undefined : given.dbPath;
  const url = given.databaseUrl ?? (file === undefined ? given.dbPath : undefined);
  const fromEnv = names && /^postgres(?:ql)?$/i.test(named(names.type) ?? '') ? names : undefined;
  const sources = [
    ...(file === undefined ? [] : ['--db-path']),
    ...(file === undefined && variable !== undefined ? [variable] : []),
    ...(url === undefined ? [] : ['--database-url']),
    ...(given.postgres ? ['--postgres'] : []),
    ...(fromEnv ? [`${fromEnv.type}=postgresql`] : []),
  ];
  if (sources.length > 1) {
    throw usage(
      msg('Several stores are specified: {sources}', { sources }),
      msg('Pass only one: remove the other options, or unset the variable'),
    );
  }
  if (given.postgres) return urlAddress(named('DATABASE_URL') ?? missingUrl());
  if (url !== undefined) return urlAddress(url);
  if (fromEnv) return urlAddress(urlOf(fromEnv, named));
  const found = file ?? named(variable) ?? path ?? missingStore();
  return isPostgresUrl(found) ? urlAddress(found) : { path: found };
}

/** Returns the names of the environment variables with the path of the store, in order. */
const variablesOf = ({ database: { env } }: Config): readonly string[] =>
  env === undefined ? [] : [env].flat();

/**
 * Returns the address of a PostgreSQL URL.
 *
 * @throws {BackfillError} `USAGE` if it is not one, or its parameters are unknown or contradict each other
 */
export function urlAddress(url: string): Required<StoreAddress> {
  if (!isPostgresUrl(url) || !parseAddress(url)) {
    throw usage(
      msg('The URL of the database is not a PostgreSQL URL'),
      msg('Pass it as postgres://USER@HOST:5432/DATABASE'),
    );
  }
  refuseUnknownParameters(url);
  const postgres = { url };
  tlsSettings(postgres); // refuses contradictory settings early
  return { path: redactedUrl(postgres), postgres };
}

function urlOf(names: PostgresEnv, named: (name: string | undefined) => string | undefined): string {
  const database = named(names.name) ?? names.defaults?.name;
  if (database === undefined) {
    throw usage(
      msg('{type} selects a PostgreSQL store, but {name} is not set', {
        type: names.type,
        name: names.name,
      }),
      msg('Set {name}, {host} and {user}, or pass --database-url', {
        name: names.name,
        host: names.host,
        user: names.user,
      }),
    );
  }
  const url = new URL('postgres://localhost');
  const host = named(names.host) ?? 'localhost';
  const port = named(names.port) ?? '5432';
  // A socket folder is not a valid host of a URL, and an IPv6 address needs brackets.
  if (host.startsWith('/')) url.searchParams.set('host', host);
  else url.hostname = host.split(':').length > 2 && !host.startsWith('[') ? `[${host}]` : host;
  url.port = port;
  // URL ignores invalid values, so that another server would be used.
  const isTaken = host.startsWith('/') || host === 'localhost' || url.hostname !== 'localhost';
  if (!isTaken || !/^\d+$/.test(port) || (url.port || '5432') !== String(Number(port))) {
    throw usage(
      msg('{host} and {port} are not a valid host and port', { host: names.host, port: names.port }),
      msg('Set {host} to a host name or an IP address, and {port} to a number', {
        host: names.host,
        port: names.port,
      }),
    );
  }
  url.username = encodeURIComponent(named(names.user) ?? names.defaults?.user ?? '');
  url.password = encodeURIComponent(named(names.password) ?? '');
  url.pathname = `/${encodeURIComponent(database)}`;
  const mode = named(names.sslmode);
  if (mode !== undefined) url.searchParams.set('sslmode', requireSslMode(mode, names.sslmode ?? ''));
  const authority = named(names.sslrootcert);
  if (authority !== undefined) url.searchParams.set('sslrootcert', authority);
  return url.toString();
}

function missingStore(): never {
  throw usage(
    msg('No store is specified, and the config has no `database.path`'),
    msg(
      'Pass --db-path PATH, --database-url URL, or --postgres with DATABASE_URL set; or set `database.path` in the config file',
    ),
  );
}

function missingUrl(): never {
  throw usage(
    msg('--postgres uses the URL in DATABASE_URL, which is not set'),
    msg('Set it, or pass --database-url postgres://USER@HOST:5432/DATABASE'),
  );
}

/**
 * Runs `act`. If the store is missing or has no version, the error's hint also names the other files that exist at paths in the
 * config, and `--postgres` if `DATABASE_URL` is set.
 */
export async function withKnownPlaces<Result>(
  config: Config,
  { path, postgres }: StoreAddress,
  env: NodeJS.ProcessEnv,
  act: () => Promise<Result>,
): Promise<Result> {
  try {
    return await act();
  } catch (thrown) {
    const { code, texts } = rootBackfillError(thrown);
    if (postgres || (code !== 'STORE_MISSING' && code !== 'VERSION_MISSING')) throw thrown;
    let { hint } = texts;
    const paths = otherStores(config, path, env).map(shellWord);
    if (paths.length > 0)
      hint = msg('{hint}; there is a file at {paths}: pass --db-path if it is the store', { hint, paths });
    if (isPostgresUrl(env.DATABASE_URL ?? ''))
      hint = msg('{hint}; DATABASE_URL contains a database: pass --postgres to use it', { hint });
    if (hint === texts.hint) throw thrown;
    throw new BackfillError(code, texts.message, hint, { cause: thrown });
  }
}

/** Returns the files that exist at paths in the config, except the store itself; absolute, without duplicates. */
function otherStores(config: Config, path: string, env: NodeJS.ProcessEnv): string[] {
  const { path: usual, otherPaths = [] } = config.database;
  const known = [...variablesOf(config).map((name) => env[name]), usual, ...otherPaths];
  const paths = new Set(known.filter((known) => known).map((known) => resolve(expandHome(String(known)))));
  paths.delete(resolve(expandHome(path)));
  return [...paths].filter(isFile);
}

const isFile = (path: string): boolean => existsSync(path) && statSync(path).isFile();

/** A command of the sqlite3 shell with its argument. */
const SQLITE_SHELL = /\bsqlite3 STORE ('(?:[^']|'\\'')*'|"[^"]*"|\.\w+)/g;

/** Rewrites a hint for PostgreSQL: `psql` instead of `sqlite3`, and `--database-url`. */
export const onPostgres = (text: string): string =>
  text
    .replace(
      SQLITE_SHELL,
      (_, asked: string) =>
        `psql STORE -c ${asked
          .replace(/^(['"]?)\.schema\b/, '$1\\d')
          .replace(/^\.tables$/, '\\dt')
          .replace(/^\\dt?$/, "'$&'")}`,
    )
    .replace(/--db-path \/path\/to\/store\.db/g, '--database-url postgres://USER@HOST:5432/DATABASE')
    .replace(/ with --db-path\b/g, ' with --database-url');

/** Runs `act`; for a PostgreSQL store, the hint of a {@link BackfillError} is rewritten by {@link onPostgres}. */
export async function withServerHints<Result>(
  { postgres }: { readonly postgres?: PostgresAddress | undefined },
  act: () => Promise<Result>,
): Promise<Result> {
  try {
    return await act();
  } catch (error) {
    if (postgres && error instanceof BackfillError) Object.assign(error, { hint: onPostgres(error.hint) });
    throw error;
  }
}
