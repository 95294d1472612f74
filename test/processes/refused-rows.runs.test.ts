import { copyFileSync } from 'node:fs';
import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { generateStore } from '../../demo/store-generator.js';
import { useFolder } from '../support/cli.js';
import { killedAt, pointsOf } from '../support/failpoints.js';
import { readLedger } from '../support/ledger.js';
import { checkOf, codeOf, down, name, rescan, up, verify } from '../support/migrate.js';
import { on } from '../support/on-store.js';
import { actualCells, expectedCells } from '../support/reference.js';
import {
  cells,
  cellsAround,
  counting,
  expectAround,
  refusedCells,
  refusing,
  rows,
  skipsAround,
  skipTexts,
  toV21,
} from '../support/refusals.js';
import { asAgentOs, change, dumpTable, insertAudits, query, withGeneratedStore } from '../support/stores.js';

// What rows that are refused cost, and what becomes of them when a run is killed, caught up, or meets worse.

const TRIGGER = 'SQLITE_CONSTRAINT_TRIGGER';
const plain = { audits: 40, supervisorShare: 1, rareShare: 0 };
/** Batches grow by their rows alone: on a busy machine one of them may take long. */
const extra = { batchRows: 16, allowTriggers: true, backup: false, targetBatchMs: 600_000 } as const;

describe('one refused row', () => {
  // Batches of 256 rows, which is two to the power of 8.
  for (const key of [1, 2, 128, 129, 255, 256, 257, 1000]) {
    it(`with key ${key} of 2,048 costs few batches, which grow back`, () =>
      withGeneratedStore({ ...plain, audits: 2048 }, async (path) => {
        change(path, refusing([key], `ABORT, ''`));
        let tries = 0;
        const outcome = await counting(
          () => up(path, { ...extra, batchRows: 256 }),
          (count) => {
            tries = count;
          },
        );
        expect(codeOf(outcome)).to.equal(undefined);
        const ledger = readLedger(path);
        const batches = ledger.batches(name);
        expect(batches.length).to.be.within(8 + 1, 8 + 2 * 8 + 2);
        expect(tries).to.be.at.most(8 + 5 * 8);
        const behind = batches.filter(({ firstKey }) => Number(firstKey) > key);
        expect(behind.filter(({ rowsScanned }) => rowsScanned === 256)).to.have.length.at.least(2);
        expect(skipTexts(ledger.skips(name))).to.deep.equal([`${key} * ${TRIGGER}`]);
      }));
  }
});

