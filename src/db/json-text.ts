import { isUtf8 } from 'node:buffer';

// Reads JSON texts that SQLite's JSON functions cannot handle: RFC 8259 plus the bare tokens `NaN`, `Infinity` and `-Infinity`
// that Python's json module writes. Works on UTF-8 bytes.
// See https://www.rfc-editor.org/rfc/rfc8259 and https://docs.python.org/3/library/json.html#infinite-and-nan-number-values

/** Maximum nesting; SQLite has the same limit (JSON_MAX_DEPTH). */
const MAX_DEPTH = 1000;

const [TAB, LF, CR, SPACE, QUOTE, COMMA, COLON, BACKSLASH] = [0x09, 0x0a, 0x0d, 0x20, 0x22, 0x2c, 0x3a, 0x5c];
const [OPEN_ARRAY, CLOSE_ARRAY, OPEN_OBJECT, CLOSE_OBJECT] = [0x5b, 0x5d, 0x7b, 0x7d];

const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
const ESCAPE = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y;
const WORD = /true|false|null/y;
const PYTHON_TOKEN = /NaN|-?Infinity/y;

/** A name that is already in its simplest form: ASCII, without escapes. */
const PLAIN_NAME = /^"[ !#-[\]-~]+"$/;

/** Returns the end of a match of a sticky pattern, or -1. */
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

/** Returns the end of the string at `from`, after its closing quote, or -1 if it is not a JSON string. */
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

/** Returns the start of the value of the member whose name is at `from`, or -1. */
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

/** Returns the end of the value at `from`, or -1; `depth` containers are open around it. */
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
    // A value has ended, or an empty container is about to: close all containers that end here, then continue with the next
    // value.
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
 * Converts a JSON text to strict JSON: an object of its top-level members in their order, with names without escapes. Python's
 * bare tokens become `null` and nested values `[]`, because neither is usable. Omits a member whose name has no such form,
 * because no declaration can contain it.
 *
 * @param bytes the whole text, in UTF-8; bytes inside strings may be invalid
 * @returns the object; `{}` for a valid text that is not an object; null for an unreadable text: not JSON, JSON5, with a
 *   byte-order mark or a NUL, or nested too deeply
 */
export function readJson(bytes: Buffer): Buffer | null {
  const text = bytes.toString('latin1'); // one character per byte, so that offsets of patterns are those of bytes
  let at = skipSpace(bytes, 0);
  if (bytes[at] !== OPEN_OBJECT) {
    const end = valueEnd(bytes, text, at, 0);
    return end >= 0 && skipSpace(bytes, end) === bytes.length ? Buffer.from('{}') : null;
  }
  // A member has at least six bytes and grows by one or none: NaN becomes null. One buffer avoids a list of millions of parts.
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

/** Returns a member's name as JSON without escapes, one character per byte, or null if it has no such form. */
function plainName(bytes: Buffer, text: string, from: number, to: number): string | null {
  const json = text.slice(from, to);
  if (PLAIN_NAME.test(json)) return json; // nearly always
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
 * Returns the text of a JSON string, if it is usable as a value.
 *
 * @param bytes one valid JSON string with its quotes, in UTF-8
 * @returns null if the text is empty, contains U+0000, or is not valid Unicode (invalid UTF-8, or a lone surrogate)
 */
export function usableString(bytes: Buffer): string | null {
  if (!isUtf8(bytes)) return null;
  const text: unknown = JSON.parse(bytes.toString('utf8'));
  const isUsable = typeof text === 'string' && text !== '' && !text.includes('\u0000') && text.isWellFormed();
  return isUsable ? text : null;
}
