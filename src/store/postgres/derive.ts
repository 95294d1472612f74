import type { Backfill } from '../../backfill/define.js';
import { flatMapEach, mapEach } from '../../each.js';
import type { SqlValue, Store } from '../port.js';
import { expressionSql } from '../rows.js';
import { foldCase, identifier, literal } from '../sql.js';
import { firstOfParts } from './first-of.js';
import { typesOf } from './key-type.js';
import { keySql } from './keys.js';
import { requirePostgres } from './statements.js';
import { typeSql } from './texts.js';
import { HOLDS, needsTryJson } from './try-json.js';

/**
 * The SQL that derives a backfill's values, for batches, rollback, verification and dry run alike: each row is read once, in a subquery
 * whose OFFSET 0 keeps the planner from computing an expression wherever it is named.
 *
 * What only this program can judge is left to it: `raw` has what it needs of a row then, and is NULL otherwise. Those are documents that
 * PostgreSQL's reader knows no answer for, and every row of a `process`.
 */
export interface DerivationOptions {
  /** FROM clause, with the table under the alias `t`. Default: the table alone. */
  readonly from?: string;
  /** What follows: WHERE, ORDER BY, LIMIT, on `t`. */
  readonly tail: string;
  /** Further columns, by alias: SQL on `t`. */
  readonly extra?: Readonly<Record<string, string>>;
  /** Columns of the backfill that the table does not have yet, in folded case: they count as NULL. */
  readonly absent?: ReadonlySet<string>;
  /** Whether a value that its column can't hold is an error. Default: there is none then. */
  readonly isStrict?: boolean;
  /** SQL condition on `k` for rows that no value is derived for. Default: none. */
  readonly except?: string;
}

/** What one way to derive values adds. */
export interface Parts {
  /** Columns of the inner select, on `t`, each with an alias. */
  readonly inner: readonly string[];
  /** Columns of the selects around it, each on those within. */
  readonly levels?: readonly (readonly string[])[];
  /** Values, by the number of the column, on both. */
  readonly values: ReadonlyMap<number, string>;
  /** SQL that is true for a row that is left to this program. */
  readonly isRaw?: string;
  /** What it needs of that: texts. */
  readonly raw?: readonly string[];
  /** Numbers of columns whose values it is given as well, as texts behind those: the server has derived them. */
  readonly rawBeside?: readonly number[];
  /** SQL for the reason of a skip of the whole row, or NULL. */
  readonly failure?: string;
}

/** Types of the columns of a backfill as SQL, by its order: what a value is made of before it is compared or written. */
export async function targetTypes(store: Store, backfill: Backfill): Promise<string[]> {
  const types = await typesOf(store, backfill.table);
  return await mapEach(backfill.columns, async ({ name }) => {
    const type = types.get(foldCase(name)) ?? 'text';
    const base = await baseType(store, type);
    return typeSql(ofAnyLength(base) === base ? type : ofAnyLength(base));
  });
}

/** A cast to a type with a length would cut a value without a word; an UPDATE refuses it instead. */
const ofAnyLength = (type: string): string =>
  type
    .replace(/^character varying\(\d+\)/, 'character varying')
    .replace(/^character\(\d+\)/, 'bpchar')
    .replace(/^bit(?: varying)?\(\d+\)/, 'bit varying');

/** What a domain is made of; any other type itself. */
async function baseType(store: Store, type: string): Promise<string> {
  const sql = `SELECT format_type(typbasetype, typtypmod) AS type FROM pg_type WHERE oid = to_regtype(${literal(type)}) AND typtype = 'd'`;
  const base = await requirePostgres(store).remember(
    sql,
    async () => (await store.get<{ type: string }>(sql))?.type,
  );
  return base === undefined ? type : await baseType(store, base);
}

/**
 * A SELECT that yields, for each row: `k` the key; for the i-th column `c<i>` its present value and `v<i>`
 * the value derived for it, of the column's type, NULL when there is none; `failure`, the reason where the row can't be derived at all,
 * else NULL; `raw`, a JSON array of texts where this program has to derive it, else NULL; and the extra columns.
 */
export async function derivationSql(
  store: Store,
  backfill: Backfill,
  options: DerivationOptions,
): Promise<string> {
  const { from = `${identifier(backfill.table)} AS t`, tail, extra = {}, absent, except } = options;
  const types = await targetTypes(store, backfill);
  const ways = [await firstOfParts(store, backfill), expressionParts(backfill), processParts(backfill)];
  const extras = Object.entries(extra);
  const inner = [
    `${await keySql(store, backfill)} AS k`,
    ...backfill.columns.map(({ name }, i) =>
      absent?.has(foldCase(name)) ? `NULL::${types[i]} AS c${i}` : `t.${identifier(name)} AS c${i}`,
    ),
    ...ways.flatMap((way) => way.inner),
    ...extras.map(([alias, sql]) => `${sql} AS ${alias}`),
  ];
  const values = new Map(ways.flatMap((way) => [...way.values]));
  const failures = ways.flatMap((way) => way.failure ?? []);
  const raws = ways.flatMap((way) => (way.isRaw === undefined ? [] : [way]));
  const isRaw = raws.length === 0 ? 'false' : raws.map((way) => `coalesce(${way.isRaw}, false)`).join(' OR ');
  const failure = failures.length === 0 ? 'NULL::pg_catalog.text' : `coalesce(${failures.join(', ')})`;
  const isWell = `NOT is_raw AND failure IS NULL${except === undefined ? '' : ` AND NOT (${except})`}`;
  const valueSql = async (i: number): Promise<string> => {
    const [value, type] = [values.get(i), types[i] ?? TEXT];
    if (value === undefined) return `NULL::${type}`;
    return options.isStrict
      ? `(${value})::${type}`
      : heldSql(store, value, type, await valueType(store, backfill, i));
  };
  const columns = backfill.columns.map((_, i) => i);
  const unless = (sql: string): string =>
    except === undefined ? sql : `CASE WHEN NOT (${except}) THEN ${sql} END`;
  const raw = await flatMapEach(raws, async (way) => [
    ...(way.raw ?? []),
    ...(await mapEach(way.rawBeside ?? [], async (i) => unless(`(${await valueSql(i)})::pg_catalog.text`))),
  ]);
  return `SELECT k, ${columns.map((i) => `c${i}`).join(', ')},
    ${(await mapEach(columns, async (i) => `CASE WHEN ${isWell} THEN ${await valueSql(i)} END AS v${i}`)).join(',\n    ')},
    CASE WHEN NOT is_raw THEN failure END AS failure,
    ${raw.length === 0 ? 'NULL::pg_catalog.text' : `CASE WHEN is_raw THEN pg_catalog.json_build_array(${raw.join(', ')})::pg_catalog.text END`} AS raw${extras.map(([alias]) => `, ${alias}`).join('')}
  FROM (SELECT *, (${isRaw}) AS is_raw, ${failure} AS failure
    FROM (${nested(`SELECT ${inner.join(', ')} FROM ${from} ${tail}`, ways)}) AS looked_at OFFSET 0) AS judged`;
}

