import type { SqlValue, Store } from '../db/connection.js';
import { BackfillError } from '../errors.js';
import { msg } from '../messages/message.js';
import type { Key, KeySpan } from './keys.js';
import { LEDGER_TABLES as T } from './tables.js';

// The ledger is untrusted, and SQLite accepts any value in any column. Each value is therefore checked here as it is read. Whether rows
// agree with each other is left to the verification.

/** Parses the value of a column. Returns undefined if this package never writes such a value. */
export type Form<Value> = (cell: unknown, dialect: Store['dialect']) => Value | undefined;

/** A text. */
const text: Form<string> = (cell) => (typeof cell === 'string' ? cell : undefined);

/** A finite number. */
const real: Form<number> = (cell) => {
  const value = typeof cell === 'number' || typeof cell === 'bigint' ? Number(cell) : Number.NaN;
  return Number.isFinite(value) ? value : undefined;
};

/** A safe integer. */
const count: Form<number> = (cell, dialect) => {
  const value = real(cell, dialect);
  return Number.isSafeInteger(value) ? value : undefined;
};

/** A key, as the dialect stores it. */
const key: Form<Key> = (cell, dialect) => {
  const value: unknown = dialect.ledger.toKey(cell as SqlValue);
  if (typeof value === 'bigint') return BigInt.asIntN(64, value) === value ? value : undefined;
  return typeof value === 'string' ? value : undefined;
};

/** One of some words. */
const oneOf =
  <const Word extends string>(...words: readonly Word[]): Form<Word> =>
  (cell) =>
    words.find((word) => word === cell);

/** A list of texts, as JSON. */
const texts: Form<readonly string[]> = (cell) => {
  const list = parseList(cell);
  return list?.every((item) => typeof item === 'string') ? list : undefined;
};

/** NULL, or another form. */
const orNull =
  <Value>(form: Form<Value>): Form<Value | null> =>
  (cell, dialect) =>
    cell === null ? null : form(cell, dialect);

/** The forms of the ledger's values. */
export const form = { text, real, count, key, oneOf, texts, orNull };

