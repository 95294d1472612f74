import { identifier } from '../../db/sql.js';
import { isBusy } from '../../db/sqlite/connection.js';
import type { Dialect } from '../dialect.js';
import { DEFAULT_TARGET_BATCH_MS } from '../run-options.js';
import { fillBatch, undo } from './batch.js';
import { derive } from './derive.js';
import { estimate } from './estimate.js';
import { indexVerdict } from './index-verdict.js';
import { findIndex, hasIndex, hasTable, tableColumns, tableIdentity, updateTriggers } from './inspect.js';
import { checkKey, checkKeyValues, keyGrowth, keyOf, keyRange } from './keys.js';
import { checkLedger, SQLITE_LEDGER } from './ledger.js';
import { passOver } from './pass.js';
import { checkStep, rehearseDown, rehearseUp, updateError } from './rehearse.js';
import { fillWindow, sliceEnds } from './slices.js';
import { surroundings } from './surroundings.js';

/** What is SQLite's own. */
export const SQLITE: Dialect = {
  engine: 'SQLite',
  otherWay: 'another index',
  guardExample: "CASE WHEN json_valid(doc) THEN json_extract(doc, '$.a') END",
  ledger: SQLITE_LEDGER,
  operator: (sign) => sign,
  builtIn: (name) => name,
  // By an index each row would be looked up in the table by itself, for its scope.
  wholeTable: (name) => `${identifier(name)} AS t NOT INDEXED`,
  pacing: { targetBatchMs: DEFAULT_TARGET_BATCH_MS, rhythm: 'lock' },
  hasTable,
  hasIndex,
  tableColumns,
  updateTriggers,
  findIndex,
  tableIdentity,
  estimate,
  checkLedger,
  checkStep,
  rehearseUp,
  rehearseDown,
  updateError,
  async makeIndex(store, { sql }, isDue, note, done) {
    await store.write(async (tx) => {
      if (await isDue(tx)) {
        await tx.exec(sql);
        await note(tx);
      }
      await done(tx);
    });
  },
  async dropIndex(store, { sql }, forget) {
    await store.write(async (tx) => {
      await tx.exec(sql);
      await forget(tx);
    });
  },
  indexVerdict,
  keyOf,
  checkKey,
  checkKeyValues,
  keyGrowth,
  keyRange,
  rangeEnds: async (store, backfill) => (await keyRange(store, backfill))?.slice(1) ?? [],
  sliceEnds,
  toLedger: (key) => key,
  fromLedger: (cell) => cell as bigint | string | null,
  derive,
  fillWindow,
  fillBatch,
  undo,
  passOver,
  rewrittenSince: async () => new Set(), // it keeps no versions of rows
  parentTables: async () => [],
  retryReason: (error) => (isBusy(error) ? 'busy' : undefined), // one transaction writes at a time: none conflicts
  surroundings,
};
