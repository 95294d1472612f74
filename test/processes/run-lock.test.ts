import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { dirname, join } from 'node:path';
import Database from 'better-sqlite3';
import { expect } from 'chai';
import { beforeEach, describe, it } from 'mocha';
import type { MigratorEvent } from '../../src/index.js';
import { expectRefusal, runCli, startScript, useFolder } from '../support/cli.js';
import { runRival, useHolders } from '../support/lock.js';
import { at, commandsOn, heldSince, makeStore, refused, useRuns, waits } from '../support/lock-runs.js';
import { on, useStores, WRITER } from '../support/on-store.js';
import { ended, LOCKED, pausedAt } from '../support/pause.js';
import { failureOf } from '../support/stores.js';

describe('the run lock', () => {
  const folder = useFolder();
  const copy = useStores();
  const startHolder = useHolders();
  const begin = useRuns();
  let count = 0;
  let store = '';

  beforeEach(() => {
    count += 1;
    mkdirSync(folder.file(`own-${count}`));
    store = folder.file(`own-${count}/store.db`);
    makeStore(store);
  });

  it('is held by one at a time, in one process too', async () => {
    const { end } = await begin(store);
    await refused(store);
    await refused(store, { lockTimeoutMs: 1 });
    await end();
    await begin(store);
    await refused(store);
  });

  it('names its holder, also behind others that held it before', async () => {
    await commandsOn(store).up({}, at('2023-01-20T10:00:00Z'));
    await commandsOn(store).down({}, at('2024-01-20T10:00:00Z'));
    await commandsOn(store).up({}, at('2025-01-20T10:00:00Z'));
    await begin(store, at('2026-01-20T10:00:00Z'));
    const { message, hint } = await refused(store, at('2027-01-20T10:00:00Z'));
    expect(message).to.equal(
      `Another command holds the lock of this store: process ${process.pid} on ${hostname()}, since 2026-01-20T10:00:00.000Z`,
    );
    expect(hint).to.match(/--lock-timeout \d+$/);
  });

  it('names nobody when its holder has not signed it yet', async () => {
    const own = copy('wal');
    await on(own).run(['up', '--step', '1']);
    const { end } = await startScript(WRITER, `${own}.lock`, 'DELETE FROM holder; BEGIN IMMEDIATE');
    for (const json of [[], ['--json']]) {
      const result = await runCli(['up', '--lock-timeout', '0', '--db-path', own, ...json]);
      expect(expectRefusal(result, 'RUN_LOCKED', 4).message).to.equal(
        'Another command holds the lock of this store: a process that has just started',
      );
    }
    const { stdout } = await runCli(['status', '--db-path', own]);
    expect(stdout).to.include('Run in progress: it has just started');
    await end();
    await on(own).run(['up']);
  });

  it('is waited for, told once by whom it is held, and had as soon as it is free', async () => {
    const { end } = await begin(store, at('2026-01-20T10:00:00Z'));
    const { told, onEvent } = waits();
    let isHeld = true;
    const waiting = commandsOn(store)
      .up({}, { lockTimeoutMs: 60_000, onEvent })
      .then(({ applied }) => expect({ isHeld, applied }).to.deep.equal({ isHeld: false, applied: [] }));
    await refused(store, { lockTimeoutMs: 500 }); // by then the other has asked several times
    const expected = [{ event: 'lock_waiting', ...heldSince('2026-01-20T10:00:00.000Z') }];
    expect(told).to.deep.equal(expected);
    isHeld = false;
    await end();
    await waiting;
    expect(told).to.deep.equal(expected);
  });

  it('is waited for no longer once the signal of a migrator has come', async () => {
    const { end } = await begin(store);
    const stopper = new AbortController();
    const onEvent = ({ event }: MigratorEvent): void => {
      if (event === 'lock_waiting') stopper.abort('SIGTERM');
    };
    const waiting = { lockTimeoutMs: 3_600_000, onEvent, signal: stopper.signal };
    const error = await failureOf('TERMINATED', () => commandsOn(store).up({}, waiting));
    expect(error.message).to.include('while waiting for the run lock');
    await end();
  });

  it('tells nobody of a wait that there is not', async () => {
    const { told, onEvent } = waits();
    await commandsOn(store).up({}, { lockTimeoutMs: 60_000, onEvent });
    await begin(store, { onEvent });
    await refused(store, { onEvent });
    expect(told).to.deep.equal([]);
  });

  it('is one lock through a link to the store, and through a link to its folder', async () => {
    const [link, elsewhere] = [join(dirname(store), 'link.db'), folder.file(`elsewhere-${count}`)];
    symlinkSync(store, link);
    symlinkSync(dirname(store), elsewhere);
    const pairs = [
      [link, store],
      [store, link],
      [join(elsewhere, 'store.db'), link],
      [link, join(elsewhere, 'link.db')],
    ] as const;
    for (const [path, other] of pairs) {
      const { end } = await begin(path);
      await refused(other);
      await end();
    }
    const locks = readdirSync(dirname(store)).filter((name) => name.endsWith('.lock'));
    expect(locks).to.deep.equal(['store.db.lock']);
  });

  it('is one for each store', async () => {
    const other = folder.file(`other-${count}.db`);
    makeStore(other);
    await begin(store);
    await begin(other);
  });

  it('keeps its file, the same one for good', async () => {
    await commandsOn(store).up();
    const { ino, dev } = statSync(`${store}.lock`);
    await commandsOn(store).down();
    await (await startHolder(store)).end();
    await commandsOn(store).up();
    expect(statSync(`${store}.lock`)).to.include({ ino, dev });
  });

  it('is free as soon as its holder is killed', async () => {
    store = copy('wal');
    for (const command of ['up', 'down', 'up'] as const) {
      const killed = await pausedAt(['up', '--db-path', store], LOCKED, async (child) => {
        expect((await refused(store)).message).to.include(`process ${child.pid} on ${hostname()}, since `);
        const gone = ended(child);
        child.kill('SIGKILL');
        await gone;
        await commandsOn(store)[command]();
      });
      expect(killed.signal).to.equal('SIGKILL');
    }
  });

  it('goes to one that waits when its holder is killed', async () => {
    store = copy('wal');
    await pausedAt(['up', '--db-path', store], LOCKED, async (child) => {
      const { told, first, onEvent } = waits();
      const waiting = commandsOn(store).up({}, { lockTimeoutMs: 60_000, onEvent });
      await first;
      child.kill('SIGKILL');
      expect(await waiting).to.deep.include({ applied: ['001-made'] });
      expect(told.map((event) => 'pid' in event && event.pid)).to.deep.equal([child.pid]);
    });
  });

  it('lets 20 processes in one after the other', async () => {
    const [file, rounds] = [folder.file('entries'), 2];
    const db = new Database(store);
    db.exec('CREATE TABLE rows (id INTEGER PRIMARY KEY, filled); INSERT INTO rows (id) VALUES (1)');
    db.close();
    expect(await runRival(store, file, 'up')).to.equal(0);
    writeFileSync(file, '');
    const rivals = Array.from({ length: 20 }, () => runRival(store, file, 'backfill', rounds));
    expect(await Promise.all(rivals)).to.deep.equal(rivals.map(() => 0));
    const lines = readFileSync(file, 'utf8').trimEnd().split('\n');
    expect(lines).to.have.length(2 * rounds * rivals.length);
    const torn = lines.filter((line, i) => i % 2 === 1 && line !== lines[i - 1]?.replace('in', 'out'));
    expect(torn, 'out of another than the last that went in').to.deep.equal([]);
    expect(new Set(lines).size).to.equal(2 * rivals.length);
  });

  it('can be looked at: whether it is held, and by whom', async () => {
    const look = async () => (await commandsOn(store).status()).lock;
    expect(await look()).to.deep.equal({ state: 'free' });
    expect(existsSync(`${store}.lock`), 'a look makes no file').to.equal(false);
    const { end } = await begin(store, at('2026-01-20T10:00:00Z'));
    const holder = heldSince('2026-01-20T10:00:00.000Z');
    expect(await look()).to.deep.equal({ state: 'held', holder });
    await refused(store); // a look lets nobody in
    await end();
    expect(await look(), 'whoever had it last').to.deep.equal({ state: 'free' });
    await commandsOn(store).down(); // and keeps nobody out
    const other = await startHolder(store);
    expect((await look()).holder?.pid).to.equal(other.pid);
  });

  it('says when it is damaged as it is looked at', async () => {
    writeFileSync(`${store}.lock`, 'no database, and long enough to be one: '.repeat(30));
    const thrown: unknown = await commandsOn(store)
      .status()
      .catch((error: unknown) => error);
    expect(thrown).to.include({ code: 'LOCK_UNUSABLE' });
    expect(String(thrown)).to.match(/cannot be opened \(SQLITE_NOTADB\)/);
  });
});
