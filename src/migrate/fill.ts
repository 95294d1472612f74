import { anySignal } from '../abort.js';
import { flatMapEach } from '../each.js';
import { isFilledBy } from '../engine/filled-by.js';
import { warning } from '../engine/run-options.js';
import type { Followed } from '../engine/scan.js';
import { rootBackfillError } from '../errors.js';
import { count } from '../format.js';
import { type Message, msg } from '../messages/message.js';
import {
  applyBackfillStep,
  catchUp,
  type FillOutcome,
  joinRuns,
  rerun,
  type WithWorkers,
} from '../run/runner.js';
import { type CatchUpProbe, needsCatchUp, probeOf, recordProbe, recordProbes } from '../run/waiting.js';
import { fingerprint, inStep } from '../steps/step.js';
import { followRun } from '../verify/scan.js';
import { type Verification, verifyBackfill } from '../verify/verify.js';
import type { MigratorEvent, MigratorOptions } from './options.js';
import { refuseTriggers } from './preflight.js';
import {
  type BackfillStep,
  backfillsOf,
  inTransaction,
  missingColumns,
  type OpenSession,
  type RequireStep,
  requiredBackfill,
  type Session,
  withSession,
} from './session.js';
import { verificationFailed } from './verify.js';

/** A command at work. */
export interface FillContext {
  readonly session: OpenSession;
  readonly options: MigratorOptions;
  /** Receives the verifications of the command, also a failed one. */
  readonly verifications: Verification[];
  /** Receives its warnings. */
  readonly warnings: Message[];
  /** Findings in rows that were verified during the last run of each backfill. */
  readonly followed: Map<BackfillStep, Followed | undefined>;
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
  const follow = followRun(step, (options.now?.() ?? new Date()).getTime());
  const work = { store, ledger, backfill: step, options, follow };
  const run = async (): Promise<FillOutcome> => {
    if (kind === 'first') return await applyBackfillStep(work);
    if (kind === 'rescan') return await rerun(work, kind);
    return await catchUp(work);
  };
  return await inStep(step, async () => {
    const outcome = await run();
    context.followed.set(step, follow?.followed);
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
 * Verifies a backfill and records the verdict, unless it is verified already: another process may have shared its run.
 *
 * @param always whether to verify it in any case. Default false
 * @throws {BackfillError} `VERIFICATION_FAILED`
 */
export async function verifyOnce(
  { session: { store, ledger }, options, verifications, followed }: FillContext,
  step: BackfillStep,
  always = false,
): Promise<void> {
  if (!always && !(await ledger.isUnverified(step.name))) return;
  await inStep(step, async () => {
    const how = { ...options, followed: followed.get(step) };
    followed.delete(step); // it holds until anything else is written
    const verification = await verifyBackfill(store, ledger, step, options.project.steps, how);
    verifications.push(verification);
    const { verdict, run, threads, durationMs, checks } = verification;
    await store.write(async (tx) => {
      const own = ledger.in(tx);
      const summary = checks.map(({ id, verdict: found, stats }) => ({ id, verdict: found, stats }));
      await own.addVerification(step.name, run, verdict, summary);
      await recordProbes(tx, own, step); // in this transaction, so that a kill after the last batch cannot separate them
    });
    options.onEvent?.({ event: 'verified', backfill: step.name, verdict, threads, durationMs });
    if (verdict === 'fail') throw verificationFailed(verification);
  });
}

/** Whether a backfill has work before it is verified: it is not applied, a run is open, rows need a catch-up, or a column will be recreated. */
export async function hasRowsToFill({ store, ledger }: Session, step: BackfillStep): Promise<boolean> {
  return (
    (await ledger.step(step.name))?.status !== 'applied' ||
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

/** A search for rows to catch up that found none, and is not in the ledger yet. */
export interface EmptyProbe {
  readonly step: BackfillStep;
  readonly probe: CatchUpProbe;
}

/** Returns the searches to record for backfills without rows to catch up in the same snapshot. */
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

/** Records searches that found no rows, so that the next ones are cheap again. */
export async function recordEmptyProbes(
  session: OpenSession,
  probes: readonly EmptyProbe[] = [],
): Promise<void> {
  if (probes.length === 0) return;
  await session.store.write(async (tx) => {
    const { store, ledger } = inTransaction(session, tx);
    for (const { step, probe } of probes) await recordProbe(store, ledger, step, probe);
  });
}

/** Events that only the leader logs, because the loops of the other workers begin and end within its loop. */
const LEADERS: ReadonlySet<MigratorEvent['event']> = new Set([
  'batches_started',
  'batches_finished',
  'run_started',
  'range_waiting',
]);

/**
 * Returns what lets several workers fill together. Each worker besides the leader has a separate session, with a shared run lock, a store and a
 * ledger. If one fails or is lost, the others do its part; none outlives the fill. A stop, or a failure of the leader, ends all.
 *
 * @returns undefined if the leader works alone
 */
export function workersOf(options: MigratorOptions): WithWorkers | undefined {
  const { postgres, workers = 1, onEvent } = options;
  if (!postgres || workers <= 1) return undefined;
  return async (work, lead) => {
    const { postgresConnector } = await import('../engine/postgres/dialect.js');
    const stopper = new AbortController();
    const signal = anySignal(options.signal, stopper.signal);
    const begin = async (number: number): Promise<void> => {
      const connector = postgresConnector(postgres, signal);
      const own: MigratorOptions = {
        ...options,
        connector,
        signal,
        withWorkers: undefined,
        onEvent: (event) => {
          if (!LEADERS.has(event.event)) onEvent?.(event);
        },
      };
      try {
        await connector.withSharedLock(async () => {
          await withSession(own, ({ store, ledger }) => work(store, ledger, own));
          return true;
        });
      } catch (error) {
        if (signal.aborted) return; // the leader reports it
        const { code, texts } = rootBackfillError(error);
        const values = { number, count: workers, code, message: texts.message };
        onEvent?.(
          warning(
            msg(
              'Worker {number} of {count} has ended early, and the others do its part: {code}: {message}',
              values,
            ),
          ),
        );
      }
    };
    const others = Promise.all(Array.from({ length: workers - 1 }, (_, i) => begin(i + 2)));
    others.catch(() => undefined); // awaited below
    try {
      await lead();
    } catch (error) {
      stopper.abort('SIGTERM');
      await others.catch(() => undefined); // the first failure is the one that is reported
      throw error;
    }
    await others;
  };
}

/**
 * Takes part in runs that another process shares, of backfills whose declaration is the same there.
 *
 * @param joined receives the names of their backfills
 * @returns whether there was such a run
 */
export async function joinRun(options: MigratorOptions, joined: string[]): Promise<boolean> {
  return await withSession(options, async (session) => {
    const { store, ledger } = session;
    let hasJoined = false;
    for (const step of backfillsOf(options.project)) {
      if (!(await isFilledBy(store, ledger, step))) continue;
      if (!(await ledger.runs(step.name)).some(({ status, share = 0 }) => status === 'running' && share < 1))
        continue;
      await refuseTriggers(session, [step], 'up', options);
      if (!(await inStep(step, async () => await joinRuns({ store, ledger, backfill: step, options }))))
        continue;
      hasJoined = true;
      if (!joined.includes(step.name)) joined.push(step.name);
    }
    return hasJoined;
  });
}
