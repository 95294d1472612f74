import { pauseFor, throwIfAborted } from '../../abort.js';
import type { Store } from '../../db/connection.js';
import { checkpoint, dataVersion, restartWal, setAutoCheckpoint } from '../../db/sqlite/connection.js';
import { requireSqlite } from '../../db/sqlite/statements.js';
import { CHECKPOINT_PAGES } from '../../db/sqlite/store.js';
import { BackfillError } from '../../errors.js';
import { msg } from '../../messages/message.js';
import { RUN_OPTIONS } from '../../option-table.js';
import type { Backfill } from '../../steps/define.js';
import { isParallelWorthwhile } from '../../threads.js';
import type { Dialect } from '../dialect.js';
import { rowSql } from '../rows.js';
import type { RunOptions } from '../run-options.js';
import { Companion } from './companion.js';
import { derive } from './derive.js';

/**
 * Duration of a batch in rollback mode, where each COMMIT syncs the journal and the store, in milliseconds. An application is not
 * blocked for so long.
 */
const ROLLBACK_BATCH_MS = 200;

/** Time between two checks whether a reader still pins the WAL, in milliseconds. */
const WAL_POLL_MS = 250;

/**
 * Creates the load monitor of a loop of batches. It detects other writers by `data_version`, and checkpoints the WAL between two
 * batches, when no writer waits for the lock. A spare thread follows, unless a later batch can change what an earlier one derives or holds.
 */
export const loadMonitor: Dialect['loadMonitor'] = async (store, backfill, options, follow) => {
  const sqlite = requireSqlite(store);
  // In rollback mode even a checkpoint that does nothing would wait for a writer.
  const { bytes, pageBytes } = await store.size();
  const isFollowable =
    isParallelWorthwhile(bytes, options.parallelMinBytes) &&
    !(await hasTriggers(store, backfill)) &&
    (await readsOwnRows(store, backfill));
  const pass = isFollowable ? follow?.elsewhere : undefined;
  if (follow) follow.followed = undefined; // this run may change what was read of an earlier one
  const companion =
    sqlite.journalMode === 'wal'
      ? new Companion(sqlite, bytes, options.parallelMinBytes ?? 0, pass)
      : undefined;
  // Inside a COMMIT, checkpoint time would count as lock time, though SQLite has released the lock by then.
  await setAutoCheckpoint(store, 0);
  let version: number | undefined;
  const isSyncCostly = companion === undefined && options.ownsProcess;
  return {
    targetBatchMs: isSyncCostly ? ROLLBACK_BATCH_MS : RUN_OPTIONS.targetBatchMs.default,
    async hasContention(tx) {
      const found = await dataVersion(tx);
      const hasContention = version !== undefined && found !== version;
      version = found;
      if (hasContention) companion?.stopFollowing();
      return hasContention;
    },
    async betweenBatches(written) {
      if (!companion) return;
      if (written) companion.follow(written);
      const { pages, checkpointed } = await checkpoint(store, 'NOOP');
      await companion.checkpoint(pages, checkpointed);
      const walBytes = pages * pageBytes;
      if (walBytes < (options.walLimitBytes ?? RUN_OPTIONS.walLimitBytes.default)) return;
      // While a checkpoint is in progress, or a snapshot of the companion is older than the last one, the WAL cannot restart.
      await companion.checkpointAll();
      await waitForWal(store, backfill, options, walBytes);
    },
    async close(isFinished) {
      try {
        if (!isFinished) companion?.stopFollowing();
        const followed = await companion?.endFollowing();
        if (follow && followed && version !== undefined) follow.followed = { ...followed, version };
        await companion?.close();
      } finally {
        await setAutoCheckpoint(store, CHECKPOINT_PAGES);
      }
    },
  };
};

async function hasTriggers(store: Store, { table, columns }: Backfill): Promise<boolean> {
  const names = columns.map(({ name }) => name);
  return (await store.dialect.updateTriggers(store, table, names)).length > 0;
}

/** Whether each row is derived from its own columns alone: a subquery or a view could read rows of another batch. */
async function readsOwnRows(store: Store, backfill: Backfill): Promise<boolean> {
  const { select } = await derive(store, backfill);
  const { inScope } = await rowSql(store, backfill);
  const sql = select({ from: store.dialect.wholeTable(backfill.table), where: inScope });
  const program = await store.all<{ opcode: string }>(`EXPLAIN ${sql}`);
  return program.filter(({ opcode }) => /^(?:OpenRead|ReopenIdx|VOpen)$/.test(opcode)).length === 1;
}

async function waitForWal(
  store: Store,
  { name }: Backfill,
  { onEvent, signal, walWaitMs = RUN_OPTIONS.walWaitMs.default }: RunOptions,
  walBytes: number,
): Promise<void> {
  if (await restartWal(store)) return;
  onEvent?.({ event: 'wal_pinned', backfill: name, walBytes });
  const giveUpAt = performance.now() + walWaitMs;
  while (!(await restartWal(store))) {
    throwIfAborted(signal, msg('while the WAL of {backfill} was pinned', { backfill: name }));
    if (performance.now() >= giveUpAt)
      throw new BackfillError(
        'WAL_PINNED',
        msg(
          'The WAL has grown to {size} MiB, because another program keeps a read transaction open; every committed batch is kept',
          { size: Math.round(walBytes / 2 ** 20) },
        ),
        msg(
          'Stop the program that reads (lsof STORE-wal lists those that have it open), then run the same command again; it resumes where it stopped; or allow a larger WAL: --wal-limit MIB',
        ),
      );
    await pauseFor(WAL_POLL_MS, signal);
  }
}
