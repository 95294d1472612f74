import { locateStore } from '../db/path.js';
import { type BackfillError, rootBackfillError } from '../errors.js';
import type { MigratorOptions, RunOutcome } from '../migrator/session.js';
import { verificationFailed } from '../migrator/verifying.js';
import { findTarget, writeOut } from '../safety/out-file.js';
import type { Verdict } from '../verify/check.js';
import type { Verification } from '../verify/verify.js';
import { type Lang, sayIn } from '../words/lang.js';
import { REPORT_FILE } from './default-file.js';
import { gather } from './gather.js';
import { WORDS } from './words.js';

/** How to make a report. */
export interface ReportOptions {
  /** Language of its words. Default `en`. */
  readonly lang?: Lang | undefined;
  /** Verifications that were made just now; backfills without one are verified. Default: none. */
  readonly verifications?: readonly Verification[] | undefined;
  /** Makes of a command that it names one that runs as it stands. Default: as it is. */
  readonly tell?: ((command: string) => string) | undefined;
}

/** A report that was made. */
export interface MadeReport {
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
export async function makeReport(options: MigratorOptions, how: ReportOptions = {}): Promise<MadeReport> {
  const { lang = 'en', tell = (command) => command, ...gathering } = how;
  const facts = await gather(options, gathering);
  const { storePage } = await import('./page.js'); // with the library for charts, which nothing else needs
  const failed = facts.backfills.find(({ verification }) => verification?.verdict === 'fail')?.verification;
  return {
    text: storePage(facts, { words: WORDS[lang], say: await sayIn(lang), tell }),
    ...(failed ? { error: verificationFailed(failed) } : {}),
    backfills: facts.backfills.map(({ step, verification }) => ({
      name: step.name,
      verdict: verification?.verdict ?? 'none',
    })),
  };
}

/** A report that was written, or why none was. */
export interface ReportOutcome {
  /** Absolute path of the file; absent when none was written. */
  readonly path?: string;
  readonly bytes?: number;
  readonly backfills?: MadeReport['backfills'];
  /** What kept it from being written, or `VERIFICATION_FAILED`. */
  readonly error?: BackfillError;
}

/**
 * Makes a report and writes it to a file, also when a check failed.
 *
 * @param path where to, relative to the current folder
 * @throws {BackfillError} `OUTPUT_OVER_STORE`, `OUTPUT_FILE_TAKEN`, `OUTPUT_UNWRITABLE`, or as {@link makeReport}
 */
export async function report(
  options: MigratorOptions,
  path: string,
  how: ReportOptions = {},
): Promise<ReportOutcome> {
  checkTarget(options, path); // before the work, and again after it
  const { text, ...made } = await makeReport(options, how);
  const target = checkTarget(options, path);
  writeOut(REPORT_FILE, target, text);
  return { path: target, bytes: Buffer.byteLength(text), ...made };
}

/**
 * Finds where a report on a store is to go.
 *
 * @throws {BackfillError} `OUTPUT_OVER_STORE`, `OUTPUT_FILE_TAKEN`, `OUTPUT_UNWRITABLE`, or when there is no store
 */
export const checkTarget = ({ path: store, postgres }: MigratorOptions, path: string): string =>
  findTarget(REPORT_FILE, path, postgres ? undefined : locateStore(store));

/**
 * Writes a report after a command, which may have failed: with the verifications that it has made. A run that was stopped by a
 * signal gets none, as that would take as long as a verification. What keeps the report from being written is returned, so
 * that it does not hide what the command has done.
 */
export async function reportAfter(
  options: MigratorOptions,
  path: string,
  { verifications, error }: Pick<RunOutcome, 'verifications' | 'error'>,
  how: ReportOptions = {},
): Promise<ReportOutcome> {
  if (error?.code === 'INTERRUPTED' || error?.code === 'TERMINATED') return {};
  try {
    return await report(options, path, { ...how, verifications });
  } catch (thrown) {
    return { error: rootBackfillError(thrown) };
  }
}
