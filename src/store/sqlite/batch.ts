import type { Backfill } from '../../backfill/define.js';
import { BackfillError } from '../../errors.js';
import { type KeyRun, MAX_OFFSET, packKeys } from '../../ledger/key-runs.js';
import type { CellsRecord, SkipReason } from '../../ledger/ledger.js';
import { LEDGER_TABLES } from '../../ledger/tables.js';
import { anyNullSql, derivationSql, scopeSql } from './derive.js';
import { identifier, literal } from './sql.js';
import type { Store } from './store.js';

/**
 * One batch, in sets: the rows are read and their values derived once, into a temporary table in memory; from there
 * one UPDATE fills the table and one INSERT a reason records the skips. No row passes through JavaScript, only the
 * offsets of the filled keys do.
 */

const BATCH = 'temp.umzug_backfill_batch';
const RANGES = 'temp.umzug_backfill_ranges';

/** Smaller than every integer key. A real compares exactly with integers in SQLite, and can be bound. */
const BEFORE_ALL_KEYS = -1e300;

/** What one batch did. */
export interface BatchResult {
  readonly firstKey: bigint;
  readonly lastKey: bigint;
  readonly rowsScanned: number;
  readonly cellsFilled: number;
  readonly cellsSkipped: number;
  readonly skips: number;
  readonly cells: readonly CellsRecord[];
  /** Whether no row was left to read behind this batch. */
  readonly isLast: boolean;
}

/** Makes the temporary tables for a backfill; once a connection and backfill. */
export function prepareBatches(store: Store, backfill: Backfill): void {
  const values = backfill.columns.map((_, i) => `v${i}`).join(', ');
  store.exec(`
    DROP TABLE IF EXISTS ${BATCH};
    CREATE TEMP TABLE umzug_backfill_batch (k INTEGER PRIMARY KEY, readable, wanted, ${values});
    DROP TABLE IF EXISTS ${RANGES};
    CREATE TEMP TABLE umzug_backfill_ranges (first_key, last_key);`);
}

/** The last key of the table, or null when it is empty: the watermark of a run that starts now. */
export function lastKey(store: Store, backfill: Backfill): bigint | null {
  const sql = `SELECT max(${identifier(backfill.key)}) AS key FROM ${identifier(backfill.table)}`;
  return store.getExact<{ key: bigint | null }>(sql)?.key ?? null;
}

/** Bit i of a mask for each column i for which `condition(i)` holds. */
const maskSql = (backfill: Backfill, condition: (i: number) => string): string =>
  backfill.columns.map((_, i) => `((${condition(i)}) << ${i})`).join(' + ');

const anyValueSql = (backfill: Backfill): string =>
  `(${backfill.columns.map((_, i) => `b.v${i} IS NOT NULL`).join(' OR ')})`;

/**
 * Fills the next rows behind `cursor`. Runs inside its caller's transaction.
 *
 * @param cursor last key done, or null before the first
 * @param watermark last key in scope of the run
 * @param limit how many rows at most
 * @param batch number of the batch, for the skips it records
 * @returns what was done, or undefined when no row was left
 * @throws {BackfillError} `UPDATE_IGNORED` when a trigger has ignored an update
 */
export function fillBatch(
  store: Store,
  backfill: Backfill,
  {
    cursor,
    watermark,
    limit,
    batch,
  }: { cursor: bigint | null; watermark: bigint; limit: number; batch: number },
): BatchResult | undefined {
  const key = identifier(backfill.key);
  store.run(`DELETE FROM ${BATCH}`);
  const tail = `WHERE t.${key} > ? AND t.${key} <= ? AND ${scopeSql(backfill)} AND ${anyNullSql(backfill)}
    ORDER BY t.${key} LIMIT ?`;
  const read = store.run(
    `INSERT INTO ${BATCH}
    SELECT k, readable, ${maskSql(backfill, (i) => `c${i} IS NULL`)},
      ${backfill.columns.map((_, i) => `CASE WHEN c${i} IS NULL THEN v${i} END`).join(', ')}
    FROM (${derivationSql(backfill, { tail })})`,
    cursor ?? BEFORE_ALL_KEYS,
    watermark,
    limit,
  );
  if (read === 0) return undefined;
  const trimmed = store.run(`DELETE FROM ${BATCH} WHERE k - (SELECT min(k) FROM ${BATCH}) > ?`, MAX_OFFSET);

  const span = store.getExact<{
    firstKey: bigint;
    lastKey: bigint;
    rows: bigint;
    wanted: bigint;
    toUpdate: bigint;
  }>(
    `SELECT min(k) AS firstKey, max(k) AS lastKey, count(*) AS rows, count(*) FILTER (WHERE ${anyValueSql(backfill)}) AS toUpdate,
      sum(${backfill.columns.map((_, i) => `(wanted >> ${i} & 1)`).join(' + ')}) AS wanted FROM ${BATCH} AS b`,
  );
  if (!span) throw new RangeError('An aggregate returns a row');
  updateRows(store, backfill, span);
  const skips = recordSkips(store, backfill, batch, span);
  const { cells, count } = filledCells(store, backfill, span.firstKey);
  return {
    firstKey: span.firstKey,
    lastKey: span.lastKey,
    rowsScanned: Number(span.rows),
    cellsFilled: count,
    cellsSkipped: Number(span.wanted) - count,
    skips,
    cells,
    isLast: read < limit && trimmed === 0,
  };
}

