import type { SqlValue, Store } from '../../db/connection.js';
import { requirePostgres } from '../../db/postgres/statements.js';
import { CAN_CAST, EQ, needsTryJson, operator, typeSql } from '../../db/postgres/texts.js';
import { foldCase, identifier, literal } from '../../db/sql.js';
import type { KeySpan } from '../../ledger/keys.js';
import type { Backfill } from '../../steps/define.js';
import type { Derivation, Given, GivenRow, SelectOptions } from '../derive.js';
import { expressionSql, keyLiteral } from '../rows.js';
import { tableColumns } from './catalog.js';
import { deriveClientSide, fallbackSql, firstOfParts } from './first-of.js';
import { keyOf, type PostgresKey } from './keys.js';

/** Facts that the SQL of a derivation depends on. */
export interface Facts {
  readonly backfill: Backfill;
  readonly key: PostgresKey;
  /** Types of the table's columns, by their names in folded case. */
  readonly columns: ReadonlyMap<string, string>;
  /** SQL types of the columns to fill, in their order: values are cast to them before they are compared or written. */
  readonly targets: readonly string[];
  /** SQL types of their values before the cast, in the same order. */
  readonly values: readonly string[];
  readonly version: number;
  readonly canMakeFunctions: boolean;
}

/** Options of a select on PostgreSQL. */
interface OwnOptions extends SelectOptions {
  /** Whether a value that its column cannot hold is an error. Default: it is NULL. */
  readonly isStrict?: boolean;
  /** SQL condition on `k` for rows without derived values. Default: none. */
  readonly except?: string;
}

/** The derivation on PostgreSQL. */
export interface PostgresDerivation extends Derivation {
  select(options: OwnOptions): string;
  /** @param isStrict whether a value that its column cannot hold is an error. Default: it is NULL */
  given(rows: readonly GivenRow[], isStrict?: boolean): Given;
  /**
   * Returns SQL on `t` for the value of each column, of its type, if all are expressions; else nothing. A value that its column cannot hold is
   * an error.
   *
   * @param where condition on `t` for the rows that are read: with it, such a value is NULL
   */
  inPlace(where?: string): readonly string[];
  /** SQL condition for the rows of `t` with these keys. */
  isOneOf(runs: readonly KeySpan[]): string;
}

/**
 * Returns how PostgreSQL derives rows, by its JSON parser and by expressions. Documents that it cannot read correctly and all rows
 * of a `process` are derived client-side.
 */
export async function derive(store: Store, backfill: Backfill): Promise<PostgresDerivation> {
  const facts = await factsOf(store, backfill);
  const { key, process, table } = backfill;
  const kinds = [key, ...(process?.reads ?? [])].map((name) => facts.columns.get(foldCase(name)) ?? 'text');
  return {
    backfill,
    select: (options) => selectSql(facts, options),
    clientInput: process || firstOfParts(facts).needsClient ? ['client_input'] : [],
    isClientSide: process !== undefined,
    derive: (rows) => deriveClientSide(backfill, rows, kinds),
    given: (rows, isStrict = false) => ({ sql: givenSql(facts, rows, isStrict), parameters: [] }),
    ofKeys: (runs) => ({
      from: `pg_catalog.unnest(${keyArray(facts, runs)}) AS r(umzug_key) CROSS JOIN ${identifier(table)} AS t`,
      where: `${facts.key.sql} ${EQ} r.umzug_key`,
      parameters: [],
    }),
    isSame: isSameSql,
    isOneOf: (runs) => `${facts.key.sql} ${operator('=')} ANY (${keyArray(facts, runs)})`,
    inPlace: (where) => inPlaceSql(facts, where),
    text: (value) => `(${value})::pg_catalog.text`,
    fallback: (i, column) => castOrNullSql(facts, fallbackSql(facts, column), facts.targets[i] ?? TEXT),
  };
}

/** Returns the values of a backfill as SQL on its table, if all are expressions. With CASE, none is a constant. */
function inPlaceSql(facts: Facts, where: string | undefined): string[] {
  const { columns } = facts.backfill;
  const values = columns.flatMap(({ value }, i) => {
    if (value.kind !== 'sql') return [];
    const [sql, type] = [expressionSql(value, 'PostgreSQL'), facts.targets[i] ?? TEXT];
    if (where === undefined) return [`(${sql})::${type}`];
    return [castOrNullSql(facts, `CASE WHEN ${where} THEN ${sql} END`, type, facts.values[i])];
  });
  return values.length === columns.length ? values : [];
}

async function factsOf(store: Store, backfill: Backfill): Promise<Facts> {
  const { version, canMakeFunctions } = requirePostgres(store).session;
  const { table } = backfill;
  const columns = await requirePostgres(store).driver.remember(
    `types of ${table}`,
    async () => new Map((await tableColumns(store, table)).map(({ name, type }) => [foldCase(name), type])),
  );
  const targets: string[] = [];
  const values: string[] = [];
  for (const { name, value } of backfill.columns) {
    const type = columns.get(foldCase(name)) ?? 'text';
    const base = await baseType(store, type);
    targets.push(typeSql(withoutLength(base) === base ? type : withoutLength(base)));
    values.push(
      value.kind === 'sql' ? await typeOf(store, backfill, expressionSql(value, 'PostgreSQL')) : TEXT,
    );
  }
  return { backfill, key: await keyOf(store, backfill), columns, targets, values, version, canMakeFunctions };
}

