/** An error of SQLite or PostgreSQL. Its message may quote a row, so it must only become a `cause`, never a log line. */
export interface EngineError extends Error {
  readonly code: string;
}

/** Whether an error is one of SQLite or PostgreSQL. */
export const isStoreError = (error: unknown): error is EngineError =>
  isSqliteError(error) || isPostgresError(error);

/** Whether an error may be caused by the contents of a row rather than by the statement. */
export const isAboutRow = (error: unknown): boolean =>
  isStoreError(error) && /^(?:SQLITE_(?:ERROR|TOOBIG|MISMATCH)|POSTGRES_22[0-9A-Z]{3})$/.test(error.code);

const hasCode = (error: unknown, prefix: string): error is EngineError =>
  error instanceof Error &&
  'code' in error &&
  typeof error.code === 'string' &&
  error.code.startsWith(prefix);

/** Whether an error is one of PostgreSQL or of the connection to it: its `code` is `POSTGRES_` with an SQLSTATE or a name. */
export const isPostgresError = (error: unknown): error is EngineError => hasCode(error, 'POSTGRES_');

/** Whether an error is one of SQLite: its `code` is a result code. */
export const isSqliteError = (error: unknown): error is EngineError => hasCode(error, 'SQLITE_');
