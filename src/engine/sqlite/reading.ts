import type { Worker } from 'node:worker_threads';
import type { Connection, Store, Transaction } from '../../db/connection.js';
import { identifier } from '../../db/sql.js';
import { isBusy, withoutWaiting } from '../../db/sqlite/connection.js';
import { requireSqlite } from '../../db/sqlite/statements.js';
import type { Key } from '../../ledger/keys.js';
import type { Backfill } from '../../steps/define.js';
import { isParallelWorthwhile, startThread } from '../../threads.js';
import type { FillWindow } from '../batch.js';
import type { KeyRange } from '../dialect.js';
import { anyNullSql, rowSql } from '../rows.js';
import type { BehindPass, Pass, PassElsewhere } from '../scan.js';
import { afterKeySql, keyOf, keyRange } from './keys.js';

/** What the second thread may keep of rows that it has read already, in MiB: a few less than V8's own, and as fast. */
const YOUNG_MIB = 4;

/** Into how many ranges the keys are cut, for two threads to take in turn. */
const RANGES = 64;

/** Places in the counts that the threads share: ranges that are taken, and those of them that the helper took. */
const [TAKEN, BY_HELPER] = [0, 1];

/** Startup data of the second thread. */
export interface ScanThreadData extends PassElsewhere {
  /** Path of the store. */
  readonly path: string;
}

/** Ranges of keys that threads take in turn: plain data. */
export interface SharedRanges {
  readonly first: bigint;
  readonly last: bigint;
  readonly counts: Int32Array<SharedArrayBuffer>;
}

/** Takes ranges until all are taken, by whichever thread. */
export function* claimRanges({ first, last, counts }: SharedRanges, isHelper = false): Generator<KeyRange> {
  const width = (last - first) / BigInt(RANGES) + 1n;
  for (;;) {
    const from = first + width * BigInt(Atomics.add(counts, TAKEN, 1));
    if (from > last) return;
    if (isHelper) Atomics.add(counts, BY_HELPER, 1);
    const to = from + width - 1n;
    yield [from, to < last ? to : last];
  }
}

/** The second thread: it begins when it is sent its {@link SharedRanges}. */
interface ScanThread {
  readonly worker: Worker;
  /** What it found; undefined when it took no part, or broke off. */
  readonly end: Promise<{ readonly found: unknown } | undefined>;
}

/**
 * Starts the second thread, and waits until it has looked at the store, or has ended. To be called before the snapshot is taken.
 *
 * @returns undefined where the system lets it have none
 */
async function startScanThread(data: ScanThreadData): Promise<ScanThread | undefined> {
  const worker = startThread(new URL('./pass-thread.js', import.meta.url), {
    workerData: data,
    resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MIB },
  });
  if (!worker) return undefined;
  // What has kept it meets this thread as well, when it reads alone, and is told from there: 'exit' follows on 'error'.
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
 * Makes a pass over a table on a snapshot of its own, and then acts on the same. Where that pays, a second thread helps. It looks at the
 * store's `data_version` before this thread takes its snapshot, and once more when it has taken its own: if nobody has committed in
 * between, the two are one. Else, or when anything else keeps it, it takes no part, and this thread reads alone.
 */
export async function passOver<Found, Result>(
  store: Connection,
  backfill: Backfill,
  pass: Pass<Found>,
  act: BehindPass<Found, Result>,
  parallelMinBytes?: number,
): Promise<Result> {
  const { files } = requireSqlite(store);
  const scanThread =
    pass.elsewhere && isParallelWorthwhile((await store.size()).bytes, parallelMinBytes)
      ? await startScanThread({ path: files.path, ...pass.elsewhere })
      : undefined;
  try {
    return await store.snapshotAsync(async (tx) => {
      const keys = await keyRange(tx, backfill);
      const shared = keys && scanThread && (await passTogether(tx, pass, keys, scanThread));
      await scanThread?.worker.terminate(); // its memory is wanted for what comes next
      return shared ? await act(tx, ...shared) : await act(tx, await pass.over(tx, keys ? [keys] : []), 1);
    });
  } finally {
    await scanThread?.worker.terminate();
  }
}

/** Returns undefined when one thread has to read all. */
async function passTogether<Found>(
  tx: Transaction,
  { over, merge }: Pass<Found>,
  [first, last]: KeyRange,
  { worker, end }: ScanThread,
): Promise<[Found, 1 | 2] | undefined> {
  if (typeof first !== 'bigint' || typeof last !== 'bigint') return undefined; // texts can't be cut by numbers
  const shares = { first, last, counts: new Int32Array(new SharedArrayBuffer(8)) };
  worker.postMessage(shares);
  const found = await over(tx, claimRanges(shares));
  const theirs = await end;
  const tookPart = Atomics.load(shares.counts, BY_HELPER) > 0;
  if (!theirs) return tookPart ? undefined : [found, 1]; // what it took is missing
  return merge(found, theirs.found as Found) ? [found, 2] : undefined;
}

