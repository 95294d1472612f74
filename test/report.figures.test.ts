import { join } from 'node:path';
import { expect } from 'chai';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { only, up } from './support/migrate.js';
import { projectOf } from './support/project.js';
import {
  apply,
  backfillOf,
  type Figure,
  figureOf,
  makeEvents,
  type Page,
  reportOf,
  texts,
} from './support/report.js';
import {
  type Audit,
  asAgentOs,
  backfillStep,
  change,
  insertAudits,
  schemaStep,
  withFolder,
  withGeneratedStore,
} from './support/stores.js';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const start = Date.parse('2026-01-20T10:00:00Z');

const SECONDS: Readonly<Record<string, number>> = {
  d: 86_400,
  h: 3600,
  min: 60,
  s: 1,
  ms: 1e-3,
  µs: 1e-6,
};

/** The seconds of a text as `1.5 ms` or `2 h`. */
function secondsIn(text = ''): number {
  const [size = '', unit = ''] = text.split(' ');
  return Number(size.replaceAll(',', '')) * (SECONDS[unit] ?? Number.NaN);
}

/** How far a text as `1.5 ms` may be from what it tells: it has three figures, or whole units. */
function offBy(text = ''): number {
  const [size = '', unit = ''] = text.split(' ');
  const figure = 10 ** Math.min(0, Math.floor(Math.log10(Math.abs(Number(size.replaceAll(',', ''))))) - 2);
  return (figure / 2) * (SECONDS[unit] ?? Number.NaN);
}

/** An instant of whole milliseconds and some microseconds. */
const instant = (ms: number, micros = 0): string =>
  new Date(ms).toISOString().replace('Z', `${String(micros).padStart(3, '0')}Z`);

const row = (source: string, processed: string): Audit => ({
  payload: JSON.stringify({ source_ts: source, timestamp: processed }),
});

/** Looks at the report on a store of these rows, when they are filled. */
const reportOn = (audits: readonly Audit[], act: (page: Page, path: string) => Promise<void> | void) =>
  withGeneratedStore({ audits: 0 }, async (path) => {
    asAgentOs(path, (db) => insertAudits(db, audits));
    await up(path, { batchRows: 1000 });
    await act(await reportOf(path), path);
  });

function expectFigure(page: Page, title: string): Figure {
  const found = figureOf(page, title);
  if (!found) throw new Error(`Expected a figure of ${title}`);
  return found;
}

/** The sum of a column of counts. */
const sumOf = ({ rows }: Figure, column: number): number =>
  rows.reduce((sum, cells) => sum + Number(cells[column]?.replaceAll(',', '')), 0);

describe('the percentiles of lags over time', () => {
  /** In microseconds. */
  const lag = fc.oneof(
    fc.integer({ min: -1e12, max: 1e12 }),
    fc.integer({ min: 0, max: 1e7 }),
    fc.constantFrom(0, 1, -1, 1e6, 3.6e9),
  );

  it('are within one percent of the nearest rank', () => {
    const lags = fc.array(lag, { minLength: 1, maxLength: 80 });
    return fc.assert(
      fc.asyncProperty(fc.array(lags, { minLength: 40, maxLength: 40 }), (hours) => {
        const audits = hours.flatMap((values, hour) =>
          values.map((value) => {
            const end = start + hour * HOUR_MS;
            const begin = BigInt(end) * 1000n - BigInt(value);
            return row(instant(Number(begin / 1000n), Number(begin % 1000n)), instant(end));
          }),
        );
        return reportOn(audits, (page) => {
          const { rows } = expectFigure(page, 'Lag over time');
          expect(rows).to.have.length(hours.length);
          rows.forEach(([, counted, ...shown], hour) => {
            const values = hours[hour]?.toSorted((a, b) => a - b) ?? [];
            expect(counted).to.equal(String(values.length));
            [0.5, 0.95].forEach((share, i) => {
              const exact = (values[Math.ceil(share * values.length) - 1] ?? Number.NaN) / 1e6;
              const found = secondsIn(shown[i]);
              const off = Math.abs(exact) * 0.01 + (found === 0 ? 0 : offBy(shown[i])) + 1e-6;
              expect(Math.abs(found - exact), `${shown[i]} for ${exact}`).to.be.at.most(off);
            });
          });
        });
      }),
      { numRuns: 4 },
    );
  });
});

