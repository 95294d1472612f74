import type { SqlValue, Store } from '../db/connection.js';
import { BackfillError } from '../errors.js';
import { msg } from '../messages/message.js';
import type { Key, KeySpan } from './keys.js';
import { LEDGER_TABLES as T } from './tables.js';

// What the ledger's rows hold, and how they are read. A store, and the ledger in it, may come from anybody, and SQLite takes any value in
// any column: what is read is checked here for its form, so that no other part meets a value that is none. What rows say together is the
// verification's affair.

/** Reads the value of a column; undefined where it is none that this package writes. */
export type Form<Value> = (cell: unknown, dialect: Store['dialect']) => Value | undefined;

/** A text. */
export const text: Form<string> = (cell) => (typeof cell === 'string' ? cell : undefined);

/** Any number. */
export const real: Form<number> = (cell) => {
  const value = typeof cell === 'number' || typeof cell === 'bigint' ? Number(cell) : Number.NaN;
  return Number.isFinite(value) ? value : undefined;
};

/** A whole number that JavaScript can tell from its neighbours. */
export const count: Form<number> = (cell, dialect) => {
  const value = real(cell, dialect);
  return Number.isSafeInteger(value) ? value : undefined;
};

const [MIN_KEY, MAX_KEY] = [-(2n ** 63n), 2n ** 63n - 1n];

/** A key, as the engine keeps it. */
export const key: Form<Key> = (cell, dialect) => {
  const value: unknown = dialect.ledger.toKey(cell as SqlValue);
  if (typeof value === 'bigint') return value >= MIN_KEY && value <= MAX_KEY ? value : undefined;
  return typeof value === 'string' ? value : undefined;
};

/** One of some words. */
export const oneOf =
  <const Word extends string>(...words: readonly Word[]): Form<Word> =>
  (cell) =>
    words.find((word) => word === cell);

/** A list of texts, as JSON. */
export const texts: Form<readonly string[]> = (cell) => {
  const list = typeof cell === 'string' ? parseJson(cell) : undefined;
  return Array.isArray(list) && list.every((item) => typeof item === 'string') ? list : undefined;
};

/** NULL, or what another form reads. */
export const orNull =
  <Value>(form: Form<Value>): Form<Value | null> =>
  (cell, dialect) =>
    cell === null ? null : form(cell, dialect);

