import { randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Worker } from 'node:worker_threads';
import { ABORT_POLL_MS, throwIfAborted } from '../../abort.js';
import type { Store, Transaction } from '../../db/connection.js';
import type { PostgresAddress } from '../../db/postgres/address.js';
import { isDisconnected } from '../../db/postgres/connect.js';
import type { PostgresSession } from '../../db/postgres/session.js';
import { requirePostgres } from '../../db/postgres/statements.js';
import { isPostgresError } from '../../engine-errors.js';
import { msg } from '../../messages/message.js';
import { isParallelWorthwhile, startThread, YOUNG_MIB } from '../../threads.js';
import type { Dialect, KeyRange } from '../dialect.js';
import type { Pass, PassElsewhere } from '../scan.js';
import { treeBytes } from './catalog.js';
import { keyOf, keyRange } from './keys.js';

/** Minimum time to wait for the second session's last ranges, in milliseconds; else as long as the first session has read. */
const MIN_WAIT_MS = 10_000;

/** Number of ranges that two sessions claim one after another. */
const RANGES = 64;

/** Startup data of the second thread. */
export interface SessionThreadData extends PassElsewhere {
  readonly address: PostgresAddress;
  /** Table that it reads. */
  readonly table: string;
  readonly lockTimeoutMs: number;
  /** Conditions that the SQL of the first session depends on; see {@link conditionsOf}. */
  readonly conditions: string;
}

/** An exported snapshot. */
interface ExportedSnapshot {
  readonly id: string;
  /** Its transactions, as `pg_current_snapshot()` lists them. */
  readonly seen: string;
  /** Random key of an advisory lock of the exporting transaction. Another server may have a snapshot of the same name. */
  readonly mark: readonly [number, number];
}

/** Plain data for the second session's part of a pass. */
export interface SharedPass {
  readonly snapshot: ExportedSnapshot;
  readonly keys: readonly [bigint, bigint];
  /** Number of claimed ranges. */
  readonly claimed: Int32Array<SharedArrayBuffer>;
}

/** Returns the conditions that the SQL of a session depends on: both sessions of a pass must have the same. */
export const conditionsOf = ({ path, version, canMakeFunctions }: PostgresSession): string =>
  JSON.stringify([path, version, canMakeFunctions]);

/** Claims ranges until both sessions have claimed all. */
export function* claimRanges({ keys: [first, last], claimed }: SharedPass): Generator<[bigint, bigint]> {
  const width = (last - first) / BigInt(RANGES) + 1n;
  for (;;) {
    const from = first + width * BigInt(Atomics.add(claimed, 0, 1));
    if (from > last) return;
    const to = from + width - 1n;
    yield [from, to < last ? to : last];
  }
}

const seenSql = 'pg_current_snapshot()::text';

/** Whether a transaction still has the snapshot that was exported. A failed statement may have begun a new one. */
const hasSnapshot = async (tx: Store, { seen }: ExportedSnapshot): Promise<boolean> =>
  (await tx.pluck<string>(`SELECT ${seenSql}`))[0] === seen;

/** Whether a transaction has imported the snapshot from the same server, where its mark is. */
export async function isImported(tx: Store, snapshot: ExportedSnapshot): Promise<boolean> {
  const marks = await tx.pluck(
    `SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND classid = ? AND objid = ? AND objsubid = 2
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`,
    ...snapshot.mark,
  );
  return marks.length > 0 && (await hasSnapshot(tx, snapshot));
}

/** Exports the snapshot of a transaction. Returns undefined if the server refuses: the transaction then has a new snapshot. */
async function exportSnapshot(tx: Store): Promise<ExportedSnapshot | undefined> {
  const mark = [randomInt(2 ** 31), randomInt(2 ** 31)] as const;
  try {
    const found = await tx.get<{ id: string; seen: string; isMarked: number }>(
      `SELECT pg_export_snapshot() AS id, ${seenSql} AS seen, pg_try_advisory_xact_lock_shared(${mark.join(', ')}) AS "isMarked"`,
    );
    return found?.isMarked === 1 ? { ...found, mark } : undefined;
  } catch (error) {
    if (!isPostgresError(error) || isDisconnected(error)) throw error;
    return undefined;
  }
}

/** A thread with the second session. It takes part once it is connected and has imported the snapshot. */
interface SessionThread {
  readonly worker: Worker;
  /** Its findings; undefined if it did not take part, or failed. */
  readonly end: Promise<{ readonly found: unknown } | undefined>;
}

