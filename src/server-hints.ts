import type { PostgresAddress } from './db/postgres/address.js';
import { BackfillError } from './errors.js';

/** A command of SQLite's shell, with what it is asked. */
const SQLITE_SHELL = /\bsqlite3 STORE ('(?:[^']|'\\'')*'|"[^"]*"|\.\w+)/g;

/** Returns a hint as it is for a database of PostgreSQL: with its shell, and the option that names one. */
export const onPostgres = (text: string): string =>
  text
    .replace(
      SQLITE_SHELL,
      (_, asked: string) =>
        `psql STORE -c ${asked.replace(/^(['"]?)\.schema\b/, '$1\\d').replace(/^\\d$/, "'\\d'")}`,
    )
    .replace(/--db-path \/path\/to\/store\.db/g, '--database-url postgres://USER@HOST:5432/DATABASE')
    .replace(/ with --db-path\b/g, ' with --database-url');

/** Acts on a store for a program; an error of ours that it throws has its hint for a server, where the store is a database of one. */
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
