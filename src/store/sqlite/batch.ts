import type { Backfill } from '../../backfill/define.js';
import { mapEach } from '../../each.js';
import { isStoreError } from '../../errors.js';
import { type Key, MAX_OFFSET, packKeys, packTexts } from '../../ledger/keys.js';
import type { CellsRecord, SkipReason } from '../../ledger/records.js';
import { LEDGER_TABLES } from '../../ledger/tables.js';
import { type FillOptions, type RefusedRow, RefusedUpdate } from '../batch.js';
import type { BatchResult, Store } from '../port.js';
import { anyNullSql, isSkippedSql, scopeSql } from '../rows.js';
import { identifier, literal } from '../sql.js';
import { derivationSql } from './derive.js';
import { updateOf } from './inspect.js';
import { behindSql, checkTexts, keyColumn, keyKind } from './keys.js';

/**
 * One batch, in sets: the rows are read and their values derived once, into a temporary table in memory; from there
 * one UPDATE fills the table and one INSERT a reason records the skips. Only rare texts and the offsets of the filled
 * keys pass through JavaScript.
 */

const BATCH = 'temp.umzug_backfill_batch';

/** Makes the temporary table for a backfill's batches; once a run. */
export async function prepareFill(store: Store, backfill: Backfill): Promise<void> {
  const values = backfill.columns.map((_, i) => `v${i}`).join(', ');
  await store.exec(`DROP TABLE IF EXISTS ${BATCH};
    CREATE TEMP TABLE umzug_backfill_batch
      (${keyColumn(await keyKind(store, backfill))}, failure, wanted, ${values}, ignored DEFAULT 0, refusal);`);
}

/** Bit i of a mask for each column i for which `condition(i)` holds. */
const maskSql = (backfill: Backfill, condition: (i: number) => string): string =>
  backfill.columns.map((_, i) => `((${condition(i)}) << ${i})`).join(' + ');

const anyValueSql = (backfill: Backfill): string =>
  `(${backfill.columns.map((_, i) => `b.v${i} IS NOT NULL`).join(' OR ')})`;

/**
 * Result codes that a row can be to blame for: a constraint, a trigger's RAISE, a value too long, an expression of an
 * index or a trigger that fails on it. Any other would be no different with fewer rows.
 */
const isRowsFault = (code: string): boolean =>
  /^SQLITE_(?:CONSTRAINT|MISMATCH|TOOBIG|ERROR)(?:_|$)/.test(code);

/**
 * Fills the next rows behind the cursor. Runs inside its caller's transaction.
 *
 * @returns what was done, or undefined when no row was left
 * @throws {RefusedUpdate} when a row, or one of several, can not be updated
 */
export async function fillBatch(
  store: Store,
  backfill: Backfill,
  { cursor, watermark, limit, batch, leavesSkips, hasTriggers, refused }: FillOptions,
): Promise<BatchResult | undefined> {
  const key = identifier(backfill.key);
  const kind = await keyKind(store, backfill);
  const [behind, from] = behindSql(kind, `t.${key}`, cursor);
  await store.run(`DELETE FROM ${BATCH}`);
  const tail = `WHERE ${behind} AND t.${key} <= ? AND ${scopeSql(backfill, store.dialect)} AND ${anyNullSql(backfill)}
      ${leavesSkips ? `AND NOT ${await isSkippedSql(store, backfill)}` : ''} ORDER BY t.${key} LIMIT ?`;
  const read = await store.run(
    `INSERT INTO ${BATCH} (k, failure, wanted, ${backfill.columns.map((_, i) => `v${i}`).join(', ')})
    SELECT k, failure, ${maskSql(backfill, (i) => `c${i} IS NULL`)},
      ${backfill.columns.map((_, i) => `CASE WHEN c${i} IS NULL THEN v${i} END`).join(', ')}
    FROM (${await derivationSql(store, backfill, { tail })})`,
    from,
    watermark,
    limit,
  );
  if (read === 0) return undefined;
  if (kind === 'text') await checkTexts(store, backfill, BATCH);
  const trimmed =
    kind === 'text'
      ? 0
      : await store.run(`DELETE FROM ${BATCH} WHERE k - (SELECT min(k) FROM ${BATCH}) > ?`, MAX_OFFSET);

  const span = await store.getExact<{
    firstKey: Key;
    lastKey: Key;
    rows: bigint;
    wanted: bigint;
    toUpdate: bigint;
  }>(
    `SELECT min(k) AS firstKey, max(k) AS lastKey, count(*) AS rows, count(*) FILTER (WHERE ${anyValueSql(backfill)}) AS toUpdate,
      sum(${backfill.columns.map((_, i) => `(wanted >> ${i} & 1)`).join(' + ')}) AS wanted FROM ${BATCH} AS b`,
  );
  if (!span) throw new RangeError('An aggregate returns a row');
  if (refused) await leaveOut(store, backfill, refused);
  const updated = await updateRows(store, backfill, span);
  if (hasTriggers || updated !== Number(span.toUpdate)) await noteIgnored(store, backfill);
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

/** A row that is refused keeps its NULLs. */
async function leaveOut(store: Store, backfill: Backfill, { key, code }: RefusedRow): Promise<void> {
  const nothing = backfill.columns.map((_, i) => `v${i} = NULL`).join(', ');
  await store.run(
    `UPDATE ${BATCH} AS b SET refusal = ?, ${nothing} WHERE k = ? AND ${anyValueSql(backfill)}`,
    code,
    key,
  );
}

/** Returns how many rows were updated. */
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
      `${await updateOf(store, backfill.table)} AS t SET ${assignments.join(', ')} FROM ${BATCH} AS b
      WHERE b.k = t.${key} AND t.${key} BETWEEN ? AND ? AND ${anyValueSql(backfill)}`,
      span.firstKey,
      span.lastKey,
    );
  } catch (error) {
    if (!isStoreError(error) || !isRowsFault(error.code)) throw error;
    throw new RefusedUpdate(Number(span.rows), { key: span.firstKey, code: error.code }, error);
  }
}

