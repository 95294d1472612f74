import { chmodSync, chownSync, lstatSync, rmSync } from 'node:fs';
import Database from 'better-sqlite3';
import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { expectRefusal, spawnCli } from '../support/cli.js';
import { copiesOf, stateOf } from '../support/copies.js';
import { HOLDER_TABLE } from '../support/hostile-lock.js';
import { SERVICE, useService } from '../support/service.js';
import { asAgentOs } from '../support/stores.js';
import { needUsers } from '../support/users.js';

// Each makes files of their own beside the store, which the others must be able to use.

describe('security, a store that colleagues share in a folder of their group', () => {
  before(function () {
    needUsers(this);
  });
  const serve = useService();
  const [GROUP, COLLEAGUE] = [6000, 5002];

  const asOneOf = (uid: number): string[] => [
    'sh',
    '-c',
    'umask 002; exec "$@"',
    'sh',
    'setpriv',
    `--reuid=${uid}`,
    `--regid=${uid}`,
    `--groups=${GROUP}`,
  ];

  /** A store of the service in a folder that the group may write, and commands by either of them. */
  function share(folderMode = 0o2775) {
    const { store, home } = serve('wal');
    chownSync(home, SERVICE, GROUP);
    chownSync(store, SERVICE, GROUP);
    chmodSync(home, folderMode);
    chmodSync(store, 0o664);
    const by = (uid: number, ...words: string[]) =>
      spawnCli([...words, '--db-path', store], { prefix: asOneOf(uid) });
    const run = async (uid: number, ...words: string[]) => {
      const result = await by(uid, ...words);
      expect(result.code, `${uid}: ${words.join(' ')}\n${result.stdout}${result.stderr}`).to.equal(0);
      return result;
    };
    return { store, home, by, run };
  }

  for (const mode of [0o2775, 0o2770])
    it(`is migrated and restored by each of them, and by root, with the lock and backups of all: ${mode.toString(8)}`, async () => {
      const { store, run } = share(mode);
      const v20 = stateOf(store).tables.task_audits;
      await run(COLLEAGUE, 'up');
      expect(lstatSync(`${store}.lock`)).to.include({ uid: COLLEAGUE, gid: GROUP });
      await run(SERVICE, 'status');
      await run(SERVICE, 'verify');
      await run(SERVICE, 'restore');
      expect(stateOf(store).tables.task_audits).to.deep.equal(v20);
      await run(COLLEAGUE, 'up');
      await run(SERVICE, 'down');
      const [theirs = ''] = copiesOf(store).filter((path) => lstatSync(path).uid === COLLEAGUE);
      await run(SERVICE, 'restore', theirs, '--yes');
      await run(COLLEAGUE, 'up');
      await run(SERVICE, 'backfill', '--rescan', '--keep-backups', '1');
      expect(copiesOf(store)).to.have.length(1); // each other's, too, are removed
      const roots = await spawnCli(['status', '--db-path', store]);
      expect(roots.code, roots.stderr).to.equal(0);
    });

  it('is not used with the lock of a colleague that every user may write, unless they may write the store', async () => {
    const { store, by, run } = share();
    new Database(`${store}.lock`).exec(HOLDER_TABLE).close();
    chownSync(`${store}.lock`, COLLEAGUE, GROUP);
    chmodSync(`${store}.lock`, 0o666);
    const { message } = expectRefusal(await by(SERVICE, 'status'), 'LOCK_UNUSABLE', 1);
    expect(message).to.match(/ belongs to user id 5002, and every user may write it$/);
    chmodSync(store, 0o666);
    await run(SERVICE, 'status');
  });

  it('takes no lock and no backup of a user who is no owner where every user may add files, or no group may, and says which it passed over', async () => {
    const { store, home, by, run } = share();
    await run(COLLEAGUE, 'up');
    for (const mode of [0o755, 0o1777]) {
      chmodSync(home, mode);
      expectRefusal(await by(SERVICE, 'status'), 'LOCK_UNUSABLE', 1);
    }
    rmSync(`${store}.lock`);
    const { message, hint } = expectRefusal(await by(SERVICE, 'restore'), 'BACKUP_MISSING', 1);
    const [theirs = ''] = copiesOf(store);
    expect(message).to.equal(
      `All backups of ${store} in ${home} belong to other users, such as ${theirs} to user id ${COLLEAGUE}`,
    );
    expect(hint)
      .to.match(/umzug-backfill restore /)
      .and.to.include(` ${theirs}`);
    expectRefusal(await by(SERVICE, 'restore', theirs), 'BACKUP_UNTRUSTED', 1);
  });

  it('is opened by one while the application of another has it open', async () => {
    const { store, run } = share();
    const { uid, gid } = lstatSync(store);
    const db = new Database(store);
    asAgentOs(store, () => db.exec('UPDATE task_audits SET payload = payload'));
    for (const end of ['-wal', '-shm']) {
      chownSync(store + end, COLLEAGUE, GROUP);
      chmodSync(store + end, 0o664);
    }
    await run(SERVICE, 'status');
    await run(SERVICE, 'up');
    db.close();
    expect(lstatSync(store)).to.include({ uid, gid });
  });
});
