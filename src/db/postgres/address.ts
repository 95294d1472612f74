import { readFileSync } from 'node:fs';
import type { ConnectionOptions } from 'node:tls';
import type { ClientConfig } from 'pg';
import { BackfillError, errnoOf } from '../../errors.js';
import { type Message, msg, type PlainText } from '../../messages/message.js';
import { scrub } from '../../secrets.js';
import type { DriverSettings } from './settings.js';

const usage = (message: Message, hint: Message): BackfillError => new BackfillError('USAGE', message, hint);

/** Address of a PostgreSQL database. */
export interface PostgresAddress {
  /** `postgres://USER:PASSWORD@HOST:PORT/DATABASE`, as libpq takes it; only its display name with `settings` or `fresh`. */
  readonly url: string;
  /** Settings of an application's driver, instead of the URL. */
  readonly settings?: DriverSettings;
  /** Returns the address for one connection, whose password may expire. */
  readonly fresh?: () => Promise<PostgresAddress>;
}

/** A URL without a host, with a socket folder in its parameters: the driver accepts it, and `URL` does not. */
const HOSTLESS = /^(\w+:\/\/[^/]*@)\//;

/** Parses an address; returns undefined if it is not a URL. */
export function parseAddress(url: string): URL | undefined {
  const full = url.replace(HOSTLESS, '$1localhost/');
  return URL.canParse(full) ? new URL(full) : undefined;
}

/** Returns a parameter of a URL, or undefined. */
export const urlParameter = (url: string, name: string): string | undefined =>
  parseAddress(url)?.searchParams.get(name) ?? undefined;

/** Returns the host that the driver connects to: a socket folder, a name or an IP address. */
function hostOf({ url }: PostgresAddress): string {
  const inUrl = HOSTLESS.test(url) ? '' : decoded(parseAddress(url)?.hostname ?? '');
  return urlParameter(url, 'host') || inUrl.replace(/^\[(.+)\]$/, '$1') || process.env.PGHOST || 'localhost';
}

/** Decodes a part of a URL. An invalid one is returned as it is, and the driver refuses it. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch (error) {
    if (error instanceof URIError) return text;
    throw error;
  }
}

/** Removes parameters from a URL. */
export function withoutParameters(url: string, ...names: readonly string[]): string {
  if (names.every((name) => urlParameter(url, name) === undefined)) return url;
  const [start = '', ...rest] = url.split('?');
  const parameters = new URLSearchParams(rest.join('?'));
  for (const name of names) parameters.delete(name);
  return `${start}?${parameters}`;
}

const DEFAULT_CONNECT_TIMEOUT_S = 10;

/**
 * Returns the connect timeout, in milliseconds; 0: none. As in libpq, the URL's `connect_timeout` overrides the environment's
 * `PGCONNECT_TIMEOUT`, both in seconds.
 */
export function connectTimeoutMs({ url }: PostgresAddress): number {
  const given = Number(urlParameter(url, 'connect_timeout') ?? (process.env.PGCONNECT_TIMEOUT || Number.NaN));
  const seconds = Number.isFinite(given) ? Math.max(0, given) : DEFAULT_CONNECT_TIMEOUT_S;
  return seconds * 1000;
}

/** Returns the URL without its password, for display and logs. */
export function redactedUrl({ url }: PostgresAddress): string {
  const shown = parseAddress(url);
  if (!shown) return 'postgres://'; // not a URL: no part of it is safe to show
  shown.password = '';
  for (const name of [...shown.searchParams.keys()])
    if (/pass|pwd|secret|token|^(?!ssl).*key/i.test(name)) shown.searchParams.delete(name);
  // After the host, an `@` would look like the end of a password.
  for (const part of ['pathname', 'search', 'hash'] as const)
    shown[part] = shown[part].replaceAll('@', '%40');
  const text = scrub(shown.toString());
  return HOSTLESS.test(url) ? text.replace('@localhost/', '@/') : text;
}

// The driver ignores unknown parameters: a misspelt `sslmode` would mean a connection without encryption.

/** Parameters of a URL that node-postgres or this program uses. */
const KNOWN =
  `user password host port application_name fallback_application_name client_encoding connect_timeout
  idle_in_transaction_session_timeout lock_timeout options query_timeout ssl sslcert sslkey sslmode sslnegotiation sslrootcert
  statement_timeout uselibpqcompat`.split(/\s+/);

/** Maximum edit distance of a suggestion. */
const MAX_WRONG = 3;

