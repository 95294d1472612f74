import { isPostgresUrl } from '../address.js';
import { parseAddress, refuseUnknownParameters } from '../db/postgres/address.js';
import { copyTls, type DriverSettings } from '../db/postgres/settings.js';
import { BackfillError, type ErrorCode } from '../errors.js';
import { type Message, msg } from '../messages/message.js';
import { learnPassword, learnSecrets } from '../secrets.js';

/**
 * Settings of connections to PostgreSQL, as `new Pool()` and `new Client()` of pg take them. What is absent comes from the environment, as for
 * pg. Settings of a pool, such as `max`, and timeouts of statements are accepted and not used.
 */
export interface PostgresConfig {
  /** URL. `sslmode` in it means what it means to pg. */
  readonly connectionString?: string | undefined;
  /** Name, IP address, or folder of a socket. */
  readonly host?: string | undefined;
  readonly port?: number | string | undefined;
  readonly user?: string | undefined;
  readonly database?: string | undefined;
  /** Password, or a function that is called for each connection. */
  readonly password?: string | (() => string | Promise<string>) | undefined;
  /** Whether to encrypt and verify, or options of `tls.connect()`. An unknown one is refused. */
  readonly ssl?: boolean | object | undefined;
  /** `direct`: TLS from the first byte. Default `postgres`. */
  readonly sslnegotiation?: 'postgres' | 'direct' | undefined;
  /** Command-line options for the server, such as `-c search_path=shop`. */
  readonly options?: string | undefined;
  /** First part of the name of the sessions. */
  readonly application_name?: string | undefined;
  /** Maximum time to connect, in milliseconds. Default 10,000. */
  readonly connectionTimeoutMillis?: number | undefined;
  /** Whether authentication is bound to the TLS channel, if the server offers it. Default false. */
  readonly enableChannelBinding?: boolean | undefined;
  readonly max?: number | undefined;
  readonly min?: number | undefined;
  readonly idleTimeoutMillis?: number | undefined;
  readonly allowExitOnIdle?: boolean | undefined;
  readonly keepAlive?: boolean | undefined;
  readonly statement_timeout?: number | false | undefined;
  readonly query_timeout?: number | undefined;
  readonly lock_timeout?: number | undefined;
  readonly idle_in_transaction_session_timeout?: number | undefined;
}

/** The call that a database was passed to, for errors. */
export interface Call {
  /** Name of the function, such as `ledgerStorage()`. */
  readonly what: string;
  readonly code: ErrorCode;
}

const isText = (value: unknown): boolean => typeof value === 'string';

/** Settings that are carried over, with what they must be. */
const CARRIED: Readonly<Record<string, readonly [expected: Message, accepts: (value: unknown) => boolean]>> =
  {
    connectionString: [
      msg('a URL, postgres://USER@HOST:5432/DATABASE'),
      (value) => isText(value) && isPostgresUrl(String(value)) && parseAddress(String(value)) !== undefined,
    ],
    host: [msg('a text'), isText],
    port: [msg('a port'), (value) => /^\d{1,5}$/.test(String(value)) && Number(value) <= 65_535],
    user: [msg('a text'), isText],
    database: [msg('a text'), isText],
    password: [msg('a text or a function'), (value) => isText(value) || typeof value === 'function'],
    ssl: [msg('true, false or an object'), (value) => typeof value === 'boolean' || isPlain(value)],
    sslnegotiation: [
      msg('one of {choices}', { choices: ['postgres', 'direct'] }),
      (value) => value === 'postgres' || value === 'direct',
    ],
    options: [msg('a text'), isText],
    application_name: [msg('a text'), isText],
    connectionTimeoutMillis: [
      msg('a number, 0 or more'),
      (value) => typeof value === 'number' && Number.isFinite(value) && value >= 0,
    ],
    enableChannelBinding: [msg('true or false'), (value) => typeof value === 'boolean'],
  };

