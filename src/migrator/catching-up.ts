import { flatMapEach } from '../each.js';
import { count } from '../format.js';
import { catchUp, type FillOutcome, rerun } from '../run/runner.js';
import { type CatchUpProbe, probeOf, recordProbe } from '../run/waiting.js';
import {
  type BackfillStep,
  inTransaction,
  type MigratorOptions,
  type OpenSession,
  type Session,
} from './session.js';

/** Where warnings of a command are added. */
export type Warnings = string[];

/** Brings an applied backfill up to date, and warns of cells that were filled again; returns whether there was anything to do. */
export async function bringUpToDate(
  { store, ledger }: OpenSession,
  step: BackfillStep,
  options: MigratorOptions,
  warnings: Warnings,
): Promise<boolean> {
  const outcome = await catchUp(store, ledger, step, options);
  warnOfFilledAgain(step, outcome, options, warnings);
  return outcome.hasRun;
}

/** Runs a backfill from the first key, and warns of cells that were filled again. */
export async function rescan(
  { store, ledger }: OpenSession,
  step: BackfillStep,
  options: MigratorOptions,
  warnings: Warnings,
): Promise<void> {
  warnOfFilledAgain(step, await rerun(store, ledger, step, 'rescan', options), options, warnings);
}

/** Warns of cells that an earlier run had filled, and that were NULL again. */
export function warnOfFilledAgain(
  { name, table }: Pick<BackfillStep, 'name' | 'table'>,
  { filledAgain, haveKeysRestarted }: FillOutcome,
  { onEvent }: Pick<MigratorOptions, 'onEvent'>,
  warnings: Warnings,
): void {
  if (filledAgain === 0) return;
  const cells = count(filledAgain);
  const text = haveKeysRestarted
    ? `The keys of ${table} begin again: ${cells} cells were filled in rows with keys that ${name} had filled before`
    : `${cells} cells that ${name} had filled were NULL again, and were filled again`;
  warnings.push(text);
  onEvent?.({ event: 'warning', text });
}

/** A look at a backfill's table that has found nothing, for the ledger to record. */
export interface EmptyProbe {
  readonly step: BackfillStep;
  readonly probe: CatchUpProbe;
}

/**
 * Returns the looks that have found nothing, and that the ledger does not know of yet.
 *
 * @param steps backfills for which no row waits, as the same snapshot has shown
 */
export async function emptyProbes(
  { store, ledger }: Session,
  steps: readonly BackfillStep[],
): Promise<EmptyProbe[]> {
  return await flatMapEach(steps, async (step) => {
    if ((await ledger.step(step.name))?.status !== 'applied' || !(await ledger.lastRun(step.name))) return [];
    const probe = await probeOf(store, ledger, step);
    return probe.isNews ? [{ step, probe }] : [];
  });
}

/** Records looks that have found nothing, so that the next ones are cheap again. */
export async function recordProbes(session: OpenSession, probes: readonly EmptyProbe[]): Promise<void> {
  if (probes.length === 0) return;
  await session.store.write(async (tx) => {
    const { store, ledger } = inTransaction(session, tx);
    for (const { step, probe } of probes) await recordProbe(store, ledger, step, probe);
  });
}
