import { filterEach } from '../each.js';
import { inStep } from '../steps/step.js';
import { bringUpToDate, emptyProbes, rescan } from './catching-up.js';
import { changeStore, hasRowsToFill, refuseTriggers } from './change.js';
import { checkDeclarations } from './declared.js';
import { besideRun } from './in-progress.js';
import { requireApplied } from './preflight.js';
import {
  backfillsOf,
  checkDrift,
  type MigratorOptions,
  needsVerification,
  type RunResult,
} from './session.js';
import { verifyAndRecord } from './verify-and-record.js';
import { workersOf } from './workers.js';

/** What `backfill` did. */
export interface BackfillResult extends RunResult {
  /** Backfills that were run again. */
  readonly ran: readonly string[];
}

/**
 * Runs applied backfills again: for rows that wait, or from the first key on. Verifies what it ran, and what is not
 * verified yet. Writes nothing when there is nothing to do.
 *
 * @param name one backfill. Default: all
 * @param rescan whether to begin at the first key and to try skips again
 * @throws {BackfillError} `BACKFILL_UNKNOWN`, `STEP_NOT_APPLIED`, or when the store is refused
 */
export async function backfill(
  given: MigratorOptions,
  { name, rescan: isRescan = false }: { readonly name?: string | undefined; readonly rescan?: boolean },
): Promise<BackfillResult> {
  const options: MigratorOptions = { ...given, withWorkers: workersOf(given) };
  const wanted = backfillsOf(options.project, name);
  const ran: string[] = [];
  const warnings: string[] = [];
  const { found, outcome, joined } = await changeStore(options, {
    joinable: !isRescan,
    command: isRescan ? 'rescan' : 'backfill',
    plan: async (session, onEvent) => {
      const { ledger } = session;
      const due = await filterEach(wanted, async (step) => {
        await requireApplied(session, step);
        const isDue = isRescan || (await hasRowsToFill(session, step));
        if (isDue) await refuseTriggers(session, [step], { ...options, onEvent });
        return isDue || (await needsVerification(session, step));
      });
      const changed = await checkDeclarations(session, options, due);
      for (const text of changed) onEvent?.({ event: 'warning', text });
      const probes = await emptyProbes(
        session,
        wanted.filter((step) => !due.includes(step)),
      );
      return { drifts: checkDrift(options, await ledger.steps()), due, changed, probes };
    },
    stepsOf: ({ due }) => due.map((step) => step.name),
    probesOf: ({ probes }) => probes,
    act: async (session, { due }, verifications) => {
      for (const step of due) {
        await inStep(step, async () => {
          if (isRescan) await rescan(session, step, options, warnings);
          const hasRun = isRescan || (await bringUpToDate(session, step, options, warnings));
          if (hasRun) ran.push(step.name);
          if (await needsVerification(session, step))
            await verifyAndRecord(session, step, options, verifications);
        });
      }
    },
  }).catch(async (error: unknown) => {
    throw await besideRun(options, error);
  });
  return {
    verifications: [],
    warnings: [...found.changed, ...warnings],
    drifts: found.drifts,
    ran: [...new Set([...joined, ...ran])],
    ...outcome,
  };
}
