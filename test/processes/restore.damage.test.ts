import { chmodSync, copyFileSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { expectRefusal, spawnCli, startScript } from '../support/cli.js';
import { useConnections } from '../support/connection.js';
import {
  addNotes,
  asBackup,
  copyOf,
  damageTable,
  filesOf,
  overwrite,
  type StoreState,
  stateOf,
} from '../support/copies.js';
import { killedAt } from '../support/failpoints.js';
import { look, type Mode, modes, on, useStores, WRITER } from '../support/on-store.js';
import { asAgentOs } from '../support/stores.js';

// Stores that a backup can not simply be written into.

/** Makes another page size of a file, which takes it out of WAL mode for a moment. */
function setPageSize(store: string, mode: Mode): void {
  asAgentOs(store, (db) => {
    db.pragma('journal_mode = DELETE');
    db.exec('PRAGMA page_size = 8192; VACUUM');
    db.pragma(`journal_mode = ${mode}`);
  });
}

/** The state, as it is in a store of another journal mode. */
const inMode = ({ header, ...state }: StoreState, mode: Mode): StoreState => ({
  ...state,
  header: { ...header, journal_mode: mode },
});

describe('restore, from a backup of another page size', () => {
  const copy = useStores();
  const connect = useConnections();

  async function upgraded(mode: Mode, backupMode: Mode): Promise<{ store: string; v20: StoreState }> {
    const store = copy(mode);
    await on(store).run(['up']);
    setPageSize(copyOf(store), backupMode);
    const v20 = stateOf(copyOf(store));
    expect(v20.header).to.include({ page_size: 8192, journal_mode: backupMode });
    return { store, v20 };
  }

  for (const backupMode of modes) {
    it(`replaces a store in WAL mode to which nobody is connected (backup: ${backupMode})`, async () => {
      const { store, v20 } = await upgraded('wal', backupMode);
      const v21 = stateOf(store);
      const result = await on(store).run(['restore', '--yes']);
      expect(result.stdout).to.match(/replaced: restart every program/);
      expect(stateOf(store)).to.deep.equal(inMode(v20, 'wal'));
      expect(stateOf(copyOf(store, 'before-restore'))).to.deep.equal(asBackup(v21));
      expect(filesOf(store).sidecars).to.have.length(2);
      await on(store).run(['up']);
      await on(store).run(['down', '--to', '0']);
      expect(stateOf(store).tables).to.deep.equal(v20.tables);
    });
  }

  it('is refused with STORE_IN_USE while another process has the store open in WAL mode', async () => {
    const uses = ['SELECT count(*) FROM task_audits', 'BEGIN; SELECT count(*) FROM task_audits'];
    const cases: { idle: string; store: string; v20: StoreState; v21: StoreState }[] = [];
    for (const idle of uses) {
      const { store, v20 } = await upgraded('wal', 'wal');
      cases.push({ idle, store, v20, v21: stateOf(store) });
    }
    await Promise.all(
      cases.map(async ({ idle, store }) => {
        const other = await connect(store);
        await other.run(idle);
        const { main, wal } = filesOf(store);
        const refused = await spawnCli(['restore', '--yes', '--db-path', store]);
        expectRefusal(refused, 'STORE_IN_USE', 1);
        expect(filesOf(store), idle).to.include({ main, wal });
        await other.run('UPDATE schema_version SET applied_at = applied_at');
        await other.end();
      }),
    );
    for (const { idle, store, v20, v21 } of cases) {
      expect(stateOf(store), idle).to.deep.equal(v21);
      await on(store).run(['restore', '--yes']);
      expect(stateOf(store), idle).to.deep.equal(v20);
    }
  });

  it('is written into a store in rollback mode, which an idle connection sees', async () => {
    const { store, v20 } = await upgraded('delete', 'wal');
    const idle = await connect(store);
    await idle.run('SELECT count(*) FROM task_audits');
    const { isReplaced } = (await on(store).run(['restore', '--json', '--yes'])).json();
    expect(isReplaced).to.equal(false);
    expect(await idle.run("SELECT count(*) FROM pragma_table_info('task_audits')")).to.deep.equal([[9]]);
    expect(await idle.run('PRAGMA integrity_check')).to.deep.equal([['ok']]);
    await idle.end();
    expect(stateOf(store)).to.deep.equal(inMode(v20, 'delete'));
  });
});

describe('restore, of a damaged store', () => {
  const templates: Partial<Record<Mode, { store: string; v20: StoreState }>> = {};
  const copy = useStores();
  const noise = Buffer.alloc(100, 0xa5);

  before(async () => {
    for (const mode of modes) {
      const store = copy(mode);
      addNotes(store);
      const v20 = stateOf(store);
      await on(store).run(['up']);
      templates[mode] = { store, v20 };
    }
  });

  /** A store at v21, and what its backup holds. */
  function upgraded(mode: Mode): { store: string; v20: StoreState } {
    const { store: template = '', v20 } = templates[mode] ?? {};
    const store = copy(mode);
    const backup = copyOf(template);
    copyFileSync(template, store);
    copyFileSync(backup, join(dirname(store), basename(backup)));
    return { store, v20: v20 as StoreState };
  }

  const damages: Record<string, (store: string) => void> = {
    'its header overwritten': (store) => overwrite(store, 0, noise),
    'the header of its first table overwritten': (store) => overwrite(store, 100, noise),
    'its page size overwritten': (store) => overwrite(store, 16, noise.subarray(0, 2)),
    'its file cut short': (store) => truncateSync(store, 5000),
    'its file cut to nothing': (store) => truncateSync(store, 0),
    'another file in its place': (store) => writeFileSync(store, 'not a database at all '.repeat(500)),
  };

  /** Restores, and insists that the store is as it was and that the damaged files stand beside it. */
  async function expectRestored(store: string, v20: StoreState, suffixes: readonly string[]): Promise<void> {
    const were = suffixes.map((suffix) => readFileSync(store + suffix));
    const [backup, modeBits] = [copyOf(store), statSync(store).mode];
    const { saved, wasDamaged } = (await on(store).run(['restore', backup, '--json'])).json();
    expect(wasDamaged).to.equal(true);
    expect(statSync(store).mode).to.equal(modeBits);
    expect(filesOf(store).sidecars).to.have.members(
      [backup, ...suffixes.map((suffix) => saved + suffix)].map((path) => basename(path)),
    );
    suffixes.forEach((suffix, i) => {
      expect(readFileSync(saved + suffix).equals(were[i] as Buffer), `main${suffix} as it was`).to.equal(
        true,
      );
      expect(statSync(saved + suffix).mode).to.equal(modeBits);
    });
    expect(stateOf(store)).to.deep.equal(v20);
  }

  for (const [what, damage] of Object.entries(damages)) {
    for (const mode of modes) {
      it(`brings it back and keeps its files: ${what} (${mode})`, async () => {
        const { store, v20 } = upgraded(mode);
        chmodSync(store, 0o640);
        damage(store);
        await expectRestored(store, v20, ['']);
      });
    }

    it(`brings it back and keeps its files, with a -wal that was left behind: ${what}`, async () => {
      const { store, v20 } = upgraded('wal');
      await (await startScript(WRITER, store, "UPDATE tasks SET title = 'left'")).end();
      damage(store);
      await expectRestored(store, v20, ['', '-wal']);
    });
  }

  it('brings it back and keeps its files: an inner page overwritten', async () => {
    for (const mode of modes) {
      const { store, v20 } = upgraded(mode);
      damageTable(store, 'notes');
      await expectRestored(store, v20, ['']);
      await on(store).run(['up']);
    }
  });

  // SQLite would take what a -wal holds for newer pages of whatever file stands beside it.
  it('never leaves it beside the -wal of the file that it replaces, killed between the two', async () => {
    const { store, v20 } = upgraded('wal');
    await (await startScript(WRITER, store, "UPDATE tasks SET title = 'left'")).end();
    damages['another file in its place']?.(store);
    const { ino } = statSync(store);
    const restore = ['restore', copyOf(store)];
    await killedAt([...restore, '--db-path', store], { at: 'restore', detail: 'sidecars removed' });
    if (statSync(store).ino !== ino) expect(stateOf(store)).to.deep.equal(v20);
    await on(store).run(restore);
    expect(stateOf(store)).to.deep.equal(v20);
  });

  it('can be done after a look at it, which leaves the -wal of a file that was cut to nothing', async () => {
    const { store, v20 } = upgraded('wal');
    await (await startScript(WRITER, store, "UPDATE tasks SET title = 'left'")).end();
    truncateSync(store, 0);
    for (const command of [['status'], ['up', '--dry-run'], ['up']])
      expectRefusal(await look(store, command), 'STORE_EMPTY', 1);
    await expectRestored(store, v20, ['', '-wal']);
  });
});
