import type { Backfill } from '../../backfill/define.js';
import { fallbackOf } from '../../backfill/values.js';
import { mapEach } from '../../each.js';
import type { Key } from '../../ledger/keys.js';
import { keyLiteral } from '../keys.js';
import type { KeyRange, ScanRow, Store } from '../port.js';
import { scopeSql } from '../rows.js';
import { identifier } from '../sql.js';
import { derivationSql, heldSql, TEXT, targetTypes } from './derive.js';
import { fallbackSql } from './first-of.js';
import { keySql } from './keys.js';
import { isSameSql, stateSql, statesOf } from './resolve.js';
import { GE, LE, operator } from './texts.js';

/** A row with how its cells stand: see `ScanRow`. */
type JudgedRow = readonly [key: Key, state: number, ...extra: unknown[]];

type Found = readonly [key: Key, state: bigint, raw: string | null, ...extra: unknown[]];

/**
 * The rows of a WHERE clause, in pages, each with how its cells stand. In a snapshot.
 *
 * @param extra further columns, by alias: SQL on the row as `t`
 */
export async function* judgedRows(
  store: Store,
  backfill: Backfill,
  where: string,
  extra: Readonly<Record<string, string>> = {},
): AsyncGenerator<JudgedRow[]> {
  const names = Object.keys(extra);
  const sql = `SELECT k, ${stateSql(
    backfill,
    (i) => `c${i}`,
    (i) => `v${i}`,
  )}, raw${names.map((name) => `, ${name}`).join('')}
    FROM (${await derivationSql(store, backfill, { tail: where, extra })}) AS derived`;
  for await (const page of store.project.pages<Found>(sql)) yield await judged(store, backfill, page);
}

async function judged(store: Store, backfill: Backfill, page: readonly Found[]): Promise<JudgedRow[]> {
  const raws = page.flatMap(([key, , raw]) => (raw === null ? [] : [{ key, raw }]));
  const states = raws.length === 0 ? new Map<Key, number>() : await statesOf(store, backfill, raws);
  return page.map(([key, state, , ...extra]) => [key, states.get(key) ?? Number(state), ...extra]);
}

/** The rows in scope of a range of keys, derived and compared by the server, so that only what it can't judge leaves it. */
export async function scanRows(
  store: Store,
  backfill: Backfill,
): Promise<(range: KeyRange) => AsyncIterable<readonly ScanRow[]>> {
  const { checks, columns } = backfill;
  const group =
    checks.groupBy === undefined
      ? 'NULL::pg_catalog.text'
      : `t.${identifier(checks.groupBy)}::pg_catalog.text`;
  const values = checks.areTimestamps
    ? columns.map(({ name }, i) => [`u${i}`, `t.${identifier(name)}::pg_catalog.text`] as const)
    : [];
  const types = await targetTypes(store, backfill);
  const fallbacks = await mapEach(columns, async ({ name, value }, i) => {
    const column = fallbackOf(value);
    if (column === undefined || !checks.areTimestamps) return '0';
    const [cell, type] = [`t.${identifier(name)}`, types[i] ?? TEXT];
    const fallback = heldSql(store, await fallbackSql(store, backfill, column), type);
    return `CASE WHEN ${cell} IS NOT NULL AND ${isSameSql(cell, fallback)} THEN ${2 ** i} ELSE 0 END`;
  });
  const extra = Object.fromEntries([
    ['g', group],
    ['same', `(${fallbacks.join(` ${operator('+')} `)})::pg_catalog.float8`],
    ...values,
  ]);
  const key = await keySql(store, backfill);
  return ([first, last]) =>
    judgedRows(
      store,
      backfill,
      `WHERE ${scopeSql(backfill, store.dialect)} AND ${key} ${GE} ${keyLiteral(first)} AND ${key} ${LE} ${keyLiteral(last)}`,
      extra,
    ) as AsyncIterable<readonly ScanRow[]>;
}
