import { expect } from 'chai';
import { describe, it } from 'mocha';
import { generateStore } from '../demo/store-generator.js';
import { expectRefusal, runCli, useFolder } from './support/cli.js';
import { readLedger } from './support/ledger.js';
import { codeOf, type Extra, name, up } from './support/migrate.js';
import { on } from './support/on-store.js';
import { actualCells, expectedCells } from './support/reference.js';
import { cellsAround, expectAround, refusing, rows } from './support/refusals.js';
import { asAgentOs, change, dumpTable, insertAudits, query, withGeneratedStore } from './support/stores.js';

// When so many rows are refused that the run stops; and what is never told of them.

const TRIGGER = 'SQLITE_CONSTRAINT_TRIGGER';
const plain = { audits: 40, supervisorShare: 1, rareShare: 0 };
const range = (from: number, to: number, step = 1): number[] =>
  Array.from({ length: Math.floor((to - from) / step) + 1 }, (_, i) => from + i * step);

describe('a table that is append-only', () => {
  const folder = useFolder();

  it('stops a run soon, with what is done kept and a hint that works', async () => {
    const path = folder.file('store.db');
    generateStore({ ...plain, audits: 400, path });
    change(path, refusing(range(101, 400), `ABORT, 'audits are never changed'`));
    const { run, look } = on(path);
    const [before, whole] = [actualCells(path), expectedCells(path)];
    const [cells, left] = [400, 110].map((last) => cellsAround(path, rows(range(101, last), TRIGGER)));
    const args = ['up', '--allow-triggers', '--no-backup', '--batch-size', '64'];
    let hint = '';
    // Run again it stops at the same row: nothing creeps to the end by itself.
    for (const time of [1, 2, 3]) {
      const stopped = await run(time === 2 ? [...args, '--json'] : args, 1);
      const error = expectRefusal(stopped, 'ROW_REJECTED_REPEATEDLY', 1);
      expect(error.message).to.equal(
        `SQLite rejected the update of 11 rows of task_audits with ${TRIGGER}, last at key 111`,
      );
      const skips = range(101, 110).map((key) => `${key} * ${TRIGGER}`);
      await expectAround(path, before, { cells: cells ?? before, skips, runs: 1 });
      hint = error.hint;
    }
    expect(hint).to.match(
      /^Find the trigger .*; remove it, run the same command again, then umzug-backfill /,
    );
    await look(['status', '--check'], 3);

    change(path, 'DROP TRIGGER refusing');
    await run(args);
    expect(actualCells(path)).to.deep.equal(left);
    const [, command = ''] = /then umzug-backfill (.*) for the skipped rows$/.exec(hint) ?? [];
    expect(command).to.equal(`backfill --db-path ${path} ${name} --rescan`);
    const rescan = await runCli(command.split(' '));
    expect(rescan.code, rescan.stderr).to.equal(0);
    await expectAround(path, before, { cells: whole, skips: [], runs: 2 });
    const [{ checks }] = (await look(['verify', '--json'])).json().verifications;
    expect(checks[0]).to.include({ id: 'coverage', verdict: 'pass' });
  });
});

