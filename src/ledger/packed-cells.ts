import { BackfillError } from '../errors.js';
import { shellWord } from '../shell.js';
import type { SqlValue, Store } from '../store/port.js';
import { parseJson } from './checked.js';
import { mostBytes, unpackKeys } from './key-runs.js';
import { MAX_TEXT_BYTES, unpackTexts } from './key-texts.js';
import { countKeys, type KeyRun } from './keys.js';
import type { Ledger } from './ledger.js';
import { type CellSet, MAX_BATCH_ROWS } from './records.js';
import { LEDGER_TABLES as T } from './tables.js';

// Cells as the ledger packs them: a few bytes can stand for keys without end. Nothing here goes by what the ledger says of itself
// alone: no batch has more than MAX_BATCH_ROWS.

/** Bytes of the packed keys of one batch. */
const MAX_BYTES = Math.max(mostBytes(MAX_BATCH_ROWS), MAX_TEXT_BYTES);

/** Bytes of the columns' names of one set. */
const MAX_COLUMNS_BYTES = 1024 * 1024;

/** What can't be read, and so has no keys. */
const DAMAGED: CellSet = { columns: [], runs: [], isDamaged: true };

interface PackedCells {
  readonly columns: SqlValue | Uint8Array;
  readonly firstKey: SqlValue | Uint8Array;
  readonly keys: SqlValue | Uint8Array;
}

/** Which cells a batch filled. What is damaged, or longer than a batch can be, is one set without columns. */
export async function readCells(store: Store, backfill: string, batch: number): Promise<CellSet[]> {
  const most = await mostRows(store, backfill, batch);
  const lengths = await store.get<{ keys: number | null; columns: number | null }>(
    `SELECT sum(octet_length(keys)) AS keys, max(octet_length(columns)) AS columns FROM ${T.cells} WHERE backfill = ? AND batch = ?`,
    backfill,
    batch,
  );
  if ((lengths?.keys ?? 0) > MAX_BYTES || (lengths?.columns ?? 0) > MAX_COLUMNS_BYTES) return [DAMAGED];
  let left = most;
  return (
    await store.allExact<PackedCells>(
      `SELECT columns, first_key AS "firstKey", keys FROM ${T.cells} WHERE backfill = ? AND batch = ? ORDER BY columns`,
      backfill,
      batch,
    )
  ).map(({ columns, firstKey, keys }) => {
    const names = readNames(columns);
    const runs = names && unpacked(store, firstKey, keys, left);
    if (!names || !runs) return DAMAGED;
    left -= countKeys(runs);
    return { columns: names, runs, isDamaged: false };
  });
}

/** How many keys a batch can have: each row that it read is in one of its sets at most. */
async function mostRows(store: Store, backfill: string, batch: number): Promise<number> {
  const row = await store.get<{ rows: unknown }>(
    `SELECT rows_scanned AS rows FROM ${T.batches} WHERE backfill = ? AND number = ?`,
    backfill,
    batch,
  );
  return typeof row?.rows === 'number' ? Math.min(row.rows, MAX_BATCH_ROWS) : MAX_BATCH_ROWS;
}

/** Names of columns, each once; undefined where this is no list of them. */
function readNames(columns: PackedCells['columns']): string[] | undefined {
  const names = typeof columns === 'string' ? parseJson(columns) : undefined;
  const isList = Array.isArray(names) && names.length > 0 && names.every((name) => typeof name === 'string');
  return isList && new Set(names).size === names.length && JSON.stringify(names) === columns
    ? names
    : undefined;
}

function unpacked(
  store: Store,
  firstKey: PackedCells['firstKey'],
  keys: PackedCells['keys'],
  most: number,
): KeyRun[] | undefined {
  if (!Buffer.isBuffer(keys) || firstKey instanceof Uint8Array) return undefined;
  const first = store.dialect.fromLedger(firstKey);
  try {
    if (typeof first === 'bigint') return unpackKeys(first, keys, most);
    return typeof first === 'string' ? unpackTexts(keys, most) : undefined;
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

/**
 * Refuses to take back a backfill of whose cells some can't be read: they would stay, and nothing would know of them any more.
 *
 * @throws {BackfillError} `LEDGER_DAMAGED` naming the batch
 */
export async function refuseDamagedCells(ledger: Ledger, backfill: string): Promise<void> {
  for (const number of await ledger.batchNumbers(backfill)) {
    if (!(await ledger.cells(backfill, number)).some(({ isDamaged }) => isDamaged)) continue;
    throw new BackfillError(
      'LEDGER_DAMAGED',
      `The ledger of this store is damaged: it does not tell any more which cells batch ${number} of ${backfill} has filled`,
      `Go back to a backup: umzug-backfill restore; or give those cells up: umzug-backfill backfill ${shellWord(backfill)} --rescan counts them as the application's own, and \`down\` then leaves them`,
    );
  }
}
