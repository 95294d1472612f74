import type { Worker } from 'node:worker_threads';
import type { Store, Transaction } from '../../db/connection.js';
import { identifier } from '../../db/sql.js';
import { isBusy, withoutWaiting } from '../../db/sqlite/connection.js';
import { requireSqlite } from '../../db/sqlite/statements.js';
import type { Key } from '../../ledger/keys.js';
import type { Backfill } from '../../steps/define.js';
import { isParallelWorthwhile, startThread } from '../../threads.js';
import type { Dialect, KeyRange } from '../dialect.js';
import { dueSql, rowSql } from '../rows.js';
import type { Pass, PassElsewhere } from '../scan.js';
import { afterKeySql, keyOf, keyRange } from './keys.js';

/** Maximum memory of the second thread for rows that it has already read, in MiB: less than V8's default, and as fast. */
const YOUNG_MIB = 4;

/** Number of ranges that two threads claim one after another. */
const RANGES = 64;

/** Positions of the shared counts: claimed ranges, and those claimed by the second thread. */
const [TAKEN, BY_SECOND] = [0, 1];

/** Startup data of the second thread. */
export interface ScanThreadData extends PassElsewhere {
  /** Path of the store. */
  readonly path: string;
}

/** Ranges of keys that both threads claim: plain data. */
export interface SharedRanges {
  readonly first: bigint;
  readonly last: bigint;
  readonly counts: Int32Array<SharedArrayBuffer>;
}

/** Claims ranges until both threads have claimed all. */
export function* claimRanges({ first, last, counts }: SharedRanges, isSecond = false): Generator<KeyRange> {
  const width = (last - first) / BigInt(RANGES) + 1n;
  for (;;) {
    const from = first + width * BigInt(Atomics.add(counts, TAKEN, 1));
    if (from > last) return;
    if (isSecond) Atomics.add(counts, BY_SECOND, 1);
    const to = from + width - 1n;
    yield [from, to < last ? to : last];
  }
}

/** The second thread. It starts when it receives its {@link SharedRanges}. */
interface ScanThread {
  readonly worker: Worker;
  /** Its findings; undefined if it did not take part, or failed. */
  readonly end: Promise<{ readonly found: unknown } | undefined>;
}

/**
 * Starts the second thread, and waits until it has opened the store or has ended. Call it before the snapshot.
 *
 * @returns undefined if the system allows no thread
 */
async function startScanThread(data: ScanThreadData): Promise<ScanThread | undefined> {
  const worker = startThread(new URL('./pass-thread.js', import.meta.url), {
    workerData: data,
    resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MIB },
  });
  if (!worker) return undefined;
  // This thread meets the same error when it reads alone, and reports it: 'exit' follows 'error'.
  worker.on('error', () => undefined);
  const isReady = new Promise((resolve) => worker.once('message', resolve));
  const end: ScanThread['end'] = new Promise((resolve) => {
    worker.once('exit', () => resolve(undefined));
    isReady.then(() => worker.once('message', resolve));
  });
  await Promise.race([isReady, end]);
  return { worker, end };
}

/**
 * Makes a pass over a table on a snapshot, then runs `act` on the same snapshot. In a large store a second thread helps. It reads
 * `data_version` before this thread's snapshot and again in its own: if no client has committed in between, both snapshots are the
 * same. Else, or if it fails, this thread reads alone.
 */
export const passOver: Dialect['passOver'] = async (store, backfill, pass, act, parallelMinBytes) => {
  const { files } = requireSqlite(store);
  const scanThread =
    pass.elsewhere && isParallelWorthwhile((await store.size()).bytes, parallelMinBytes)
      ? await startScanThread({ path: files.path, ...pass.elsewhere })
      : undefined;
  try {
    return await store.snapshotAsync(async (tx) => {
      const keys = await keyRange(tx, backfill);
      const shared = keys && scanThread && (await passTogether(tx, pass, keys, scanThread));
      await scanThread?.worker.terminate(); // frees its memory for what follows
      return shared ? await act(tx, ...shared) : await act(tx, await pass.over(tx, keys ? [keys] : []), 1);
    });
  } finally {
    await scanThread?.worker.terminate();
  }
};

/** Returns undefined if one thread has to read everything. */
async function passTogether<Found>(
  tx: Transaction,
  { over, merge }: Pass<Found>,
  [first, last]: KeyRange,
  { worker, end }: ScanThread,
): Promise<[Found, 1 | 2] | undefined> {
  if (typeof first !== 'bigint' || typeof last !== 'bigint') return undefined; // texts cannot be divided by number
  const shares = { first, last, counts: new Int32Array(new SharedArrayBuffer(8)) };
  worker.postMessage(shares);
  const found = await over(tx, claimRanges(shares));
  const theirs = await end;
  const tookPart = Atomics.load(shares.counts, BY_SECOND) > 0;
  if (!theirs) return tookPart ? undefined : [found, 1]; // the ranges it claimed are missing
  return merge(found, theirs.found as Found) ? [found, 2] : undefined;
}

