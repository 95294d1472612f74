import type { SqlValue, Store } from '../db/connection.js';
import { BackfillError } from '../errors.js';
import type { Digest } from '../safety/digest.js';
import type { Key, KeyRun } from './keys.js';

/** What the ledger's rows say, as the rest of the program sees them. */

/** Where a ledger is, and what its parts share. */
export interface Place {
  /** The store, or a transaction of it. */
  readonly store: Store;
  /** Whether there is a ledger. Without one, every reading gives what an empty one would. */
  readonly exists: () => Promise<boolean>;
  /** Drops its tables. Runs inside its caller's transaction. */
  readonly drop: () => Promise<void>;
  /** The time of an entry: ISO-8601 in UTC. */
  readonly timestamp: () => string;
  /** Number of the range that this process was at work on last. */
  readonly last: { range: number };
}

/**
 * Where a step stands. Legal transitions:
 *
 * | from | to | by |
 * |---|---|---|
 * | (no row) | applying | `up`, in the transaction of the step's first durable change |
 * | applying | applied | `up`, in the transaction of its last |
 * | applying, applied | reverting | `down`, in the transaction of its first |
 * | reverting | applying | `up` after a `down` that was stopped |
 * | reverting | (no row) | `down`, in the transaction of its last |
 */
export type StepStatus = 'applying' | 'applied' | 'reverting';

/**
 * Kind of a migration that is in the ledger since it is umzug's storage, and that somebody else's code applies and reverts:
 * its row is only its name. Such rows are no steps of a project, so that they are no drift and no work of `down`.
 */
export const FOREIGN = 'foreign';

/** A step's row. */
export interface StepRecord {
  readonly name: string;
  readonly kind: string;
  readonly status: StepStatus;
  readonly fingerprint: string;
  readonly packageVersion: string;
  readonly startedAt: string;
  readonly appliedAt: string | null;
  readonly durationMs: number;
  readonly revertedCells: number;
  readonly keptCells: number;
}

/** What a schema step made. */
export interface CreatedObject {
  readonly kind: 'column' | 'index' | 'version';
  readonly name: string;
}

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
  readonly foundCells: number;
  readonly batches: number;
  readonly rowsScanned: number;
  readonly cellsFilled: number;
  readonly cellsSkipped: number;
  readonly startedAt: string;
  readonly filledAt: string | null;
  /** Whether `foundCells` has been counted: others take part only then. */
  readonly isCounted: boolean;
  /** How much of it is done, 0 to 1, where it has several ranges, which tell; else its keys do. */
  readonly share?: number;
}

/** What of a run a batch is taken of. */
export interface Claim {
  /** Number of the range. */
  readonly range: number;
  /** Last key done of it, or null before the first of all. */
  readonly cursor: Key | null;
  /** Its last key. */
  readonly end: Key;
}

/** Whether a run of this status still waits for its verification. */
export const isOpen = (status: RunRecord['status']): boolean => status === 'running' || status === 'filled';

/** Rows that a batch has at most, whatever is asked for: what the ledger says of one can then be read, whoever wrote it. */
export const MAX_BATCH_ROWS = 1_000_000;

/** One committed batch. */
export interface BatchRecord {
  readonly number: number;
  readonly run: number;
  readonly firstKey: Key;
  readonly lastKey: Key;
  readonly rowsScanned: number;
  readonly cellsFilled: number;
  readonly cellsSkipped: number;
  /** Skips that it recorded: one for a whole row, else one a cell. */
  readonly skips: number;
  readonly durationMs: number;
}

/** The cells of one batch that share their columns; `keys` as keys.ts packs them. */
export interface CellsRecord {
  readonly columns: readonly string[];
  readonly firstKey: Key;
  readonly keys: Buffer;
}

