import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PROCESS_FAILED, takeThrown } from '../engine/process.js';
import { BackfillError } from '../errors.js';
import type { BackfillSkips } from '../index.js';
import { messageOf, thrownText } from '../thrown.js';
import { type Baseline, requireRoundTrip } from './baseline.js';
import { isData, killing } from './children.js';
import { requireCatchUp } from './concurrent-writes.js';
import { BackfillTestError } from './failure.js';
import { type FaultInjector, throwing } from './fault-injector.js';
import { requireResumption } from './interrupted.js';
import { readOptions, type Subject, type TestBackfillOptions } from './options.js';
import { requirePreserved } from './preserved.js';
import { makeStore } from './seed.js';

/** What was tested, in counts: a test that insists on them notices when its rows test less than they did. */
export interface TestBackfillResult {
  /** Name of the step; `backfill` where it stands in the test. */
  readonly backfill: string;
  /** Rows that the backfill's scope holds. */
  readonly rowsInScope: number;
  /** Cells that `up` fills. */
  readonly cellsFilled: number;
  /** What it leaves alone, by key, with the reason. */
  readonly skips: BackfillSkips['skips'];
  /** Batches of an uninterrupted `up`. */
  readonly batches: number;
  /** How often `up` and `down` were interrupted. */
  readonly interruptions: number;
  /** How: by SIGKILL, or by an exception where the definition stands in the test and holds functions. */
  readonly interruptedBy: 'SIGKILL' | 'exception';
  /** Cells that were compared with `expected`. */
  readonly expectedCells: number;
  /** Rows that were written while `up` ran. */
  readonly concurrentRows: number;
  /** Values of the application's own that were put into the columns, before `up` and after it. */
  readonly valuesKept: number;
}

/**
 * Tests a backfill on a real SQLite file, in a temporary folder: fills, verifies and takes back; interrupts `up` and `down` in every batch
 * and behind every batch, by SIGKILL, and resumes them; writes rows while it runs, and values of the application's own. Each state is
 * compared with what it has to be, cell by cell.
 *
 * It does so in some seconds for a few dozen rows, and needs no test framework: it resolves, or rejects.
 *
 * @param options see {@link FileTestOptions}, and {@link InlineTestOptions} for a definition that stands in the test
 * @returns what was tested
 * @throws {BackfillTestError} the first difference that was found, with its key and column
 * @throws {BackfillError} `USAGE` for an option that is missing, unknown or of the wrong kind; `STEP_INVALID`, `KEY_UNSUITABLE`, `COLUMN_MISSING`,
 *   `PROCESS_FAILED`, and the other codes of `up` for a backfill that can not be run at all
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

/** An error of this package with the message of what caused it: an error of the project's own code, or of the database. */
function withItsCause(error: unknown): unknown {
  let cause = error;
  while (cause instanceof BackfillError) cause = cause.cause;
  if (!(error instanceof BackfillError) || cause === undefined) return error;
  return new BackfillError(error.code, `${error.message}: ${messageOf(cause)}`, error.hint, { cause: error });
}

async function testIn(folder: string, subject: Subject): Promise<TestBackfillResult> {
  const [seed, ...paths] = ['seed', 'whole', 'interrupted', 'meanwhile', 'standing'].map((name) =>
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
      batches: ledger.batches.length,
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

/** Up to ten rows on which `process` throws are exceptions to a run; when they are all there are, nothing was tested. */
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