function updateRows(
  store: Store,
  backfill: Backfill,
  span: { readonly firstKey: bigint; readonly lastKey: bigint; readonly toUpdate: bigint },
): void {
  const key = identifier(backfill.key);
  const assignments = backfill.columns.map(
    ({ name }, i) => `${identifier(name)} = coalesce(t.${identifier(name)}, b.v${i})`,
  );
  // The range is for the planner: whichever side it reads first, it reads no more than the batch.
  const updated = store.run(
    `UPDATE ${identifier(backfill.table)} AS t SET ${assignments.join(', ')} FROM ${BATCH} AS b
    WHERE b.k = t.${key} AND t.${key} BETWEEN ? AND ? AND ${anyValueSql(backfill)}`,
    span.firstKey,
    span.lastKey,
  );
  if (updated !== Number(span.toUpdate)) {
    throw new BackfillError(
      'UPDATE_IGNORED',
      `A trigger on ${backfill.table} ignored the update of ${Number(span.toUpdate) - updated} rows`,
      'Look for RAISE(IGNORE) in the triggers that umzug-backfill up --dry-run lists',
    );
  }
}

function recordSkips(
  store: Store,
  backfill: Backfill,
  batch: number,
  span: { readonly firstKey: bigint; readonly lastKey: bigint },
): number {
  const name = literal(backfill.name);
  // What an earlier run recorded of these rows; the plus makes the planner go by the skips, which are few.
  store.run(
    `DELETE FROM ${LEDGER_TABLES.skips}
    WHERE backfill = ${name} AND key BETWEEN ? AND ? AND +key IN (SELECT k FROM ${BATCH})`,
    span.firstKey,
    span.lastKey,
  );
  const record = (target: string, reason: SkipReason, condition: string): number =>
    store.run(
      `INSERT INTO ${LEDGER_TABLES.skips} (backfill, key, target, reason, batch)
      SELECT ${name}, k, ${literal(target)}, ${literal(reason)}, ? FROM ${BATCH} WHERE ${condition}`,
      batch,
    );
  const rows = record('*', 'DOCUMENT_UNREADABLE', 'NOT readable');
  const cells = backfill.columns.map((column, i) =>
    record(column.name, 'NO_USABLE_VALUE', `readable AND wanted >> ${i} & 1 AND v${i} IS NULL`),
  );
  return cells.reduce((sum, count) => sum + count, rows);
}

function filledCells(
  store: Store,
  backfill: Backfill,
  firstKey: bigint,
): { cells: CellsRecord[]; count: number } {
  const mask = maskSql(backfill, (i) => `v${i} IS NOT NULL`);
  const masks = store.all<{ mask: number; first: number }>(`SELECT DISTINCT ${mask} AS mask FROM ${BATCH}`);
  let count = 0;
  const cells = masks
    .filter(({ mask: bits }) => bits !== 0)
    .map(({ mask: bits }) => {
      const columns = backfill.columns.filter((_, i) => (bits >> i) & 1).map(({ name }) => name);
      const offsets = store.pluck<number>(
        `SELECT k - ? FROM ${BATCH} WHERE ${mask} = ? ORDER BY k`,
        firstKey,
        bits,
      );
      count += offsets.length * columns.length;
      return { columns, firstKey, keys: packKeys(offsets) };
    });
  return { cells, count };
}

