import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { MigrationError } from 'umzug';
import type { CreateMigratorOptions } from '../src/index.js';
import { api, Umzug } from './support/shop.js';
import { query, withFolder } from './support/stores.js';

// What umzug's README, examples and tests show of an Umzug, shown of a migrator: see docs/umzug.md for what differs.

const { createMigrator, defineSqlStep } = api;
type Extra = Partial<CreateMigratorOptions>;

/** A step that notes that it ran, in the table `ran`. */
const noting = (name: string) =>
  defineSqlStep({
    up: [`INSERT INTO ran (text) VALUES ('up-${name}')`],
    down: [`INSERT INTO ran (text) VALUES ('down-${name}')`],
  });

const failing = (name: string) =>
  defineSqlStep({ up: [`INSERT INTO ran (text) VALUES (NULL)`], down: noting(name).down ?? [] });

/** Runs `act` on a migrator of `count` such steps, named `m1` and so on. */
const withMigrator = (
  count: number,
  act: (umzug: InstanceType<typeof Umzug>, ran: () => string[], path: string) => Promise<void>,
  extra: Extra = {},
): Promise<void> =>
  withFolder(async (folder) => {
    const path = join(folder, 'store.db');
    new Database(path).exec('CREATE TABLE ran (text TEXT NOT NULL)').close();
    const names = Array.from({ length: count }, (_, i) => `m${i + 1}`);
    const steps = Object.fromEntries(names.map((name) => [name, noting(name)]));
    const umzug = createMigrator({ database: path, backup: false, steps, ...extra });
    await act(
      umzug as unknown as InstanceType<typeof Umzug>,
      () => query(path, 'SELECT text FROM ran'),
      path,
    );
  });

const names = (metas: readonly { name: string }[]): string[] => metas.map(({ name }) => name);

/** The names `m1` to `mN`. */
const upTo = (count: number): string[] => Array.from({ length: count }, (_, i) => `m${i + 1}`);

/** What an act throws. */
async function thrown(act: () => Promise<unknown>): Promise<Error & { code?: string; hint?: string }> {
  try {
    await act();
  } catch (error) {
    return error as Error;
  }
  throw new Error('Expected it to fail');
}

