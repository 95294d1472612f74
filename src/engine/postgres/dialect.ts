import { builtIn, operator } from '../../db/postgres/texts.js';
import { identifier, noUpdateSql } from '../../db/sql.js';
import { isPostgresError } from '../../store-errors.js';
import type { Dialect } from '../dialect.js';
import { fillBatch } from './batch.js';
import { derive } from './derive.js';
import { indexVerdict } from './index-verdict.js';
import { dropIndex, makeIndex } from './index-work.js';
import {
  estimate,
  findIndex,
  hasIndex,
  hasTable,
  parentTables,
  tableColumns,
  tableIdentity,
  updateTriggers,
} from './inspect.js';
import {
  checkKey,
  checkKeyValues,
  fromLedger,
  keyGrowth,
  keyOf,
  keyRange,
  rangeEnds,
  toLedger,
} from './keys.js';
import { POSTGRES_LEDGER } from './ledger.js';
import { rehearseDown, rehearseUp } from './rehearse.js';
import { undo } from './revert.js';
import { checkRights } from './rights.js';
import { rewrittenSince } from './row-versions.js';
import { surroundings } from './surroundings.js';

/** Another's lock was waited for too long; two transactions waited for each other, or wrote the same row. */
const BUSY = /^POSTGRES_(?:55P03|40P01|40001)$/;

/** Those of them that tell of rows which another transaction has written. */
const CONFLICT = /^POSTGRES_(?:40P01|40001)$/;

/** What is PostgreSQL's own. */
export const POSTGRES: Dialect = {
  engine: 'PostgreSQL',
  otherWay: 'another way',
  guardExample: "CASE WHEN amount ~ '^[0-9]+$' THEN amount::integer END",
  ledger: POSTGRES_LEDGER,
  operator,
  builtIn,
  wholeTable: (name) => `${identifier(name)} AS t`,
  pacing: { targetBatchMs: 200, rhythm: 'load' },
  hasTable,
  hasIndex,
  tableColumns,
  updateTriggers,
  findIndex,
  tableIdentity,
  estimate,
  checkLedger: async () => undefined,
  checkStep: checkRights,
  rehearseUp,
  rehearseDown,
  updateError: async (store, table, columns) => await store.compileError(noUpdateSql(table, columns)),
  makeIndex,
  dropIndex,
  indexVerdict,
  keyOf,
  checkKey,
  checkKeyValues,
  keyGrowth,
  keyRange,
  rangeEnds,
  async *sliceEnds(_store, _backfill, _after, upTo) {
    yield upTo; // nobody waits for a statement
  },
  toLedger,
  fromLedger,
  derive,
  fillWindow: async () => undefined,
  fillBatch,
  undo,
  async passOver(store, backfill, pass, act) {
    return await store.snapshotAcross(async (tx) => {
      const keys = await keyRange(tx, backfill);
      return await act(tx, await pass.over(tx, keys ? [keys] : []), 1);
    });
  },
  rewrittenSince,
  parentTables,
  retryReason: (error) =>
    !isPostgresError(error) || !BUSY.test(error.code)
      ? undefined
      : CONFLICT.test(error.code)
        ? 'conflict'
        : 'busy',
  surroundings,
};
