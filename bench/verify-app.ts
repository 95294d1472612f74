import backfill from '../backfills/v021-2-decision-fields.js';
import columns from '../migrations/v021-1-decision-columns.js';
import { createMigrator } from '../src/index.js';
import { BACKFILL, SCHEMA } from './logged.js';

// Verifies a filled store, with a second session if it is at least of the given size. Prints the seconds.

const [database = '', parallelMinBytes] = process.argv.slice(2);
const migrator = createMigrator({
  database,
  parallelMinBytes: Number(parallelMinBytes),
  steps: { [SCHEMA]: columns, [BACKFILL]: backfill },
});
const startedAt = performance.now();
await migrator.verify();
console.log(JSON.stringify({ seconds: (performance.now() - startedAt) / 1000 }));