/** A select with those around it. */
function nested(inner: string, ways: readonly Parts[]): string {
  const depth = Math.max(...ways.map(({ levels = [] }) => levels.length));
  let sql = inner;
  for (let level = 0; level < depth; level += 1) {
    const columns = ways.flatMap(({ levels = [] }) => levels[level] ?? []);
    sql = `SELECT *, ${columns.join(', ')} FROM (${sql}) AS level${level} OFFSET 0`;
  }
  return sql;
}

/** The SQL of `sql()`: the expression itself, read with the row. */
function expressionParts({ columns }: Backfill): Parts {
  const ours = columns.flatMap(({ value }, i) => (value.kind === 'sql' ? [{ value, i }] : []));
  return {
    inner: ours.map(({ value, i }) => `${expressionSql(value, 'PostgreSQL')} AS e${i}`),
    values: new Map(ours.map(({ i }) => [i, `e${i}`])),
  };
}

/** Every row of a `process` is this program's: it gets the key and the columns that are read, as they are. */
function processParts({ process, key }: Backfill): Parts {
  if (!process) return { inner: [], values: new Map() };
  const names = [key, ...process.reads];
  return {
    inner: names.map((name, i) => `t.${identifier(name)} AS p${i}`),
    values: new Map(),
    isRaw: 'true',
    raw: names.map((_, i) => `p${i}::pg_catalog.text`), // JSON would make another text of a document, and of a number
  };
}

/** A value as SQL of a column's type. */
export function valueLiteral(value: SqlValue | Uint8Array, type: string): string {
  const text = value === null ? undefined : textOf(value);
  return text === undefined ? `NULL::${type}` : `${literal(text)}::${type}`;
}

/** A value as the text that a column's type reads. */
export const textOf = (value: Exclude<SqlValue, null> | Uint8Array): string =>
  value instanceof Uint8Array ? `\\x${Buffer.from(value).toString('hex')}` : String(value);

/** Type of a column's value before it becomes the column's own, as SQL. */
async function valueType(store: Store, { table, columns }: Backfill, i: number): Promise<string> {
  const value = columns[i]?.value;
  if (value?.kind !== 'sql') return TEXT;
  const sql = `SELECT pg_catalog.pg_typeof((SELECT ${expressionSql(value, 'PostgreSQL')} FROM ${identifier(table)} AS t LIMIT 0))::pg_catalog.oid AS type`;
  return await requirePostgres(store).remember(sql, async () => {
    const oid = (await store.project.get<{ type: number }>(sql))?.type ?? null;
    return typeSql(
      (await store.get<{ type: string }>('SELECT format_type(?, NULL) AS type', oid))?.type ?? 'text',
    );
  });
}

/** SQL for the type of a text. */
export const TEXT = 'pg_catalog.text';

const isText = (type: string): boolean => /^(?:pg_catalog\.(?:text|bpchar)|character varying)$/.test(type);

/** Types that hold every value of another. */
const WIDER: Readonly<Record<string, readonly string[]>> = {
  smallint: ['integer', 'bigint', 'numeric', 'real', 'double precision'],
  integer: ['bigint', 'numeric', 'real', 'double precision'],
  bigint: ['numeric', 'real', 'double precision'],
  real: ['double precision'],
};

/**
 * SQL that makes of a value what a column holds, or NULL where its type can't: what is looked at, or taken back, may have been refused, or
 * its row changed since. Only a fill insists, so that the refusal is recorded.
 *
 * @param value must not be a constant: the server computes those before it asks a condition
 * @param type SQL for the type, as {@link targetTypes} has it
 * @param from the same for its own
 */
export function heldSql(store: Store, value: string, type: string, from = TEXT): string {
  const cast = `(${value})::${type}`;
  if (from === type || isText(type) || WIDER[from]?.includes(type)) return cast;
  const { version, canMakeFunctions } = requirePostgres(store).connection;
  if (isText(from) && !needsTryJson(version))
    return `CASE WHEN pg_catalog.pg_input_is_valid((${value})::pg_catalog.text, ${literal(type)}) THEN ${cast} END`;
  return canMakeFunctions ? `CASE WHEN ${HOLDS}(${value}, ${literal(type)}) THEN ${cast} END` : cast;
}