/** Returns the address for the thread. A function in it, such as that of a password, cannot be sent there: no thread is started then. */
const addressFor = ({ client: { address } }: PostgresSession): PostgresAddress =>
  address.settings ? { url: address.url, settings: address.settings } : { url: address.url };

/** Starts the thread. Returns undefined if the system allows none. */
function startSession(data: SessionThreadData): SessionThread | undefined {
  const worker = startThread(new URL('./session-thread.js', import.meta.url), {
    workerData: data,
    resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MIB },
  });
  if (!worker) return undefined;
  // The first session then reads alone, and reports the error if it meets it too: 'exit' follows 'error'.
  worker.on('error', () => undefined);
  const end: SessionThread['end'] = new Promise((resolve) => {
    worker.once('message', resolve).once('exit', () => resolve(undefined));
  });
  return { worker, end };
}

/**
 * Makes a pass over a table on a snapshot, then runs `act` on the same snapshot. For a large table with an integer key, a thread reads some
 * of the ranges on a second session that imports the snapshot. The first session starts without it. If the second cannot be had, is sent to another
 * server, or fails, the first session reads everything.
 *
 * @see https://www.postgresql.org/docs/current/functions-admin.html#FUNCTIONS-SNAPSHOT-SYNCHRONIZATION
 */
export const passOver: Dialect['passOver'] = async (store, backfill, pass, act, parallelMinBytes) => {
  const { session, driver } = requirePostgres(store);
  const { table } = backfill;
  const { kind } = await keyOf(store, backfill);
  const isLarge = async (): Promise<boolean> =>
    isParallelWorthwhile(await treeBytes(store, table, 'pg_table_size'), parallelMinBytes);
  const thread =
    pass.elsewhere && kind === 'integer' && (await isLarge())
      ? startSession({
          ...pass.elsewhere,
          table,
          address: addressFor(session),
          lockTimeoutMs: driver.lockTimeoutMs,
          conditions: conditionsOf(session),
        })
      : undefined;
  try {
    return await store.snapshotAsync(async (tx) => {
      const snapshot = thread && (await exportSnapshot(tx));
      const keys = await keyRange(tx, backfill);
      const shared = keys && snapshot && (await passTogether(tx, pass, keys, snapshot, thread));
      await thread?.worker.terminate(); // frees its session and memory for what follows
      return shared ? await act(tx, ...shared) : await act(tx, await pass.over(tx, keys ? [keys] : []), 1);
    });
  } finally {
    await thread?.worker.terminate();
  }
};

/** Returns undefined if one session has to read everything. */
async function passTogether<Found>(
  tx: Transaction,
  { over, merge }: Pass<Found>,
  [first, last]: KeyRange,
  snapshot: ExportedSnapshot,
  { worker, end }: SessionThread,
): Promise<[Found, 1 | 2] | undefined> {
  if (typeof first !== 'bigint' || typeof last !== 'bigint') return undefined;
  const shared: SharedPass = {
    snapshot,
    keys: [first, last],
    claimed: new Int32Array(new SharedArrayBuffer(4)),
  };
  worker.postMessage(shared);
  let claimedHere = 0n;
  function* claim(): Generator<KeyRange> {
    for (const range of claimRanges(shared)) {
      claimedHere += range[1] - range[0] + 1n;
      yield range;
    }
  }
  const startedAt = performance.now();
  const found = await over(tx, claim());
  if (claimedHere === last - first + 1n) return (await hasSnapshot(tx, snapshot)) ? [found, 1] : undefined;
  const theirs = await ended(tx, end, Math.max(MIN_WAIT_MS, performance.now() - startedAt));
  if (!theirs || !(await hasSnapshot(tx, snapshot))) return undefined; // the ranges it claimed are missing
  return merge(found, theirs.found as Found) ? [found, 2] : undefined;
}

/** Waits for the second session until the signal is aborted. Returns undefined if it has not ended after `waitMs` milliseconds. */
async function ended(
  store: Store,
  end: SessionThread['end'],
  waitMs: number,
): ReturnType<() => SessionThread['end']> {
  const { signal } = requirePostgres(store).session.client;
  const giveUpAt = performance.now() + waitMs;
  const none = Symbol();
  for (;;) {
    throwIfAborted(signal, msg('while reading the database'));
    const found = await Promise.race([end, sleep(ABORT_POLL_MS, none)]);
    if (found !== none) return found;
    if (performance.now() >= giveUpAt) return undefined;
  }
}
