import { join } from 'node:path';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import type { BackfillStepOptions } from '../src/index.js';
import {
  adopted,
  call,
  connected,
  jsonOf,
  ledgerRows,
  name,
  step,
  withColumn,
} from './support/run-adopted.js';
import {
  api,
  hasLedger,
  JSONStorage,
  memoryStorage,
  orderColumn,
  orderTimes,
  Umzug,
  withShop,
} from './support/shop.js';
import { dumpSchema, dumpTable, failureOf, query } from './support/stores.js';

const { backfillStep, createMigrator, importExecuted, ledgerStorage } = api;
describe('ledgerStorage', () => {
  const at = (migration: string) => ({ name: migration, context: {} });
  const names = async (storage: ReturnType<typeof ledgerStorage>): Promise<string[]> =>
    (await storage.executed({ context: {} })).filter((found) => !/\.[cm]?[jt]s$/.test(found));

  it('is a storage for plain migrations, in source or compiled, and goes with its last name', () =>
    withShop(async (path) => {
      const schema = dumpSchema(path);
      await connected(path, async (db) => {
        const run = (ending: string, list: readonly string[], storage = ledgerStorage(db)) =>
          new Umzug({
            storage,
            logger: undefined,
            migrations: list.map((plain) => ({
              name: plain + ending,
              up: async () => {},
              down: async () => {},
            })),
          });
        expect(await run('.ts', ['001', '002']).up()).to.have.length(2);
        expect(await run('.js', ['001', '002', '003.users']).pending()).to.deep.equal([
          { name: '003.users.js', path: undefined },
        ]);
        expect(await run('', ['001', '002']).executed()).to.have.length(2);
        expect(await names(ledgerStorage(path)), 'also without a file').to.deep.equal(['001', '002']);
        await run('.mjs', ['001', '002']).down({ to: 0 });
      });
      expect(dumpSchema(path)).to.deep.equal(schema);
    }));

  it('logs a name once, however often it is told to, and unlogs one that is not there', () =>
    withShop(async (path) => {
      const storage = ledgerStorage(path);
      await storage.logMigration(at('001'));
      await storage.logMigration(at('001.js'));
      expect(ledgerRows(path)).to.deep.equal(['001 external applied']);
      await storage.unlogMigration(at('002'));
      await storage.unlogMigration(at('001.ts'));
      await storage.unlogMigration(at('001'));
      expect(hasLedger(path)).to.equal(false);
    }));

  it('keeps another kind of file apart', () =>
    withShop(async (path) => {
      const storage = ledgerStorage(path);
      await storage.logMigration(at('001.sql'));
      expect(await names(storage)).to.deep.equal(['001.sql']);
      expect(await storage.executed({ context: {} })).not.to.include('001');
    }));

  it('does not log or unlog a backfill that its row says is otherwise', () =>
    withShop(async (path) => {
      const storage = ledgerStorage(path);
      await call(step(path), 'up');
      await failureOf('RUN_CONFLICT', () => storage.unlogMigration(at(name)));
      const controller = new AbortController();
      await failureOf('TERMINATED', () => {
        query(path, `INSERT INTO events (kind, body) SELECT kind, body FROM events RETURNING id`);
        const onEvent = (): void => controller.abort('SIGTERM');
        return call(
          backfillStep({
            name: '003',
            database: path,
            backfill: orderTimes,
            batchRows: 10,
            signal: controller.signal,
            onEvent,
          }),
          'up',
        );
      });
      await failureOf('RUN_CONFLICT', () => storage.logMigration(at('003')));
    }, withColumn));

  it('takes a file without bytes for a store without migrations, and none for an error', () =>
    withShop(async (_, folder) => {
      const path = join(folder, 'new.db');
      await failureOf('STORE_MISSING', () => ledgerStorage(path).executed({ context: {} }));
      await connected(path, async (db) => {
        const umzug = new Umzug({
          storage: ledgerStorage(db),
          logger: undefined,
          migrations: [{ name: '001', up: async () => db.exec('CREATE TABLE t (i)') }],
        });
        expect(await umzug.executed()).to.deep.equal([]);
        expect(await umzug.up()).to.have.length(1);
        expect(await umzug.pending()).to.deep.equal([]);
      });
    }));

  it('is no drift, no work and no trouble to a project in the same store', () =>
    withShop(async (path) => {
      const storage = ledgerStorage(path);
      await storage.logMigration(at('000-users'));
      await storage.logMigration(at('999-later'));
      const project = createMigrator({
        database: path,
        backup: false,
        strict: true,
        steps: { '001-order-column': orderColumn, [name]: orderTimes },
      });
      await project.up();
      expect((await project.status()).drifts).to.deep.equal([]);
      expect((await project.verify())[0]?.verdict).to.equal('pass');
      expect((await project.down({ to: 0 })).map((done) => done.name)).to.deep.equal([
        name,
        '001-order-column',
      ]);
      expect(await project.down()).to.deep.equal([]);
      expect(ledgerRows(path)).to.deep.equal(['000-users external applied', '999-later external applied']);
    }));
});

