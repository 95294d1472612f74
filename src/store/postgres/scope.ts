import type { Backfill } from '../../backfill/define.js';
import { findEach, mapEach } from '../../each.js';
import type { Key } from '../../ledger/keys.js';
import { explained } from '../expressions.js';
import { keyLiteral } from '../keys.js';
import type { Store } from '../port.js';
import { behindSql, isCellSkippedSql, isSkippedSql, scopeSql } from '../rows.js';
import { identifier } from '../sql.js';
import { judgedRows } from './judged.js';
import { keySql } from './keys.js';
import { EQ, LE, LT, operator } from './texts.js';

/** From so many rows on a run is cut into so many ranges, for several processes to take in turn. */
const RANGES: readonly (readonly [rows: number, ranges: number])[] = [
  [100_000, 64],
  [2000, 8],
  [0, 1],
];

/** Last keys of the ranges of a run: of integers by their value, of texts by their number. */
export async function rangeEnds(
  store: Store,
  backfill: Backfill,
  start: Key | null,
  end: Key,
): Promise<readonly Key[]> {
  const key = await keySql(store, backfill);
  const table = `${identifier(backfill.table)} AS t`;
  const where = `${await behindSql(store, backfill, start)} AND ${key} ${LE} ${keyLiteral(end)}`;
  const keyAt = async (row: number): Promise<Key | undefined> =>
    (
      await store.project.getExact<{ k: Key }>(
        `SELECT ${key} AS k FROM ${table} WHERE ${where} ORDER BY ${key} LIMIT 1 OFFSET ${row}`,
      )
    )?.k;
  const first = await keyAt(0);
  const [, ranges = 1] =
    (await findEach(RANGES, async ([rows]) => rows === 0 || (await keyAt(rows)) !== undefined)) ?? [];
  if (first === undefined) return [end];
  if (typeof first === 'bigint' && typeof end === 'bigint') return integerEnds(first, end, ranges);
  if (ranges === 1) return [end];
  const ends = await store.project.allExact<{ k: Key }>(
    `SELECT k FROM (SELECT ${key} AS k, pg_catalog.row_number() OVER w AS n, pg_catalog.count(*) OVER () AS rows FROM ${table} WHERE ${where}
      WINDOW w AS (ORDER BY ${key})) AS numbered WHERE (n ${operator('%')} greatest(1, rows ${operator('/')} ${ranges})) ${EQ} 0 AND k ${LT} ${keyLiteral(end)} ORDER BY k`,
  );
  return [...ends.map(({ k }) => k), end];
}

function integerEnds(first: bigint, last: bigint, ranges: number): bigint[] {
  const width = (last - first) / BigInt(ranges) + 1n;
  const ends: bigint[] = [];
  for (let end = first + width - 1n; end < last; end += width) ends.push(end);
  return [...ends, last];
}

/** How many cells in scope up to `watermark` hold their derived value. */
export async function countFound(
  store: Store,
  backfill: Backfill,
  watermark: Key,
  { onlySkipped = false } = {},
): Promise<number> {
  const filled = backfill.columns.map(({ name }) => `t.${identifier(name)} IS NOT NULL`).join(' OR ');
  const skipped = onlySkipped ? ` AND ${await isSkippedSql(store, backfill)}` : '';
  const where = `WHERE ${await keySql(store, backfill)} ${LE} ${keyLiteral(watermark)} AND ${scopeSql(backfill, store.dialect)} AND (${filled})${skipped}`;
  const any = await explained(
    store,
    backfill,
    async () =>
      await store.project.get(`SELECT 1 AS found FROM ${identifier(backfill.table)} AS t ${where} LIMIT 1`),
  );
  if (any === undefined) return 0;
  const extra = onlySkipped
    ? Object.fromEntries(
        await mapEach(backfill.columns, async ({ name }, i) => [
          `s${i}`,
          await isCellSkippedSql(store, backfill, name),
        ]),
      )
    : {};
  let cells = 0;
  await explained(
    store,
    backfill,
    async () =>
      await store.snapshot(async (tx) => {
        for await (const page of judgedRows(tx, backfill, where, extra))
          for (const [, state, ...skips] of page)
            for (let i = 0; i < backfill.columns.length; i += 1)
              if (((state >> (2 * i)) & 3) === 2 && (!onlySkipped || skips[i] === 1n)) cells += 1;
      }),
  );
  return cells;
}
