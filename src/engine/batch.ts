import type { Store } from '../db/connection.js';
import { foldCase, identifier } from '../db/sql.js';
import { BackfillError } from '../errors.js';
import type { BatchRecord } from '../ledger/batches.js';
import { countKeys, encodeIntegerKeys, encodeTextKeys, type Key, type KeySpan } from '../ledger/keys.js';
import type { CellsRecord } from '../ledger/records.js';
import { msg } from '../messages/message.js';
import type { Backfill } from '../steps/define.js';
import { type ClientRow, clientRows, type Given, isDerivedSql } from './derive.js';
import { rowSql } from './rows.js';

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

/**
 * Cells that the ledger records as filled, by what `down` did with them. Cells that were set to NULL since are in none of the
 * counts.
 */
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

/** Cells of a batch: set to NULL, kept because they hold another value, or in rows that no longer exist. */
interface FoundCells {
  readonly reverted: number;
  readonly others: number;
  readonly gone: number;
}

/** Cells that a batch filled. */
interface FilledCells {
  /** Columns that were filled in each of the rows. */
  readonly columns: readonly string[];
  /** Keys of the rows. */
  readonly runs: readonly KeySpan[];
  /** Columns of the backfill that were dropped since, in folded case: they are counted as gone. */
  readonly absent: ReadonlySet<string>;
}

/** Result of a revert. */
export interface RevertedRows {
  /** Rows that exist; those with a cell to set to NULL; and those that the UPDATE changed, unless a trigger ignored it. */
  readonly rows: number;
  readonly due: number;
  readonly done: number;
  /** Cells; see {@link FoundCells}. */
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

/** Rows of values that are sent to the store at once. */
const PAGE = 1000;

/**
 * Sets cells that a batch filled to NULL if they still hold the derived value. Runs inside the caller's transaction.
 *
 * @throws {BackfillError} `STEP_DRIFTED` if the declaration no longer has one of the columns; `UPDATE_IGNORED`
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
      msg('{backfill} filled {columns}, which its declaration no longer has', {
        backfill: backfill.name,
        columns: names,
      }),
      msg('Restore the step file as it was applied, then run the same command again'),
    );
  }
  const derivation = await store.dialect.derive(store, backfill);
  const { from, where, parameters } = derivation.ofKeys(runs);
  const rows = derivation.select({ from, where, absent });
  const left: ClientRow[] = [];
  for await (const page of clientRows(store, derivation, rows, [], parameters)) left.push(...page);
  const { key } = await rowSql(store, backfill);
  const cells = columns.map((i) => `t.${identifier(backfill.columns[i]?.name ?? '')} AS c${i}, given.v${i}`);
  const total = { rows: 0, reverted: 0, others: 0 };
  const revertRows = async (set: Given): Promise<void> => {
    const found = await store.dialect.revertRows(store, derivation, columns, set);
    if (!found) throw new RangeError('An aggregate returns a row');
    const ignored = { table: backfill.table, rows: found.due - found.done };
    if (ignored.rows !== 0)
      throw new BackfillError(
        'UPDATE_IGNORED',
        msg('A trigger on {table} ignored the update of {rows} rows', ignored),
        msg('Check the triggers that umzug-backfill up --dry-run lists for RAISE(IGNORE)'),
      );
    total.rows += found.rows;
    total.reverted += found.reverted;
    total.others += found.others;
  };
  if (!derivation.isClientSide)
    await revertRows({
      sql: `SELECT * FROM (${rows}) AS derived WHERE ${isDerivedSql(derivation)}`,
      parameters,
    });
  while (left.length > 0) {
    const given = derivation.given(left.splice(-PAGE));
    await revertRows({
      ...given,
      sql: `SELECT given.k, ${cells.join(', ')} FROM ${given.sql} CROSS JOIN ${identifier(backfill.table)} AS t
      WHERE ${key} ${store.dialect.operator('=')} given.k`,
    });
  }
  const { rows: found, reverted, others } = total;
  return { reverted, others, gone: gone + (countKeys(runs) - found) * names.length };
}
