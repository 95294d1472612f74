import { copyFileSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import { useAuditWriters } from '../support/audit-writer.js';
import { type CliResult, spawnCli, useFolder } from '../support/cli.js';
import { expectIntact, expectLedger } from '../support/expect-ledger.js';
import { differences, type State } from '../support/expect-same.js';
import { name } from '../support/migrate.js';
import { type Mode, modes, on, useStores } from '../support/on-store.js';
import { ended, pausedAt } from '../support/pause.js';
import { actualCells, expectedCells } from '../support/reference.js';
import { lasting, stateOf } from '../support/store-state.js';
import { asAgentOs } from '../support/stores.js';

// Eight processes start on one store at once, as every pod of a deploy does.

const rivals = 8;
const rounds = process.env.UMZUG_BACKFILL_CRASH === 'long' ? 10 : 1;

const upOn = (store: string): readonly string[] => ['up', '--json', '--batch-size', '10', '--db-path', store];

const startAll = (store: string, count = rivals): Promise<CliResult>[] =>
  Array.from({ length: count }, () => spawnCli(upOn(store)));

/** Insists that each process ended well, and returns what each says that it did. */
const doneBy = (
  results: readonly CliResult[],
): { applied: string[]; caughtUp: string[]; backup?: object }[] =>
  results.map((result) => {
    expect(result.code, result.stdout + result.stderr).to.equal(0);
    return result.json();
  });

const backupsOf = (store: string): string[] =>
  readdirSync(dirname(store)).filter((file) => file.startsWith(`${basename(store)}.backup-`));

/** Insists that nothing else stands beside a store: SQLite's own files may. */
function expectNoLitter(store: string): void {
  const known = ['', '.lock', '-wal', '-shm'].map((suffix) => basename(store) + suffix);
  const litter = readdirSync(dirname(store)).filter((file) => !known.includes(file));
  expect(litter).to.have.members(backupsOf(store));
}

describe('eight processes that start `up` on one store at once', () => {
  const copy = useStores();
  const whole: Partial<Record<Mode, State>> = {};

  before(async () => {
    for (const mode of modes) {
      const store = copy(mode);
      await on(store).run(['up', '--batch-size', '10']);
      whole[mode] = stateOf(store);
    }
  });

  /** Insists that the store is as one run alone would have left it, with one backup. */
  function expectWhole(store: string, mode: Mode): void {
    expectIntact(store);
    expect(differences(lasting(stateOf(store)), lasting(whole[mode] ?? {}))).to.deep.equal([]);
    expect(backupsOf(store)).to.have.length(1);
    expectNoLitter(store);
  }

  for (const mode of modes) {
    for (let round = 1; round <= rounds; round += 1) {
      it(`one applies, and each batch once (${mode}, ${round})`, async () => {
        const store = copy(mode);
        const original = actualCells(store);
        const done = doneBy(await Promise.all(startAll(store)));
        const names = done.map(({ applied }) => applied.join(' ')).filter((applied) => applied !== '');
        expect(names).to.deep.equal([`v021-1-decision-columns ${name}`]);
        expect(done.filter(({ backup }) => backup !== undefined)).to.have.length(1);
        expect(done.flatMap(({ caughtUp }) => caughtUp)).to.deep.equal([]);
        expectWhole(store, mode);
        expectLedger(store, original);
      });
    }

    it(`one goes on where another was killed, the others find nothing to do (${mode})`, async () => {
      const store = copy(mode);
      let waiting: Promise<CliResult>[] = [];
      const killed = await pausedAt(upOn(store), { at: 'commit', nth: 12 }, async (child) => {
        const gone = ended(child);
        let waits = 0;
        await new Promise<void>((resolve, reject) => {
          waiting = Array.from({ length: rivals - 1 }, () => {
            let isTold = false;
            const onStderr = (text: string): void => {
              if (isTold || !text.includes('lock_waiting')) return;
              isTold = true;
              waits += 1;
              if (waits === rivals - 1) resolve();
            };
            return spawnCli(upOn(store), { onStderr });
          });
          Promise.all(waiting).then(() => reject(new Error('Expected every rival to wait')), reject);
        });
        child.kill('SIGKILL');
        await gone;
      });
      expect(killed.signal).to.equal('SIGKILL');
      const done = doneBy(await Promise.all(waiting));
      const names = done.map(({ applied }) => applied.join(' ')).filter((applied) => applied !== '');
      expect(names).to.deep.equal([name]);
      expectWhole(store, mode);
    });
  }
});

describe('eight processes that start `up` while another program writes', () => {
  const generated = useStores();
  const startAuditWriter = useAuditWriters();
  const folder = useFolder();
  let copies = 0;

  // In memory where there is such a disk: in rollback mode each row of the other program is synced several times, and many a disk
  // is too slow for 200 rows a second.
  let memory = '';
  before(() => {
    memory = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'umzug-backfill-'));
  });
  after(() => rmSync(memory, { recursive: true, force: true }));
  const copy = (mode: Mode): string => {
    const store = join(mkdtempSync(join(memory, 'copy-')), 'store.db');
    copyFileSync(generated(mode), store);
    return store;
  };

  const countAudits = (store: string): number =>
    asAgentOs(store, (db) => db.prepare('SELECT count(*) FROM task_audits').pluck().get() as number);

  /** What every row must hold, worked out from a copy on which nothing was filled. */
  function expectedOf(store: string): ReturnType<typeof expectedCells> {
    copies += 1;
    const unfilled = folder.file(`unfilled-${copies}.db`);
    asAgentOs(store, (db) => db.prepare('VACUUM INTO ?').run(unfilled));
    asAgentOs(unfilled, (db) =>
      db.exec('UPDATE task_audits SET source_event_ts = NULL, supervisor_processed_at = NULL'),
    );
    return expectedCells(unfilled);
  }

  for (const mode of modes) {
    for (let round = 1; round <= rounds; round += 1) {
      it(`loses none of its rows and keeps it from none (${mode}, ${round})`, async () => {
        const store = copy(mode);
        const [before, original] = [countAudits(store), actualCells(store)];
        const { stop } = await startAuditWriter(store);
        const done = doneBy(await Promise.all(startAll(store)));
        expect(done.filter(({ applied }) => applied.length > 0)).to.have.length(1);
        const during = countAudits(store);
        expect(during, 'rows written meanwhile').to.be.above(before);
        while (countAudits(store) < during + 4) await sleep(10); // one of which is in scope
        const { keys, failures } = await stop();
        expect(failures).to.deep.equal([]);
        expect(countAudits(store)).to.equal(before + keys.length);

        const { run, look } = on(store);
        expect((await run(['backfill', '--json'])).json().ran).to.deep.equal([name]);
        const cells = actualCells(store);
        expect(keys.filter((key) => !cells.has(key))).to.deep.equal([]);
        const missed = [...expectedOf(store)].filter(
          ([key, both]) => String(cells.get(key)) !== String(both),
        );
        expect(missed).to.deep.equal([]);
        await look(['status', '--check']);
        expectIntact(store);
        expectNoLitter(store);
        const none = new Map([...cells.keys()].map((key) => [key, [null, null] as const]));
        expectLedger(store, new Map([...none, ...original]), rivals + 2);
      });
    }
  }
});