describe('a migrator, as umzug shows an Umzug', () => {
  it('goes up and down `to` a name', () =>
    withMigrator(7, async (umzug) => {
      const expectExecuted = async (count: number): Promise<void> => {
        expect(names(await umzug.executed())).to.deep.equal(upTo(count));
        expect(names(await umzug.pending())).to.deep.equal(upTo(7).slice(count));
      };
      await umzug.up();
      await expectExecuted(7);
      await umzug.down({});
      await expectExecuted(6);
      await umzug.down({ to: undefined } as object);
      await expectExecuted(5);
      await umzug.down({ to: 'm3' });
      await expectExecuted(2);
      await umzug.down({ to: 0 });
      await expectExecuted(0);
      await umzug.up({ to: 'm4' });
      await expectExecuted(4);
    }));

  it('goes up and down a number of steps', () =>
    withMigrator(4, async (umzug) => {
      await umzug.up({ step: 3 });
      expect(names(await umzug.executed())).to.deep.equal(upTo(3));
      expect(names(await umzug.pending())).to.deep.equal(['m4']);
      await umzug.down({ step: 2 });
      expect(names(await umzug.executed())).to.deep.equal(['m1']);
      expect(names(await umzug.pending())).to.deep.equal(['m2', 'm3', 'm4']);
    }));

  it('runs named migrations in the order in which they are named, and none where a name is unknown', () =>
    withMigrator(7, async (umzug, ran) => {
      await umzug.up({ migrations: ['m2', 'm4'] });
      expect(ran()).to.deep.equal(['up-m2', 'up-m4']);
      expect((await thrown(() => umzug.up({ migrations: ['m2', 'm4'] }))).message).to.include('m2');
      expect(await umzug.up({ migrations: ['m2', 'm4'], rerun: 'SKIP' })).to.deep.equal([]);
      expect(ran()).to.deep.equal(['up-m2', 'up-m4']);
      await umzug.up({ migrations: ['m5', 'm3'] });
      expect(names(await umzug.executed())).to.deep.equal(['m2', 'm3', 'm4', 'm5']);
      expect(ran()).to.deep.equal(['up-m2', 'up-m4', 'up-m5', 'up-m3']);
      expect((await thrown(() => umzug.up({ migrations: ['m1', 'typo'] }))).message).to.include('typo');
      expect((await thrown(() => umzug.up({ to: 'typo' }))).message).to.include('typo');
      expect(ran()).not.to.include('up-m1');
      await umzug.up();
      expect(names(await umzug.executed())).to.deep.equal(upTo(7));
      await umzug.down({ migrations: ['m1', 'm3', 'm5', 'm7'] });
      const downs = ['down-m1', 'down-m3', 'down-m5', 'down-m7'];
      expect(ran().slice(-4)).to.deep.equal(downs);
      expect(names(await umzug.executed())).to.deep.equal(['m2', 'm4', 'm6']);
      expect(await umzug.down({ migrations: ['m1', 'm3'], rerun: 'SKIP' })).to.deep.equal([]);
      expect((await thrown(() => umzug.down({ migrations: ['m1', 'm3'] }))).message).to.include('m1');
      expect(ran().slice(-4)).to.deep.equal(downs);
    }));

  it('returns what it ran, in the order in which it ran', () =>
    withMigrator(2, async (umzug) => {
      expect(await umzug.up()).to.deep.equal([{ name: 'm1' }, { name: 'm2' }]);
      expect(await umzug.down({ to: 0 })).to.deep.equal([{ name: 'm2' }, { name: 'm1' }]);
    }));

  it('calls listeners around each migration, and none that was taken away', () =>
    withMigrator(2, async (umzug, ran) => {
      const calls: string[] = [];
      const spy = (label: string) => (step: { name: string; path?: string; context: object }) => {
        calls.push(`${label} ${step.name} after ${ran().length}`);
        expect(step.context).to.deep.equal({});
      };
      umzug.on('migrating', spy('migrating'));
      umzug.on('migrated', spy('migrated'));
      const reverting = spy('reverting');
      umzug.on('reverting', reverting);
      umzug.on('reverted', spy('reverted'));
      await umzug.up();
      expect(calls.splice(0)).to.deep.equal([
        'migrating m1 after 0',
        'migrated m1 after 1',
        'migrating m2 after 1',
        'migrated m2 after 2',
      ]);
      await umzug.down();
      expect(calls.splice(0)).to.deep.equal(['reverting m2 after 2', 'reverted m2 after 3']);
      umzug.off('reverting', reverting);
      await umzug.down();
      expect(calls).to.deep.equal(['reverted m1 after 4']);
    }));

  it('calls listeners around each command, also around one that fails', () =>
    withMigrator(
      0,
      async (umzug) => {
        const service: string[] = [];
        umzug.on('beforeCommand', async ({ command }) => void service.push(`shutting down for ${command}`));
        umzug.on('afterCommand', async ({ command }) => void service.push(`restarting after ${command}`));
        await umzug.pending();
        expect(service.splice(0)).to.deep.equal(['shutting down for pending', 'restarting after pending']);
        await thrown(() => umzug.up());
        expect(service).to.deep.equal(['shutting down for up', 'restarting after up']);
      },
      { steps: { m1: failing('m1') } },
    ));

  it('has a context of its own for each command', () =>
    withMigrator(2, async (umzug) => {
      const counts: unknown[] = [];
      umzug.on(
        'beforeCommand',
        ({ context }) =>
          void Object.assign(context, { counter: 1 + Number(Reflect.get(context, 'counter') ?? 0) }),
      );
      umzug.on('afterCommand', ({ context }) => void counts.push(Reflect.get(context, 'counter')));
      const [one, other] = await Promise.all([umzug.up(), umzug.up()]);
      expect([one.length, other.length].sort(), 'one has waited, and found nothing to do').to.deep.equal([
        0, 2,
      ]);
      expect(counts).to.deep.equal([1, 1]);
    }));

  it('enables no asynchronous hook, which would slow down every promise of the process', () =>
    withMigrator(2, async (umzug) => {
      const during: symbol[][] = [];
      const marks = (): symbol[] => Object.getOwnPropertySymbols(Promise.resolve()); // a hook gives each promise an id
      umzug.on('migrated', () => void during.push(marks()));
      await umzug.up();
      expect([...during, marks()]).to.deep.equal([[], [], []]);
    }));

  it('wraps what a migration throws, with the migration, and propagates the cause', () =>
    withMigrator(
      0,
      async (umzug, ran) => {
        const error = await thrown(() => umzug.up());
        expect(error).to.be.instanceOf(MigrationError);
        expect(error.message).to.match(/^Migration m2 \(up\) failed: Original error: /);
        expect((error as MigrationError).migration).to.deep.equal({
          direction: 'up',
          name: 'm2',
          path: undefined,
          context: {},
        });
        expect(error.cause).to.be.instanceOf(api.BackfillError);
        expect((error as MigrationError).jse_cause).to.equal(error.cause);
        expect(ran()).to.deep.equal(['up-m1']);
        expect(names(await umzug.executed())).to.deep.equal(['m1']);
      },
      { steps: { m1: noting('m1'), m2: failing('m2'), m3: noting('m3') } },
    ));

  it('can be the parent of another Umzug, whose migrations and storage are the steps and the ledger', () =>
    withMigrator(3, async (parent, ran, path) => {
      const umzug = new Umzug({
        ...parent.options,
        migrations: async (context) => [...(await parent.migrations(context))].reverse(),
      });
      expect(names(await umzug.up())).to.deep.equal(['m3', 'm2', 'm1']);
      expect(ran()).to.deep.equal(['up-m3', 'up-m2', 'up-m1']);
      expect(names(await parent.executed())).to.deep.equal(upTo(3));
      expect(existsSync(`${path}.lock`), 'each took the run lock').to.equal(true);
      expect(names(await umzug.down())).to.deep.equal(['m1']);
      expect(names(await parent.pending())).to.deep.equal(['m1']);
    }));

  it('changes nothing where there is nothing to do, and makes no file', () =>
    withMigrator(2, async (umzug, ran, path) => {
      await umzug.up();
      rmSync(`${path}.lock`);
      const before = [ran(), query<number>(path, 'PRAGMA data_version')];
      expect(await umzug.up()).to.deep.equal([]);
      expect(existsSync(`${path}.lock`)).to.equal(false);
      expect([ran(), query<number>(path, 'PRAGMA data_version')]).to.deep.equal(before);
    }));
});
