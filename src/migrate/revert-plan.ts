import type { Store } from '../db/connection.js';
import { foldCase } from '../db/sql.js';
import { flatMapEach } from '../each.js';
import type { RevertResult } from '../engine/batch.js';
import type { KeyRange } from '../engine/dialect.js';
import { rowByRow, withFailingRow } from '../engine/expressions.js';
import {
  fillersOf,
  hasUnsureCells,
  isFillerKnown,
  lostCells,
  recallBackfill,
  withoutValues,
} from '../engine/filled-by.js';
import { scanRows } from '../engine/scan.js';
import { absentCells } from '../engine/schema.js';
import { BackfillError } from '../errors.js';
import { type CellPart, earlierCells } from '../ledger/cells.js';
import type { Key } from '../ledger/keys.js';
import { type Drift, refuseDrift } from '../ledger/ledger.js';
import { LEDGER_TABLES } from '../ledger/tables.js';
import { msg } from '../messages/message.js';
import type { Backfill } from '../steps/define.js';
import type { Step } from '../steps/step.js';
import type { BackfillStep, Session } from './session.js';

type Part = Pick<CellPart, 'columns' | 'runs'>;

/** Number of key spans above which a batch is read in one range, from its first key to its last. */
const MAX_RANGES = 64;

/** States of a cell, two bits each: see `ScanRow`. */
const [CONSISTENT, OTHER] = [2, 3];

/** Returns what `down` would do with the cells of a backfill, from the last batch to the first, as `revertBatches` does. Reads only. */
export async function planRevert({ store, ledger }: Session, step: BackfillStep): Promise<RevertResult> {
  const fillerOf = await fillersOf(store, step);
  const partsOf = await earlierCells(ledger, step.name);
  const taken = new Set<string>(); // cells that an earlier batch will find NULL
  const total = { reverted: 0, kept: 0, gone: 0, underivable: 0 };
  for (const number of await ledger.batchNumbers(step.name)) {
    const { backfill, certainty } = await fillerOf(number);
    const absent = await absentCells(store, backfill);
    const columns = backfill.columns.filter(({ name }) => !absent.has(foldCase(name)));
    const parts = await partsOf(number);
    const present = { ...backfill, columns, scope: 'true', checks: {} };
    const isEarlier = backfill !== step;
    const read = async () => await statesOf(store, present, parts, isEarlier);
    const states = await withFailingRow(store, present, read);
    const others = certainty === 'exact' ? 'kept' : 'underivable';
    for (const { isInEarlier, ...part } of parts) {
      for (const [name, key] of cellsOf(part)) {
        const at = columns.findIndex((column) => column.name === name);
        const cell = `${name}\u0000${key}`;
        if (taken.has(cell)) continue;
        const row = at < 0 ? undefined : states.found.get(key);
        const state = row === undefined ? undefined : (row >> (2 * at)) & 3;
        if (state === CONSISTENT) {
          total.reverted += 1;
          if (isInEarlier) taken.add(cell);
        } else if (isInEarlier) continue;
        else if (state === undefined) total.gone += 1;
        else if (state === OTHER) total[states.failing.has(key) ? 'underivable' : others] += 1;
      }
    }
  }
  return total;
}

/**
 * Returns the states of the cells whose rows exist, and the keys of rows on which the expression that filled them now fails.
 *
 * @param isEarlier whether an earlier declaration filled them, which cannot be fixed in the file
 */
async function statesOf(store: Store, backfill: Backfill, sets: readonly Part[], isEarlier: boolean) {
  const states = { found: new Map<Key, number>(), failing: new Set<Key>() };
  if (backfill.columns.length === 0) return states;
  const runs = sets.flatMap((set) => set.runs);
  const read =
    (by: Backfill) =>
    async (ranges: readonly KeyRange[]): Promise<void> => {
      const rowsOf = await scanRows(store, by);
      for (const range of ranges)
        for await (const page of rowsOf(range)) for (const [key, state] of page) states.found.set(key, state);
    };
  const ranges = runs.length > MAX_RANGES ? sets.flatMap(whole) : runs;
  if (!isEarlier) await read(backfill)(ranges);
  else if (!(await store.attempt(async () => await read(backfill)(ranges))))
    await rowByRow(store, runs, read(backfill), async (run) => {
      states.failing.add(run[0]);
      await read(withoutValues(backfill))([run]);
    });
  return states;
}

/** Returns the range of a part, from its first key to its last; none if it is empty. */
function whole({ runs }: Part): KeyRange[] {
  const [first, last] = [runs[0], runs.at(-1)];
  return first && last ? [[first[0], last[1]]] : [];
}

function* cellsOf({ columns, runs }: Part): Generator<readonly [column: string, key: Key]> {
  for (const [first, last] of runs) {
    if (typeof first === 'string' || typeof last === 'string')
      for (const name of columns) yield [name, first];
    else for (let key = first; key <= last; key += 1n) for (const name of columns) yield [name, key];
  }
}

/**
 * Refuses to revert cells that can no longer be compared with what was filled.
 *
 * @throws {BackfillError} `STEP_DRIFTED`, `PROCESS_CHANGED`, `CONFIRMATION_REQUIRED`
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
    await refuseLost(session, step);
    await refuseUndone(session, step);
  }
}

/** Refuses a `down` of cells whose declaration is neither in the ledger nor in the file. */
async function refuseLost({ store, ledger }: Session, step: BackfillStep): Promise<void> {
  const { name } = step;
  const lost = await lostCells(store, ledger, step);
  if (!lost) return;
  const { cells, version } = lost;
  throw new BackfillError(
    'STEP_DRIFTED',
    version === undefined
      ? msg('The declaration with which {name} filled {cells} cells can no longer be read from the ledger', {
          name,
          cells,
        })
      : msg(
          '{cells} cells of {name} were filled by version {version} of `process`, which is no longer in its file',
          { cells, name, version },
        ),
    version === undefined
      ? msg('Restore the ledger, or run it again with --yes: those cells then stay as they are')
      : msg(
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

/** Returns the steps of a project, with backfills whose file no longer exists as the ledger recorded them. */
export async function withRecalled(
  { store, ledger }: Session,
  steps: readonly Step[],
): Promise<readonly Step[]> {
  const recalled = await flatMapEach(await ledger.steps(), async ({ name, kind }): Promise<Step[]> => {
    if (kind !== 'backfill' || steps.some((step) => step.name === name)) return [];
    const backfill = await recallBackfill(store, name);
    return backfill ? [{ ...backfill, path: LEDGER_TABLES.declarations }] : [];
  });
  return recalled.length === 0 ? steps : [...steps, ...recalled].sort((a, b) => (a.name < b.name ? -1 : 1));
}