/** Cells that are still NULL behind the UPDATE, as a trigger has it, are not filled. */
async function noteIgnored(store: Store, backfill: Backfill): Promise<void> {
  const table = identifier(backfill.table);
  const key = identifier(backfill.key);
  await mapEach(backfill.columns, async ({ name }, i) => {
    await store.run(
      `UPDATE ${BATCH} AS b SET ignored = ignored | ${1 << i}, v${i} = NULL
      WHERE v${i} IS NOT NULL AND (SELECT t.${identifier(name)} FROM ${table} AS t WHERE t.${key} = b.k) IS NULL`,
    );
  });
}

async function recordSkips(
  store: Store,
  backfill: Backfill,
  batch: number,
  span: { readonly firstKey: Key; readonly lastKey: Key },
): Promise<number> {
  const name = literal(backfill.name);
  // What an earlier run recorded of these rows; the plus makes the planner go by the skips, which are few.
  await store.run(
    `DELETE FROM ${LEDGER_TABLES.skips}
    WHERE backfill = ${name} AND key BETWEEN ? AND ? AND +key IN (SELECT k FROM ${BATCH})`,
    span.firstKey,
    span.lastKey,
  );
  const record = async (target: string, reason: string, condition: string): Promise<number> =>
    await store.run(
      `INSERT INTO ${LEDGER_TABLES.skips} (backfill, key, target, reason, batch)
      SELECT ${name}, k, ${literal(target)}, ${reason}, ? FROM ${BATCH} WHERE ${condition}`,
      batch,
    );
  const because = (reason: SkipReason): string => literal(reason);
  const counts = [
    await record('*', 'failure', 'failure IS NOT NULL'),
    await record('*', 'refusal', 'refusal IS NOT NULL'),
    ...(await mapEach(
      backfill.columns,
      async ({ name: column }, i) =>
        await record(
          column,
          `CASE WHEN ignored >> ${i} & 1 THEN ${because('UPDATE_IGNORED')} ELSE ${because('NO_USABLE_VALUE')} END`,
          `failure IS NULL AND refusal IS NULL AND wanted >> ${i} & 1 AND v${i} IS NULL`,
        ),
    )),
  ];
  return counts.reduce((sum, count) => sum + count, 0);
}

async function filledCells(
  store: Store,
  backfill: Backfill,
  firstKey: Key,
): Promise<{ cells: CellsRecord[]; count: number }> {
  const mask = maskSql(backfill, (i) => `v${i} IS NOT NULL`);
  const masks = await store.all<{ mask: number }>(`SELECT DISTINCT ${mask} AS mask FROM ${BATCH}`);
  let count = 0;
  const cells = await mapEach(
    masks.filter(({ mask: bits }) => bits !== 0),
    async ({ mask: bits }) => {
      const columns = backfill.columns.filter((_, i) => (bits >> i) & 1).map(({ name }) => name);
      const where = `WHERE ${mask} = ? ORDER BY k`;
      const keys =
        typeof firstKey === 'bigint'
          ? await store.pluck<number>(`SELECT k - ? FROM ${BATCH} ${where}`, firstKey, bits)
          : await store.pluck<string>(`SELECT k FROM ${BATCH} ${where}`, bits);
      count += keys.length * columns.length;
      const packed = typeof firstKey === 'bigint' ? packKeys(keys as number[]) : packTexts(keys as string[]);
      return { columns, firstKey, keys: packed };
    },
  );
  return { cells, count };
}
