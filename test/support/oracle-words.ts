import { type Cells, deriveRow, expectedCells, expectedSkips, readAudits, targets } from './reference.js';

// What the oracle of reference.ts says of a SQLite store, in the words of the ledger.

const REASONS = { unreadable: 'DOCUMENT_UNREADABLE', 'no-value': 'NO_USABLE_VALUE' } as const;

/**
 * What a fill of the store as it is must lead to: what both columns of every row must hold, by key, and of each row that is skipped
 * `column: reason` (`*` for all columns), sorted.
 */
export function oracle(path: string) {
  const skips = [...expectedSkips(path)].map(([key, found]): [string, string[]] => [
    key,
    found.map(({ column, kind }) => `${column ?? '*'}: ${REASONS[kind]}`).sort(),
  ]);
  return { cells: expectedCells(path), skips: new Map(skips) };
}

/** What each row derives now, in scope or not. */
export const derivedCells = (path: string): Map<string, Cells> =>
  new Map(
    [...readAudits(path)].map((row) => {
      const [source, processed] = deriveRow(row).map((cell) => (cell.kind === 'text' ? cell.text : null));
      return [row.key, [source ?? null, processed ?? null]];
    }),
  );

/** The columns that the oracle speaks of, in its order. */
export const COLUMNS = targets.map(({ column }) => column);
