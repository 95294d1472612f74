import type { SqlValue, Store } from '../../db/connection.js';
import { identifier, literal } from '../../db/sql.js';
import { isStoreError } from '../../engine-errors.js';
import { type Key, MAX_OFFSET } from '../../ledger/keys.js';
import type { CellsRecord, SkipReason } from '../../ledger/records.js';
import { LEDGER_TABLES } from '../../ledger/tables.js';
import type { Backfill } from '../../steps/define.js';
import {
  assignmentsSql,
  type FillOptions,
  packedCells,
  RejectedUpdate,
  type RevertedRows,
} from '../batch.js';
import type { Dialect } from '../dialect.js';
import { dueSql, type KeyKind, rowSql } from '../rows.js';
import { derive } from './derive.js';
import { updateOf } from './inspect.js';
import { afterKeySql, checkTexts, emptyTemporary, keyOf } from './keys.js';

/**
 * One batch, in sets. Rows are read and derived once, into a temporary table in memory. One UPDATE then fills the table, and one
 * INSERT per reason records the skips. Only client-side rows and the offsets of the filled keys pass through JavaScript.
 */

/** Client-side rows read at once. */
const PAGE = 1000;

/** Temporary table of a batch: per row the key, the columns that were NULL, and their values. */
const ROWS = 'temp.umzug_backfill_batch';

/** SQL for a mask with bit i set for each column i that meets `condition(i)`. */
const maskSql = (backfill: Backfill, condition: (i: number) => string): string =>
  backfill.columns.map((_, i) => `((${condition(i)}) << ${i})`).join(' + ');

const anyValueSql = (backfill: Backfill): string =>
  `(${backfill.columns.map((_, i) => `b.v${i} IS NOT NULL`).join(' OR ')})`;

/**
 * Whether a row may be to blame for a result code: a constraint, a trigger's RAISE, a value too long, an expression of an index or
 * a trigger that fails on it. Other errors would also occur with fewer rows.
 */
const isRowError = (code: string): boolean =>
  /^SQLITE_(?:CONSTRAINT|MISMATCH|TOOBIG|ERROR)(?:_|$)/.test(code);

/** The first and last key of a batch, with its number of rows. */
interface Span {
  readonly firstKey: Key;
  readonly lastKey: Key;
  readonly rows: number;
}

/** Fills the next rows after the cursor. See the `Dialect`. */
export const fillBatch: Dialect['fillBatch'] = async (store, backfill, take) => {
  const { limit, batch, hasTriggers, rejected } = take;
  const { kind } = await keyOf(store, backfill);
  const values = backfill.columns.map((_, i) => `v${i}`).join(', ');
  const more = `failure, wanted, ${values}, ignored DEFAULT 0, refusal`;
  await emptyTemporary(store, 'umzug_backfill_batch', kind, more);
  const read = await readRows(store, backfill, kind, take);
  if (read === 0) return undefined;
  if (kind === 'text') await checkTexts(store, backfill, ROWS);
  const { trimmed, ...span } = await trimmedSpan(store, read);
  const due = await store.get<Readonly<Record<'toUpdate' | 'wanted', number>>>(
    `SELECT count(*) FILTER (WHERE ${anyValueSql(backfill)}) AS toUpdate,
      sum(${backfill.columns.map((_, i) => `(wanted >> ${i} & 1)`).join(' + ')}) AS wanted FROM ${ROWS} AS b`,
  );
  if (!due) throw new RangeError('An aggregate returns a row');
  // A rejected row keeps its NULLs.
  if (rejected)
    await store.run(
      `UPDATE ${ROWS} AS b SET refusal = ?, ${backfill.columns.map((_, i) => `v${i} = NULL`).join(', ')}
      WHERE k = ? AND ${anyValueSql(backfill)}`,
      rejected.code,
      rejected.key,
    );
  const updated = await updateRows(store, backfill, span);
  if (hasTriggers || updated !== due.toUpdate) await markIgnored(store, backfill);
  const skips = await recordSkips(store, backfill, batch, span, rejected !== undefined);
  const { cells, count } = await filledCells(store, backfill, span.firstKey);
  return {
    firstKey: span.firstKey,
    lastKey: span.lastKey,
    rowsScanned: span.rows,
    cellsFilled: count,
    cellsSkipped: due.wanted - count,
    skips,
    cells,
    isLast: read < limit && trimmed === 0,
  };
};

