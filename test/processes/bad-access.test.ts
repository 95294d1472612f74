import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { afterEach, before, describe, it } from 'mocha';
import {
  type CliResult,
  expectRefusal,
  type StoreSnapshot,
  snapshotFiles,
  spawnCli,
  startScript,
} from '../support/cli.js';
import { expectLooked, look, looks, type Mode, modes, useStores, WRITER } from '../support/on-store.js';

// Stores that are sound, but can not be had: permissions and locks.

/** The lock of runs is none of the store's files, and stays. */
/** Codes of what is known. */
const KNOWN = /^(?!INTERNAL$)[A-Z]/;

const withoutLock = (files: StoreSnapshot): StoreSnapshot => ({
  ...files,
  sidecars: files.sidecars.filter((name) => !name.endsWith('.lock')),
});

async function refuseUp(copy: (mode: Mode) => string): Promise<void> {
  const cases = modes.flatMap((mode) => ['IMMEDIATE', 'EXCLUSIVE'].map((lock) => ({ mode, lock })));
  await Promise.all(
    cases.map(async ({ mode, lock }) => {
      const store = copy(mode);
      const isShut = mode === 'delete' && lock === 'EXCLUSIVE'; // nobody may read, either
      const { end: release } = await startScript(WRITER, store, `BEGIN ${lock}`);
      const before = snapshotFiles(store);
      const write = lock === 'IMMEDIATE' ? ['up'] : ['up', '--json'];
      const [up, status, plan] = await Promise.all(
        [write, ['status'], ['up', '--dry-run', '--json']].map((command) =>
          spawnCli([...command, '--db-path', store]),
        ),
      );
      const after = snapshotFiles(store);
      await release();
      expect(withoutLock(after), `${mode} ${lock}`).to.deep.equal(before);
      expectRefusal(up as CliResult, 'STORE_BUSY', 1);
      // Nothing may be said to be done, or not to be needed.
      expect(up?.stdout).not.to.match(/nothing to do|applied/i);
      for (const result of [status, plan]) {
        if (isShut) expectRefusal(result as CliResult, 'STORE_BUSY', 1);
        else expect(result?.code).to.equal(0);
      }
      const again = await spawnCli(['up', '--db-path', store]);
      expect(again.code, `${mode} ${lock}: ${again.stderr}`).to.equal(0);
    }),
  );
}

async function refuseOthers(copy: (mode: Mode) => string): Promise<void> {
  await Promise.all(
    modes.map(async (mode) => {
      const store = copy(mode);
      expect((await spawnCli(['up', '--db-path', store])).code).to.equal(0);
      const { end: release } = await startScript(WRITER, store, 'BEGIN IMMEDIATE');
      const before = snapshotFiles(store);
      const command = mode === 'wal' ? ['down'] : ['backfill', '--rescan'];
      const result = await spawnCli([...command, '--db-path', store]);
      const after = snapshotFiles(store);
      await release();
      expect(withoutLock(after), mode).to.deep.equal(withoutLock(before));
      expectRefusal(result, 'STORE_BUSY', 1);
      expect((await spawnCli(['status', '--check', '--db-path', store])).code).to.equal(0);
    }),
  );
}

describe('bad input: a store that another process has locked for longer than the wait', () => {
  const copy = useStores();
  let waiting: Promise<unknown> | undefined;
  before(() => {
    // Side by side, and while the tests below go on.
    waiting = Promise.all([refuseUp(copy), refuseOthers(copy)]);
    waiting.catch(() => undefined); // it is awaited in the end
  });

  describe('meanwhile, one that may not be written', () => {
    let prefix: readonly string[] = [];

    before(function () {
      if (process.getuid?.() !== 0) return;
      // Root may write everything, so that another user has to try.
      prefix = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'];
      const [file = '', ...args] = [...prefix, process.execPath, '--version'];
      if (spawnSync(file, args).status === 0) return;
      console.log('    skipped: permissions do not bind root, and there is no setpriv to be another user');
      this.skip();
    });

    const guarded: string[] = [];

    // Behind the test the folders must be removable again.
    afterEach(() => {
      for (const folder of guarded.splice(0)) chmodSync(folder, 0o755);
    });

    /** A copy on which the file and the folder have these permissions, reachable for every user. */
    function protect(mode: Mode, file: number, folder: number): string {
      const store = copy(mode);
      chmodSync(join(store, '../..'), 0o755);
      chmodSync(store, file);
      // Its group is the user's who tries; a folder that every user may write is refused as such.
      if (prefix.length > 0) chownSync(join(store, '..'), 0, 65_534);
      chmodSync(join(store, '..'), folder);
      guarded.push(join(store, '..'));
      return store;
    }

    for (const mode of modes) {
      it(`refuses to write a read-only file with STORE_READONLY (${mode})`, async () => {
        const store = protect(mode, 0o444, 0o775);
        for (const form of [[], ['--json']])
          expectRefusal(await look(store, ['up', ...form], prefix), 'STORE_READONLY', 1);
      });

      it(`leaves nothing beside a read-only file that it looks at (${mode})`, async () => {
        for (const command of looks) await look(protect(mode, 0o444, 0o775), command, prefix);
      });

      it(`refuses to write in a read-only folder with STORE_FOLDER_READONLY (${mode})`, async () => {
        const store = protect(mode, 0o666, 0o555);
        for (const form of [[], ['--json']])
          expectRefusal(await look(store, ['up', ...form], prefix), 'STORE_FOLDER_READONLY', 1);
      });
    }

    it('looks at a store in a read-only folder (delete)', async () => {
      for (const command of looks)
        expectLooked(command, await look(protect('delete', 0o666, 0o555), command, prefix));
    });

    it('refuses to look at a store in a read-only folder with STORE_FOLDER_READONLY (wal)', async () => {
      for (const command of looks) {
        const store = protect('wal', 0o666, 0o555);
        const { message } = expectRefusal(await look(store, command, prefix), 'STORE_FOLDER_READONLY', 1);
        expect(message).to.include(join(store, '..'));
      }
    });

    it('leaves nothing beside a read-only file whose WAL has lost its index', async () => {
      for (const command of looks) {
        const store = protect('wal', 0o644, 0o775);
        await (
          await startScript(WRITER, store, "UPDATE task_audits SET level = 'left' WHERE audit_id = 1")
        ).end();
        rmSync(`${store}-shm`);
        for (const file of [store, `${store}-wal`]) chmodSync(file, 0o444);
        await look(store, command, prefix); // one of this user's would keep the owner of the store from writing
      }
    });

    for (const [title, file, folder] of [
      ['file that it may not read', 0o000, 0o775],
      ['folder that it may not enter', 0o666, 0o000],
    ] as const) {
      it(`knows a ${title} from what it does not expect`, async () => {
        const store = protect('delete', file, folder);
        for (const command of ['status', 'up'])
          expectRefusal(await spawnCli([command, '--db-path', store], { prefix }), KNOWN, 1);
      });
    }
  });

  describe('and then', () => {
    it('is refused to what writes with STORE_BUSY, looked at where SQLite allows it, and had afterwards', async () => {
      await waiting;
    });
  });
});