/** What a JSON text says, or undefined where it is none. */
export function parseJson(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** Reads one value of a table; throws `LEDGER_DAMAGED` where its column holds what this package never writes. */
export function readCell<Value>(
  { dialect }: Store,
  table: string,
  column: string,
  form: Form<Value>,
  cell: unknown,
): Value {
  const value = form(cell, dialect);
  if (value !== undefined) return value;
  throw new BackfillError(
    'LEDGER_DAMAGED',
    msg(
      'The ledger of this store is damaged: a row of {table} holds in {column} what this package never writes',
      { table, column },
    ),
    msg(
      'Put back what somebody else has changed in that table, or go back to the newest backup: umzug-backfill restore',
    ),
  );
}

/** Reads rows of one table of the ledger, by the forms of their columns. Throws `LEDGER_DAMAGED`. */
export interface Reader<Row> {
  /** All rows behind `tail`: the statement from its WHERE on. */
  all(store: Store, tail: string, ...parameters: readonly SqlValue[]): Promise<Row[]>;
  /** The first of them, or undefined. */
  first(store: Store, tail: string, ...parameters: readonly SqlValue[]): Promise<Row | undefined>;
}

/**
 * Makes what reads rows of a table.
 *
 * @param forms of the columns to read, by their names in camel case
 */
export function reader<Row extends object>(
  table: string,
  forms: { readonly [Name in keyof Row]: Form<Row[Name]> },
): Reader<Row> {
  const columns = Object.entries<Form<unknown>>(forms).map(
    ([name, form]) => [name, snakeCase(name), form] as const,
  );
  const sql = `SELECT ${columns.map(([, column]) => column).join(', ')} FROM ${table}`;
  const read = (store: Store, cells: Readonly<Record<string, unknown>>): Row => {
    const row: Record<string, unknown> = {};
    for (const [name, column, form] of columns)
      row[name] = readCell(store, table, column, form, cells[column]);
    return row as Row;
  };
  return {
    async all(store, tail, ...parameters) {
      const rows = await store.allExact<Record<string, unknown>>(`${sql} ${tail}`, ...parameters);
      return rows.map((cells) => read(store, cells));
    },
    async first(store, tail, ...parameters) {
      const cells = await store.getExact<Record<string, unknown>>(`${sql} ${tail}`, ...parameters);
      return cells && read(store, cells);
    },
  };
}

/** A row as its reader gives it. */
export type RowOf<Table> = Table extends Reader<infer Row> ? Readonly<Row> : never;

/**
 * Inserts a row. Inside its caller's transaction.
 *
 * @param row values by the names of their columns, in camel case
 * @param onConflict clause for a row that is there
 * @returns how many rows were written
 */
export async function insert(
  store: Store,
  table: string,
  row: Readonly<Record<string, SqlValue>>,
  onConflict = '',
): Promise<number> {
  const names = Object.keys(row);
  const places = names.map(() => '?').join(', ');
  const sql = `INSERT INTO ${table} (${names.map(snakeCase).join(', ')}) VALUES (${places}) ${onConflict}`;
  return await store.run(sql, ...Object.values(row));
}

/** The column's own name: rows have names of JavaScript's. */
const snakeCase = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

/** Where a ledger is, and what its parts share. */
export interface Place {
  /** The store, or a transaction of it. */
  readonly store: Store;
  /** Whether there is a ledger. */
  readonly exists: () => Promise<boolean>;
  /** Rows of one of its tables, behind a statement's WHERE; none where there is no ledger. */
  readonly rows: <Row>(
    table: Reader<Row>,
    tail: string,
    ...parameters: readonly SqlValue[]
  ) => Promise<Row[]>;
  /** Drops its tables. Runs inside its caller's transaction. */
  readonly drop: () => Promise<void>;
  /** The time of an entry: ISO-8601 in UTC. */
  readonly timestamp: () => string;
  /** Number of the range that this process was at work on last. */
  readonly last: { range: number };
}

/**
 * Kind of a migration that is in the ledger since it is umzug's storage, and that somebody else's code applies and reverts:
 * its row is only its name. Such rows are no steps of a project, so that they are no drift and no work of `down`.
 */
export const EXTERNAL = 'external';

/** The steps that were begun. */
export const STEPS = reader(T.steps, {
  name: text,
  kind: text,
  /**
   * Legal transitions:
   *
   * | from | to | by |
   * |---|---|---|
   * | (no row) | applying | `up`, in the transaction of the step's first durable change |
   * | applying | applied | `up`, in the transaction of its last |
   * | applying, applied | reverting | `down`, in the transaction of its first |
   * | reverting | applying | `up` after a `down` that was stopped |
   * | reverting | (no row) | `down`, in the transaction of its last |
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

/** A step that was begun. */
export type StepRecord = RowOf<typeof STEPS>;

/** What schema steps made. */
export const OBJECTS = reader(T.objects, { kind: oneOf('column', 'index', 'version'), name: text });

/** What a schema step made. */
export type CreatedObject = RowOf<typeof OBJECTS>;

/** One run of a backfill. Keys are null where there is none. */
export interface RunRecord {
  readonly run: number;
  readonly kind: 'first' | 'catch-up' | 'rescan';
  /** `superseded`: `backfill --rescan` began after it. */
  readonly status: 'running' | 'filled' | 'verified' | 'superseded';
  /** The cursor it began with. */
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
  /** Whether `prefilledCells` has been counted: others take part only then. */
  readonly isCounted: boolean;
  /** How much of it is done, 0 to 1, where it has several ranges, which tell; else its keys do. */
  readonly share?: number;
}

/** Whether a run of this status still waits for its verification. */
export const isOpen = (status: RunRecord['status']): boolean => status === 'running' || status === 'filled';

/** What of a run a batch is taken of. */
export interface Claim {
  /** Number of the range. */
  readonly range: number;
  /** Last key done of it, or null before the first of all. */
  readonly cursor: Key | null;
  /** Its last key. */
  readonly end: Key;
}

/** Rows that a batch has at most, whatever is asked for: what the ledger says of one can then be read, whoever wrote it. */
export const MAX_BATCH_ROWS = 1_000_000;

/** The committed batches. */
export const BATCHES = reader(T.batches, {
  number: count,
  run: count,
  firstKey: key,
  lastKey: key,
  rowsScanned: count,
  cellsFilled: count,
  cellsSkipped: count,
  /** Skips that it recorded: one for a whole row, else one a cell. */
  skips: count,
  durationMs: real,
});

/** One committed batch. */
export type BatchRecord = RowOf<typeof BATCHES>;

/** The cells of one batch that share their columns; `keys` as keys.ts packs them. */
export interface CellsRecord {
  readonly columns: readonly string[];
  readonly firstKey: Key;
  readonly keys: Buffer;
}

/** The same, unpacked. */
export interface CellSet {
  readonly columns: readonly string[];
  readonly runs: readonly KeySpan[];
  /** Whether columns or packed keys could not be read, so that there are none. */
  readonly isDamaged: boolean;
}

/** A row or cell that was left alone. */
export interface SkipRecord {
  readonly key: Key;
  /** A column, or `*` for the whole row. */
  readonly target: string;
  readonly reason: SkipReason;
}

/**
 * Why a row or a cell was left alone: `DOCUMENT_UNREADABLE`, its document can't be read; `NO_USABLE_VALUE`, nothing to fill
 * it with; `PROCESS_FAILED`, the backfill's function threw; `VALUE_INVALID`, it gave a value that the store can't hold;
 * `UPDATE_IGNORED`, a trigger kept it from being filled;
 * `SQLITE_…` or `POSTGRES_…`, the store refused the update, with SQLite's result code or an SQLSTATE; any other code is the
 * backfill's own.
 */
export type SkipReason = string;
