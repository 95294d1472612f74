import type { Config, PostgresEnv } from './config.js';
import {
  type PostgresAddress,
  parseAddress,
  redactedUrl,
  refuseUnknownParameters,
} from './db/postgres/address.js';
import { requireSslMode, tlsSettings } from './db/postgres/tls.js';
import { BackfillError } from './errors.js';
import { msg } from './messages/message.js';
import { learnPassword, learnSecrets } from './secrets.js';

/** What a call says of its store. */
export interface StoreFlags {
  /** Value of `--db-path`; a URL of PostgreSQL where a program gives one. */
  readonly dbPath?: string | undefined;
  /** Value of `--database-url`. */
  readonly databaseUrl?: string | undefined;
  /** Whether `--postgres` was given: the environment's `DATABASE_URL` counts. */
  readonly postgres?: boolean | undefined;
}

/** Where a store is. */
export interface StoreAddress {
  /** The path of its file; of a database what a person knows it by. */
  readonly path: string;
  readonly postgres?: PostgresAddress;
}

/** Whether a text is a URL of PostgreSQL. */
export const isPostgresUrl = (text: string): boolean => /^postgres(?:ql)?:\/\//i.test(text);

/**
 * Finds the store of a call: the one it names, else the one that the environment names, else the config's default. An option comes before
 * the environment where both name a file; a file and a database, or two databases, are refused.
 *
 * @throws {BackfillError} `USAGE` when two stores are named, or none where there should be one
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
    throw new BackfillError(
      'USAGE',
      msg('Several stores are specified: {sources}', { sources: sources.join(' and ') }),
      msg('Pass only one: remove the other options, or unset the variable'),
    );
  }
  if (given.postgres) return fromUrl(named('DATABASE_URL') ?? missingUrl());
  if (url !== undefined) return fromUrl(url);
  if (fromEnv) return fromUrl(urlOf(fromEnv, named));
  const found = file ?? named(variable) ?? path ?? missingStore();
  return isPostgresUrl(found) ? fromUrl(found) : { path: found };
}

/** Names of the environment variables that may hold the path of the store, in their order. */
export const variablesOf = ({ database: { env } }: Config): readonly string[] =>
  env === undefined ? [] : [env].flat();

function fromUrl(url: string): StoreAddress {
  if (!isPostgresUrl(url) || !parseAddress(url)) {
    throw new BackfillError(
      'USAGE',
      msg('The URL of the database is not a PostgreSQL URL'),
      msg('Pass it as postgres://USER@HOST:5432/DATABASE'),
    );
  }
  refuseUnknownParameters(url);
  const postgres = { url };
  tlsSettings(postgres); // refuses contradictions before anything is done
  return { path: redactedUrl(postgres), postgres };
}

/** The URL that variables of the environment make up. */
function urlOf(names: PostgresEnv, named: (name: string | undefined) => string | undefined): string {
  const database = named(names.name) ?? names.defaults?.name;
  if (database === undefined) {
    throw new BackfillError(
      'USAGE',
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
  // A folder of a socket is no host of a URL, and an address of IPv6 stands in brackets.
  if (host.startsWith('/')) url.searchParams.set('host', host);
  else url.hostname = host.split(':').length > 2 && !host.startsWith('[') ? `[${host}]` : host;
  url.port = port;
  // URL passes over what it can't take: the store of another server would be taken for the one that is meant.
  const isTaken = host.startsWith('/') || host === 'localhost' || url.hostname !== 'localhost';
  if (!isTaken || !/^\d+$/.test(port) || (url.port || '5432') !== String(Number(port))) {
    throw new BackfillError(
      'USAGE',
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
  throw new BackfillError(
    'USAGE',
    msg('No store is specified, and the config has no `database.path`'),
    msg(
      'Pass --db-path PATH, --database-url URL, or --postgres with DATABASE_URL set; or set `database.path` in the config file',
    ),
  );
}

function missingUrl(): never {
  throw new BackfillError(
    'USAGE',
    msg('--postgres uses the URL in DATABASE_URL, which is not set'),
    msg('Set it, or pass --database-url postgres://USER@HOST:5432/DATABASE'),
  );
}
