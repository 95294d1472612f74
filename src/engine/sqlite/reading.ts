import type { Worker } from 'node:worker_threads';
import type { Store, Transaction } from '../../db/connection.js';
import { identifier } from '../../db/sql.js';
import { dataVersion, isBusy, withoutWaiting } from '../../db/sqlite/connection.js';
import { requireSqlite } from '../../db/sqlite/statements.js';
import type { Key } from '../../ledger/keys.js';
import type { Backfill } from '../../steps/define.js';
import { isParallelWorthwhile, startThread, YOUNG_MIB } from '../../threads.js';
import type { Dialect, KeyRange } from '../dialect.js';
import { dueSql, rowSql } from '../rows.js';
import type { Pass, PassElsewhere } from '../scan.js';
import type { IntegerRange } from './companion.js';
import { afterKeySql, keyOf, keyRange } from './keys.js';

/** Number of ranges into which keys are cut for two threads, which claim them one after another. */
const RANGES = 64n;

/** Positions of the shared counts: claimed ranges, and those claimed by the second thread. */
const [TAKEN, BY_SECOND] = [0, 1];

/** Startup data of the second thread. */
export interface ScanThreadData extends PassElsewhere {
  /** Path of the store. */
  readonly path: string;
}

/** Ranges of keys that both threads claim: plain data. */
export interface SharedRanges {
  readonly ranges: readonly KeyRange[];
  readonly counts: Int32Array<SharedArrayBuffer>;
}

/** Claims ranges until both threads have claimed all. */
export function* claimRanges({ ranges, counts }: SharedRanges, isSecond = false): Generator<KeyRange> {
  for (;;) {
    const range = ranges[Atomics.add(counts, TAKEN, 1)];
    if (!range) return;
    if (isSecond) Atomics.add(counts, BY_SECOND, 1);
    yield range;
  }
}

/** Cuts ranges of integers into ranges of the same width. */
function cut(ranges: readonly IntegerRange[]): IntegerRange[] {
  const width = keysIn(ranges) / RANGES + 1n;
  return ranges.flatMap(([first, last]) => {
    const cuts: IntegerRange[] = [];
    for (let from = first; from <= last; from += width)
      cuts.push([from, from + width - 1n < last ? from + width - 1n : last]);
    return cuts;
  });
}

const areIntegers = (range: KeyRange): range is IntegerRange => typeof range[0] === 'bigint';

const keysIn = (ranges: readonly IntegerRange[]): bigint =>
  ranges.reduce((sum, [first, last]) => sum + last - first + 1n, 0n);

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
 * Makes a pass over a table on a snapshot, then runs `act` on the same snapshot. What a follower has read is taken over if no other
 * connection has committed since. If much is left to read, a second thread helps. It reads `data_version` before this thread's snapshot
 * and again in its own: if no client has committed in between, both snapshots are the same. Else, or if it fails, this thread reads alone.
 */
export const passOver: Dialect['passOver'] = async (store, backfill, pass, act, parallelMinBytes) => {
  const { files } = requireSqlite(store);
  const { bytes } = await store.size();
  const { share } = await unread(store, backfill, pass);
  const scanThread =
    pass.elsewhere && share > 0 && isParallelWorthwhile(bytes * share, parallelMinBytes)
      ? await startScanThread({ path: files.path, ...pass.elsewhere })
      : undefined;
  try {
    return await store.snapshotAsync(async (tx) => {
      const { keys, ranges, followed } = await unread(tx, backfill, pass);
      let made = await passOverRanges(tx, pass, ranges, scanThread);
      await scanThread?.worker.terminate(); // frees its memory for what follows
      if (made && followed)
        made = pass.merge(made[0], followed.found as (typeof made)[0]) ? [made[0], 2] : undefined;
      return await act(tx, ...(made ?? [await pass.over(tx, keys), 1]));
    });
  } finally {
    await scanThread?.worker.terminate();
  }
};

/**
 * Returns the keys of a table, those that no follower has read, and their share.
 *
 * @param store in a snapshot, or to see what to expect
 */
async function unread<Found>(store: Store, backfill: Backfill, { followed }: Pass<Found>) {
  const all = await keyRange(store, backfill); // first, because a transaction takes its snapshot at its first read
  const keys = all ? [all] : [];
  if (!followed || !all || !areIntegers(all) || (await dataVersion(store)) !== followed.version)
    return { keys, ranges: keys, share: 1, followed: undefined };
  const [first, last] = all;
  const [from, to] = followed.range;
  const ends: IntegerRange[] = [
    [first, from - 1n],
    [to + 1n, last],
  ];
  const ranges = ends.filter(([one, other]) => one <= other);
  return { keys, ranges, share: Number(keysIn(ranges)) / Number(keysIn([all])), followed };
}

/** Returns undefined if one thread has to read everything. */
async function passOverRanges<Found>(
  tx: Transaction,
  { over, merge }: Pass<Found>,
  ranges: readonly KeyRange[],
  thread: ScanThread | undefined,
): Promise<[Found, 1 | 2] | undefined> {
  if (!thread || !ranges.every(areIntegers)) return [await over(tx, ranges), 1]; // texts cannot be divided by number
  const shares = { ranges: cut(ranges), counts: new Int32Array(new SharedArrayBuffer(8)) };
  thread.worker.postMessage(shares);
  const found = await over(tx, claimRanges(shares));
  const theirs = await thread.end;
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
