import type { Store } from '../db/connection.js';
import { identifier } from '../db/sql.js';
import { everyEach, someEach } from '../each.js';
import { BackfillError } from '../errors.js';
import type { Ledger } from '../ledger/ledger.js';
import { isOpen } from '../ledger/records.js';
import { type DeclarationRecord, declarationOf, noteDeclaration, readDeclarations } from '../ledger/steps.js';
import { msg } from '../messages/message.js';
import { shellWord } from '../shell.js';
import type { Backfill } from '../steps/define.js';
import { fingerprint } from '../steps/step.js';
import { type ColumnValue, firstOf, requireEngineSql, sql } from '../steps/values.js';
import { expressionSql } from './rows.js';
import { absentColumns } from './schema.js';

// A step file may change after it has filled something. The ledger keeps the declaration that filled each batch: as data, and for a
// function its version and text. Reverts and verification use that one.

/** The declaration by which the cells of some batches are derived again. */
export interface Filler {
  /** The declaration that filled them; it derives nothing if that is not possible. */
  readonly backfill: Backfill;
  /**
   * `exact`: the same declaration. `unsure`: the same function version with a different text. `lost`: the function, or a column it
   * needs, no longer exists.
   */
  readonly certainty: 'exact' | 'unsure' | 'lost';
  /** Version of the function that filled them, if the step file has a different one. */
  readonly lostVersion?: number | undefined;
  /** Whether the ledger's declaration is unreadable. */
  readonly isUnreadable?: boolean;
}

const lastDeclaration = async (store: Store, name: string): Promise<DeclarationRecord | undefined> =>
  (await readDeclarations(store, name)).at(-1);

/**
 * Returns a function that returns the filler of a batch, by its number. Batches with the same declaration share one object.
 *
 * @param current the declaration of the step file
 */
export async function fillersOf(store: Store, current: Backfill) {
  const records = await readDeclarations(store, current.name);
  const known = new Map<DeclarationRecord | undefined, Filler>();
  const fillerOf = async (record: DeclarationRecord | undefined): Promise<Filler> => {
    const isCurrent = !record || record.fingerprint === fingerprint(current);
    const { backfill, lostVersion } = isCurrent ? { backfill: current } : earlier(record, current);
    if (!backfill || lostVersion !== undefined || !(await isDerivable(store, backfill))) {
      const cells = withoutValues(backfill ?? current);
      return { backfill: cells, certainty: 'lost', lostVersion, isUnreadable: !backfill };
    }
    const isUnsure = record !== undefined && hasOtherText(record, current);
    return { backfill, certainty: isUnsure ? 'unsure' : 'exact' };
  };
  return async (batch: number): Promise<Filler> => {
    const record = declarationOf(records, batch);
    const filler = known.get(record) ?? (await fillerOf(record));
    known.set(record, filler);
    return filler;
  };
}

/** Returns the same columns, with nothing to derive. */
export function withoutValues({ process: _process, ...backfill }: Backfill): Backfill {
  return {
    ...backfill,
    columns: backfill.columns.map(({ name }) => ({ name, value: { kind: 'sql', expression: 'NULL' } })),
  };
}

/** Whether the table still has the columns that the values are derived from: a later step may have dropped some. */
async function isDerivable(store: Store, { table, key, columns, process }: Backfill): Promise<boolean> {
  const needed = columns.flatMap(({ value }) =>
    value.kind === 'first-of' ? [value.document, value.fallback ?? value.document] : [],
  );
  if ((await absentColumns(store, table, [key, ...needed, ...(process?.reads ?? [])])).size > 0) return false;
  return await everyEach(columns, async ({ value }) => {
    if (value.kind !== 'sql') return true;
    // Text from the ledger must be no more than an expression on a row. As a condition, neither a list nor an aggregate compiles.
    const [expression, from] = [expressionSql(value, store.dialect.engine), `FROM ${identifier(table)} AS t`];
    return await everyEach(
      [`SELECT ${expression} ${from}`, `SELECT 1 ${from} WHERE ${expression} IS NULL`],
      async (query) => (await store.compileError(query)) === undefined,
    );
  });
}

