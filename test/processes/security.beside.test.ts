import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, copyFileSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import Database from 'better-sqlite3';
import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { expectRefusal, spawnCli } from '../support/cli.js';
import { filesOf } from '../support/copies.js';
import { SERVICE, STRANGER, stranger, useService } from '../support/service.js';
import { asAgentOs } from '../support/stores.js';
import { as, needUsers } from '../support/users.js';

// A stranger may put files beside a store in a folder that is not its own, under the names that SQLite looks for.

describe('security, what SQLite would apply to a store', () => {
  before(function () {
    needUsers(this);
  });
  const serve = useService();

  /** The store in the sticky folder, which is not its own. */
  function inShared(mode: 'wal' | 'delete') {
    const { store: from, shared, home } = serve(mode);
    const store = join(shared, 'store.db');
    renameSync(from, store);
    chmodSync(store, 0o644);
    return { store, shared, home, up: () => spawnCli(['up', '--db-path', store], { prefix: as(SERVICE) }) };
  }

  /** Makes what a stranger would have SQLite apply: the WAL, or the hot journal, of a copy of the store. */
  function forge(store: string, end: string, home: string): string {
    const copy = join(home, 'copy.db');
    copyFileSync(store, copy);
    const db = new Database(copy);
    const sql =
      end === '-journal'
        ? "PRAGMA cache_size = 1; BEGIN; UPDATE task_audits SET payload = payload || ' '"
        : "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; UPDATE task_audits SET payload = 'FORGED'";
    asAgentOs(copy, () => db.exec(sql));
    const forged = join(dirname(home), `forged${end}`);
    copyFileSync(copy + end, forged);
    chmodSync(forged, 0o644);
    db.close();
    return forged;
  }

  for (const [end, mode] of [
    ['-wal', 'wal'],
    ['-shm', 'wal'],
    ['-journal', 'delete'],
  ] as const) {
    it(`is not taken from a stranger, and the store is used once the hint is followed: ${end}`, async () => {
      const { store, home, up } = inShared(mode);
      const forged = forge(store, end, home);
      await stranger(`cp "${forged}" "${store}${end}" && chmod 666 "${store}${end}"`);
      const elsewhere = join(home, 'elsewhere');
      mkdirSync(elsewhere);
      await stranger(`ln -s "${elsewhere}" "${store}${end}.moved"`);
      const was = filesOf(store);
      for (const command of ['up', 'status', 'restore']) {
        const refused = await spawnCli([command, '--db-path', store], { prefix: as(SERVICE) });
        const { message } = expectRefusal(refused, 'STORE_UNTRUSTED', 1);
        expect(message).to.equal(
          `The store at ${store} is not opened: ${store}${end} next to it belongs to user id ${STRANGER}`,
        );
      }
      expect(filesOf(store)).to.deep.equal(was);
      const { hint } = expectRefusal(await up(), 'STORE_UNTRUSTED', 1);
      const [, move = ''] = /: sudo (mv [^;]+);/.exec(hint) ?? [];
      expect(spawnSync('sh', ['-c', move]).status, hint).to.equal(0);
      expect(readdirSync(elsewhere)).to.deep.equal([]);
      const { code, stderr } = await up();
      expect(code, stderr).to.equal(0);
    });

    it(`is not opened as a link or a pipe: ${end}`, async () => {
      const { store, up } = inShared(mode);
      for (const make of ['ln -s /nonexistent', 'mkfifo']) {
        await stranger(`${make} "${store}${end}"`);
        const { message, hint } = expectRefusal(await up(), 'STORE_UNTRUSTED', 1);
        expect(message).to.equal(
          `The store at ${store} is not opened: ${store}${end} next to it is not a file`,
        );
        const [, move = ''] = /: sudo (mv .+)$/.exec(hint) ?? [];
        expect(spawnSync('sh', ['-c', move]).status, hint).to.equal(0);
        rmSync(`${store}${end}.moved`);
      }
      expect((await up()).code).to.equal(0);
    });

    it(`is taken from root and from the owner of the store: ${end}`, async () => {
      const { store, home, up } = inShared(mode);
      const forged = forge(store, end, home);
      for (const owner of [0, SERVICE]) {
        copyFileSync(forged, store + end);
        chmodSync(store + end, 0o666);
        chownSync(store + end, owner, owner);
        const { stderr } = await up();
        expect(stderr).not.to.include('STORE_UNTRUSTED');
        rmSync(store + end, { force: true });
      }
    });
  }
});
