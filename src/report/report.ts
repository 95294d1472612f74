import { locateStore } from '../db/path.js';
import { type BackfillError, rootBackfillError } from '../errors.js';
import type { Lang } from '../messages/lang.js';
import type { RunResult } from '../migrate/change.js';
import type { MigratorOptions } from '../migrate/options.js';
import { verificationFailed } from '../migrate/verify.js';
import { resolveOutputPath, writeAtomically } from '../safety/output-file.js';
import type { Verdict } from '../verify/check.js';
import type { Verification } from '../verify/verify.js';
import { collect } from './collect.js';
import { renderContext } from './context.js';
import { REPORT_FILE } from './default-file.js';

/** How to make a report. */
export interface ReportOptions {
  /** Language of its words. Default `en`. */
  readonly lang?: Lang | undefined;
  /** Verifications that were made just now; backfills without one are verified. Default: none. */
  readonly verifications?: readonly Verification[] | undefined;
  /** Makes of a command that it names one that runs as it stands. Default: as it is. */
  readonly toRunnable?: ((command: string) => string) | undefined;
}

/** A report that was made. */
export interface RenderedReport {
  /** The page. */
  readonly text: string;
  /** Of each backfill; `none` where there was nothing to verify. */
  readonly backfills: readonly { readonly name: string; readonly verdict: Verdict | 'none' }[];
  /** `VERIFICATION_FAILED`, when a check failed. */
  readonly error?: BackfillError;
}

/**
 * Makes a report of a store: one HTML page that needs no other file, no network and no script. Reads only.
 *
 * @throws {BackfillError} when the store is refused
 */
export async function renderReport(
  options: MigratorOptions,
  how: ReportOptions = {},
): Promise<RenderedReport> {
  const { lang = 'en', toRunnable = (command) => command, ...gathering } = how;
  const facts = await collect(options, gathering);
  const { storePage } = await import('./page.js'); // with the library for charts, which nothing else needs
  const failed = facts.backfills.find(({ verification }) => verification?.verdict === 'fail')?.verification;
  return {
    text: storePage(facts, await renderContext(lang), toRunnable),
    ...(failed ? { error: verificationFailed(failed) } : {}),
    backfills: facts.backfills.map(({ step, verification }) => ({
      name: step.name,
      verdict: verification?.verdict ?? 'none',
    })),
  };
}

/** A report that was written, or why none was. */
export interface ReportResult {
  /** Absolute path of the file; absent when none was written. */
  readonly path?: string;
  readonly bytes?: number;
  readonly backfills?: RenderedReport['backfills'];
  /** What kept it from being written, or `VERIFICATION_FAILED`. */
  readonly error?: BackfillError;
}

/**
 * Makes a report and writes it to a file, also when a check failed.
 *
 * @param path where to, relative to the current folder
 * @throws {BackfillError} `OUTPUT_IS_STORE`, `OUTPUT_EXISTS`, `OUTPUT_UNWRITABLE`, or as {@link renderReport}
 */
export async function report(
  options: MigratorOptions,
  path: string,
  how: ReportOptions = {},
): Promise<ReportResult> {
  checkTarget(options, path); // before the work, and again after it
  const { text, ...made } = await renderReport(options, how);
  const target = checkTarget(options, path);
  writeAtomically(REPORT_FILE, target, text);
  return { path: target, bytes: Buffer.byteLength(text), ...made };
}

/**
 * Finds where a report on a store is to go.
 *
 * @throws {BackfillError} `OUTPUT_IS_STORE`, `OUTPUT_EXISTS`, `OUTPUT_UNWRITABLE`, or when there is no store
 */
export const checkTarget = ({ path: store, postgres }: MigratorOptions, path: string): string =>
  resolveOutputPath(REPORT_FILE, path, postgres ? undefined : locateStore(store));

/**
 * Writes a report after a command, which may have failed: with the verifications that it has made. A run that was stopped by a
 * signal gets none, as that would take as long as a verification. What keeps the report from being written is returned, so
 * that it does not hide what the command has done.
 */
export async function reportAfter(
  options: MigratorOptions,
  path: string,
  { verifications, error }: Pick<RunResult, 'verifications' | 'error'>,
  how: ReportOptions = {},
): Promise<ReportResult> {
  if (error?.code === 'INTERRUPTED' || error?.code === 'TERMINATED') return {};
  try {
    return await report(options, path, { ...how, verifications });
  } catch (thrown) {
    return { error: rootBackfillError(thrown) };
  }
}
