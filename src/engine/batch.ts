import { BackfillError } from '../errors.js';
import type { Key, KeyRun } from '../ledger/keys.js';
import type { BatchRecord, CellsRecord } from '../ledger/records.js';
import type { Backfill } from '../steps/define.js';

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
  readonly leavesSkips: boolean;
  /** Whether triggers may keep an updated cell NULL. */
  readonly hasTriggers: boolean;
  /** A row that the store has refused to update, alone: it is recorded as a skip. */
  readonly refused?: RefusedRow | undefined;
}

/** A row that can't be updated, with the engine's code. */
export interface RefusedRow {
  readonly key: Key;
  readonly code: string;
}

/** An UPDATE that the store refused for something in one of its rows. Its transaction is to be rolled back. */
export class RefusedUpdate extends Error {
  /** How many rows it was to update. */
  readonly rows: number;
  /** The first of them. */
  readonly refused: RefusedRow;

  constructor(rows: number, refused: RefusedRow, cause: unknown) {
    super(`The store refused an update (${refused.code})`, { cause });
    this.rows = rows;
    this.refused = refused;
  }
}

/** The error for rows that a `down` should have changed and did not. */
export function updateIgnored({ table }: Backfill, rows: number): BackfillError {
  return new BackfillError(
    'UPDATE_IGNORED',
    `A trigger on ${table} ignored the update of ${rows} rows`,
    'Look for RAISE(IGNORE) in the triggers that umzug-backfill up --dry-run lists',
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
  readonly runs: readonly KeyRun[];
  /** Columns of the backfill that somebody has dropped since, in folded case: nothing of them is left to take back. */
  readonly absent: ReadonlySet<string>;
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
