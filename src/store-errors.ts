// What the engines throw.

/** An error of an engine's. Its message may quote a row: it is for `cause`, never for a log. */
export interface EngineError extends Error {
  readonly code: string;
}

/** Whether `error` was raised by the store's engine: its `code` is one of SQLite's, or `POSTGRES_` with an SQLSTATE. */
export const isStoreError = (error: unknown): error is EngineError =>
  isSqliteError(error) || isPostgresError(error);

/** Whether an error may be about what a row holds, and not about the statement. */
export const isAboutRow = (error: unknown): boolean =>
  isStoreError(error) && /^(?:SQLITE_(?:ERROR|TOOBIG|MISMATCH)|POSTGRES_22[0-9A-Z]{3})$/.test(error.code);

const hasCode = (error: unknown, prefix: string): error is EngineError =>
  error instanceof Error &&
  'code' in error &&
  typeof error.code === 'string' &&
  error.code.startsWith(prefix);

/** Whether `error` was raised by PostgreSQL, or on the way to it. */
export const isPostgresError = (error: unknown): error is EngineError => hasCode(error, 'POSTGRES_');

/** Whether `error` was raised by SQLite (its `code` is one of SQLite's result codes). */
export const isSqliteError = (error: unknown): error is EngineError => hasCode(error, 'SQLITE_');
