import type { QueryArrayConfig } from 'pg';

/** Types of columns by their OID, as `SELECT oid, typname FROM pg_type` tells: those that do not come as text. */
const OID = {
  bool: 16,
  bytea: 17,
  int8: 20,
  int2: 21,
  int4: 23,
  oid: 26,
  float4: 700,
  float8: 701,
  numeric: 1700,
};

const integer = (text: string): bigint => BigInt(text);

/** Integers come as bigint, whatever their size, and booleans as 1 and 0: as SQLite has them. */
const PARSERS: ReadonlyMap<number, (text: string) => unknown> = new Map<number, (text: string) => unknown>([
  [OID.bool, (text) => (text === 't' ? 1n : 0n)],
  [OID.bytea, (text) => Buffer.from(text.slice(2), 'hex')],
  [OID.int8, integer],
  [OID.int2, integer],
  [OID.int4, integer],
  [OID.oid, integer],
  [OID.float4, Number],
  [OID.float8, Number],
  // Of sums and averages; a column's own is asked for as text where each digit counts.
  [OID.numeric, (text) => (/^-?\d+$/.test(text) ? BigInt(text) : Number(text))],
]);

const asIs = (text: string): string => text;

/** How values of a server become ours. */
export const types = { getTypeParser: (oid: number) => PARSERS.get(oid) ?? asIs } as unknown as NonNullable<
  QueryArrayConfig['types']
>;