describe('the number of refused rows', () => {
  /** Runs `act` on a store of so many rows, of which those with these keys are refused. */
  const runs = (audits: number, keys: readonly number[], act: (path: string) => Promise<void>) =>
    withGeneratedStore({ ...plain, audits }, (path) => {
      change(path, refusing(keys, `ABORT, ''`));
      return act(path);
    });
  const fill = (path: string, extra: Extra = {}) =>
    up(path, { batchRows: 64, allowTriggers: true, backup: false, ...extra });
  const fills = async (path: string): Promise<void> => {
    const outcome = await fill(path);
    expect(codeOf(outcome), outcome.error?.message).to.equal(undefined);
  };
  const stops = async (path: string): Promise<string> => {
    const { error } = await fill(path);
    return `${error?.code}: ${error?.message}`;
  };
  /** Options that stop a run once it has come so far. */
  const stoppedAtKey = (key: number): Extra => {
    const controller = new AbortController();
    const onEvent: Extra['onEvent'] = (event) => {
      if (event.event === 'batch_committed' && Number(event.lastKey) > key) controller.abort('SIGTERM');
    };
    return { signal: controller.signal, onEvent };
  };
  const skipped = (path: string): number[] =>
    readLedger(path)
      .skips(name)
      .map(({ key }) => Number(key));

  it('may be 1% of the rows read', () =>
    runs(1500, range(100, 1500, 100), async (path) => {
      await fills(path);
      expect(skipped(path)).to.deep.equal(range(100, 1500, 100));
    }));

  it('is counted against all rows that its run has read, those before it was stopped too', () =>
    runs(1500, range(100, 1500, 100), async (path) => {
      expect(codeOf(await fill(path, stoppedAtKey(1250)))).to.equal('TERMINATED');
      expect(skipped(path)).to.deep.equal(range(100, 1200, 100));
      await fills(path);
      expect(skipped(path)).to.deep.equal(range(100, 1500, 100));
    }));

  it('may not be more, once it is more than ten', () =>
    runs(1500, range(90, 1500, 90), async (path) => {
      expect(await stops(path)).to.match(/^ROW_REJECTED_REPEATEDLY: .* 11 rows .* key 990$/);
      expect(skipped(path)).to.deep.equal(range(90, 900, 90));
    }));

  it('may never be more than a hundred', () =>
    runs(12_000, range(100, 12_000, 100), async (path) => {
      expect(await stops(path)).to.match(/^ROW_REJECTED_REPEATEDLY: .* 101 rows .* key 10100$/);
      expect(skipped(path)).to.deep.equal(range(100, 10_000, 100));
      expect(readLedger(path).runs(name).at(-1)).to.include({
        status: 'running',
        cursor: 10_099n,
        cellsFilled: 2 * 9999,
      });
      expect(await stops(path)).to.match(/ 101 rows .* key 10100$/);
    }));

  it('may be a hundred', () =>
    runs(12_000, range(120, 12_000, 120), async (path) => {
      await fills(path);
      expect(skipped(path)).to.have.lengthOf(100);
    }));

  it('is counted for each run alone', () =>
    runs(100, [...range(1, 9), ...range(101, 109)], async (path) => {
      for (const expected of [9, 18]) {
        await fills(path);
        expect(skipped(path)).to.have.lengthOf(expected);
        asAgentOs(path, (db) => insertAudits(db, Array(100).fill({})));
      }
    }));

  it('is counted for each result code alone, and not for rows that a trigger ignores', () =>
    runs(200, range(1, 9), async (path) => {
      change(
        path,
        `CREATE TABLE l (a INTEGER PRIMARY KEY);
        CREATE TRIGGER mismatching AFTER UPDATE ON task_audits WHEN new.audit_id BETWEEN 11 AND 19 BEGIN INSERT INTO l VALUES ('a'); END;
        ${refusing(range(101, 200), 'IGNORE', { trigger: 'ignoring' })}`,
      );
      await fills(path);
      expect(readLedger(path).skipCounts(name)).to.deep.equal({
        [TRIGGER]: 9,
        SQLITE_MISMATCH: 9,
        UPDATE_IGNORED: 200,
      });
    }));
});

describe('what a trigger or a payload says', () => {
  const folder = useFolder();
  const secret = 'hunter2-4711';
  const hex = Buffer.from(secret).toString('hex').toUpperCase();

  it('is never told nor recorded, of one row or of all', async () => {
    const path = folder.file('store.db');
    generateStore({ ...plain, audits: 200, path });
    change(
      path,
      `UPDATE task_audits SET payload = json_set(payload, '$.reason', '${secret}', '$.source_event_ts', '${secret}')`,
    );
    const raise = (keys: readonly number[]) => refusing(keys, `ABORT, '${secret}' || old.payload`);
    change(path, raise([3, 5]));
    let told = '';
    const run = async (args: readonly string[], code: number): Promise<void> => {
      const {
        code: ended,
        stdout,
        stderr,
      } = await runCli([...args, '--log-level', 'trace', '--db-path', path]);
      expect(ended, stdout + stderr).to.equal(code);
      told += stdout + stderr;
    };
    const looks = [
      ['verify'],
      ['verify', '--json'],
      ['skips'],
      ['skips', '--json'],
      ['status'],
      ['status', '--json'],
    ];
    await run(['up', '--dry-run'], 0);
    await run(['up', '--allow-triggers', '--no-backup'], 0);
    for (const args of looks) await run(args, 0);
    change(
      path,
      `DROP TRIGGER refusing; UPDATE task_audits SET source_event_ts = NULL; ${raise(range(50, 200))}`,
    );
    const rescan = ['backfill', '--rescan', '--allow-triggers', '--no-backup'];
    await run(rescan, 1);
    await run([...rescan, '--json'], 1);
    await run(['up', '--allow-triggers', '--no-backup', '--json'], 1);
    for (const args of looks.slice(2)) await run(args, 0);

    expect(told).to.contain(TRIGGER).and.contain('ROW_REJECTED_REPEATEDLY');
    expect(told).not.to.contain('hunter2');
    const tables = query<string>(
      path,
      `SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE 'umzug_backfill%'`,
    );
    expect(tables).to.have.length.of.at.least(8);
    for (const table of tables) expect(dumpTable(path, table).join(), table).not.to.contain(hex);
    expect(dumpTable(path).join(), 'the audits themselves').to.contain(hex);
  });
});
