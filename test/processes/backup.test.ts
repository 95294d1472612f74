import { rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { bin, snapshotFiles, startScript, useFolder } from '../support/cli.js';
import { leastPauseMs, useConnections } from '../support/connection.js';
import { asBackup, copiesOf, copyOf, stateOf } from '../support/copies.js';
import { killedAt } from '../support/failpoints.js';
import { modes, on, useStores, WRITER } from '../support/on-store.js';
import { asAgentOs, insertAudits } from '../support/stores.js';

/** Names of what stands in the store's folder beside it. */
const filesBeside = (store: string): readonly string[] => snapshotFiles(store).sidecars;

const step = 'v021-2-decision-fields';

/** Writes three rows that wait for a catch-up. */
const addRows = (store: string): void => asAgentOs(store, (db) => insertAudits(db, [{}, {}, {}]));

describe('backup, when', () => {
  const copy = useStores();

  for (const mode of modes) {
    it(`is made before each command that changes a store, and equals the store as it was (${mode})`, async () => {
      const store = copy(mode);
      const { run, look } = on(store);
      /** Runs a command, and insists on one more backup, which equals what the store was, or on none. */
      const expectBackup = async (isMade: boolean, ...command: string[]): Promise<void> => {
        const [was, copies] = [stateOf(store), copiesOf(store)];
        const { backup } = (await run([...command, '--json'])).json();
        const made = copiesOf(store).filter((path) => !copies.includes(path));
        expect(made, command.join(' ')).to.have.length(isMade ? 1 : 0);
        expect(backup?.path).to.equal(made[0]);
        if (!isMade) return;
        expect(backup).to.include({ bytes: statSync(backup.path).size, isChecked: true });
        expect(stateOf(backup.path), command.join(' ')).to.deep.equal(asBackup(was));
      };
      await expectBackup(true, 'up', '--to', 'v021-1-decision-columns');
      await expectBackup(true, 'up');
      await expectBackup(false, 'up');
      for (const command of [['status'], ['verify'], ['up', '--dry-run'], ['down', '--dry-run', '--to', '0']])
        await look(command);
      addRows(store);
      await expectBackup(false, 'backfill');
      for (const _ of ['one', 'and one of the same kind, with other work']) {
        await expectBackup(true, 'backfill', step, '--rescan');
      }
      for (const _ of ['one', 'and one of the same kind, with other work']) {
        addRows(store);
        await expectBackup(true, 'up');
      }
      await expectBackup(true, 'down');
      await expectBackup(true, 'down');
      await expectBackup(false, 'up', '--no-backup');
      await expectBackup(false, 'backfill', step, '--rescan', '--no-backup');
      await expectBackup(false, 'down', '--to', '0', '--no-backup');
    });
  }

  it('is not made by a run that goes on with one that was killed, wherever that was', async () => {
    const points = [
      { at: 'statement', detail: 'ALTER TABLE' },
      { at: 'statement', detail: 'UPDATE "task_audits"', nth: 3 },
      { at: 'commit', nth: 12 },
    ];
    for (const [i, point] of points.entries()) {
      const store = copy(i % 2 ? 'delete' : 'wal');
      const was = stateOf(store);
      await killedAt(['up', '--db-path', store, '--batch-size', '40'], point);
      const { backup } = (await on(store).run(['up', '--json'])).json();
      expect(backup).to.equal(undefined);
      expect(copiesOf(store)).to.have.length(1);
      expect(stateOf(copiesOf(store)[0] as string)).to.deep.equal(asBackup(was));
      await killedAt(['down', '--db-path', store, '--to', '0'], {
        at: 'statement',
        detail: 'UPDATE "task_audits"',
      });
      expect(copiesOf(store)).to.have.length(2);
      await on(store).run(['down', '--to', '0']);
      expect(copiesOf(store)).to.have.length(2);
    }
  });

  it('is not made by an `up` that goes on with a rescan that was killed', async () => {
    const store = copy('wal');
    const { run } = on(store);
    await run(['up', '--no-backup']);
    asAgentOs(store, (db) => db.exec('UPDATE task_audits SET source_event_ts = NULL'));
    await killedAt(['backfill', '--rescan', '--db-path', store, '--batch-size', '40'], {
      at: 'statement',
      detail: 'UPDATE "task_audits"',
      nth: 3,
    });
    expect(copiesOf(store)).to.have.length(1);
    expect((await run(['up', '--json'])).json().verifications).to.have.length(1);
    expect(copiesOf(store)).to.have.length(1);
  });

  it('is made by a run that goes on with one whose ledger names something else as its backup', async () => {
    const point = { at: 'statement', detail: 'UPDATE "task_audits"', nth: 2 };
    const grow = (store: string): void => writeFileSync(copiesOf(store)[0] as string, 'more', { flag: 'a' });
    const name = (store: string, path: string) =>
      asAgentOs(store, (db) => db.prepare('UPDATE umzug_backfill_commands SET backup = ?').run(path));
    for (const change of [
      (store: string) => name(store, bin),
      (store: string) => name(store, dirname(store)),
      (store: string) => name(store, `${store}.lock`),
      grow,
    ]) {
      const store = copy('wal');
      await killedAt(['up', '--db-path', store, '--batch-size', '40'], point);
      change(store);
      const { backup } = (await on(store).run(['up', '--json'])).json();
      expect(backup, String(change)).to.have.property('path');
      expect(copiesOf(store)).to.have.length(2);
    }
  });

  it('is made by a run that goes on with one that has none any more', async () => {
    const killed = ['--batch-size', '40'] as const;
    const inBatch = { at: 'statement', detail: 'UPDATE "task_audits"', nth: 2 };
    // Wanted only now; removed since; of an `up` that had long ended when a catch-up was killed.
    const [unwanted, removed, caught] = [copy('wal'), copy('wal'), copy('wal')];
    await killedAt(['up', '--db-path', unwanted, '--no-backup', ...killed], inBatch);
    await killedAt(['up', '--db-path', removed, ...killed], inBatch);
    rmSync(copiesOf(removed)[0] as string);
    await on(caught).run(['up']);
    asAgentOs(caught, (db) =>
      insertAudits(
        db,
        Array.from({ length: 90 }, () => ({ payload: '{}' })),
      ),
    );
    await killedAt(['backfill', '--db-path', caught, ...killed], inBatch);
    for (const store of [unwanted, removed, caught]) {
      const { backup } = (await on(store).run(['up', '--json'])).json();
      expect(copiesOf(store)).to.include(backup.path);
    }
  });

  it('is made again when the run before was killed while it made one, whose rest is removed', async () => {
    for (const detail of ['made', 'copied', 'checked', 'synced']) {
      const store = copy('wal');
      const was = stateOf(store);
      await killedAt(['up', '--db-path', store], { at: 'copy', detail });
      expect(filesBeside(store).join(), detail).to.match(/store\.db\.backup\.partial-\w{6}/);
      const { backup } = (await on(store).run(['up', '--json'])).json();
      expect(filesBeside(store), detail).to.deep.equal([basename(backup.path), 'store.db.lock']);
      expect(stateOf(backup.path)).to.deep.equal(asBackup(was));
    }
  });
});

/** A schema with all sorts of tables and objects, in a file that is not as most are. */
const UNUSUAL = `
  PRAGMA page_size = 8192; PRAGMA encoding = 'UTF-16le'; PRAGMA auto_vacuum = INCREMENTAL;
  PRAGMA user_version = 77; PRAGMA application_id = 4711;
  CREATE TABLE schema_version (version TEXT PRIMARY KEY, applied_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP);
  INSERT INTO schema_version (version) VALUES ('0.20.0');
  CREATE TABLE task_audits (audit_id INTEGER PRIMARY KEY, event_type TEXT NOT NULL, payload TEXT,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP);
  CREATE TABLE "a table" (a TEXT, b BLOB, c REAL, PRIMARY KEY (b, a)) WITHOUT ROWID;
  INSERT INTO "a table" VALUES ('ä€😀', x'00ff', 1e300), ('', x'', NULL);
  CREATE VIEW seen AS SELECT count(*) AS n FROM "a table";
  CREATE TRIGGER t AFTER INSERT ON "a table" BEGIN SELECT 1; END;
  CREATE TABLE gone (x); INSERT INTO gone VALUES (zeroblob(100000)); DROP TABLE gone;`;

describe('backup, what', () => {
  const folder = useFolder();
  const copy = useStores();
  const connect = useConnections();

  for (const mode of modes) {
    it(`has the page size, the encoding and all else of the store (${mode})`, async () => {
      const store = folder.file(`${mode}.db`);
      asAgentOs(store, (db) => {
        db.exec(UNUSUAL);
        insertAudits(db, [{}, { payload: '{"source_ts":"2026-01-20T10:00:00Z","x":"ä€😀"}' }]);
        db.pragma(`journal_mode = ${mode}`);
      });
      const was = stateOf(store);
      expect(was.header).to.include({
        page_size: 8192,
        encoding: 'UTF-16le',
        user_version: 77,
        journal_mode: mode,
      });
      await on(store).run(['up']);
      expect(stateOf(copyOf(store))).to.deep.equal(asBackup(was));
      // Its last connection has closed it: nothing stands beside it.
      expect(filesBeside(copyOf(store))).to.deep.equal([]);
    });

    it(`is one snapshot under a writer at full speed (${mode})`, async () => {
      const store = copy(mode);
      asAgentOs(store, (db) =>
        db.exec('CREATE TABLE one (id INTEGER PRIMARY KEY); CREATE TABLE two (id INTEGER PRIMARY KEY)'),
      );
      const pair = 'BEGIN IMMEDIATE; INSERT INTO one DEFAULT VALUES; INSERT INTO two DEFAULT VALUES; COMMIT';
      const writer = await connect(store);
      const commitsBefore = await writer.repeat(pair, leastPauseMs(mode));
      const { backup } = (await on(store).run(['up', '--json'])).json();
      const commits = await writer.repeat('');
      const [[one, two, last]] = asAgentOs(backup.path, (db) =>
        db
          .prepare('SELECT (SELECT count(*) FROM one), (SELECT count(*) FROM two), (SELECT max(id) FROM two)')
          .raw()
          .all(),
      ) as [[number, number, number]];
      expect([two, last]).to.deep.equal([one, one]);
      // The writer was at it before and after.
      expect(one).to.be.greaterThan(commitsBefore).and.lessThan(commits);
      expect(stateOf(backup.path).header.integrity_check).to.equal('ok');
      expect(await writer.run('PRAGMA integrity_check')).to.deep.equal([['ok']]);
    });
  }

  it('has what a killed writer has left in the WAL', async () => {
    const store = copy('wal');
    await (
      await startScript(WRITER, store, "UPDATE task_audits SET level = 'left' WHERE audit_id <= 50")
    ).end();
    await on(store).run(['up']);
    const left = asAgentOs(copyOf(store), (db) =>
      db.prepare("SELECT count(*) FROM task_audits WHERE level = 'left'").pluck().get(),
    );
    expect(left).to.equal(50);
  });
});
