import type { OpenOptions, StoreSite } from '../../db/connection.js';
import { locateStore, requireWritable, type StoreFiles } from '../../db/path.js';
import { SqliteStore } from '../../db/sqlite/store.js';
import { networkWarnings } from '../../safety/disk.js';
import { lookAtLock, RunLock } from '../../safety/run-lock.js';
import type { StopSignal } from '../../stop.js';
import { SQLITE } from './dialect.js';

/**
 * Opens the store at `files`.
 *
 * @throws {BackfillError} a `STORE_…` code: not a database, hot journal, not writable, locked, damaged
 */
export const openSqlite = (files: StoreFiles, options: OpenOptions): SqliteStore =>
  new SqliteStore(files, options, SQLITE);

/**
 * The site of a store that is a file.
 *
 * @param files where they were found already. Default: they are looked for each time, as another process may have made some
 * @param signal stops whoever reads for long
 */
export function sqliteSite(
  path: string,
  { files, signal }: { readonly files?: StoreFiles; readonly signal?: StopSignal | undefined } = {},
): StoreSite {
  const locate = (): StoreFiles => files ?? locateStore(path);
  return {
    get name() {
      return locate().path;
    },
    within: async (act) => await act(), // a file has a connection for each that opens it
    open: async (options) => openSqlite(locate(), { ...options, signal }),
    async lock(options) {
      const found = locate();
      requireWritable(found);
      return await RunLock.acquire(found, options);
    },
    lookAtLock: async () => lookAtLock(locate()),
    warnings: () => networkWarnings(locate().folder),
  };
}
