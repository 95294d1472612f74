import type { SqlValue, Store } from '../../db/connection.js';
import { foldCase, identifier, literal } from '../../db/sql.js';
import { IS_UTF8 } from '../../db/sqlite/store.js';
import type { Key } from '../../ledger/keys.js';
import type { Backfill } from '../../steps/define.js';
import type { CellValue } from '../../steps/values.js';
import type { Derivation, Given, SelectOptions } from '../derive.js';
import { type Derived, deriveRows, VALUE_INVALID, withoutInvalid, withProcess } from '../process.js';
import { expressionSql, scopeSql } from '../rows.js';
import { firstOfSql } from './first-of.js';
import { tableColumns } from './inspect.js';

/** The part of one way to derive values in the two selects. */
export interface Parts {
  /** Columns of the inner select, on `t`, each with an alias. */
  readonly inner: readonly string[];
  /** Values of the outer select, by the number of the column. */
  readonly values: ReadonlyMap<number, string>;
  /** Condition of the outer select for a row that can be derived. Default: all can. */
  readonly isDerivable?: string;
  /** SQL for the reason of the skip of the other rows. */
  readonly failure?: string;
}

/** The derivation on SQLite. */
interface SqliteDerivation extends Derivation {
  /** @param more number of further values after those of the columns */
  given(rows: readonly { readonly key: Key; readonly values: readonly CellValue[] }[], more?: number): Given;
}

/**
 * Returns how SQLite derives rows. Rows of a `process` are derived client-side, with the values that SQLite derives for other
 * columns as input; rare documents are read by a function of the connection.
 */
export async function derive(store: Store, backfill: Backfill): Promise<SqliteDerivation> {
  const { process, key, table } = backfill;
  const stored = await affinities(store, backfill);
  const reads = process ? [key, ...process.reads] : [];
  return {
    backfill,
    select: (options) => selectSql(backfill, options, stored),
    clientInput: [...reads.map((_, i) => `p${i}`), ...(process ? extraOf(backfill) : [])],
    isClientSide: process !== undefined,
    derive: (rows) =>
      process ? deriveClientRows(backfill, process, stored, rows as readonly (readonly SqlValue[])[]) : [],
    given: (rows, more = 0) => givenSql([...stored, ...new Array<Affinity>(more).fill('OTHER')], rows),
    ofKeys: (runs) => ({
      // The aliases are ours: an expression of the backfill may name a column as json_each() does, such as `id` and `key`.
      from: `(SELECT value ->> 0 AS umzug_first, value ->> 1 AS umzug_last FROM json_each(?)) AS r CROSS JOIN ${identifier(table)} AS t`,
      where: `t.${identifier(key)} BETWEEN r.umzug_first AND r.umzug_last`,
      parameters: [`[${runs.map((run) => `[${run.map(keyJson).join(',')}]`).join(',')}]`],
    }),
    isSame: (cell, value) => `${cell} IS ${value} COLLATE BINARY`,
    text: (value) => value,
    fallback: (_, column) => `t.${identifier(column)}`,
  };
}

/**
 * Returns the columns of a client-side row that SQLite has derived: the reason of a skip, and the values that `process` does not
 * fill.
 */
function extraOf({ columns }: Backfill): string[] {
  const values = columns.flatMap(({ value }, i) => (value.kind === 'process' ? [] : [`v${i}`]));
  return values.length === 0 ? [] : ['failure', ...values];
}