/**
 * Refuses to resume a backfill that has filled something, is not finished, and whose declaration has changed since.
 *
 * @param confirmed whether to resume if only the text of the function has changed
 * @throws {BackfillError} `STEP_DRIFTED`, `PROCESS_CHANGED`
 */
export async function requireSameDeclaration(
  store: Store,
  ledger: Ledger,
  backfill: Backfill,
  confirmed = false,
): Promise<void> {
  const { name } = backfill;
  const record = await ledger.step(name);
  const hasFilled = (await ledger.runs(name)).some((run) => isOpen(run.status) && run.cellsFilled > 0);
  if (!record || !hasFilled) return;
  const last = declarationOf(await readDeclarations(store, name), await ledger.lastBatch(name));
  const word = { name: shellWord(name) };
  if ((last?.fingerprint ?? record.fingerprint) !== fingerprint(backfill))
    throw new BackfillError(
      'STEP_DRIFTED',
      msg('The declaration of {name} has changed since its first batch, and it is not finished', { name }),
      msg(
        'Revert it, then apply it as it is declared now: umzug-backfill down --to {name}, then umzug-backfill up; or restore the step file and finish it first',
        word,
      ),
    );
  if (confirmed || !last || !hasOtherText(last, backfill)) return;
  throw new BackfillError(
    'PROCESS_CHANGED',
    msg(
      'The text of the function `process` of {name} has changed since its first batch, and the backfill is not finished',
      { name },
    ),
    msg(
      'Run it again with --yes if it derives the same values; if not, restore the old function and revert with it: umzug-backfill down --to {name}; then apply the new one: umzug-backfill up',
      word,
    ),
  );
}

/** Returns a warning if the text of the function differs from the one that filled last, with the same version. */
export async function processWarning(store: Store, ledger: Ledger, backfill: Backfill) {
  const { name } = backfill;
  const last = await lastDeclaration(store, name);
  if (!last || last.fingerprint !== fingerprint(backfill) || !hasOtherText(last, backfill)) return undefined;
  const batches = (await ledger.batches(name)).filter(({ number }) => number >= last.firstBatch);
  if (batches.every(({ cellsFilled }) => cellsFilled === 0)) return undefined;
  return msg(
    'The text of the function `process` of {name} has changed since it filled: raise processVersion if it derives other values',
    { name },
  );
}

/** Records the declaration of the next batch if it differs from that of the last one. Runs inside the caller's transaction. */
export async function noteFiller(store: Store, ledger: Ledger, backfill: Backfill): Promise<void> {
  const last = await lastDeclaration(store, backfill.name);
  const next = recordOf(backfill, (await ledger.lastBatch(backfill.name)) + 1);
  if (last?.fingerprint === next.fingerprint && last.process === next.process) return;
  await noteDeclaration(store, backfill.name, next);
}

/** Whether the run in progress has filled by exactly this declaration. */
export async function isFilledBy(store: Store, ledger: Ledger, backfill: Backfill): Promise<boolean> {
  const last = await lastDeclaration(store, backfill.name);
  const known = last?.fingerprint ?? (await ledger.step(backfill.name))?.fingerprint;
  return known === fingerprint(backfill) && !(last && hasOtherText(last, backfill));
}

/** Checks whether a run filled by the current declaration. */
export async function isRunOf(store: Store, ledger: Ledger, backfill: Backfill, run: number) {
  const records = await readDeclarations(store, backfill.name);
  const batch = (await ledger.batches(backfill.name)).findLast((record) => record.run === run);
  const record = batch ? declarationOf(records, batch.number) : records.at(-1);
  return (record ?? (await ledger.step(backfill.name)))?.fingerprint === fingerprint(backfill);
}

