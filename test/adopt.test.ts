import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import type { BackfillError, BackfillStepOptions } from '../src/index.js';
import { adopted, call, connected, ledgerRows, name, step, withColumn } from './support/run-adopted.js';
import {
  api,
  EVENTS,
  filled,
  hasLedger,
  memoryStorage,
  orderColumn,
  orderTimes,
  Umzug,
  withShop,
} from './support/shop.js';
import { dumpSchema, dumpTable, failureOf, query } from './support/stores.js';

const { backfillStep, createMigrator, ledgerStorage } = api;

/** Empties a filled cell. */
const SPOIL = 'UPDATE events SET ordered_at = NULL WHERE id = 7 RETURNING id';

/** umzug wraps what a migration throws. */
const causeOf = async (act: () => Promise<unknown>): Promise<BackfillError> => {
  try {
    await act();
  } catch (error) {
    return (error as Error).cause as BackfillError;
  }
  throw new Error('Expected it to fail');
};

describe('backfillStep', () => {
  it('fills, verifies and takes back among the migrations of an Umzug that knows nothing of us', () =>
    withShop(async (path) => {
      const before = dumpTable(path, 'events');
      const schema = dumpSchema(path);
      await connected(path, async (db) => {
        const umzug = new Umzug({
          context: db,
          storage: memoryStorage(),
          logger: undefined,
          migrations: [
            {
              name: '001',
              up: async () => db.exec(withColumn),
              down: async () => db.exec('ALTER TABLE events DROP COLUMN ordered_at'),
            },
            step(db),
          ],
        });
        expect((await umzug.up()).map((done) => done.name)).to.deep.equal(['001', name]);
        expect(filled(path)).to.equal(EVENTS);
        expect(query(path, 'SELECT verdict FROM umzug_backfill_verifications')).to.deep.equal(['pass']);
        expect(query(path, 'SELECT count(*) FROM umzug_backfill_batches')).to.deep.equal([EVENTS / 10]);
        expect(existsSync(`${path}.lock`)).to.equal(true);
        db.exec(`UPDATE events SET ordered_at = 'mine' WHERE id = 3`);
        await umzug.down();
        expect(query(path, 'SELECT ordered_at FROM events WHERE ordered_at IS NOT NULL')).to.deep.equal([
          'mine',
        ]);
        expect(hasLedger(path)).to.equal(false);
        await umzug.down();
      });
      expect(dumpTable(path, 'events')).to.deep.equal(before);
      expect(dumpSchema(path)).to.deep.equal(schema);
    }));

  it('makes a backup only if it is asked for', () =>
    withShop(async (path, folder) => {
      const made: string[] = [];
      const onEvent: BackfillStepOptions['onEvent'] = (told) => {
        if (told.event === 'backup_created') made.push(told.path);
      };
      await call(step(path, { onEvent }), 'up');
      expect(made).to.deep.equal([]);
      await call(step(path, { onEvent, backup: { folder } }), 'down');
      expect(made).to.have.length(1);
    }, withColumn));

  it('throws where its verification fails, and is verified again by the next `up`, on either storage', () =>
    withShop(async (path) => {
      for (const storage of ['json', 'ledger'] as const) {
        await connected(path, async (db) => {
          const spoil: BackfillStepOptions['onEvent'] = ({ event }) => {
            if (event === 'batches_finished') db.exec('UPDATE events SET ordered_at = NULL WHERE id = 7');
          };
          const error = await causeOf(() => adopted(db, storage, { onEvent: spoil }).up());
          expect(error.code).to.equal('VERIFICATION_FAILED');
          const umzug = adopted(db, storage);
          expect((await umzug.pending()).map((left) => left.name)).to.deep.equal([name]);
          db.exec(`UPDATE events SET ordered_at = '2026-01-20T10:00:00Z' WHERE id = 7`);
          await umzug.up();
          expect(await umzug.pending()).to.deep.equal([]);
          await umzug.down({ to: 0 });
        });
      }
    }));

  it('is pending for `up` and executed for `down` until it is verified, in an attached ledger', () =>
    withShop(async (path) => {
      const unfinished: readonly (readonly [string, BackfillStepOptions['onEvent'], number])[] = [
        [
          'VERIFICATION_FAILED',
          ({ event }) => event === 'batches_finished' && query(path, SPOIL),
          EVENTS - 1,
        ],
        ['TERMINATED', ({ event }) => event === 'batch_committed' && stop.abort('SIGTERM'), 10],
      ];
      const stop = new AbortController();
      for (const [code, onEvent, cells] of unfinished) {
        await connected(path, async (db) => {
          const before = dumpTable(path, 'events');
          const signal = code === 'TERMINATED' ? { signal: stop.signal } : {};
          const failing = adopted(db, 'attached', { onEvent, ...signal });
          expect((await causeOf(() => failing.up())).code).to.equal(code);
          expect(filled(path)).to.equal(cells);

          const umzug = adopted(db, 'attached');
          expect((await umzug.pending()).map((left) => left.name)).to.deep.equal([name]);
          expect((await umzug.executed()).map((done) => done.name)).to.deep.equal(['001-order-column.js']);
          expect((await umzug.down()).map((done) => done.name)).to.deep.equal([name]);
          expect(filled(path)).to.equal(0);
          expect((await umzug.down()).map((done) => done.name)).to.deep.equal(['001-order-column.js']);
          expect(dumpTable(path, 'events')).to.deep.equal(before);
          expect(hasLedger(path)).to.equal(false);
        });
      }
    }));

  it('is passed over by `down` until it is verified in a ledger that is not attached, and filled again by `up`', () =>
    withShop(async (path) => {
      await connected(path, async (db) => {
        const spoil: BackfillStepOptions['onEvent'] = ({ event }) =>
          event === 'batches_finished' && query(path, SPOIL);
        await causeOf(() => adopted(db, 'ledger', { onEvent: spoil }).up());
        const umzug = adopted(db, 'ledger');
        expect((await umzug.down()).map((done) => done.name)).to.deep.equal(['001-order-column.js']);
        expect((await umzug.up()).map((done) => done.name)).to.deep.equal(['001-order-column.js', name]);
        expect(filled(path)).to.equal(EVENTS);
        expect(await umzug.pending()).to.deep.equal([]);
        await umzug.down({ to: 0 });
        expect(hasLedger(path)).to.equal(false);
      });
    }));

  it('is taken back though it is pending, where umzug is told to', () =>
    withShop(async (path) => {
      for (const storage of ['json', 'ledger'] as const) {
        await connected(path, async (db) => {
          const controller = new AbortController();
          const onEvent: BackfillStepOptions['onEvent'] = ({ event }) => {
            if (event === 'batch_committed') controller.abort('SIGTERM');
          };
          const stopped = adopted(db, storage, { signal: controller.signal, onEvent });
          expect((await causeOf(() => stopped.up())).code).to.equal('TERMINATED');
          expect(filled(path)).to.equal(10);
          await adopted(db, storage).down({ migrations: [name], rerun: 'ALLOW' });
          expect(filled(path)).to.equal(0);
          await adopted(db, storage).down();
          expect(hasLedger(path)).to.equal(false);
        });
      }
    }));

  it('changes nothing when it is done already, and nothing when there is nothing to take back', () =>
    withShop(async (path) => {
      await call(step(path), 'down');
      expect(hasLedger(path)).to.equal(false);
      await call(step(path), 'up');
      const rows = dumpTable(path, 'umzug_backfill_verifications');
      await call(step(path), 'up');
      expect(dumpTable(path, 'umzug_backfill_verifications')).to.deep.equal(rows);
      await call(step(path), 'down');
      await call(step(path), 'down');
      expect(filled(path)).to.equal(0);
    }, withColumn));

  it('leaves other steps in the ledger alone, which are no drift to it', () =>
    withShop(async (path) => {
      const warnings: string[] = [];
      const onEvent: BackfillStepOptions['onEvent'] = (told) => {
        if (told.event === 'warning') warnings.push(told.text);
      };
      const other = backfillStep({ name: '009-other', database: path, backfill: orderTimes });
      await call(other, 'up');
      await call(step(path, { onEvent, strict: true }), 'up');
      await call(step(path, { onEvent, strict: true }), 'down');
      expect(warnings).to.deep.equal([]);
      expect(ledgerRows(path)).to.deep.equal(['009-other backfill applied']);
    }, withColumn));

  it('is the same step to a project that has it under its name', () =>
    withShop(async (path) => {
      await call(step(path), 'up');
      const project = createMigrator({ database: path, backup: false, steps: { [name]: orderTimes } });
      expect(await project.pending()).to.deep.equal([]);
      expect((await project.status()).drifts).to.deep.equal([]);
      expect((await project.verify())[0]?.verdict).to.equal('pass');
      await project.down();
      expect(filled(path)).to.equal(0);
    }, withColumn));

  it('refuses a connection in a transaction, in memory, or temporary', () =>
    withShop(async (path) => {
      await connected(path, async (db) => {
        db.exec('BEGIN');
        const { message } = await failureOf('STORE_BUSY', () => call(step(db), 'up'));
        expect(message).to.include('transaction');
        db.exec('COMMIT');
        await call(step(db), 'up');
      });
      for (const memory of [':memory:', '']) {
        await connected(memory, (db) => failureOf('STORE_NOT_A_FILE', () => step(db)));
        await connected(memory, (db) => failureOf('STORE_NOT_A_FILE', () => ledgerStorage(db)));
      }
    }, withColumn));

  it('refuses options that are unknown or of the wrong kind, by name', async () => {
    const wrong: readonly (readonly [object, string])[] = [
      [{ batchRow: 5 }, 'batchRow'],
      [{ name: '' }, 'name'],
      [{ name: '002.js' }, '002.js'],
      [{ name: 'a\nb' }, 'name'],
      [{ backfill: orderColumn }, 'backfill'],
      [{ backfill: { table: 'events' } }, 'backfill'],
      [{ database: undefined }, 'database'],
      [{ database: {} }, 'database'],
      [{ backup: true }, 'backup'],
      [{ targetBatchMs: 1.5 }, 'targetBatchMs'],
      [{ workers: 0 }, 'workers'],
      [{ file: 5 }, 'file'],
    ];
    for (const [extra, named] of wrong) {
      const { message } = await failureOf('STEP_INVALID', () => step('x.db', extra));
      expect(message).to.include(named);
    }
    await failureOf('USAGE', () => ledgerStorage(7 as never));
    const own = { name, database: 'x.db', backfill: orderTimes } as const;
    // @ts-expect-error: a misspelt option
    const misspelt: BackfillStepOptions = { ...own, batchRow: 5 };
    // @ts-expect-error: a schema step
    const other: BackfillStepOptions = { ...own, backfill: orderColumn };
    for (const options of [misspelt, other]) await failureOf('STEP_INVALID', () => backfillStep(options));
  });
});