/** @param rows per row: the key, the columns that `process` reads, and those of {@link extraOf} */
function deriveClientRows(
  backfill: Backfill,
  process: NonNullable<Backfill['process']>,
  stored: readonly Affinity[],
  rows: readonly (readonly SqlValue[])[],
): Derived[] {
  const { columns } = backfill;
  const extra = extraOf(backfill);
  const width = process.reads.length + 1;
  const at = columns.map((_, i) => extra.indexOf(`v${i}`));
  const cellOf = (row: readonly SqlValue[], place: number): SqlValue =>
    place < 0 ? null : (row[width + place] ?? null);
  const derived =
    extra.length === 0
      ? deriveRows(backfill, process, rows)
      : withProcess(
          backfill,
          process,
          rows.map((row) => {
            const reason = cellOf(row, 0);
            return {
              values: at.map((place) => cellOf(row, place)),
              failure: reason === null ? null : String(reason),
            };
          }),
          rows,
        );
  return derived.map(({ values, failure }) => {
    const held = values.map((value, i) => ((at[i] ?? -1) < 0 ? heldBy(stored[i], value) : value));
    return withoutInvalid({ values: held, failure }, isTooLarge);
  });
}

const keyJson = (key: Key): string => (typeof key === 'string' ? JSON.stringify(key) : String(key));

/** Returns SQL for the rows in scope in a shell without our functions: rare texts count as unreadable, and `process` has no values. */
export const plainDerivationSql = (
  backfill: Backfill,
  extra: Readonly<Record<string, string>> = {},
): string => selectSql(backfill, { where: scopeSql(backfill, { engine: 'SQLite' }), extra });

/**
 * Returns two nested selects, each computed once per row: the columns of the row, and the values derived from them. A LIMIT inside
 * and a WHERE outside keep SQLite from merging them, which would compute each expression wherever it is named.
 *
 * @see https://www.sqlite.org/optoverview.html#subquery_flattening rule 19
 */
function selectSql(
  backfill: Backfill,
  { from = `${identifier(backfill.table)} AS t`, where, limit, extra = {}, absent }: SelectOptions,
  stored?: readonly Affinity[],
): string {
  const { columns, key, process } = backfill;
  const ways = [firstOfSql(backfill, stored === undefined), expressionsSql(backfill)];
  const reads = process && stored ? [key, ...process.reads] : [];
  const inner = [
    `t.${identifier(key)} AS k`,
    ...columns.map(({ name }, i) =>
      absent?.has(foldCase(name)) ? `NULL AS c${i}` : `t.${identifier(name)} AS c${i}`,
    ),
    ...ways.flatMap((way) => way.inner),
    ...reads.map((name, i) => `t.${identifier(name)} AS p${i}`),
    ...Object.entries(extra).map(([alias, sql]) => `${sql} AS ${alias}`),
  ];
  const { isDerivable, failure } = ways.find((way) => way.isDerivable !== undefined) ?? {};
  const values = new Map(
    ways.flatMap((way) => [...way.values].map(([i, value]) => [i, storedSql(value, stored?.[i])] as const)),
  );
  // JavaScript would change a text that is not valid UTF-8.
  const invalid = (reads.length === 0 ? [] : [...values.values()]).map(
    (value) => `typeof(${value}) = 'text' AND NOT ${IS_UTF8}(CAST(${value} AS BLOB))`,
  );
  const reasons = [
    ...(isDerivable === undefined ? [] : [[`NOT (${isDerivable})`, failure]]),
    ...invalid.map((condition) => [condition, literal(VALUE_INVALID)]),
  ].map(([condition, reason]) => `WHEN ${condition} THEN ${reason}`);
  const onlyIfWell = (value: string): string =>
    isDerivable === undefined ? value : `CASE WHEN ${isDerivable} THEN ${value} END`;
  const outer = [
    'k',
    ...columns.map((_, i) => `c${i}`),
    ...columns.map((_, i) => `${onlyIfWell(values.get(i) ?? 'NULL')} AS v${i}`),
    `${reasons.length === 0 ? 'NULL' : `CASE ${reasons.join(' ')} END`} AS failure`,
    ...reads.map((_, i) => `p${i}`),
    ...Object.keys(extra),
  ];
  const order = limit === undefined ? '' : `ORDER BY t.${identifier(key)}`;
  return `SELECT ${outer.join(', ')}
  FROM (SELECT ${inner.join(', ')} FROM ${from} WHERE ${where} ${order} LIMIT ${limit ?? -1})
  WHERE k IS NOT NULL`;
}

