import { isUtf8 } from 'node:buffer';
import { statSync } from 'node:fs';
import Database from 'better-sqlite3';

// What the backfill must write, worked out a second time: row by row, from bytes, sharing no code and no idea with `src/`.
// Only numbers are put to SQLite, because the rule for them is SQLite's own text. Databases are taken to be UTF-8.

/** A value as SQLite stores it: `bytes` is its text as `CAST(… AS BLOB)` gives it, empty for NULL. */
export interface StoredValue {
  readonly type: 'null' | 'text' | 'integer' | 'real' | 'blob';
  readonly bytes: Buffer;
}

export type SkipKind = 'unreadable' | 'no-value';

/** What one target column becomes: a text (see `cellText` for texts that JavaScript can't hold), or nothing. */
export type Cell =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'skip'; readonly reason: SkipKind };

/** A skip of a whole row has `column` null: nothing in an unreadable payload says which column it would have filled. */
export interface Skip {
  readonly column: string | null;
  readonly kind: SkipKind;
}

export type Cells = readonly [sourceEventTs: string | null, supervisorProcessedAt: string | null];

export const targets = [
  {
    column: 'source_event_ts',
    names: ['source_event_ts', 'source_ts', 'event_timestamp', 'task_created_at'],
  },
  { column: 'supervisor_processed_at', names: ['supervisor_processed_at', 'processed_at', 'timestamp'] },
] as const;

const maxDepth = 1_000;

// ---- JSON ----------------------------------------------------------------------------------------------------------

/** A top-level member's value, as far as the rules look at it. `text` is null for a string that must be passed over. */
export type JsonValue =
  | { readonly kind: 'string'; readonly text: string | null }
  | { readonly kind: 'number'; readonly token: string }
  | { readonly kind: 'object'; readonly members: ReadonlyMap<string, JsonValue> }
  | { readonly kind: 'other' };

interface Cursor {
  readonly bytes: Buffer;
  at: number;
}

class Unreadable extends Error {}

/** Parses one JSON text; undefined when it is not readable. Members are kept at the top level only. */
export function readJson(bytes: Buffer): JsonValue | undefined {
  const cursor: Cursor = { bytes, at: 0 };
  try {
    skipSpace(cursor);
    const value = readValue(cursor, 0);
    skipSpace(cursor);
    return cursor.at === bytes.length ? value : undefined;
  } catch (error) {
    if (error instanceof Unreadable) return undefined;
    throw error;
  }
}

function skipSpace(cursor: Cursor): void {
  for (;;) {
    const byte = cursor.bytes[cursor.at];
    if (byte !== 0x20 && byte !== 0x09 && byte !== 0x0a && byte !== 0x0d) return;
    cursor.at += 1;
  }
}

function take(cursor: Cursor, byte: number): boolean {
  if (cursor.bytes[cursor.at] !== byte) return false;
  cursor.at += 1;
  return true;
}

function readValue(cursor: Cursor, depth: number): JsonValue {
  switch (cursor.bytes[cursor.at]) {
    case 0x7b:
      return readObject(cursor, depth + 1);
    case 0x5b:
      return readArray(cursor, depth + 1);
    case 0x22:
      return { kind: 'string', text: readString(cursor) };
    default:
      return readScalar(cursor);
  }
}

function readObject(cursor: Cursor, depth: number): JsonValue {
  if (depth > maxDepth) throw new Unreadable();
  const members = new Map<string, JsonValue>();
  cursor.at += 1;
  skipSpace(cursor);
  if (take(cursor, 0x7d)) return { kind: 'object', members };
  for (;;) {
    if (cursor.bytes[cursor.at] !== 0x22) throw new Unreadable();
    const name = readString(cursor);
    skipSpace(cursor);
    if (!take(cursor, 0x3a)) throw new Unreadable();
    skipSpace(cursor);
    const value = readValue(cursor, depth);
    // A name that is no valid Unicode is null here: it equals no name that is looked for.
    if (depth === 1 && name !== null && !members.has(name)) members.set(name, value);
    skipSpace(cursor);
    if (take(cursor, 0x7d)) return { kind: 'object', members };
    if (!take(cursor, 0x2c)) throw new Unreadable();
    skipSpace(cursor);
  }
}

function readArray(cursor: Cursor, depth: number): JsonValue {
  if (depth > maxDepth) throw new Unreadable();
  cursor.at += 1;
  skipSpace(cursor);
  if (take(cursor, 0x5d)) return { kind: 'other' };
  for (;;) {
    readValue(cursor, depth);
    skipSpace(cursor);
    if (take(cursor, 0x5d)) return { kind: 'other' };
    if (!take(cursor, 0x2c)) throw new Unreadable();
    skipSpace(cursor);
  }
}

const words = ['true', 'false', 'null', 'NaN', 'Infinity', '-Infinity'].map((word) => Buffer.from(word));