/** Reads and derives the next rows, and returns their number. */
async function readRows(
  store: Store,
  backfill: Backfill,
  kind: KeyKind | undefined,
  { cursor, watermark, limit, excludeSkips }: FillOptions,
): Promise<number> {
  const derivation = await derive(store, backfill);
  const { clientInput } = derivation;
  const rows = await rowSql(store, backfill);
  const due = `${rows.key} <= ? AND ${dueSql(backfill, rows, excludeSkips)}`;
  const values = backfill.columns.map((_, i) => `v${i}`);
  const wanted = maskSql(backfill, (i) => `c${i} IS NULL`);
  const select = (after: string): string => derivation.select({ where: `${after} AND ${due}`, limit: '?' });
  const list = values.join(', ');
  const insert = `INSERT INTO ${ROWS} (k, failure, wanted, ${list})`;
  if (!derivation.isClientSide) {
    const [after, from] = afterKeySql(kind, rows.key, cursor);
    const offered = values.map((value, i) => `CASE WHEN c${i} IS NULL THEN ${value} END`);
    const sql = `${insert} SELECT k, failure, ${wanted}, ${offered.join(', ')} FROM (${select(after)})`;
    return await store.run(sql, from, watermark, limit);
  }
  let [read, last] = [0, cursor];
  while (read < limit) {
    const [after, from] = afterKeySql(kind, rows.key, last);
    const sql = `SELECT k, ${wanted} AS wanted, ${clientInput.join(', ')} FROM (${select(after)})`;
    const bounds = [from, watermark, Math.min(PAGE, limit - read)];
    const page = await store.allExact<Record<string, SqlValue> & { k: Key; wanted: bigint }>(sql, ...bounds);
    const derived = derivation.derive(page.map((row) => clientInput.map((name) => row[name])));
    const offered = page.map(({ k: rowKey, wanted: bits }, at) => {
      const { values: own = [], failure = null } = derived[at] ?? {};
      const due = values.map((_, i) => ((Number(bits) >> i) & 1 ? (own[i] ?? null) : null));
      return { key: rowKey, values: [...due, failure, bits] };
    });
    const { sql: offers, parameters } = derivation.given(offered, 2);
    const n = values.length;
    await store.run(`${insert} SELECT k, v${n}, v${n + 1}, ${list} FROM ${offers}`, ...parameters);
    read += page.length;
    last = page.at(-1)?.k ?? null;
    if (page.length < PAGE) break;
  }
  return read;
}

/**
 * Returns the span of the rows that were read, after deleting those whose key is too far from the first to be packed.
 *
 * @returns with the number of deleted rows
 */
async function trimmedSpan(store: Store, read: number): Promise<Span & { readonly trimmed: number }> {
  const ends = `SELECT (SELECT min(k) FROM ${ROWS}) AS firstKey, (SELECT max(k) FROM ${ROWS}) AS lastKey`;
  const span = await store.getExact<Pick<Span, 'firstKey' | 'lastKey'>>(ends);
  if (!span) throw new RangeError('A SELECT without FROM returns a row');
  const { firstKey, lastKey } = span;
  if (typeof firstKey !== 'bigint' || typeof lastKey !== 'bigint' || lastKey - firstKey <= MAX_OFFSET)
    return { ...span, rows: read, trimmed: 0 };
  const trimmed = await store.run(`DELETE FROM ${ROWS} WHERE k > ?`, firstKey + BigInt(MAX_OFFSET));
  return { ...span, ...(await store.getExact<typeof span>(ends)), rows: read - trimmed, trimmed };
}

/** Fills the table and returns the number of updated rows. */
async function updateRows(store: Store, backfill: Backfill, span: Span): Promise<number> {
  const key = identifier(backfill.key);
  try {
    // The range is for the planner: whichever side it reads first, it reads no more than the batch.
    return await store.run(
      `${await updateOf(store, backfill.table)} AS t SET ${assignmentsSql(backfill, 'b')} FROM ${ROWS} AS b
      WHERE b.k = t.${key} AND t.${key} BETWEEN ? AND ? AND ${anyValueSql(backfill)}`,
      span.firstKey,
      span.lastKey,
    );
  } catch (error) {
    if (!isStoreError(error) || !isRowError(error.code)) throw error;
    throw new RejectedUpdate(span.rows, { key: span.firstKey, code: error.code }, error);
  }
}

/** Clears the values of cells that a trigger has kept NULL: they do not count as filled. */
async function markIgnored(store: Store, backfill: Backfill): Promise<void> {
  const table = identifier(backfill.table);
  const key = identifier(backfill.key);
  for (const [i, { name }] of backfill.columns.entries())
    await store.run(
      `UPDATE ${ROWS} AS b SET ignored = ignored | ${1 << i}, v${i} = NULL
      WHERE v${i} IS NOT NULL AND (SELECT t.${identifier(name)} FROM ${table} AS t WHERE t.${key} = b.k) IS NULL`,
    );
}