/** Returns the word with the smallest edit distance, ignoring case; undefined if none is close. */
function nearest(word: string, words: readonly string[]): string | undefined {
  const distances = words.map((each) => distance(word.slice(0, 40).toLowerCase(), each));
  const least = Math.min(...distances);
  return least > MAX_WRONG ? undefined : words[distances.indexOf(least)];
}

function distance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, i) => i);
  for (const [i, letter] of [...from].entries()) {
    const next = [i + 1];
    for (let j = 0; j < to.length; j += 1) {
      const changed = (row[j] ?? 0) + (letter === to[j] ? 0 : 1);
      next.push(Math.min(changed, (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1));
    }
    row = next;
  }
  return row[to.length] ?? 0;
}

/**
 * Refuses unknown and repeated parameters of a URL.
 *
 * @throws {BackfillError} `USAGE` naming the parameter and the nearest known one
 */
export function refuseUnknownParameters(url: string): void {
  const found = parseAddress(url);
  const seen = new Set<string>();
  for (const name of found?.searchParams.keys() ?? []) {
    // An unencoded `?` in a password makes the rest of it, up to the `@`, look like a parameter.
    const isName = /^\w{1,40}$/.test(name) && !found?.search.includes('@');
    if (!KNOWN.includes(name)) {
      if (!isName)
        throw usage(
          msg('The URL of the database has an unknown parameter'),
          msg('Remove it; in a password, encode ?, & and # as %3F, %26 and %23'),
        );
      const meant = nearest(name, KNOWN);
      const known = msg('supported parameters: {names}', { names: KNOWN });
      throw usage(
        msg('The URL of the database has an unknown parameter, `{name}`', { name }),
        meant === undefined
          ? msg('Remove it; {known}', { known })
          : msg('Replace it by {name}, or remove it; {known}', { name: meant, known }),
      );
    }
    if (seen.has(name))
      throw usage(
        msg('The URL of the database has the parameter `{name}` twice', { name }),
        msg('Remove one of them'),
      );
    seen.add(name);
  }
}

// Values of `sslmode` have their libpq meaning. The driver differs: in version 8, `require` and `allow` mean `verify-full`, and
// an unknown value means no encryption in the environment but `verify-full` in a URL.

/** Values of `sslmode`: those of libpq, and the driver's `no-verify`. */
const MODES = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full', 'no-verify'] as const;
type SslMode = (typeof MODES)[number];

/** Modes that never fall back to an unencrypted connection. */
const STRICT: readonly SslMode[] = ['require', 'verify-ca', 'verify-full', 'no-verify'];

/** Parameters of a URL that this module reads instead of the driver. */
export const TLS_PARAMETERS = ['ssl', 'sslmode', 'sslrootcert', 'sslcert', 'sslkey'] as const;

/** Attempts to connect, in order; false: without encryption. */
export type TlsAttempts = readonly (ConnectionOptions | false)[];

/** Hosts on this machine: a socket folder, `localhost`, or a loopback address. */
const THIS_MACHINE = /^(?:\/.*|localhost|(?:::ffff:)?127(?:\.\d+){3}|::1)$/i;

/**
 * Returns `text` if it is a mode.
 *
 * @param source the parameter or variable that contained it
 * @throws {BackfillError} `USAGE` naming the nearest mode
 */
export function requireSslMode(text: string, source: string): SslMode {
  const mode = MODES.find((each) => each === text);
  if (mode) return mode;
  const got = /^[\w-]{1,20}$/.test(text) ? text : '…';
  const meant = nearest(text, MODES) ?? 'verify-full';
  throw usage(
    msg('Expected `{option}` to be one of {choices}, got `{value}`', {
      option: source,
      choices: MODES.join(', '),
      value: got,
    }),
    msg('Set {name}={value}', { name: source, value: meant }),
  );
}

/**
 * Reads the TLS settings of a URL, else of the environment (`PGSSLMODE`, `PGSSLROOTCERT`, `PGSSLCERT`, `PGSSLKEY`). Ignores
 * libpq's default files in `~/.postgresql`.
 *
 * @returns the mode, undefined if unset: the connection is not encrypted; and the paths of the files
 * @throws {BackfillError} `USAGE` if they contradict each other
 */