/** Removes the length of a type: a cast to it would silently truncate a value, which an UPDATE rejects. */
const withoutLength = (type: string): string =>
  type
    .replace(/^character varying\(\d+\)/, 'character varying')
    .replace(/^character\(\d+\)/, 'bpchar')
    .replace(/^bit(?: varying)?\(\d+\)/, 'bit varying');

/** Returns the base type of a domain; any other type itself. */
async function baseType(store: Store, type: string): Promise<string> {
  const sql = `SELECT format_type(typbasetype, typtypmod) FROM pg_type WHERE oid = to_regtype(${literal(type)}) AND typtype = 'd'`;
  const base = await requirePostgres(store).driver.remember(
    sql,
    async () => (await store.pluck<string>(sql))[0],
  );
  return base === undefined ? type : await baseType(store, base);
}

/** Returns the type of an expression's value, as SQL; text if a part of it fails when it is planned, which its rows will report. */
async function typeOf(store: Store, { table }: Backfill, expression: string): Promise<string> {
  const sql = `SELECT pg_catalog.pg_typeof((SELECT ${expression} FROM ${identifier(table)} AS t LIMIT 0))::pg_catalog.oid AS type`;
  return await requirePostgres(store).driver.remember(sql, async () => {
    let oid: number | null = null;
    const ask = async (): Promise<void> => {
      oid = (await store.project.get<{ type: number }>(sql))?.type ?? null;
    };
    if (!(await store.attempt(ask))) return TEXT;
    const [type] = await store.pluck<string | null>('SELECT format_type(?, NULL)', oid);
    return typeSql(type ?? 'text');
  });
}

/**
 * Returns the select of a derivation. Each row is read once, in a subquery whose OFFSET 0 keeps the planner from computing an
 * expression wherever it is named. All rows of a `process` are client-side: their input is the key and the columns that it reads.
 */
function selectSql(facts: Facts, options: OwnOptions): string {
  const { backfill, targets } = facts;
  const { columns, process, key, table } = backfill;
  const { from = `${identifier(table)} AS t`, where, limit, extra = {}, absent, except } = options;
  const documents = firstOfParts(facts);
  const reads = process ? [key, ...process.reads] : [];
  const extras = Object.entries(extra);
  const inner = [
    `${facts.key.sql} AS k`,
    ...columns.map(({ name }, i) =>
      absent?.has(foldCase(name)) ? `NULL::${targets[i]} AS c${i}` : `t.${identifier(name)} AS c${i}`,
    ),
    ...reads.map((name, i) => `t.${identifier(name)} AS p${i}`),
    ...documents.inner,
    ...columns.flatMap(({ value }, i) =>
      value.kind === 'sql' ? [`${expressionSql(value, 'PostgreSQL')} AS e${i}`] : [],
    ),
    ...extras.map(([alias, sql]) => `${sql} AS ${alias}`),
  ];
  const needsClient = process ? 'true' : documents.needsClient && `coalesce(${documents.needsClient}, false)`;
  const isDerivable = `NOT needs_client AND failure IS NULL${except === undefined ? '' : ` AND NOT (${except})`}`;
  const valueSql = (i: number): string => {
    const value = columns[i]?.value.kind === 'sql' ? `e${i}` : documents.values.get(i);
    const type = targets[i] ?? TEXT;
    if (value === undefined) return `NULL::${type}`;
    return options.isStrict ? `(${value})::${type}` : castOrNullSql(facts, value, type, facts.values[i]);
  };
  const unless = (sql: string): string =>
    except === undefined ? sql : `CASE WHEN NOT (${except}) THEN ${sql} END`;
  const clientInput = [
    ...reads.map((_, i) => `p${i}::pg_catalog.text`), // JSON would change the text of a document or a number
    ...documents.clientInput,
    // Values of sql() are part of the input, as text; a cast would remove the trailing blanks of a bpchar.
    ...columns.flatMap(({ value }, i) =>
      value.kind === 'sql'
        ? [unless(targets[i] === BPCHAR ? paddedSql(valueSql(i)) : `(${valueSql(i)})::pg_catalog.text`)]
        : [],
    ),
  ];
  const order = limit === undefined ? '' : ` ORDER BY ${facts.key.sql} LIMIT ${limit}`;
  const rows = documents.levels.reduce(
    (sql, level, n) => `SELECT *, ${level.join(', ')} FROM (${sql}) AS level${n} OFFSET 0`,
    `SELECT ${inner.join(', ')} FROM ${from} WHERE ${where}${order}`,
  );
  return `SELECT k, ${columns.map((_, i) => `c${i}`).join(', ')},
    ${columns.map((_, i) => `CASE WHEN ${isDerivable} THEN ${valueSql(i)} END AS v${i}`).join(',\n    ')},
    CASE WHEN NOT needs_client THEN failure END AS failure,
    ${needsClient === undefined ? 'NULL::pg_catalog.text' : `CASE WHEN needs_client THEN pg_catalog.json_build_array(${clientInput.join(', ')})::pg_catalog.text END`} AS client_input${extras.map(([alias]) => `, ${alias}`).join('')}
  FROM (SELECT *, (${needsClient ?? 'false'}) AS needs_client, ${documents.failure ?? 'NULL::pg_catalog.text'} AS failure
    FROM (${rows}) AS row_read OFFSET 0) AS derivable`;
}

