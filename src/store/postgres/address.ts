/** A database of PostgreSQL: how to reach it, and what to call it. */
export interface PostgresAddress {
  /** `postgres://USER:PASSWORD@HOST:PORT/DATABASE`, as libpq takes it. */
  readonly url: string;
}

/** The address without its password: for people, and for logs. */
export function shownAddress({ url }: PostgresAddress): string {
  try {
    const shown = new URL(url);
    shown.password = '';
    for (const name of [...shown.searchParams.keys()])
      if (/pass|key|cert/i.test(name)) shown.searchParams.delete(name);
    return shown.toString();
  } catch (error) {
    if (error instanceof TypeError) return 'postgres://'; // no URL: nothing of it is safe to show
    throw error;
  }
}