/** What was taken back, in cells. */
export interface RevertResult {
  /** Set to NULL again. */
  readonly reverted: number;
  /** Left alone, since they hold something else than what the row derives. */
  readonly kept: number;
}

/**
 * Sets cells that a batch filled to NULL where they still hold what the row derives. Runs inside its caller's
 * transaction.
 *
 * @param columns the columns that were filled in each of the rows
 * @param runs the keys of the rows
 */
export function revertCells(
  store: Store,
  backfill: Backfill,
  columns: readonly string[],
  runs: readonly KeyRun[],
): RevertResult {
  const key = identifier(backfill.key);
  store.run(`DELETE FROM ${RANGES}`);
  store.run(`DELETE FROM ${BATCH}`);
  store.run(
    `INSERT INTO ${RANGES} SELECT value ->> 0, value ->> 1 FROM json_each(?)`,
    `[${runs.map(([first, last]) => `[${first},${last}]`).join(',')}]`,
  );
  const isOurs = (i: number): boolean => columns.includes(backfill.columns[i]?.name ?? '');
  const values = backfill.columns.map((_, i) =>
    isOurs(i) ? `c${i} IS v${i} AND c${i} IS NOT NULL` : 'false',
  );
  const kept = backfill.columns.flatMap((_, i) =>
    isOurs(i) ? [`(c${i} IS NOT NULL AND c${i} IS NOT v${i})`] : [],
  );
  store.run(
    `INSERT INTO ${BATCH} SELECT k, readable, ${kept.join(' + ')}, ${values.join(', ')} FROM (${derivationSql(
      backfill,
      {
        from: `${RANGES} AS r CROSS JOIN ${identifier(backfill.table)} AS t`,
        tail: `WHERE t.${key} BETWEEN r.first_key AND r.last_key LIMIT -1`,
      },
    )})`,
  );
  const counts = store.get<{
    reverted: number | null;
    kept: number | null;
    firstKey: bigint;
    lastKey: bigint;
  }>(
    `SELECT sum(${backfill.columns.map((_, i) => `v${i}`).join(' + ')}) AS reverted, sum(wanted) AS kept FROM ${BATCH}`,
  );
  const assignments = backfill.columns
    .map(({ name }, i) => ({ name: identifier(name), i }))
    .filter(({ i }) => isOurs(i))
    .map(({ name, i }) => `${name} = CASE WHEN b.v${i} THEN NULL ELSE t.${name} END`);
  store.run(
    `UPDATE ${identifier(backfill.table)} AS t SET ${assignments.join(', ')} FROM ${BATCH} AS b
    WHERE b.k = t.${key} AND t.${key} BETWEEN ? AND ? AND (${backfill.columns.map((_, i) => `b.v${i}`).join(' OR ')})`,
    runs[0]?.[0] ?? null,
    runs.at(-1)?.[1] ?? null,
  );
  return { reverted: counts?.reverted ?? 0, kept: counts?.kept ?? 0 };
}

/** Whether the table's keys only grow, so that rows written later are found behind the watermark. */
export function hasGrowingKeys(store: Store, backfill: Backfill): boolean {
  const row = store.get<{ sql: string }>(
    `SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = ? COLLATE NOCASE`,
    backfill.table,
  );
  return /\bautoincrement\b/.test(
    row?.sql.replace(/'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|\/\*[\s\S]*?\*\//g, ' ').toLowerCase() ?? '',
  );
}

/**
 * Whether rows wait for a catch-up: rows in scope with a column to fill behind `after`. Where `after` is null, from
 * the first key on, those left out that are recorded as skips.
 */
export function hasWaitingRows(store: Store, backfill: Backfill, after: bigint | null): boolean {
  const key = identifier(backfill.key);
  const isSkipped = `EXISTS (SELECT 1 FROM ${LEDGER_TABLES.skips} AS s
    WHERE s.backfill = ${literal(backfill.name)} AND s.key = t.${key})`;
  const row = store.get(
    `SELECT 1 FROM ${identifier(backfill.table)} AS t
    WHERE t.${key} > ? AND ${scopeSql(backfill)} AND ${anyNullSql(backfill)}${after === null ? ` AND NOT ${isSkipped}` : ''}
    LIMIT 1`,
    after ?? BEFORE_ALL_KEYS,
  );
  return row !== undefined;
}
