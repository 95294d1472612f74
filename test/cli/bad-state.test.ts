import { spawnSync } from 'node:child_process';
import { copyFileSync, readFileSync, rmSync } from 'node:fs';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { expectRefusal, runCli, snapshotFiles, startScript } from '../support/cli.js';
import { SPILL } from '../support/forms.js';
import { expectLooked, look, lookFirst, looks, on, useStores, WRITER } from '../support/on-store.js';
import { dumpTable } from '../support/stores.js';

// Stores in which a writer has died, or is at work.

describe('bad input: a WAL that a killed writer has left', () => {
  const copy = useStores();

  async function leftBehind(statement: string): Promise<string> {
    const store = copy('wal');
    await (await startScript(WRITER, store, statement)).end();
    expect(snapshotFiles(store).sidecars).to.deep.equal(['store.db-shm', 'store.db-wal']);
    return store;
  }

  it('is read, and left as it stood, by commands that look', async () => {
    const store = await leftBehind("UPDATE task_audits SET level = 'left' WHERE audit_id <= 50");
    for (const command of looks) expectLooked(command, await look(store, command));
  });

  it('is left as it stood when what it says makes the store be refused', async () => {
    const store = await leftBehind("DELETE FROM schema_version WHERE version = '0.20.0'");
    for (const command of lookFirst) expectRefusal(await look(store, command), 'VERSION_TOO_OLD', 1);
  });

  it('keeps its frames when the index of the WAL is gone', async () => {
    const store = await leftBehind("UPDATE task_audits SET level = 'left' WHERE audit_id <= 50");
    rmSync(`${store}-shm`);
    const { main, wal } = snapshotFiles(store);
    for (const command of looks) expectLooked(command, await runCli([...command, '--db-path', store]));
    expect(snapshotFiles(store)).to.include({ main, wal });
  });

  it('counts for `up`, which goes on from it', async () => {
    const store = await leftBehind('DELETE FROM task_audits WHERE audit_id > 10');
    const result = await runCli(['up', '--json', '--db-path', store]);
    expect(result.code, result.stderr).to.equal(0);
    expect(result.json().verifications[0].checks[0].stats)
      .to.have.property('rowsInScope')
      .that.is.at.most(10);
  });
});

describe('bad input: a hot journal', () => {
  const copy = useStores();

  async function torn(): Promise<string> {
    const store = copy('delete');
    const { main } = snapshotFiles(store);
    await (await startScript(WRITER, store, SPILL)).end();
    expect(snapshotFiles(store).main, 'half of the transaction is in the file').not.to.equal(main);
    expect(readFileSync(`${store}-journal`)[0], 'the journal counts').not.to.equal(0);
    return store;
  }

  it('is refused with STORE_HOT_JOURNAL and left as it stood by commands that look', async () => {
    const store = await torn();
    for (const command of looks) expectRefusal(await look(store, command), 'STORE_HOT_JOURNAL', 1);
  });

  it('is rolled back by commands that write, which then go on', async () => {
    for (const command of ['up', 'restore']) {
      const store = copy('delete');
      const untouched = dumpTable(store);
      const backup = `${store}.backup-20260101T000000Z`;
      copyFileSync(store, backup);
      await (await startScript(WRITER, store, SPILL)).end();
      const given = command === 'restore' ? [backup] : [];
      const result = await runCli([command, ...given, '--db-path', store]);
      expect(result.code, result.stderr).to.equal(0);
      if (command === 'up') await on(store).run(['down', '--to', '0']);
      expect(dumpTable(store)).to.deep.equal(untouched);
    }
  });

  it('is gone after the command that the hint gives', async function () {
    const store = await torn();
    const { hint } = expectRefusal(await look(store, ['status']), 'STORE_HOT_JOURNAL', 1);
    const mend = /: (sqlite3 .*)$/.exec(hint)?.[1];
    expect(mend).to.be.a('string');
    if (spawnSync('sqlite3', ['--version']).error) {
      console.log('    skipped: there is no sqlite3 on the path');
      this.skip();
    }
    expect(spawnSync('sh', ['-c', mend as string]).status).to.equal(0);
    expect((await look(store, ['status'])).code).to.equal(0);
    expect((await runCli(['up', '--db-path', store])).code).to.equal(0);
  });

  it('is not seen in the journal of a writer that lives', async () => {
    const store = copy('delete');
    const statement = "BEGIN; UPDATE task_audits SET level = 'new' WHERE audit_id = 1";
    const { end: release } = await startScript(WRITER, store, statement);
    try {
      expect(snapshotFiles(store).sidecars).to.deep.equal(['store.db-journal']);
      for (const command of looks) expectLooked(command, await look(store, command));
    } finally {
      await release();
    }
  });
});
