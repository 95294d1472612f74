import type { Connection, Store } from '../../db/connection.js';
import { checkpoint, dataVersion, restartWal, setAutoCheckpoint } from '../../db/sqlite/connection.js';
import { requireSqlite } from '../../db/sqlite/statements.js';
import { CHECKPOINT_PAGES } from '../../db/sqlite/store.js';
import { BackfillError } from '../../errors.js';
import type { Backfill } from '../../steps/define.js';
import { pauseFor, throwIfStopped } from '../../stop.js';
import type { Surroundings } from '../dialect.js';
import { DEFAULT_WAL_LIMIT_MIB, type RunOptions } from '../run-options.js';
import { Checkpointer } from './checkpointer.js';

/** How long a run waits for whoever pins the WAL, and between two looks whether it is free, in milliseconds. */
const [WAL_WAIT_MS, WAL_LOOK_MS] = [60_000, 250];

/**
 * Looks after what surrounds a loop of batches: sees whether others write, and moves the WAL into the main file between two
 * batches, when nobody waits for the lock.
 */
export async function surroundings(
  store: Connection,
  backfill: Backfill,
  options: RunOptions,
): Promise<Surroundings> {
  const sqlite = requireSqlite(store);
  // In rollback mode even a look at the WAL would wait for a writer.
  const { bytes, pageBytes } = await store.size();
  const checkpointer =
    sqlite.journalMode === 'wal' ? new Checkpointer(sqlite, bytes, options.threadFromBytes) : undefined;
  // In a commit its time would count as the lock's, though SQLite has let go of that by then.
  await setAutoCheckpoint(store, 0);
  let version: number | undefined;
  return {
    async hasCompany(tx) {
      const found = await dataVersion(tx);
      const hasCompany = version !== undefined && found !== version;
      version = found;
      return hasCompany;
    },
    async settle() {
      if (!checkpointer) return;
      const { pages, checkpointed } = await checkpoint(store, 'NOOP');
      await checkpointer.move(pages, checkpointed);
      const walBytes = pages * pageBytes;
      if (walBytes < (options.walLimitBytes ?? DEFAULT_WAL_LIMIT_MIB * 2 ** 20)) return;
      await checkpointer.rest(); // two at a time would be in each other's way
      await waitForWal(store, backfill, options, walBytes);
    },
    async close() {
      await checkpointer?.close();
      await setAutoCheckpoint(store, CHECKPOINT_PAGES);
    },
  };
}

async function waitForWal(
  store: Store,
  { name }: Backfill,
  { onEvent, signal, walWaitMs = WAL_WAIT_MS }: RunOptions,
  walBytes: number,
): Promise<void> {
  if (await restartWal(store)) return;
  onEvent?.({ event: 'wal_pinned', backfill: name, walBytes });
  const giveUpAt = performance.now() + walWaitMs;
  while (!(await restartWal(store))) {
    throwIfStopped(signal, `while the WAL of ${name} was pinned`);
    if (performance.now() >= giveUpAt) throw walPinned(walBytes);
    await pauseFor(WAL_LOOK_MS, signal);
  }
}

const walPinned = (walBytes: number): BackfillError =>
  new BackfillError(
    'WAL_PINNED',
    `The WAL has grown to ${Math.round(walBytes / 2 ** 20)} MiB, since another program keeps a read transaction open; every committed batch is kept`,
    'End the program that reads (lsof STORE-wal lists those that have it open), then run the same command again: it resumes where it stopped; --wal-limit MIB allows a larger WAL',
  );
