import type { Store } from '../../db/connection.js';
import { identifier } from '../../db/sql.js';
import { isBusy, withoutWaiting } from '../../db/sqlite/connection.js';
import { requireSqlite } from '../../db/sqlite/statements.js';
import type { Key } from '../../ledger/keys.js';
import type { Backfill } from '../../steps/define.js';
import type { FillWindow } from '../batch.js';
import { anyNullSql, asKey, rowSql } from '../rows.js';
import { behindSql, keyOf } from './keys.js';

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
 *
 * @param after behind this key; null for all
 * @param upTo up to this key; null for all
 * @param isPaged whether the rows of a slice come out in pages
 * @returns the last key of each slice; `upTo` of the last one
 */
export async function* sliceEnds(
  store: Store,
  backfill: Backfill,
  after: Key | null,
  upTo: Key | null,
  isPaged = false,
): AsyncGenerator<Key | null> {
  const [sqlite, column] = [requireSqlite(store), identifier(backfill.key)];
  const { kind } = await keyOf(store, backfill);
  const least = isPaged ? LEAST_PAGED : LEAST_ROWS;
  let rows = least;
  for (let cursor = after; ; ) {
    const [behind, from] = behindSql(kind, column, cursor);
    // Walks the keys alone: a thirtieth of what it takes to derive values. A text that JavaScript can't hold comes back as another:
    // as a bound between two slices it does as well, since each begins where the one before has ended.
    const end: { key: Key } | undefined = await store.getExact(
      `SELECT ${column} AS key FROM ${identifier(backfill.table)} WHERE ${behind}${upTo === null ? '' : ` AND ${column} <= ?`}
      ORDER BY ${column} LIMIT 1 OFFSET ?`,
      from,
      ...(upTo === null ? [] : [upTo]),
      rows,
    );
    const isKey = typeof end?.key === 'bigint' || typeof end?.key === 'string'; // as of every row, unless somebody has just written another
    const startedAt = performance.now();
    yield end && isKey ? end.key : upTo;
    if (!end || !isKey) return;
    const tookMs = performance.now() - startedAt;
    const change = Math.min(MAX_CHANGE, Math.max(1 / MAX_CHANGE, SLICE_MS / tookMs));
    rows = Math.max(least, Math.floor(rows * change));
    cursor = end.key;
    await sqlite.turn();
  }
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
  leavesSkips: boolean,
): Promise<FillWindow> {
  const rows = await rowSql(store, backfill);
  const table = `${identifier(backfill.table)} AS t`;
  const due = `${rows.inScope} AND ${anyNullSql(backfill)}${leavesSkips ? ` AND NOT ${rows.isSkipped}` : ''}`;
  const find = async (): Promise<FillWindow> => {
    let start = after;
    for await (const end of sliceEnds(store, backfill, after, upTo)) {
      const where = `${rows.behind(start)} AND ${rows.upTo(end ?? upTo)}`;
      if (await store.get(`SELECT 1 FROM ${table} WHERE ${where} AND ${due} LIMIT 1`)) {
        const last = await store.getExact<{ key: unknown }>(
          `SELECT ${rows.key} AS key FROM ${table} WHERE ${rows.behind(start)} AND ${rows.upTo(upTo)}
          ORDER BY ${rows.key} LIMIT 1 OFFSET ${WINDOW_ROWS}`,
        );
        return { after: start, upTo: last ? asKey(last.key, backfill) : upTo };
      }
      start = end;
    }
    return { after: upTo, upTo };
  };
  try {
    return await withoutWaiting(store, find);
  } catch (error) {
    if (isBusy(error)) return { after, upTo };
    throw error;
  }
}
