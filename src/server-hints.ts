import type { PostgresAddress } from './db/postgres/address.js';
import { BackfillError } from './errors.js';

/** A command of the sqlite3 shell with its argument. */
const SQLITE_SHELL = /\bsqlite3 STORE ('(?:[^']|'\\'')*'|"[^"]*"|\.\w+)/g;

/** Rewrites a hint for PostgreSQL: `psql` instead of `sqlite3`, and `--database-url`. */
export const onPostgres = (text: string): string =>
  text
    .replace(
      SQLITE_SHELL,
      (_, asked: string) =>
        `psql STORE -c ${asked.replace(/^(['"]?)\.schema\b/, '$1\\d').replace(/^\\d$/, "'\\d'")}`,
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