export function tlsSettings({ url }: PostgresAddress) {
  const setting = (name: string): string | undefined =>
    urlParameter(url, name) ?? (process.env[`PG${name.toUpperCase()}`] || undefined);
  const [ca, cert, key] = [setting('sslrootcert'), setting('sslcert'), setting('sslkey')];
  const mode = modeOf(url) ?? (ca === undefined && cert === undefined ? undefined : 'verify-full');
  const refuse = (message: PlainText, hint: PlainText): never => {
    throw usage(msg(message), msg(hint));
  };
  if (urlParameter(url, 'sslmode') !== undefined && urlParameter(url, 'ssl') !== undefined)
    refuse('The URL of the database has both `ssl` and `sslmode`', 'Remove `ssl`');
  if (mode === 'verify-ca' && ca === undefined)
    refuse(
      '`sslmode` is `verify-ca`, but `sslrootcert` is not set',
      'Set sslmode=verify-full, or add sslrootcert=FILE',
    );
  if (ca === 'system' && mode !== 'verify-full')
    refuse(
      '`sslrootcert=system` requires a check of the host, because anyone can get a certificate',
      'Set sslmode=verify-full',
    );
  if ((cert === undefined) !== (key === undefined))
    refuse('Only one of `sslcert` and `sslkey` is set', 'Set both or neither');
  if (setting('sslnegotiation') === 'direct' && (mode === undefined || !STRICT.includes(mode)))
    refuse('`sslnegotiation=direct` requires a mode that enforces encryption', 'Set sslmode=verify-full');
  return { mode, ca, cert, key };
}

/** Returns the mode of the URL, which may also use the driver's parameter `ssl`, else that of the environment. */
function modeOf(url: string): SslMode | undefined {
  const [sslmode, ssl] = [urlParameter(url, 'sslmode'), urlParameter(url, 'ssl')];
  if (sslmode !== undefined) return requireSslMode(sslmode, 'sslmode');
  if (ssl !== undefined) {
    if (/^(?:true|1)$/.test(ssl)) return 'verify-full';
    return /^(?:false|0)$/.test(ssl) ? 'disable' : requireSslMode(ssl, 'ssl');
  }
  const { PGSSLMODE } = process.env;
  return PGSSLMODE ? requireSslMode(PGSSLMODE, 'PGSSLMODE') : undefined;
}

/**
 * Returns the attempts to connect to a database.
 *
 * @throws {BackfillError} `USAGE` like {@link tlsSettings}, or if a file cannot be read
 */
export function tlsAttempts(address: PostgresAddress): TlsAttempts {
  const { mode, ca, cert, key } = tlsSettings(address);
  const host = hostOf(address);
  if (mode === undefined || mode === 'disable' || host.startsWith('/')) return [false]; // as in libpq, never on a socket
  const tls: ConnectionOptions = {
    ...(ca === undefined || ca === 'system' ? {} : { ca: readPem('sslrootcert', ca) }),
    ...(cert === undefined ? {} : { cert: readPem('sslcert', cert) }),
    ...(key === undefined ? {} : { key: readPem('sslkey', key) }),
    rejectUnauthorized: /^verify/.test(mode) || (ca !== undefined && mode !== 'no-verify'),
    ...(mode === 'verify-full' ? {} : { checkServerIdentity: () => undefined }),
    host,
  };
  if (mode === 'allow') return [false, tls];
  return mode === 'prefer' ? [tls, false] : [tls];
}

function readPem(parameter: string, path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new BackfillError(
      'USAGE',
      msg('The file of `{parameter}`, {path}, cannot be read ({code})', {
        parameter,
        path,
        code: errnoOf(error),
      }),
      msg('Pass the path of a file that this user may read'),
      { cause: error },
    );
  }
}

/** Returns a warning if the connection to another machine is not, or may not be, encrypted. */
export function plaintextWarnings(address: PostgresAddress): Message[] {
  const { mode } = tlsSettings(address);
  if (mode !== undefined && STRICT.includes(mode)) return [];
  return warningsFor(hostOf(address), msg('add ?sslmode=verify-full to the URL, or set PGSSLMODE'), mode);
}

/** Returns the same warning for the driver's configuration. */
export const settingsWarnings = ({ host, ssl }: ClientConfig): Message[] =>
  ssl ? [] : warningsFor(host ?? '', msg('set `ssl` in the settings of the application'));

function warningsFor(host: string, fix: Message, mode?: SslMode): Message[] {
  if (THIS_MACHINE.test(host)) return [];
  return [
    mode === 'allow' || mode === 'prefer'
      ? msg(
          'The connection to {host} may not be encrypted, because sslmode is {mode}; others on the network could read and change its data: {fix}',
          { host, mode, fix },
        )
      : msg(
          'The connection to {host} is not encrypted; others on the network can read and change its data: {fix}',
          { host, fix },
        ),
  ];
}
