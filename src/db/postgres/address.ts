import { BackfillError } from '../../errors.js';
import { msg } from '../../messages/message.js';
import { scrub } from '../../secrets.js';

/** A database of PostgreSQL: how to reach it, and what to call it. */
export interface PostgresAddress {
  /** `postgres://USER:PASSWORD@HOST:PORT/DATABASE`, as libpq takes it. */
  readonly url: string;
}

/** A URL without a host, whose parameters name the folder of a socket: the driver takes it, and `URL` does not. */
const HOSTLESS = /^(\w+:\/\/[^/]*@)\//;

/** The address as a URL that can be read, or undefined. */
export function parseAddress(url: string): URL | undefined {
  const full = url.replace(HOSTLESS, '$1localhost/');
  return URL.canParse(full) ? new URL(full) : undefined;
}

/** Returns a parameter of a URL, or undefined. */
export const urlParameter = (url: string, name: string): string | undefined =>
  parseAddress(url)?.searchParams.get(name) ?? undefined;

/** The host that the driver connects to: the folder of a socket, a name or an address. */
export function hostOf({ url }: PostgresAddress): string {
  const inUrl = HOSTLESS.test(url) ? '' : decoded(parseAddress(url)?.hostname ?? '');
  return urlParameter(url, 'host') || inUrl.replace(/^\[(.+)\]$/, '$1') || process.env.PGHOST || 'localhost';
}

/** Decodes a part of a URL; one that can not be decoded stays as it is, and the driver refuses it. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch (error) {
    if (error instanceof URIError) return text;
    throw error;
  }
}

/** The URL without some parameters. */
export function withoutParameters(url: string, ...names: readonly string[]): string {
  if (names.every((name) => urlParameter(url, name) === undefined)) return url;
  const [start = '', ...rest] = url.split('?');
  const parameters = new URLSearchParams(rest.join('?'));
  for (const name of names) parameters.delete(name);
  return `${start}?${parameters}`;
}

/** How long the server is waited for when a connection is made, in seconds, when nobody says otherwise. */
const DEFAULT_CONNECT_TIMEOUT_S = 10;

/**
 * Returns how long the server may take to let a connection in, in milliseconds; 0: as long as it takes. As for libpq, the URL's
 * `connect_timeout` comes before the environment's `PGCONNECT_TIMEOUT`, both in seconds.
 */
export function connectTimeoutMs({ url }: PostgresAddress): number {
  const given = Number(urlParameter(url, 'connect_timeout') ?? (process.env.PGCONNECT_TIMEOUT || Number.NaN));
  const seconds = Number.isFinite(given) ? Math.max(0, given) : DEFAULT_CONNECT_TIMEOUT_S;
  return seconds * 1000;
}

/** The address without its password: for people, and for logs. */
export function redactedUrl({ url }: PostgresAddress): string {
  const shown = parseAddress(url);
  if (!shown) return 'postgres://'; // no URL: nothing of it is safe to show
  shown.password = '';
  for (const name of [...shown.searchParams.keys()])
    if (/pass|pwd|secret|token|^(?!ssl).*key/i.test(name)) shown.searchParams.delete(name);
  // Behind the host an `@` would look like the end of a password.
  for (const part of ['pathname', 'search', 'hash'] as const)
    shown[part] = shown[part].replaceAll('@', '%40');
  const text = scrub(shown.toString());
  return HOSTLESS.test(url) ? text.replace('@localhost/', '@/') : text;
}

// What a URL of PostgreSQL may say behind its `?`. The driver passes over what it does not know: a misspelt `sslmode` would
// mean a connection without encryption.

/** Parameters that node-postgres acts on, or this program. */
const KNOWN =
  `user password host port application_name fallback_application_name client_encoding connect_timeout
  idle_in_transaction_session_timeout lock_timeout options query_timeout ssl sslcert sslkey sslmode sslnegotiation sslrootcert
  statement_timeout uselibpqcompat`.split(/\s+/);

/** How many letters of a slip may be wrong. */
const MAX_WRONG = 3;

/** The word that was probably meant, whatever its case: the one of several with the fewest letters to change, or undefined. */
export function nearest(word: string, words: readonly string[]): string | undefined {
  const distances = words.map((each) => distance(word.slice(0, 40).toLowerCase(), each));
  const least = Math.min(...distances);
  return least > MAX_WRONG ? undefined : words[distances.indexOf(least)];
}

/** How many letters one word has to be changed by to become the other. */
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
 * Refuses parameters of a URL that are not known, or are given twice.
 *
 * @throws {BackfillError} `USAGE` naming the parameter and the nearest known one
 */
export function refuseUnknownParameters(url: string): void {
  const found = parseAddress(url);
  const seen = new Set<string>();
  for (const name of found?.searchParams.keys() ?? []) {
    // A password with a `?` in it that is not encoded ends up here, up to its `@`.
    const isName = /^\w{1,40}$/.test(name) && !found?.search.includes('@');
    if (!KNOWN.includes(name) && !isName)
      throw new BackfillError(
        'USAGE',
        msg('The URL of the database has an unknown parameter'),
        msg('Leave it out, and write ?, & and # in a password as %3F, %26 and %23'),
      );
    if (!KNOWN.includes(name)) {
      const meant = nearest(name, KNOWN);
      const known = `those that are known: ${KNOWN.join(', ')}`;
      throw new BackfillError(
        'USAGE',
        msg('The URL of the database has an unknown parameter, `{name}`', { name }),
        meant === undefined
          ? msg('Leave it out; {known}', { known })
          : msg('Write {name} or leave it out; {known}', { name: meant, known }),
      );
    }
    if (seen.has(name))
      throw new BackfillError(
        'USAGE',
        msg('The URL of the database has the parameter `{name}` twice', { name }),
        msg('Leave one of them out'),
      );
    seen.add(name);
  }
}
