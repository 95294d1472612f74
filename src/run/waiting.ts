import type { Store } from '../db/connection.js';
import { foldCase } from '../db/sql.js';
import { withFailingRow } from '../engine/expressions.js';
import { absentColumns } from '../engine/inspect.js';
import { hasEmptyCell, hasRowsToCatchUp, type WaitingSkips } from '../engine/rows.js';
import { type Cell, type FilledTable, filledTable, lookedUpTo, recordTable } from '../ledger/backfills.js';
import { pickProbes } from '../ledger/cells.js';
import type { Key } from '../ledger/keys.js';
import type { Ledger } from '../ledger/ledger.js';
import type { Backfill } from '../steps/define.js';

// Where rows that a backfill has not filled are looked for: behind its watermark where keys grow, unless the table may be another
// than the one that it filled.

/** Where a backfill must look for rows to fill. */
export interface CatchUpProbe {
  /** Last key that need not be looked at; null: none. */
  readonly after: Key | null;
  /** Kind of the run that fills what is found: a rescan tries recorded skips again. */
  readonly kind: 'catch-up' | 'rescan';
  /** What recorded skips keep from waiting. */
  readonly skips: WaitingSkips;
  /** Whether keys begin again. */
  readonly haveKeysRestarted: boolean;
  /** Whether a cell that was filled is known to be NULL. */
  readonly hasEmptyCell: boolean;
  /** The table's identity. */
  readonly identity: string;
  /** The watermark that holds once this look has found nothing. */
  readonly watermark: Key | null;
  /** Whether the ledger must record a look that has found nothing, so that the next one is cheap again. */
  readonly isNews: boolean;
}

/**
 * Returns where a backfill must look, by a look-up in the catalog and a few cells that it filled, read by their keys. It is from the
 * first key on where the table's identity is another, which VACUUM and DDL change, too; where a cell that was filled is NULL; and
 * where keys begin again.
 */
export async function probeOf(store: Store, ledger: Ledger, backfill: Backfill): Promise<CatchUpProbe> {
  const { dialect } = store;
  const known = await filledTable(store, backfill.name);
  const identity = await dialect.tableIdentity(store, backfill.table);
  const looked = await lookedUpTo(store, ledger, backfill.name);
  const growth = await dialect.keyGrowth(store, backfill, looked);
  const isOther = known?.identity !== identity;
  const beginsAgain = growth === 'restarted';
  const probes = await probesOf(store, backfill, known?.probes ?? []);
  const isEmptied = await withFailingRow(store, backfill, () => hasEmptyCell(store, backfill, probes));
  const isSuspect = isOther || beginsAgain || isEmptied;
  return {
    after: growth === 'growing' && !isSuspect ? looked : null,
    // A row with a skip may have lost its other cells: a catch-up would leave it alone.
    kind: isSuspect ? 'rescan' : 'catch-up',
    // A skip may be of a row that is gone, and whose key another has by now.
    skips: beginsAgain ? 'nothing' : isSuspect ? 'cells' : 'rows',
    haveKeysRestarted: beginsAgain,
    hasEmptyCell: isEmptied,
    identity,
    watermark: beginsAgain ? ((await dialect.keyRange(store, backfill))?.[1] ?? null) : looked,
    isNews: isOther || beginsAgain,
  };
}

/** The probes whose columns the backfill and the table have. */
async function probesOf(
  store: Store,
  { table, columns }: Backfill,
  probes: readonly Cell[],
): Promise<readonly Cell[]> {
  if (probes.length === 0) return [];
  const names = columns.map(({ name }) => name);
  const absent = await absentColumns(store, table, names);
  return probes.filter(([column]) => names.includes(column) && !absent.has(foldCase(column)));
}

/** Whether rows wait for a catch-up. */
export const needsCatchUp = async (store: Store, ledger: Ledger, backfill: Backfill): Promise<boolean> =>
  (await probeCatchUp(store, ledger, backfill)) === true;

/** Whether rows wait for a catch-up, reading up to `probeRows` rows; undefined if that is inconclusive. */
export async function probeCatchUp(
  store: Store,
  ledger: Ledger,
  backfill: Backfill,
  probeRows?: number,
): Promise<boolean | undefined> {
  if (!(await ledger.lastRun(backfill.name))) return false;
  return await findsWaiting(store, backfill, await probeOf(store, ledger, backfill), probeRows);
}

/** Whether a look finds rows that wait; see {@link probeCatchUp}. */
export const findsWaiting = async (
  store: Store,
  backfill: Backfill,
  probe: CatchUpProbe,
  probeRows?: number,
): Promise<boolean | undefined> =>
  probe.hasEmptyCell ||
  (await withFailingRow(store, backfill, () => hasRowsToCatchUp(store, backfill, probe, probeRows)));

/** Records a look that has found nothing. Runs inside its caller's transaction. */
export async function recordProbe(
  store: Store,
  ledger: Ledger,
  { name }: Backfill,
  { identity, watermark }: CatchUpProbe,
): Promise<void> {
  const run = (await ledger.lastRun(name))?.run;
  if (run !== undefined) await record(store, name, { identity, run, watermark }); // else reverted by another process
}

/** Records that a run begins, which looks at the table as it is now. Runs inside its caller's transaction. */
export async function recordRun(
  store: Store,
  { name, table }: Backfill,
  run: Pick<FilledTable, 'run' | 'watermark'>,
): Promise<void> {
  await record(store, name, { identity: await store.dialect.tableIdentity(store, table), ...run });
}

/** Records the table; the cells to probe stay. */
async function record(store: Store, name: string, table: Omit<FilledTable, 'probes'>): Promise<void> {
  await recordTable(store, name, { ...table, probes: (await filledTable(store, name))?.probes ?? [] });
}

/** Records which cells to probe from now on, after a run has filled some. Runs inside its caller's transaction. */
export async function recordProbes(store: Store, ledger: Ledger, { name }: Backfill): Promise<void> {
  const known = await filledTable(store, name);
  if (known) await recordTable(store, name, { ...known, probes: await pickProbes(ledger, name) });
}
