import type { Baseline } from './baseline.js';
import { columnIndex, readContents, tableDifference, tableOf, withReadOnly } from './contents.js';
import { differenceError } from './failure.js';
import type { Subject, TestRow } from './options.js';
import { requireVerified, runUp } from './runs.js';
import { asApplication, insertRows, makeStore } from './seed.js';

/**
 * Runs `up` on some of the rows, writes the others after its first batch, and checks that all are filled as in the baseline.
 *
 * @returns number of rows written during the run
 * @throws {BackfillTestError} `NOT_CAUGHT_UP`, `NOT_VERIFIED`
 */
export async function requireCatchUp(
  subject: Subject,
  seed: string,
  path: string,
  { after }: Baseline,
): Promise<number> {
  const { step } = subject;
  const { early, late } = await split(subject, seed);
  await makeStore(path, subject, early);
  let isWritten = false;
  const write = (): void => {
    if (!isWritten) asApplication(path, (db) => insertRows(db, step.table, late));
    isWritten = true;
  };
  const first = await runUp(subject, path, ({ event }) => {
    if (event === 'batch_committed') write();
  });
  write(); // if the early rows needed no batch
  const last = (await runUp(subject, path)) ?? first;
  const missed = tableDifference(
    step.table,
    tableOf(after, step),
    tableOf(await readContents(path, step), step),
  );
  if (missed) {
    const when = ['after an `up` over all rows', 'if some were written while it ran'] as const;
    throw differenceError('NOT_CAUGHT_UP', step, missed, when);
  }
  requireVerified(last, 'if rows were written while `up` ran');
  return late.length;
}

/** Splits the rows of the seed. Late rows have the last keys if keys only grow, else keys in between as well. */
async function split(subject: Subject, seed: string): Promise<Record<'early' | 'late', readonly TestRow[]>> {
  const { step } = subject;
  const table = tableOf(await readContents(seed, step), step);
  const [names, isGrowing] = await withReadOnly(seed, async (store) => [
    (await store.dialect.tableColumns(store, step.table)).flatMap(({ name, isGenerated }) =>
      isGenerated ? [] : name,
    ),
    (await store.dialect.keyGrowth(store, step, null)) === 'growing',
  ]);
  const rows = [...table.rows.values()].map(
    (row) => Object.fromEntries(names.map((name) => [name, row[columnIndex(table, name)]])) as TestRow,
  );
  const firstLate = Math.floor(rows.length * 0.75);
  const isLate = (i: number): boolean => (isGrowing || rows.length < 4 ? i >= firstLate : i % 4 === 1);
  return { early: rows.filter((_, i) => !isLate(i)), late: rows.filter((_, i) => isLate(i)) };
}
