import type { SqlValue, Store } from '../db/connection.js';
import { BackfillError } from '../errors.js';
import type { Key } from './keys.js';

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
