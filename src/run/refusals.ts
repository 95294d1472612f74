import type { BatchResult } from '../engine/batch.js';
import { type RefusedRow, RefusedUpdate } from '../engine/batch.js';
import { PROCESS_FAILED, takeThrown } from '../engine/process.js';
import { BackfillError } from '../errors.js';
import type { Ledger } from '../ledger/ledger.js';
import type { RunRecord } from '../ledger/records.js';
import { shellWord } from '../shell.js';
import type { Backfill } from '../steps/define.js';
import { isStoreError } from '../store-errors.js';
import { thrownText } from '../thrown.js';

/** Rows that can't be filled: which of a batch is to blame, and how many a run may have. */

/** Rows of one run that SQLite may refuse with one code before the run stops, and the share of those read that it may. */
const MAX_REFUSED = { rows: 100, percent: 1, always: 10 } as const;

/** What SQLite refused, of how many rows, or undefined when the error is no row's fault. */
export function refusalOf(
  error: unknown,
  tried: BatchResult | undefined,
): { readonly rows: number; readonly refused: RefusedRow } | undefined {
  if (error instanceof RefusedUpdate) return error;
  // A constraint that is checked at COMMIT, or its trigger, names no row: only halving finds it.
  const isDeferred =
    isStoreError(error) &&
    /^(?:SQLITE_CONSTRAINT_FOREIGNKEY|POSTGRES_(?:22|23|44|P0|09|38|39))/.test(error.code);
  return isDeferred && tried
    ? { rows: tried.rowsScanned, refused: { key: tried.firstKey, code: error.code } }
    : undefined;
}

/** Whether so many of the rows that were read are no exceptions any more. */
function isTooMany(rows: number, rowsScanned: number): boolean {
  const allowed = Math.max(MAX_REFUSED.always, (rowsScanned * MAX_REFUSED.percent) / 100);
  return rows > Math.min(MAX_REFUSED.rows, allowed);
}

/** Stops a run in which `process` throws on more than some odd rows: it is the function that is to be mended. */
export async function refuseFailures(
  ledger: Ledger,
  backfill: Backfill,
  { run }: RunRecord,
  rowsScanned: number,
): Promise<void> {
  const { name } = backfill;
  const rows = await ledger.rejectedRows(name, run, PROCESS_FAILED);
  if (!isTooMany(rows, rowsScanned)) return;
  const [cause] = takeThrown(backfill); // none if other processes that share the run met all of them
  const what = cause === undefined ? 'in other processes' : thrownText(cause);
  throw new BackfillError(
    'PROCESS_FAILED',
    `\`process\` of ${name} threw on ${rows} rows (${what})`,
    `Call it with rows like those that umzug-backfill skips ${shellWord(name)} lists, or of the next batch, and mend it; then run umzug-backfill up, and umzug-backfill backfill ${shellWord(name)} --rescan`,
    { cause },
  );
}

/** Stops a run in which nearly every row is refused: an append-only table would be read row by row to its end. */
export async function refuseTooMany(
  ledger: Ledger,
  backfill: Backfill,
  { run }: RunRecord,
  rowsScanned: number,
  { key, code }: RefusedRow,
): Promise<void> {
  const rows = await ledger.rejectedRows(backfill.name, run, code);
  if (!isTooMany(rows, rowsScanned)) return;
  throw new BackfillError(
    'ROW_REJECTED_REPEATEDLY',
    `${engineOf(code)} refused to update ${rows} rows of ${backfill.table} with ${code}, the last of them with key ${key}`,
    `Look for the trigger or constraint that refuses them: sqlite3 STORE ${shellWord(`.schema ${backfill.table}`)}; run the same command again when it is gone, then umzug-backfill backfill ${shellWord(backfill.name)} --rescan for those that were skipped`,
  );
}

const engineOf = (code: string): string => (code.startsWith('SQLITE_') ? 'SQLite' : 'PostgreSQL');