/** Time that reading a slice should take, in milliseconds: it blocks the event loop. */
const SLICE_MS = 10;

/**
 * Rows of the first and smallest slice. Compiling a statement takes tenths of a millisecond, and the application's turns count as
 * time of the slice. Rows returned in pages let the event loop turn by themselves, so their slices only bound the rows in between.
 */
const [MIN_ROWS, MIN_PAGED_ROWS] = [5000, 20_000];

/** Maximum factor between two slices: on a busy machine some take long without a reason. */
const MAX_CHANGE = 2;

/**
 * Splits a table into slices that the caller reads in a few milliseconds each, by the time that the previous one took. The event
 * loop turns between two. Nothing can interrupt a statement from the thread that waits for it. See the `Dialect`.
 */
export const sliceEnds: Dialect['sliceEnds'] = async function* (store, backfill, after, upTo, isPaged) {
  const sqlite = requireSqlite(store);
  const least = isPaged ? MIN_PAGED_ROWS : MIN_ROWS;
  let rows = least;
  for (let cursor = after; ; ) {
    const end = await endAfter(store, backfill, cursor, upTo, rows);
    const startedAt = performance.now();
    yield end ?? upTo;
    if (end === undefined) return;
    const change = SLICE_MS / (performance.now() - startedAt);
    rows = Math.max(least, Math.floor(rows * Math.min(MAX_CHANGE, Math.max(1 / MAX_CHANGE, change))));
    cursor = end;
    await sqlite.turn();
  }
};

/** Greatest integer of SQLite. */
const LAST_INTEGER = 2n ** 63n - 1n;

/** Fraction of the rows whose keys are read to see whether integers are dense, and the maximum keys per row that are. */
const [SAMPLE, CLOSE] = [50, 2n];

/**
 * Returns a key after `cursor` with up to `rows` rows in between, and not many fewer; undefined if that would be `upTo`, or the
 * end.
 *
 * It reads only keys, in a thirtieth of the time of deriving values. For dense integers it reads just a few, because there are no
 * more rows than keys. JavaScript may change a text, which still serves as a bound: each slice starts where the previous one ended.
 */
async function endAfter(
  store: Store,
  backfill: Backfill,
  cursor: Key | null,
  upTo: Key | null,
  rows: number,
): Promise<Key | undefined> {
  const column = identifier(backfill.key);
  const { kind } = await keyOf(store, backfill);
  const [after, from] = afterKeySql(kind, column, cursor);
  const [bound, last] = upTo === null ? ['', []] : [`AND ${column} <= ?`, [upTo]];
  const keyAt = async (offset: number): Promise<Key | undefined> => {
    const row = await store.getExact<{ key: unknown }>(
      `SELECT ${column} AS key FROM ${identifier(backfill.table)} WHERE ${after} ${bound} ORDER BY ${column} LIMIT 1 OFFSET ?`,
      from,
      ...last,
      offset,
    );
    // Any other type was just written by another client.
    return typeof row?.key === 'bigint' || typeof row?.key === 'string' ? row.key : undefined;
  };
  if (typeof cursor !== 'bigint') return await keyAt(rows);
  const end = cursor + BigInt(rows);
  if (end >= (typeof upTo === 'bigint' ? upTo : LAST_INTEGER)) return undefined;
  const few = Math.ceil(rows / SAMPLE);
  const near = await keyAt(few);
  return typeof near === 'bigint' && near - cursor <= CLOSE * BigInt(few) ? end : near && (await keyAt(rows));
}

/** Maximum rows of a window: passing over this many takes about as long as a batch. */
const WINDOW_ROWS = 100_000;

/**
 * Finds the next rows to fill without a lock, and returns a window around them that is read within a batch. It never waits for a
 * lock: if one is held, a batch is due, which handles signals between two attempts.
 */
export const fillWindow: Dialect['fillWindow'] = async (store, backfill, after, upTo, excludeSkips) => {
  const rows = await rowSql(store, backfill);
  const table = `${identifier(backfill.table)} AS t`;
  const due = dueSql(backfill, rows, excludeSkips);
  try {
    return await withoutWaiting(store, async () => {
      let start = after;
      for await (const end of sliceEnds(store, backfill, after, upTo)) {
        const where = `${rows.afterKey(start)} AND ${rows.upTo(end ?? upTo)}`;
        if (await store.get(`SELECT 1 FROM ${table} WHERE ${where} AND ${due} LIMIT 1`)) {
          const last = await endAfter(store, backfill, start, upTo, WINDOW_ROWS);
          return { after: start, upTo: last ?? upTo };
        }
        start = end;
      }
      return { after: upTo, upTo };
    });
  } catch (error) {
    if (isBusy(error)) return { after, upTo };
    throw error;
  }
};
