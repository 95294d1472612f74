import { expect } from 'chai';
import type { RunOptions } from '../../src/backfill/run-options.js';
import { applyBackfillStep, catchUp, isWaiting, runAgain } from '../../src/backfill/runner.js';
import { applySchemaStep } from '../../src/schema/run.js';
import { changedCells, fill } from './compare-fill.js';
import type { Cells } from './reference.js';
import { failure } from './run-up.js';
import { type Audit, backfillStep, ledgeredCells, schemaStep } from './stores.js';
import type { Opened, TestStore, TestStoreOptions } from './test-store.js';

// Runs that are stopped, gone on with and run again, and all that they leave behind.

const NAME = backfillStep.name;

/** Many rare payloads, so that batches begin and end at rows that are skipped, too. */
export const smallStore: TestStoreOptions = { audits: 60, rareShare: 0.3 };
export const batchRows = 7;

/** Supervisor events with these keys or, for null, with the next ones. */
export const written = (...keys: readonly (number | bigint | null)[]): Audit[] =>
  keys.map((key) => ({ key, payload: '{"source_ts":"s"}', createdAt: '2026-02-01 10:00:00' }));

/** What such an event's columns become. */
export const writtenCells: Cells = ['s', '2026-02-01 10:00:00'];

/** All that runs leave in the ledger, but for the clock. Batches have places: PostgreSQL leaves numbers out. */
export function ledgerOf({ ledger }: Opened) {
  const batches = ledger.batches(NAME);
  const skips = ledger.skipsByBatch(NAME);
  return {
    batches: batches.map(({ durationMs: _, number, ...batch }, place) => ({
      ...batch,
      place,
      skipped: skips.get(number) ?? 0,
    })),
    runs: ledger
      .runs(NAME)
      .map(({ startedAt: _, filledAt, ...run }) => ({ ...run, hasEnded: filledAt !== null })),
    cells: ledgeredCells(ledger),
    skips: ledger.skips(NAME),
    status: ledger.step(NAME)?.status,
  };
}

/** What is there behind a run: the ledger, and what the columns hold. */
export interface Outcome {
  readonly ledger: ReturnType<typeof ledgerOf>;
  readonly cells: Map<string, Cells>;
}

/** Both steps applied, by a process of its own. */
export const filled = async (store: TestStore, run: RunOptions = { batchRows }): Promise<Outcome> => ({
  ledger: await fill(store, ledgerOf, run),
  cells: await store.cells(),
});

/** Both steps by a process that is stopped on the way: what it is stopped by, and what it leaves behind. */
export async function stopped(
  store: TestStore,
  run: RunOptions,
): Promise<Outcome & { readonly error: unknown }> {
  const found = await store.opened(async (opened) => {
    applySchemaStep(opened.store, opened.ledger, schemaStep);
    const error = await failure(() =>
      applyBackfillStep(opened.store, opened.ledger, backfillStep, { pace: 'full', ...run }),
    );
    return { error, ledger: ledgerOf(opened) };
  });
  return { ...found, cells: await store.cells() };
}

/** A catch-up by a process of its own: whether there was anything to do, whether rows waited before and wait then. */
export async function caughtUp(
  store: TestStore,
  run: RunOptions = {},
): Promise<Outcome & { readonly hasRun: boolean; readonly waited: readonly [boolean, boolean] }> {
  const found = await store.opened(async (opened) => {
    const waits = (): boolean => isWaiting(opened.store, opened.ledger, backfillStep);
    const before = waits();
    const hasRun = await catchUp(opened.store, opened.ledger, backfillStep, {
      batchRows,
      pace: 'full',
      ...run,
    });
    return { hasRun, waited: [before, waits()] as const, ledger: ledgerOf(opened) };
  });
  return { ...found, cells: await store.cells() };
}

/** A rescan by a process of its own. */
export const rescanned = async (store: TestStore): Promise<Outcome> => ({
  ledger: await store.opened(async (opened) => {
    await runAgain(opened.store, opened.ledger, backfillStep, 'rescan', { batchRows, pace: 'full' });
    return ledgerOf(opened);
  }),
  cells: await store.cells(),
});

/** Insists that each cell that differs stands in the ledger once, and no other. */
export function expectOnce({ ledger, cells }: Outcome, before: ReadonlyMap<string, Cells>): void {
  expect(new Set(ledger.cells).size, 'each cell once').to.equal(ledger.cells.length);
  expect([...ledger.cells].sort()).to.deep.equal(changedCells(before, cells));
}
