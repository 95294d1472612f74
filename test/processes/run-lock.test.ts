import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { dirname, join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import Database from 'better-sqlite3';
import { expect } from 'chai';
import { afterEach, beforeEach, describe, it } from 'mocha';
import type { BackfillError } from '../../src/errors.js';
import { FAILPOINT_CHANNEL, type Failpoint } from '../../src/failpoint.js';
import { type LockHolder, type LockOptions, lookAtLock, RunLock } from '../../src/ledger/run-lock.js';
import { locateStore } from '../../src/store/path.js';
import { useFolder } from '../support/cli.js';
import { runRival, useHolders } from '../support/lock.js';
import { failureOf } from '../support/stores.js';

describe('RunLock', () => {
  const folder = useFolder();
  const startHolder = useHolders();
  const held: RunLock[] = [];
  let count = 0;
  let store = '';

  beforeEach(() => {
    // The lock looks at the store's path, owner and mode; what stands in it is no matter.
    count += 1;
    store = folder.file(`store-${count}.db`);
    writeFileSync(store, 'x');
  });
  afterEach(() => {
    for (const lock of held.splice(0)) lock.release();
  });

  const acquire = async (options: Partial<LockOptions> = {}, path = store): Promise<RunLock> => {
    const lock = await RunLock.acquire(locateStore(path), { timeoutMs: 0, ...options });
    held.push(lock);
    return lock;
  };
  const release = (lock: RunLock): void => {
    held.splice(held.indexOf(lock), 1);
    lock.release();
  };
  const refused = (options: Partial<LockOptions> = {}, path = store): Promise<BackfillError> =>
    failureOf('RUN_LOCKED', () => acquire(options, path));
  const at = (time: string) => ({ now: () => new Date(time) });

  it('is held by one at a time, in one process too', async () => {
    const first = await acquire();
    await refused();
    await refused({ timeoutMs: 1 });
    release(first);
    await acquire();
    await refused();
  });

  it('names its holder, also behind others that held it before', async () => {
    for (const year of [2023, 2024, 2025]) release(await acquire(at(`${year}-01-20T10:00:00Z`)));
    await acquire(at('2026-01-20T10:00:00Z'));
    const { message, hint } = await refused(at('2027-01-20T10:00:00Z'));
    expect(message).to.equal(
      `Another run holds the lock of this store: process ${process.pid} on ${hostname()}, since 2026-01-20T10:00:00.000Z`,
    );
    expect(hint).to.match(/--lock-timeout \d+$/);
  });

  it('is waited for, told once by whom it is held, and had as soon as it is free', async () => {
    const first = await acquire(at('2026-01-20T10:00:00Z'));
    const told: (LockHolder | undefined)[] = [];
    let isHeld = true;
    const waiting = acquire({ timeoutMs: 60_000, onWait: (holder) => told.push(holder) }).then(() =>
      expect(isHeld, 'whether the first had it still').to.equal(false),
    );
    await refused({ timeoutMs: 500 }); // by then the other has asked several times
    expect(told).to.deep.equal([{ pid: process.pid, host: hostname(), since: '2026-01-20T10:00:00.000Z' }]);
    isHeld = false;
    release(first);
    await waiting;
    expect(told).to.have.length(1);
  });

  it('tells nobody of a wait that there is not', async () => {
    const told: unknown[] = [];
    const onWait = () => told.push('waited');
    release(await acquire({ timeoutMs: 60_000, onWait }));
    await acquire();
    await refused({ timeoutMs: 0, onWait });
    expect(told).to.deep.equal([]);
  });

  it('is one lock through a link to the store, and through a link to its folder', async () => {
    const name = store.slice(dirname(store).length + 1);
    const [link, elsewhere] = [folder.file(`link-${count}.db`), folder.file(`elsewhere-${count}`)];
    symlinkSync(store, link);
    symlinkSync(folder.path, elsewhere);
    for (const [path, other] of [
      [link, store],
      [store, link],
      [join(elsewhere, name), link],
      [link, join(elsewhere, name)],
    ] as const) {
      const lock = await acquire({}, path);
      await refused({}, other);
      release(lock);
      expect(statSync(`${link}.lock`, { throwIfNoEntry: false })).to.equal(undefined);
    }
  });

  it('is one for each store', async () => {
    const other = folder.file(`other-${count}`);
    mkdirSync(other);
    writeFileSync(join(other, 'store.db'), 'x');
    await acquire();
    await acquire({}, join(other, 'store.db'));
  });

  it('keeps its file, the same one for good', async () => {
    release(await acquire());
    const first = statSync(`${store}.lock`);
    release(await acquire());
    await (await startHolder(store)).end();
    release(await acquire());
    expect(statSync(`${store}.lock`)).to.include({ ino: first.ino, dev: first.dev });
  });

  it('is free as soon as its holder is killed', async () => {
    for (let time = 0; time < 3; time += 1) {
      const holder = await startHolder(store);
      expect((await refused()).message).to.include(`process ${holder.pid} on ${hostname()}, since `);
      await holder.end();
      release(await acquire());
    }
  });

  it('goes to one that waits when its holder is killed', async () => {
    const holder = await startHolder(store);
    let ending: Promise<void> | undefined;
    await acquire({
      timeoutMs: 60_000,
      onWait: (told) => {
        expect(told?.pid).to.equal(holder.pid);
        ending = holder.end();
      },
    });
    expect(ending, 'whether it waited').not.to.equal(undefined);
    await ending;
  });

  it('lets 20 processes in one after the other', async () => {
    const [file, rounds] = [folder.file('entries'), 3];
    const codes = await Promise.all(Array.from({ length: 20 }, () => runRival(store, file, rounds)));
    expect(codes).to.deep.equal(codes.map(() => 0));
    const lines = readFileSync(file, 'utf8').trimEnd().split('\n');
    expect(lines).to.have.length(2 * rounds * codes.length);
    const torn = lines.filter((line, i) => i % 2 === 1 && line !== lines[i - 1]?.replace('in', 'out'));
    expect(torn, 'out of another than the last that went in').to.deep.equal([]);
    expect(new Set(lines).size).to.equal(2 * codes.length);
  });

  it('can be looked at: whether it is held, and by whom', async () => {
    const look = () => lookAtLock(locateStore(store));
    expect(look()).to.deep.equal({ state: 'free' });
    expect(statSync(`${store}.lock`, { throwIfNoEntry: false }), 'a look makes no file').to.equal(undefined);
    const lock = await acquire(at('2026-01-20T10:00:00Z'));
    const holder = { pid: process.pid, host: hostname(), since: '2026-01-20T10:00:00.000Z' };
    expect(look()).to.deep.equal({ state: 'held', holder });
    await refused(); // a look lets nobody in
    release(lock);
    expect(look(), 'whoever had it last').to.deep.equal({ state: 'free' });
    await acquire(); // and keeps nobody out
    const other = await startHolder(folder.file('store-1.db'));
    expect(lookAtLock(locateStore(folder.file('store-1.db'))).holder?.pid).to.equal(other.pid);
  });

  it('says when it is damaged as it is looked at', () => {
    writeFileSync(`${store}.lock`, 'no database, and long enough to be one: '.repeat(30));
    expect(() => lookAtLock(locateStore(store))).to.throw(/can not be opened \(SQLITE_NOTADB\)/);
  });

  describe('between signing and holding', () => {
    /** Calls `act` when the lock has been signed for the nth time, and is held by nobody. */
    async function whenSigned<Result>(
      nth: number,
      act: () => void,
      during: () => Promise<Result>,
    ): Promise<Result> {
      let signed = 0;
      const listener = (point: unknown): void => {
        const { at, detail } = point as Failpoint;
        if (at !== 'lock' || detail !== 'signed') return;
        signed += 1;
        if (signed === nth) act();
      };
      subscribe(FAILPOINT_CHANNEL, listener);
      try {
        return await during();
      } finally {
        unsubscribe(FAILPOINT_CHANNEL, listener);
      }
    }

    it('is signed again when a rival has had it meanwhile', async () => {
      const rival = (): void => void acquire(at('2025-01-20T10:00:00Z')).then(release);
      // A rival's `acquire` runs until it has the lock before it returns; it gives it back a turn later.
      await whenSigned(1, rival, () => acquire({ ...at('2026-01-20T10:00:00Z'), timeoutMs: 60_000 }));
      expect((await refused()).message).to.include('2026-01-20T10:00:00.000Z');
      expect(held).to.have.length(1);
    });

    it('is signed again when a rival has signed and lost it at once', async () => {
      const sign = (): void => {
        const db = new Database(`${store}.lock`);
        db.exec(
          `UPDATE holder SET token = 'rival', pid = 1, host = 'elsewhere', since = '2025-01-20T10:00:00.000Z'`,
        );
        db.close();
      };
      await whenSigned(1, sign, () => acquire(at('2026-01-20T10:00:00Z')));
      expect((await refused()).message).to.include(
        `process ${process.pid} on ${hostname()}, since 2026-01-20`,
      );
    });

    it('is refused when a rival keeps it, whom the refusal names', async () => {
      let rival: Promise<RunLock> | undefined;
      const keep = (): void => {
        rival = acquire(at('2025-01-20T10:00:00Z'));
      };
      const { message } = await whenSigned(1, keep, () => refused(at('2026-01-20T10:00:00Z')));
      expect(message).to.include('2025-01-20T10:00:00.000Z');
      await rival;
      await nextTurn();
      expect(held).to.have.length(1);
    });
  });
});
