import { expect } from 'chai';
import { describe, it } from 'mocha';
import { MigrationError } from 'umzug';
import type { CreateMigratorOptions, ErrorCode, Migrator } from '../src/index.js';
import { api, EVENTS, filled, orderColumn, orderTimes, Umzug, withShop } from './support/shop.js';
import { failureOf, query } from './support/stores.js';

const { createMigrator } = api;

const [schema, backfill] = ['001-order-column', '002-order-times'];
const steps = { [schema]: orderColumn, [backfill]: orderTimes };
const SPOIL = 'UPDATE events SET ordered_at = NULL WHERE id = 7 RETURNING id';

const shopMigrator = (database: string, extra: Partial<CreateMigratorOptions> = {}): Migrator =>
  createMigrator({ database, steps, backup: false, batchRows: 10, ...extra });

/** Insists that umzug's MigrationError of a step is thrown around one of ours, with the code and the hint of that. */
async function failureIn(
  step: string,
  direction: 'up' | 'down',
  code: ErrorCode,
  act: () => Promise<unknown>,
): Promise<void> {
  const error = await act().then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).to.be.instanceOf(MigrationError);
  const { cause, migration, message } = error as MigrationError;
  expect(migration).to.deep.include({ name: step, direction });
  await failureOf(code, () => Promise.reject(cause));
  const { message: reason, hint } = cause as InstanceType<typeof api.BackfillError>;
  expect(error).to.deep.include({ code, hint });
  expect(message).to.equal(`Migration ${step} (${direction}) failed: Original error: ${reason}`);
}

/** Settings that stop a run at its first such event. */
function stopAt(event: string): Pick<CreateMigratorOptions, 'signal' | 'onEvent'> {
  const controller = new AbortController();
  return {
    signal: controller.signal,
    onEvent: (told) => told.event === event && controller.abort('SIGTERM'),
  };
}

describe('a step that fails in a migrator', () => {
  it('is umzug’s MigrationError around ours, up and down, when it was stopped', () =>
    withShop(async (path) => {
      await failureIn(backfill, 'up', 'TERMINATED', () => shopMigrator(path, stopAt('batch_committed')).up());
      expect(filled(path)).to.equal(10);
      await shopMigrator(path).up();
      await failureIn(backfill, 'down', 'TERMINATED', () =>
        shopMigrator(path, stopAt('batch_reverted')).down({ to: 0 }),
      );
      expect(filled(path)).to.equal(EVENTS - 10);
      await shopMigrator(path).down({ to: 0 });
    }));

  it('is that also where its verification fails, and no step behind it runs', () =>
    withShop(async (path) => {
      const told: string[] = [];
      const umzug = shopMigrator(path, {
        steps: { ...steps, '003-late': api.defineSqlStep({ up: ['CREATE TABLE late (i)'] }) },
        onEvent: ({ event }) => event === 'batches_finished' && query(path, SPOIL),
      });
      for (const event of ['migrating', 'migrated'] as const)
        umzug.on(event, ({ name }) => void told.push(`${event} ${name}`));
      await failureIn(backfill, 'up', 'VERIFICATION_FAILED', () => umzug.up());
      expect(told).to.deep.equal([`migrating ${schema}`, `migrated ${schema}`, `migrating ${backfill}`]);
      expect(query(path, `SELECT name FROM sqlite_schema WHERE name = 'late'`)).to.deep.equal([]);
    }));

  it('is that around ours also for an error of the engine, whose message may quote a row', () =>
    withShop(async (path) => {
      const onEvent: CreateMigratorOptions['onEvent'] = ({ event }) => {
        if (event !== 'batch_committed') return;
        throw Object.assign(new Error('Ada Lovelace'), { code: 'SQLITE_FULL' });
      };
      await failureIn(backfill, 'up', 'STORE_FULL', () => shopMigrator(path, { onEvent }).up());
    }));
});