/**
 * Returns values of rows as a table of SQL with the columns `k` and `v<i>`, each with its column's type.
 *
 * @param isStrict whether a value that its column cannot hold is an error; else it is NULL
 */
function givenSql(facts: Facts, rows: readonly GivenRow[], isStrict: boolean): string {
  const { targets, key } = facts;
  const lines = rows.map(({ key: own, values }) => {
    const cells = targets.map((type, i) => valueLiteral(values[i] ?? null, isStrict ? type : TEXT));
    return `((${keyLiteral(own)})::${key.type}, ${cells.join(', ')})`;
  });
  const given = `(VALUES ${lines.join(', ')}) AS given(k, ${targets.map((_, i) => `v${i}`).join(', ')})`;
  if (isStrict) return given;
  // OFFSET 0: the server computes constants, such as the only row of VALUES, before it evaluates a condition.
  return `(SELECT k, ${targets.map((type, i) => `${castOrNullSql(facts, `v${i}`, type)} AS v${i}`).join(', ')}
    FROM (SELECT * FROM ${given} OFFSET 0) AS given) AS given`;
}

/** Lists every key of some spans, so that the planner has their number, and looks each up separately. */
function keyArray({ key }: Facts, runs: readonly KeySpan[]): string {
  const keys = runs.flatMap(([first, last]) => {
    if (typeof first === 'string' || typeof last === 'string') return [literal(String(first))];
    return Array.from({ length: Number(last - first) + 1 }, (_, i) => String(first + BigInt(i)));
  });
  return `ARRAY[${keys.join(', ')}]::${key.type}[]`;
}

/**
 * SQL condition for two values with the same text, where `a` is not NULL: a type may consider different values equal, and some
 * cannot be compared.
 */
function isSameSql(a: string, b: string): string {
  const [one, other] = [a, b].map((value) => `(${value})::pg_catalog.text COLLATE pg_catalog."C"`);
  return `coalesce(${one} ${EQ} ${other}, false)`;
}

/** Returns a value as SQL of a column's type. */
function valueLiteral(value: SqlValue | Uint8Array, type: string): string {
  if (value === null) return `NULL::${type}`;
  const text = value instanceof Uint8Array ? `\\x${Buffer.from(value).toString('hex')}` : String(value);
  return `${literal(text)}::${type}`;
}

/** SQL for text, and for the type whose trailing blanks do not count. */
const [TEXT, BPCHAR] = ['pg_catalog.text', 'pg_catalog.bpchar'];

/** SQL for the text of such a value, with its trailing blanks. */
const paddedSql = (value: string): string =>
  `CASE WHEN (${value}) IS NOT NULL THEN pg_catalog.format('%s', ${value}) END`;

const isText = (type: string): boolean => /^(?:pg_catalog\.(?:text|bpchar)|character varying)$/.test(type);

/** Types that can hold every value of another. */
const WIDER: Readonly<Record<string, readonly string[]>> = {
  smallint: ['integer', 'bigint', 'numeric', 'real', 'double precision'],
  integer: ['bigint', 'numeric', 'real', 'double precision'],
  bigint: ['numeric', 'real', 'double precision'],
  real: ['double precision'],
};

/**
 * SQL that casts a value to the type of its column, or to NULL if that cannot hold it. Values that are read or reverted may have
 * been rejected, or their rows changed since. Only a fill is strict, so that the rejection is recorded.
 *
 * @param value must not be a constant: the server computes those before it evaluates a condition
 * @param type SQL type of the column; see {@link Facts}
 * @param from SQL type of the value
 */
function castOrNullSql({ version, canMakeFunctions }: Facts, value: string, type: string, from = TEXT) {
  const cast = `(${value})::${type}`;
  if (from === type || isText(type) || WIDER[from]?.includes(type)) return cast;
  if (isText(from) && !needsTryJson(version))
    return `CASE WHEN pg_catalog.pg_input_is_valid((${value})::pg_catalog.text, ${literal(type)}) THEN ${cast} END`;
  return canMakeFunctions ? `CASE WHEN ${CAN_CAST}(${value}, ${literal(type)}) THEN ${cast} END` : cast;
}
