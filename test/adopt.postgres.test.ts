import { expect } from 'chai';
import knex from 'knex';
import { before, describe, it } from 'mocha';
import type { Client } from 'pg';
import { Sequelize } from 'sequelize';
import { SequelizeStorage } from 'umzug';
import type { BackfillStepOptions } from '../src/index.js';
import { dumpPgSchema, dumpPgTable } from './support/postgres-dump.js';
import { errorOf } from './support/postgres-events.js';
import { column, needServer, withDatabase } from './support/postgres-server.js';
import { call, name, step, withColumn } from './support/run-adopted.js';
import { api, EVENTS, orderTimes, Umzug } from './support/shop.js';
import { failureOf } from './support/stores.js';

const { createMigrator, importExecuted, ledgerStorage } = api;

/** The shop's table. */
const TABLE = `CREATE TABLE events (id int PRIMARY KEY, kind text, body text, created_at text);
  INSERT INTO events SELECT n, 'order', '{"ts":"2026-01-20T10:00:00Z"}', '2026-01-21' FROM generate_series(1, ${EVENTS}) AS n`;

/** What a test of the shop is given. */
interface Shop {
  readonly url: string;
  /** A connection of another program. */
  readonly client: Client;
  /** Another such connection. */
  readonly connect: () => Promise<Client>;
  readonly sequelize: Sequelize;
  /** How many events have their time. */
  readonly filled: () => Promise<number>;
  readonly ledger: () => Promise<string[]>;
}

const withShop = (act: (shop: Shop) => Promise<void>, sql = ''): Promise<void> =>
  withDatabase(async ({ url, client, connect }) => {
    await client.query(`${TABLE}; ${sql}`);
    const sequelize = new Sequelize(url, { logging: false });
    const count = async (text: string) => await column(client, text);
    try {
      await act({
        ...{ url, client, connect, sequelize },
        filled: async () => Number((await count('SELECT count(ordered_at) FROM events'))[0]),
        ledger: () =>
          count(`SELECT name || ' ' || status FROM umzug_backfill_steps ORDER BY name COLLATE "C"`),
      });
    } finally {
      await sequelize.close();
    }
  });

const hasLedger = async (client: Client): Promise<boolean> =>
  (await column(client, `SELECT to_regclass('umzug_backfill_steps')`))[0] !== 'null';

/** The project's Umzug, with one migration of its own and a backfill of ours. */
function adopted(
  { sequelize }: Shop,
  kind: 'sequelize' | 'attached',
  extra: Partial<BackfillStepOptions> = {},
): Umzug<Sequelize> {
  const inLedger = ledgerStorage(sequelize);
  const umzug = new Umzug<Sequelize>({
    context: sequelize,
    storage: kind === 'sequelize' ? new SequelizeStorage({ sequelize }) : inLedger,
    logger: undefined,
    migrations: [
      {
        name: '001-order-column.js',
        up: async ({ context }) => await context.query(withColumn),
        down: async ({ context }) => await context.query('ALTER TABLE events DROP COLUMN ordered_at'),
      },
      step(sequelize, extra),
    ],
  });
  return kind === 'attached' ? inLedger.attach(umzug) : umzug;
}

const names = (found: readonly { readonly name: string }[]): string[] => found.map((each) => each.name);

