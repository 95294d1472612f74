import type { Backfill } from '../../backfill/define.js';
import type { Key } from '../../ledger/keys.js';
import { LEDGER_TABLES } from '../../ledger/tables.js';
import { explained } from '../expressions.js';
import { asKey } from '../keys.js';
import type { FillWindow, KeyRange, Store } from '../port.js';
import { anyNullSql, isSkippedSql, partsSql, scopeSql } from '../rows.js';
import { identifier, isSameName, literal, tokensOf } from '../sql.js';
import { isBusy } from './busy.js';
import { derivationSql } from './derive.js';
import { tableColumns } from './inspect.js';
import { behindSql, checkTexts, keyKind } from './keys.js';
import { sliceEnds } from './slices.js';
import { withoutWaiting } from './wal.js';

/** First and last key of the table, or undefined when it is empty. */
export async function keyRange(store: Store, backfill: Backfill): Promise<KeyRange | undefined> {
  const sql = (end: 'min' | 'max', name: string): string =>
    `SELECT ${end}(${identifier(backfill.key)}) AS ${name} FROM ${identifier(backfill.table)}`;
  const keyAt = async (end: 'min' | 'max'): Promise<unknown> =>
    (await store.getExact<{ key: unknown }>(sql(end, 'key')))?.key ?? null;
  const last = await keyAt('max');
  if (last === null) return undefined;
  // A text that JavaScript can't hold would come back as another, and rows behind that would never be reached.
  if (typeof last === 'string') await checkTexts(store, backfill, `(${sql('max', 'k')})`);
  return [asKey(await keyAt('min'), backfill), asKey(last, backfill)];
}

/** Whether the table's keys only grow, so that rows written later are found behind the watermark. */
export async function hasGrowingKeys(store: Store, backfill: Backfill): Promise<boolean> {
  const isPrimary = (await tableColumns(store, backfill.table)).some(
    ({ name, pk }) => pk > 0 && isSameName(name, backfill.key),
  );
  if (!isPrimary) return false;
  const row = await store.get<{ sql: string }>(
    `SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = ? COLLATE NOCASE`,
    backfill.table,
  );
  return [...tokensOf(row?.sql ?? '')].includes('autoincrement');
}

/**
 * Whether the next key of a table with AUTOINCREMENT may be `watermark` or less: it is one more than the greatest of the keys in the
 * table and of `sqlite_sequence`, which is lost when the table is made anew.
 *
 * @see https://www.sqlite.org/autoinc.html
 */
export async function hasRestartedKeys(store: Store, backfill: Backfill, watermark: Key): Promise<boolean> {
  if (!(await hasGrowingKeys(store, backfill))) return false;
  const sequence = await store.getExact<{ seq: bigint }>(
    'SELECT seq FROM sqlite_sequence WHERE name = ? COLLATE NOCASE',
    backfill.table,
  );
  return [(await keyRange(store, backfill))?.[1], sequence?.seq].every(
    (key) => key === undefined || key < watermark,
  );
}

/** Rows of the table that a window has: to pass over so many takes less time than to fill the fewest that a batch has. */
const WINDOW_ROWS = 20_000;

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
  const [kind, key, table] = [
    await keyKind(store, backfill),
    `t.${identifier(backfill.key)}`,
    `${identifier(backfill.table)} AS t`,
  ];
  const skipped = leavesSkips ? ` AND NOT ${await isSkippedSql(store, backfill)}` : '';
  const due = `${scopeSql(backfill, store.dialect)} AND ${anyNullSql(backfill)}${skipped}`;
  const find = async (): Promise<FillWindow> => {
    let start = after;
    for await (const end of sliceEnds(store, backfill, after, upTo)) {
      const [behind, from] = behindSql(kind, key, start);
      const where = `FROM ${table} WHERE ${behind} AND ${key} <= ?`;
      if (await store.get(`SELECT 1 ${where} AND ${due} LIMIT 1`, from, end)) {
        const last = await store.getExact<{ key: unknown }>(
          `SELECT ${key} AS key ${where} ORDER BY ${key} LIMIT 1 OFFSET ${WINDOW_ROWS}`,
          from,
          upTo,
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

/**
 * How many cells in scope up to `watermark` hold their derived value already, before a run: with what the run fills,
 * as many must hold it afterwards.
 *
 * @param onlySkipped whether to count only in rows that are recorded as skips: what the application has mended itself
 */
export async function countFound(
  store: Store,
  backfill: Backfill,
  watermark: Key,
  { onlySkipped = false } = {},
): Promise<number> {
  const filled = backfill.columns.map(({ name }) => `t.${identifier(name)} IS NOT NULL`).join(' OR ');
  const skipped = onlySkipped ? ` AND ${await isSkippedSql(store, backfill)}` : '';
  const found = `${scopeSql(backfill, store.dialect)} AND (${filled})${skipped}`;
  const matches = backfill.columns.map(({ name }, i) => {
    const isSkip = `EXISTS (SELECT 1 FROM ${LEDGER_TABLES.skips} AS s
      WHERE s.backfill = ${literal(backfill.name)} AND s.key = k AND s.target IN ('*', ${literal(name)}))`;
    return `(c${i} IS NOT NULL AND c${i} IS v${i} COLLATE BINARY${onlySkipped ? ` AND ${isSkip}` : ''})`;
  });
  let cells = 0;
  await explained(store, backfill, async () => {
    for await (const part of partsSql(store, backfill, null, watermark)) {
      const rows = await derivationSql(store, backfill, { tail: `WHERE ${part} AND ${found} LIMIT -1` });
      const row = await store.get<{ cells: number }>(
        `SELECT total(${matches.join(' + ')}) AS cells FROM (${rows})`,
      );
      cells += row?.cells ?? 0;
    }
  });
  return cells;
}
