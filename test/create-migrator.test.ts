import { join } from 'node:path';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import type { CreateMigratorOptions, Migrator } from '../src/index.js';
import { root } from './support/cli.js';
import { api, EVENTS, filled, hasLedger, orderColumn, orderTimes, Umzug, withShop } from './support/shop.js';
import { change, dumpSchema, failureOf, query } from './support/stores.js';

const { createMigrator, defineSqlStep } = api;

const [schema, backfill] = ['001-order-column', '002-order-times'];
const steps = { [schema]: orderColumn, [backfill]: orderTimes };

const shopMigrator = (database: string, extra: Partial<CreateMigratorOptions> = {}): Migrator =>
  createMigrator({ database, steps, backup: false, batchRows: 10, ...extra });

const INDEXES = `SELECT count(*) FROM sqlite_schema WHERE name = 'idx_events_ordered_at'`;

const names = (metas: readonly { name: string }[]): string[] => metas.map(({ name }) => name);

/** The events of an Umzug, in order, as `event name`. */
function listen(umzug: Migrator): string[] {
  const told: string[] = [];
  for (const event of ['migrating', 'migrated', 'reverting', 'reverted'] as const)
    umzug.on(event, ({ name }) => void told.push(`${event} ${name}`));
  for (const event of ['beforeCommand', 'afterCommand'] as const)
    umzug.on(event, ({ command }) => void told.push(`${event} ${command}`));
  return told;
}

