import { copyFileSync } from 'node:fs';
import { expect } from 'chai';
import { before, beforeEach, describe, it } from 'mocha';
import { generateStore } from '../demo/store-generator.js';
import { defineBackfill, sql } from '../src/index.js';
import { type CliResult, expectRefusal, useFolder } from './support/cli.js';
import { killedAt } from './support/failpoints.js';
import { on } from './support/on-store.js';
import { commandsOf, named, projectOf } from './support/project.js';
import { actualCells, expectedCells } from './support/reference.js';
import { asAgentOs, backfillStep, dumpTable, failureOf, insertAudits } from './support/stores.js';

// Triggers that each update of a row would fire are listed before anything is changed, and agreed to with --allow-triggers.

/** Triggers that an update of one of our columns fires: what stands between CREATE TRIGGER and ON, by name. */
const firing: Readonly<Record<string, string>> = {
  after_any: 'after_any AFTER UPDATE',
  'audit log guard': '"audit log guard" BEFORE UPDATE',
  'insert on x': '[insert on x] UPDATE',
  log_insert: 'IF NOT EXISTS main.log_insert AFTER UPDATE',
  of_either: 'of_either AFTER UPDATE OF payload, "SUPERVISOR_Processed_At"',
  of_source: '`of_source` /* of payload */ UPDATE OF source_event_ts',
  'say "no"': '"say ""no""" AFTER UPDATE',
  update: "'update' BEFORE UPDATE",
};
const resting = [
  'log_update AFTER INSERT',
  '"after update on" BEFORE DELETE',
  "'before insert' BEFORE DELETE",
  '[after update of payload] INSERT',
  'of_other AFTER UPDATE OF payload, level',
  'of_longer AFTER UPDATE OF event_type, created_at',
];
const names = Object.keys(firing).sort();
const create = (heads: readonly string[], table = 'task_audits'): string =>
  heads.map((head) => `CREATE TRIGGER ${head} ON ${table} BEGIN SELECT 1; END;`).join('\n');
const LOGGING = 'CREATE TRIGGER logging AFTER UPDATE ON task_audits BEGIN SELECT 1; END';

/** Insists that a command was refused for these triggers alone. */
function expectTriggers(result: CliResult, expected: readonly string[]): void {
  const { message, hint } = expectRefusal(result, 'TRIGGERS_WOULD_FIRE', 1);
  const which = `the trigger${expected.length > 1 ? 's' : ''} ${expected.join(', ')}`;
  expect(message).to.equal(`Each update of task_audits fires ${which}`);
  expect(hint).to.contain('--allow-triggers');
}

const events = ({ stderr }: CliResult): { event: string; level: number; text?: string }[] =>
  stderr
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));

