import { literal } from '../db/sql.js';
import { BackfillError } from '../errors.js';
import type { Key } from '../ledger/keys.js';
import type { Backfill } from '../steps/define.js';

/** What a key is made of. */
export type KeyKind = 'integer' | 'text';

/** A key as SQL. */
export const keyLiteral = (key: Key): string => (typeof key === 'string' ? literal(key) : String(key));

/**
 * Insists that a value of the key's column is a key.
 *
 * @throws {BackfillError} `KEY_UNSUITABLE`
 */
export function asKey(value: unknown, backfill: Backfill): Key {
  if (typeof value === 'bigint' || typeof value === 'string') return value;
  throw unsuitable(backfill, 'it holds values that are neither integers nor texts');
}

/** A hint that offers the index by which batches could go. */
export const indexHint = (statement: string): string =>
  `Make the index that batches can go by: ${statement}; or name another column as \`key\``;

/** The error for a key by which batches can not go. */
export function unsuitable(
  { name, table, key }: Backfill,
  reason: string,
  hint = 'Name a column of integers or texts as `key`, alone in the primary key or in a unique index',
): BackfillError {
  return new BackfillError(
    'KEY_UNSUITABLE',
    `${key} of ${table} can not be the key of ${name}: ${reason}`,
    hint,
  );
}
