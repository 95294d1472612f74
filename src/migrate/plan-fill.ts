import { foldCase } from '../db/sql.js';
import { withFailingRow } from '../engine/expressions.js';
import { type PlannedScope, planRows, sampleRows } from '../engine/plan-rows.js';
import { takeThrown, thrownWarnings } from '../engine/process.js';
import type { ValuesLeft } from '../engine/run-options.js';
import { RUN_OPTIONS } from '../option-table.js';
import { countValuesLeft, requireSteadiness } from '../run/run-checks.js';
import { probeOf } from '../run/waiting.js';
import { inStep, type Step } from '../steps/step.js';
import { showValue } from '../verify/times.js';
import type { MigratorOptions } from './options.js';
import { type BackfillStep, missingColumns, type Session } from './session.js';

/** Duration of a fill, relative to reading and deriving alone: the rest is writing. Measured on 100,000 rows. */
const FILL_OVER_READ = 3;

/** Size of an index entry besides its values, in bytes: header, key, cell pointer, and pages that are not full. */
const INDEX_ENTRY_BYTES = 20;

/** Number of rows that are shown with their derived values. */
const SAMPLES = 10;

/** What a run of a backfill would do. */
export interface PlannedFill {
  readonly backfill: string;
  readonly kind: 'first' | 'catch-up' | 'rescan';
  /** Rows in scope with a column to fill. */
  readonly rows: number;
  readonly cellsToFill: Readonly<Record<string, number>>;
  /** Cells or rows that would be skipped, by reason. */
  readonly skips: Readonly<Record<string, number>>;
  /** For a first run: rows that have a value already; absent if there are none. */
  readonly valuesLeft?: ValuesLeft;
  readonly batches: number;
  readonly expectedMs: number;
  /** Growth of the file and its journal, in bytes. */
  readonly diskBytes: number;
  /** Triggers that each update would fire. */
  readonly triggers: readonly string[];
  readonly samples: readonly { readonly key: string; readonly values: Readonly<Record<string, string>> }[];
}

/**
 * Plans a run of a backfill: reads and derives its rows.
 *
 * @param wanted kind of the run; an unfinished run is resumed after its cursor in any case
 * @param warnings receives warnings about rows on which `process` throws
 */
export async function planFill(
  session: Session,
  options: MigratorOptions,
  step: BackfillStep,
  wanted: PlannedFill['kind'],
  warnings: string[],
): Promise<PlannedFill> {
  const { store, ledger } = session;
  const { table } = step;
  const absent = await missingColumns(store, step);
  const last = await ledger.lastRun(step.name);
  const resumed = last?.status === 'running' ? last : undefined;
  const probe = wanted === 'catch-up' ? await probeOf(store, ledger, step) : { after: null, kind: wanted };
  const { kind } = probe;
  const after = resumed ? resumed.cursor : probe.after;
  const scope: PlannedScope = { absent, after, excludeSkips: kind === 'catch-up' };
  await inStep(step, async () => await requireSteadiness(store, step, scope));
  const startedAt = performance.now();
  takeThrown(step);
  const read = async () => await withFailingRow(store, step, async () => await planRows(store, step, scope));
  const found = await inStep(step, read);
  const thrown = takeThrown(step);
  warnings.push(...thrownWarnings(step, thrown));
  if (options.showValues)
    // only in the log, because the output of a dry run may be kept
    for (const text of thrownWarnings(step, thrown, true)) options.onEvent?.({ event: 'warning', text });
  const readMs = performance.now() - startedAt;
  const names = step.columns.map(({ name }) => name);
  const byColumn = <Value>(get: (i: number) => Value): Record<string, Value> =>
    Object.fromEntries(names.map((name, i) => [name, get(i)]));
  const cellsToFill = byColumn((i) => found.columns[i]?.fill ?? 0);
  const bytes = byColumn((i) => found.columns[i]?.bytes ?? 0);
  const noValue = found.columns.reduce((sum, { none }) => sum + none, 0);
  const isFresh = !last || (resumed?.kind === 'first' && !(ledger.isShared && resumed.batches > 0));
  const valuesLeft =
    kind === 'first' && isFresh ? await countValuesLeft(store, step, after, absent) : undefined;
  const update = await store.dialect.estimate(store, table, { updatesRows: found.rows });
  return {
    backfill: step.name,
    kind,
    rows: found.rows,
    cellsToFill,
    skips: { ...found.failures, ...(noValue > 0 ? { NO_USABLE_VALUE: noValue } : {}) },
    ...(valuesLeft && valuesLeft.rows > 0 ? { valuesLeft } : {}),
    batches: Math.ceil(found.rows / (options.batchRows ?? RUN_OPTIONS.batchRows.default)),
    expectedMs: Math.round(readMs * FILL_OVER_READ),
    diskBytes: diskNeed(options.project.steps, step, cellsToFill, bytes) + update.diskBytes,
    triggers: await store.dialect.updateTriggers(store, table, names),
    samples: (await sampleRows(store, step, scope, SAMPLES)).map(({ key, values }) => ({
      key: String(key),
      values: byColumn((i) => showValue(values[i])),
    })),
  };
}

/** Returns the bytes of the values in the table, and once more in each existing or declared index with their column. */
function diskNeed(
  steps: readonly Step[],
  { table, columns }: BackfillStep,
  cells: Readonly<Record<string, number>>,
  bytes: Readonly<Record<string, number>>,
): number {
  const isSame = (one: string, other: string): boolean => foldCase(one) === foldCase(other);
  const indexes = steps.flatMap((step) =>
    step.kind === 'schema' && isSame(step.table, table) ? step.indexes : [],
  );
  const need = columns.reduce((sum, { name }) => {
    const entries = indexes.filter((index) => index.columns.some((column) => isSame(column, name))).length;
    return sum + (bytes[name] ?? 0) * (1 + entries) + (cells[name] ?? 0) * entries * INDEX_ENTRY_BYTES;
  }, 0);
  return Math.round(need);
}
