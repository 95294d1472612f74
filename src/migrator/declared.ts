import {
  isFillerKnown,
  lostCells,
  processWarning,
  recallBackfill,
  requireSameDeclaration,
  requireSameProcess,
} from '../backfill/filled-by.js';
import type { Project } from '../config.js';
import { BackfillError } from '../errors.js';
import { type Drift, refuseDrift } from '../ledger/drift.js';
import { LEDGER_TABLES } from '../ledger/tables.js';
import { type BackfillStep, backfillsOf, type MigratorOptions, type Session } from './session.js';

// How backfills are declared now, against what they were filled by.

/**
 * Refuses backfills that are to go on, and were begun by another declaration.
 *
 * @param due those that are to fill or to be verified
 * @returns a warning for each of the project whose function alone has changed
 * @throws {BackfillError} `STEP_DRIFTED`, `PROCESS_CHANGED`
 */
export function checkDeclarations(
  { store, ledger }: Session,
  { project, isConfirmed }: Pick<MigratorOptions, 'project' | 'isConfirmed'>,
  due: readonly BackfillStep[],
): string[] {
  for (const step of due) requireSameDeclaration(store, ledger, step, isConfirmed);
  return backfillsOf(project).flatMap((step) => processWarning(store, step) ?? []);
}

/**
 * Refuses to take back cells of which nothing can tell any more whether they hold what was filled.
 *
 * @throws {BackfillError} `STEP_DRIFTED`, `PROCESS_CHANGED`
 */
export function refuseLostFillers(
  { store, ledger }: Session,
  reverts: readonly BackfillStep[],
  drifts: readonly Drift[],
): void {
  for (const step of reverts) {
    if (!isFillerKnown(store, ledger, step.name))
      refuseDrift(
        drifts.filter(({ kind, step: name }) => kind === 'changed' && name === step.name),
        'Put the step file back as it was applied, or run it again with --yes: cells that the declaration now derives otherwise then stay',
      );
    const lost = lostCells(store, ledger, step);
    if (lost)
      throw new BackfillError(
        'STEP_DRIFTED',
        `${lost.cells} cells of ${step.name} were filled by version ${lost.version} of \`process\`, which is not in its file any more`,
        `Put the step file back with processVersion ${lost.version}, or run it again with --yes: those cells then stay as they are`,
      );
    if (ledger.step(step.name)?.status === 'applying') requireSameProcess(store, ledger, step);
  }
}

/** The project, with the backfills whose file is gone as the ledger has them. */
export function withRecalled({ store, ledger }: Session, project: Project): Project {
  const recalled = ledger.steps().flatMap(({ name, kind }): BackfillStep[] => {
    if (kind !== 'backfill' || project.steps.some((step) => step.name === name)) return [];
    const backfill = recallBackfill(store, name);
    return backfill ? [{ ...backfill, path: LEDGER_TABLES.declarations }] : [];
  });
  if (recalled.length === 0) return project;
  return { ...project, steps: [...project.steps, ...recalled].sort((a, b) => (a.name < b.name ? -1 : 1)) };
}
