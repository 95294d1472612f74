import { identifier } from '../db/sql.js';
import type { BatchRecord } from '../ledger/batches.js';
import { encodeIntegerKeys, encodeTextKeys, type Key } from '../ledger/keys.js';
import type { CellsRecord } from '../ledger/records.js';
import type { Backfill } from '../steps/define.js';

// Requests and results of batches, on either engine.

/** The rows that a batch claims. */
export interface FillOptions {
  /** Last key done; null before the first. */
  readonly cursor: Key | null;
  /** Last key of the run. */
  readonly watermark: Key;
  /** Maximum rows. */
  readonly limit: number;
  /** Number of the batch, for the skips that it records. */
  readonly batch: number;
  /** Whether to exclude rows that are recorded as skips. */
  readonly excludeSkips: boolean;
  /** Whether triggers may keep an updated cell NULL. */
  readonly hasTriggers: boolean;
  /** A row whose update the store rejected when tried alone; it is recorded as a skip. */
  readonly rejected?: RejectedRow | undefined;
}

/** A row that cannot be updated, with the engine's error code. */
export interface RejectedRow {
  readonly key: Key;
  readonly code: string;
}

/** An UPDATE that the store rejected because of one of its rows. Roll its transaction back. */
export class RejectedUpdate extends Error {
  /** Number of rows in the UPDATE. */
  readonly rows: number;
  /** The first of them. */
  readonly rejected: RejectedRow;

  constructor(rows: number, rejected: RejectedRow, cause: unknown) {
    super(`The store rejected an update (${rejected.code})`, { cause });
    this.rows = rows;
    this.rejected = rejected;
  }
}

/** Filled cells by the ledger, by what `down` did with them. Cells that were set to NULL since are in none of the counts. */
export interface RevertResult {
  /** Set to NULL. */
  readonly reverted: number;
  /** Kept, because they no longer hold the derived value: they, or what they derive from, were changed. */
  readonly kept: number;
  /** In rows that no longer exist under their key: deleted, or the key was changed. */
  readonly gone: number;
  /** Kept, because the declaration that filled them can no longer derive their values. */
  readonly underivable: number;
}

/** Rows that exist, and their cells: set to NULL, or kept because they hold another value. */
export interface RevertedRows {
  /** Rows that exist; those with a cell to set to NULL; and those that the UPDATE changed, unless a trigger ignored it. */
  readonly rows: number;
  readonly due: number;
  readonly done: number;
  /** Cells. */
  readonly reverted: number;
  readonly others: number;
}

/**
 * Returns the cells that a batch filled in the columns of a mask, in the ledger's form.
 *
 * @param keys in their order; integers as offsets from the first key of the batch
 */
export const packedCells = (
  { columns }: Backfill,
  mask: number,
  firstKey: Key,
  keys: readonly (number | string)[],
): CellsRecord => ({
  columns: columns.filter((_, i) => (mask >> i) & 1).map(({ name }) => name),
  firstKey,
  keys: typeof firstKey === 'bigint' ? encodeIntegerKeys(keys as number[]) : encodeTextKeys(keys as string[]),
});

/** SQL that sets NULL cells of `t` to the values of a table. */
export const assignmentsSql = ({ columns }: Backfill, values: string): string =>
  columns
    .map(({ name }, i) => `${identifier(name)} = coalesce(t.${identifier(name)}, ${values}.v${i})`)
    .join(', ');

/** Result of one batch. */
export interface BatchResult extends Omit<BatchRecord, 'number' | 'run' | 'durationMs'> {
  readonly cells: readonly CellsRecord[];
  /** Whether this is the last batch. */
  readonly isLast: boolean;
}

/** A cell that a batch filled, by its row. */
export interface FilledCell {
  readonly key: Key;
  readonly batch: number;
}

/** A part of a table for batches to fill: the keys after `after`, up to `upTo`. */
export interface FillWindow {
  readonly after: Key | null;
  readonly upTo: Key;
}