async function recordSkips(
  store: Store,
  backfill: Backfill,
  batch: number,
  { firstKey, lastKey }: Span,
  hasRefusal: boolean,
): Promise<number> {
  const name = literal(backfill.name);
  // Deletes the skips that an earlier run recorded for these rows. The plus makes the planner start from the skips, which are few.
  await store.run(
    `DELETE FROM ${LEDGER_TABLES.skips}
    WHERE backfill = ${name} AND key BETWEEN ? AND ? AND +key IN (SELECT k FROM ${ROWS})`,
    firstKey,
    lastKey,
  );
  const record = async (target: string, reason: string, condition: string): Promise<number> =>
    await store.run(
      `INSERT INTO ${LEDGER_TABLES.skips} (backfill, key, target, reason, batch)
      SELECT ${name}, k, ${literal(target)}, ${reason}, ? FROM ${ROWS} WHERE ${condition}`,
      batch,
    );
  const because = (reason: SkipReason): string => literal(reason);
  let skips = await record('*', 'failure', 'failure IS NOT NULL');
  if (hasRefusal) skips += await record('*', 'refusal', 'refusal IS NOT NULL');
  for (const [i, { name: column }] of backfill.columns.entries())
    skips += await record(
      column,
      `CASE WHEN ignored >> ${i} & 1 THEN ${because('UPDATE_IGNORED')} ELSE ${because('NO_USABLE_VALUE')} END`,
      `v${i} IS NULL AND wanted >> ${i} & 1 AND failure IS NULL AND refusal IS NULL`,
    );
  return skips;
}

async function filledCells(store: Store, backfill: Backfill, firstKey: Key) {
  const { columns } = backfill;
  const holds = (bits: number): string =>
    columns.map((_, i) => `v${i} IS ${(bits >> i) & 1 ? 'NOT ' : ''}NULL`).join(' AND ');
  // Most rows have all values: comparing them is cheaper than collecting their masks.
  const full = 2 ** columns.length - 1;
  const mask = maskSql(backfill, (i) => `v${i} IS NOT NULL`);
  const others = await store.all<{ mask: number }>(
    `SELECT DISTINCT ${mask} AS mask FROM ${ROWS} WHERE NOT (${holds(full)})`,
  );
  let count = 0;
  const cells: CellsRecord[] = [];
  const [key, from] = typeof firstKey === 'bigint' ? ['k - ?', [firstKey]] : ['k', []];
  for (const bits of [full, ...others.map((other) => other.mask)]) {
    if (bits === 0) continue;
    const sql = `SELECT ${key} FROM ${ROWS} WHERE ${holds(bits)} ORDER BY k`;
    const keys = await store.pluck<number | string>(sql, ...from);
    if (keys.length === 0) continue;
    const packed = packedCells(backfill, bits, firstKey, keys);
    count += keys.length * packed.columns.length;
    cells.push(packed);
  }
  return { cells, count };
}

/** Sets cells to NULL if they hold the derived value, through a temporary table of their rows. See the `Dialect`. */
export const revertRows: Dialect['revertRows'] = async (store, { backfill, isSame }, columns, given) => {
  const { kind } = await keyOf(store, backfill);
  const key = identifier(backfill.key);
  const revert = 'temp.umzug_backfill_revert';
  const each = (of: (i: number) => string, separator: string): string => columns.map(of).join(separator);
  const isOurs = (i: number): string => `(r.ours >> ${i} & 1)`;
  await emptyTemporary(store, 'umzug_backfill_revert', kind, 'others, ours');
  await store.run(
    `INSERT INTO ${revert} (k, others, ours)
    SELECT k, ${each((i) => `(c${i} IS NOT NULL AND NOT ${isSame(`c${i}`, `v${i}`)})`, ' + ')},
      ${each((i) => `((c${i} IS NOT NULL AND ${isSame(`c${i}`, `v${i}`)}) << ${i})`, ' + ')} FROM (${given.sql})`,
    ...given.parameters,
  );
  const counts = await store.get<Omit<RevertedRows, 'done'>>(
    `SELECT coalesce(sum(${each(isOurs, ' + ')}), 0) AS reverted, coalesce(sum(others), 0) AS others, count(*) AS rows,
      count(*) FILTER (WHERE ours <> 0) AS due FROM ${revert} AS r`,
  );
  const assignments = each((i) => {
    const name = identifier(backfill.columns[i]?.name ?? '');
    return `${name} = CASE WHEN ${isOurs(i)} THEN NULL ELSE t.${name} END`;
  }, ', ');
  // The range is for the planner: it reads no more of the table than the batch.
  const done = await store.run(
    `${await updateOf(store, backfill.table)} AS t SET ${assignments} FROM ${revert} AS r
    WHERE r.k = t.${key} AND t.${key} BETWEEN (SELECT min(k) FROM ${revert}) AND (SELECT max(k) FROM ${revert}) AND r.ours <> 0`,
  );
  return counts && { ...counts, done };
};
