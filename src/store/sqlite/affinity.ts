import type { Backfill } from '../../backfill/define.js';
import type { Store } from '../port.js';
import { foldCase } from '../sql.js';
import { tableColumns } from './inspect.js';

/**
 * What a column prefers to store: a number as text in a `TEXT` column, an integer as floating point in a `REAL` one. Derived values are
 * compared in the form in which the column stores them.
 *
 * @see https://www.sqlite.org/datatype3.html#determination_of_column_affinity
 */
export type Affinity = 'TEXT' | 'REAL' | 'OTHER';

const affinityOf = (type: string): Affinity => {
  if (/int/i.test(type)) return 'OTHER';
  if (/char|clob|text/i.test(type)) return 'TEXT';
  return /real|floa|doub/i.test(type) && !/blob/i.test(type) ? 'REAL' : 'OTHER';
};

/** Affinities of the columns of a backfill, by their order. A column that is not there yet counts as `OTHER`. */
export async function affinities(store: Store, { table, columns }: Backfill): Promise<Affinity[]> {
  const types = new Map((await tableColumns(store, table)).map(({ name, type }) => [foldCase(name), type]));
  return columns.map(({ name }) => affinityOf(types.get(foldCase(name)) ?? ''));
}

/** SQL for a derived value as its column stores it, as far as a comparison with the column does not see to that itself. */
export const storedSql = (value: string, affinity: Affinity | undefined): string =>
  affinity === 'REAL'
    ? `CASE WHEN (${value}) IS CAST((${value}) AS NUMERIC) THEN CAST(CAST((${value}) AS NUMERIC) AS REAL) ELSE (${value}) END`
    : value;
