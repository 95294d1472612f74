import type Database from 'better-sqlite3';
import { unsafeUse } from '../../error-meanings.js';
import { BackfillError } from '../../errors.js';
import { isSqliteError } from '../../store-errors.js';
import { tokensOf } from '../sql.js';

/**
 * Compiles a statement.
 *
 * @throws {BackfillError} `SCHEMA_BLOCKED` naming what SQLite refuses to use in a schema that it does not trust, and the triggers and
 *   views that have its name in their text
 */
export function prepare(db: Database.Database, sql: string): Database.Statement {
  try {
    return db.prepare(sql);
  } catch (error) {
    throw unsafeUseIn(db, error) ?? error;
  }
}

function unsafeUseIn(db: Database.Database, error: unknown): BackfillError | undefined {
  const used = isSqliteError(error) ? unsafeUse(error.message)?.used : undefined;
  if (used === undefined) return undefined;
  const word = used.replace(/^the virtual table |\(\)$/g, '').toLowerCase();
  const objects = db
    .prepare<[], { type: string; name: string; sql: string }>(
      `SELECT type, name, sql FROM sqlite_schema WHERE type IN ('trigger', 'view') ORDER BY type, name`,
    )
    .all()
    .filter(({ sql }) => [...tokensOf(sql)].some((token) => token.replace(/^"|"$/g, '') === word))
    .map(({ type, name }) => `${type} ${name}`);
  if (objects.length === 0) return undefined; // the error itself says what is used
  return new BackfillError(
    'SCHEMA_BLOCKED',
    `SQLite refuses ${used} in the schema of a file, and it is used by ${objects.join(', ')}`,
    'Drop what stands in the way, run the same command again, then create it anew',
    { cause: error },
  );
}
