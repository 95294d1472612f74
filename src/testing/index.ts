import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isData } from '../child-process.js';
import { PROCESS_FAILED, takeThrown } from '../engine/process.js';
import { BackfillError } from '../errors.js';
import type { BackfillSkips } from '../index.js';
import { msg } from '../messages/message.js';
import { messageOf, thrownText } from '../thrown.js';
import { requireCatchUp, requirePreserved } from './application-writes.js';
import { type Baseline, requireRoundTrip } from './baseline.js';
import { BackfillTestError } from './failure.js';
import { type FaultInjector, killing, throwing } from './fault-injector.js';
import { requireResumption } from './interrupted.js';
import { readOptions, type Subject, type TestBackfillOptions } from './options.js';
import { makeStore } from './store.js';

export { type BackfillTestCode, BackfillTestError } from './failure.js';
export type {
  FileTestOptions,
  InlineTestOptions,
  SeedOptions,
  TestBackfillOptions,
  TestRow,
} from './options.js';

/** Statistics of a test. Assert on them to notice if `rows` test less than before. */
export interface TestBackfillResult {
  /** Name of the step; `backfill` if it is defined in the test. */
  readonly backfill: string;
  /** Rows in the backfill's scope. */
  readonly rowsInScope: number;
  /** Cells that `up` fills. */
  readonly cellsFilled: number;
  /** Skips, by key. */
  readonly skips: BackfillSkips['skips'];
  /** Batches of an uninterrupted `up`. */
  readonly batches: number;
  /** Interruptions of `up` and `down`. */
  readonly interruptions: number;
  /** The means of interruption; `exception` if the definition is in the test and has functions. */
  readonly interruptedBy: 'SIGKILL' | 'exception';
  /** Cells that were compared with `expected`. */
  readonly expectedCells: number;
  /** Rows that were written while `up` ran. */
  readonly concurrentRows: number;
  /** Values that were written as the application, before `up` and after it. */
  readonly valuesKept: number;
}

/**
 * Tests a backfill on a real SQLite file in a temporary folder. Fills, verifies and reverts; interrupts `up` and `down` in every batch and
 * after every batch, by SIGKILL, and resumes them; writes rows during the run, and values into columns as the application. Compares each
 * state with the expected one, cell by cell.
 *
 * Takes a few seconds for a few dozen rows. Works with any test framework: it resolves or rejects.
 *
 * @param options see {@link FileTestOptions}, and {@link InlineTestOptions} for a definition in the test
 * @throws {BackfillTestError} for the first difference, with its key and column
 * @throws {BackfillError} `USAGE` for an option that is missing, unknown or of the wrong type; `STEP_INVALID`, `KEY_UNSUITABLE`,
 *   `COLUMN_MISSING`, `PROCESS_FAILED` and the other codes of `up` if the backfill cannot run at all
 *
 * @example
 * await testBackfill({
 *   file: 'backfills/002-order-times.js',
 *   schema: 'CREATE TABLE events (id INTEGER PRIMARY KEY, kind TEXT, body TEXT, created_at TEXT, ordered_at TEXT)',
 *   rows: [
 *     { kind: 'order', body: '{"ts":"2026-01-20T10:00:00Z"}', created_at: '2026-01-21' },
 *     { kind: 'order', body: 'not JSON' },
 *   ],
 *   expected: [
 *     { id: 1, ordered_at: '2026-01-20T10:00:00Z' },
 *     { id: 2, ordered_at: null },
 *   ],
 * });
 */
export async function testBackfill(options: TestBackfillOptions): Promise<TestBackfillResult> {
  try {
    const subject = await readOptions(options);
    const folder = mkdtempSync(join(tmpdir(), 'umzug-backfill-test-'));
    try {
      return await testIn(folder, subject);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  } catch (error) {
    throw options.showValues === false ? error : withItsCause(error);
  }
}

/** Appends the message of the root cause, an error of the project's code or of the database. */
function withItsCause(error: unknown): unknown {
  let cause = error;
  while (cause instanceof BackfillError) cause = cause.cause;
  if (!(error instanceof BackfillError) || cause === undefined) return error;
  const message = msg('{message}: {cause}', { message: error.texts.message, cause: messageOf(cause) });
  return new BackfillError(error.code, message, error.texts.hint, { cause: error });
}

async function testIn(folder: string, subject: Subject): Promise<TestBackfillResult> {
  const [seed, ...paths] = ['seed', 'whole', 'interrupted', 'concurrent', 'preserved'].map((name) =>
    join(folder, `${name}.db`),
  ) as [string, string, string, string, string];
  await makeStore(seed, subject, subject.rows);
  const filled = await requireRoundTrip(subject, seed, paths[0]);
  requireSomeDerived(subject, filled);
  const concurrentRows = await requireCatchUp(subject, seed, paths[2], filled);
  const valuesKept = await requirePreserved(subject, seed, paths[3], filled);
  const injector = injectorOf(subject);
  try {
    const { ledger, rowsInScope, expectedCells } = filled;
    return {
      backfill: subject.step.name,
      rowsInScope,
      cellsFilled: ledger.cells.length,
      skips: ledger.skips,
      batches: ledger.batches,
      interruptions: await requireResumption(subject, seed, paths[1], filled, injector),
      interruptedBy: injector.by,
      expectedCells,
      concurrentRows,
      valuesKept,
    };
  } finally {
    await injector.close();
  }
}

/** Checks that `process` did not throw on all rows in scope: a run tolerates up to ten such rows, and would test nothing. */
function requireSomeDerived(
  { step, showValues }: Subject,
  { ledger: { skips }, rowsInScope }: Baseline,
): void {
  const failed = skips.filter(({ reason }) => reason === PROCESS_FAILED).length;
  if (rowsInScope === 0 || failed < rowsInScope) return;
  const [cause] = takeThrown(step);
  const what = showValues ? `${thrownText(cause)}: ${messageOf(cause)}` : thrownText(cause);
  throw new BackfillTestError(
    'PROCESS_THREW',
    `\`process\` threw on each of the ${rowsInScope} rows in scope (${what})`,
  );
}

const injectorOf = (subject: Subject): FaultInjector =>
  subject.file !== undefined || isData(subject.step) ? killing(subject) : throwing(subject);
