import { expect } from 'chai';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import type { BatchTime } from '../src/ledger/history.js';
import { batchPoints } from '../src/report/batch-points.js';
import { lagSeries } from '../src/report/lag-series.js';
import { addTo, emptySketch, quantile } from '../src/report/log-sketch.js';
import { addInstant, bucketWidth, emptySpread, mainRange } from '../src/report/time-range.js';
import { up } from './support/migrate.js';
import { asAgentOs, backfillStep, insertAudits, withGeneratedStore, withOpened } from './support/stores.js';

const DAY_MS = 86_400_000;

describe('quantile', () => {
  const lag = fc.oneof(
    fc.double({ min: -1e6, max: 1e6, noNaN: true }),
    fc.double({ min: 0, max: 10, noNaN: true }),
    fc.constantFrom(0, 1e-6, -1e-6, 1, 3600),
  );

  it('is within one percent of the nearest rank', () => {
    fc.assert(
      fc.property(
        fc.array(lag, { minLength: 1, maxLength: 200 }),
        fc.double({ min: 0.01, max: 1, noNaN: true }),
        (values, share) => {
          const sketch = emptySketch();
          for (const value of values) addTo(sketch, value);
          const exact =
            values.toSorted((a, b) => a - b)[Math.max(1, Math.ceil(share * values.length)) - 1] ?? 0;
          const found = quantile(sketch, share) ?? Number.NaN;
          expect(Math.abs(found - exact), `${found} for ${exact}`).to.be.at.most(
            Math.abs(exact) * 0.01 + 1e-6,
          );
        },
      ),
    );
  });

  it('is of no size that grows with the count', () => {
    const sketch = emptySketch();
    for (let i = 1; i <= 200_000; i += 1) addTo(sketch, i / 1000);
    expect(sketch.positive.size).to.be.lessThan(700);
    expect(quantile(emptySketch(), 0.5)).to.equal(undefined);
  });
});

describe('mainRange', () => {
  const start = Date.parse('2026-01-20T10:00:00Z');
  const rangeOf = (instants: readonly number[]) => {
    const spread = emptySpread();
    for (const time of instants) addInstant(spread, time);
    return mainRange(spread);
  };
  const week = Array.from({ length: 2000 }, (_, i) => start + (i * 7 * DAY_MS) / 2000);

  it('is all of it where nothing lies far off', () => {
    expect(rangeOf(week)).to.deep.equal({ minMs: week[0], maxMs: week.at(-1) });
    expect(rangeOf([start])).to.deep.equal({ minMs: start, maxMs: start });
    expect(rangeOf([])).to.equal(undefined);
  });

  it('leaves out instants of a clock that was wrong', () => {
    const odd = [Date.parse('0001-01-01T00:00:00Z'), 0, Date.parse('9999-12-31T00:00:00Z')];
    expect(rangeOf([...odd, ...week])).to.deep.equal({ minMs: week[0], maxMs: week.at(-1) });
  });

  it('keeps what is near', () => {
    expect(rangeOf([start - 5 * DAY_MS, ...week])?.minMs).to.equal(start - 5 * DAY_MS);
  });

  it('keeps few slots, however long the time', () => {
    const spread = emptySpread();
    for (let i = 0; i < 20_000; i += 1) addInstant(spread, i * 30 * DAY_MS);
    expect(spread.slots.size).to.be.at.most(4096);
    expect([...spread.slots.values()].reduce((sum, { rows }) => sum + rows, 0)).to.equal(20_000);
    expect(mainRange(spread)).to.deep.equal({ minMs: 0, maxMs: 19_999 * 30 * DAY_MS });
  });

  it('is cut into widths that a person would choose', () => {
    expect(bucketWidth({ minMs: start, maxMs: start }, 48)).to.equal(1000);
    expect(bucketWidth({ minMs: 0, maxMs: 40 * 60_000 }, 48)).to.equal(60_000);
    expect(bucketWidth({ minMs: 0, maxMs: 7 * DAY_MS }, 48)).to.equal(6 * 3_600_000);
    expect(bucketWidth({ minMs: 0, maxMs: 9e14 }, 48)).to.be.greaterThan(365 * DAY_MS);
  });
});

describe('lagSeries', () => {
  const row = (source: string, processed: string) => ({
    payload: JSON.stringify({ source_ts: source, timestamp: processed }),
  });

  it('counts each row once, and only where both are timestamps', () =>
    withGeneratedStore({ audits: 0 }, async (path) => {
      asAgentOs(path, (db) =>
        insertAudits(db, [
          row('2026-01-20T10:00:00Z', '2026-01-20T10:00:01.2Z'),
          row('2026-01-20T10:00:00Z', '2026-01-20T10:00:01.7Z'),
          row('2026-01-20T10:00:00Z', '2026-01-20 10:00:00'),
          row('2026-01-20T10:00:05Z', '2026-01-20T10:00:00Z'),
          row('1768903200', '2026-01-20T11:00:00Z'),
          row('no timestamp', '2026-01-20T10:00:00Z'),
          { payload: '{' },
        ]),
      );
      await up(path);
      await withOpened(path, ({ store }) => {
        const found = lagSeries(store, backfillStep);
        expect(found).to.deep.include({ rows: 5, negative: 1, zero: 1, outside: 0 });
        const bars = found?.bars.filter(({ rows }) => rows > 0);
        expect(bars).to.deep.equal([
          { fromSeconds: 1, toSeconds: 1.5, rows: 1 },
          { fromSeconds: 1.5, toSeconds: 2, rows: 1 },
          { fromSeconds: 3000, toSeconds: 5000, rows: 1 },
        ]);
        expect(found?.buckets.reduce((sum, { rows }) => sum + rows, 0)).to.equal(5);
        expect(found?.buckets.at(-1)?.p50Seconds).to.be.closeTo(3600, 36);
        expect(lagSeries(store, { ...backfillStep, checks: { groupBy: 'event_type' } })).to.equal(undefined);
      });
    }));
});

describe('batchPoints', () => {
  const batches = (count: number): BatchTime[] =>
    Array.from({ length: count }, (_, i) => ({
      number: i + 1,
      run: 1,
      rowsScanned: 100,
      durationMs: 50,
      committedAt: '2026-01-20T10:00:00.000Z',
    }));

  it('puts batches together that would be too many', () => {
    expect(batchPoints(batches(5), 5)).to.have.length(5);
    const points = batchPoints(batches(1234), 1234);
    expect(points.length).to.be.within(100, 120);
    expect(points.reduce((sum, { rows }) => sum + rows, 0)).to.equal(123_400);
    expect(points.at(-1)?.lastBatch).to.equal(1234);
    expect(points[0]).to.deep.include({ rowsPerSecond: 2000, rowsPerBatch: 100 });
  });

  it('gives no rate where no time was measured', () => {
    const [point] = batchPoints([{ ...(batches(1)[0] as BatchTime), durationMs: 0 }], 1);
    expect(point?.rowsPerSecond).to.equal(0);
  });
});
