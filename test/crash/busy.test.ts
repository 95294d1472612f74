import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { expectRefusal, startScript } from '../support/cli.js';
import { useConnections } from '../support/connection.js';
import { expectIntact } from '../support/expect-ledger.js';
import { differences, type State } from '../support/expect-same.js';
import { type Mode, modes, on, useStores, WRITER } from '../support/on-store.js';
import { pausedAt } from '../support/pause.js';
import { lasting, stateOf } from '../support/store-state.js';

// Another program keeps the store locked for longer than SQLite is told to wait for it.

describe('a store that another program keeps locked', () => {
  const copy = useStores();
  const connect = useConnections();
  const states: Partial<Record<Mode, { readonly original: State; readonly whole: State }>> = {};

  before(async () => {
    for (const mode of modes) {
      const store = copy(mode);
      const original = stateOf(store);
      await on(store).run(['up', '--batch-size', '10']);
      states[mode] = { original, whole: stateOf(store) };
    }
  });

  const READER = 'BEGIN; SELECT count(*) FROM task_audits';
  const locks: readonly (readonly [mode: Mode, title: string, sql: string])[] = [
    ['wal', 'a writer in a transaction', 'BEGIN IMMEDIATE'],
    ['delete', 'a writer in a transaction', 'BEGIN IMMEDIATE'],
    ['delete', 'a writer that lets nobody read', 'BEGIN EXCLUSIVE'],
    ['delete', 'a reader that no commit can pass', READER],
  ];

  /** Runs a command that finds the lock taken when its nth commit is behind it, and does not get it before it has said so. */
  async function runLocked(store: string, args: readonly string[], nth: number, sql: string): Promise<void> {
    const other = await connect(store);
    let released: Promise<void> | undefined;
    const result = await pausedAt(
      [...args, '--db-path', store],
      { at: 'commit', nth },
      () => other.run(sql),
      {
        onStderr: (text: string) => {
          if (text.includes('"event":"store_busy"')) released ??= other.end();
        },
      },
    );
    await other.end();
    expect(result.code, `${sql}: ${result.stderr}`).to.equal(0);
    expect(released, 'whether it was told that the store is busy').not.to.equal(undefined);
    expectIntact(store);
  }

  // Each waits for about as long, side by side.
  it('is waited for in the middle of `up`', async () => {
    const stores = locks.map(([mode]) => copy(mode));
    const upTo = ['up', '--batch-size', '10'];
    await Promise.all(locks.map(({ 2: sql }, i) => runLocked(stores[i] ?? '', upTo, 12, sql)));
    locks.forEach(([mode, title], i) => {
      const found = differences(lasting(stateOf(stores[i] ?? '')), lasting(states[mode]?.whole ?? {}));
      expect(found, `${title} (${mode})`).to.deep.equal([]);
    });
  });

  it('is waited for in the middle of `down`', async () => {
    const stores = locks.map(([mode]) => copy(mode));
    for (const store of stores) await on(store).run(['up', '--batch-size', '10']);
    await Promise.all(
      locks.map(({ 2: sql }, i) => runLocked(stores[i] ?? '', ['down', '--to', '0'], 6, sql)),
    );
    locks.forEach(([mode, title], i) => {
      const found = differences(stateOf(stores[i] ?? ''), states[mode]?.original ?? {});
      expect(found, `${title} (${mode})`).to.deep.equal([]);
    });
  });

  it('is waited for between two steps, too, where nothing tells of it', async () => {
    const store = copy('delete');
    // Lets go by itself: nothing that the command says could be the sign to do it.
    const script = `${WRITER} setTimeout(() => process.exit(), 2500);`;
    const { code, stderr } = await pausedAt(
      ['up', '--batch-size', '10', '--db-path', store],
      { at: 'commit', nth: 5 },
      () => startScript(script, store, 'BEGIN IMMEDIATE'),
    );
    expect(code, stderr).to.equal(0);
    expect(differences(lasting(stateOf(store)), lasting(states.delete?.whole ?? {}))).to.deep.equal([]);
  });

  it('is not waited for without an end, and what was done is kept', async function () {
    if (process.env.UMZUG_BACKFILL_CRASH !== 'long') {
      console.log('    skipped: it takes 15 seconds, see UMZUG_BACKFILL_CRASH=long');
      this.skip();
    }
    const store = copy('wal');
    const args = ['up', '--batch-size', '10', '--db-path', store];
    const other = await connect(store);
    const result = await pausedAt(args, { at: 'commit', nth: 12 }, () => other.run('BEGIN IMMEDIATE'));
    await other.end();
    expectRefusal(result, 'STORE_BUSY', 1);
    const { steps } = (await on(store).look(['status', '--json'], 0)).json();
    expect(steps[1]).to.deep.include({ state: 'applying' });
    expect(steps[1].backfill.batches).to.be.above(0);
    await on(store).run(args.slice(0, 3));
    expect(differences(lasting(stateOf(store)), lasting(states.wal?.whole ?? {}))).to.deep.equal([]);
  });
});
