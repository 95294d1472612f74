import type { Backfill } from '../../backfill/define.js';
import type { Key } from '../../ledger/keys.js';
import { LEDGER_TABLES } from '../../ledger/tables.js';
import { explained } from '../expressions.js';
import { asKey } from '../keys.js';
import type { KeyRange, Store } from '../port.js';
import { isSkippedSql, partsSql, scopeSql } from '../rows.js';
import { identifier, isSameName, literal, tokensOf } from '../sql.js';
import { derivationSql } from './derive.js';
import { tableColumns } from './inspect.js';
import { checkTexts } from './keys.js';

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
