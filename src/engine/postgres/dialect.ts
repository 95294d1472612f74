import { type AbortSignalLike, pauseFor, throwIfAborted } from '../../abort.js';
import type { OpenOptions, Store, StoreConnector } from '../../db/connection.js';
import { type PostgresAddress, redactedUrl } from '../../db/postgres/address.js';
import { acquireLock, readLockState, withSharedLock } from '../../db/postgres/lock.js';
import { isOurs, Sessions } from '../../db/postgres/session.js';
import { PostgresStore } from '../../db/postgres/store.js';
import { builtIn, operator } from '../../db/postgres/texts.js';
import { identifier, noUpdateSql } from '../../db/sql.js';
import { isPostgresError } from '../../engine-errors.js';
import { toBackfillError } from '../../errors.js';
import { msg } from '../../messages/message.js';
import type { Dialect } from '../dialect.js';
import { fillBatch, revertRows } from './batch.js';
import { rewrittenSince } from './batch-record.js';
import { estimate, hasTable, parentTables, tableColumns, tableIdentity, updateTriggers } from './catalog.js';
import { derive } from './derive.js';
import { createIndex, dropIndex, explainIndex, findIndex, hasIndex } from './indexes.js';
import { checkKey, checkKeyValues, keyGrowth, keyOf, keyRange, rangeEnds } from './keys.js';
import { POSTGRES_LEDGER, refuseUnsafeLedger } from './ledger.js';
import { preflightDown, preflightUp } from './preflight.js';
import { passOver } from './reading.js';
import { checkRights, refuseReadOnly, refuseUnsafePath } from './rights.js';

/** Lock timeout; deadlock and serialization failure, which rows that another transaction wrote cause. */
const RETRY_REASONS: ReadonlyMap<string, 'busy' | 'conflict'> = new Map([
  ['POSTGRES_55P03', 'busy'],
  ['POSTGRES_40P01', 'conflict'],
  ['POSTGRES_40001', 'conflict'],
]);

/** Minimum interval between two samples of the server's load, in milliseconds. */
const SAMPLE_MS = 200;

/** Replica lag at which the run waits, and interval between two checks, in milliseconds. */
const [MAX_LAG_MS, LAG_POLL_MS] = [10_000, 1000];

/**
 * Creates the load monitor of a loop of batches. It samples which other sessions are active or wait for locks, and the lag of
 * replicas, which the run waits for.
 *
 * @see https://www.postgresql.org/docs/current/monitoring-stats.html
 */
const loadMonitor: Dialect['loadMonitor'] = async (store, { name }, options) => {
  const waiting = msg('while waiting for a replica to catch up with {backfill}', { backfill: name });
  let sampledAt = Number.NEGATIVE_INFINITY;
  let hasContention = false;
  return {
    targetBatchMs: 200,
    hasContention: async () => hasContention,
    async betweenBatches() {
      if (options.pace === 'full' || performance.now() - sampledAt < SAMPLE_MS) return;
      let found = await sampleLoad(store);
      sampledAt = performance.now();
      hasContention = found.others > 0;
      for (; found.replicaLagMs > MAX_LAG_MS; found = await sampleLoad(store)) {
        throwIfAborted(options.signal, waiting);
        options.onEvent?.({ event: 'throttled', backfill: name, pauseMs: LAG_POLL_MS });
        await pauseFor(LAG_POLL_MS, options.signal);
      }
    },
    async close() {},
  };
};

async function sampleLoad(store: Store): Promise<{ readonly others: number; readonly replicaLagMs: number }> {
  const found = await store.get<{ others: number; replicaLagMs: number }>(
    `SELECT (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
        AND backend_type = 'client backend' AND NOT ${isOurs('application_name')}
        AND (state = 'active' OR wait_event_type = 'Lock')) AS others,
      (SELECT coalesce(max(extract(epoch FROM replay_lag)), 0) * 1000 FROM pg_stat_replication) AS "replicaLagMs"`,
  );
  return { others: found?.others ?? 0, replicaLagMs: Number(found?.replicaLagMs ?? 0) };
}

/** The dialect of PostgreSQL. */
export const POSTGRES: Dialect = {
  engine: 'PostgreSQL',
  words: { guardExample: "CASE WHEN amount ~ '^[0-9]+$' THEN amount::integer END" },
  ledger: POSTGRES_LEDGER,
  operator,
  builtIn,
  wholeTable: (name) => `${identifier(name)} AS t`,
  bottleneck: 'load',
  hasTable,
  hasIndex,
  tableColumns,
  updateTriggers,
  findIndex,
  tableIdentity,
  estimate,
  checkStep: checkRights,
  preflightUp,
  preflightDown,
  updateError: async (store, table, columns) => await store.compileError(noUpdateSql(table, columns)),
  createIndex,
  dropIndex,
  explainIndex,
  keyOf,
  checkKey,
  checkKeyValues,
  keyGrowth,
  keyRange,
  rangeEnds,
  async *sliceEnds(_store, _backfill, _after, upTo) {
    yield upTo; // no statement blocks the event loop
  },
  derive,
  fillWindow: async () => undefined,
  fillBatch,
  revertRows,
  passOver,
  isOpenElsewhere: () => undefined,
  rewrittenSince,
  parentTables,
  retryReason: (error) => (isPostgresError(error) ? RETRY_REASONS.get(error.code) : undefined),
  loadMonitor,
};

/** The connector of a PostgreSQL database. */
interface PostgresConnector extends StoreConnector {
  /** Runs `act` with the run lock shared, if its holder shares it. Returns whether there was anything to do. */
  withSharedLock(act: () => Promise<boolean>): Promise<boolean>;
}

/**
 * Opens a database, on the session of its command.
 *
 * @throws {BackfillError} `STORE_READONLY` for a replica, `SEARCH_PATH_UNSAFE`, `SUPERUSER_REFUSED`, `LEDGER_UNTRUSTED`
 */
async function openPostgres(sessions: Sessions, options: OpenOptions): Promise<PostgresStore> {
  const connection = await sessions.enter();
  const { access, confirmed = false } = options;
  try {
    const store = new PostgresStore(sessions, connection, POSTGRES, options);
    await store.setLockTimeout();
    if (access === 'write') await refuseReadOnly(store);
    if (!confirmed) await refuseUnsafePath(store);
    await refuseUnsafeLedger(store, access === 'write' ? 'UPDATE' : 'SELECT');
    return store;
  } catch (error) {
    await sessions.leave(connection);
    throw error;
  }
}

/**
 * Creates the connector of a PostgreSQL database. Its run lock and the stores opened under it share one session.
 *
 * @param signal stops waits for the database
 */
export function postgresConnector(address: PostgresAddress, signal?: AbortSignalLike): PostgresConnector {
  const sessions = new Sessions(address, signal);
  const explained = async <Result>(act: () => Promise<Result>): Promise<Result> => {
    try {
      return await act();
    } catch (error) {
      throw toBackfillError(error);
    }
  };
  return {
    name: redactedUrl(address),
    within: async (act) => {
      const session = await explained(() => sessions.enter());
      try {
        return await act();
      } finally {
        await sessions.leave(session);
      }
    },
    open: async (options) => await explained(() => openPostgres(sessions, options)),
    lock: async (options) => await explained(() => acquireLock(sessions, options)),
    readLockState: async () => await explained(() => readLockState(sessions)),
    withSharedLock: async (act) => await withSharedLock(sessions, act),
    warnings: () => [
      ...sessions.warnings,
      msg('No backup is made of a PostgreSQL database: use its own means, such as pg_dump'),
    ],
  };
}
