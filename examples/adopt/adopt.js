import { importExecuted, ledgerStorage } from 'umzug-backfill';
import { db } from './database.js';

// Once for each store, before the first `node migrate.js`. Again it changes nothing.
const { imported, present } = await importExecuted({
  from: { table: 'SequelizeMeta' },
  to: ledgerStorage(db),
  dryRun: process.argv.includes('--dry-run'),
});
console.log({ imported, present });
