import { expect } from 'chai';
import { createMigrator, defineBackfill } from '../../src/index.js';
import { failureOf } from './stores.js';

/** Rows of several pages. */
export const PAGED_ROWS = 9000;

/**
 * Fills `notes` (id, a), of {@link PAGED_ROWS} rows, verifies all of it, and once more with a signal that comes while the first page is
 * derived: no second one is.
 */
export async function expectStopBetweenPages(database: string): Promise<void> {
  let asked: (() => void) | undefined;
  let pages = 0;
  const notes = defineBackfill({
    table: 'notes',
    key: 'id',
    reads: [],
    columns: ['a'],
    process: (rows) => {
      asked?.();
      return rows.map(() => ({ a: 'x' }));
    },
  });
  const settings = { database, steps: { '001-notes': notes }, backup: false } as const;
  await createMigrator(settings).up();
  const [whole] = await createMigrator(settings).verify();
  const coverage = whole?.checks.find(({ id }) => id === 'coverage');
  expect(coverage?.stats).to.include({ rowsInScope: PAGED_ROWS });
  const stopper = new AbortController();
  asked = () => {
    pages += 1;
    stopper.abort('SIGTERM');
  };
  const migrator = createMigrator({ ...settings, signal: stopper.signal });
  await failureOf('TERMINATED', () => migrator.verify());
  expect(pages).to.equal(1);
}
