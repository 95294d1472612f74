import type { Connection } from '../db/connection.js';
import type { AfterPass, Followed } from '../engine/scan.js';
import type { Ledger } from '../ledger/ledger.js';
import type { Backfill } from '../steps/define.js';
import type { Step } from '../steps/step.js';
import { type CheckResult, type Verdict, worstVerdict } from './check.js';
import { consistency, coverage, groups, lag, nulls, timestamps } from './fact-checks.js';
import type { ScanFacts } from './facts.js';
import { scanPass } from './scan.js';
import { indexUse, integrity, rules } from './store-checks.js';

/** The verification of one backfill. */
export interface Verification {
  readonly backfill: string;
  readonly verdict: Verdict;
  /** Number of the last run that it covers; 0 if there is none. */
  readonly run: number;
  readonly checks: readonly CheckResult[];
  /** Number of threads that read the rows. */
  readonly threads: 1 | 2;
  readonly durationMs: number;
}

/** Options of {@link verifyBackfill}. */
interface VerifyOptions {
  /** Minimum coverage in percent; less fails. Default: none. */
  readonly minCoverage?: number | undefined;
  /** The current time. Default: the system's clock. */
  readonly now?: (() => Date) | undefined;
  /** Minimum size of the store, in bytes, for a second thread. Default 64 MiB. */
  readonly parallelMinBytes?: number | undefined;
  /** Findings in rows that were verified during the run. Default: none. */
  readonly followed?: Followed | undefined;
}

/**
 * Verifies a backfill on one snapshot of the store: eight checks over every row in scope, and the project's own rules. Writes nothing.
 *
 * @param steps the project's steps
 * @returns the checks, with the worst of their verdicts
 */
export async function verifyBackfill(
  store: Connection,
  ledger: Ledger,
  backfill: Backfill,
  steps: readonly Step[],
  options: VerifyOptions = {},
): Promise<Verification> {
  const startedAt = performance.now();
  const nowMs = (options.now?.() ?? new Date()).getTime();
  const check: AfterPass<ScanFacts, Verification> = async (tx, facts, threads) => {
    const own = ledger.in(tx);
    const run = (await own.lastRun(backfill.name))?.run ?? 0;
    const checks = [
      coverage(backfill, facts, await own.skipCounts(backfill.name), options.minCoverage),
      consistency(backfill, facts),
      groups(backfill, facts),
      await indexUse(tx, backfill, steps),
      timestamps(backfill, facts),
      nulls(backfill, facts),
      await lag(tx, backfill, facts),
      await integrity(tx, own, backfill, facts),
      ...(await rules(tx, backfill)),
    ];
    const verdict = worstVerdict(checks.map((result) => result.verdict));
    const durationMs = Math.round(performance.now() - startedAt);
    return { backfill: backfill.name, verdict, run, checks, threads, durationMs };
  };
  const scan = scanPass(ledger, backfill, nowMs, options.followed);
  return await store.dialect.passOver(store, backfill, scan, check, options.parallelMinBytes);
}
