import { setTimeout as sleep } from 'node:timers/promises';
import type { Store } from '../db/connection.js';
import { explained } from '../engine/expressions.js';
import { type PlannedScope, type SampleRow, sampleRows } from '../engine/planned.js';
import { scanRows } from '../engine/scan.js';
import { BackfillError } from '../errors.js';
import type { Ledger } from '../ledger/ledger.js';
import type { Backfill } from '../steps/define.js';

/** Rows that `process` is asked for twice. */
const ROWS = 16;

/** Time between the two, in milliseconds: a clock has moved on by then. */
const PAUSE_MS = 2;

/**
 * Asks `process` twice for the first rows that a run would fill, before it fills any: values that depend on the time, on chance or
 * on earlier calls can neither be verified nor taken back.
 *
 * @throws {BackfillError} `NOT_DETERMINISTIC` naming the column and the row's key
 */
export async function requireSteadiness(
  store: Store,
  backfill: Backfill,
  scope: PlannedScope,
): Promise<void> {
  if (!backfill.process) return;
  const first = await explained(store, backfill, async () => await sampleRows(store, backfill, scope, ROWS));
  if (first.length === 0) return;
  await sleep(PAUSE_MS);
  const keys = first.map(({ key }) => key);
  const second = new Map(
    (await sampleRows(store, backfill, { ...scope, keys }, ROWS)).map((row) => [row.key, row]),
  );
  for (const row of first) {
    const column = otherColumn(backfill, row, second.get(row.key));
    if (column === undefined) continue;
    throw new BackfillError(
      'NOT_DETERMINISTIC',
      `\`process\` of ${backfill.name} gave another value of ${column} when it was asked again for the row with key ${row.key}`,
      'Let it derive values from the row alone, not from the time, chance or earlier calls, then run the same command again; it has filled nothing',
    );
  }
}

/** A column of which another value was derived; none where the row is gone meanwhile. */
const otherColumn = (
  { columns }: Backfill,
  { values }: SampleRow,
  again: SampleRow | undefined,
): string | undefined =>
  again && columns.find((_, i) => !isSame(values[i] ?? null, again.values[i] ?? null))?.name;

const isSame = (a: unknown, b: unknown): boolean =>
  a instanceof Uint8Array && b instanceof Uint8Array ? Buffer.compare(a, b) === 0 : a === b;

/** State of a cell that holds another value than its row derives: see `ScanRow`. */
const OTHER = 3;

/**
 * Looks whether a batch's first rows derive the same once they are filled: a value that depends on what it fills can neither be verified
 * nor taken back. Inside the batch's transaction, which is rolled back when it throws.
 *
 * @throws {BackfillError} `NOT_DETERMINISTIC` naming the column
 */
export async function requireFixedPoint(
  store: Store,
  ledger: Ledger,
  backfill: Backfill,
  batch: number,
): Promise<void> {
  const rowsOf = await scanRows(store, { ...backfill, scope: 'true', checks: {} });
  for (const { columns, runs } of await ledger.cells(backfill.name, batch)) {
    const [first] = runs[0] ?? [];
    if (first === undefined) continue;
    for await (const [row] of rowsOf([first, first])) {
      const [, state] = row ?? [];
      if (state === undefined) continue;
      const column = columns.find((name) => {
        const at = backfill.columns.findIndex((declared) => declared.name === name);
        return ((state >> (2 * at)) & 3) === OTHER;
      });
      if (column === undefined) continue;
      throw new BackfillError(
        'NOT_DETERMINISTIC',
        `The value of ${column} that ${backfill.name} derives for the row with key ${first} is another one once the row is filled`,
        'Derive it from columns that the backfill does not fill, then run the same command again; it has filled nothing of this batch',
      );
    }
  }
}
