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

/** The address without its password: for people, and for logs. */
export function shownAddress({ url }: PostgresAddress): string {
  const shown = readAddress(url);
  if (!shown) return 'postgres://'; // no URL: nothing of it is safe to show
  shown.password = '';
  for (const name of [...shown.searchParams.keys()])
    if (/pass|key|cert/i.test(name)) shown.searchParams.delete(name);
  return HOSTLESS.test(url) ? shown.toString().replace('@localhost/', '@/') : shown.toString();
}
