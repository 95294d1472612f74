import { copyFileSync } from 'node:fs';
import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { generateStore } from '../../demo/store-generator.js';
import { spawnCli, useFolder } from '../support/cli.js';
import { expectIntact, expectLedger } from '../support/expect-ledger.js';
import { killedAt, pointsOf } from '../support/failpoints.js';
import { readLedger } from '../support/ledger.js';
import { name } from '../support/migrate.js';
import { on } from '../support/on-store.js';
import { actualCells, expectedCells } from '../support/reference.js';
import { dumpSchema, dumpTable } from '../support/stores.js';

// What one kill costs at a given statement or commit. All other instants, and what is mended then: test/crash/kill.test.ts.

const UP = ['up', '--no-backup', '--batch-size', '20', '--db-path'];
const DOWN = ['down', '--to', '0', '--yes', '--no-backup', '--batch-size', '20', '--db-path'];
const ROWS = { audits: 200, rareShare: 0.1 };
const MODES = ['wal', 'delete'] as const;
type Mode = (typeof MODES)[number];

/** Statements of which each is one within a transaction, and what a batch is known by. */
const WITHIN = {
  step: 'INSERT INTO umzug_backfill_steps',
  applied: `UPDATE umzug_backfill_steps SET status = 'applied'`,
  run: 'INSERT INTO umzug_backfill_runs',
  batch: 'INSERT INTO umzug_backfill_batches',
  filled: `UPDATE umzug_backfill_runs SET status = 'filled'`,
} as const;
const REVERTED = 'DELETE FROM umzug_backfill_batches';

const original = (path: string) => ({
  schema: dumpSchema(path),
  audits: dumpTable(path, 'task_audits'),
  versions: dumpTable(path, 'schema_version'),
});

describe('one kill', () => {
  const folder = useFolder();
  const file = (of: string): string => folder.file(`${of}.db`);

  /** The commands' points, as many as an uninterrupted one passes. */
  const points: Record<'up' | 'down', readonly { readonly at: string; readonly detail: string }[]> = {
    up: [],
    down: [],
  };

  before(async () => {
    for (const journalMode of MODES) generateStore({ ...ROWS, path: file(journalMode), journalMode });
    copyFileSync(file('wal'), file('whole'));
    points.up = await pointsOf([...UP, file('whole')], folder.file('points'));
    points.down = await pointsOf([...DOWN, file('whole')], folder.file('points'));
  });

  /** Kills a command right behind the commit of the k-th transaction with such a statement. */
  async function killedBehind(command: 'up' | 'down', statement: string, k: number, path: string) {
    let seen = 0;
    const at = points[command].findIndex((point) => {
      if (point.detail.startsWith(statement)) seen += 1;
      return point.at === 'commit' && seen === k;
    });
    expect(at, 'the commit').to.be.at.least(0);
    await killedAt([...(command === 'up' ? UP : DOWN), path], { nth: at + 1 });
  }

  let copies = 0;

  /** A store at v20 to which nobody has a connection. */
  function fresh(mode: Mode = 'wal'): string {
    copies += 1;
    const path = file(`copy-${copies}`);
    copyFileSync(file(mode), path);
    return path;
  }

  /** Runs a command to its end. */
  const run = (args: readonly string[], path: string) => on(path).run(args.slice(0, -1));

  describe('up, killed', () => {
    const within = [
      ...([1, 2] as const).map((k) => ['step', k, 0] as const),
      ['applied', 1, 0],
      ['run', 1, 0],
      ...([1, 2, 5, 7] as const).map((k) => ['batch', k, k - 1] as const),
      ['filled', 1, 6],
      ['applied', 2, 7],
    ] as const;
    within.forEach(([statement, k, batches], i) => {
      const mode = MODES[i % 2];
      it(`goes on where it was, within ${statement} ${k}, ${mode}`, () =>
        expectGoesOn(mode, batches, (path) =>
          killedAt([...UP, path], { at: 'statement', detail: WITHIN[statement], nth: k }),
        ));
    });
    ([1, 2, 5, 7] as const).forEach((k, i) => {
      const mode = MODES[i % 2];
      it(`goes on where it was, behind batch ${k}, ${mode}`, () =>
        expectGoesOn(mode, k, (path) => killedBehind('up', WITHIN.batch, k, path)));
    });

    async function expectGoesOn(
      mode: Mode | undefined,
      batches: number,
      kill: (path: string) => Promise<unknown>,
    ): Promise<void> {
      const path = fresh(mode);
      const [cells, expected] = [actualCells(path), expectedCells(path)];
      await kill(path);
      expectIntact(path);
      expectLedger(path, cells);
      // What is gone is the batch in flight, and no other.
      expect(readLedger(path).batches(name)).to.have.length(batches);
      await run(UP, path);
      expectIntact(path);
      expectLedger(path, cells);
      expect(
        readLedger(path)
          .steps()
          .map(({ status }) => status),
      ).to.deep.equal(['applied', 'applied']);
      expect(actualCells(path)).to.deep.equal(expected);
    }

    it('is taken back exactly without having been finished', async () => {
      const path = fresh();
      const state = original(path);
      await killedBehind('up', WITHIN.batch, 3, path);
      await run(DOWN, path);
      expect(original(path)).to.deep.equal(state);
    });
  });

  describe('down, killed', () => {
    for (const [k, mode] of [
      [1, 'wal'],
      [4, 'delete'],
      [7, 'wal'],
    ] as const) {
      it(`goes on where it was, batch ${k}, ${mode}`, async () => {
        const path = fresh(mode);
        const [state, cells] = [original(path), actualCells(path)];
        await run(UP, path);
        await killedBehind('down', REVERTED, k, path);
        expectIntact(path);
        expectLedger(path, cells);
        expect(readLedger(path).batches(name)).to.have.length(7 - k);
        expect(readLedger(path).step(name)?.status).to.equal('reverting');
        await run(DOWN, path);
        expectIntact(path);
        expect(original(path)).to.deep.equal(state);
      });
    }

    it('can be followed by up', async () => {
      const path = fresh();
      const [cells, expected] = [actualCells(path), expectedCells(path)];
      await run(UP, path);
      await killedBehind('down', REVERTED, 3, path);
      await run(UP, path);
      expect(actualCells(path)).to.deep.equal(expected);
      expectLedger(path, cells);
    });
  });

  // Killed from outside, at whatever it is doing by then: often in the middle of a batch.
  describe('the command line, killed', () => {
    const kill = (args: readonly string[], path: string, event: string, k: number) =>
      spawnCli([...args, path, '--log-level', 'debug'], {
        onStderr: (text, child) => {
          if (text.split(event).length > k) child.kill('SIGKILL');
        },
      });

    for (const k of [1, 30]) {
      it(`goes on where it was, up and down, after batch ${k} or a few more`, async () => {
        const path = file(`large-${k}`);
        generateStore({ ...ROWS, audits: 10_000, path });
        const [state, cells, expected] = [original(path), actualCells(path), expectedCells(path)];
        expect((await kill(UP, path, 'batch_committed', k)).signal).to.equal('SIGKILL');
        expectLedger(path, cells);
        await run(UP, path);
        expect(actualCells(path)).to.deep.equal(expected);
        expectLedger(path, cells);

        expect((await kill(DOWN, path, 'batch_reverted', 1)).signal).to.equal('SIGKILL');
        expectIntact(path);
        await run(DOWN, path);
        expect(original(path)).to.deep.equal(state);
      });
    }
  });
});
