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

/** Checks whether to ignore a difference. */
type Passes = (difference: Difference) => boolean;

const passesNone: Passes = () => false;

/**
 * Checks that a store is as expected.
 *
 * @param when phrases for the two states, such as `after \`up\``
 * @param passes checks whether to ignore a difference. Default: ignores none
 * @throws {BackfillTestError} `code` for the first difference
 */
export async function requireSame(
  code: BackfillTestCode,
  step: BackfillStep,
  expected: StoreContents,
  path: string,
  when: readonly [expected: string, found: string],
  passes: Passes = passesNone,
): Promise<void> {
  const contents = await readContents(path, step);
  for (const [name, table] of expected.tables) {
    const found = tableDifference(name, table, contents.tables.get(name), passes);
    if (found) throw differenceError(code, step, found, when);
  }
  if (expected.schema.join('\n') !== contents.schema.join('\n'))
    throw differenceError(code, step, { table: 'The schema' }, when);
}

/** Like {@link requireSame}, for the backfill's table alone. */
export async function requireSameRows(
  code: BackfillTestCode,
  step: BackfillStep,
  expected: Table,
  path: string,
  when: readonly [expected: string, found: string],
  passes: Passes = passesNone,
): Promise<void> {
  const table = tableOf(await readContents(path, step), step);
  const found = tableDifference(step.table, expected, table, passes);
  if (found) throw differenceError(code, step, found, when);
}

function tableDifference(
  table: string,
  left: Table,
  right: Table | undefined,
  passes: Passes,
): Difference | undefined {
  if (!right || foldCase(left.columns.join()) !== foldCase(right.columns.join())) return { table };
  for (const [key, row] of left.rows) {
    const other = right.rows.get(key);
    if (!other) return { table, key, left: row };
    for (const [i, column] of left.columns.entries()) {
      const difference = { table, key, column, left: row[i], right: other[i] };
      if (!isSame(row[i], other[i]) && !passes(difference)) return difference;
    }
  }
  for (const [key, row] of right.rows) if (!left.rows.has(key)) return { table, key, right: row };
  return undefined;
}
