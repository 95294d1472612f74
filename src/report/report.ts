import { locateStore } from '../db/path.js';
import { rootBackfillError } from '../errors.js';
import type { BackfillError, Verification } from '../index.js';
import type { Lang } from '../messages/lang.js';
import type { MigratorOptions } from '../migrate/options.js';
import { verificationFailed } from '../migrate/verify.js';
import { resolveOutputPath, writeAtomically } from '../safety/output-file.js';
import { collect } from './collect.js';
import { REPORT_FILE } from './default-file.js';
import { renderContext, type ToRunnable } from './elements.js';

/** Options of a report. */
export interface ReportOptions {
  /** Language of the page. Default `en`. */
  readonly lang?: Lang | undefined;
  /** Verifications of the same command; backfills without one are verified. Default: none. */
  readonly verifications?: readonly Verification[] | undefined;
  /** Makes the commands in a text runnable. Default: returns the text. */
  readonly toRunnable?: ToRunnable | undefined;
}

/** A report as a page. */
export interface RenderedReport {
  /** HTML that needs no other file, no network and no script. */
  readonly text: string;
  /** Verdict of each backfill; `none` if there was nothing to verify. */
  readonly backfills: readonly {
    readonly name: string;
    readonly verdict: 'pass' | 'warn' | 'fail' | 'none';
  }[];
  /** `VERIFICATION_FAILED` if a check failed. */
  readonly error?: BackfillError;
}

/**
 * Verifies a store and renders its report. Only reads.
 *
 * @throws {BackfillError} if the store is refused
 */
export async function renderReport(
  options: MigratorOptions,
  { lang = 'en', verifications = [], toRunnable = (text) => text }: ReportOptions = {},
): Promise<RenderedReport> {
  const facts = await collect(options, verifications);
  const { storePage } = await import('./page.js'); // loads the chart library
  const failed = facts.backfills.find(({ verification }) => verification?.verdict === 'fail')?.verification;
  return {
    text: storePage(facts, await renderContext(lang), toRunnable),
    backfills: facts.backfills.map(({ step, verification }) => ({
      name: step.name,
      verdict: verification?.verdict ?? 'none',
    })),
    ...(failed ? { error: verificationFailed(failed) } : {}),
  };
}

/** A written report, or the reason why none was written. */
export interface ReportResult {
  /** Absolute path of the file; absent if none was written. */
  readonly path?: string;
  readonly bytes?: number;
  readonly backfills?: RenderedReport['backfills'];
  /** The reason why it was not written, or `VERIFICATION_FAILED`. */
  readonly error?: BackfillError;
}

/**
 * Renders a report and writes it to a file, even if a check failed.
 *
 * @param path output path, relative to the current folder
 * @throws {BackfillError} `OUTPUT_IS_STORE`, `OUTPUT_EXISTS`, `OUTPUT_UNWRITABLE`, or as {@link renderReport}
 */
export async function report(
  options: MigratorOptions,
  path: string,
  how: ReportOptions = {},
): Promise<ReportResult> {
  checkTarget(options, path); // fails before the work; checked again after it
  const { text, ...made } = await renderReport(options, how);
  const target = checkTarget(options, path);
  writeAtomically(REPORT_FILE, target, text);
  return { path: target, bytes: Buffer.byteLength(text), ...made };
}

/**
 * Resolves the output path of a report.
 *
 * @throws {BackfillError} `OUTPUT_IS_STORE`, `OUTPUT_EXISTS`, `OUTPUT_UNWRITABLE`, or if there is no store
 */
export const checkTarget = ({ path: store, postgres }: MigratorOptions, path: string): string =>
  resolveOutputPath(REPORT_FILE, path, postgres ? undefined : locateStore(store));

/**
 * Writes a report with the verifications of a command, which may have failed. After a signal it writes none, because that would take as
 * long as a verification. Returns its own error instead of throwing it, so that it does not hide the command's result.
 */
export async function reportAfter(
  options: MigratorOptions,
  path: string,
  outcome: { readonly verifications: readonly Verification[]; readonly error?: BackfillError },
  how: ReportOptions = {},
): Promise<ReportResult> {
  const { verifications, error } = outcome;
  if (error?.code === 'INTERRUPTED' || error?.code === 'TERMINATED') return {};
  try {
    return await report(options, path, { ...how, verifications });
  } catch (thrown) {
    return { error: rootBackfillError(thrown) };
  }
}