function readScalar(cursor: Cursor): JsonValue {
  for (const word of words) {
    if (cursor.bytes.subarray(cursor.at, cursor.at + word.length).equals(word)) {
      cursor.at += word.length;
      return { kind: 'other' };
    }
  }
  const start = cursor.at;
  take(cursor, 0x2d);
  if (!take(cursor, 0x30)) readDigits(cursor);
  if (take(cursor, 0x2e)) readDigits(cursor);
  if (take(cursor, 0x65) || take(cursor, 0x45)) {
    if (!take(cursor, 0x2b)) take(cursor, 0x2d);
    readDigits(cursor);
  }
  return { kind: 'number', token: cursor.bytes.toString('latin1', start, cursor.at) };
}

function readDigits(cursor: Cursor): void {
  const start = cursor.at;
  const isDigit = (byte = 0): boolean => byte >= 0x30 && byte <= 0x39;
  while (isDigit(cursor.bytes[cursor.at])) cursor.at += 1;
  if (cursor.at === start) throw new Unreadable();
}

const escapes: ReadonlyMap<number, string> = new Map(
  Object.entries({ '"': '"', '\\': '\\', '/': '/', b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' }).map(
    ([letter, character]) => [letter.charCodeAt(0), character] as const,
  ),
);

/** Reads a string with its quotes; null when it is no valid Unicode. Raw bytes can't pair with an escaped surrogate. */
function readString(cursor: Cursor): string | null {
  const { bytes } = cursor;
  let text = '';
  let isUnicode = true;
  cursor.at += 1;
  let start = cursor.at;
  const endPiece = () => {
    const piece = bytes.subarray(start, cursor.at);
    isUnicode &&= isUtf8(piece);
    text += piece.toString('utf8');
  };
  for (;;) {
    const byte = bytes[cursor.at];
    if (byte === undefined || byte < 0x20) throw new Unreadable();
    if (byte === 0x22) {
      endPiece();
      cursor.at += 1;
      return isUnicode && !/\p{Surrogate}/u.test(text) ? text : null;
    }
    if (byte === 0x5c) {
      endPiece();
      text += readEscape(cursor);
      start = cursor.at;
    } else {
      cursor.at += 1;
    }
  }
}

function readEscape(cursor: Cursor): string {
  const letter = cursor.bytes[cursor.at + 1];
  if (letter === 0x75) {
    const digits = cursor.bytes.toString('latin1', cursor.at + 2, cursor.at + 6);
    if (!/^[0-9a-fA-F]{4}$/.test(digits)) throw new Unreadable();
    cursor.at += 6;
    return String.fromCharCode(Number.parseInt(digits, 16));
  }
  const character = letter === undefined ? undefined : escapes.get(letter);
  if (character === undefined) throw new Unreadable();
  cursor.at += 2;
  return character;
}

// ---- one row -------------------------------------------------------------------------------------------------------

const numberText = new Database(':memory:')
  .prepare<[string], [string | null]>(
    // Not abs(): it fails on the smallest integer.
    `SELECT CASE WHEN number <> 0 AND number > -9e999 AND number < 9e999 THEN CAST(number AS TEXT) END
     FROM (SELECT json_extract(?, '$[0]') AS number)`,
  )
  .raw();

function usableText(value: JsonValue | undefined): string | null {
  // One whole string is enough for NUL: a raw one makes the payload unreadable, so it can only come from an escape.
  if (value?.kind === 'string') return value.text === '' || value.text?.includes('\0') ? null : value.text;
  if (value?.kind === 'number') return numberText.get(`[${value.token}]`)?.[0] ?? null;
  return null;
}

/** Derives both target columns of one row, whatever stands in them now. */
export function deriveRow(row: {
  readonly payload: StoredValue;
  readonly createdAt: StoredValue;
}): readonly [Cell, Cell] {
  const members = payloadMembers(row.payload);
  const fallback = cellText(row.createdAt);
  const derive = (names: readonly string[]): Cell => {
    if (members === undefined) return { kind: 'skip', reason: 'unreadable' };
    for (const name of names) {
      const text = usableText(members.get(name));
      if (text !== null) return { kind: 'text', text };
    }
    return fallback === null || fallback === ''
      ? { kind: 'skip', reason: 'no-value' }
      : { kind: 'text', text: fallback };
  };
  return [derive(targets[0].names), derive(targets[1].names)];
}

const noMembers: ReadonlyMap<string, JsonValue> = new Map();

/** The payload's top-level members; undefined when it can't be read. */
function payloadMembers(payload: StoredValue): ReadonlyMap<string, JsonValue> | undefined {
  if (payload.type === 'blob') return undefined;
  // A number is only possible where the column has no TEXT affinity; it is readable and no object.
  if (payload.type !== 'text' || payload.bytes.length === 0) return noMembers;
  const value = readJson(payload.bytes);
  if (value === undefined) return undefined;
  return value.kind === 'object' ? value.members : noMembers;
}

/** A stored value as one comparable text: `x'…'` for a BLOB or for a TEXT that is not UTF-8, null for NULL. */
export function cellText(value: StoredValue): string | null {
  if (value.type === 'null') return null;
  if (value.type === 'blob' || !isUtf8(value.bytes)) return `x'${value.bytes.toString('hex')}'`;
  return value.bytes.toString('utf8');
}

/** Makes the stored value for a literal: TEXT from a string or, with `asText`, from a buffer; else BLOB or NULL. */
export function storedValue(literal: string | Buffer | null, asText = false): StoredValue {
  if (literal === null) return { type: 'null', bytes: Buffer.alloc(0) };
  if (typeof literal === 'string') return { type: 'text', bytes: Buffer.from(literal) };
  return { type: asText ? 'text' : 'blob', bytes: literal };
}

// ---- a store -------------------------------------------------------------------------------------------------------

export interface AuditRow {
  readonly key: string;
  readonly isInScope: boolean;
  readonly payload: StoredValue;
  readonly createdAt: StoredValue;
  readonly cells: Cells;
}

/** What both columns of every row must hold after the backfill, by key, read from the store as it is before it. */
export const expectedCells = (databasePath: string): Map<string, Cells> =>
  cellsOf(databasePath, (row) => (row.isInScope ? filledCells(row) : row.cells));

/** What both columns of every row hold now, in the same words. */
export const actualCells = (databasePath: string): Map<string, Cells> =>
  cellsOf(databasePath, ({ cells }) => cells);

function cellsOf(databasePath: string, of: (row: AuditRow) => Cells): Map<string, Cells> {
  const cells = new Map<string, Cells>();
  for (const row of readAudits(databasePath)) cells.set(row.key, of(row));
  return cells;
}

function filledCells(row: AuditRow): Cells {
  const fill = (stands: string | null, derived: Cell) =>
    stands ?? (derived.kind === 'text' ? derived.text : null);
  const derived = deriveRow(row);
  return [fill(row.cells[0], derived[0]), fill(row.cells[1], derived[1])];
}

/** Which rows the backfill must record as skipped, by key; a row that both columns are filled in is never looked at. */
export function expectedSkips(databasePath: string): Map<string, readonly Skip[]> {
  const expected = new Map<string, readonly Skip[]>();
  for (const row of readAudits(databasePath)) {
    if (!row.isInScope) continue;
    const skips: Skip[] = [];
    for (const [index, cell] of deriveRow(row).entries()) {
      if (row.cells[index] !== null || cell.kind !== 'skip') continue;
      if (cell.reason === 'no-value')
        skips.push({ column: targets[index]?.column ?? null, kind: 'no-value' });
      else if (skips.length === 0) skips.push({ column: null, kind: 'unreadable' });
    }
    if (skips.length > 0) expected.set(row.key, skips);
  }
  return expected;
}

type Raw = readonly [type: StoredValue['type'], bytes: Buffer | null];

/** Every row as it is stored. */
export function* readAudits(databasePath: string): Generator<AuditRow> {
  const database = openToLook(databasePath);
  try {
    const columns = database.pragma('table_xinfo("task_audits")') as readonly { readonly name: string }[];
    const present = new Set(columns.map(({ name }) => name.toLowerCase()));
    const pairs = ['event_type', 'payload', 'created_at', ...targets.map(({ column }) => column)].map(
      (column) => {
        const value = present.has(column) ? `"${column}"` : 'NULL';
        // A number or BLOB keeps its type through `typeof`; `CAST … AS BLOB` alone would make text of a BLOB.
        return `typeof(${value}), CAST(${value} AS BLOB)`;
      },
    );
    const rows = database.prepare(
      `SELECT CAST("audit_id" AS TEXT), ${pairs.join(', ')} FROM "task_audits" ORDER BY "audit_id"`,
    );
    for (const row of rows.raw().iterate() as Iterable<readonly [string, ...unknown[]]>) {
      const value = (index: number): StoredValue => {
        const [type, bytes] = row.slice(1 + 2 * index, 3 + 2 * index) as unknown as Raw;
        return { type, bytes: bytes ?? Buffer.alloc(0) };
      };
      yield {
        key: row[0],
        isInScope: isSupervisorEvent(value(0)),
        payload: value(1),
        createdAt: value(2),
        cells: [cellText(value(3)), cellText(value(4))],
      };
    }
  } finally {
    database.close();
  }
}

/** LIKE '%SUPERVISOR%' by hand: ASCII letters in either case, text up to the first NUL, never a BLOB. */
function isSupervisorEvent(eventType: StoredValue): boolean {
  if (eventType.type !== 'text') return false;
  const text = eventType.bytes.toString('latin1').split('\0', 1)[0] ?? '';
  // Without the `u` flag `i` folds ASCII only within latin1, and no letter above it folds to one of these.
  return /SUPERVISOR/i.test(text);
}

/** Opens so that looking leaves no trace: a read-only open leaves sidecars, closing a writable one checkpoints frames. */
function openToLook(databasePath: string): Database.Database {
  const hasFrames = (statSync(`${databasePath}-wal`, { throwIfNoEntry: false })?.size ?? 0) > 0;
  const database = new Database(databasePath, { fileMustExist: true, readonly: hasFrames });
  database.pragma('query_only = ON');
  return database;
}
