import { foldCase, identifier, isSameName } from '../db/sql.js';
import { mapEach } from '../each.js';
import { LEDGER_TABLES } from '../ledger/tables.js';
import type { Session } from '../migrate/session.js';
import { type BackfillTestCode, type Difference, differenceError } from './failure.js';
import type { BackfillStep, Key } from './options.js';
import { withReadOnly } from './store.js';

/** Rows of a table, by key; by position in tables other than the backfill's. */
export interface Table {
  readonly columns: readonly string[];
  readonly rows: ReadonlyMap<Key, readonly unknown[]>;
}

/** Contents of a store without the ledger, exact to type and bytes, integers as bigint. */
export interface StoreContents {
  readonly schema: readonly string[];
  readonly tables: ReadonlyMap<string, Table>;
}

const isLedger = (name: string): boolean =>
  Object.values(LEDGER_TABLES).some((table) => isSameName(table, name));

/** Reads the contents of a store. */
export const readContents = async (path: string, backfill: BackfillStep): Promise<StoreContents> =>
  await withReadOnly(path, async ({ store }) => {
    const objects = await store.all<{ type: string; name: string; tbl_name: string; sql: string | null }>(
      `SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%' ORDER BY type, name`,
    );
    const own = objects.filter(({ tbl_name: table }) => !isLedger(table));
    const tables = own.filter(({ type }) => type === 'table').map(({ name }) => name);
    return {
      schema: own.map(({ type, name, sql }) => `${type} ${name} ${sql}`),
      tables: new Map(
        await mapEach(tables, async (name) =>
          isSameName(name, backfill.table)
            ? [backfill.table, await readTable(store, name, backfill.key)]
            : [name, await readTable(store, name)],
        ),
      ),
    };
  });

async function readTable(store: Session['store'], name: string, key?: string): Promise<Table> {
  const columns = (await store.dialect.tableColumns(store, name)).map((column) => column.name);
  const list = columns.map(identifier).join(', ');
  const keyAt = key === undefined ? -1 : columns.findIndex((column) => isSameName(column, key));
  const order = key === undefined ? '' : `ORDER BY ${identifier(key)}`;
  const rows = new Map<Key, readonly unknown[]>();
  for await (const page of store.pages(`SELECT ${list} FROM ${identifier(name)} ${order}`))
    for (const row of page) rows.set(keyAt < 0 ? BigInt(rows.size + 1) : (row[keyAt] as Key), row);
  return { columns, rows };
}

/** Returns the backfill's table. */
export function tableOf({ tables }: StoreContents, { table }: BackfillStep): Table {
  const found = tables.get(table);
  if (!found) throw new RangeError('The table of a backfill is in its store');
  return found;
}

/** Returns the position of a column in the rows of a table. */
export const columnIndex = ({ columns }: Table, name: string): number =>
  columns.findIndex((column) => isSameName(column, name));

/** Checks whether two cells are equal, to type and bytes. */
export const isSame = (left: unknown, right: unknown): boolean =>
  Buffer.isBuffer(left) ? Buffer.isBuffer(right) && left.equals(right) : left === right;

/** Expected contents of a store; without a schema, of these tables alone. */
type Expected = Pick<StoreContents, 'tables'> & Partial<StoreContents>;

/** Returns the expected contents of the backfill's table alone. */
export const rowsOf = ({ table: name }: BackfillStep, table: Table): Expected => ({
  tables: new Map([[name, table]]),
});

/**
 * Checks that a store is as expected.
 *
 * @param when phrases for the two states, such as `after \`up\``
 * @param passes checks whether to ignore a difference between two cells. Default: ignores none
 * @throws {BackfillTestError} `code` for the first difference
 */
export async function requireSame(
  code: BackfillTestCode,
  step: BackfillStep,
  { tables, schema }: Expected,
  path: string,
  when: readonly [expected: string, found: string],
  passes: (difference: Difference) => boolean = () => false,
): Promise<void> {
  const contents = await readContents(path, step);
  for (const [name, table] of tables) {
    for (const found of differences(name, table, contents.tables.get(name)))
      if (found.column === undefined || !passes(found)) throw differenceError(code, step, found, when);
  }
  if (schema && schema.join('\n') !== contents.schema.join('\n'))
    throw differenceError(code, step, { table: 'The schema' }, when);
}

/** Yields the differences between two states of a table. */
function* differences(table: string, left: Table, right: Table | undefined): Generator<Difference> {
  if (!right || foldCase(left.columns.join()) !== foldCase(right.columns.join())) {
    yield { table };
    return;
  }
  for (const [key, row] of left.rows) {
    const other = right.rows.get(key);
    if (!other) {
      yield { table, key, left: row };
      continue;
    }
    for (const [i, column] of left.columns.entries())
      if (!isSame(row[i], other[i])) yield { table, key, column, left: row[i], right: other[i] };
  }
  for (const [key, row] of right.rows) if (!left.rows.has(key)) yield { table, key, right: row };
}