describe('up, killed at a row that is refused', () => {
  const folder = useFolder();
  const args = ['up', '--allow-triggers', '--no-backup', '--batch-size', '16', '--db-path'];
  const keys = [7, 16, 17];

  for (const [raise, journalMode] of [
    ['ABORT', 'wal'],
    ['ROLLBACK', 'delete'],
  ] as const) {
    describe(`by RAISE(${raise}), ${journalMode}`, () => {
      const file = (of: string) => folder.file(`${raise}-${of}.db`);
      let refusals: { statement: number; commit: number }[] = [];

      before(async () => {
        generateStore({ ...plain, rareShare: 0.1, path: file('v20'), journalMode });
        change(
          file('v20'),
          `CREATE TABLE log (key); CREATE TRIGGER logging BEFORE UPDATE ON task_audits
          BEGIN INSERT INTO log VALUES (new.audit_id); END; ${refusing(keys, `${raise}, ''`)}`,
        );
        copyFileSync(file('v20'), file('whole'));
        const points = await pointsOf([...args, file('whole')], folder.file('points'));
        refusals = points.flatMap(({ at, detail }, i) => {
          if (at !== 'statement' || !detail.startsWith('UPDATE temp.umzug_backfill_batch AS b SET refusal'))
            return [];
          const commit = points.findIndex((point, j) => j > i && point.at === 'commit');
          const commits = points.slice(0, commit + 1).filter((point) => point.at === 'commit').length;
          return [{ statement: i, commit: commits }];
        });
      });

      for (const [where, nth] of [
        ['right behind the commit', 0],
        ['right behind the commit', 2],
        ['before the commit', 1],
      ] as const) {
        it(`${where} of the ${['first', 'second', 'third'][nth]}, ends as if it had not been`, async () => {
          const path = file('store');
          copyFileSync(file('v20'), path);
          const before = actualCells(path);
          const expected = {
            cells: cellsAround(path, rows(keys, TRIGGER)),
            skips: skipsAround(path, rows(keys, TRIGGER)),
          };
          expect(refusals).to.have.lengthOf(keys.length);
          const isCommitted = where === 'right behind the commit';
          await killedAt(
            [...args, path],
            isCommitted
              ? { at: 'commit', nth: refusals[nth]?.commit ?? 0 }
              : {
                  at: 'statement',
                  detail: 'UPDATE temp.umzug_backfill_batch AS b SET refusal',
                  nth: nth + 1,
                },
          );
          const recorded = query<number>(
            path,
            `SELECT key FROM umzug_backfill_skips WHERE reason = '${TRIGGER}' ORDER BY key`,
          );
          expect(recorded).to.deep.equal(keys.slice(0, nth + (isCommitted ? 1 : 0)));
          await on(path).run(args.slice(0, -1));
          await expectAround(path, before, { ...expected, runs: 1 });
          expect(actualCells(path)).to.deep.equal(actualCells(file('whole')));
          const log = 'SELECT key FROM log ORDER BY key';
          expect(query(path, log), 'what the trigger wrote').to.deep.equal(query(file('whole'), log));
          expect((await verify(path)).verdict).to.equal('warn');
        });
      }
    });
  }
});

describe('a catch-up', () => {
  for (const smallSchema of [false, true]) {
    const keys = smallSchema ? 'keys that may be any' : 'keys that grow';
    it(`fills rows written since and leaves those alone that were refused, with ${keys}`, () =>
      withGeneratedStore({ ...plain, smallSchema }, async (path) => {
        change(path, refusing([7, 43, 44], `ABORT, ''`));
        change(path, refusing([9, 50], 'IGNORE', { trigger: 'ignoring' }));
        const before = actualCells(path);
        expect(codeOf(await up(path, extra))).to.equal(undefined);
        asAgentOs(path, (db) => insertAudits(db, Array(20).fill({})));
        for (const [key, row] of actualCells(path)) if (!before.has(key)) before.set(key, row);
        const blocked = [...rows([7, 43, 44], TRIGGER), ...cells([9, 50], 'UPDATE_IGNORED')];
        const expected = { cells: cellsAround(path, blocked), skips: skipsAround(path, blocked) };
        expect(codeOf(await up(path, extra))).to.equal(undefined);
        await expectAround(path, before, { ...expected, runs: 2 });
        const scanned = query<number>(path, 'SELECT rows_scanned FROM umzug_backfill_ranges ORDER BY run');
        expect(scanned).to.deep.equal([40, 20]);
      }));
  }
});

describe('a trigger that deletes rows while they are filled', () => {
  it('leaves a record of them, and everything else is filled and taken back', () =>
    withGeneratedStore(plain, async (path) => {
      await toV21(path);
      const [before, dump, whole] = [actualCells(path), dumpTable(path), expectedCells(path)];
      // Its own row, and one that the same statement has yet to come to.
      change(
        path,
        `CREATE TRIGGER deleting AFTER UPDATE ON task_audits WHEN new.audit_id = 20 AND new.source_event_ts IS NOT NULL
        BEGIN DELETE FROM task_audits WHERE audit_id IN (20, 23); END`,
      );
      const skips = skipsAround(path, cells([20, 23], 'UPDATE_IGNORED'));
      expect(codeOf(await up(path, extra))).to.equal(undefined);
      for (const key of ['20', '23']) for (const state of [before, whole]) state.delete(key);
      await expectAround(path, before, { cells: whole, skips, runs: 1 });
      expect(await refusedCells(path, 'warn')).to.deep.equal([0, 0]);
      change(path, 'DROP TRIGGER deleting');
      expect(codeOf(await rescan(path, extra))).to.equal(undefined);
      expect(actualCells(path)).to.deep.equal(whole);
      expect(codeOf(await down(path, {}, extra))).to.equal(undefined);
      expect(dumpTable(path)).to.deep.equal(dump.filter((_, i) => i !== 19 && i !== 22));
    }));
});

