import type { SqlValue, Store } from '../../db/connection.js';
import { identifier, literal } from '../../db/sql.js';
import { isStoreError } from '../../engine-errors.js';
import { encodeIntegerKeys, encodeTextKeys, type Key, MAX_OFFSET } from '../../ledger/keys.js';
import type { CellsRecord, SkipReason } from '../../ledger/records.js';
import { LEDGER_TABLES } from '../../ledger/tables.js';
import type { Backfill } from '../../steps/define.js';
import {
  type BatchResult,
  type FillOptions,
  type RejectedRow,
  RejectedUpdate,
  type RevertedRows,
  updateIgnored,
} from '../batch.js';
import type { Derivation, Given } from '../derive.js';
import { anyNullSql, type KeyKind, rowSql } from '../rows.js';
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

/** Fills the next rows after the cursor. See the `Dialect`. */
export async function fillBatch(
  store: Store,
  backfill: Backfill,
  take: FillOptions,
): Promise<BatchResult | undefined> {
  const { limit, batch, hasTriggers, rejected } = take;
  const { kind } = await keyOf(store, backfill);
  const values = backfill.columns.map((_, i) => `v${i}`).join(', ');
  await emptyTemporary(
    store,
    'umzug_backfill_batch',
    kind,
    `failure, wanted, ${values}, ignored DEFAULT 0, refusal`,
  );
  const read = await readRows(store, backfill, kind, take);
  if (read === 0) return undefined;
  if (kind === 'text') await checkTexts(store, backfill, ROWS);
  const trimmed =
    kind === 'text'
      ? 0
      : await store.run(`DELETE FROM ${ROWS} WHERE k - (SELECT min(k) FROM ${ROWS}) > ?`, MAX_OFFSET);

  const span = await store.getExact<{
    firstKey: Key;
    lastKey: Key;
    rows: bigint;
    wanted: bigint;
    toUpdate: bigint;
  }>(
    `SELECT min(k) AS firstKey, max(k) AS lastKey, count(*) AS rows, count(*) FILTER (WHERE ${anyValueSql(backfill)}) AS toUpdate,
      sum(${backfill.columns.map((_, i) => `(wanted >> ${i} & 1)`).join(' + ')}) AS wanted FROM ${ROWS} AS b`,
  );
  if (!span) throw new RangeError('An aggregate returns a row');
  if (rejected) await excludeRejected(store, backfill, rejected);
  const updated = await updateRows(store, backfill, span);
  if (hasTriggers || updated !== Number(span.toUpdate)) await markIgnored(store, backfill);
  const skips = await recordSkips(store, backfill, batch, span);
  const { cells, count } = await filledCells(store, backfill, span.firstKey);
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

/** Reads and derives the next rows, and returns their number. */
async function readRows(
  store: Store,
  backfill: Backfill,
  kind: KeyKind | undefined,
  { cursor, watermark, limit, excludeSkips }: FillOptions,
): Promise<number> {
  const derivation = await derive(store, backfill);
  const { inScope, isSkipped, key } = await rowSql(store, backfill);
  const conditions = [
    `${key} <= ?`,
    inScope,
    anyNullSql(backfill),
    ...(excludeSkips ? [`NOT ${isSkipped}`] : []),
  ];
  const values = backfill.columns.map((_, i) => `v${i}`);
  const wanted = maskSql(backfill, (i) => `c${i} IS NULL`);
  const select = (after: string): string =>
    derivation.select({ where: [after, ...conditions].join(' AND '), limit: '?' });
  const insert = `INSERT INTO ${ROWS} (k, failure, wanted, ${values.join(', ')})`;
  if (!derivation.isClientSide) {
    const [after, from] = afterKeySql(kind, key, cursor);
    const offered = values.map((value, i) => `CASE WHEN c${i} IS NULL THEN ${value} END`);
    return await store.run(
      `${insert} SELECT k, failure, ${wanted}, ${offered.join(', ')} FROM (${select(after)})`,
      from,
      watermark,
      limit,
    );
  }
  let [read, last] = [0, cursor];
  while (read < limit) {
    const [after, from] = afterKeySql(kind, key, last);
    const page = await store.allExact<Record<string, SqlValue> & { k: Key; wanted: bigint }>(
      `SELECT k, ${wanted} AS wanted, ${derivation.clientInput.join(', ')} FROM (${select(after)})`,
      from,
      watermark,
      Math.min(PAGE, limit - read),
    );
    const derived = derivation.derive(page.map((row) => derivation.clientInput.map((name) => row[name])));
    const offered = page.map(({ k: rowKey, wanted: bits }, at) => {
      const { values: own = [], failure = null } = derived[at] ?? {};
      const due = values.map((_, i) => ((Number(bits) >> i) & 1 ? (own[i] ?? null) : null));
      return { key: rowKey, values: [...due, failure, bits] };
    });
    const given = derivation.given(offered, 2);
    const [n, m] = [values.length, values.length + 1];
    await store.run(
      `${insert} SELECT k, v${n}, v${m}, ${values.join(', ')} FROM ${given.sql}`,
      ...given.parameters,
    );
    read += page.length;
    last = page.at(-1)?.k ?? null;
    if (page.length < PAGE) break;
  }
  return read;
}

/** Removes the values of a rejected row, so that it keeps its NULLs. */
async function excludeRejected(store: Store, backfill: Backfill, { key, code }: RejectedRow): Promise<void> {
  const nothing = backfill.columns.map((_, i) => `v${i} = NULL`).join(', ');
  await store.run(
    `UPDATE ${ROWS} AS b SET refusal = ?, ${nothing} WHERE k = ? AND ${anyValueSql(backfill)}`,
    code,
    key,
  );
}

/** Fills the table and returns the number of updated rows. */
async function updateRows(
  store: Store,
  backfill: Backfill,
  span: { readonly firstKey: Key; readonly lastKey: Key; readonly rows: bigint },
): Promise<number> {
  const key = identifier(backfill.key);
  const assignments = backfill.columns.map(
    ({ name }, i) => `${identifier(name)} = coalesce(t.${identifier(name)}, b.v${i})`,
  );
  try {
    // The range is for the planner: whichever side it reads first, it reads no more than the batch.
    return await store.run(
      `${await updateOf(store, backfill.table)} AS t SET ${assignments.join(', ')} FROM ${ROWS} AS b
      WHERE b.k = t.${key} AND t.${key} BETWEEN ? AND ? AND ${anyValueSql(backfill)}`,
      span.firstKey,
      span.lastKey,
    );
  } catch (error) {
    if (!isStoreError(error) || !isRowError(error.code)) throw error;
    throw new RejectedUpdate(Number(span.rows), { key: span.firstKey, code: error.code }, error);
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
  span: { readonly firstKey: Key; readonly lastKey: Key },
): Promise<number> {
  const name = literal(backfill.name);
  // Deletes the skips that an earlier run recorded for these rows. The plus makes the planner start from the skips, which are few.
  await store.run(
    `DELETE FROM ${LEDGER_TABLES.skips}
    WHERE backfill = ${name} AND key BETWEEN ? AND ? AND +key IN (SELECT k FROM ${ROWS})`,
    span.firstKey,
    span.lastKey,
  );
  const record = async (target: string, reason: string, condition: string): Promise<number> =>
    await store.run(
      `INSERT INTO ${LEDGER_TABLES.skips} (backfill, key, target, reason, batch)
      SELECT ${name}, k, ${literal(target)}, ${reason}, ? FROM ${ROWS} WHERE ${condition}`,
      batch,
    );
  const because = (reason: SkipReason): string => literal(reason);
  let skips = await record('*', 'failure', 'failure IS NOT NULL');
  skips += await record('*', 'refusal', 'refusal IS NOT NULL');
  for (const [i, { name: column }] of backfill.columns.entries())
    skips += await record(
      column,
      `CASE WHEN ignored >> ${i} & 1 THEN ${because('UPDATE_IGNORED')} ELSE ${because('NO_USABLE_VALUE')} END`,
      `failure IS NULL AND refusal IS NULL AND wanted >> ${i} & 1 AND v${i} IS NULL`,
    );
  return skips;
}

async function filledCells(
  store: Store,
  backfill: Backfill,
  firstKey: Key,
): Promise<{ cells: CellsRecord[]; count: number }> {
  const mask = maskSql(backfill, (i) => `v${i} IS NOT NULL`);
  const masks = await store.all<{ mask: number }>(`SELECT DISTINCT ${mask} AS mask FROM ${ROWS}`);
  let count = 0;
  const cells: CellsRecord[] = [];
  for (const { mask: bits } of masks) {
    if (bits === 0) continue;
    const columns = backfill.columns.filter((_, i) => (bits >> i) & 1).map(({ name }) => name);
    const where = `WHERE ${mask} = ? ORDER BY k`;
    const keys =
      typeof firstKey === 'bigint'
        ? await store.pluck<number>(`SELECT k - ? FROM ${ROWS} ${where}`, firstKey, bits)
        : await store.pluck<string>(`SELECT k FROM ${ROWS} ${where}`, bits);
    count += keys.length * columns.length;
    const packed =
      typeof firstKey === 'bigint' ? encodeIntegerKeys(keys as number[]) : encodeTextKeys(keys as string[]);
    cells.push({ columns, firstKey, keys: packed });
  }
  return { cells, count };
}

/** Sets cells to NULL if they hold the derived value, through a temporary table of their rows. See the `Dialect`. */
export async function revertRows(
  store: Store,
  { backfill, isSame }: Derivation,
  columns: readonly number[],
  { sql, parameters }: Given,
): Promise<RevertedRows> {
  const { kind } = await keyOf(store, backfill);
  const key = identifier(backfill.key);
  const revert = 'temp.umzug_backfill_revert';
  const each = (of: (i: number) => string, separator: string): string => columns.map(of).join(separator);
  const isOurs = (i: number): string => `(r.ours >> ${i} & 1)`;
  await emptyTemporary(store, 'umzug_backfill_revert', kind, 'others, ours');
  await store.run(
    `INSERT INTO ${revert} (k, others, ours)
    SELECT k, ${each((i) => `(c${i} IS NOT NULL AND NOT ${isSame(`c${i}`, `v${i}`)})`, ' + ')},
      ${each((i) => `((c${i} IS NOT NULL AND ${isSame(`c${i}`, `v${i}`)}) << ${i})`, ' + ')} FROM (${sql})`,
    ...parameters,
  );
  const counts = await store.get<RevertedRows & { readonly due: number }>(
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
  const { rows = 0, reverted = 0, others = 0, due = 0 } = counts ?? {};
  if (done !== due) throw updateIgnored(backfill, due - done);
  return { rows, reverted, others };
}
