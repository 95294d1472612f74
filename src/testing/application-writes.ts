import type Database from 'better-sqlite3';
import { identifier, isSameName } from '../db/sql.js';
import { isSqliteError } from '../engine-errors.js';
import type { Baseline } from './baseline.js';
import { columnIndex, isSame, readContents, requireSame, rowsOf, type Table, tableOf } from './contents.js';
import type { Key, Subject, TestRow } from './options.js';
import {
  asApplication,
  copyStore,
  insertRows,
  makeStore,
  requireVerified,
  runDown,
  runUp,
  withReadOnly,
} from './store.js';

/**
 * Runs `up` on some of the rows, writes the others after its first batch, and checks that all are filled as in the baseline.
 *
 * @returns number of rows written during the run
 * @throws {BackfillTestError} `NOT_CAUGHT_UP`, `NOT_VERIFIED`
 */
export async function requireCatchUp(
  subject: Subject,
  seed: string,
  path: string,
  { after }: Baseline,
): Promise<number> {
  const { step } = subject;
  const { early, late } = await split(subject, seed);
  await makeStore(path, subject, early);
  let isWritten = false;
  const write = (): void => {
    if (!isWritten) asApplication(path, (db) => insertRows(db, step.table, late));
    isWritten = true;
  };
  const first = await runUp(subject, path, ({ event }) => {
    if (event === 'batch_committed') write();
  });
  write(); // if the early rows needed no batch
  const last = (await runUp(subject, path)) ?? first;
  const when = ['after an `up` over all rows', 'if some were written while it ran'] as const;
  await requireSame('NOT_CAUGHT_UP', step, rowsOf(step, tableOf(after, step)), path, when);
  requireVerified(last, 'if rows were written while `up` ran');
  return late.length;
}

/** Splits the rows of the seed. Late rows have the last keys if keys only grow, else keys in between as well. */
async function split(subject: Subject, seed: string): Promise<Record<'early' | 'late', readonly TestRow[]>> {
  const { step } = subject;
  const table = tableOf(await readContents(seed, step), step);
  const [names, isGrowing] = await withReadOnly(seed, async ({ store }) => [
    (await store.dialect.tableColumns(store, step.table)).flatMap(({ name, isGenerated }) =>
      isGenerated ? [] : name,
    ),
    (await store.dialect.keyGrowth(store, step, null)) === 'growing',
  ]);
  const rows = [...table.rows.values()].map(
    (row) => Object.fromEntries(names.map((name) => [name, row[columnIndex(table, name)]])) as TestRow,
  );
  const firstLate = Math.floor(rows.length * 0.75);
  const isLate = (i: number): boolean => (isGrowing || rows.length < 4 ? i >= firstLate : i % 4 === 1);
  return { early: rows.filter((_, i) => !isLate(i)), late: rows.filter((_, i) => isLate(i)) };
}

interface Cell {
  readonly key: Key;
  readonly column: string;
  readonly value: unknown;
}

/**
 * Writes values as the application into one cell per column before `up`, and into another after it. Checks that `up` and `down` keep them,
 * and that `down` reverts everything else.
 *
 * @returns number of values written
 * @throws {BackfillTestError} `NOT_PRESERVED`
 */
export async function requirePreserved(
  subject: Subject,
  seed: string,
  path: string,
  { before, after, ledger }: Baseline,
): Promise<number> {
  const { step } = subject;
  const filled = tableOf(after, step);
  const cells = step.columns.map(({ name }) =>
    ledger.cells
      .filter(({ column }) => column === name)
      .map(({ key, column }) => ({
        key,
        column,
        value: filled.rows.get(key)?.[columnIndex(filled, column)],
      })),
  );
  const isOther = ({ column }: { readonly column?: string }): boolean =>
    !step.columns.some(({ name }) => isSameName(name, column ?? ''));
  const insist = async (expected: Table, ...when: [before: string, after: string]): Promise<void> =>
    await requireSame('NOT_PRESERVED', step, rowsOf(step, expected), path, when, isOther);

  copyStore(seed, path);
  const early = writeCells(
    path,
    subject,
    cells.flatMap((column) => column.slice(0, 1)),
  );
  await runUp(subject, path); // not required to verify: a project-specific rule may reject the values
  await insist(withCells(filled, early), 'before `up`, as the application had it,', 'after it');
  const late = writeCells(
    path,
    subject,
    cells.flatMap((column) => column.slice(1).slice(-1)),
  );
  await runDown(subject, path);
  await insist(withCells(tableOf(before, step), [...early, ...late]), 'before `down`', 'after it');
  return early.length + late.length;
}

/** Returns a table with some cells replaced. */
function withCells(table: Table, cells: readonly Cell[]): Table {
  const rows = new Map(table.rows);
  for (const { key, column, value } of cells)
    rows.set(key, rows.get(key)?.map((old, i) => (i === columnIndex(table, column) ? value : old)) ?? []);
  return { ...table, rows };
}

/** Writes another value into each cell, and returns the written ones: a constraint may reject some. */
function writeCells(path: string, { step }: Subject, cells: readonly Cell[]): Cell[] {
  const written: Cell[] = [];
  asApplication(path, (db) => {
    for (const cell of cells) {
      const where = `FROM ${identifier(step.table)} WHERE ${identifier(step.key)} = ?`;
      const read = db
        .prepare(`SELECT ${identifier(cell.column)} ${where}`)
        .pluck()
        .safeIntegers();
      if (!update(db, step.table, step.key, { ...cell, value: alteredValue(cell.value) })) continue;
      const value = read.get(cell.key);
      if (value !== null && !isSame(value, cell.value)) written.push({ ...cell, value });
    }
  });
  return written;
}

function alteredValue(value: unknown): unknown {
  if (typeof value === 'bigint') return value + 1n;
  if (typeof value === 'number') return value + 1;
  return Buffer.isBuffer(value) ? Buffer.concat([value, Buffer.from([0])]) : `${value}~`;
}

function update(db: Database.Database, table: string, key: string, cell: Cell): boolean {
  const sql = `UPDATE ${identifier(table)} SET ${identifier(cell.column)} = ? WHERE ${identifier(key)} = ?`;
  try {
    return db.prepare(sql).run(cell.value, cell.key).changes === 1;
  } catch (error) {
    if (isSqliteError(error) && error.code.startsWith('SQLITE_CONSTRAINT')) return false;
    throw error;
  }
}
