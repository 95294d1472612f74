import { Umzug } from 'umzug';
import { ledgerStorage } from 'umzug-backfill';
import { db } from './database.js';

const storage = ledgerStorage(db);
const umzug = storage.attach(
  new Umzug({
    migrations: { glob: ['migrations/*.js', { cwd: import.meta.dirname }] },
    context: db,
    storage,
    logger: console,
  }),
);

await umzug.runAsCLI();