/** The same, unpacked. */
export interface CellSet {
  readonly columns: readonly string[];
  readonly runs: readonly KeyRun[];
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

/** Reasons of skips for which a value could have been derived, as SQL on the column `reason`. */
export const REFUSED_SQL = `(reason = 'UPDATE_IGNORED' OR substr(reason, 1, 7) = 'SQLITE_' OR substr(reason, 1, 9) = 'POSTGRES_')`;

/** A command that changed the store, or was about to. */
export interface CommandRecord {
  readonly command: ChangingCommand;
  /** The steps that it was to work on. */
  readonly steps: readonly string[];
  /** Path of the backup made before it, or null. */
  readonly backup: string | null;
}

/** A backup that was made before a command. */
export interface BackupRecord extends Digest {
  readonly path: string;
}

/** Commands that change a store; before all but a plain `backfill` a backup is made. */
export type ChangingCommand = 'up' | 'down' | 'rescan' | 'backfill';

/** The last verdict on a backfill. */
export interface VerificationRecord {
  readonly number: number;
  readonly run: number;
  readonly verdict: 'pass' | 'warn' | 'fail';
  readonly verifiedAt: string;
}

// A store, and the ledger in it, may come from anybody, and SQLite takes any value in any column. What is read of the ledger is
// checked here for its form, so that no other part meets a value that is none: what its rows say together is the verification's affair.

/** What a column holds: a text, a whole number that JavaScript can tell from its neighbours, any number, a key, or JSON. */
type Form = 'text' | 'count' | 'number' | 'key' | readonly string[];

/** The same, or NULL. */
type Forms<Row> = { readonly [Name in keyof Row]: Form | readonly [Form, null] };

/** The error for a row that holds in a column what this package never writes. */
export const ledgerDamaged = (table: string, column: string): BackfillError =>
  new BackfillError(
    'LEDGER_DAMAGED',
    `The ledger of this store is damaged: a row of ${table} holds in ${column} what this package never writes`,
    'Put back what somebody else has changed in that table, or go back to the newest backup: umzug-backfill restore',
  );

/**
 * Insists that a row of the ledger has the forms that this package writes; whole numbers become numbers.
 *
 * @param table named in the error
 * @throws {BackfillError} `LEDGER_DAMAGED`
 */
export function checked<Row extends object>(
  table: string,
  row: { readonly [Name in keyof Row]: unknown },
  forms: Forms<Row>,
): Row {
  const out: Record<string, unknown> = { ...row };
  for (const [name, form] of Object.entries<Form | readonly [Form, null]>(forms)) {
    const value = out[name];
    const [only, isNullable] = isNullableForm(form) ? [form[0], true] : [form, false];
    if (value === null || value === undefined ? isNullable : fits(value, only)) {
      if (typeof value === 'bigint' && (only === 'count' || only === 'number')) out[name] = Number(value);
    } else throw ledgerDamaged(table, snakeCase(name));
  }
  return out as Row;
}

/** Reads rows of one table of the ledger, by the forms of their columns; integers and keys are exact. */
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
export function reader<Row extends object>(table: string, forms: Forms<Row>): Reader<Row> {
  const names = Object.keys(forms) as (keyof Row & string)[];
  const keys = names.filter((name) => forms[name] === 'key' || forms[name][0] === 'key');
  const columns = names.map((name) => `${snakeCase(name)} AS "${name}"`).join(', ');
  const read = ({ dialect }: Store, row: Row): Row => {
    const out = { ...row };
    for (const name of keys) out[name] = dialect.fromLedger(row[name] as SqlValue) as Row[typeof name];
    return checked<Row>(table, out, forms);
  };
  const sql = `SELECT ${columns} FROM ${table}`;
  return {
    async all(store, tail, ...parameters) {
      return (await store.allExact<Row>(`${sql} ${tail}`, ...parameters)).map((row) => read(store, row));
    },
    async first(store, tail, ...parameters) {
      const row = await store.getExact<Row>(`${sql} ${tail}`, ...parameters);
      return row && read(store, row);
    },
  };
}

const isNullableForm = (form: Form | readonly [Form, null]): form is readonly [Form, null] =>
  Array.isArray(form) && form.at(-1) === null;

/** The column's own name: rows are read by names of JavaScript's. */
const snakeCase = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

function fits(value: unknown, form: Form): boolean {
  if (typeof form !== 'string') return form.includes(value as string);
  if (form === 'text') return typeof value === 'string';
  if (form === 'key') return isKey(value);
  const isNumber = typeof value === 'number' || typeof value === 'bigint';
  if (!isNumber) return false;
  return form === 'count' ? Number.isSafeInteger(Number(value)) : Number.isFinite(Number(value));
}

const [MIN_KEY, MAX_KEY] = [-(2n ** 63n), 2n ** 63n - 1n];

const isKey = (value: unknown): value is Key =>
  typeof value === 'string' || (typeof value === 'bigint' && value >= MIN_KEY && value <= MAX_KEY);

/**
 * Reads a list of texts that the ledger has as JSON.
 *
 * @throws {BackfillError} `LEDGER_DAMAGED`
 */
export function readTexts(table: string, column: string, json: string): string[] {
  const texts = parseJson(json);
  if (Array.isArray(texts) && texts.every((text) => typeof text === 'string')) return texts;
  throw ledgerDamaged(table, column);
}

/** What a JSON text says, or undefined where it is none. */
export function parseJson(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
