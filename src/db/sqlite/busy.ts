import { isSqliteError } from '../../store-errors.js';

/** Whether another process kept a lock for longer than SQLite was told to wait: nothing is wrong, and trying again may do. */
export const isBusy = (error: unknown): boolean =>
  isSqliteError(error) && error.code.startsWith('SQLITE_BUSY');