describe('an Umzug on PostgreSQL', () => {
  before(function () {
    needServer(this);
  });

  it('fills, verifies and takes back among migrations of Sequelize, and leaves nothing of ours', () =>
    withShop(async (shop) => {
      const { client, filled } = shop;
      const rows = await dumpPgTable(client, 'events');
      const umzug = adopted(shop, 'sequelize');
      expect(names(await umzug.up())).to.deep.equal(['001-order-column.js', name]);
      expect(await filled()).to.equal(EVENTS);
      expect(await column(client, 'SELECT verdict FROM umzug_backfill_verifications')).to.deep.equal([
        'pass',
      ]);
      expect(await column(client, 'SELECT name FROM "SequelizeMeta" ORDER BY 1')).to.have.length(2);
      await client.query(`UPDATE events SET ordered_at = 'mine' WHERE id = 3`);
      await umzug.down();
      expect(
        await column(client, 'SELECT ordered_at FROM events WHERE ordered_at IS NOT NULL'),
      ).to.deep.equal(['mine']);
      expect(await hasLedger(client)).to.equal(false);
      await umzug.down();
      expect(await dumpPgTable(client, 'events')).to.deep.equal(rows);
      expect(JSON.stringify(await dumpPgSchema(client))).not.to.include('umzug_backfill');
    }));

  it('has a stopped or failed backfill pending for `up`, and executed for `down`, in an attached ledger', () =>
    withShop(async (shop) => {
      const { client, filled, url } = shop;
      const rows = await dumpPgTable(client, 'events');
      const stop = new AbortController();
      const spoiled: Promise<unknown>[] = [];
      const unfinished = {
        VERIFICATION_FAILED: {
          onEvent: ({ event }) => {
            if (event === 'batches_finished')
              spoiled.push(client.query('UPDATE events SET ordered_at = NULL WHERE id = 7'));
          },
        },
        TERMINATED: {
          signal: stop.signal,
          onEvent: ({ event }) => {
            if (event === 'batch_committed') stop.abort('SIGTERM');
          },
        },
      } satisfies Record<string, Partial<BackfillStepOptions>>;
      for (const [code, extra] of Object.entries(unfinished)) {
        expect((await errorOf(adopted(shop, 'attached', extra).up())).code).to.equal(code);
        const umzug = adopted(shop, 'attached');
        expect(names(await umzug.pending())).to.deep.equal([name]);
        expect(names(await umzug.executed())).to.deep.equal(['001-order-column.js']);
        if (code === 'TERMINATED') {
          expect(await filled()).to.equal(10);
          expect(names(await umzug.up())).to.deep.equal([name]);
          expect(await filled()).to.equal(EVENTS);
        } else expect(await filled()).to.equal(EVENTS - 1);
        const project = createMigrator({ database: url, steps: { [name]: orderTimes } });
        expect((await project.status()).steps.map((each) => each.name)).to.include(name);
        expect(names(await umzug.down())).to.deep.equal([name]);
        expect(names(await umzug.down())).to.deep.equal(['001-order-column.js']);
        expect(await dumpPgTable(client, 'events')).to.deep.equal(rows);
        expect(await hasLedger(client)).to.equal(false);
      }
      await Promise.all(spoiled);
    }));

  it('is told what holds its rows, or its lock, and does not wait for ever', () =>
    withShop(async (shop) => {
      const other = await shop.connect();
      await other.query('BEGIN; ALTER TABLE events ADD COLUMN late text');
      expect((await errorOf(call(step(shop.sequelize), 'up'))).code).to.equal('STORE_BUSY');
      await other.query('ROLLBACK');

      const migrator = createMigrator({ database: shop.sequelize, steps: { [name]: orderTimes } });
      migrator.on('migrating', async () => {
        const rival = await errorOf(call(step(shop.url, { lockTimeoutMs: 0 }), 'up'));
        expect(rival.code).to.equal('RUN_LOCKED');
      });
      await migrator.up();
      expect(await shop.filled()).to.equal(EVENTS);
      const { hint } = await failureOf('TRIGGERS_WOULD_FIRE', async () => {
        await shop.client.query(`INSERT INTO events VALUES (99, 'order', '{}', '2026-01-21', NULL);
          CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
          CREATE TRIGGER touches BEFORE UPDATE ON events FOR EACH ROW EXECUTE FUNCTION touch()`);
        await call(step(shop.sequelize), 'up');
      });
      expect(hint).to.include('psql STORE -c');
    }, withColumn));

  it('takes over the names in the tables of Sequelize and of knex, in one transaction', () =>
    withShop(async (shop) => {
      const { client, ledger, sequelize, url } = shop;
      const storage = new SequelizeStorage({ sequelize });
      for (const ran of ['001-users.js', '002-orders.js']) await storage.logMigration({ name: ran });
      const own = knex({ client: 'pg', connection: url, pool: { min: 0 } });
      const ran = ['20260101_users.js', '20260102_orders.js'];
      await own.migrate.latest({
        migrationSource: {
          getMigrations: async () => ran,
          getMigrationName: (each: string) => each,
          getMigration: async () => ({ up: async () => undefined, down: async () => undefined }),
        },
      });
      const imported = ['001-users', '002-orders'];
      const from = { table: 'SequelizeMeta' };
      const dry = await importExecuted({ from, to: sequelize, dryRun: true });
      expect(dry).to.deep.equal({ imported, present: [] });
      expect(await hasLedger(client)).to.equal(false);

      const wrong = [
        ['TABLE_MISSING', { table: 'knex_migration' }],
        ['COLUMN_MISSING', { table: 'knex_migrations', column: 'file' }],
        ['IMPORT_REFUSED', { table: 'knex_migrations', column: 'batch' }],
      ] as const;
      for (const [code, source] of wrong) {
        const { hint } = await failureOf(code, () => importExecuted({ from: source, to: own }));
        if (code === 'TABLE_MISSING') expect(hint).to.include(`psql STORE -c '\\dt'`);
      }
      expect(await hasLedger(client)).to.equal(false);

      expect(await importExecuted({ from, to: ledgerStorage(url) })).to.deep.equal({ imported, present: [] });
      expect(await importExecuted({ from, to: own })).to.deep.equal({ imported: [], present: imported });
      await client.query(`DELETE FROM umzug_backfill_steps WHERE name = '002-orders'`);
      await failureOf('IMPORT_REFUSED', () =>
        importExecuted({ from: { table: 'knex_migrations' }, to: url }),
      );
      expect(await ledger()).to.deep.equal(['001-users applied']);
      await ledgerStorage(url).unlogMigration({ name: '001-users' });
      const knexNames = { from: { table: 'knex_migrations', column: 'name' }, to: own };
      expect((await importExecuted(knexNames)).imported).to.deep.equal(ran.map((each) => each.slice(0, -3)));
      await own.destroy();
    }));

  it('loses no name when several processes log, and the last names go', () =>
    withShop(async ({ url, client, ledger }) => {
      const workers = [0, 1, 2, 3].map((i) => ({ i, storage: ledgerStorage(url) }));
      for (let round = 0; round < 4; round += 1) {
        // Each logs a name and removes it: the ledger is made and dropped under the others.
        await Promise.all(
          workers.map(async ({ i, storage }) => {
            await storage.logMigration({ name: `${round}-${i}` });
            if (i !== round) await storage.unlogMigration({ name: `${round}-${i}` });
          }),
        );
        expect(await ledger()).to.deep.equal([`${round}-${round} applied`]);
        await ledgerStorage(url).unlogMigration({ name: `${round}-${round}` });
        expect(await hasLedger(client)).to.equal(false);
      }
    }));

  it('keeps a name that is logged between the snapshot and the end of what drops the ledger', () =>
    withShop(async ({ url, client, ledger }) => {
      const storage = ledgerStorage(url);
      await storage.logMigration({ name: '001' });
      // Another program is in the way of the drop, until a second name has been logged.
      await client.query('BEGIN; LOCK TABLE umzug_backfill_steps IN ROW SHARE MODE');
      const unlogged = storage.unlogMigration({ name: '001' });
      const waiting = `SELECT count(*) FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'`;
      while ((await column(client, waiting))[0] === '0');
      const row = `INSERT INTO umzug_backfill_steps SELECT (jsonb_populate_record(s, '{"name":"002"}')).* FROM umzug_backfill_steps AS s`;
      await client.query(`${row}; COMMIT`);
      await unlogged;
      expect(await ledger()).to.deep.equal(['002 applied']);
    }));
});
