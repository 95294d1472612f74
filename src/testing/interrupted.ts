import { verify } from '../migrate/verify.js';
import type { Baseline } from './baseline.js';
import { readContents, requireSame, type StoreContents } from './contents.js';
import { BackfillTestError, cellId, cellName } from './failure.js';
import type { FaultInjector, Interruption } from './fault-injector.js';
import type { Subject } from './options.js';
import { copyStore, type LedgerState, readLedger, requireVerified, runOptions, runUp } from './store.js';

const UNINTERRUPTED = 'after an uninterrupted `up`';

/**
 * Runs `up` and `down`, each interrupted in every batch and after every batch, and resumed each time; then `up` once more.
 *
 * @returns number of interruptions
 * @throws {BackfillTestError} `NOT_RESUMED` if the result differs from the baseline, `NOT_VERIFIED`
 */
export async function requireResumption(
  subject: Subject,
  seed: string,
  path: string,
  { before, after, ledger }: Baseline,
  injector: FaultInjector,
): Promise<number> {
  const { step } = subject;
  const insist = async (expected: StoreContents, ...when: [expected: string, found: string]) =>
    await requireSame('NOT_RESUMED', step, expected, path, when);
  copyStore(seed, path);
  const ups = await interruptEach(subject, path, 'up', injector);
  await insist(after, UNINTERRUPTED, 'after one that was interrupted and resumed');
  requireOnce(ledger, await readLedger(path, subject));
  const [verification] = await verify(runOptions(subject, path));
  requireVerified(verification, 'after an `up` that was interrupted and resumed');

  const downs = await interruptEach(subject, path, 'down', injector);
  await insist(before, 'in the seed', 'after a `down` that was interrupted and resumed');
  await runUp(subject, path);
  await insist(after, UNINTERRUPTED, 'after one that follows such a `down`');
  return ups + downs;
}

/** Interrupts a run in its first batch, after it, in the next one, and so on, until no batch is left. */
async function interruptEach(
  subject: Subject,
  path: string,
  direction: Interruption['direction'],
  injector: FaultInjector,
): Promise<number> {
  for (let count = 0; ; count += 1) {
    const at = count % 2 === 0 ? 'in a batch' : 'after a batch';
    const before = await readContents(path, subject.step);
    if ((await injector.run(path, { direction, at })) === 'done') return count;
    if (at === 'in a batch')
      await requireSame('NOT_RESUMED', subject.step, before, path, [
        'before a batch',
        'after it was interrupted',
      ]);
    if (direction === 'down' && !(await readLedger(path, subject)).isStarted) return count + 1;
  }
}

/** Checks that, by the ledger, the interrupted run filled and skipped the same cells as the uninterrupted one, each once. */
function requireOnce(uninterrupted: LedgerState, { cells, skips, rowsScanned }: LedgerState): void {
  const batches = new Map<string, number>();
  for (const { key, column, batch } of cells) {
    const cell = cellId(key, column);
    const earlier = batches.get(cell);
    if (earlier !== undefined) {
      const message = `${cellName(key, column)} was filled twice, by batch ${earlier} and by batch ${batch}`;
      throw new BackfillTestError('NOT_RESUMED', message, { key, column });
    }
    batches.set(cell, batch);
  }
  const lost = uninterrupted.cells.find(({ key, column }) => !batches.has(cellId(key, column)));
  if (lost) {
    const message = `${cellName(lost.key, lost.column)} was filled, but is missing from the ledger if the run is interrupted`;
    throw new BackfillTestError('NOT_RESUMED', message, lost);
  }
  for (const [i, skip] of uninterrupted.skips.entries()) {
    const other = skips[i];
    if (other?.key === skip.key && other.target === skip.target && other.reason === skip.reason) continue;
    const message = `${cellName(skip.key, skip.target)} is skipped for ${skip.reason}, but not if the run is interrupted`;
    throw new BackfillTestError('NOT_RESUMED', message, { key: skip.key });
  }
  if (rowsScanned === uninterrupted.rowsScanned) return;
  throw new BackfillTestError(
    'NOT_RESUMED',
    `An uninterrupted \`up\` reads ${uninterrupted.rowsScanned} rows, an interrupted one ${rowsScanned}`,
  );
}