describe('the time over which lags are shown', () => {
  /** The figure for rows that ended at these instants. */
  const shownOf = async (instants: readonly number[]): Promise<Figure> => {
    let figure: Figure | undefined;
    await reportOn(
      instants.map((ms) => row(instant(ms - 1000), instant(ms))),
      (page) => {
        figure = expectFigure(page, 'Lag over time');
      },
    );
    return figure as Figure;
  };
  const week = Array.from({ length: 2000 }, (_, i) => start + (i * 7 * DAY_MS) / 2000);
  const OUTSIDE = /\d rows are too far/;

  it('is all of it where nothing lies far off', async () => {
    const figure = await shownOf(week);
    expect(figure.caption).to.include('in steps of 6 h.').and.not.match(OUTSIDE);
    expect(sumOf(figure, 1)).to.equal(2000);
    expect(figure.rows[0]?.[0]).to.equal('2026-01-20 06:00:00');
    expect(figure.rows.at(-1)?.[0]).to.equal('2026-01-27 06:00:00');
    const one = await shownOf([start]);
    expect(one.caption).to.include('in steps of 1 s.').and.not.match(OUTSIDE);
    expect(only(one.rows).slice(0, 2)).to.deep.equal(['2026-01-20 10:00:00', '1']);
    expect(secondsIn(only(one.rows)[2])).to.be.closeTo(1, 0.01);
    await reportOn([{ payload: '{' }], (page) => {
      expect(page.words).to.include('No row has both timestamps');
    });
  });

  it('leaves out instants of a clock that was wrong', async () => {
    const odd = [Date.parse('0001-01-01T00:00:01Z'), 1000, Date.parse('9999-12-31T00:00:00Z')];
    const figure = await shownOf([...odd, ...week]);
    expect(figure.caption).to.include('in steps of 6 h. ').and.include('3 rows are too far from the others');
    expect(sumOf(figure, 1)).to.equal(2000);
    expect(figure.rows[0]?.[0]).to.equal('2026-01-20 06:00:00');
    expect(figure.rows.at(-1)?.[0]).to.equal('2026-01-27 06:00:00');
  });

  it('keeps what is near', async () => {
    const figure = await shownOf([start - 5 * DAY_MS, ...week]);
    expect(figure.caption).not.to.match(OUTSIDE);
    expect(figure.rows[0]?.[0]).to.equal('2026-01-15 00:00:00');
    expect(sumOf(figure, 1)).to.equal(2001);
  });

  it('is all of centuries, too, in steps of years', async () => {
    const figure = await shownOf(Array.from({ length: 5000 }, (_, i) => 1000 + i * 30 * DAY_MS));
    expect(figure.caption).to.include('in steps of 5,840 d.').and.not.match(OUTSIDE);
    expect(sumOf(figure, 1)).to.equal(5000);
  });

  it('is cut into steps that a person would choose', async () => {
    const minutes = Array.from({ length: 41 }, (_, i) => start + i * 60_000);
    expect((await shownOf(minutes)).caption).to.include('in steps of 1 min.');
  });
});

describe('the lags of a report', () => {
  it('count each row once, and only where both are timestamps', () =>
    reportOn(
      [
        row('2026-01-20T10:00:00Z', '2026-01-20T10:00:01.2Z'),
        row('2026-01-20T10:00:00Z', '2026-01-20T10:00:01.7Z'),
        row('2026-01-20T10:00:00Z', '2026-01-20 10:00:00'),
        row('2026-01-20T10:00:05Z', '2026-01-20T10:00:00Z'),
        row('1768903200', '2026-01-20T11:00:00Z'),
        row('no timestamp', '2026-01-20T10:00:00Z'),
        { payload: '{' },
      ],
      async (page, path) => {
        const spread = expectFigure(page, 'Distribution of lags');
        expect(spread.caption)
          .to.include('Number of rows by lag, for 5 rows, ')
          .and.include(' 1 rows have the second time before the first;')
          .and.include(' 1 rows have the same time twice;');
        expect(spread.rows.filter(([, , rows]) => rows !== '0')).to.deep.equal([
          ['1 s', '1.5 s', '1'],
          ['1.5 s', '2 s', '1'],
          ['50 min', '1.39 h', '1'],
        ]);
        const over = expectFigure(page, 'Lag over time');
        expect(over.caption).not.to.include('too far');
        expect(sumOf(over, 1)).to.equal(5);
        expect(secondsIn(over.rows.at(-1)?.[2])).to.be.closeTo(3600, 36);
        const project = projectOf([schemaStep, { ...backfillStep, checks: { groupBy: 'event_type' } }]);
        const titles = texts(await reportOf(path, { project }), 'figcaption strong');
        expect(titles).to.include('Throughput').and.not.include('Distribution of lags');
        expect(titles).not.to.include('Lag over time');
      },
    ));
});

describe('the batches of a report', () => {
  /** The throughput of so many batches of one row, which all took as long. */
  const throughputOf = (batches: number, durationMs: number): Promise<Figure> =>
    withFolder(async (folder) => {
      const path = join(folder, 'store.db');
      const project = projectOf([backfillOf('001-lane', 'lane')]);
      makeEvents(path, ['lane'], batches);
      change(path, 'PRAGMA journal_mode = WAL'); // which commits faster
      await apply(path, project, { batchRows: 1, pace: 'full' });
      change(path, `UPDATE umzug_backfill_batches SET duration_ms = ${durationMs}`);
      return expectFigure(await reportOf(path, { project }), 'Throughput');
    });

  it('are put together where they would be too many', async () => {
    expect((await throughputOf(5, 50)).rows).to.have.length(5);
    const figure = await throughputOf(239, 50);
    expect(figure.rows.length).to.be.within(100, 120);
    expect(sumOf(figure, 3)).to.equal(239);
    expect(figure.rows.at(-1)?.[0]).to.match(/(^|–)239$/);
    expect(figure.rows[0]?.slice(4)).to.deep.equal(['20', '1']);
  });

  it('have no rate where no time was measured', async () => {
    expect(only((await throughputOf(1, 0)).rows)[4]).to.equal('0');
  });
});
