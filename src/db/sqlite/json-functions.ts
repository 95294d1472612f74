import { isUtf8 } from 'node:buffer';
import type Database from 'better-sqlite3';
import { readJson, usableString } from '../json-text.js';

/** SQL name of the reader of rare JSON texts: bytes in, strict JSON out, or NULL when they are not readable. */
export const READ_JSON = 'umzug_backfill_read_json';
/** SQL name of the judge of rare JSON strings: a string's JSON bytes in, its text out, or NULL when not usable. */
export const READ_STRING = 'umzug_backfill_read_string';
/** SQL name of the judge of whole texts: 1 when its bytes are valid. */
export const IS_UTF8 = 'umzug_backfill_is_utf8';

/**
 * Registers what SQLite's own JSON functions can not judge: texts that its reader refuses or reads too liberally,
 * and strings with escapes or beyond ASCII. Both take bytes: a JavaScript string can not hold invalid UTF-8.
 *
 * @param db the connection
 * @param encoding the store's text encoding, as `PRAGMA encoding` gives it: `CAST(… AS BLOB)` yields its bytes
 */
export function registerJsonFunctions(db: Database.Database, encoding: string): void {
  const utf8 = utf8Bytes(encoding);
  const options = { deterministic: true, directOnly: true };
  db.function(READ_JSON, options, (bytes: unknown) => {
    if (!Buffer.isBuffer(bytes)) return null;
    const text = utf8(bytes);
    const json = text === null ? null : readJson(text);
    // Bytes in the store's own encoding go back as bytes: text of ours would replace what is not valid UTF-8.
    return encoding === 'UTF-8' ? json : (json?.toString('utf8') ?? null);
  });
  db.function(IS_UTF8, options, (bytes: unknown) =>
    Buffer.isBuffer(bytes) && (encoding !== 'UTF-8' || isUtf8(bytes)) ? 1 : 0,
  );
  db.function(READ_STRING, options, (bytes: unknown) => {
    if (!Buffer.isBuffer(bytes)) return null;
    const text = utf8(bytes);
    return text === null ? null : usableString(text);
  });
}

function utf8Bytes(encoding: string): (bytes: Buffer) => Buffer | null {
  if (encoding === 'UTF-8') return (bytes) => bytes;
  return (bytes) => {
    if (bytes.length % 2 !== 0) return null;
    const little = encoding === 'UTF-16be' ? Buffer.from(bytes).swap16() : bytes;
    return Buffer.from(little.toString('utf16le'), 'utf8');
  };
}
