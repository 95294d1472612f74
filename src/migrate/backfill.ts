import { filterEach } from '../each.js';
import { warning } from '../engine/run-options.js';
import { changeStore, type RunResult } from './change.js';
import { emptyProbes, fill, hasRowsToFill, verifyOnce } from './fill.js';
import type { MigratorOptions } from './options.js';
import { refuseTriggers, requireApplied } from './preflight.js';
import { backfillsOf, checkDrift } from './session.js';
import { checkDeclarations } from './up-work.js';
import { besideRun } from './verify.js';

/** Which applied backfills to run again, and from where. */
export interface BackfillTarget {
  /** Default: all backfills. */
  readonly name?: string | undefined;
  /** Whether to begin at the first key and retry skips. Default false: only rows to catch up. */
  readonly rescan?: boolean | undefined;
}

/** Result of `backfill`. */
export interface BackfillResult extends RunResult {
  /** Backfills that were run again. */
  readonly ran: readonly string[];
}

/**
 * Runs applied backfills again, and verifies those it ran and those that are not verified. Writes nothing if there is nothing to do.
 *
 * @throws {BackfillError} `BACKFILL_UNKNOWN`, `STEP_NOT_APPLIED`, or if the store is refused
 */
export async function backfill(
  options: MigratorOptions,
  { name, rescan = false }: BackfillTarget,
): Promise<BackfillResult> {
  const wanted = backfillsOf(options.project, name);
  const ran: string[] = [];
  const change = async () =>
    await changeStore(options, {
      joinable: !rescan,
      command: rescan ? 'rescan' : 'backfill',
      async plan(session, how) {
        const { ledger } = session;
        const due = await filterEach(wanted, async (step) => {
          await requireApplied(session, step);
          const isDue = rescan || (await hasRowsToFill(session, step));
          if (isDue) await refuseTriggers(session, [step], 'up', how);
          return isDue || (await ledger.isUnverified(step.name));
        });
        const changed = await checkDeclarations(session, how, due);
        for (const text of changed) how.onEvent?.(warning(text));
        const idle = wanted.filter((step) => !due.includes(step));
        return {
          due,
          names: due.map((step) => step.name),
          drifts: checkDrift(how, await ledger.steps()),
          warnings: changed,
          probes: await emptyProbes(session, idle),
        };
      },
      async act(context, { due }) {
        for (const step of due) {
          if (await fill(context, step, rescan ? 'rescan' : 'catch-up')) ran.push(step.name);
          await verifyOnce(context, step);
        }
      },
    });
  const { work: _, joined, ...result } = await besideRun(options, change);
  return { ...result, ran: [...new Set([...joined, ...ran])] };
}
