import { DEFAULT_TARGET_BATCH_MS } from '../../backfill/run-options.js';
import type { Dialect } from '../port.js';
import { identifier } from '../sql.js';
import { fillBatch, prepareFill } from './batch.js';
import { isBusy } from './busy.js';
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
import { checkKey, checkKeyValues, keyKind } from './keys.js';
import { checkLedger, SQLITE_LEDGER } from './ledger.js';
import { passOver } from './pass.js';
import { planRows, sampleRows } from './planned.js';
import { verificationSql } from './print-sql.js';
import { rehearseDown, rehearseUp, updateError } from './rehearse.js';
import { prepareRevert, revertCells } from './revert.js';
import { scanRows } from './scan.js';
import { countFound, fillWindow, hasGrowingKeys, hasRestartedKeys, keyRange } from './scope.js';
import { sliceEnds } from './slices.js';
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
  keyKind,
  checkKey,
  checkKeyValues,
  hasGrowingKeys,
  hasRestartedKeys,
  keyRange,
  rangeEnds: async (_store, _backfill, _start, end) => [end],
  sliceEnds,
  keySql: async (_, { key }) => `t.${identifier(key)}`,
  toLedger: (key) => key,
  fromLedger: (cell) => cell as bigint | string | null,
  ledgerKeySql: async (_, { key }) => `t.${identifier(key)}`,
  prepareFill,
  fillWindow,
  fillBatch,
  prepareRevert,
  revertCells,
  countFound,
  scanRows,
  passOver,
  rewrittenSince: undefined,
  planRows,
  sampleRows,
  verificationSql,
  parentTables: async () => [],
  isBusy,
  isConflict: () => false, // one transaction writes at a time
  surroundings,
};
