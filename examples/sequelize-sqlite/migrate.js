import { SequelizeStorage, Umzug } from 'umzug';
import { sequelize } from './database.js';

const umzug = new Umzug({
  migrations: { glob: ['migrations/*.js', { cwd: import.meta.dirname }] },
  context: sequelize.getQueryInterface(),
  storage: new SequelizeStorage({ sequelize }),
  logger: console,
});

await umzug.runAsCLI();