describe('importExecuted', () => {
  const meta = `CREATE TABLE SequelizeMeta (name VARCHAR(255) NOT NULL UNIQUE PRIMARY KEY);
    INSERT INTO SequelizeMeta VALUES ('001-users.js'), ('002-orders.js');`;
  const imported = ['001-users', '002-orders'];

  it('takes over a table, once, and says before what it would do', () =>
    withShop(async (path) => {
      const [from, to] = [{ table: 'SequelizeMeta' }, ledgerStorage(path)];
      expect(await importExecuted({ from, to, dryRun: true })).to.deep.equal({ imported, present: [] });
      expect(hasLedger(path)).to.equal(false);
      expect(await importExecuted({ from, to })).to.deep.equal({ imported, present: [] });
      const rows = dumpTable(path, 'umzug_backfill_steps');
      expect(await importExecuted({ from, to: path })).to.deep.equal({ imported: [], present: imported });
      expect(dumpTable(path, 'umzug_backfill_steps')).to.deep.equal(rows);
      expect(query(path, 'SELECT name FROM SequelizeMeta')).to.deep.equal(['001-users.js', '002-orders.js']);
    }, meta));

  it('takes over umzug’s own storages, and a backfill that was among them', () =>
    withShop(async (path) => {
      await connected(path, async (db) => {
        await adopted(db, 'json').up();
        const from = new JSONStorage({ path: jsonOf(path) });
        expect(await importExecuted({ from, to: db })).to.deep.equal({
          imported: ['001-order-column'],
          present: [name],
        });
        const umzug = adopted(db, 'ledger');
        expect(await umzug.pending()).to.deep.equal([]);
        expect(await umzug.down({ to: 0 })).to.have.length(2);
      });
      expect(hasLedger(path)).to.equal(false);
    }));

  it('makes one of a migration that ran from source and compiled', () =>
    withShop(async (path) => {
      const from = memoryStorage();
      for (const ran of ['001.ts', '001.js', '002.js']) await from.logMigration({ name: ran, context: {} });
      expect((await importExecuted({ from, to: path })).imported).to.deep.equal(['001', '002']);
    }));

  it('refuses a ledger that says otherwise, and imports nothing then', () =>
    withShop(async (path) => {
      const storage = ledgerStorage(path);
      await storage.logMigration({ name: '001-users', context: {} });
      await storage.logMigration({ name: '003-new', context: {} });
      const from = { table: 'SequelizeMeta' };
      const { message } = await failureOf('IMPORT_REFUSED', () => importExecuted({ from, to: path }));
      expect(message).to.include('002-orders');
      expect(ledgerRows(path)).to.have.length(2);
      await storage.logMigration({ name: '002-orders', context: {} });
      expect((await importExecuted({ from, to: path })).present).to.deep.equal(imported);
    }, meta));

  it('refuses names of a backfill that is half done, names that are no text, and tables that are not there', () =>
    withShop(async (path) => {
      const controller = new AbortController();
      const onEvent: BackfillStepOptions['onEvent'] = ({ event }) => {
        if (event === 'batch_committed') controller.abort('SIGTERM');
      };
      await failureOf('TERMINATED', () => call(step(path, { signal: controller.signal, onEvent }), 'up'));
      const from = memoryStorage();
      await from.logMigration({ name, context: {} });
      await failureOf('IMPORT_REFUSED', () => importExecuted({ from, to: path }));
      const wrong = [
        ['IMPORT_REFUSED', { table: 'events', column: 'id' }],
        ['TABLE_MISSING', { table: 'Meta' }],
        ['COLUMN_MISSING', { table: 'events' }],
        ['USAGE', { table: '' }],
        ['USAGE', { tabel: 'events' }],
        ['USAGE', null],
      ] as const;
      for (const [code, source] of wrong)
        await failureOf(code, () => importExecuted({ from: source as never, to: path }));
      await failureOf('USAGE', () => importExecuted({ from, into: path } as never));
    }, withColumn));
});
