import type { AbortSignalLike } from '../../abort.js';
import type { OpenOptions, StoreConnector } from '../../db/connection.js';
import { locateStore, requireWritable, type StoreFiles } from '../../db/path.js';
import { identifier } from '../../db/sql.js';
import { isBusy } from '../../db/sqlite/connection.js';
import { SqliteStore } from '../../db/sqlite/store.js';
import { LEDGER_DROP } from '../../ledger/tables.js';
import { networkWarnings } from '../../safety/disk.js';
import { acquireLock, readLockState } from '../../safety/run-lock.js';
import type { Dialect } from '../dialect.js';
import { fillBatch, revertRows } from './batch.js';
import { derive } from './derive.js';
import {
  estimate,
  explainIndex,
  findIndex,
  hasIndex,
  hasTable,
  tableColumns,
  tableIdentity,
  updateTriggers,
} from './inspect.js';
import { checkKey, checkKeyValues, keyGrowth, keyOf, keyRange } from './keys.js';
import { loadMonitor } from './load-monitor.js';
import { isOpenElsewhere } from './other-processes.js';
import { checkStep, preflightDown, preflightUp, updateError } from './preflight.js';
import { fillWindow, passOver, sliceEnds } from './reading.js';
import { checkLedger, LEDGER_DDL } from './trust.js';

const SQLITE: Dialect = {
  engine: 'SQLite',
  words: { guardExample: "CASE WHEN json_valid(doc) THEN json_extract(doc, '$.a') END" },
  ledger: {
    make: async (store) => await store.exec(LEDGER_DDL),
    drop: async (store) => await store.exec(LEDGER_DROP),
    check: checkLedger,
    toCell: (key) => key,
    toKey: (cell) => cell as bigint | string | null,
    keyOrder: 'key',
    shared: undefined,
    batchTables: [],
  },
  operator: (sign) => sign,
  builtIn: (name) => name,
  // Through an index, each row would be looked up in the table separately for its scope.
  wholeTable: (name) => `${identifier(name)} AS t NOT INDEXED`,
  bottleneck: 'lock',
  hasTable,
  hasIndex,
  tableColumns,
  updateTriggers,
  findIndex,
  tableIdentity,
  estimate,
  checkStep,
  preflightUp,
  preflightDown,
  updateError,
  async createIndex(store, index) {
    await store.write(async (tx) => {
      if (await index.isStillNeeded(tx)) {
        await tx.exec(index.sql);
        await index.recordIntent(tx);
      }
      await index.recordDone(tx);
    });
  },
  async dropIndex(store, { sql }, deleteRecord) {
    await store.write(async (tx) => {
      await tx.exec(sql);
      await deleteRecord(tx);
    });
  },
  explainIndex,
  keyOf,
  checkKey,
  checkKeyValues,
  keyGrowth,
  keyRange,
  rangeEnds: async (store, backfill) => (await keyRange(store, backfill))?.slice(1) ?? [],
  sliceEnds,
  derive,
  fillWindow,
  fillBatch,
  revertRows,
  passOver,
  isOpenElsewhere,
  rewrittenSince: async () => new Set(), // SQLite keeps no row versions
  parentTables: async () => [],
  retryReason: (error) => (isBusy(error) ? 'busy' : undefined), // one transaction writes at a time, so none conflict
  loadMonitor,
};

/**
 * Opens the store at `files`.
 *
 * @throws {BackfillError} a `STORE_…` code: not a database, hot journal, not writable, locked, damaged
 */
export const openSqlite = (files: StoreFiles, options: OpenOptions): SqliteStore =>
  new SqliteStore(files, options, SQLITE);

/**
 * Creates the connector of a store that is a file.
 *
 * @param files its files, if they are located already. Default: they are located on each call, because another process may have
 * created some
 * @param signal stops long reads, and waits for another run
 */
export function sqliteConnector(
  path: string,
  { files, signal }: { readonly files?: StoreFiles; readonly signal?: AbortSignalLike | undefined } = {},
): StoreConnector {
  const locate = (): StoreFiles => files ?? locateStore(path);
  return {
    get name() {
      return locate().path;
    },
    within: async (act) => await act(), // each caller opens its own connection to a file
    open: async (options) => openSqlite(locate(), { ...options, signal }),
    async lock(options) {
      const found = locate();
      requireWritable(found);
      return await acquireLock(found, { ...options, signal });
    },
    readLockState: async () => readLockState(locate()),
    warnings: () => networkWarnings(locate().folder),
  };
}
