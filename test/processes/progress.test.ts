import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { barText } from '../../src/cli/progress.js';
import { type Progress, ProgressTracker } from '../../src/migrator/progress.js';
import type { MigratorEvent } from '../../src/migrator/session.js';
import { on } from '../support/cli.js';
import { withGeneratedStore } from '../support/stores.js';
import { hasTerminal, onTerminal, screenOf } from '../support/terminal.js';

/** A tracker whose clock is set by hand. */
function useTracker() {
  let ms = 1000;
  const tracker = new ProgressTracker(() => ms);
  return (atMs: number, event: object): Progress | undefined => {
    ms = 1000 + atMs;
    return tracker.take(event as MigratorEvent);
  };
}

const started = (cursor: string | null, watermark: string | null): object => ({
  event: 'run_started',
  backfill: 'b',
  cursor,
  watermark,
});
const batch = (firstKey: number, lastKey: number, rowsScanned = 100, cellsSkipped = 0): object => ({
  event: 'batch_committed',
  backfill: 'b',
  firstKey: String(firstKey),
  lastKey: String(lastKey),
  rowsScanned,
  cellsSkipped,
});

describe('ProgressTracker', () => {
  it('goes by the keys between the cursor and the watermark', () => {
    const take = useTracker();
    expect(take(0, started('1000', '2000'))).to.equal(undefined);
    expect(take(1000, batch(1001, 1250, 100, 3))).to.deep.equal({
      backfill: 'b',
      direction: 'up',
      rows: 100,
      percent: 25,
      rowsPerSecond: 100,
      etaSeconds: 3,
      batchRows: 100,
      skippedCells: 3,
    });
    expect(take(2000, batch(1251, 2000, 300, 2))).to.include({
      rows: 400,
      percent: 100,
      rowsPerSecond: 200,
      etaSeconds: 0,
      batchRows: 300,
      skippedCells: 5,
    });
  });

  it('begins at the first key where there is no cursor, and never leaves 0 to 100', () => {
    const take = useTracker();
    take(0, started(null, '900'));
    expect(take(1, batch(500, 600))?.percent).to.equal(25);
    expect(take(2, batch(601, 950))?.percent).to.equal(100);
    take(3, started(null, '900'));
    expect(take(3, batch(900, 900))).to.include({ percent: 100, rowsPerSecond: 0 });
    take(4, started('9007199254740993', '9007199254740995'));
    expect(take(5, batch(0, 0))?.percent).to.equal(0);
  });

  it('goes by the batches of a `down`, and ends with its loop', () => {
    const take = useTracker();
    const reverted = (number: number): object => ({
      event: 'batch_reverted',
      backfill: 'b',
      batch: number,
      reverted: 10,
    });
    expect(take(0, reverted(4))).to.include({ direction: 'down', rows: 10, percent: 25 });
    expect(take(10, reverted(3))?.percent).to.equal(50);
    expect(take(20, reverted(1))?.percent).to.equal(100);
    take(30, { event: 'batches_ended', backfill: 'b' });
    expect(take(40, reverted(2))?.percent).to.equal(50);
  });

  it('has nothing to tell of other events', () => {
    const take = useTracker();
    expect(take(0, batch(1, 2))).to.equal(undefined);
    expect(take(0, { event: 'warning', text: 'x' })).to.equal(undefined);
  });
});

describe('the progress bar', () => {
  const progress: Progress = {
    backfill: 'b',
    direction: 'up',
    rows: 1_234_567,
    percent: 45.6,
    rowsPerSecond: 98_765,
    etaSeconds: 3725,
    batchRows: 5000,
    skippedCells: 42,
  };

  for (const columns of [200, 120, 80, 60, 40, 20, 8, 1]) {
    it(`fits in ${columns} columns`, () => {
      const text = barText(progress, columns);
      expect([...text].length).to.be.below(Math.max(2, columns));
      if (columns >= 20) expect(text).to.include('45.6%');
      if (columns >= 61) expect(text).to.match(/[█░]{10}/);
    });
  }

  it('says everything where there is room', () => {
    expect(barText(progress, 120)).to.equal(
      `${'█'.repeat(14)}${'░'.repeat(16)}  45.6% · 1,234,567 rows · 98,765/s · ETA 62 min 5 s · skipped 42 · batch 5,000`,
    );
  });

  it('draws on a terminal, gives way to the log, and leaves nothing behind', function () {
    if (!hasTerminal()) this.skip();
    return withGeneratedStore({ audits: 3000 }, (path) => {
      const home = join(dirname(path), 'home');
      mkdirSync(home);
      const { code, output } = onTerminal(
        ['up', '--db-path', path, '--no-backup', '--batch-size', '50'],
        home,
      );
      expect(code, output).to.equal(0);
      expect(output).to.match(/\d+\.\d% · [\d,]+ rows/);
      expect(screenOf(output)).to.include('step_finished');
      expect(screenOf(output)).not.to.match(/[█░]|% · /);
      for (const line of screenOf(output).split('\n')) expect([...line].length, line).to.be.below(300);
    });
  });

  it('gives way to every line of the log, batch by batch', function () {
    if (!hasTerminal()) this.skip();
    return withGeneratedStore({ audits: 3000 }, (path) => {
      const home = join(dirname(path), 'home');
      mkdirSync(home);
      const args = ['up', '--db-path', path, '--no-backup', '--batch-size', '50', '--log-level', 'debug'];
      const lines = screenOf(onTerminal(args, home, { columns: 200 }).output).split('\n');
      const batches = lines.filter((line) => line.includes('batch_committed'));
      expect(batches.length).to.be.above(10);
      for (const line of batches) expect(line).to.match(/^\[/).and.not.to.match(/[█░]/);
    });
  });

  it('is a line of the log elsewhere, and no escape', () =>
    withGeneratedStore({ audits: 300 }, async (path) => {
      const { stderr, stdout } = await on(path).run(['up', '--no-backup', '--batch-size', '20']);
      expect(stdout + stderr)
        .not.to.include('\u001b')
        .and.not.to.match(/[█░]/);
      for (const line of stderr.trim().split('\n')) expect(JSON.parse(line)).to.have.property('event');
    }));
});
