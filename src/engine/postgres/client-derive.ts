import type { SqlValue } from '../../db/connection.js';
import { readJson } from '../../db/json-text.js';
import type { Backfill } from '../../steps/define.js';
import type { CellValue } from '../../steps/values.js';
import { type Derived, withoutInvalid, withProcess } from '../process.js';

// Rows that are derived client-side: rare documents, by our own reader, and those of a `process`.

/**
 * Derives rows.
 *
 * @param inputs the derivation's `client_input` per row: a JSON array of texts, in which each way to derive values has its own
 * @param kinds types of the columns that `process` reads, key first
 */
export function deriveClientSide(
  backfill: Backfill,
  inputs: readonly string[],
  kinds: readonly string[],
): readonly Derived[] {
  const { process } = backfill;
  const rows = inputs.map((input) => JSON.parse(input) as (string | null)[]);
  const derived = rows.map((row) => deriveDocuments(backfill, process ? row.slice(kinds.length) : row));
  if (!process) return derived;
  const cells = rows.map((row) => kinds.map((kind, i) => cellOf(row[i] ?? null, kind)));
  return withProcess(backfill, process, derived, cells).map((row) =>
    withoutInvalid(row, (value) => typeof value === 'string' && value.includes('\0')),
  );
}

/** Converts a cell for `process`: numbers for numeric columns, bytes for bytea, text for all others. */
function cellOf(cell: string | null, type: string): SqlValue {
  if (cell === null) return null;
  if (/^(?:smallint|integer|bigint)$/.test(type)) return BigInt(cell);
  if (/^(?:real|double precision)$/.test(type)) return Number(cell);
  if (type === 'boolean') return cell === 'true' ? 1n : 0n;
  return type === 'bytea' ? Buffer.from(cell.slice(2), 'hex') : cell;
}

/** @param cells texts in the order of `firstOfParts`: documents, fallbacks, values of `sql()` */
function deriveDocuments(backfill: Backfill, cells: readonly (string | null)[]): Derived {
  const ours = backfill.columns.flatMap(({ value }) => (value.kind === 'first-of' ? [value] : []));
  const documents = [...new Set(ours.map(({ document }) => document))];
  const read = new Map(documents.map((name, n) => [name, membersOf(cells[n] ?? null)]));
  if ([...read.values()].includes(undefined)) return { values: [], failure: 'DOCUMENT_UNREADABLE' };
  const fallbacks = cells.slice(documents.length, documents.length + ours.length).values();
  const others = cells.slice(documents.length + ours.length).values();
  const next = (of: Iterator<string | null>): string | null =>
    (of.next().value as string | null | undefined) ?? null;
  const values = backfill.columns.map(({ value }): CellValue => {
    if (value.kind === 'process') return null;
    if (value.kind === 'sql') return next(others);
    const fallback = next(fallbacks);
    return (
      firstUsable(read.get(value.document) ?? new Map(), value.names) ?? (fallback === '' ? null : fallback)
    );
  });
  return { values, failure: null };
}

/**
 * Returns top-level members by name, each as its JSON; undefined if the document is unreadable. For a duplicate name, the first
 * counts.
 */
function membersOf(document: string | null): ReadonlyMap<string, string> | undefined {
  if (document === null || document === '') return new Map();
  const plain = readJson(Buffer.from(document))?.toString('utf8');
  if (plain === undefined) return undefined;
  const members = new Map<string, string>();
  // Our reader returns one flat object without white space, whose names have no escapes.
  for (let at = 1; plain[at] === '"'; ) {
    const colon = plain.indexOf('":', at);
    const [name, from] = [plain.slice(at + 1, colon), colon + 2];
    SCALAR.lastIndex = from;
    const end = plain[from] === '"' ? stringEnd(plain, from) : from + (SCALAR.exec(plain)?.[0].length ?? 0);
    if (!members.has(name)) members.set(name, plain.slice(from, end));
    at = end + 1;
  }
  return members;
}

const SCALAR = /[^,}]*/y;

/**
 * Returns the end of the JSON string that starts at `from`. A pattern that matches each character would overflow the stack on some
 * megabytes.
 */
function stringEnd(json: string, from: number): number {
  for (let quote = json.indexOf('"', from + 1); ; quote = json.indexOf('"', quote + 1)) {
    let start = quote;
    while (json[start - 1] === '\\') start -= 1;
    if ((quote - start) % 2 === 0) return quote + 1;
  }
}

function firstUsable(members: ReadonlyMap<string, string>, names: readonly string[]): string | undefined {
  for (const name of names) {
    const json = members.get(name);
    const text = json === undefined ? undefined : usable(json);
    if (text !== undefined) return text;
  }
  return undefined;
}

function usable(json: string): string | undefined {
  if (json.startsWith('"')) {
    const text = JSON.parse(json) as string;
    return text !== '' && !text.includes('\u0000') && text.isWellFormed() ? text : undefined;
  }
  if (!/^[-\d]/.test(json)) return undefined;
  const number = Number(json);
  return number !== 0 && Number.isFinite(number) ? numericText(json) : undefined;
}

/** Returns a number's text as PostgreSQL's `numeric` prints it: without an exponent, with all its digits. */
function numericText(json: string): string {
  const [, sign = '', whole = '', fraction = '', exponent = '0'] =
    /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(json) ?? [];
  const digits = whole + fraction;
  const point = whole.length + Number(exponent);
  const padded =
    point > digits.length
      ? digits.padEnd(point, '0')
      : point < 0
        ? digits.padStart(digits.length - point, '0')
        : digits;
  const at = Math.max(0, point);
  const before = padded.slice(0, at).replace(/^0+(?=\d)/, '') || '0';
  const after = padded.slice(at);
  return `${sign}${before}${after === '' ? '' : `.${after}`}`;
}
