import { DEFAULT_TARGET_BATCH_MS } from '../../backfill/run-options.js';
import type { Dialect } from '../port.js';
import { fillBatch } from './batch.js';
import { isBusy } from './busy.js';
import { derive } from './derive.js';
import { createIndexEstimate, rewriteEstimate } from './estimate.js';
import { indexVerdict } from './index-verdict.js';
import {
  findIndex,
  hasIndex,
  hasTable,
  tableBytes,
  tableColumns,
  tableIdentity,
  updateTriggers,
} from './inspect.js';
import { checkKey, checkKeyValues, hasGrowingKeys, hasRestartedKeys, keyOf, keyRange } from './keys.js';
import { checkLedger, SQLITE_LEDGER } from './ledger.js';
import { verificationSql } from './print-sql.js';
import { rehearseDown, rehearseUp, updateError } from './rehearse.js';
import { undo } from './revert.js';
import { surroundings } from './surroundings.js';

/** What is SQLite's own. */
export const SQLITE: Dialect = {
  engine: 'SQLite',
  ledger: SQLITE_LEDGER,
  operator: (sign) => sign,
  builtIn: (name) => name,
  pacing: { targetBatchMs: DEFAULT_TARGET_BATCH_MS, rhythm: 'lock' },
  hasTable,
  hasIndex,
  hasUnfinishedIndex: async () => false, // it is made in one transaction
  tableColumns,
  updateTriggers,
  findIndex,
  tableIdentity,
  tableBytes,
  updateBytes: async () => 0,
  dropColumnEstimate: async (store, table, columns) =>
    rewriteEstimate(await tableBytes(store, table), columns),
  createIndexEstimate,
  checkLedger,
  checkRights: async () => undefined, // a file that can't be written is refused when it is opened
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
  hasGrowingKeys,
  hasRestartedKeys,
  keyRange,
  rangeEnds: async (_store, _backfill, _start, end) => [end],
  toLedger: (key) => key,
  fromLedger: (cell) => cell as bigint | string | null,
  derive,
  fillBatch,
  undo,
  rewrittenSince: undefined,
  verificationSql,
  parentTables: async () => [],
  isBusy,
  isConflict: () => false, // one transaction writes at a time
  surroundings,
};
