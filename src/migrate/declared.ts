import type { Project } from '../config.js';
import { filterEach, flatMapEach } from '../each.js';
import {
  hasUnsureCells,
  isFillerKnown,
  lostCells,
  processWarning,
  recallBackfill,
  requireSameDeclaration,
} from '../engine/filled-by.js';
import { BackfillError } from '../errors.js';
import { type Drift, type Ledger, refuseDrift } from '../ledger/ledger.js';
import { LEDGER_TABLES } from '../ledger/tables.js';
import { type Message, msg } from '../messages/message.js';
import { shellWord } from '../shell.js';
import { fingerprint } from '../steps/step.js';
import type { MigratorOptions } from './options.js';
import { planRevert } from './revert-plan.js';
import { type BackfillStep, backfillsOf, type Session } from './session.js';

// Compares the declarations of backfills with those that filled their cells.

/**
 * Refuses backfills that would continue with a changed declaration.
 *
 * @param due backfills that will be filled or verified
 * @returns warnings about functions of which only the text changed, and about changed declarations of finished backfills
 * @throws {BackfillError} `STEP_DRIFTED`, `PROCESS_CHANGED`
 */
export async function checkDeclarations(
  { store, ledger }: Session,
  { project, confirmed }: Pick<MigratorOptions, 'project' | 'confirmed'>,
  due: readonly BackfillStep[],
): Promise<Message[]> {
  for (const step of due) await requireSameDeclaration(store, ledger, step, confirmed);
  return (
    await flatMapEach(backfillsOf(project), async (step) => [
      await processWarning(store, ledger, step),
      await declarationWarning(ledger, step),
    ])
  ).filter((text) => text !== undefined);
}

/**
 * Refuses a project without the file of an unfinished backfill: under a new name, it would be started a second time.
 *
 * @throws {BackfillError} `STEP_FILE_MISSING`
 */
export async function refuseOrphans({ ledger }: Session, project: Project): Promise<void> {
  const [orphan] = await orphansOf(ledger, project);
  if (orphan === undefined) return;
  throw new BackfillError(
    'STEP_FILE_MISSING',
    msg('The step {name} is not finished, and its file is missing', { name: orphan }),
    msg('Put the file back, then run the same command again; or revert it: umzug-backfill down --to {name}', {
      name: shellWord(orphan),
    }),
  );
}

/** Returns the names of unfinished backfills whose file no longer exists. */
export async function orphansOf(ledger: Ledger, { steps, isPart }: Project): Promise<string[]> {
  if (isPart) return [];
  const orphans = await filterEach(await ledger.steps(), async ({ name, kind, status }) => {
    if (kind !== 'backfill' || steps.some((step) => step.name === name)) return false;
    return status !== 'applied' || (await ledger.isUnverified(name));
  });
  return orphans.map(({ name }) => name);
}

/** Returns what to do about cells that an earlier declaration of a finished backfill filled or left. */
async function declarationWarning(ledger: Ledger, step: BackfillStep): Promise<Message | undefined> {
  const { name } = step;
  const record = await ledger.step(name);
  if (record?.status !== 'applied' || record.fingerprint === fingerprint(step)) return undefined;
  const [scan, down] = [shellWord(name), shellWord(name)];
  return msg(
    'The current declaration of {name} fills later rows: umzug-backfill backfill {scan} --rescan fills NULL cells with it, and umzug-backfill down --to {down}, then umzug-backfill up, all cells',
    { name, scan, down },
  );
}

/**
 * Refuses to revert cells that can no longer be compared with what was filled.
 *
 * @throws {BackfillError} `STEP_DRIFTED`, `PROCESS_CHANGED`
 */
export async function refuseLostFillers(
  session: Session,
  reverts: readonly BackfillStep[],
  drifts: readonly Drift[],
): Promise<void> {
  const { store, ledger } = session;
  for (const step of reverts) {
    if (!(await isFillerKnown(store, ledger, step.name)))
      refuseDrift(
        drifts.filter(({ kind, step: name }) => kind === 'changed' && name === step.name),
        msg(
          'Put the step file back as it was applied, or run it again with --yes: cells that the declaration now derives otherwise then stay',
        ),
      );
    const lost = await lostCells(store, ledger, step);
    if (lost) throw lostFiller(step.name, lost);
    await refuseUndone(session, step);
  }
}

function lostFiller(
  name: string,
  { cells, version }: { readonly cells: number; readonly version: number | undefined },
): BackfillError {
  if (version === undefined)
    return new BackfillError(
      'STEP_DRIFTED',
      msg('The declaration with which {name} filled {cells} cells can no longer be read from the ledger', {
        name,
        cells,
      }),
      msg('Restore the ledger, or run it again with --yes: those cells then stay as they are'),
    );
  return new BackfillError(
    'STEP_DRIFTED',
    msg(
      '{cells} cells of {name} were filled by version {version} of `process`, which is no longer in its file',
      { cells, name, version },
    ),
    msg(
      'Put the step file back with processVersion {version}, or run it again with --yes: those cells then stay as they are',
      { version },
    ),
  );
}

/**
 * Refuses a `down` that would keep filled cells without a record: those that the changed text of a function no longer derives, and those that
 * made the verification fail. Cells are only read if there may be some.
 */
async function refuseUndone(session: Session, step: BackfillStep): Promise<void> {
  const { store, ledger } = session;
  const { name } = step;
  const hasOtherText = await hasUnsureCells(store, ledger, step);
  const hasFailed = (await ledger.lastVerification(name))?.verdict === 'fail';
  if (!hasOtherText && !hasFailed) return;
  const { kept, underivable } = await planRevert(session, step);
  if (hasOtherText && underivable > 0)
    throw new BackfillError(
      'PROCESS_CHANGED',
      msg(
        'The function `process` of {name} has changed since it filled, and derives other values than {cells} cells contain',
        { name, cells: underivable },
      ),
      msg(
        'Put the function back as it was, run the same command again, and only then put in the new one; or run it again with --yes: those cells then stay as they are',
      ),
    );
  if (hasFailed && kept > 0)
    throw new BackfillError(
      'CONFIRMATION_REQUIRED',
      msg(
        'The verification of {name} has failed, and {cells} cells that it filled do not contain what their row derives: `down` would keep them',
        { name, cells: kept },
      ),
      msg(
        'Undo what has changed since then, in the rows or in what `process` reads, and run the same command again; or run it again with --yes: those cells then stay as they are',
      ),
    );
}

/** Returns the project, with backfills whose file no longer exists as the ledger recorded them. */
export async function withRecalled({ store, ledger }: Session, project: Project): Promise<Project> {
  const recalled = await flatMapEach(
    await ledger.steps(),
    async ({ name, kind }): Promise<BackfillStep[]> => {
      if (kind !== 'backfill' || project.steps.some((step) => step.name === name)) return [];
      const backfill = await recallBackfill(store, name);
      return backfill ? [{ ...backfill, path: LEDGER_TABLES.declarations }] : [];
    },
  );
  if (recalled.length === 0) return project;
  return { ...project, steps: [...project.steps, ...recalled].sort((a, b) => (a.name < b.name ? -1 : 1)) };
}