/** Settings of pools, and of statements, results and sockets, which our sessions set themselves. */
const UNUSED =
  `max min poolSize idleTimeoutMillis allowExitOnIdle maxUses maxLifetimeSeconds log verify onConnect Promise
  keepAlive keepAliveInitialDelayMillis statement_timeout query_timeout lock_timeout idle_in_transaction_session_timeout
  connect_timeout fallback_application_name client_encoding types binary pipeline scramMaxIterations expirationChecker`.split(
    /\s+/,
  );

/** Parameters that pg reads from a URL into `ssl`, and leaves next to it; without `ssl` it does not encrypt. */
const READ_INTO_SSL = ['sslmode', 'sslcert', 'sslkey', 'sslrootcert', 'uselibpqcompat'];

/** Options of `tls.connect()` that decide what is trusted, and Sequelize's `require`, which pg does not read. */
const TLS_OPTIONS =
  `ca cert key pfx passphrase rejectUnauthorized checkServerIdentity servername host minVersion maxVersion ciphers
  ecdhCurve sigalgs crl dhparam minDHSize secureContext secureOptions secureProtocol honorCipherOrder session ALPNProtocols
  allowPartialTrustChain require`.split(/\s+/);

/** Whether a value is an object that no class has made. */
export const isPlain = (value: unknown): value is object =>
  typeof value === 'object' &&
  value !== null &&
  (Object.getPrototypeOf(value) === null || Object.getPrototypeOf(Object.getPrototypeOf(value)) === null);

/**
 * Reads the settings of an application's connections. Those that a separate connection cannot use, and unknown ones, are refused.
 *
 * @throws {BackfillError} with the code of the call; `USAGE` for an unknown parameter of a URL
 */
export function readSettings(given: object, call: Call): DriverSettings {
  const config = { ...given, password: Reflect.get(given, 'password') }; // pg and knex hide it
  const hasTls = 'ssl' in config && config.ssl !== undefined;
  const settings: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(config)) {
    if (value === undefined || UNUSED.includes(name) || (hasTls && READ_INTO_SSL.includes(name))) continue;
    const isAbsent = value === null || value === '';
    const row = Object.hasOwn(CARRIED, name) ? CARRIED[name] : undefined;
    if (!row) {
      if (isAbsent || value === false) continue;
      throw notCarried(name, Object.keys(CARRIED), call);
    }
    const read = name === 'ssl' ? tlsOf(value, call) : value;
    if (isAbsent && name !== 'ssl') continue;
    const [expected, accepts] = row;
    if (!accepts(read)) throw unfit(name, expected, call);
    settings[name] = name === 'port' ? Number(read) : read;
  }
  const { password, connectionString } = settings;
  if (typeof password === 'string') learnPassword(password);
  if (typeof connectionString === 'string') {
    learnSecrets([connectionString]);
    refuseUnknownParameters(connectionString);
  }
  return settings as DriverSettings;
}

/** Reads `ssl` as pg does. */
function tlsOf(ssl: unknown, call: Call): unknown {
  if (ssl === 'true') return true;
  if (ssl === 'no-verify') return { rejectUnauthorized: false };
  if (!isPlain(ssl)) return ssl || false;
  const options = copyTls(ssl);
  for (const name of Object.keys(options))
    if (!TLS_OPTIONS.includes(name)) throw notCarried(`ssl.${name}`, TLS_OPTIONS, call);
  if (typeof options.passphrase === 'string') learnPassword(options.passphrase);
  return options;
}

/** Returns the error for a setting of the wrong kind. */
export const unfit = (option: string, expected: Message, { what, code }: Call): BackfillError =>
  new BackfillError(
    code,
    msg('Expected the setting `{option}` of the database in {what} to be {expected}', {
      option,
      what,
      expected,
    }),
    msg('Set it as pg takes it, or leave it out'),
  );

const notCarried = (option: string, names: readonly string[], { what, code }: Call): BackfillError =>
  new BackfillError(
    code,
    msg(
      'The setting `{option}` of the database in {what} is not known, or a separate connection cannot use it',
      {
        option,
        what,
      },
    ),
    msg('Pass settings without it to {what}; supported: {names}', { what, names: names.join(', ') }),
  );
