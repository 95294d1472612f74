import { Umzug } from 'umzug';
import { db } from './database.js';
import { sequelizeMeta } from './sequelize-meta.js';

const umzug = new Umzug({
  migrations: { glob: ['migrations/00[12]-*.js', { cwd: import.meta.dirname }] },
  context: db,
  storage: sequelizeMeta(db),
  logger: console,
});

await umzug.runAsCLI();
