import type { Store } from '../../db/connection.js';
import type { Estimate, TableWork } from '../dialect.js';
import { tableBytes } from './inspect.js';

/**
 * Rates by which lock times are foretold, in bytes of the table a millisecond. Measured on a million rows (875 MB) of
 * about 800 bytes, on two shared cores: DROP COLUMN 8.5 s for two, CREATE INDEX 0.3 s for one on empty columns.
 * One on a filled column of some 15 characters took 0.3 s for 300,000 such rows.
 */
const DROP_COLUMN_BYTES_PER_MS = 200_000;
const CREATE_INDEX_BYTES_PER_MS = 2_500_000;
const FULL_INDEX_BYTES_PER_MS = 800_000;

/** Lock time of a statement that only changes the schema, in milliseconds. */
export const SCHEMA_ONLY_MS = 5;

/** What rewriting a table so many times is expected to cost. */
export function rewriteEstimate(bytes: number, times: number): Estimate {
  return { lockMs: SCHEMA_ONLY_MS + (times * bytes) / DROP_COLUMN_BYTES_PER_MS, diskBytes: bytes };
}

/** What a partial index on columns that are still NULL is expected to cost: SQLite reads the table once. */
export function createIndexEstimate(bytes: number): Estimate {
  return { lockMs: SCHEMA_ONLY_MS + bytes / CREATE_INDEX_BYTES_PER_MS, diskBytes: 0 };
}

/** What an index on columns that hold values is expected to cost: SQLite reads the table, sorts, and writes the index. */
export function fullIndexEstimate(bytes: number): Estimate {
  return { lockMs: SCHEMA_ONLY_MS + bytes / FULL_INDEX_BYTES_PER_MS, diskBytes: 0 };
}

/** What work on a table is expected to cost. A row that is updated stays where it is. */
export async function estimate(store: Store, table: string, work: TableWork): Promise<Estimate> {
  if ('updatesRows' in work) return { lockMs: 0, diskBytes: 0 };
  const bytes = await tableBytes(store, table);
  return 'createsIndex' in work ? createIndexEstimate(bytes) : rewriteEstimate(bytes, work.dropsColumns);
}