/** Returns the SQL of `sql()`: the expression itself, read with the row. */
function expressionsSql({ columns }: Backfill): Parts {
  const ours = columns.flatMap(({ value }, i) => (value.kind === 'sql' ? [{ value, i }] : []));
  return {
    inner: ours.map(({ value, i }) => `${expressionSql(value, 'SQLite')} AS e${i}`),
    values: new Map(ours.map(({ i }) => [i, `+e${i}`])), // the plus removes the affinity of a column
  };
}

/** Sizes of statements with values, in rows. Each size is compiled once, and padded with NULL rows. */
const GIVEN_ROWS = [1, 8, 64, 1000];

/** Returns values as a table of SQL. */
function givenSql(
  stored: readonly Affinity[],
  rows: readonly { readonly key: Key; readonly values: readonly CellValue[] }[],
): Given {
  const size = GIVEN_ROWS.find((least) => least >= rows.length) ?? rows.length;
  const row = `(${['k', ...stored].map(() => '?').join(', ')})`;
  const values = stored.map((affinity, i) => `${storedSql(`column${i + 2}`, affinity)} AS v${i}`);
  const cells = new Array<CellValue>(size * (stored.length + 1)).fill(null);
  let at = 0;
  for (const { key, values: own } of rows) {
    cells[at++] = key;
    for (let i = 0; i < stored.length; i += 1) cells[at++] = own[i] ?? null;
  }
  return {
    sql: `(SELECT column1 AS k, ${values.join(', ')} FROM (VALUES ${new Array(size).fill(row).join(', ')}) WHERE column1 IS NOT NULL) AS given`,
    parameters: cells as SqlValue[],
  };
}

/**
 * The type that a column prefers to store: `TEXT` stores a number as text, `REAL` an integer as floating point. Derived values are
 * compared as the column stores them.
 *
 * @see https://www.sqlite.org/datatype3.html#determination_of_column_affinity
 */
type Affinity = 'TEXT' | 'REAL' | 'OTHER';

const affinityOf = (type: string): Affinity => {
  if (/int/i.test(type)) return 'OTHER';
  if (/char|clob|text/i.test(type)) return 'TEXT';
  return /real|floa|doub/i.test(type) && !/blob/i.test(type) ? 'REAL' : 'OTHER';
};

/** Returns the affinities of the columns of a backfill, in their order; `OTHER` for a column that does not exist yet. */
async function affinities(store: Store, { table, columns }: Backfill): Promise<Affinity[]> {
  const types = new Map((await tableColumns(store, table)).map(({ name, type }) => [foldCase(name), type]));
  return columns.map(({ name }) => affinityOf(types.get(foldCase(name)) ?? ''));
}

/** Returns SQL for a derived value as its column stores it, unless a comparison with the column converts it anyway. */
const storedSql = (value: string, affinity: Affinity | undefined): string =>
  affinity === 'REAL'
    ? `CASE WHEN (${value}) IS CAST((${value}) AS NUMERIC) THEN CAST(CAST((${value}) AS NUMERIC) AS REAL) ELSE (${value}) END`
    : value;

/** Converts a number to the form that JavaScript and PostgreSQL give it: SQLite would bind each as floating point. */
function heldBy(affinity: Affinity | undefined, value: CellValue): CellValue {
  if (typeof value !== 'number' && typeof value !== 'bigint') return value;
  if (affinity === 'TEXT') return String(value);
  if (affinity === 'REAL') return Number(value);
  return Number.isSafeInteger(value) ? BigInt(value) : value;
}

const isTooLarge = (value: CellValue): boolean =>
  typeof value === 'bigint' && BigInt.asIntN(64, value) !== value;
