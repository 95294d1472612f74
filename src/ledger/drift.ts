import { BackfillError } from '../errors.js';
import { fingerprint, type Step } from '../steps/step.js';
import { compareVersions, parseVersion } from '../version.js';
import { FOREIGN, type StepRecord } from './records.js';
import { PACKAGE_VERSION } from './version.js';

/** A difference between the steps on disk and those in the ledger. */
export interface Drift {
  readonly step: string;
  readonly kind: 'changed' | 'inserted' | 'gone';
  /** What is wrong, in one sentence. */
  readonly text: string;
}

/**
 * Finds applied steps that have changed since or whose file is gone, and pending ones before an applied one. Migrations
 * that only umzug's storage has in the ledger are nobody's steps here.
 */
export function findDrift(steps: readonly Step[], records: readonly StepRecord[]): Drift[] {
  const known = new Map(records.map((record) => [record.name, record]));
  const own = records.filter(({ kind }) => kind !== FOREIGN);
  const lastApplied = own.filter(({ status }) => status === 'applied').at(-1)?.name;
  const drifts: Drift[] = [];
  for (const step of steps) {
    const record = known.get(step.name);
    if (record && record.fingerprint !== fingerprint(step)) {
      const text =
        record.status === 'applying'
          ? `The step ${step.name} has changed since it was begun`
          : `The step ${step.name} has changed since it was applied`;
      drifts.push({ step: step.name, kind: 'changed', text });
    }
    if (!record && lastApplied !== undefined && step.name < lastApplied) {
      const text = `The step ${step.name} is new, but sorts before ${lastApplied}, which is applied`;
      drifts.push({ step: step.name, kind: 'inserted', text });
    }
  }
  for (const { name, status } of own) {
    if (steps.some((step) => step.name === name)) continue;
    const text =
      status === 'applied'
        ? `The step ${name} is applied, but its file is gone`
        : `The step ${name} is not finished, and its file is gone`;
    drifts.push({ step: name, kind: 'gone', text });
  }
  return drifts;
}

/**
 * Refuses a store on which a newer version of this package has worked: its ledger may say what this one does not know.
 *
 * @throws {BackfillError} `PACKAGE_TOO_OLD`
 */
export function refuseNewerPackage(records: readonly StepRecord[]): void {
  const own = parseVersion(PACKAGE_VERSION);
  for (const { name, packageVersion } of records) {
    const other = parseVersion(packageVersion);
    if (!own || !other || compareVersions(other, own) <= 0) continue;
    throw new BackfillError(
      'PACKAGE_TOO_OLD',
      `The step ${name} was begun by version ${packageVersion} of this package, and this is ${PACKAGE_VERSION}`,
      `Deploy that version, or a newer one: npm install umzug-backfill@${packageVersion}`,
    );
  }
}

/**
 * Refuses any drift.
 *
 * @param hint what to do about it
 * @throws {BackfillError} `STEP_DRIFTED` naming the first
 */
export function refuseDrift(
  drifts: readonly Drift[],
  hint = 'Put the step files back as they were applied, or run it again without --strict',
): void {
  const first = drifts[0];
  if (first) throw new BackfillError('STEP_DRIFTED', first.text, hint);
}