/** How long a slice of a table should take to read, in milliseconds: the event loop stands still meanwhile. */
const SLICE_MS = 10;

/**
 * Rows of the first slice, and of the smallest: a statement takes some tenths of a millisecond to compile, and what the application does in
 * a turn counts as time of the slice, too. Rows that come out in pages let the event loop turn by themselves: their slices are for those
 * that are passed over.
 */
const [LEAST_ROWS, LEAST_PAGED] = [5000, 20_000];

/** A slice grows or shrinks by this factor at most: on a busy machine some take long without a reason. */
const MAX_CHANGE = 2;

/**
 * Cuts the rows of a table into slices that its caller reads in a few milliseconds each, by the time that it took for the slice before;
 * the event loop turns between two. A statement that reads a whole table can't be interrupted from the thread that waits for it.
 * See the `Dialect`.
 */
export async function* sliceEnds(
  store: Store,
  backfill: Backfill,
  after: Key | null,
  upTo: Key | null,
  isPaged = false,
): AsyncGenerator<Key | null> {
  const sqlite = requireSqlite(store);
  const least = isPaged ? LEAST_PAGED : LEAST_ROWS;
  let rows = least;
  for (let cursor = after; ; ) {
    const end = await endBehind(store, backfill, cursor, upTo, rows);
    const startedAt = performance.now();
    yield end ?? upTo;
    if (end === undefined) return;
    const change = SLICE_MS / (performance.now() - startedAt);
    rows = Math.max(least, Math.floor(rows * Math.min(MAX_CHANGE, Math.max(1 / MAX_CHANGE, change))));
    cursor = end;
    await sqlite.turn();
  }
}

/** The greatest integer of SQLite's. */
const LAST_INTEGER = 2n ** 63n - 1n;

/** A part of the rows whose keys are walked to see whether integers lie close, and how many keys to a row are close. */
const [SAMPLE, CLOSE] = [50, 2n];

/**
 * A key behind `cursor` with no more than so many rows between, and not many fewer; undefined where that would be `upTo`, or the end.
 *
 * Walks the keys alone: a thirtieth of what it takes to derive values, and of integers that lie close only a few of them, as no more rows
 * can be left than keys. A text that JavaScript can't hold comes back as another: as a bound it does as well, since each slice begins where
 * the one before has ended.
 */
async function endBehind(
  store: Store,
  backfill: Backfill,
  cursor: Key | null,
  upTo: Key | null,
  rows: number,
): Promise<Key | undefined> {
  const column = identifier(backfill.key);
  const { kind } = await keyOf(store, backfill);
  const [behind, from] = afterKeySql(kind, column, cursor);
  const [bound, last] = upTo === null ? ['', []] : [`AND ${column} <= ?`, [upTo]];
  const keyAt = async (offset: number): Promise<Key | undefined> => {
    const row = await store.getExact<{ key: unknown }>(
      `SELECT ${column} AS key FROM ${identifier(backfill.table)} WHERE ${behind} ${bound} ORDER BY ${column} LIMIT 1 OFFSET ?`,
      from,
      ...last,
      offset,
    );
    // As that of every row is, unless somebody has just written another.
    return typeof row?.key === 'bigint' || typeof row?.key === 'string' ? row.key : undefined;
  };
  if (typeof cursor !== 'bigint') return await keyAt(rows);
  const end = cursor + BigInt(rows);
  if (end >= (typeof upTo === 'bigint' ? upTo : LAST_INTEGER)) return undefined;
  const few = Math.ceil(rows / SAMPLE);
  const near = await keyAt(few);
  return typeof near === 'bigint' && near - cursor <= CLOSE * BigInt(few) ? end : near && (await keyAt(rows));
}

/** Rows of the table that a window has: to pass over so many takes about as long as a batch. */
const WINDOW_ROWS = 100_000;

/**
 * Finds the next rows to fill: where a window of the table begins that is read within a batch, looked for without a lock. It never waits
 * for one: a batch is then due in which a signal is heard between two tries.
 */
export async function fillWindow(
  store: Store,
  backfill: Backfill,
  after: Key | null,
  upTo: Key,
  excludeSkips: boolean,
): Promise<FillWindow> {
  const rows = await rowSql(store, backfill);
  const table = `${identifier(backfill.table)} AS t`;
  const due = `${rows.inScope} AND ${anyNullSql(backfill)}${excludeSkips ? ` AND NOT ${rows.isSkipped}` : ''}`;
  try {
    return await withoutWaiting(store, async () => {
      let start = after;
      for await (const end of sliceEnds(store, backfill, after, upTo)) {
        const where = `${rows.afterKey(start)} AND ${rows.upTo(end ?? upTo)}`;
        if (await store.get(`SELECT 1 FROM ${table} WHERE ${where} AND ${due} LIMIT 1`)) {
          const last = await endBehind(store, backfill, start, upTo, WINDOW_ROWS);
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
}
