import { scrub } from '../../secrets.js';

/** A database of PostgreSQL: how to reach it, and what to call it. */
export interface PostgresAddress {
  /** `postgres://USER:PASSWORD@HOST:PORT/DATABASE`, as libpq takes it. */
  readonly url: string;
}

/** A URL without a host, whose parameters name the folder of a socket: the driver takes it, and `URL` does not. */
const HOSTLESS = /^(\w+:\/\/[^/]*@)\//;

/** The address as a URL that can be read, or undefined. */
export function readAddress(url: string): URL | undefined {
  const full = url.replace(HOSTLESS, '$1localhost/');
  return URL.canParse(full) ? new URL(full) : undefined;
}

/** Returns a parameter of a URL, or undefined. */
export const urlParameter = (url: string, name: string): string | undefined =>
  readAddress(url)?.searchParams.get(name) ?? undefined;

/** The host that the driver connects to: the folder of a socket, a name or an address. */
export function hostOf({ url }: PostgresAddress): string {
  const inUrl = HOSTLESS.test(url) ? '' : decoded(readAddress(url)?.hostname ?? '');
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
export function shownAddress({ url }: PostgresAddress): string {
  const shown = readAddress(url);
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
