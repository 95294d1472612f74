import { Umzug } from 'umzug';
import { ledgerStorage } from 'umzug-backfill';
import { db } from './database.js';

const umzug = new Umzug({
  migrations: { glob: ['migrations/*.js', { cwd: import.meta.dirname }] },
  context: db,
  storage: ledgerStorage(db),
  logger: console,
});

await umzug.runAsCLI();
