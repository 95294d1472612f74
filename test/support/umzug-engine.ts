import { Sequelize } from 'sequelize';
import { SequelizeStorage, Umzug } from 'umzug';
import { type BackfillError, backfillStep } from '../../src/index.js';
import { postgresEngine } from './engine-postgres.js';
import type { TestEngine } from './engine-sqlite.js';
import type { Extra, UpOutcome } from './project.js';
import { backfillStep as declared, schemaStep } from './stores.js';

// Stores of PostgreSQL whose `up` is that of an Umzug with Sequelize's storage, as most projects with umzug have it: the columns come with
// a migration of its own, the backfill with a step of ours. Every other command is that of our command line, on the same ledger.

/** Schema of SequelizeMeta: a store is compared without it. */
const SCHEMA = 'sequelize';

const columns = schemaStep.columns.map(({ name }) => `ADD COLUMN IF NOT EXISTS ${name} text`);
const indexes = schemaStep.indexes.map(
  ({ name, columns: on, where }) =>
    `CREATE INDEX IF NOT EXISTS ${name} ON task_audits (${on.join(', ')}) WHERE ${where}`,
);
const SCHEMA_CHANGE = [`ALTER TABLE task_audits ${columns.join(', ')}`, ...indexes].join('; ');

async function up(url: string, extra: Extra): Promise<UpOutcome> {
  const sequelize = new Sequelize(url, { logging: false });
  const done = { caughtUp: [], recreated: [], deferred: [], joined: [], valuesLeft: [] };
  const outcome = (applied: readonly string[]) =>
    ({ ...done, applied, verifications: [], warnings: [], drifts: [] }) as unknown as UpOutcome;
  try {
    await sequelize.query(`CREATE SCHEMA IF NOT EXISTS ${SCHEMA}`);
    const umzug = new Umzug({
      context: sequelize,
      storage: new SequelizeStorage({ sequelize, schema: SCHEMA }),
      logger: undefined,
      migrations: [
        { name: schemaStep.name, up: async ({ context }) => await context.query(SCHEMA_CHANGE) },
        backfillStep({
          name: declared.name,
          database: sequelize,
          backfill: declared,
          batchRows: 10,
          pace: 'full',
          ...extra,
        }),
      ],
    });
    return outcome((await umzug.up()).map(({ name }) => name));
  } catch (error) {
    return { ...outcome([]), error: (error as Error).cause as BackfillError };
  } finally {
    await sequelize.close();
  }
}

/** Such stores. */
export const umzugEngine: TestEngine = {
  ...postgresEngine,
  title: 'PostgreSQL, in an Umzug with SequelizeStorage',
  withStore: (options, act) =>
    postgresEngine.withStore(options, async (store) => {
      await store.query(`DROP SCHEMA IF EXISTS ${SCHEMA} CASCADE`);
      const { path } = store.address;
      return await act({ ...store, up: async (extra) => await up(path, extra) });
    }),
};
