import { BackfillError } from '../../errors.js';
import { msg } from '../../messages/message.js';
import { scrub } from '../../secrets.js';

/** Address of a PostgreSQL database. */
export interface PostgresAddress {
  /** `postgres://USER:PASSWORD@HOST:PORT/DATABASE`, as libpq takes it. */
  readonly url: string;
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
export function hostOf({ url }: PostgresAddress): string {
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

/** Default connect timeout, in seconds. */
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
export function nearest(word: string, words: readonly string[]): string | undefined {
  const distances = words.map((each) => distance(word.slice(0, 40).toLowerCase(), each));
  const least = Math.min(...distances);
  return least > MAX_WRONG ? undefined : words[distances.indexOf(least)];
}

/** Returns the edit distance of two words. */
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
    if (!KNOWN.includes(name) && !isName)
      throw new BackfillError(
        'USAGE',
        msg('The URL of the database has an unknown parameter'),
        msg('Remove it; in a password, encode ?, & and # as %3F, %26 and %23'),
      );
    if (!KNOWN.includes(name)) {
      const meant = nearest(name, KNOWN);
      const known = msg('supported parameters: {names}', { names: KNOWN });
      throw new BackfillError(
        'USAGE',
        msg('The URL of the database has an unknown parameter, `{name}`', { name }),
        meant === undefined
          ? msg('Remove it; {known}', { known })
          : msg('Replace it by {name}, or remove it; {known}', { name: meant, known }),
      );
    }
    if (seen.has(name))
      throw new BackfillError(
        'USAGE',
        msg('The URL of the database has the parameter `{name}` twice', { name }),
        msg('Remove one of them'),
      );
    seen.add(name);
  }
}
