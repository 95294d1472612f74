import type { Backfill } from '../../backfill/define.js';
import type { Derived } from '../../backfill/process.js';
import type { Key } from '../../ledger/keys.js';
import { keyLiteral } from '../keys.js';
import type { SqlValue, Store } from '../port.js';
import { foldCase, identifier } from '../sql.js';
import { heldSql, TEXT, targetTypes, valueLiteral } from './derive.js';
import { keyTypeOf, typesOf } from './key-type.js';
import { keySql } from './keys.js';
import { deriveRaw } from './raw.js';
import { EQ, operator } from './texts.js';

/** A row that PostgreSQL leaves to this program, with what it needs to derive it. */
export interface RawRow {
  readonly key: Key;
  readonly raw: string;
}

/** Derives such rows. */
export async function resolveRaw(
  store: Store,
  backfill: Backfill,
  rows: readonly RawRow[],
): Promise<readonly Derived[]> {
  const types = await typesOf(store, backfill.table);
  const kinds = [backfill.key, ...(backfill.process?.reads ?? [])].map(
    (name) => types.get(foldCase(name)) ?? 'text',
  );
  return deriveRaw(
    backfill,
    rows.map(({ raw }) => raw),
    kinds,
  );
}

/**
 * Values of rows as a table of SQL with the columns `k` and `v0` and on, each of its column's type.
 *
 * @param options `isStrict`: whether a value that its column can't hold is an error. Default: it is NULL then
 */
export async function valuesSql(
  store: Store,
  backfill: Backfill,
  rows: readonly { readonly key: Key; readonly values: Derived['values'] }[],
  { isStrict = false } = {},
): Promise<string> {
  const types = await targetTypes(store, backfill);
  const { type } = await keyTypeOf(store, backfill);
  const textLiteral = (value: SqlValue): string => valueLiteral(value, TEXT);
  const lines = rows.map(({ key, values }) => {
    const cells = types.map((held, i) => {
      const value = (values[i] ?? null) as SqlValue;
      return isStrict ? valueLiteral(value, held) : textLiteral(value);
    });
    return `((${keyLiteral(key)})::${type}, ${cells.join(', ')})`;
  });
  const given = `(VALUES ${lines.join(', ')}) AS given(k, ${types.map((_, i) => `v${i}`).join(', ')})`;
  if (isStrict) return given;
  // OFFSET 0: the server computes what it knows to be a constant, such as the only row of VALUES, before it asks a condition.
  return `(SELECT k, ${types.map((held, i) => `${heldSql(store, `v${i}`, held)} AS v${i}`).join(', ')}
    FROM (SELECT * FROM ${given} OFFSET 0) AS given) AS given`;
}

/**
 * How cells stand against values that this program has derived, compared by the server: of each row the states of `ScanRow`, two bits a
 * column.
 */
export async function statesOf(
  store: Store,
  backfill: Backfill,
  rows: readonly RawRow[],
): Promise<Map<Key, number>> {
  const derived = await resolveRaw(store, backfill, rows);
  const given = await valuesSql(
    store,
    backfill,
    rows.map(({ key }, i) => ({ key, values: derived[i]?.values ?? [] })),
  );
  const found = await store.project.allExact<{ k: Key; state: bigint }>(
    `SELECT given.k, ${stateSql(
      backfill,
      (i) => `t.${identifier(backfill.columns[i]?.name ?? '')}`,
      (i) => `given.v${i}`,
    )} AS state
    FROM ${given} JOIN ${identifier(backfill.table)} AS t ON ${await keySql(store, backfill)} ${EQ} given.k`,
  );
  return new Map(found.map(({ k, state }) => [k, Number(state)]));
}

/** SQL for the states of a row's cells, two bits a column. */
export const stateSql = (
  backfill: Backfill,
  cell: (i: number) => string,
  value: (i: number) => string,
): string =>
  backfill.columns
    .map(
      (_, i) =>
        `((CASE WHEN ${cell(i)} IS NULL THEN CASE WHEN ${value(i)} IS NULL THEN 0 ELSE 1 END
          WHEN ${isSameSql(cell(i), value(i))} THEN 2 ELSE 3 END)::pg_catalog.int8 ${operator('*')} ${4 ** i})`,
    )
    .join(` ${operator('+')} `);

/** SQL condition for two values that are the same, by their texts: a type may take others for equal, and some can't be compared. */
export function isSameSql(a: string, b: string): string {
  const [one, other] = [a, b].map((value) => `(${value})::pg_catalog.text`);
  return `coalesce(${one} COLLATE pg_catalog."C" ${EQ} ${other} COLLATE pg_catalog."C", ${one} IS NULL AND ${other} IS NULL)`;
}
