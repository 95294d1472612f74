import { expect } from 'chai';
import {
  type BatchTiming,
  initialPace,
  nextPace,
  type PaceSettings,
  type PaceState,
} from './support/pure.js';

const settings: PaceSettings = { name: 'courteous', maxRows: 5000, targetBatchMs: 40, bottleneck: 'lock' };

/** The paces that a series of batches gives, each of `msPerRow`; `seen` says of a pace whether others wrote before it. */
function paces(
  count: number,
  {
    msPerRow = 0.008,
    seen = (_: PaceState, i: number) => i < 0,
    ...more
  }: Partial<PaceSettings> & {
    msPerRow?: number;
    seen?: (pace: PaceState, i: number) => boolean;
  } = {},
): PaceState[] {
  const given = { ...settings, ...more };
  const found = [initialPace(given)];
  for (let i = 0; i < count; i += 1) {
    const pace = found.at(-1) as PaceState;
    const timing: BatchTiming = {
      rows: pace.rows,
      lockMs: pace.rows * msPerRow,
      hasContention: seen(pace, i),
    };
    found.push(nextPace(pace, timing, given));
  }
  return found;
}

const sizes = (found: readonly PaceState[]): number[] => found.map(({ rows }) => rows);

/** Share of its time that a run is paused. */
function pausedShare(found: readonly PaceState[], msPerRow = 0.008): number {
  const paused = found.reduce((sum, { pauseMs }) => sum + pauseMs, 0);
  return paused / (paused + found.reduce((sum, { rows }) => sum + rows * msPerRow, 0));
}

describe('nextPace', () => {
  it('begins small and grows twofold at most, up to --batch-size', () => {
    expect(sizes(paces(5))).to.deep.equal([1000, 2000, 4000, 5000, 5000, 5000]);
    expect(sizes(paces(3, { maxRows: 300 }))).to.deep.equal([300, 300, 300, 300]);
  });

  it('settles where a batch takes the target, and never falls below 100 rows', () => {
    expect(sizes(paces(4, { msPerRow: 0.02 })).at(-1)).to.equal(2000);
    expect(sizes(paces(4, { msPerRow: 0.02, targetBatchMs: 20 })).at(-1)).to.equal(1000);
    expect(sizes(paces(4, { msPerRow: 50 }))).to.deep.equal([1000, 100, 100, 100, 100]);
    expect(sizes(paces(2, { msPerRow: 50, maxRows: 7 }))).to.deep.equal([7, 7, 7]);
  });

  it('shrinks at once after a slow batch, and grows back step by step', () => {
    const before = paces(5).at(-1) as PaceState;
    const slow = nextPace(before, { rows: 5000, lockMs: 400, hasContention: false }, settings);
    expect(slow.rows).to.equal(500);
    const after = nextPace(slow, { rows: 500, lockMs: 4, hasContention: false }, settings);
    expect(after.rows).to.equal(1000);
  });

  it('takes a batch that took no measurable time for a fast one', () => {
    const pace = nextPace(initialPace(settings), { rows: 1000, lockMs: 0, hasContention: false }, settings);
    expect(pace.rows).to.equal(2000);
  });

  it('costs a run that is alone less than 5%', () => {
    const alone = paces(400);
    expect(alone.at(-1)?.contention).to.equal('none');
    expect(pausedShare(alone.slice(100))).to.be.within(0.03, 0.05);
  });

  it('pauses after each short batch while others write in each pause', () => {
    const busy = paces(60, { seen: () => true }).slice(20);
    for (const pace of busy) {
      expect(pace.contention).to.equal('high');
      expect(pace.pauseMs).to.equal(15);
      expect(pace.rows).to.equal(1000);
    }
  });

  it('holds the lock for 80 ms at most between two pauses while others write now and then', () => {
    let pauses = 0;
    const seen = (pace: PaceState): boolean => {
      if (pace.pauseMs > 0) pauses += 1;
      return pace.pauseMs > 0 && pauses % 2 === 0; // in every second pause
    };
    const some = paces(200, { seen }).slice(20);
    expect(new Set(some.map(({ contention }) => contention))).to.deep.equal(new Set(['low']));
    expect(Math.max(...some.map(({ heldMs }) => heldMs))).to.be.at.most(80);
    expect(pausedShare(some)).to.be.below(0.25);
  });

  it('goes back to full speed step by step when the others have gone', () => {
    const found = paces(400, { seen: (_, i) => i < 40 });
    const levels = found.map(({ contention }) => contention).filter((level, i, all) => level !== all[i - 1]);
    expect(levels).to.deep.equal(['low', 'high', 'low', 'none']);
  });

  it('slows down again when others come', () => {
    const found = paces(400, { seen: (_, i) => i > 200 });
    const levels = found.map(({ contention }) => contention).filter((level, i, all) => level !== all[i - 1]);
    expect(levels).to.deep.equal(['low', 'none', 'low', 'high']);
  });

  it('never pauses at full pace, whoever writes', () => {
    const full = paces(100, { name: 'full', seen: () => true });
    expect(pausedShare(full)).to.equal(0);
    expect(full.at(-1)?.rows).to.equal(5000);
  });
});
