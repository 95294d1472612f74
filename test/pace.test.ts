import { expect } from 'chai';
import {
  type BatchTiming,
  defaultBatchRows,
  initialPace,
  nextPace,
  type PaceSettings,
  type PaceState,
  unmissablePauseMs,
} from './support/pure.js';

const settings: PaceSettings = { name: 'courteous', maxRows: 5000, targetBatchMs: 40, bottleneck: 'lock' };

/** The paces that a series of batches gives, each of `msPerRow`; `seen` says of a pace whether others wrote before it. */
function paces(
  count: number,
  {
    msPerRow = 0.008,
    seen = (_: PaceState, i: number) => i < 0,
    isOpenElsewhere,
    ...more
  }: Partial<PaceSettings> & {
    msPerRow?: number;
    seen?: (pace: PaceState, i: number) => boolean;
    isOpenElsewhere?: (i: number) => boolean | undefined;
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
      isOpenElsewhere: isOpenElsewhere?.(i),
    };
    found.push(nextPace(pace, timing, given));
  }
  return found;
}

/** No other process has the store open. */
const alone = { isOpenElsewhere: () => false };

const sizes = (found: readonly PaceState[]): number[] => found.map(({ rows }) => rows);

/** Share of its time that a run is paused. */
function pausedShare(found: readonly PaceState[], msPerRow = 0.008): number {
  const paused = found.reduce((sum, { pauseMs }) => sum + pauseMs, 0);
  return paused / (paused + found.reduce((sum, { rows }) => sum + rows * msPerRow, 0));
}

/** Times at which SQLite's busy handler tries, in milliseconds after a writer has come; sleeps end up to 3% late. */
function attempts(until: number): number[] {
  const sleeps = [1, 2, 5, 10, 15, 20, 25, 25, 25, 50, 50];
  const found = [0];
  for (let at = 0; at < until; ) {
    at += (sleeps[found.length - 1] ?? 100) * 1.03;
    found.push(at);
  }
  return found;
}

/** The longest that a writer waits who comes at any millisecond of a series of batches of `msPerRow`. */
function longestWait(found: readonly PaceState[], msPerRow: number): number {
  const locks: { from: number; to: number }[] = [];
  let now = 0;
  for (const { rows, pauseMs } of found) {
    if (pauseMs > 0 || locks.length === 0) locks.push({ from: now + pauseMs, to: now + pauseMs });
    now += pauseMs + rows * msPerRow;
    (locks.at(-1) as { to: number }).to = now; // a writer is lucky to get in between two batches
  }
  const tries = attempts(1000);
  let longest = 0;
  for (const lock of locks.slice(0, -20))
    for (let at = lock.from; at < lock.to; at += 1) {
      const wait = tries.find(
        (after) => !locks.some(({ from, to }) => at + after >= from && at + after < to),
      );
      longest = Math.max(longest, wait ?? Number.POSITIVE_INFINITY);
    }
  return longest;
}

describe('unmissablePauseMs', () => {
  it('is as long as the sleep of any writer who has waited for that long, and no longer than needed', () => {
    const tries = attempts(1000);
    const missed: unknown[] = [];
    for (let heldMs = 0; heldMs < 600; heldMs += 1) {
      const pauseMs = unmissablePauseMs(heldMs);
      for (let came = 0; came <= heldMs; came += 1) {
        const first = tries.find((after) => came + after >= heldMs);
        if (first === undefined || came + first >= heldMs + pauseMs) missed.push({ heldMs, came });
      }
    }
    expect(missed).to.deep.equal([]);
    expect([0, 2, 8, 33, 100, 128, 129, 5000].map(unmissablePauseMs)).to.deep.equal([
      2, 3, 11, 21, 27, 53, 53, 105,
    ]);
  });
});

describe('nextPace', () => {
  it('begins small and grows twofold at most, up to --batch-size', () => {
    expect(sizes(paces(5, alone))).to.deep.equal([1000, 2000, 4000, 5000, 5000, 5000]);
    expect(sizes(paces(3, { maxRows: 300 }))).to.deep.equal([300, 300, 300, 300]);
  });

  it('settles where a batch takes the target, and never falls below 100 rows', () => {
    expect(sizes(paces(4, { msPerRow: 0.02, ...alone })).at(-1)).to.equal(2000);
    expect(sizes(paces(4, { msPerRow: 0.02, targetBatchMs: 20, ...alone })).at(-1)).to.equal(1000);
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

  it('costs a run beside nobody that it knows of less than 5%', () => {
    const found = paces(4000);
    expect(found.at(-1)?.contention).to.equal('none');
    expect(pausedShare(found.slice(100))).to.be.within(0.03, 0.05);
  });

  it('pauses after each short batch while others write in each pause', () => {
    const busy = paces(60, { seen: () => true }).slice(20);
    for (const pace of busy) {
      expect(pace.contention).to.equal('high');
      expect(pace.pauseMs).to.equal(11);
      expect(pace.rows).to.equal(2125);
    }
  });

  it('holds the lock for 110 ms at most between two pauses while others write now and then', () => {
    let pauses = 0;
    const seen = (pace: PaceState): boolean => {
      if (pace.pauseMs > 0) pauses += 1;
      return pace.pauseMs > 0 && pauses % 2 === 0; // in every second pause
    };
    const some = paces(200, { seen }).slice(20);
    expect(new Set(some.map(({ contention }) => contention))).to.deep.equal(new Set(['low']));
    expect(Math.max(...some.map(({ heldMs }) => heldMs))).to.be.within(109, 111);
    expect(pausedShare(some)).to.be.below(0.2);
  });

  it('lets no writer wait for long, whenever it comes', () => {
    for (const msPerRow of [0.005, 0.008, 0.02, 0.1])
      for (const [seen, most] of [
        [() => false, 132],
        [() => true, 20],
      ] as const) {
        const found = paces(200, { msPerRow, seen, isOpenElsewhere: () => true }).slice(20);
        expect(longestWait(found, msPerRow)).to.be.within(15, most);
      }
  });

  it('never pauses where no other process has the store open', () => {
    const found = paces(100, alone);
    expect(pausedShare(found)).to.equal(0);
    expect(found.at(-1)?.rows).to.equal(5000);
  });

  it('pauses at once, for as long as nobody can miss, when another process opens the store', () => {
    const found = paces(60, { isOpenElsewhere: (i) => i >= 50 });
    expect(found.findIndex(({ pauseMs }) => pauseMs > 0)).to.equal(51);
    expect(found[51]?.pauseMs).to.equal(105);
    expect(found[52]?.contention).to.equal('low');
  });

  it('does not take a process for gone that has the store open and does not write', () => {
    const found = paces(400, { isOpenElsewhere: () => true });
    expect(new Set(found.map(({ contention }) => contention))).to.deep.equal(new Set(['low']));
    const known = paces(400, { isOpenElsewhere: (i) => (i < 300 ? undefined : true) });
    expect([known[300]?.contention, known[301]?.contention]).to.deep.equal(['none', 'low']);
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

describe('the default size of a batch', () => {
  it('is larger on a server, unless the rows pass through `process`', () => {
    const process = { reads: [], version: '1', derive: () => [] } as never;
    expect(defaultBatchRows('lock', {})).to.equal(5000);
    expect(defaultBatchRows('load', {})).to.equal(50_000);
    expect(defaultBatchRows('load', { process })).to.equal(5000);
  });
});