/** Parses a list as JSON. Returns undefined if a cell does not contain one. */
export function parseList(cell: unknown): readonly unknown[] | undefined {
  try {
    const list: unknown = typeof cell === 'string' ? JSON.parse(cell) : undefined;
    return Array.isArray(list) ? list : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** Parses one value of a table. Throws `LEDGER_DAMAGED` if this package never writes such a value. */
export function readCell<Value>(
  { dialect }: Store,
  table: string,
  column: string,
  form: Form<Value>,
  cell: unknown,
): Value {
  const value = form(cell, dialect);
  if (value === undefined) throw damagedCell(table, column);
  return value;
}

/** Returns the error for a value that this package never writes into a column. */
export const damagedCell = (table: string, column: string): BackfillError =>
  new BackfillError(
    'LEDGER_DAMAGED',
    msg(
      'The ledger of this store is damaged: a row of {table} has a value in {column} that this package never writes',
      { table, column },
    ),
    msg('Undo the changes to that table, or restore the newest backup: umzug-backfill restore'),
  );

/** Reads rows of a table of the ledger: those that `tail`, the statement from its WHERE on, selects. Throws `LEDGER_DAMAGED`. */
type Reader<Row> = (store: Store, tail: string, ...parameters: readonly SqlValue[]) => Promise<Row[]>;

/**
 * Returns a reader of a table's rows, which checks the forms of their columns.
 *
 * @param forms forms of the columns to read, by name in camel case
 */
export function reader<Row extends object>(
  table: string,
  forms: { readonly [Name in keyof Row]: Form<Row[Name]> },
): Reader<Row> {
  const columns = Object.entries<Form<unknown>>(forms).map(
    ([name, form]) => [name, snakeCase(name), form] as const,
  );
  const sql = `SELECT ${columns.map(([, column]) => column).join(', ')} FROM ${table}`;
  return async (store, tail, ...parameters) => {
    const rows = await store.allExact<Record<string, unknown>>(`${sql} ${tail}`, ...parameters);
    return rows.map((cells) => {
      const row: Record<string, unknown> = {};
      for (const [name, column, form] of columns)
        row[name] = readCell(store, table, column, form, cells[column]);
      return row as Row;
    });
  };
}

/** A row of a reader. */
export type RowOf<Table> = Table extends Reader<infer Row> ? Readonly<Row> : never;

/** Values of a row by column name in camel case. */
type Row = Readonly<Record<string, SqlValue>>;

/**
 * Inserts a row, inside its caller's transaction.
 *
 * @param onConflict clause for an existing row
 * @returns number of written rows
 */
export async function insert(store: Store, table: string, row: Row, onConflict = ''): Promise<number> {
  const names = Object.keys(row);
  const places = names.map(() => '?').join(', ');
  const sql = `INSERT INTO ${table} (${names.map(snakeCase).join(', ')}) VALUES (${places}) ${onConflict}`;
  return await store.run(sql, ...Object.values(row));
}

/** Like {@link insert}; replaces the values of the row that has this key. */
export async function upsert(store: Store, table: string, key: Row, values: Row): Promise<void> {
  const keys = Object.keys(key).map(snakeCase).join(', ');
  const names = Object.keys(values).map(snakeCase);
  const set = names.map((name) => `${name} = excluded.${name}`).join(', ');
  await insert(store, table, { ...key, ...values }, `ON CONFLICT (${keys}) DO UPDATE SET ${set}`);
}

const snakeCase = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

/** The state that the parts of a ledger share. */
export interface Place {
  /** The store, or a transaction of it. */
  readonly store: Store;
  /** Checks whether there is a ledger. */
  readonly exists: () => Promise<boolean>;
  /** Returns rows of one of its tables; none if there is no ledger. */
  readonly rows: <Row>(read: Reader<Row>, tail: string, ...parameters: readonly SqlValue[]) => Promise<Row[]>;
  /** Drops its tables, inside its caller's transaction. */
  readonly drop: () => Promise<void>;
  /** Returns the current time, ISO-8601 in UTC. */
  readonly timestamp: () => string;
  /** Number of the range that this process claimed last. */
  readonly last: { range: number };
}

/**
 * Kind of a migration that other code applies and reverts, and that is in the ledger because the ledger is umzug's storage. Such rows have
 * only a name and a time; they never count as drift, and `down` does not revert them.
 */
export const EXTERNAL = 'external';

/** Reads the started steps. */
export const stepRows = reader(T.steps, {
  name: text,
  kind: text,
  /**
   * Legal transitions:
   *
   * | from | to | by |
   * |---|---|---|
   * | (no row) | applying | `up`, in the transaction of the step's first durable change |
   * | applying | applied | `up`, in the transaction of its last change |
   * | applying, applied | reverting | `down`, in the transaction of its first change |
   * | reverting | applying | `up` after an interrupted `down` |
   * | reverting | (no row) | `down`, in the transaction of its last change |
   */
  status: oneOf('applying', 'applied', 'reverting'),
  fingerprint: text,
  packageVersion: text,
  startedAt: text,
  appliedAt: orNull(text),
  durationMs: count,
  revertedCells: count,
  keptCells: count,
});

/** A started step. */
export type StepRecord = RowOf<typeof stepRows>;

/** Reads the objects that schema steps created. */
export const objectRows = reader(T.objects, { kind: oneOf('column', 'index', 'version'), name: text });

/** An object that a schema step created. */
export type CreatedObject = RowOf<typeof objectRows>;

/** Reads the runs of backfills. */
export const runRows = reader(T.runs, {
  run: count,
  kind: oneOf('first', 'catch-up', 'rescan'),
  /** `superseded`: a rescan has started since. */
  status: oneOf('running', 'filled', 'verified', 'superseded'),
  /** Cursor at its start. */
  startKey: orNull(key),
  watermark: orNull(key),
  prefilledCells: orNull(count),
  startedAt: text,
  filledAt: orNull(text),
});

/** Reads the parts of runs that batches are claimed from. */
export const rangeRows = reader(T.ranges, {
  run: count,
  number: count,
  /** Last key of the range. */
  endKey: key,
  /** Last key done in the range, or null before the first key. */
  cursor: orNull(key),
  isDone: count,
  batches: count,
  rowsScanned: count,
  cellsFilled: count,
  cellsSkipped: count,
});

/** A part of a run. */
export type RangeRecord = RowOf<typeof rangeRows>;

// Its fields are named one by one, because it is part of the API: a type inferred from the readers would bring those of every store and
// engine, and of Node, into the published declarations.
/** One run of a backfill, with the sums of its ranges. */
export interface RunRecord {
  readonly run: number;
  readonly kind: 'first' | 'catch-up' | 'rescan';
  /** `superseded`: a rescan has started since. */
  readonly status: 'running' | 'filled' | 'verified' | 'superseded';
  /** Cursor at its start. */
  readonly startKey: Key | null;
  readonly watermark: Key | null;
  readonly cursor: Key | null;
  readonly prefilledCells: number;
  readonly batches: number;
  readonly rowsScanned: number;
  readonly cellsFilled: number;
  readonly cellsSkipped: number;
  readonly startedAt: string;
  readonly filledAt: string | null;
  /** Whether `prefilledCells` is counted; other workers join only after that. */
  readonly isCounted: boolean;
  /** Fraction of its ranges that are done, if it has several. */
  readonly share?: number;
}

/** Checks whether a run of this status is not verified yet. */
export const isOpen = (status: RunRecord['status']): boolean => status === 'running' || status === 'filled';

/** Maximum rows per batch, whatever the options; also limits what is read of an untrusted ledger. */
export const MAX_BATCH_ROWS = 1_000_000;

/** Cells of one batch with the same columns; `keys` packed as in keys.ts. */
export interface CellsRecord {
  readonly columns: readonly string[];
  readonly firstKey: Key;
  readonly keys: Buffer;
}

/** Cells of one batch with the same columns, unpacked. */
export interface CellSet {
  readonly columns: readonly string[];
  readonly runs: readonly KeySpan[];
  /** Whether columns or keys are unreadable; there are none then. */
  readonly isDamaged: boolean;
}

/** A skipped row or cell. */
export interface SkipRecord {
  readonly key: Key;
  /** A column, or `*` for the whole row. */
  readonly target: string;
  readonly reason: SkipReason;
}

/**
 * Reason for which a row or cell was skipped: `DOCUMENT_UNREADABLE`, its document cannot be read; `NO_USABLE_VALUE`, no value to fill
 * it with; `PROCESS_FAILED`, the backfill's function threw; `VALUE_INVALID`, the function returned a value that the store cannot hold;
 * `UPDATE_IGNORED`, a trigger undid the update; `SQLITE_…` or `POSTGRES_…`, the database rejected the update, with SQLite's result code
 * or an SQLSTATE; any other code is the project's.
 */
export type SkipReason = string;
