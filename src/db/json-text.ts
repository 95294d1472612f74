import { isUtf8 } from 'node:buffer';

/**
 * Reads what SQLite's JSON functions can not be asked about: RFC 8259 texts plus the bare tokens `NaN`, `Infinity`
 * and `-Infinity` that Python's json module writes. Everything works on UTF-8 bytes.
 *
 * @see https://www.rfc-editor.org/rfc/rfc8259
 * @see https://docs.python.org/3/library/json.html#infinite-and-nan-number-values
 */

/** Deepest nesting that is read; SQLite's own reader has the same limit (JSON_MAX_DEPTH). */
const MAX_DEPTH = 1000;

const [TAB, LF, CR, SPACE, QUOTE, COMMA, COLON, BACKSLASH] = [0x09, 0x0a, 0x0d, 0x20, 0x22, 0x2c, 0x3a, 0x5c];
const [OPEN_ARRAY, CLOSE_ARRAY, OPEN_OBJECT, CLOSE_OBJECT] = [0x5b, 0x5d, 0x7b, 0x7d];

const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
const ESCAPE = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y;
const WORD = /true|false|null/y;
const PYTHON_TOKEN = /NaN|-?Infinity/y;

/** A name that needs no other form: ASCII, without escapes. */
const PLAIN_NAME = /^"[ !#-[\]-~]+"$/;

/** Where a match of a sticky pattern ends, or -1. */
function endOf(pattern: RegExp, text: string, at: number): number {
  pattern.lastIndex = at;
  return pattern.test(text) ? pattern.lastIndex : -1;
}

function skipSpace(bytes: Buffer, from: number): number {
  let at = from;
  for (let byte = bytes[at]; byte === SPACE || byte === LF || byte === CR || byte === TAB; byte = bytes[at])
    at += 1;
  return at;
}

/** Where the string that opens at `from` ends (past its closing quote), or -1 when it is no JSON string. */
function stringEnd(bytes: Buffer, text: string, from: number): number {
  if (bytes[from] !== QUOTE) return -1;
  let at = from + 1;
  for (;;) {
    const byte = bytes[at];
    if (byte === undefined || byte < SPACE) return -1;
    if (byte === QUOTE) return at + 1;
    at = byte === BACKSLASH ? endOf(ESCAPE, text, at) : at + 1;
    if (at < 0) return -1;
  }
}

/** Where the value of the member whose name opens at `from` begins, or -1. */
function memberValue(bytes: Buffer, text: string, from: number): number {
  const end = stringEnd(bytes, text, from);
  if (end < 0) return -1;
  const colon = skipSpace(bytes, end);
  return bytes[colon] === COLON ? skipSpace(bytes, colon + 1) : -1;
}

function scalarEnd(bytes: Buffer, text: string, from: number): number {
  if (bytes[from] === QUOTE) return stringEnd(bytes, text, from);
  return Math.max(endOf(PYTHON_TOKEN, text, from), endOf(WORD, text, from), endOf(NUMBER, text, from));
}

/** Where the value that begins at `from` ends, or -1; `depth` containers are open around it. */
function valueEnd(bytes: Buffer, text: string, from: number, depth: number): number {
  const open: number[] = [];
  let at = from;
  for (;;) {
    const byte = bytes[at];
    if (byte === OPEN_ARRAY || byte === OPEN_OBJECT) {
      open.push(byte);
      if (depth + open.length > MAX_DEPTH) return -1;
      at = skipSpace(bytes, at + 1);
      if (bytes[at] !== (byte === OPEN_ARRAY ? CLOSE_ARRAY : CLOSE_OBJECT)) {
        if (byte === OPEN_OBJECT) at = memberValue(bytes, text, at);
        if (at < 0) return -1;
        continue;
      }
    } else {
      at = scalarEnd(bytes, text, at);
      if (at < 0) return -1;
    }
    // A value has ended, or an empty container is about to: close what closes, then go to the next value.
    for (;;) {
      const container = open.at(-1);
      if (container === undefined) return at;
      at = skipSpace(bytes, at);
      if (bytes[at] !== (container === OPEN_ARRAY ? CLOSE_ARRAY : CLOSE_OBJECT)) break;
      open.pop();
      at += 1;
    }
    if (bytes[at] !== COMMA) return -1;
    at = skipSpace(bytes, at + 1);
    if (open.at(-1) === OPEN_OBJECT) at = memberValue(bytes, text, at);
    if (at < 0) return -1;
  }
}