describe('triggers that updates fire', () => {
  const folder = useFolder();
  const store = () => folder.file('store.db');
  const change = (sql: string) => asAgentOs(store(), (db) => db.exec(sql));
  const addRows = () => asAgentOs(store(), (db) => insertAudits(db, Array(30).fill({})));

  before(async () => {
    for (const name of ['v20.db', 'v21.db'])
      generateStore({ path: folder.file(name), audits: 60, rareShare: 0 });
    await on(folder.file('v21.db')).run(['up', '--no-backup']);
  });

  describe('in a store at v20', () => {
    beforeEach(() => {
      copyFileSync(folder.file('v20.db'), store());
      change(
        `${create(Object.values(firing))} ${create(resting)} ${create(['of_table AFTER UPDATE'], 'tasks')}`,
      );
    });

    it('are listed by `up`, which refuses before it changes anything', async () => {
      for (const args of [['up'], ['up', '--json'], ['up', '--step', '2']])
        expectTriggers(await on(store()).look(args, 1), names);
    });

    it('are listed by a dry run, which does not refuse', async () => {
      const { look } = on(store());
      const { steps } = (await look(['up', '--dry-run', '--json'])).json();
      expect(steps[1].fill.triggers).to.deep.equal(names);
      const { stdout } = await look(['up', '--dry-run']);
      expect(stdout).to.contain(`triggers fired by each update: ${names.join(', ')}\n`);
    });

    it('do not keep the schema step from being applied alone', () => on(store()).run(['up', '--step', '1']));

    it('are told of before the first batch where they are allowed', async () => {
      const expected = expectedCells(store());
      const args = ['up', '--allow-triggers', '--batch-size', '20', '--log-level', 'debug'];
      const told = events(await on(store()).run(args));
      const about = told.filter(({ text }) => text?.includes('fires the trigger'));
      expect(about).to.have.lengthOf(1);
      expect(about[0]).to.include({ event: 'warning', level: 40 });
      expect(about[0]?.text).to.equal(`Each update of task_audits fires the triggers ${names.join(', ')}`);
      const [warning, batch] = ['warning', 'batch_committed'].map((event) =>
        told.findIndex((one) => one.event === event),
      );
      expect(warning).to.be.within(0, (batch ?? 0) - 1);
      expect(actualCells(store())).to.deep.equal(expected);
    });
  });

  describe('in a store at v21', () => {
    beforeEach(() => {
      copyFileSync(folder.file('v21.db'), store());
      change(LOGGING);
    });

    it('do not matter when there is nothing left to fill, verified or not', async () => {
      const { run, look } = on(store());
      for (const args of [['up'], ['backfill'], ['up', '--dry-run']]) await look(args);
      change(`UPDATE umzug_backfill_runs SET status = 'filled'`);
      await run(['up']);
    });

    it('are refused where rows wait', async () => {
      const { run, look } = on(store());
      addRows();
      for (const args of [['up'], ['backfill'], ['backfill', backfillStep.name, '--json']])
        expectTriggers(await look(args, 1), ['logging']);
      const { steps } = (await look(['backfill', '--dry-run', '--json'])).json();
      expect(steps[0].fill.triggers).to.deep.equal(['logging']);
      const expected = expectedCells(store());
      const told = events(await run(['backfill', '--allow-triggers']));
      expect(told).to.deep.include.members([{ ...told[0], event: 'warning' }]);
      expect(actualCells(store())).to.deep.equal(expected);
    });

    it('are refused by a rescan', async () => {
      const { run, look } = on(store());
      const args = ['backfill', backfillStep.name, '--rescan', '--no-backup'];
      expectTriggers(await look(args, 1), ['logging']);
      await look([...args, '--dry-run']);
      await run([...args, '--allow-triggers']);
    });

    const stopped = [
      ['a catch-up', ['backfill'], addRows],
      [
        'a rescan',
        ['backfill', '--rescan', '--no-backup'],
        () => change('UPDATE task_audits SET source_event_ts = NULL'),
      ],
    ] as const;
    for (const [what, args, prepare] of stopped) {
      it(`are refused where ${what} was killed that would be gone on with`, async () => {
        const { run, look } = on(store());
        prepare();
        const all = [...args, '--allow-triggers', '--batch-size', '10', '--db-path', store()];
        await killedAt(all, { at: 'statement', detail: 'INSERT INTO umzug_backfill_batches', nth: 2 });
        await run(['status', '--check'], 3);
        for (const again of [['up'], ['backfill']]) expectTriggers(await look(again, 1), ['logging']);
        const expected = expectedCells(store());
        await run(['up', '--allow-triggers', '--no-backup']);
        expect(actualCells(store())).to.deep.equal(expected);
      });
    }

    it('are refused by `down`, which takes everything back where they are allowed', async () => {
      const { run, look } = on(store());
      expectTriggers(await look(['down', '--to', '0', '--yes'], 1), ['logging']);
      await run(['down', '--to', '0', '--yes', '--no-backup', '--allow-triggers']);
      expect(dumpTable(store())).to.deep.equal(dumpTable(folder.file('v20.db')));
    });
  });

  it('are refused of every backfill, though the table of the first has none', async () => {
    const path = folder.file('two-tables.db');
    asAgentOs(path, (db) =>
      db.exec(`CREATE TABLE quiet (id INTEGER PRIMARY KEY, filled); INSERT INTO quiet (id) VALUES (1);
        CREATE TABLE loud (id INTEGER PRIMARY KEY, filled); INSERT INTO loud (id) VALUES (1);
        CREATE TRIGGER logging AFTER UPDATE ON loud BEGIN SELECT 1; END`),
    );
    const fill = (table: string) =>
      named(`fill-${table}`, defineBackfill({ table, key: 'id', columns: { filled: sql('id') } }));
    const { up } = commandsOf(projectOf([fill('quiet'), fill('loud')]), { path });
    const { message } = await failureOf('TRIGGERS_WOULD_FIRE', () => up());
    expect(message).to.equal('Each update of loud fires the trigger logging');
    expect(dumpTable(path, 'quiet')).to.deep.equal(['id=integer:31 filled=null:']);
  });

  it('are refused where a lost column would be made again and filled', async () => {
    // Where keys are not known to grow, every NULL waits.
    generateStore({ path: folder.file('small.db'), audits: 60, rareShare: 0, smallSchema: true });
    copyFileSync(folder.file('small.db'), store());
    const { run, look } = on(store());
    await run(['up', '--no-backup']);
    change(`DROP INDEX idx_task_audits_source_event_ts; DROP INDEX idx_task_audits_decision_lag;
      DROP INDEX idx_task_audits_event_source_ts; ALTER TABLE task_audits DROP COLUMN source_event_ts; ${LOGGING}`);
    expectTriggers(await look(['up'], 1), ['logging']);
    const expected = expectedCells(store());
    await run(['up', '--allow-triggers', '--no-backup']);
    expect(actualCells(store())).to.deep.equal(expected);
  });
});