describe('what a migrator refuses outside of its steps', () => {
  it('is our error itself: before the first step, and of a backfill that is applied', () =>
    withShop(async (path) => {
      let isSpoiling = true;
      const onEvent: CreateMigratorOptions['onEvent'] = ({ event }) =>
        isSpoiling && event === 'batches_finished' && query(path, SPOIL);
      await failureOf('STEP_UNKNOWN', () => shopMigrator(path).up({ to: '003' }));
      await failureIn(backfill, 'up', 'VERIFICATION_FAILED', () => shopMigrator(path, { onEvent }).up());
      await failureOf('VERIFICATION_FAILED', () => shopMigrator(path, { onEvent }).up());
      isSpoiling = false;
      expect(await shopMigrator(path, { onEvent }).up()).to.deep.equal([]);
      expect(filled(path)).to.equal(EVENTS);
      await failureOf('STEP_UNKNOWN', () => shopMigrator(path).down({ to: '003' }));
    }));

  it('is INTERNAL with what a listener throws as its cause', () =>
    withShop(async (path) => {
      for (const event of ['beforeCommand', 'migrating', 'migrated', 'afterCommand'] as const) {
        const umzug = shopMigrator(path);
        const off = umzug.on(event as 'migrating', () => Promise.reject(new Error(`not at ${event}`)));
        const { cause } = await failureOf('INTERNAL', () => umzug.up());
        expect(String(cause)).to.equal(`Error: not at ${event}`);
        off();
        await shopMigrator(path, { lockTimeoutMs: 0 }).up(); // nothing keeps the lock
        await shopMigrator(path).down({ to: 0 });
      }
    }));
});

describe('a listener of events that throws', () => {
  it('is told with the file of its step, for a catch-up too', () =>
    withShop(async (path) => {
      await shopMigrator(path).up();
      query(path, 'UPDATE events SET ordered_at = NULL RETURNING id');
      const onEvent: CreateMigratorOptions['onEvent'] = (told) => {
        if (told.event === 'warning') throw new Error('not told');
      };
      const { cause, hint } = await failureOf('INTERNAL', () => shopMigrator(path, { onEvent }).up());
      expect(String(cause)).to.equal('Error: not told');
      expect(hint).to.include('; the step is declared in ');
    }));
});

describe('the run lock of a migrator', () => {
  it('is held around all steps and their listeners, and free around the command', () =>
    withShop(async (path) => {
      const umzug = shopMigrator(path);
      const other = shopMigrator(path);
      const found: string[] = [];
      const note = (event: string) => async (): Promise<void> =>
        void found.push(`${event} ${(await other.status()).lock.state}`);
      for (const event of ['migrating', 'migrated', 'reverting', 'reverted'] as const)
        umzug.on(event, note(event));
      for (const event of ['beforeCommand', 'afterCommand'] as const) umzug.on(event, note(event));
      await umzug.up();
      expect(found.splice(0)).to.deep.equal([
        'beforeCommand free',
        ...['migrating held', 'migrated held', 'migrating held', 'migrated held'],
        'afterCommand free',
      ]);
      await umzug.down();
      expect(found).to.deep.equal([
        'beforeCommand free',
        'reverting held',
        'reverted held',
        'afterCommand free',
      ]);
    }));

  it('comes with the backup before the first listener of a step', () =>
    withShop(async (path) => {
      const told: string[] = [];
      const umzug = shopMigrator(path, { backup: {}, onEvent: ({ event }) => void told.push(event) });
      umzug.on('migrating', ({ name }) => void told.push(`migrating ${name}`));
      await umzug.up();
      expect(told.slice(0, 2)).to.deep.equal(['backup_created', `migrating ${schema}`]);
    }));
});

describe('a migrator as an object', () => {
  it('is one Umzug of a subclass, whose methods are not overwritten', () => {
    const umzug = shopMigrator('shop.db') as unknown as InstanceType<typeof Umzug>;
    expect(umzug).to.be.instanceOf(Umzug);
    for (const method of ['up', 'down', 'pending', 'executed', 'create', 'runAsCLI', 'runCommand', 'emit'])
      expect(Object.hasOwn(umzug, method), method).to.equal(false);
    expect(Object.getPrototypeOf(umzug)).not.to.equal(Umzug.prototype);
  });
});
