import type { Store } from '../../db/connection.js';
import { isOurs } from '../../db/postgres/session.js';
import { builtIn, operator } from '../../db/postgres/texts.js';
import { identifier, noUpdateSql } from '../../db/sql.js';
import type { Backfill } from '../../steps/define.js';
import { pauseFor, throwIfStopped } from '../../stop.js';
import { isPostgresError } from '../../store-errors.js';
import type { Dialect, Surroundings } from '../dialect.js';
import type { RunOptions } from '../run-options.js';
import { fillBatch } from './batch.js';
import { rewrittenSince } from './batch-record.js';
import { estimate, hasTable, parentTables, tableColumns, tableIdentity, updateTriggers } from './catalog.js';
import { derive } from './derive.js';
import { dropIndex, findIndex, hasIndex, indexVerdict, makeIndex } from './indexes.js';
import { checkKey, checkKeyValues, keyGrowth, keyOf, keyRange, rangeEnds } from './keys.js';
import { POSTGRES_LEDGER } from './ledger.js';
import { rehearseDown, rehearseUp } from './rehearse.js';
import { undo } from './revert.js';
import { checkRights } from './rights.js';

/** Another's lock was waited for too long; two transactions waited for each other, or wrote the same row. */
const BUSY = /^POSTGRES_(?:55P03|40P01|40001)$/;

/** Those of them that tell of rows which another transaction has written. */
const CONFLICT = /^POSTGRES_(?:40P01|40001)$/;

/** What is PostgreSQL's own. */
export const POSTGRES: Dialect = {
  engine: 'PostgreSQL',
  words: {
    otherWay: 'another way',
    guardExample: "CASE WHEN amount ~ '^[0-9]+$' THEN amount::integer END",
  },
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

/** How often the server is asked who is at work, at most, in milliseconds. */
const LOOK_EVERY_MS = 200;

/** How far a replica may be behind before the run waits for it, and between two looks whether it has caught up, in milliseconds. */
const [MAX_LAG_MS, LAG_LOOK_MS] = [10_000, 1000];

/**
 * Looks after what surrounds a loop of batches on a server: whether others are at work there or wait for locks, and how far its replicas
 * are behind, which the run waits for.
 *
 * @see https://www.postgresql.org/docs/current/monitoring-stats.html
 */
export async function surroundings(
  store: Store,
  { name }: Backfill,
  options: RunOptions,
): Promise<Surroundings> {
  let lookedAt = Number.NEGATIVE_INFINITY;
  let hasCompany = false;
  return {
    hasCompany: async () => hasCompany,
    async settle() {
      if (options.pace === 'full' || performance.now() - lookedAt < LOOK_EVERY_MS) return;
      const found = await look(store);
      lookedAt = performance.now();
      hasCompany = found.others > 0;
      for (let { lagMs } = found; lagMs > MAX_LAG_MS; { lagMs } = await look(store)) {
        throwIfStopped(options.signal, `while a replica was behind the batches of ${name}`);
        options.onEvent?.({ event: 'paused', backfill: name, pauseMs: LAG_LOOK_MS });
        await pauseFor(LAG_LOOK_MS, options.signal);
      }
    },
    async close() {},
  };
}

async function look(store: Store): Promise<{ readonly others: number; readonly lagMs: number }> {
  const found = await store.get<{ others: number; lagMs: number }>(
    `SELECT (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
        AND backend_type = 'client backend' AND NOT ${isOurs('application_name')}
        AND (state = 'active' OR wait_event_type = 'Lock')) AS others,
      (SELECT coalesce(max(extract(epoch FROM replay_lag)), 0) * 1000 FROM pg_stat_replication) AS "lagMs"`,
  );
  return { others: found?.others ?? 0, lagMs: Number(found?.lagMs ?? 0) };
}
