import type { Store } from '../db/connection.js';
import { foldCase, identifier } from '../db/sql.js';
import { BackfillError } from '../errors.js';
import { countKeys, type Key, type KeySpan } from '../ledger/keys.js';
import type { BatchRecord, CellsRecord } from '../ledger/records.js';
import { msg } from '../messages/message.js';
import type { Backfill } from '../steps/define.js';
import { type Given, isDerivedSql, type LeftRow, leftRows } from './derive.js';
import { rowSql } from './rows.js';

// What batches are asked, and what they tell, whatever the engine.

/** Which rows a batch takes. */
export interface FillOptions {
  /** Last key done, or null before the first. */
  readonly cursor: Key | null;
  /** Last key in scope of the run. */
  readonly watermark: Key;
  /** How many rows at most. */
  readonly limit: number;
  /** Number of the batch, for the skips it records. */
  readonly batch: number;
  /** Whether rows that are recorded as skips are left alone. */
  readonly excludeSkips: boolean;
  /** Whether triggers may keep an updated cell NULL. */
  readonly hasTriggers: boolean;
  /** A row that the store has refused to update, alone: it is recorded as a skip. */
  readonly rejected?: RejectedRow | undefined;
}

/** A row that can't be updated, with the engine's code. */
export interface RejectedRow {
  readonly key: Key;
  readonly code: string;
}

/** An UPDATE that the store refused for something in one of its rows. Its transaction is to be rolled back. */
export class RejectedUpdate extends Error {
  /** How many rows it was to update. */
  readonly rows: number;
  /** The first of them. */
  readonly rejected: RejectedRow;

  constructor(rows: number, rejected: RejectedRow, cause: unknown) {
    super(`The store refused an update (${rejected.code})`, { cause });
    this.rows = rows;
    this.rejected = rejected;
  }
}

/** The error for rows that a `down` should have changed and did not. */
export function updateIgnored({ table }: Backfill, rows: number): BackfillError {
  return new BackfillError(
    'UPDATE_IGNORED',
    msg('A trigger on {table} ignored the update of {rows} rows', { table, rows }),
    msg('Look for RAISE(IGNORE) in the triggers that umzug-backfill up --dry-run lists'),
  );
}

/** What a `down` did with the cells that the ledger says were filled. A cell that somebody has set to NULL is in none of these. */
export interface RevertResult {
  /** Set to NULL again. */
  readonly reverted: number;
  /** Left alone, since they hold something else than what their row derives: they, or what they derive from, were changed. */
  readonly kept: number;
  /** Of rows that are not there any more under their key: deleted, or the key was changed. */
  readonly gone: number;
  /** Left alone, since what filled them can't be asked any more whether they hold what it derived. */
  readonly underivable: number;
}

/** What a batch's cells were found to be, in cells: set to NULL again, holding something else, or of rows that are gone. */
export interface FoundCells {
  readonly reverted: number;
  readonly others: number;
  readonly gone: number;
}

/** Cells that a batch filled. */
export interface FilledCells {
  /** The columns that were filled in each of the rows. */
  readonly columns: readonly string[];
  /** The keys of the rows. */
  readonly runs: readonly KeySpan[];
  /** Columns of the backfill that somebody has dropped since, in folded case: nothing of them is left to take back. */
  readonly absent: ReadonlySet<string>;
}

/** What was set to NULL. */
export interface Undone {
  /** Rows that are there. */
  readonly rows: number;
  /** Cells, as in {@link FoundCells}. */
  readonly reverted: number;
  readonly others: number;
}

/** What one batch did. */
export interface BatchResult extends Omit<BatchRecord, 'number' | 'run' | 'durationMs'> {
  readonly cells: readonly CellsRecord[];
  /** Whether no row was left to read behind this batch. */
  readonly isLast: boolean;
}

/** A cell that a batch filled, by its row. */
export interface FilledCell {
  readonly key: Key;
  readonly batch: number;
}

/** A part of a table for batches to fill: keys behind `after`, up to `upTo`. */
export interface FillWindow {
  readonly after: Key | null;
  readonly upTo: Key;
}

/** Values that go back to the store at once. */
const PAGE = 1000;

/**
 * Sets cells that a batch filled to NULL where they still hold what the row derives. Runs inside its caller's
 * transaction.
 *
 * @throws {BackfillError} `STEP_DRIFTED` when the declaration has one of the columns no more, `UPDATE_IGNORED`
 */
export async function revertCells(
  store: Store,
  backfill: Backfill,
  { columns: filled, runs, absent }: FilledCells,
): Promise<FoundCells> {
  const names = filled.filter((name) => !absent.has(foldCase(name)));
  const gone = countKeys(runs) * (filled.length - names.length);
  if (names.length === 0 || runs.length === 0) return { reverted: 0, others: 0, gone };
  const columns = names.map((name) => backfill.columns.findIndex((column) => column.name === name));
  if (columns.includes(-1)) {
    throw new BackfillError(
      'STEP_DRIFTED',
      msg('{backfill} has filled {columns}, and its declaration does not say how any more', {
        backfill: backfill.name,
        columns: names.join(', '),
      }),
      msg('Put the step file back as it was applied, then run the same command again'),
    );
  }
  const derivation = await store.dialect.derive(store, backfill);
  const { from, where, parameters } = derivation.ofKeys(runs);
  const rows = derivation.select({ from, where, absent });
  const left: LeftRow[] = [];
  for await (const page of leftRows(store, derivation, rows, [], parameters)) left.push(...page);
  const { key } = await rowSql(store, backfill);
  const cells = columns.map((i) => `t.${identifier(backfill.columns[i]?.name ?? '')} AS c${i}, given.v${i}`);
  const total = { rows: 0, reverted: 0, others: 0 };
  const undo = async (set: Given): Promise<void> => {
    const undone: Undone = await store.dialect.undo(store, derivation, columns, set);
    total.rows += undone.rows;
    total.reverted += undone.reverted;
    total.others += undone.others;
  };
  if (!derivation.isAlwaysLeft)
    await undo({ sql: `SELECT * FROM (${rows}) AS derived WHERE ${isDerivedSql(derivation)}`, parameters });
  while (left.length > 0) {
    const given = derivation.given(left.splice(-PAGE));
    await undo({
      ...given,
      sql: `SELECT given.k, ${cells.join(', ')} FROM ${given.sql} CROSS JOIN ${identifier(backfill.table)} AS t
      WHERE ${key} ${store.dialect.operator('=')} given.k`,
    });
  }
  const { rows: found, reverted, others } = total;
  return { reverted, others, gone: gone + (countKeys(runs) - found) * names.length };
}
