import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import Database from 'better-sqlite3';
import { generateStore } from '../../demo/store-generator.js';
import { stateOf } from './copies.js';
import { type Cells, expectedCells, targets } from './reference.js';
import { asAgentOs } from './stores.js';

// Stores in every form that SQLite's files have, made of the rows of a generated one.

/** What a store's file is like. Default of each: as SQLite makes it. */
export interface Form {
  /** `persist` and `truncate` are not kept in the file, but a `-journal` that they leave behind stands there. */
  readonly journalMode: 'wal' | 'delete' | 'persist' | 'truncate';
  readonly pageBytes?: number;
  readonly encoding?: 'UTF-8' | 'UTF-16le' | 'UTF-16be';
  readonly autoVacuum?: 'none' | 'full' | 'incremental';
  /** Whether audits and tasks stand there whose references lead nowhere. */
  readonly isViolated?: boolean;
}

/** Makes a store of this form, with rows of every kind. */
export function makeForm(path: string, form: Form, audits = 150): void {
  const source = `${path}.source`;
  generateStore({ path: source, audits, rareShare: 0.1, journalMode: 'delete' });
  copyRows(source, path, form);
  rmSync(source);
}

/** Copies a store row by row: between text encodings SQLite has no other way. Text that is no Unicode becomes so. */
function copyRows(source: string, path: string, form: Form): void {
  const from = new Database(source); // a read-only one would leave -wal and -shm behind
  const to = new Database(path);
  try {
    to.pragma(`encoding = '${form.encoding ?? 'UTF-8'}'`);
    to.pragma(`page_size = ${form.pageBytes ?? 4096}`);
    to.pragma(`auto_vacuum = ${form.autoVacuum ?? 'none'}`);
    to.pragma('foreign_keys = OFF');
    to.pragma('user_version = 2026');
    to.pragma('application_id = 20260120');
    const schema = from
      .prepare(`SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'`)
      .all() as { type: string; name: string; sql: string }[];
    to.transaction(() => {
      for (const { type, name, sql } of schema) {
        to.exec(sql);
        if (type !== 'table') continue;
        const rows = from.prepare(`SELECT * FROM "${name}"`).raw().safeIntegers().all() as unknown[][];
        const marks = rows[0]?.map(() => '?').join(', ');
        for (const row of rows) to.prepare(`INSERT INTO "${name}" VALUES (${marks})`).run(...row);
      }
      if (form.isViolated)
        to.exec(
          `DELETE FROM tasks WHERE rowid % 2; UPDATE task_audits SET task_id = 'gone' WHERE audit_id % 7 = 0`,
        );
    })();
    to.pragma(`journal_mode = ${form.journalMode}`);
  } finally {
    to.close();
    from.close();
  }
}

/** What the backfill must fill in, by the oracle: it reads UTF-8, and is given a copy, made at `scratch`. */
export function oracleCells(path: string, scratch: string): Map<string, Cells> {
  rmSync(scratch, { force: true });
  copyRows(path, scratch, { journalMode: 'delete' });
  return expectedCells(scratch);
}

/** What both columns of every row hold. */
export function cellsOf(path: string): Map<string, Cells> {
  const columns = targets.map(({ column }) => column).join(', ');
  const rows = asAgentOs(path, (db) =>
    db.prepare(`SELECT CAST(audit_id AS TEXT), ${columns} FROM task_audits ORDER BY audit_id`).raw().all(),
  ) as [string, ...unknown[]][];
  return new Map(
    rows.map(([key, ...cells]) => [
      key,
      cells.map((cell) => (Buffer.isBuffer(cell) ? `x'${cell.toString('hex')}'` : cell)) as unknown as Cells,
    ]),
  );
}

/** The store without what is ours: header, schema, other tables, and the audits without the columns of v21. */
export function theirs(path: string) {
  const { header, schema, tables } = stateOf(path);
  const isOurs = (name: string): boolean => name.startsWith('umzug_backfill_');
  const isNew = new RegExp(` ?(?:${targets.map(({ column }) => column).join('|')})=\\w+:[0-9A-F]*`, 'g');
  return {
    header,
    violations: asAgentOs(path, (db) => db.pragma('foreign_key_check')),
    schema: (schema as { tbl_name: string }[]).filter((row) => !isOurs(row.tbl_name)),
    tables: Object.fromEntries(
      Object.entries(tables)
        .filter(([name]) => !isOurs(name))
        .map(([name, rows]) => [name, rows.map((row) => row.replace(isNew, ''))]),
    ),
  };
}

/** Changes so much in one transaction, with so small a cache, that pages reach the main file before the commit. */
export const SPILL = `PRAGMA cache_size = 5; PRAGMA foreign_keys = OFF;
  BEGIN; UPDATE task_audits SET payload = replace(payload, 'e', 'E'), level = 'torn'`;

/** Writes, and leaves every cell as it was: what changes nothing SQLite does not write at all. */
export const REWRITE =
  "UPDATE tasks SET title = title || '.'; UPDATE tasks SET title = substr(title, 1, length(title) - 1)";

/** Why `strace` can't be used, or undefined when it can. */
export function straceTrouble(): string | undefined {
  const { error, status } = spawnSync('strace', ['-e', 'trace=none', process.execPath, '--version']);
  if (error) return 'there is no strace on the path';
  return status === 0 ? undefined : 'strace may not trace here';
}
