import { copyFileSync } from 'node:fs';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { expectRefusal, spawnCli } from '../support/cli.js';
import { useConnections } from '../support/connection.js';
import { filesOf, overwrite, stateOf } from '../support/copies.js';
import { type Mode, on, useStores } from '../support/on-store.js';

// A damaged store can only be replaced, and never under a program that has it open: what that writes would be lost, or what
// its -wal or its -journal holds be applied to the new file.

describe('restore, of a damaged store that another process has open', () => {
  const copy = useStores();
  const connect = useConnections();

  const uses: readonly (readonly [mode: Mode, title: string, sql: string])[] = [
    ['wal', 'that has written', "UPDATE tasks SET title = 'new'"],
    ['wal', 'that has only read', 'SELECT count(*) FROM tasks'],
    ['wal', 'that reads', 'BEGIN; SELECT count(*) FROM tasks'],
    ['wal', 'that writes', "BEGIN IMMEDIATE; UPDATE tasks SET title = 'new'"],
    ['delete', 'that reads', 'BEGIN; SELECT * FROM tasks'],
    ['delete', 'that writes', "BEGIN IMMEDIATE; UPDATE tasks SET title = 'new'"],
  ];
  it('is refused with STORE_IN_USE, and done once that has ended', async () => {
    // Each waits for the same bounded time, side by side; SQLite is asked by this process when no command runs.
    const cases = uses.map(([mode, title, sql]) => {
      const store = copy(mode);
      copyFileSync(store, `${store}.backup-20260101T000000Z`);
      return { store, title: `${mode}, one ${title}`, sql, was: stateOf(`${store}.backup-20260101T000000Z`) };
    });
    await Promise.all(
      cases.map(async ({ store, title, sql }) => {
        const other = await connect(store);
        await other.run(sql);
        overwrite(store, 0, Buffer.alloc(100, 0xa5));
        const before = filesOf(store);
        const refused = await spawnCli(['restore', `${store}.backup-20260101T000000Z`, '--db-path', store]);
        const after = filesOf(store);
        expectRefusal(refused, 'STORE_IN_USE', 1);
        expect({ ...after, sidecars: [] }, title).to.deep.equal({ ...before, sidecars: [] });
        const added = after.sidecars.filter((name) => !before.sidecars.includes(name));
        for (const name of added)
          expect(name, title).to.match(/^store\.db\.before-restore-\w+(?:-wal|-journal)?$/);
        await other.end();
      }),
    );
    for (const { store, title, was } of cases) {
      const { isReplaced } = (
        await on(store).run(['restore', `${store}.backup-20260101T000000Z`, '--json'])
      ).json();
      expect(isReplaced, title).to.equal(true);
      expect(stateOf(store), title).to.deep.equal(was);
    }
  });

  it('can not be known of an idle one in rollback mode: it is told to restart', async () => {
    const store = copy('delete');
    copyFileSync(store, `${store}.backup-20260101T000000Z`);
    const was = stateOf(store);
    const idle = await connect(store);
    await idle.run('SELECT count(*) FROM tasks');
    overwrite(store, 0, Buffer.alloc(100, 0xa5));
    const { stdout } = await on(store).run(['restore', `${store}.backup-20260101T000000Z`]);
    expect(stdout).to.match(/replaced: restart every program that may have had the store open/);
    await idle.end();
    expect(stateOf(store)).to.deep.equal(was);
  });
});
