import type { Connection } from '../db/connection.js';
import type { BehindPass } from '../engine/dialect.js';
import type { Ledger } from '../ledger/ledger.js';
import type { Backfill } from '../steps/define.js';
import type { Step } from '../steps/step.js';
import { type CheckResult, gravest, type Verdict } from './check.js';
import { consistency, coverage, groups, lag, nulls, timestamps } from './checks.js';
import type { ScanFacts } from './facts.js';
import { indexUse } from './index-use.js';
import { integrity } from './integrity.js';
import { rules } from './rules.js';
import { scanPass } from './scan.js';

/** The verification of one backfill. */
export interface Verification {
  readonly backfill: string;
  readonly verdict: Verdict;
  /** The last run that it saw. */
  readonly run: number;
  readonly checks: readonly CheckResult[];
  /** How many threads have read the rows. */
  readonly threads: 1 | 2;
  readonly durationMs: number;
}

/** How to verify. */
export interface VerifyOptions {
  /** Coverage below this many percent fails. Default: it doesn't. */
  readonly minCoverage?: number | undefined;
  /** The present. Default: the system's clock. */
  readonly now?: (() => Date) | undefined;
  /** Size of the store, in bytes, from which on a second thread helps. Default 64 MiB. */
  readonly threadFromBytes?: number | undefined;
}

/**
 * Verifies a backfill on one snapshot of the store: eight checks over every row in scope, and the project's own rules. Writes nothing.
 *
 * @param steps the project's steps
 * @returns the checks with the gravest verdict among them
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
  const check: BehindPass<ScanFacts, Verification> = async (tx, facts, threads) => {
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
    const verdict = gravest(checks.map((result) => result.verdict));
    const durationMs = Math.round(performance.now() - startedAt);
    return { backfill: backfill.name, verdict, run, checks, threads, durationMs };
  };
  const pass = scanPass(ledger, backfill, nowMs);
  return await store.dialect.passOver(store, backfill, pass, check, options.threadFromBytes);
}
