import { expect } from 'chai';
import type { BackfillError } from '../../src/index.js';
import { changedCells } from './compare-fill.js';
import { type Ledger, ledgeredCells } from './ledger.js';
import * as command from './migrate.js';
import { codeOf, type Extra, name as NAME, only, stoppedAfter } from './migrate.js';

import type { Cells } from './reference.js';
import type { Audit } from './stores.js';
import type { TestStore, TestStoreOptions } from './test-store.js';

// Runs that are stopped, gone on with and run again, and all that they leave behind.

/** Many rare payloads, so that batches begin and end at rows that are skipped, too. */
export const smallStore: TestStoreOptions = { audits: 60, rareShare: 0.3 };
const batchRows = 7;
/** Batches of seven rows, and no backup. */
export const options: Extra = { batchRows, backup: false };

/** Supervisor events with these keys or, for null, with the next ones. */
export const written = (...keys: readonly (number | bigint | null)[]): Audit[] =>
  keys.map((key) => ({ key, payload: '{"source_ts":"s"}', createdAt: '2026-02-01 10:00:00' }));

/** What such an event's columns become. */
export const writtenCells: Cells = ['s', '2026-02-01 10:00:00'];

const COUNTS = ['rowsScanned', 'cellsFilled', 'cellsSkipped'] as const;
const BATCH = ['run', 'firstKey', 'lastKey', 'skips', ...COUNTS] as const;
const RUN = [
  ...(['run', 'kind', 'status', 'startKey', 'watermark', 'cursor', 'foundCells', 'batches'] as const),
  ...COUNTS,
] as const;

/** All that runs leave in the ledger, but for the clock. Batches have places: PostgreSQL leaves numbers out. */
function lastingOf(ledger: Ledger) {
  const skips = ledger.skipsByBatch(NAME);
  return {
    batches: ledger.batches(NAME).map(({ number, ...batch }, place) => ({
      ...picked(batch, BATCH),
      place,
      skipped: skips.get(number) ?? 0,
    })),
    runs: ledger
      .runs(NAME)
      .map(({ filledAt, ...run }) => ({ ...picked(run, RUN), hasEnded: filledAt !== null })),
    cells: ledgeredCells(ledger, NAME),
    skips: ledger.skips(NAME),
    status: ledger.step(NAME)?.status,
  };
}

const picked = <Row, Name extends keyof Row>(row: Row, names: readonly Name[]): Pick<Row, Name> =>
  Object.fromEntries(names.map((name) => [name, row[name]])) as Pick<Row, Name>;

/** What is there behind a run: the ledger, and what the columns hold. */
export interface Left {
  readonly ledger: ReturnType<typeof lastingOf>;
  readonly cells: Map<string, Cells>;
}

export const leftIn = async (store: TestStore): Promise<Left> => ({
  ledger: lastingOf(await store.ledger()),
  cells: await store.cells(),
});

/** Both steps applied. */
export async function filled(store: TestStore, extra: Extra = {}): Promise<Left> {
  const outcome = await command.up(store, { ...options, ...extra });
  expect(codeOf(outcome), outcome.error?.message).to.equal(undefined);
  return await leftIn(store);
}

/** Both steps by a run that is stopped on the way: what it is stopped by, and what it leaves behind. */
export async function stopped(
  store: TestStore,
  extra: Extra,
): Promise<Left & { readonly error: BackfillError | undefined }> {
  const { error } = await command.up(store, { ...options, ...extra });
  return { error, ...(await leftIn(store)) };
}

/** A catch-up: whether there was anything to do, whether rows waited before and wait then. */
export async function caughtUp(
  store: TestStore,
): Promise<Left & { readonly hasRun: boolean; readonly waited: readonly unknown[] }> {
  const waits = async () => (await command.backfillStatus(store)).isWaiting;
  const before = await waits();
  const outcome = await command.catchUp(store, options);
  expect(codeOf(outcome), outcome.error?.message).to.equal(undefined);
  const waited = [before, await waits()];
  return { hasRun: outcome.ran.includes(NAME), waited, ...(await leftIn(store)) };
}

/** A rescan. */
export async function rescanned(store: TestStore): Promise<Left> {
  const outcome = await command.rescan(store, options);
  expect(codeOf(outcome), outcome.error?.message).to.equal(undefined);
  return await leftIn(store);
}

/** What takes the backfill back has counted. */
export async function emptied(store: TestStore): Promise<object> {
  const outcome = await command.down(store, {}, options);
  expect(codeOf(outcome), outcome.error?.message).to.equal(undefined);
  const { backfill: _, ...counts } = only(outcome.cells);
  return counts;
}

/** Begins to take the backfill back, is stopped after k batches, and says what is left. */
export async function stoppedEmptying(store: TestStore, k: number): Promise<Left> {
  const outcome = await command.down(store, {}, { ...options, ...stoppedAfter(k, 'batch_reverted') });
  expect(codeOf(outcome), outcome.error?.message).to.equal('TERMINATED');
  return await leftIn(store);
}

/** Insists that each cell that differs stands in the ledger once, and no other. */
export function expectOnce({ ledger, cells }: Left, before: ReadonlyMap<string, Cells>): void {
  expect(new Set(ledger.cells).size, 'each cell once').to.equal(ledger.cells.length);
  expect([...ledger.cells].sort()).to.deep.equal(changedCells(before, cells));
}