describe('an Umzug with a backfill, killed', () => {
  const script = fileURLToPath(new URL('support/run-adopted.js', import.meta.url));
  const killed = (...args: readonly string[]): void => {
    const options = [script, ...args];
    const { signal, stderr } = spawnSync(process.execPath, options, { encoding: 'utf8' });
    expect(signal, stderr).to.equal('SIGKILL');
  };

  for (const storage of ['json', 'ledger'] as const) {
    it(`goes on where it was, up and down, with ${storage}`, () =>
      withShop(async (path) => {
        const before = dumpTable(path, 'events');
        killed(path, 'up', storage, '2');
        expect(filled(path)).to.equal(20);
        await connected(path, async (db) => {
          const umzug = adopted(db, storage);
          expect((await umzug.up()).map((done) => done.name)).to.deep.equal([name]);
        });
        expect(filled(path)).to.equal(EVENTS);
        expect(query(path, 'SELECT count(*) FROM umzug_backfill_batches')).to.deep.equal([EVENTS / 10]);
        expect(query(path, 'SELECT verdict FROM umzug_backfill_verifications')).to.deep.equal(['pass']);
        killed(path, 'down', storage, '3');
        expect(filled(path)).to.equal(20);
        await connected(path, async (db) => {
          const reverted = await adopted(db, storage).down({ to: 0 });
          expect(reverted.map((done) => done.name)).to.deep.equal([name, '001-order-column.js']);
        });
        expect(dumpTable(path, 'events')).to.deep.equal(before);
        expect(hasLedger(path)).to.equal(false);
      }));
  }
});