/**
 * Reads a JSON text and gives back what of it can matter, as strict JSON: an object of its top-level members, in their
 * order, with names written without escapes. Python's bare tokens become `null` and nested values `[]`, as neither
 * is usable; a member whose name can't be written so is left out, as no declaration can name it.
 *
 * @param bytes the whole text, in UTF-8; bytes inside strings need not be valid
 * @returns the object, `{}` for a readable text that is none, or null when the text is not readable: no JSON, JSON5's
 *   liberties, a byte-order mark, a NUL, nested too deep
 */
export function readJson(bytes: Buffer): Buffer | null {
  const text = bytes.toString('latin1'); // one character a byte, so that patterns and offsets agree
  let at = skipSpace(bytes, 0);
  if (bytes[at] !== OPEN_OBJECT) {
    const end = valueEnd(bytes, text, at, 0);
    return end >= 0 && skipSpace(bytes, end) === bytes.length ? Buffer.from('{}') : null;
  }
  // A member grows by a byte at most, and takes six: NaN becomes null. What a list of millions would take is spared.
  const out = Buffer.allocUnsafe(Math.ceil((bytes.length * 7) / 6) + 2);
  let length = out.write('{', 'latin1');
  at = skipSpace(bytes, at + 1);
  const isEmpty = bytes[at] === CLOSE_OBJECT;
  while (!isEmpty) {
    const value = memberValue(bytes, text, at);
    const end = value < 0 ? -1 : valueEnd(bytes, text, value, 1);
    if (end < 0) return null;
    const name = plainName(bytes, text, at, stringEnd(bytes, text, at));
    if (name !== null) {
      if (length > 1) length += out.write(',', length, 'latin1');
      length += out.write(`${name}:${plainValue(bytes, text, value, end)}`, length, 'latin1');
    }
    at = skipSpace(bytes, end);
    if (bytes[at] === CLOSE_OBJECT) break;
    if (bytes[at] !== COMMA) return null;
    at = skipSpace(bytes, at + 1);
  }
  if (skipSpace(bytes, at + 1) !== bytes.length) return null;
  length += out.write('}', length, 'latin1');
  return out.subarray(0, length);
}

/** A member's name as JSON without escapes, one character a byte, or null when it has no such form. */
function plainName(bytes: Buffer, text: string, from: number, to: number): string | null {
  const json = text.slice(from, to);
  if (PLAIN_NAME.test(json)) return json; // nearly every one
  const name = usableString(bytes.subarray(from, to));
  const plain = name === null ? null : JSON.stringify(name);
  return plain === null || plain.includes('\\') ? null : Buffer.from(plain).toString('latin1');
}

function plainValue(bytes: Buffer, text: string, from: number, to: number): string {
  const first = bytes[from];
  if (first === OPEN_ARRAY || first === OPEN_OBJECT) return '[]';
  return first !== QUOTE && endOf(PYTHON_TOKEN, text, from) === to ? 'null' : text.slice(from, to);
}

/**
 * The text of a JSON string, if it is usable as a value.
 *
 * @param bytes one valid JSON string with its quotes, in UTF-8
 * @returns its text, or null when it is empty, holds U+0000, or is no valid Unicode (bytes that are no UTF-8,
 *   an escape that is half of a surrogate pair)
 */
export function usableString(bytes: Buffer): string | null {
  if (!isUtf8(bytes)) return null;
  const text: unknown = JSON.parse(bytes.toString('utf8'));
  const isUsable = typeof text === 'string' && text !== '' && !text.includes('\u0000') && text.isWellFormed();
  return isUsable ? text : null;
}
