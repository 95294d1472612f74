import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { hostname } from 'node:os';
import Database from 'better-sqlite3';
import { expect } from 'chai';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { useFolder } from '../support/cli.js';
import { at, commandsOn, makeStore, refused, useRuns } from '../support/lock-runs.js';

describe('the run lock, between being signed and being held', () => {
  const folder = useFolder();
  const begin = useRuns();
  let count = 0;
  let store = '';
  beforeEach(() => {
    count += 1;
    store = folder.file(`store-${count}.db`);
    makeStore(store);
  });

  const rivals: Database.Database[] = [];
  afterEach(() => {
    for (const rival of rivals.splice(0)) rival.close();
  });

  /** Signs the lock as another process does, which then may keep it. */
  function sign(keeps: boolean, pid = 1): Database.Database {
    const rival = new Database(`${store}.lock`);
    rivals.push(rival);
    rival.exec(
      `UPDATE holder SET token = 'rival', pid = ${pid}, host = 'elsewhere', since = '2025-01-20T10:00:00.000Z'`,
    );
    if (keeps) rival.exec('BEGIN IMMEDIATE');
    return rival;
  }

  /** Calls `act` when the lock has been signed, the first times, and is held by nobody. */
  async function whenSigned<Result>(
    act: () => void,
    during: () => Promise<Result>,
    times = 1,
  ): Promise<Result> {
    let acted = 0;
    const listener = (point: unknown): void => {
      expect(point).to.include.keys('at', 'detail');
      const { at, detail } = point as { readonly at: string; readonly detail: string };
      if (acted === times || at !== 'lock' || detail !== 'signed') return;
      acted += 1;
      act();
    };
    subscribe('umzug-backfill:failpoint', listener);
    try {
      return await during();
    } finally {
      unsubscribe('umzug-backfill:failpoint', listener);
      expect(acted).to.equal(times);
    }
  }

  /** Insists that the run of this process has the lock, and that its name stands there. */
  const expectHeld = async (): Promise<unknown> =>
    expect((await refused(store)).message).to.include(
      `process ${process.pid} on ${hostname()}, since 2026-01-20`,
    );

  it('is signed again when a rival has had it meanwhile', async () => {
    const rival = (): void => {
      const other = sign(true);
      setImmediate(() => other.exec('ROLLBACK'));
    };
    const extra = { ...at('2026-01-20T10:00:00Z'), lockTimeoutMs: 60_000 };
    await whenSigned(rival, () => begin(store, extra));
    await expectHeld();
  });

  // In containers that share a volume, processes have the same number.
  for (const [what, pid] of [
    ['a rival', 1],
    ['a rival of the same number', process.pid],
  ] as const)
    it(`is signed again when ${what} has signed and lost it at once`, async () => {
      await whenSigned(
        () => void sign(false, pid),
        () => begin(store, at('2026-01-20T10:00:00Z')),
      );
      await expectHeld();
    });

  it('is not had where rivals sign over it time and again, and is once they let it be', async () => {
    const over = (): void => void sign(false);
    const { message } = await whenSigned(over, () => refused(store), 5);
    expect(message).to.include(': process 1 on elsewhere');
    await begin(store, at('2026-01-20T10:00:00Z'));
    await expectHeld();
  });

  it('is refused when a rival keeps it, whom the refusal names', async () => {
    const { message } = await whenSigned(
      () => void sign(true),
      () => refused(store, at('2026-01-20T10:00:00Z')),
    );
    expect(message).to.match(/: process 1 on elsewhere, since 2025-01-20T10:00:00\.000Z$/);
    expect((await commandsOn(store).status()).lock).to.have.nested.property('holder.pid', 1);
  });
});
