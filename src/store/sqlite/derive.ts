import type { Backfill } from '../../backfill/define.js';
import type { Store } from '../port.js';
import { expressionSql, scopeSql } from '../rows.js';
import { foldCase, identifier } from '../sql.js';
import { type Affinity, affinities, storedSql } from './affinity.js';
import { firstOfSql } from './first-of.js';
import { processSql, registerProcess } from './process.js';

/**
 * The SQL that derives a backfill's values, for batches, rollback, verification and dry run alike.
 *
 * Two nested selects, each computed once a row: what is read of the row, and the values made of it. SQLite would merge them
 * into one and compute each expression wherever it is named. A LIMIT inside and a WHERE outside forbid that.
 *
 * @see https://www.sqlite.org/optoverview.html#subquery_flattening rule 19
 */
export interface DerivationOptions {
  /** FROM clause, with the table under the alias `t`. Default: the table alone. */
  readonly from?: string;
  /** What follows: WHERE, ORDER BY, LIMIT, on `t`. It must have a LIMIT. Default: rows in scope. */
  readonly tail?: string;
  /** Further columns, by alias: SQL on `t`. */
  readonly extra?: Readonly<Record<string, string>>;
  /** Columns of the backfill that the table does not have yet, in folded case: they count as NULL. */
  readonly absent?: ReadonlySet<string>;
}

const SQLITE_ENGINE = { engine: 'SQLite' } as const;

/** What one way to derive values adds to the two selects. */
export interface Derivation {
  /** Columns of the inner select, on `t`, each with an alias. */
  readonly inner: readonly string[];
  /** Values of the outer select, by the number of the column. */
  readonly values: ReadonlyMap<number, string>;
  /** Condition of the outer select for a row that can be derived at all. Default: each can. */
  readonly isWell?: string;
  /** Why the others can't: SQL for the reason of a skip. */
  readonly failure?: string;
}

/**
 * A SELECT that yields, for each row: `k` the key; for the i-th column `c<i>` its present value and `v<i>` the value
 * derived for it, NULL when there is none; `failure`, the reason where the row can't be derived at all, else NULL; and
 * the extra columns.
 */
export async function derivationSql(
  store: Store,
  backfill: Backfill,
  options: DerivationOptions = {},
): Promise<string> {
  registerProcess(store, backfill);
  return selectSql(backfill, options, await affinities(store, backfill));
}

/** The same for a shell that lacks our functions: rare texts count as unreadable there, and `process` gives nothing. */
export const plainDerivationSql = (backfill: Backfill, options: DerivationOptions = {}): string =>
  selectSql(backfill, options);

function selectSql(
  backfill: Backfill,
  { absent, extra = {}, ...options }: DerivationOptions,
  stored?: readonly Affinity[],
): string {
  const isPlain = stored === undefined;
  const from = options.from ?? `${identifier(backfill.table)} AS t`;
  const tail = options.tail ?? `WHERE ${scopeSql(backfill, SQLITE_ENGINE)} LIMIT -1`;
  const ways = [
    firstOfSql(backfill, isPlain),
    expressionsSql(backfill),
    ...(backfill.process ? [processSql(backfill, backfill.process, stored)] : []),
  ];
  const inner = [
    `t.${identifier(backfill.key)} AS k`,
    ...backfill.columns.map(({ name }, i) =>
      absent?.has(foldCase(name)) ? `NULL AS c${i}` : `t.${identifier(name)} AS c${i}`,
    ),
    ...ways.flatMap((way) => way.inner),
    ...Object.entries(extra).map(([alias, sql]) => `${sql} AS ${alias}`),
  ];
  const { isWell, failure } = ways.find((way) => way.isWell !== undefined) ?? {};
  const values = new Map(
    ways.flatMap((way) => [...way.values].map(([i, value]) => [i, storedSql(value, stored?.[i])] as const)),
  );
  const outer = [
    'k',
    ...backfill.columns.map((_, i) => `c${i}`),
    ...backfill.columns.map((_, i) => `${onlyIf(isWell, values.get(i) ?? 'NULL')} AS v${i}`),
    `${isWell === undefined ? 'NULL' : `CASE WHEN NOT (${isWell}) THEN ${failure} END`} AS failure`,
    ...Object.keys(extra),
  ];
  return `SELECT ${outer.join(', ')}
  FROM (SELECT ${inner.join(', ')} FROM ${from} ${tail})
  WHERE k IS NOT NULL`;
}

const onlyIf = (isWell: string | undefined, value: string): string =>
  isWell === undefined ? value : `CASE WHEN ${isWell} THEN ${value} END`;

/** The SQL of `sql()`: the expression itself, read with the row. */
function expressionsSql({ columns }: Backfill): Derivation {
  const ours = columns.flatMap(({ value }, i) => (value.kind === 'sql' ? [{ value, i }] : []));
  return {
    inner: ours.map(({ value, i }) => `${expressionSql(value, 'SQLite')} AS e${i}`),
    values: new Map(ours.map(({ i }) => [i, `+e${i}`])), // without the affinity of a column that it names
  };
}
