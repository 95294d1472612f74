import { spawnSync } from 'node:child_process';
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { generateStore } from '../../demo/store-generator.js';
import { expectRefusal, spawnCli, useFolder } from '../support/cli.js';
import { after, codeOf, type Extra, up } from '../support/migrate.js';
import { on } from '../support/on-store.js';
import { actualCells, expectedCells } from '../support/reference.js';
import { counting, expectAround, recordedSkips } from '../support/refusals.js';
import { useSmallDisks } from '../support/small-disk.js';
import { change, query, withGeneratedStore } from '../support/stores.js';

// An error that would be no other with fewer rows stops the run at once: nothing is halved, nothing recorded as a skip.

const plain = { audits: 400, supervisorShare: 1, rareShare: 0 };
const options: Extra = { batchRows: 50, allowTriggers: true, backup: false };

/** Rows of each batch that was committed. */
const batchesOf = (path: string): number[] =>
  query(path, 'SELECT rows_scanned FROM umzug_backfill_batches ORDER BY number');

/** Insists that `up` stops in its batch behind the committed ones, and goes on when `mend` has been called. */
async function expectStopped(
  path: string,
  stop: {
    readonly code: string;
    readonly sqlite: string;
    readonly committed: number;
    readonly tries: number;
  },
  extra: Extra,
  mend: () => void,
): Promise<void> {
  const [before, whole] = [actualCells(path), expectedCells(path)];
  const stopper = new AbortController();
  let tries = 0;
  const outcome = await counting(
    () => up(path, { ...options, ...extra, signal: stopper.signal }),
    (count) => {
      tries = count;
      if (count > 100) stopper.abort('SIGTERM'); // it tries for ever: then it ends with another code
    },
  );
  expect(codeOf(outcome)).to.equal(stop.code);
  expect(outcome.error?.message).to.contain(stop.sqlite);
  expect(tries).to.equal(stop.tries);
  expect(batchesOf(path)).to.deep.equal(Array(stop.committed).fill(50));
  expect(await recordedSkips(path)).to.deep.equal([]);

  mend();
  expect(codeOf(await up(path, options))).to.equal(undefined);
  await expectAround(path, before, { cells: whole, skips: [], runs: 1 });
}

describe('a file that may not grow', () => {
  const folder = useFolder();

  it('stops up, which goes on when it may', async () => {
    const path = folder.file('store.db');
    generateStore({ ...plain, audits: 2000, path });
    const whole = expectedCells(path);
    const args = ['up', '--no-backup', '--batch-size', '50'];
    // In units of 512 bytes. The store itself is larger, but is not written to before a checkpoint.
    const prefix = ['sh', '-c', 'ulimit -f 2000; exec "$@"', 'sh'];
    const stopped = await spawnCli([...args, '--db-path', path], { prefix });
    expect(expectRefusal(stopped, 'STORE_IO', 1).message).to.contain('SQLITE_IOERR');
    const batches = batchesOf(path);
    expect(batches).to.have.length.within(1, 39);
    expect(new Set(batches)).to.deep.equal(new Set([50]));
    expect(await recordedSkips(path)).to.deep.equal([]);
    await on(path).run(args);
    expect(actualCells(path)).to.deep.equal(whole);
  });
});

describe('a full disk', () => {
  const folder = useFolder();
  const mount = useSmallDisks();

  it('stops up, which goes on when there is room', async () => {
    const disk = mount(8192);
    const path = join(disk.path, 'store.db');
    // In rollback mode the update itself needs room, for the journal; else only the commit would.
    generateStore({ ...plain, path: folder.file('v20.db'), journalMode: 'delete' });
    copyFileSync(folder.file('v20.db'), path);
    const [file = '', ...args] = disk.fill;
    const filling = after(3, 'batch_committed', () => spawnSync(file, args));
    const stop = { code: 'STORE_FULL', sqlite: 'SQLITE_FULL', committed: 3, tries: 4 };
    await expectStopped(path, stop, filling, disk.clear);
  });
});

describe('a trigger', () => {
  it('that finds another table damaged stops up, which goes on without it', () =>
    withGeneratedStore(plain, async (path) => {
      const db = new Database(path);
      db.unsafeMode(true);
      db.exec(`CREATE VIRTUAL TABLE words USING fts5(word); INSERT INTO words VALUES ('word'); DELETE FROM words_content;
        CREATE TRIGGER checking AFTER UPDATE ON task_audits WHEN new.audit_id = 120
        BEGIN INSERT INTO words (words) VALUES ('integrity-check'); END`);
      db.close();
      const stop = { code: 'STORE_CORRUPT', sqlite: 'SQLITE_CORRUPT', committed: 2, tries: 3 };
      await expectStopped(path, stop, {}, () => change(path, 'DROP TRIGGER checking; DROP TABLE words'));
    }));

  it('that breaks meanwhile stops up, once a row was tried alone, and goes on when it is mended', () =>
    withGeneratedStore(plain, async (path) => {
      change(
        path,
        `CREATE TABLE log (key); CREATE TRIGGER logging AFTER UPDATE ON task_audits
        BEGIN INSERT INTO log VALUES (new.audit_id); END`,
      );
      const breaking = after(2, 'batch_committed', () => change(path, 'DROP TABLE log'));
      // Batches of 50, 25, 13, 7, 4, 2 and 1, and one in which that row is left out.
      const stop = { code: 'STATEMENT_REJECTED', sqlite: 'SQLITE_ERROR', committed: 2, tries: 2 + 8 };
      await expectStopped(path, stop, breaking, () => change(path, 'CREATE TABLE log (key)'));
      expect(query(path, 'SELECT count(*) FROM log WHERE key > 100')).to.deep.equal([300]);
    }));
});
