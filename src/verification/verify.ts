import type { Backfill } from '../backfill/define.js';
import type { Ledger } from '../ledger/ledger.js';
import { isOpen } from '../ledger/records.js';
import type { Step } from '../steps/step.js';
import type { Store } from '../store/sqlite/store.js';
import { cellAttribution } from './attribution.js';
import { type CheckResult, gravest, type Verdict } from './check.js';
import { consistency, coverage, groups, lag, noMismatches, nulls, timestamps } from './checks.js';
import { indexUse } from './index-use.js';
import { comparedRun, integrity } from './integrity.js';
import { scan } from './scan.js';

/** The verification of one backfill. */
export interface Verification {
  readonly backfill: string;
  readonly verdict: Verdict;
  /** The last run that it saw. */
  readonly run: number;
  readonly checks: readonly CheckResult[];
  readonly durationMs: number;
}

/** How to verify. */
export interface VerifyOptions {
  /** Coverage below this many percent fails. Default: it doesn't. */
  readonly minCoverage?: number | undefined;
  /** The present. Default: the system's clock. */
  readonly now?: () => Date;
}

/**
 * Verifies a backfill on one snapshot of the store: eight checks over every row in scope. Writes nothing.
 *
 * @param steps the project's steps
 * @returns the checks with the gravest verdict among them
 */
export function verifyBackfill(
  store: Store,
  ledger: Ledger,
  backfill: Backfill,
  steps: readonly Step[],
  options: VerifyOptions = {},
): Verification {
  const startedAt = performance.now();
  return store.snapshot(() => {
    const runs = ledger.runs(backfill.name);
    const attribution = cellAttribution(ledger, backfill);
    const mismatches = noMismatches();
    const facts = scan(store, backfill, {
      watermark: runs.at(-1)?.watermark ?? null,
      compareUpTo: comparedRun(runs)?.watermark ?? null,
      nowMs: (options.now?.() ?? new Date()).getTime(),
      isRefused: (key, column) => ledger.isRefused(backfill.name, key, column),
      onMismatch: ({ key, column }) => {
        const status = attribution(key, column)?.status;
        const kind = status === undefined ? 'foreign' : isOpen(status) ? 'thisRun' : 'earlierRun';
        mismatches[kind].add(key);
      },
    });
    const checks = [
      coverage(backfill, facts, ledger.skipCounts(backfill.name), options.minCoverage),
      consistency(backfill, facts, mismatches),
      groups(backfill, facts),
      indexUse(store, backfill, steps),
      timestamps(backfill, facts),
      nulls(backfill, facts),
      lag(backfill, facts),
      integrity(store, ledger, backfill, facts),
    ];
    const verdict = gravest(checks.map((check) => check.verdict));
    const durationMs = Math.round(performance.now() - startedAt);
    return { backfill: backfill.name, verdict, run: runs.at(-1)?.run ?? 0, checks, durationMs };
  });
}