describe('the verification', () => {
  it('takes for refused what is recorded as such, and nothing else', () =>
    withGeneratedStore(plain, async (path) => {
      await toV21(path);
      change(path, `UPDATE task_audits SET payload = 'no JSON' WHERE audit_id = 30`);
      change(
        path,
        `CREATE TRIGGER refusing AFTER UPDATE ON task_audits WHEN new.audit_id = 16 AND new.source_event_ts IS NOT NULL
        BEGIN UPDATE task_audits SET source_event_ts = NULL WHERE audit_id = new.audit_id; END`,
      );
      expect(codeOf(await up(path, extra))).to.equal(undefined);
      expect(await refusedCells(path, 'warn')).to.deep.equal([1, 0]);
      // What the application does afterwards is no trigger's doing.
      change(
        path,
        `DROP TRIGGER refusing; UPDATE task_audits SET supervisor_processed_at = NULL WHERE audit_id IN (16, 17);
        UPDATE task_audits SET payload = '{}' WHERE audit_id = 30`,
      );
      const { columns } = checkOf(await verify(path), 'coverage').stats as { columns: unknown[] };
      expect(columns[0]).to.include({ refused: 1, fillable: 1 });
      expect(columns[1]).to.include({ refused: 0, fillable: 3 });
      expect(codeOf(await rescan(path, extra))).to.equal(undefined);
      expect(await refusedCells(path, 'pass')).to.deep.equal([0, 0]);
    }));
});

describe('rows that were refused, on the command line', () => {
  const folder = useFolder();

  it('are told of by every command, and are no failure until more coverage is asked for', async () => {
    const path = folder.file('store.db');
    generateStore({ ...plain, path });
    change(path, refusing([7, 8], `ABORT, ''`));
    const { run, look } = on(path);
    const done = await run(['up', '--allow-triggers', '--no-backup', '--json']);
    expect(done.json().verifications[0].verdict).to.equal('warn');
    const told = done.stderr.split('\n').filter((line) => line.includes('row_rejected'));
    expect(told.map((line) => JSON.parse(line).key)).to.deep.equal(['7', '8']);
    const line = { level: 40, event: 'row_rejected', backfill: name, key: '7', reason: TRIGGER };
    expect(JSON.parse(told[0] ?? '')).to.deep.include(line);

    const [{ skips }] = (await look(['skips', '--json'])).json().backfills;
    expect(skips).to.deep.equal(['7', '8'].map((key) => ({ key, target: '*', reason: TRIGGER })));
    expect((await look(['skips'])).stdout).to.match(/ 7 +│ the row +│ SQLITE_CONSTRAINT_TRIGGER /);
    expect((await look(['status'])).stdout).to.contain(`skipped 2 ${TRIGGER}`);
    const { stdout } = await look(['verify']);
    expect(stdout).to.contain('2 cells of source_event_ts were rejected by a trigger or a constraint: 7, 8');
    await look(['status', '--check']);

    const short = await look(['verify', '--min-coverage', '100'], 5);
    change(path, 'DROP TRIGGER refusing');
    const hint = /→ Run: umzug-backfill (.*) --db-path \S+ (.*)\n$/.exec(short.stderr)?.slice(1) ?? [];
    expect(hint.join(' ')).to.equal(`backfill ${name} --rescan`);
    await run(hint.join(' ').split(' '));
    await look(['verify', '--min-coverage', '100']);
    expect((await look(['skips'])).stdout).to.equal('Nothing was skipped.\n');
  });
});
