import type { ConnectionOptions } from 'node:tls';
import type { Client, ClientConfig } from 'pg';
import { BackfillError } from '../../errors.js';
import { msg } from '../../messages/message.js';
import { learnPassword } from '../../secrets.js';
import { redactedUrl } from './address.js';
import { loadDriver } from './connect.js';

/**
 * The settings of an application's driver that decide where and how it connects, with the meaning that the driver gives them: what is
 * absent comes from the environment, and `sslmode` in a connection string is not libpq's. Another meaning could weaken the connection.
 */
export interface DriverSettings {
  readonly connectionString?: string;
  readonly host?: string;
  readonly port?: number;
  readonly user?: string;
  readonly database?: string;
  /** Called for each connection, if it is a function. */
  readonly password?: string | (() => unknown);
  readonly ssl?: boolean | ConnectionOptions;
  readonly sslnegotiation?: 'postgres' | 'direct';
  /** Command-line options for the server. */
  readonly options?: string;
  readonly application_name?: string;
  /** Maximum time to connect, in milliseconds. */
  readonly connectionTimeoutMillis?: number;
  readonly enableChannelBinding?: boolean;
  /** Search path that the application sets on each connection. */
  readonly searchPath?: readonly string[];
}

/** The driver's parameters for a connection, with defaults and the environment. */
interface Parameters {
  readonly host: string;
  readonly port: number;
  readonly user?: string;
  readonly database?: string;
  readonly password?: string | (() => unknown) | null;
  readonly ssl?: unknown;
  readonly sslnegotiation?: string;
  readonly options?: string;
  readonly application_name?: string;
}

/** Copies TLS options, because the driver hides the key of the object that it gets. */
export const copyTls = (ssl: object): ConnectionOptions =>
  Object.fromEntries(
    [...Object.keys(ssl), ...('key' in ssl ? ['key'] : [])].map((name) => [name, Reflect.get(ssl, name)]),
  );

/**
 * Returns the driver's configuration of a connection, except the name of the session.
 *
 * @throws {BackfillError} `USAGE` if the driver refuses the settings, `DRIVER_MISSING`
 */
export async function driverConfig({ searchPath, ...settings }: DriverSettings): Promise<ClientConfig> {
  const read = await parametersOf(settings);
  const { password, ssl } = read;
  const paths = searchPath && `-c search_path=${escaped(searchPath.map(quoted).join(','))}`;
  const options = [read.options, paths].filter((text) => text).join(' ');
  const { enableChannelBinding, connectionTimeoutMillis } = settings;
  // Each is set, so that the driver does not read the environment again: its own defaults are not those of the parameters.
  return {
    host: read.host,
    port: read.port,
    user: read.user,
    database: read.database,
    password: typeof password === 'function' ? learning(password) : (learnt(password) ?? undefined),
    ssl: typeof ssl === 'object' && ssl !== null ? copyTls(ssl) : Boolean(ssl),
    ...(read.sslnegotiation && { sslnegotiation: read.sslnegotiation }),
    ...(options && { options }),
    ...(read.application_name && { application_name: read.application_name }),
    ...(connectionTimeoutMillis && { connectionTimeoutMillis }),
    ...(enableChannelBinding && { enableChannelBinding }),
  } as ClientConfig;
}

/** Returns what the driver makes of settings, as it does for the application. Nothing is connected. */
async function parametersOf(settings: DriverSettings): Promise<Parameters> {
  const pg = await loadDriver();
  const { ssl } = settings;
  const given = { ...settings, ...(typeof ssl === 'object' && { ssl: copyTls(ssl) }) };
  try {
    const driver: Client = new pg.Client(given as ClientConfig);
    return (driver as unknown as { readonly connectionParameters: Parameters }).connectionParameters;
  } catch (error) {
    throw new BackfillError(
      'USAGE',
      msg('The driver pg refuses the settings of the database'),
      msg('Check them, and the files that they name; the cause of this error is what pg says'),
      { cause: error },
    );
  }
}

/** Quotes a schema as an identifier. */
const quoted = (schema: string): string => `"${schema.replaceAll('"', '""')}"`;

/** Escapes a value for the command-line options of the server. */
const escaped = (value: string): string => value.replace(/[\s\\]/g, '\\$&');

/** Returns a password, which is from then on removed from every text. */
function learnt<Password>(password: Password): Password {
  if (typeof password === 'string') learnPassword(password);
  return password;
}

const learning = (ask: () => unknown) => async () => learnt(await ask()) as string;

/** Returns the display name of settings: a URL without a password. */
export function displayUrl({ connectionString, host, port, user, database }: DriverSettings): string {
  if (connectionString !== undefined) return redactedUrl({ url: connectionString });
  const { PGHOST, PGPORT, PGUSER, PGDATABASE } = process.env;
  const at = host ?? (PGHOST || 'localhost');
  const name = user ?? PGUSER ?? '';
  const place = at.startsWith('/')
    ? `localhost:${port ?? (PGPORT || 5432)}`
    : `${at.includes(':') ? `[${at}]` : encodeURIComponent(at)}:${port ?? (PGPORT || 5432)}`;
  const path = encodeURIComponent(database ?? PGDATABASE ?? name);
  const folder = at.startsWith('/') ? `?host=${encodeURIComponent(at)}` : '';
  return redactedUrl({
    url: `postgres://${name && `${encodeURIComponent(name)}@`}${place}/${path}${folder}`,
  });
}