/**
 * Counts the cells that were filled by a version of `process` that the step file no longer has, or, without a version, by an
 * unreadable declaration.
 */
export async function lostCells(
  store: Store,
  ledger: Ledger,
  backfill: Backfill,
): Promise<{ readonly version: number | undefined; readonly cells: number } | undefined> {
  const fillerOf = await fillersOf(store, backfill);
  let lost: { readonly version: number | undefined; cells: number } | undefined;
  for (const { number, cellsFilled } of await ledger.batches(backfill.name)) {
    const { lostVersion: version, isUnreadable } = await fillerOf(number);
    if ((version === undefined && !isUnreadable) || cellsFilled === 0) continue;
    lost ??= { version, cells: 0 };
    if (lost.version === version) lost.cells += cellsFilled;
  }
  return lost;
}

/** Whether cells were filled by a function with the same version and a different text. */
export async function hasUnsureCells(store: Store, ledger: Ledger, backfill: Backfill): Promise<boolean> {
  const fillerOf = await fillersOf(store, backfill);
  return await someEach(
    await ledger.batchNumbers(backfill.name),
    async (number) => (await fillerOf(number)).certainty === 'unsure',
  );
}

/** Whether the ledger has the declaration of every batch of a backfill. */
export async function isFillerKnown(store: Store, ledger: Ledger, name: string): Promise<boolean> {
  const records = await readDeclarations(store, name);
  return (await ledger.batchNumbers(name)).every((number) => declarationOf(records, number) !== undefined);
}

/** Returns a backfill whose step file no longer exists, by the declaration that filled last, without its function. */
export async function recallBackfill(store: Store, name: string): Promise<Backfill | undefined> {
  const last = await lastDeclaration(store, name);
  return last && readKept(name, last)?.backfill;
}

/** Returns a declaration as the ledger stores it. */
function recordOf(definition: Backfill, firstBatch: number): DeclarationRecord {
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
const hasOtherText = (record: DeclarationRecord, { process }: Backfill): boolean =>
  record.process !== null && process !== undefined && record.process !== String(process.derive);

/** Returns a declaration that the file no longer has, or only its version if its function is not in the file either. */
function earlier(
  record: DeclarationRecord,
  { name: step, process: own }: Backfill,
): { readonly backfill?: Backfill; readonly lostVersion?: number } {
  const kept = readKept(step, record);
  if (!kept?.process) return kept ? { backfill: kept.backfill } : {};
  const { backfill, process } = kept;
  const isSame =
    own?.version === process.version &&
    JSON.stringify(own.reads) === JSON.stringify(process.reads) &&
    // otherwise the function returns no value for the column
    backfill.columns.every(({ name, value }) => value.kind !== 'process' || own.fills.includes(name));
  return own && isSame
    ? { backfill: { ...backfill, process: own } }
    : { backfill, lostVersion: process.version };
}

/**
 * Parses a declaration with the functions that declare one. What these refuse, another program has written into the ledger.
 *
 * @returns the backfill without its function, for rows of any scope, and the part of the function that is data
 */
function readKept(name: string, { declaration }: DeclarationRecord) {
  try {
    const { table, key, columns, process } = JSON.parse(declaration) as Backfill;
    const names = new Set(columns.map(({ name }) => String(name)));
    const kinds = process ? ['first-of', 'sql', 'process'] : ['first-of', 'sql'];
    const isKnown = columns.every(({ value }) => kinds.includes(value.kind));
    if (names.size === 0 || names.size < columns.length || !isKnown) return undefined;
    const backfill: Backfill = {
      kind: 'backfill',
      name,
      table: String(table),
      key: String(key),
      scope: 'true',
      columns: columns.map((column) => ({ name: String(column.name), value: readValue(column.value) })),
      checks: {},
    };
    const data = process && { reads: process.reads.map(String), version: Number(process.version) };
    return { backfill, process: data };
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
