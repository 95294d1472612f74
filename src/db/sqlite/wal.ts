import type { Store } from '../connection.js';

/** What is in the WAL, in pages; 0 in rollback mode. */
export interface WalState {
  readonly pages: number;
  /** Of them, those that the main file has too. */
  readonly checkpointed: number;
  /** Whether another connection was in the way of a checkpoint. */
  readonly isBusy: boolean;
}

/**
 * Reads the state of the WAL, or moves it into the main file first: `PASSIVE` what nobody reads any more, without
 * waiting; `RESTART` all of it, so that the next write begins at the WAL's start again.
 *
 * @see https://www.sqlite.org/pragma.html#pragma_wal_checkpoint
 */
export async function checkpoint(store: Store, mode: 'NOOP' | 'PASSIVE' | 'RESTART'): Promise<WalState> {
  const row = await store.get<{ busy: number; log: number; checkpointed: number }>(
    `PRAGMA wal_checkpoint(${mode})`,
  );
  return {
    pages: Math.max(0, row?.log ?? 0),
    checkpointed: Math.max(0, row?.checkpointed ?? 0),
    isBusy: row?.busy === 1,
  };
}

/** Tries once whether the WAL can begin anew: not while a transaction elsewhere still reads from it. */
export const restartWal = async (store: Store): Promise<boolean> =>
  await withoutWaiting(store, async () => !(await checkpoint(store, 'RESTART')).isBusy);

/** Acts without waiting for a lock of another connection's: a statement that meets one fails at once. */
export async function withoutWaiting<Result>(store: Store, act: () => Promise<Result>): Promise<Result> {
  const waitMs = Number((await store.get<{ timeout: number }>('PRAGMA busy_timeout'))?.timeout ?? 0);
  await store.get('PRAGMA busy_timeout = 0');
  try {
    return await act();
  } finally {
    await store.get(`PRAGMA busy_timeout = ${waitMs}`);
  }
}

/** Pages in the WAL at which a commit moves them into the main file by itself; 0: never. */
export async function setAutoCheckpoint(store: Store, pages: number): Promise<void> {
  await store.get(`PRAGMA wal_autocheckpoint = ${pages}`);
}

/**
 * A number that changes when another connection commits, and never by this one's own commits.
 *
 * @see https://www.sqlite.org/pragma.html#pragma_data_version
 */
export async function dataVersion(store: Store): Promise<number> {
  return (await store.get<{ data_version: number }>('PRAGMA data_version'))?.data_version ?? 0;
}
