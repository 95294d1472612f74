import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { expectRefusal, root, spawnCli, startScript } from '../support/cli.js';
import { leastPauseMs, useConnections } from '../support/connection.js';
import { copiesOf, filesOf, stateOf } from '../support/copies.js';
import { interruptedAt } from '../support/failpoints.js';
import { type Mode, modes, on, useStores, WRITER } from '../support/on-store.js';
import { asAgentOs } from '../support/stores.js';

// Restoring a store that other processes have open.

type State = ReturnType<typeof stateOf>;

describe('restore, while others are connected', () => {
  const copy = useStores();
  const connect = useConnections();

  /** A store at v21 with a backup of v20, in which a table says which it is. */
  async function upgraded(mode: Mode): Promise<{ store: string; v20: State }> {
    const store = copy(mode);
    asAgentOs(store, (db) => db.exec('CREATE TABLE state (name TEXT); INSERT INTO state VALUES (20)'));
    const v20 = stateOf(store);
    await on(store).run(['up']);
    asAgentOs(store, (db) => db.exec('UPDATE state SET name = 21; CREATE TABLE late (x)'));
    return { store, v20 };
  }

  const locked: { begin: string; store: string; v20: State; v21: State }[] = [];
  let refusing: Promise<unknown> | undefined;
  before(async () => {
    for (const [mode, begin] of [
      ['wal', 'BEGIN IMMEDIATE'],
      ['delete', 'BEGIN IMMEDIATE'],
      ['delete', 'BEGIN; SELECT * FROM state'], // this reader would see the copy half done
    ] as const) {
      const { store, v20 } = await upgraded(mode);
      locked.push({ begin, store, v20, v21: stateOf(store) });
    }
    // Each is refused after the same bounded time, while the tests below go on.
    refusing = Promise.all(
      locked.map(async ({ begin, store }) => {
        const { end: release } = await startScript(WRITER, store, begin);
        const { main, wal } = filesOf(store);
        const refused = await spawnCli(['restore', '--db-path', store]);
        const after = filesOf(store);
        await release();
        expectRefusal(refused, 'STORE_BUSY', 1);
        expect(after, begin).to.include({ main, wal });
        expect(after.sidecars.filter((name) => /partial|before-restore/.test(name))).to.deep.equal([]);
      }),
    );
    refusing.catch(() => undefined); // it is awaited in the end
  });

  for (const mode of modes) {
    it(`is seen by an idle connection, which goes on with it (${mode})`, async () => {
      const { store, v20 } = await upgraded(mode);
      const idle = await connect(store);
      expect(await idle.run('SELECT name FROM state')).to.deep.equal([['21']]);
      const { isReplaced } = (await on(store).run(['restore', '--json'])).json();
      expect(isReplaced).to.equal(false);
      expect(await idle.run('SELECT name FROM state')).to.deep.equal([['20']]);
      expect(await idle.run("SELECT count(*) FROM pragma_table_info('task_audits')")).to.deep.equal([[9]]);
      expect(await idle.run('PRAGMA integrity_check')).to.deep.equal([['ok']]);
      await idle.run('UPDATE state SET name = 22');
      await idle.end();
      const { tables, ...rest } = stateOf(store);
      expect(rest).to.deep.equal({ schema: v20.schema, header: v20.header });
      expect({ ...tables, state: [] }).to.deep.equal({ ...v20.tables, state: [] });
      expect(tables.state).to.deep.equal(['name=text:3232']);
    });

    it(`is one commit to a writer in a loop, which loses nothing afterwards (${mode})`, async () => {
      const { store, v20 } = await upgraded(mode);
      asAgentOs(store, (db) => db.exec('CREATE TABLE log (n INTEGER PRIMARY KEY, total)'));
      const rescan = ['backfill', 'v021-2-decision-fields', '--rescan', '--json'];
      const backup = (await on(store).run(rescan)).json().backup.path;
      const writer = await connect(store);
      // Each number once, from a counter that is the writer's own.
      await writer.run('CREATE TEMP TABLE counter (n); INSERT INTO temp.counter VALUES (0)');
      const write = `BEGIN IMMEDIATE; UPDATE temp.counter SET n = n + 1;
        INSERT INTO log SELECT n, (SELECT count(*) FROM main.state) FROM temp.counter; COMMIT`;
      await writer.repeat(write, leastPauseMs(mode));
      const { saved } = (await on(store).run(['restore', backup, '--json'])).json();
      const commits = () => writer.repeat(write, leastPauseMs(mode));
      const behind = await commits();
      while ((await commits()) === behind); // until it has written into the restored store
      const last = await writer.repeat('');
      const count = async (sql: string): Promise<unknown> => (await writer.run(sql))[0]?.[0];
      const rows = Number(await count('SELECT count(*) FROM log'));
      expect(await count('SELECT max(n) FROM log')).to.equal(last);
      // What it wrote before is gone as a whole, what it wrote after is there as a whole.
      expect(await count('SELECT min(n) FROM log')).to.equal(last - rows + 1);
      expect(rows).to.be.greaterThan(0).and.lessThan(last);
      expect(await count('PRAGMA integrity_check')).to.equal('ok');
      await writer.end();
      expect({ ...stateOf(store).tables, log: [] }).to.deep.equal({ ...stateOf(backup).tables, log: [] });
      expect(stateOf(saved).tables.log?.length)
        .to.be.greaterThan(0)
        .and.at.most(last - rows);
      expect(v20.tables).not.to.have.property('log');
    });
  }

  it('leaves the snapshot of a reader in WAL mode as it is, until that ends', async () => {
    const { store, v20 } = await upgraded('wal');
    const reader = await connect(store);
    await reader.run('BEGIN; SELECT * FROM state');
    await on(store).run(['restore']);
    expect(await reader.run('SELECT name FROM state')).to.deep.equal([['21']]);
    expect(await reader.run('SELECT count(*) FROM late')).to.deep.equal([[0]]);
    await reader.run('COMMIT');
    expect(await reader.run('SELECT name FROM state')).to.deep.equal([['20']]);
    await reader.end();
    expect(stateOf(store)).to.deep.equal(v20);
  });

  it('saves what was written behind its first copy of the present store, too', async () => {
    for (const mode of modes) {
      const { store, v20 } = await upgraded(mode);
      const insert = `INSERT INTO task_audits (task_id, event_type) VALUES ('task_000000', 'LATE')`;
      const run = "new (require('better-sqlite3'))(process.argv[1]).exec(process.argv[2])";
      const restored = await interruptedAt(
        ['restore', '--json', '--db-path', store],
        { at: 'copy', detail: 'done' },
        [process.execPath, '-e', run, store, insert],
        { cwd: root },
      );
      expect(restored.code, restored.stderr).to.equal(0);
      expect(stateOf(store)).to.deep.equal(v20);
      const { saved, isCopyStale } = restored.json();
      expect(isCopyStale).to.equal(false);
      const late = asAgentOs(saved, (db) =>
        db.prepare(`SELECT count(*) FROM task_audits WHERE event_type = 'LATE'`).pluck().get(),
      );
      expect(late, mode).to.equal(1);
      expect(copiesOf(store, 'before-restore')).to.deep.equal([saved]);
    }
  });

  it('waits for a transaction that ends in time', async () => {
    for (const mode of modes) {
      const { store, v20 } = await upgraded(mode);
      const writer = await connect(store);
      await writer.run("BEGIN IMMEDIATE; UPDATE state SET name = 'lost'");
      let committed: Promise<unknown> | undefined;
      const { code, stderr } = await spawnCli(['restore', '--db-path', store], {
        // The next thing that it does is to ask for the write lock.
        onStderr: (text) => {
          if (text.includes('"store_copied"')) committed ??= writer.run('COMMIT');
        },
      });
      expect(code, stderr).to.equal(0);
      expect(await committed).to.deep.equal([]);
      await writer.end();
      expect(stateOf(store)).to.deep.equal(v20);
    }
  });

  describe('that keep it locked', () => {
    it('is refused with STORE_BUSY, and nothing is changed', async () => {
      await refusing;
      for (const { begin, store, v20, v21 } of locked) {
        expect(stateOf(store), begin).to.deep.equal(v21);
        await on(store).run(['restore']);
        expect(stateOf(store), begin).to.deep.equal(v20);
      }
    });
  });
});
