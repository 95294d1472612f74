import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { applySchemaStep, revertSchemaStep } from '../../src/schema/run.js';
import { runCli, spawnCli } from '../support/cli.js';
import { expectIntact, expectLedger } from '../support/expect-ledger.js';
import { actualCells, expectedCells } from '../support/reference.js';
import { connected, empty, fill, name, withV20 } from '../support/run-up.js';
import { dumpSchema, dumpTable, schemaStep } from '../support/stores.js';

const batchRows = 20;
const audits = 200;
const script = fileURLToPath(new URL('../support/run-up.js', import.meta.url));

/** Runs a process that kills itself at the k-th commit of a batch, or within a transaction: see run-up.ts. */
function killed(path: string, direction: 'up' | 'down', at: 'batch' | 'clock', k: number): void {
  const args = [script, path, direction, String(batchRows), at, String(k)];
  const { signal, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  expect(signal, stderr).to.equal('SIGKILL');
}

const up = (path: string): Promise<void> =>
  connected(path, async (at) => {
    applySchemaStep(at.store, at.ledger, schemaStep);
    await fill(at, { batchRows });
  });
const down = (path: string): Promise<void> =>
  connected(path, async (at) => {
    await empty(at);
    revertSchemaStep(at.store, at.ledger, schemaStep, { isConfirmed: true });
  });

interface Original {
  readonly schema: unknown;
  readonly audits: string[];
  readonly versions: string[];
}

const original = (path: string): Original => ({
  schema: dumpSchema(path),
  audits: dumpTable(path, 'task_audits'),
  versions: dumpTable(path, 'schema_version'),
});

/** Runs `act` on the path of a store to which nobody has a connection. */
const withPath = (
  options: { audits: number; journalMode?: 'wal' | 'delete' },
  act: (path: string, before: Original) => Promise<void> | void,
): Promise<void> =>
  withV20({ rareShare: 0.1, ...options }, ({ path, store }) => {
    store.close();
    return act(path, original(path));
  });

describe('up, killed', () => {
  // The clock is asked in the first transaction of the schema step (1) and in its last (2), when the backfill (3) and
  // its run (4) begin, in each of the seven batches (5 to 11), at the run's end in the last of them (12), and at the step's (13).
  const points = [
    ...([1, 2, 3, 4, 5] as const).map((k) => ['clock', k, 0] as const),
    ...([6, 9, 11, 12, 13] as const).map((k) => ['clock', k, Math.min(k - 5, k === 13 ? 7 : 6)] as const),
    ...([1, 2, 5, 7] as const).map((k) => ['batch', k, k] as const),
  ];
  points.forEach(([at, k, batches], i) => {
    const journalMode = i % 2 ? 'delete' : 'wal';
    it(`goes on where it was, ${at} ${k}, ${journalMode}`, () =>
      withPath({ audits, journalMode }, async (path) => {
        const [before, expected] = [actualCells(path), expectedCells(path)];
        killed(path, 'up', at, k);
        await connected(path, (now) => {
          expectIntact(path);
          expectLedger(now, before);
          // What is gone is the batch in flight, and no other.
          expect(now.ledger.batches(name)).to.have.length(batches);
        });
        await up(path);
        await connected(path, (now) => {
          expectIntact(path);
          expectLedger(now, before);
          expect(now.ledger.steps().map(({ status }) => status)).to.deep.equal(['applied', 'applied']);
        });
        expect(actualCells(path)).to.deep.equal(expected);
      }));
  });

  it('is taken back exactly without having been finished', () =>
    withPath({ audits }, async (path, before) => {
      killed(path, 'up', 'batch', 3);
      await down(path);
      expect(original(path)).to.deep.equal(before);
    }));
});

describe('down, killed', () => {
  for (const [k, journalMode] of [
    [1, 'wal'],
    [4, 'delete'],
    [7, 'wal'],
  ] as const) {
    it(`goes on where it was, batch ${k}, ${journalMode}`, () =>
      withPath({ audits, journalMode }, async (path, before) => {
        const cellsBefore = actualCells(path);
        await up(path);
        killed(path, 'down', 'batch', k);
        await connected(path, (now) => {
          expectIntact(path);
          expectLedger(now, cellsBefore);
          expect(now.ledger.batches(name)).to.have.length(7 - k);
          expect(now.ledger.step(name)?.status).to.equal('reverting');
        });
        await down(path);
        expectIntact(path);
        expect(original(path)).to.deep.equal(before);
      }));
  }

  it('can be followed by up', () =>
    withPath({ audits }, async (path) => {
      const [before, expected] = [actualCells(path), expectedCells(path)];
      await up(path);
      killed(path, 'down', 'batch', 3);
      await up(path);
      expect(actualCells(path)).to.deep.equal(expected);
      await connected(path, (now) => expectLedger(now, before));
    }));
});

// Killed from outside, at whatever it is doing by then: often in the middle of a batch.
describe('the command line, killed', () => {
  const kill = (args: readonly string[], path: string, event: string, k: number) =>
    spawnCli([...args, '--batch-size', '20', '--log-level', 'debug'], {
      env: { AGENTOS_DB_PATH: path },
      onStderr: (text, child) => {
        if (text.split(event).length > k) child.kill('SIGKILL');
      },
    });

  for (const k of [1, 30]) {
    it(`goes on where it was, up and down, after batch ${k} or a few more`, () =>
      withPath({ audits: 10_000 }, async (path, original20) => {
        const [before, expected] = [actualCells(path), expectedCells(path)];
        expect((await kill(['up'], path, 'batch_committed', k)).signal).to.equal('SIGKILL');
        await connected(path, (now) => expectLedger(now, before));
        const again = await runCli(['up'], { env: { AGENTOS_DB_PATH: path } });
        expect(again.code, again.stderr).to.equal(0);
        expect(actualCells(path)).to.deep.equal(expected);
        await connected(path, (now) => expectLedger(now, before));

        const back = ['down', '--to', '0', '--yes'];
        expect((await kill(back, path, 'batch_reverted', 1)).signal).to.equal('SIGKILL');
        expectIntact(path);
        const last = await runCli(back, { env: { AGENTOS_DB_PATH: path } });
        expect(last.code, last.stderr).to.equal(0);
        expect(original(path)).to.deep.equal(original20);
      }));
  }
});
