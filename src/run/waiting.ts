import type { Store } from '../db/connection.js';
import { foldCase } from '../db/sql.js';
import { withFailingRow } from '../engine/expressions.js';
import { hasEmptyCell, hasRowsToCatchUp, type WaitingSkips } from '../engine/rows.js';
import { absentColumns } from '../engine/schema.js';
import { pickProbes } from '../ledger/cells.js';
import type { Ledger } from '../ledger/ledger.js';
import { type Cell, type FilledTable, filledTable, lookedUpTo, recordTable } from '../ledger/runs.js';
import type { Backfill } from '../steps/define.js';

/** The search for rows that a backfill has not filled yet: see {@link probeOf}. */
export type CatchUpProbe = Awaited<ReturnType<typeof probeOf>>;

/**
 * Plans the search for rows to fill, by one catalog query and by reading a few filled cells. It starts after the watermark if keys grow;
 * from the first key if the table's identity differs (VACUUM and DDL change it, too), a filled cell is NULL, or keys have restarted.
 */
export async function probeOf(store: Store, ledger: Ledger, backfill: Backfill) {
  const { dialect } = store;
  const known = await filledTable(store, backfill.name);
  const identity = await dialect.tableIdentity(store, backfill.table);
  const looked = await lookedUpTo(store, ledger, backfill.name);
  const growth = await dialect.keyGrowth(store, backfill, looked);
  const isOther = known?.identity !== identity;
  const haveKeysRestarted = growth === 'restarted';
  const probes = await presentProbes(store, backfill, known?.probes ?? []);
  const isEmptied = await withFailingRow(store, backfill, () => hasEmptyCell(store, backfill, probes));
  const isSuspect = isOther || haveKeysRestarted || isEmptied;
  const range = haveKeysRestarted ? await dialect.keyRange(store, backfill) : undefined;
  // After a restart, a skip may belong to a deleted row whose key is in use again.
  const skips: WaitingSkips = haveKeysRestarted ? 'nothing' : isSuspect ? 'cells' : 'rows';
  return {
    /** Last key before the search; null to search all rows. */
    after: growth === 'growing' && !isSuspect ? looked : null,
    /** Kind of the run that fills rows found. A row with a skip may have lost its other cells, which a catch-up would exclude. */
    kind: isSuspect ? ('rescan' as const) : ('catch-up' as const),
    /** Rows or cells that count as done because they are recorded as skips. */
    skips,
    /** Whether keys have restarted. */
    haveKeysRestarted,
    /** Whether a probed cell, filled earlier, is NULL. */
    hasEmptyCell: isEmptied,
    /** Current identity of the table. */
    identity,
    /** Watermark to record after a search without result. */
    watermark: haveKeysRestarted ? (range?.[1] ?? null) : looked,
    /** Whether a search without result must be recorded, so that the next one is cheap again. */
    isNews: isOther || haveKeysRestarted,
  };
}

/** Returns the probes whose columns are in both the backfill and the table. */
async function presentProbes(store: Store, { table, columns }: Backfill, probes: readonly Cell[]) {
  if (probes.length === 0) return [];
  const names = columns.map(({ name }) => name);
  const absent = await absentColumns(store, table, names);
  return probes.filter(([column]) => names.includes(column) && !absent.has(foldCase(column)));
}

/** Checks whether rows need a catch-up. */
export const needsCatchUp = async (store: Store, ledger: Ledger, backfill: Backfill): Promise<boolean> =>
  (await probeCatchUp(store, ledger, backfill)) === true;

/** Checks whether rows need a catch-up. Reads up to `probeRows` rows; returns undefined if that is inconclusive. */
export async function probeCatchUp(
  store: Store,
  ledger: Ledger,
  backfill: Backfill,
  probeRows?: number,
): Promise<boolean | undefined> {
  if (!(await ledger.lastRun(backfill.name))) return false;
  return await findsWaiting(store, backfill, await probeOf(store, ledger, backfill), probeRows);
}

/** Runs a planned search; see {@link probeCatchUp}. */
export const findsWaiting = async (
  store: Store,
  backfill: Backfill,
  probe: CatchUpProbe,
  probeRows?: number,
): Promise<boolean | undefined> =>
  probe.hasEmptyCell ||
  (await withFailingRow(store, backfill, () => hasRowsToCatchUp(store, backfill, probe, probeRows)));

/** Records a search without result, inside its caller's transaction. */
export async function recordProbe(
  store: Store,
  ledger: Ledger,
  { name }: Backfill,
  { identity, watermark }: CatchUpProbe,
): Promise<void> {
  const run = (await ledger.lastRun(name))?.run;
  if (run !== undefined) await record(store, name, { identity, run, watermark }); // else another process has reverted it
}

/** Records the table's current identity at the start of a run, inside its caller's transaction. */
export async function recordRun(
  store: Store,
  { name, table }: Backfill,
  run: Pick<FilledTable, 'run' | 'watermark'>,
): Promise<void> {
  await record(store, name, { identity: await store.dialect.tableIdentity(store, table), ...run });
}

/** Records the table. Keeps the cells to probe. */
async function record(store: Store, name: string, table: Omit<FilledTable, 'probes'>): Promise<void> {
  await recordTable(store, name, { ...table, probes: (await filledTable(store, name))?.probes ?? [] });
}

/** Picks and records the cells to probe from now on, inside its caller's transaction. */
export async function recordProbes(store: Store, ledger: Ledger, { name }: Backfill): Promise<void> {
  const known = await filledTable(store, name);
  if (known) await recordTable(store, name, { ...known, probes: await pickProbes(ledger, name) });
}
