import {
  type Cells,
  deriveRow,
  expectedCells,
  expectedSkips,
  type StoredValue,
  targets,
} from './reference.js';
import { asAgentOs } from './stores.js';
import type { Expected } from './test-store.js';

// What the oracle of reference.ts says of a SQLite store, in the words of the ledger.

const REASONS = { unreadable: 'DOCUMENT_UNREADABLE', 'no-value': 'NO_USABLE_VALUE' } as const;

/** What a fill of the store as it is must lead to. */
export function oracle(path: string): Expected {
  const skips = [...expectedSkips(path)].map(([key, found]): [string, string[]] => [
    key,
    found.map(({ column, kind }) => `${column ?? '*'}: ${REASONS[kind]}`).sort(),
  ]);
  return { cells: expectedCells(path), skips: new Map(skips) };
}

/** A row as the oracle reads it. */
export interface OracleRow {
  readonly key: string;
  readonly payload: StoredValue;
  readonly createdAt: StoredValue;
}

/** Every row of a SQLite store. */
export function oracleRows(path: string): OracleRow[] {
  type Type = StoredValue['type'];
  const rows = asAgentOs(path, (db) =>
    db
      .prepare(
        `SELECT CAST(audit_id AS TEXT), typeof(payload), CAST(payload AS BLOB), typeof(created_at), CAST(created_at AS BLOB)
        FROM task_audits ORDER BY audit_id`,
      )
      .raw()
      .all(),
  ) as [string, Type, Buffer | null, Type, Buffer | null][];
  return rows.map(([key, payloadType, payload, createdType, created]) => ({
    key,
    payload: { type: payloadType, bytes: payload ?? Buffer.alloc(0) },
    createdAt: { type: createdType, bytes: created ?? Buffer.alloc(0) },
  }));
}

/** What each row derives now, in scope or not. */
export function derivedCells(path: string): Map<string, Cells> {
  return new Map(
    oracleRows(path).map((row) => [
      row.key,
      deriveRow(row).map((cell) => (cell.kind === 'text' ? cell.text : null)) as unknown as Cells,
    ]),
  );
}

/** The columns that the oracle speaks of, in its order. */
export const COLUMNS = targets.map(({ column }) => column);
