import { expect } from 'chai';
import type { BackfillError } from '../../src/index.js';
import { changedCells } from './compare-fill.js';
import type { TestStore, TestStoreOptions } from './engine-sqlite.js';
import { type Ledger, ledgeredCells } from './ledger.js';
import {
  backfillStatus,
  catchUp,
  codeOf,
  down,
  type Extra,
  name as NAME,
  only,
  rescan,
  stoppedAfter,
  up,
} from './migrate.js';
import type { Outcome } from './project.js';
import type { Cells } from './reference.js';
import type { Audit } from './stores.js';

// Runs that are stopped, gone on with and run again, and all that they leave behind.

/** Many rare payloads, so that batches begin and end at rows that are skipped, too. */
export const smallStore: TestStoreOptions = { audits: 60, rareShare: 0.3 };
/** Batches of seven rows, and no backup. */
export const options: Extra = { batchRows: 7, backup: false };

/** Supervisor events with these keys or, for null, with the next ones. */
export const written = (...keys: readonly (number | bigint | null)[]): Audit[] =>
  keys.map((key) => ({ key, payload: '{"source_ts":"s"}', createdAt: '2026-02-01 10:00:00' }));

/** What such an event's columns become. */
export const writtenCells: Cells = ['s', '2026-02-01 10:00:00'];

/** All that runs leave in the ledger, but for the clock. Batches have places: PostgreSQL leaves numbers out. */
function lastingOf(ledger: Ledger) {
  const skips = ledger.skipsByBatch(NAME);
  return {
    batches: ledger.batches(NAME).map((batch, place) => ({
      ...picked(batch, 'run', 'firstKey', 'lastKey', 'skips', 'rowsScanned', 'cellsFilled', 'cellsSkipped'),
      place,
      skipped: skips.get(batch.number) ?? 0,
    })),
    runs: ledger.runs(NAME).map((run) => ({
      ...picked(run, 'run', 'kind', 'status', 'startKey', 'watermark', 'cursor', 'prefilledCells', 'batches'),
      ...picked(run, 'rowsScanned', 'cellsFilled', 'cellsSkipped'),
      hasEnded: run.filledAt !== null,
    })),
    cells: ledgeredCells(ledger, NAME),
    skips: ledger.skips(NAME),
    status: ledger.step(NAME)?.status,
  };
}

const picked = <Row, Name extends keyof Row>(row: Row, ...names: readonly Name[]): Pick<Row, Name> =>
  Object.fromEntries(names.map((name) => [name, row[name]])) as Pick<Row, Name>;

/** What is there behind a run: the ledger, and what the columns hold. */
export const leftIn = async (store: TestStore) => ({
  ledger: lastingOf(await store.ledger()),
  cells: await store.cells(),
});
export type Left = Awaited<ReturnType<typeof leftIn>>;

/** Waits for a command that must end well, or with this code. */
async function ended<Result extends Outcome>(command: Promise<Result>, code?: string): Promise<Result> {
  const outcome = await command;
  expect(codeOf(outcome), outcome.error?.message).to.equal(code);
  return outcome;
}

/** Both steps applied. */
export async function filled(store: TestStore, extra: Extra = {}): Promise<Left> {
  await ended(up(store, { ...options, ...extra }));
  return await leftIn(store);
}

/** Both steps by a run that is stopped on the way: what it is stopped by, and what it leaves behind. */
export async function stopped(store: TestStore, extra: Extra) {
  // One that is stopped before it is connected has nothing else to tell.
  const { error } = await up(store, { ...options, ...extra }).catch((thrown: BackfillError) => ({
    error: thrown,
  }));
  return { error, ...(await leftIn(store)) };
}

/** A catch-up: whether there was anything to do, whether rows waited before and wait then. */
export async function caughtUp(store: TestStore) {
  const before = (await backfillStatus(store)).needsCatchUp;
  const { ran } = await ended(catchUp(store, options));
  const waited = [before, (await backfillStatus(store)).needsCatchUp];
  return { hasRun: ran.includes(NAME), waited, ...(await leftIn(store)) };
}

/** A rescan. */
export async function rescanned(store: TestStore): Promise<Left> {
  await ended(rescan(store, options));
  return await leftIn(store);
}

/** What takes the backfill back has counted. */
export async function emptied(store: TestStore): Promise<object> {
  const { backfill: _, ...counts } = only((await ended(down(store, {}, options))).cells);
  return counts;
}

/** Begins to take the backfill back, is stopped after k batches, and says what is left. */
export async function stoppedEmptying(store: TestStore, k: number): Promise<Left> {
  await ended(down(store, {}, { ...options, ...stoppedAfter(k, 'batch_reverted') }), 'TERMINATED');
  return await leftIn(store);
}

/** Insists that each cell that differs stands in the ledger once, and no other. */
export function expectOnce({ ledger, cells }: Left, before: ReadonlyMap<string, Cells>): void {
  expect(new Set(ledger.cells).size, 'each cell once').to.equal(ledger.cells.length);
  expect([...ledger.cells].sort()).to.deep.equal(changedCells(before, cells));
}
