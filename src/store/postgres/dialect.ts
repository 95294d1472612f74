import { isPostgresError } from '../../errors.js';
import type { Dialect } from '../port.js';
import { noUpdateSql } from '../sql.js';
import { fillBatch } from './batch.js';
import { indexVerdict } from './index-verdict.js';
import { dropIndex, makeIndex } from './index-work.js';
import {
  createIndexEstimate,
  dropColumnEstimate,
  findIndex,
  hasIndex,
  hasTable,
  hasUnfinishedIndex,
  parentTables,
  tableBytes,
  tableColumns,
  tableIdentity,
  updateBytes,
  updateTriggers,
} from './inspect.js';
import { scanRows } from './judged.js';
import {
  checkKey,
  checkKeyValues,
  fromLedger,
  hasGrowingKeys,
  hasRestartedKeys,
  keyKind,
  keyRange,
  keySql,
  ledgerKeySql,
  toLedger,
} from './keys.js';
import { POSTGRES_LEDGER } from './ledger.js';
import { planRows, sampleRows } from './planned.js';
import { rehearseDown, rehearseUp } from './rehearse.js';
import { revertCells } from './revert.js';
import { checkRights } from './rights.js';
import { rewrittenSince } from './row-versions.js';
import { countFound, rangeEnds } from './scope.js';
import { surroundings } from './surroundings.js';
import { builtIn, operator } from './texts.js';

/** Another's lock was waited for too long; two transactions waited for each other, or wrote the same row. */
const BUSY = /^POSTGRES_(?:55P03|40P01|40001)$/;

/** Those of them that tell of rows which another transaction has written. */
const CONFLICT = /^POSTGRES_(?:40P01|40001)$/;

/** What is PostgreSQL's own. */
export const POSTGRES: Dialect = {
  engine: 'PostgreSQL',
  ledger: POSTGRES_LEDGER,
  operator,
  builtIn,
  pacing: { targetBatchMs: 200, rhythm: 'load' },
  hasTable,
  hasIndex,
  hasUnfinishedIndex,
  tableColumns,
  updateTriggers,
  findIndex,
  tableIdentity,
  tableBytes,
  updateBytes,
  dropColumnEstimate,
  createIndexEstimate,
  checkLedger: async () => undefined,
  checkRights,
  rehearseUp,
  rehearseDown,
  updateError: async (store, table, columns) => await store.compileError(noUpdateSql(table, columns)),
  makeIndex,
  dropIndex,
  indexVerdict,
  keyKind,
  checkKey,
  checkKeyValues,
  hasGrowingKeys,
  hasRestartedKeys,
  keyRange,
  rangeEnds,
  async *sliceEnds(_store, _backfill, _after, upTo) {
    yield upTo; // nobody waits for a statement
  },
  keySql,
  toLedger,
  fromLedger,
  ledgerKeySql,
  prepareFill: async () => undefined,
  fillWindow: async () => undefined,
  fillBatch,
  prepareRevert: async () => undefined,
  revertCells,
  countFound,
  scanRows,
  async passOver(store, backfill, pass, act) {
    return await store.snapshotAcross(async (tx) => {
      const keys = await keyRange(tx, backfill);
      return await act(tx, await pass.over(tx, keys ? [keys] : []), 1);
    });
  },
  rewrittenSince,
  planRows,
  sampleRows,
  verificationSql: undefined,
  parentTables,
  isBusy: (error) => isPostgresError(error) && BUSY.test(error.code),
  isConflict: (error) => isPostgresError(error) && CONFLICT.test(error.code),
  surroundings,
};
