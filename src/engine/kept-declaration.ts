import { BackfillError } from '../errors.js';
import type { DeclarationRecord } from '../ledger/steps.js';
import type { Backfill, BackfillDefinition } from '../steps/define.js';
import { fingerprint } from '../steps/step.js';
import { type ColumnValue, firstOf, requireEngineSql, sql } from '../steps/values.js';

// Declarations in the ledger: as data, and for a function its version and text.

/** A declaration that the ledger stores. */
interface KeptDeclaration {
  /** The backfill without its function, for rows of any scope. */
  readonly backfill: Backfill;
  /** The part of its function that is data. */
  readonly process: { readonly reads: readonly string[]; readonly version: number } | undefined;
}

/** Returns a declaration as the ledger stores it. */
export function recordOf(definition: BackfillDefinition, firstBatch: number): DeclarationRecord {
  const { table, key, scope, columns, process } = definition;
  const data = process && { reads: process.reads, version: process.version };
  return {
    firstBatch,
    fingerprint: fingerprint(definition),
    declaration: JSON.stringify({ table, key, scope, columns, process: data }),
    process: process ? String(process.derive) : null,
  };
}

/** Whether a function's text differs from the one that filled; false for a declaration without a function. */
export const hasOtherText = (record: DeclarationRecord, { process }: BackfillDefinition): boolean =>
  record.process !== null && process !== undefined && record.process !== String(process.derive);

/** Returns a declaration that the file no longer has, or only its version if its function is not in the file either. */
export function earlier(
  record: DeclarationRecord,
  { name, process: own }: Backfill,
): { readonly backfill?: Backfill; readonly lostVersion?: number } {
  const kept = readKept(name, record);
  if (!kept?.process) return kept ? { backfill: kept.backfill } : {};
  const { backfill, process } = kept;
  const isSame =
    own?.version === process.version &&
    JSON.stringify(own.reads) === JSON.stringify(process.reads) &&
    // otherwise the function returns no value for the column
    backfill.columns.every(
      ({ name: filled, value }) => value.kind !== 'process' || own.fills.includes(filled),
    );
  return own && isSame
    ? { backfill: { ...backfill, process: own } }
    : { backfill, lostVersion: process.version };
}

/**
 * Parses a declaration with the functions that declare one. Something that these refuse was written into the ledger by another
 * program.
 */
export function readKept(name: string, { declaration }: DeclarationRecord): KeptDeclaration | undefined {
  try {
    const { table, key, columns, process } = JSON.parse(declaration) as Backfill;
    const names = new Set(columns.map(({ name }) => String(name)));
    const kinds = process ? ['first-of', 'sql', 'process'] : ['first-of', 'sql'];
    const isKnown = columns.every(({ value }) => kinds.includes(value.kind));
    if (names.size === 0 || names.size < columns.length || !isKnown) return undefined;
    return {
      backfill: {
        kind: 'backfill',
        name,
        table: String(table),
        key: String(key),
        scope: 'true',
        columns: columns.map(({ name: column, value }) => ({
          name: String(column),
          value: readValue(value),
        })),
        checks: {},
      },
      process: process && { reads: process.reads.map(String), version: Number(process.version) },
    };
  } catch (error) {
    if (error instanceof BackfillError || error instanceof SyntaxError || error instanceof TypeError)
      return undefined;
    throw error;
  }
}

function readValue(value: ColumnValue): ColumnValue {
  if (value.kind === 'first-of') return firstOf(value.document, value.names, value.fallback);
  if (value.kind === 'sql') return sql(requireEngineSql(value.expression, 'expression', 'sql()'));
  return { kind: 'process' };
}
