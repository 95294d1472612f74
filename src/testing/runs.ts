import { flatMapEach } from '../each.js';
import type { BackfillSkips, Verification } from '../index.js';
import type { Key } from '../ledger/keys.js';
import { openLedger } from '../ledger/ledger.js';
import { down } from '../migrate/down.js';
import type { MigratorOptions } from '../migrate/options.js';
import { up } from '../migrate/up.js';
import { withReadOnly } from './contents.js';
import { BackfillTestError } from './failure.js';
import type { Subject } from './options.js';
import { runOptions } from './seed.js';

/** Runs `up`. Does not throw if its verification fails: the filled cells are compared first, then {@link requireVerified} throws. */
export async function runUp(
  subject: Subject,
  path: string,
  onEvent?: MigratorOptions['onEvent'],
): Promise<Verification | undefined> {
  const { error, verifications } = await up({ ...runOptions(subject, path), onEvent });
  if (error && error.code !== 'VERIFICATION_FAILED') throw error;
  return verifications.at(-1);
}

/** Reverts the backfill. */
export async function runDown(subject: Subject, path: string): Promise<void> {
  const { error } = await down(runOptions(subject, path), { migrations: [subject.step.name] });
  if (error) throw error;
}

/**
 * Checks that a verification has not failed.
 *
 * @param when phrase for its time, for the message
 * @throws {BackfillTestError} `NOT_VERIFIED`
 */
export function requireVerified(verification: Verification | undefined, when: string): void {
  const failed = verification?.checks.find(({ verdict }) => verdict === 'fail');
  const finding = failed?.findings.find(({ verdict }) => verdict === 'fail');
  if (!failed) return;
  const [key] = finding?.sampleKeys ?? [];
  throw new BackfillTestError(
    'NOT_VERIFIED',
    `The check ${failed.title} fails ${when}: ${finding?.text ?? failed.id}${key === undefined ? '' : `, the first of them row ${key}`}`,
    { key },
  );
}

/** Records of a backfill in the ledger. */
export interface LedgerState {
  /** Numbers of the batches, first to last. */
  readonly batches: readonly number[];
  readonly rowsScanned: number;
  /** Filled cells with their batch; one that was filled twice is listed twice. */
  readonly cells: readonly { readonly key: Key; readonly column: string; readonly batch: number }[];
  readonly skips: BackfillSkips['skips'];
  /** Whether the backfill is in the ledger. */
  readonly isStarted: boolean;
}

/** Reads the records of a backfill from the ledger. */
export const readLedger = async (path: string, { step: { name } }: Subject): Promise<LedgerState> =>
  await withReadOnly(path, async (store) => {
    const ledger = openLedger(store);
    const batches = await ledger.batches(name);
    return {
      batches: batches.map(({ number }) => number),
      rowsScanned: batches.reduce((sum, batch) => sum + batch.rowsScanned, 0),
      cells: await flatMapEach(batches, async ({ number: batch }) =>
        (await ledger.cells(name, batch)).flatMap(({ columns, runs }) =>
          runs.flatMap(keysOf).flatMap((key) => columns.map((column) => ({ key, column, batch }))),
        ),
      ),
      skips: await ledger.skips(name),
      isStarted: (await ledger.step(name)) !== undefined,
    };
  });

function keysOf([first, last]: readonly [Key, Key]): Key[] {
  if (typeof first === 'string' || typeof last === 'string') return [first];
  return Array.from({ length: Number(last - first) + 1 }, (_, i) => first + BigInt(i));
}
