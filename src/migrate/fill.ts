import { flatMapEach } from '../each.js';
import { warning } from '../engine/run-options.js';
import { count } from '../format.js';
import { type Message, msg } from '../messages/message.js';
import { applyBackfillStep, catchUp, type FillOutcome, rerun } from '../run/runner.js';
import { type CatchUpProbe, needsCatchUp, probeOf, recordProbe } from '../run/waiting.js';
import { fingerprint, inStep } from '../steps/step.js';
import type { Verification } from '../verify/verify.js';
import type { MigratorOptions } from './options.js';
import {
  type BackfillStep,
  inTransaction,
  missingColumns,
  type OpenSession,
  type RequireStep,
  requiredBackfill,
  type Session,
} from './session.js';
import { verifyAndRecord } from './verify.js';

/** Context of the fills of a command. */
export interface FillContext {
  readonly session: OpenSession;
  readonly options: MigratorOptions;
  /** Receives the verifications of the command. */
  readonly verifications: Verification[];
  /** Receives its warnings. */
  readonly warnings: Message[];
}

/**
 * Runs a backfill, and warns of cells that an earlier run filled and that were NULL again: its first run, or what is left of it, with a
 * catch-up; a catch-up alone; or a rescan from the first key.
 *
 * @returns whether there was anything to do
 */
export async function fill(
  context: FillContext,
  step: BackfillStep,
  kind: 'first' | 'catch-up' | 'rescan',
): Promise<boolean> {
  const { options, session } = context;
  const { store, ledger } = session;
  const work = { store, ledger, backfill: step, options };
  return await inStep(step, async () => {
    const outcome =
      kind === 'first'
        ? await applyBackfillStep(work)
        : kind === 'rescan'
          ? await rerun(work, kind)
          : await catchUp(work);
    warnOfFilledAgain(context, step, outcome);
    return outcome.hasRun;
  });
}

function warnOfFilledAgain(
  { options, warnings }: FillContext,
  { name, table }: BackfillStep,
  { filledAgain, haveKeysRestarted }: FillOutcome,
): void {
  if (filledAgain === 0) return;
  const cells = count(filledAgain);
  const text = haveKeysRestarted
    ? msg(
        'The keys of {table} begin again: {cells} cells were filled in rows with keys that {name} had filled before',
        { table, cells, name },
      )
    : msg('{cells} cells that {name} had filled were NULL again, and were filled again', { cells, name });
  warnings.push(text);
  options.onEvent?.(warning(text));
}

/**
 * Verifies a backfill unless it is verified already: another process may have shared its run. Throws as {@link verifyAndRecord}.
 *
 * @param always whether to verify it in any case. Default false
 */
export async function verifyOnce(
  { session, options, verifications }: FillContext,
  step: BackfillStep,
  always = false,
): Promise<void> {
  if (!always && !(await session.ledger.isUnverified(step.name))) return;
  await inStep(step, async () => await verifyAndRecord(session, step, options, verifications));
}

/**
 * Whether an applied backfill has rows to fill before it is verified: an unfinished run, rows to catch up, or a column that will be
 * recreated.
 */
export async function hasRowsToFill({ store, ledger }: Session, step: BackfillStep): Promise<boolean> {
  return (
    (await ledger.runs(step.name)).some(({ status }) => status === 'running') ||
    (await missingColumns(store, step)).size > 0 ||
    (await inStep(step, async () => await needsCatchUp(store, ledger, step)))
  );
}

/**
 * Applies a step that requires a backfill: runs what is left of the backfill, verifies it, then marks the step as applied.
 *
 * @throws {BackfillError} `VERIFICATION_FAILED`, and as `applyBackfillStep`
 */
export async function applyRequireStep(context: FillContext, step: RequireStep): Promise<void> {
  const startedAt = performance.now();
  const { store, ledger } = context.session;
  const required = requiredBackfill(context.options.project.steps, step);
  const isApplied = (await ledger.step(required.name))?.status === 'applied';
  await fill(context, required, isApplied ? 'catch-up' : 'first');
  await verifyOnce(context, required);
  await store.write(async (tx) => {
    const own = ledger.in(tx);
    await own.beginStep({ name: step.name, kind: step.kind, fingerprint: fingerprint(step) });
    await own.finishStep(step.name, performance.now() - startedAt);
  });
}

/** A probe that found no rows to catch up. */
export interface EmptyProbe {
  readonly step: BackfillStep;
  readonly probe: CatchUpProbe;
}

/**
 * Returns the probes that found no rows, and are not in the ledger yet.
 *
 * @param steps backfills without rows to catch up in the same snapshot
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

/** Records probes that found no rows, so that the next ones are cheap again. */
export async function recordProbes(session: OpenSession, probes: readonly EmptyProbe[] = []): Promise<void> {
  if (probes.length === 0) return;
  await session.store.write(async (tx) => {
    const { store, ledger } = inTransaction(session, tx);
    for (const { step, probe } of probes) await recordProbe(store, ledger, step, probe);
  });
}