describe('createMigrator', () => {
  it('returns an Umzug whose commands and events are those that its users know', () =>
    withShop(async (path) => {
      const before = dumpSchema(path);
      const umzug = shopMigrator(path);
      expect(umzug).to.be.instanceOf(Umzug);
      expect(names(await umzug.pending())).to.deep.equal([schema, backfill]);
      expect(await umzug.executed()).to.deep.equal([]);
      const told = listen(umzug);
      expect(await umzug.up()).to.deep.equal([{ name: schema }, { name: backfill }]);
      expect(told).to.deep.equal([
        'beforeCommand up',
        ...[schema, backfill].flatMap((name) => [`migrating ${name}`, `migrated ${name}`]),
        'afterCommand up',
      ]);
      expect(filled(path)).to.equal(EVENTS);
      expect(await umzug.pending()).to.deep.equal([]);
      expect(names(await umzug.executed())).to.deep.equal([schema, backfill]);
      told.length = 0;
      expect(names(await umzug.down())).to.deep.equal([backfill]);
      expect(filled(path)).to.equal(0);
      expect(names(await umzug.down({ to: 0 }))).to.deep.equal([schema]);
      expect(told.filter((text) => text.startsWith('revert'))).to.deep.equal(
        [backfill, schema].flatMap((name) => [`reverting ${name}`, `reverted ${name}`]),
      );
      expect(dumpSchema(path)).to.deep.equal(before);
    }));

  it('takes `to`, `step` and `migrations` as umzug does', () =>
    withShop(async (path) => {
      const umzug = shopMigrator(path);
      expect(names(await umzug.up({ to: schema }))).to.deep.equal([schema]);
      expect(names(await umzug.up({ step: 1 }))).to.deep.equal([backfill]);
      expect(names(await umzug.down({ step: 2 }))).to.deep.equal([backfill, schema]);
      expect(names(await umzug.up({ migrations: [schema] }))).to.deep.equal([schema]);
      expect(names(await umzug.up({ migrations: [schema, backfill], rerun: 'SKIP' }))).to.deep.equal([
        backfill,
      ]);
      expect(names(await umzug.down({ migrations: [backfill] }))).to.deep.equal([backfill]);
      expect(names(await umzug.down({ migrations: [backfill, schema], rerun: 'SKIP' }))).to.deep.equal([
        schema,
      ]);
      expect(hasLedger(path)).to.equal(false);
    }));

  it('applies nothing for an empty `to`', () =>
    withShop(async (path) => {
      const umzug = shopMigrator(path);
      await failureOf('STEP_UNKNOWN', () => umzug.up({ to: '' }));
      await failureOf('STEP_UNKNOWN', () => umzug.down({ to: '' }));
      expect(hasLedger(path)).to.equal(false);
    }));

  it('returns nothing for a named step that another command applies while it waits', () =>
    withShop(async (path) => {
      const umzug = shopMigrator(path);
      const both = await Promise.all([1, 2].map(async () => await umzug.up({ migrations: [schema] })));
      expect(both.map(names)).to.have.deep.members([[schema], []]);
    }));

  it('goes on by its name with a step that was stopped half way', () =>
    withShop(async (path) => {
      const controller = new AbortController();
      const onEvent: CreateMigratorOptions['onEvent'] = ({ event }) => {
        if (event === 'batch_committed') controller.abort('SIGTERM');
      };
      const stopped = await shopMigrator(path, { signal: controller.signal, onEvent })
        .up()
        .catch((error: unknown) => error);
      expect(stopped).to.deep.include({ code: 'TERMINATED' });
      expect(filled(path)).to.equal(10);
      expect(names(await shopMigrator(path).up({ migrations: [backfill] }))).to.deep.equal([backfill]);
      expect(filled(path)).to.equal(EVENTS);
    }));

  it('refuses what would lose something, or that it does not have', () =>
    withShop(async (path) => {
      const umzug = shopMigrator(path);
      await umzug.up();
      await failureOf('USAGE', () => umzug.up({ migrations: [schema] }));
      await failureOf('USAGE', () => umzug.up({ migrations: [schema], rerun: 'ALLOW' as never }));
      await failureOf('USAGE', () => umzug.down({ migrations: [schema], rerun: 'ALLOW' as never }));
      await failureOf('USAGE', () => umzug.up({ steps: 1 } as never));
      await failureOf('STEP_UNKNOWN', () => umzug.up({ migrations: ['003'] }));
      await failureOf('STEP_UNKNOWN', () => umzug.down({ to: '003' }));
      await failureOf('USAGE', () =>
        (umzug as unknown as InstanceType<typeof Umzug>).create({ name: 'x.js' }),
      );
      await failureOf('BACKFILL_UNKNOWN', () => umzug.backfill('003'));
      await umzug.down();
      await failureOf('STEP_NOT_APPLIED', () => umzug.down({ migrations: [backfill] }));
      expect(names(await umzug.executed())).to.deep.equal([schema]);
    }));

  it('waits for its listeners, and ends at what one throws, with the step logged', () =>
    withShop(async (path) => {
      const umzug = shopMigrator(path);
      const told: string[] = [];
      umzug.on('migrating', async ({ name }) => {
        await new Promise(setImmediate);
        told.push(`${name}, indexes ${query(path, INDEXES)}`);
      });
      const failing = umzug.on('migrated', async ({ name }) => {
        await new Promise(setImmediate);
        if (name === schema) throw new Error('not this one');
      });
      const error = await failureOf('INTERNAL', () => umzug.up());
      expect(String((error.cause as Error).message)).to.equal('not this one');
      expect(names(await umzug.executed())).to.deep.equal([schema]);
      failing();
      await umzug.up();
      expect(told).to.deep.equal([`${schema}, indexes 0`, `${backfill}, indexes 1`]);
    }));

  it('rejects with one of our errors where its ledger can not be read', () =>
    withShop(async (path) => {
      const umzug = shopMigrator(path);
      await umzug.up();
      change(path, 'ALTER TABLE umzug_backfill_steps RENAME COLUMN status TO state');
      for (const command of ['up', 'down', 'pending', 'executed', 'status', 'verify', 'backfill'] as const)
        await failureOf('LEDGER_UNTRUSTED', () => umzug[command]());
      await failureOf('LEDGER_UNTRUSTED', () => api.ledgerStorage(path).executed({ context: {} }));
    }));

  it('tells its status, verifies, runs again, lists skips and reports', () =>
    withShop(async (path, folder) => {
      const umzug = shopMigrator(path);
      await umzug.up();
      query(path, `INSERT INTO events (kind, body) VALUES ('order', 'not JSON') RETURNING id`);
      expect((await umzug.status()).isPending).to.equal(true);
      expect((await umzug.backfill()).ran).to.deep.equal([backfill]);
      expect(await umzug.skips(backfill)).to.deep.equal([
        { backfill, skips: [{ key: BigInt(EVENTS + 1), target: '*', reason: 'DOCUMENT_UNREADABLE' }] },
      ]);
      expect((await umzug.verify()).map(({ verdict }) => verdict)).to.deep.equal(['warn']);
      const coverage = (await umzug.verify({ minCoverage: 100 }))[0]?.checks.find(
        ({ id }) => id === 'coverage',
      );
      expect(coverage?.verdict).to.equal('fail');
      const report = await umzug.report(join(folder, 'report.html'));
      expect(report.backfills).to.deep.equal([{ name: backfill, verdict: 'warn' }]);
    }));

  it('tells its warnings in English', () =>
    withShop(async (path) => {
      const umzug = shopMigrator(path);
      await umzug.up();
      change(path, 'UPDATE events SET ordered_at = NULL');
      const { warnings } = await umzug.backfill();
      expect(warnings).to.deep.equal([
        `${EVENTS} cells that ${backfill} had filled were NULL again, and were filled again`,
      ]);
    }));

  it('takes folders and definitions together, in one order', () =>
    withShop(async (path) => {
      const umzug = createMigrator({
        database: path,
        folder: join(root, 'dist'),
        migrations: ['migrations', { 'a-first': defineSqlStep({ up: ['SELECT 1'] }) }],
        backfills: 'backfills',
      });
      expect(await (umzug as unknown as InstanceType<typeof Umzug>).migrations({})).to.have.length(3);
      const [first, second, third] = await umzug.pending();
      expect(first).to.deep.equal({ name: 'a-first' });
      expect(second?.name).to.equal('v021-1-decision-columns');
      expect(third?.path).to.equal(join(root, 'dist/backfills/v021-2-decision-fields.js'));
    }));

  it('names what is executed though nobody has its definition any more', () =>
    withShop(async (path) => {
      await shopMigrator(path).up();
      const other = createMigrator({ database: path, steps: { [schema]: orderColumn } });
      expect(names(await other.executed())).to.deep.equal([schema, backfill]);
      await other.down(); // by what the ledger has of the backfill
      expect(names(await other.executed())).to.deep.equal([schema]);
      await failureOf('STEP_FILE_MISSING', () => createMigrator({ database: path, steps: {} }).down());
    }));

  it('goes to the store that the environment names', () =>
    withShop(async (path) => {
      const umzug = shopMigrator('', {
        database: { path: '/nowhere/shop.db', env: 'CREATE_MIGRATOR_TEST_DB' },
      });
      await failureOf('STORE_MISSING', () => umzug.pending());
      process.env.CREATE_MIGRATOR_TEST_DB = path;
      try {
        expect(names(await umzug.pending())).to.deep.equal([schema, backfill]);
      } finally {
        delete process.env.CREATE_MIGRATOR_TEST_DB;
      }
    }));

  it('refuses options that are unknown or of the wrong kind, by name', async () => {
    const wrong: readonly (readonly [object, string])[] = [
      [{ databse: 'x' }, 'databse'],
      [{ database: 1 }, 'database'],
      [{ database: { path: 'x', var: 'Y' } }, 'var'],
      [{ steps: undefined }, 'no steps'],
      [{ steps: 7 }, 'steps'],
      [{ steps: { '001': {} } }, '001'],
      [{ steps: { '': orderTimes } }, 'steps'],
      [{ backfills: orderTimes }, 'kind'],
      [{ requires: { table: [] } }, 'table'],
      [{ folder: '' }, 'folder'],
      [{ batchRows: 0 }, 'batchRows'],
      [{ pace: 'fast' }, 'pace'],
      [{ lockTimeoutMs: -1 }, 'lockTimeoutMs'],
      [{ confirmed: 'yes' }, 'confirmed'],
      [{ signal: {} }, 'signal'],
      [{ onEvent: true }, 'onEvent'],
      [{ backup: true }, 'backup'],
      [{ backup: { dir: 'x' } }, 'dir'],
      [{ backup: { keep: 0 } }, 'backup.keep'],
    ];
    for (const [options, named] of wrong) {
      const { message } = await failureOf('CONFIG_INVALID', () =>
        createMigrator({ database: 'x.db', steps, ...options } as CreateMigratorOptions),
      );
      expect(message).to.include(named);
    }
  });

  it('refuses those of a deploy, and of its own commands, in the same way', async () => {
    const { migrateOnDeploy, startBackfills } = api;
    const migrator = createMigrator({ database: 'x.db', steps });
    const calls: readonly (readonly [act: (options: never) => unknown, wrong: object, named: string])[] = [
      [migrateOnDeploy, { strickt: true }, 'Unknown option `strickt` in migrateOnDeploy()'],
      [migrateOnDeploy, { backfills: 'later' }, 'to be one of wait, background, got `later`'],
      [startBackfills, { workers: 0 }, 'Expected `workers` in startBackfills() to be a positive integer'],
      [
        startBackfills,
        { signal: new AbortController().signal },
        'Unknown option `signal` in startBackfills()',
      ],
      [
        (options) => migrator.verify(options),
        { minCoverage: 101 },
        'to be a number from 0 to 100, got `101`',
      ],
      [(options) => migrator.backfill(undefined, options), { rescan: 1 }, 'to be true or false'],
      [(options) => migrator.report('x.html', options), { lang: 'fr' }, 'to be one of en, zh, got `fr`'],
    ];
    for (const [act, wrong, named] of calls)
      expect((await failureOf('USAGE', async () => await act(wrong as never))).message).to.include(named);
  });
});
