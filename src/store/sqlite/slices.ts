import type { Backfill } from '../../backfill/define.js';
import type { Key } from '../../ledger/keys.js';
import type { Store } from '../port.js';
import { identifier } from '../sql.js';
import { behindSql, keyKind } from './keys.js';
import { requireSqlite } from './statements.js';

/** How long a slice of a table should take to read, in milliseconds: the event loop stands still meanwhile. */
const SLICE_MS = 10;

/** Rows of the first slice, and of the smallest. */
const [FIRST_ROWS, LEAST_ROWS] = [1000, 100];

/** A slice grows or shrinks by this factor at most: on a busy machine some take long without a reason. */
const MAX_CHANGE = 2;

/**
 * Cuts the rows of a table into slices that its caller reads in a few milliseconds each, by the time that it took for the slice before;
 * the event loop turns between two. A statement that reads a whole table can't be interrupted from the thread that waits for it.
 *
 * @param after behind this key; null for all
 * @param upTo up to this key; null for all
 * @returns the last key of each slice; `upTo` of the last one
 */
export async function* sliceEnds(
  store: Store,
  { table, key }: Pick<Backfill, 'table' | 'key'>,
  after: Key | null,
  upTo: Key | null,
): AsyncGenerator<Key | null> {
  const [sqlite, column] = [requireSqlite(store), identifier(key)];
  const kind = await keyKind(store, { table, key });
  let rows = FIRST_ROWS;
  for (let cursor = after; ; ) {
    const [behind, from] = behindSql(kind, column, cursor);
    // Walks the keys alone: a thirtieth of what it takes to derive values. A text that JavaScript can't hold comes back as another:
    // as a bound between two slices it does as well, since each begins where the one before has ended.
    const end: { key: Key } | undefined = await store.getExact(
      `SELECT ${column} AS key FROM ${identifier(table)} WHERE ${behind}${upTo === null ? '' : ` AND ${column} <= ?`}
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
    rows = Math.max(LEAST_ROWS, Math.floor(rows * change));
    cursor = end.key;
    await sqlite.turn();
  }
}
