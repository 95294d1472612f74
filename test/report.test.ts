import { join } from 'node:path';
import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { requireBackfill } from '../src/index.js';
import { expectChinese } from './support/chinese.js';
import { ENGINES, needEngine, type TestStore } from './support/engines.js';
import {
  after,
  down,
  name,
  onAppliedStore,
  plain,
  processed,
  project,
  stoppedAfter,
  troubles,
  up,
  verify,
  withPlainStore,
} from './support/migrate.js';
import { named, projectOf, run, type Step } from './support/project.js';
import { apply, backfillOf, makeEvents, type Page, readPage, reportOf, texts } from './support/report.js';
import { asAgentOs, change, insertAudits, withFolder, withGeneratedStore } from './support/stores.js';

const CHARTS = 'figure svg.wide';

const GRAVITY = ['pass', 'warn', 'fail'];

for (const engine of ENGINES) {
  describe(`${engine.name}: the verdicts of a report`, () => {
    before(function () {
      needEngine(this, engine);
    });

    it('are those of the verification, of each check, and of the gravest of its lines', () =>
      onAppliedStore(
        engine,
        async (store) => {
          const source = '2026-01-20T10:00:00Z';
          // Derived cells below the watermark that the application has written: on a server others may do so.
          await store.insert({ ...plain, key: 0n, cells: [source, processed] });
          await expectSameVerdicts(store, { integrity: engine.name === 'SQLite' ? 'fail' : 'warn' });
          await store.change(
            `UPDATE task_audits SET source_event_ts = 'hm' WHERE audit_id = 9;
            UPDATE task_audits SET source_event_ts = '2026-01-20 10:00:02' WHERE audit_id = 8;
            UPDATE task_audits SET source_event_ts = NULL WHERE audit_id = 7`,
          );
          await store.insert({ payload: '{' }, plain);
          await expectSameVerdicts(store, {
            coverage: 'fail',
            consistency: 'warn',
            timestamps: 'warn',
            integrity: 'warn',
          });
        },
        [{ payload: '{' }, { createdAt: null }],
      ));
  });
}

/** Insists that a report tells what the verification finds; `expected` has each verdict that is not `pass`. */
const expectSameVerdicts = (store: TestStore, expected: Readonly<Record<string, string>>) =>
  withFolder(async (folder) => {
    const { 'index-use': _, ...found } = troubles(await verify(store)); // on a server a matter of its statistics
    expect(found).to.deep.include(expected);
    const file = join(folder, 'report.html');
    await run(project, store.address, ['report', '--out', file]);
    const items = [...readPage(file).document.querySelectorAll('li.check')];
    const checks = (await verify(store)).checks;
    expect(items).to.have.length(checks.length);
    for (const [i, { id, verdict, findings }] of checks.entries()) {
      const badges = [...items[i].querySelectorAll('.badge')].map(({ textContent }) => textContent);
      const [whole, ...lines] = badges as string[];
      expect(whole, id).to.equal(verdict);
      expect(lines, id).to.deep.equal(
        findings.filter((finding) => finding.verdict !== 'pass').map((finding) => finding.verdict),
      );
      const told = [...items[i].querySelectorAll('li')].map(({ textContent }) => textContent);
      expect(told, id).to.deep.equal(
        findings.map(({ verdict: found, text, sampleKeys: keys }) =>
          [...(found === 'pass' ? [] : [found]), text, ...(keys ? [`(keys ${keys.join(', ')})`] : [])].join(
            ' ',
          ),
        ),
      );
      expect(gravestOf(lines), id).to.equal(verdict);
    }
  });

const gravestOf = (verdicts: readonly string[]): string | undefined =>
  GRAVITY[Math.max(0, ...verdicts.map((verdict) => GRAVITY.indexOf(verdict)))];

describe('the report', () => {
  it('tells of a store that was brought from v20 to v21', () =>
    withGeneratedStore({ audits: 2000, rareShare: 0.05 }, async (path) => {
      await up(path);
      const page = await reportOf(path, { now: () => new Date('2026-03-01T12:00:00Z') });
      expect(page.words).to.include(path).and.include('2026-03-01 12:00:00 UTC');
      expect(texts(page, 'header dd .badge')).to.deep.equal(['warn']);
      expect(texts(page, 'h2')).to.deep.equal([`${name} warn`, 'Timeline']);
      expect(texts(page, 'figcaption strong')).to.deep.equal([
        'Coverage by event_type',
        'Distribution of lags',
        'Lag over time',
        'Throughput',
        'Batch size',
        'Timeline',
      ]);
      expect(texts(page, '.check strong')).to.have.length(8);
      expect(page.words)
        .to.match(/SUPERVISOR_BLOCKED/)
        .and.match(/DOCUMENT_UNREADABLE/);
    }));

  it('has of each chart an image with a label, for wide and for narrow pages, and a table of its figures', () =>
    withGeneratedStore({ audits: 600 }, async (path) => {
      await up(path);
      const page = await reportOf(path);
      expect(page.document.querySelectorAll(CHARTS)).to.have.length(6);
      for (const figure of page.document.querySelectorAll('figure')) {
        const charts = [...figure.querySelectorAll('svg')];
        expect(charts.map((chart) => chart.getAttribute('class'))).to.deep.equal([
          'plot wide',
          'plot narrow',
        ]);
        for (const chart of charts) {
          expect(chart.getAttribute('role')).to.equal('img');
          expect(chart.getAttribute('aria-label')).to.have.length.greaterThan(20);
        }
        expect(figure.querySelectorAll('details table tbody tr')).not.to.have.length(0);
      }
    }));

  it('writes each tick of an axis out', () =>
    withGeneratedStore({ audits: 3000 }, async (path) => {
      await up(path, { batchRows: 300 });
      const page = await reportOf(path);
      for (const axis of ['x-axis', 'y-axis']) {
        let labels = 0;
        for (const chart of page.document.querySelectorAll('svg')) {
          const written = [...chart.querySelectorAll(`[aria-label="${axis} tick label"] text`)];
          const ticks = chart.querySelectorAll(`[aria-label="${axis} tick"] path`).length;
          const full = written.filter((label) => label.textContent.trim() !== '').length;
          if (ticks > 0) expect(full, chart.getAttribute('aria-label')).to.equal(ticks);
          labels += full;
        }
        expect(labels).to.be.greaterThan(40);
      }
    }));

  it('needs no other file, no network and no script', () =>
    withGeneratedStore({ audits: 300 }, async (path) => {
      await up(path);
      const { text, document } = await reportOf(path);
      expect(document.querySelectorAll('script, link, img, iframe, object, embed')).to.have.length(0);
      const addresses = text.match(/\b(?:https?:)?\/\/[^\s"'<]+|url\([^)]*\)|@import/g) ?? [];
      expect(addresses.filter((found) => !/^http:\/\/www\.w3\.org\//.test(found))).to.deep.equal([]);
      expect(
        document.querySelector('meta[http-equiv="Content-Security-Policy"]').getAttribute('content'),
      ).to.match(/^default-src 'none'/);
    }));

  it('has the same figures as the verification', () =>
    withPlainStore(
      async (path) => {
        await up(path);
        change(path, `UPDATE task_audits SET source_event_ts = NULL WHERE audit_id = 7`);
        asAgentOs(path, (db) => insertAudits(db, [{ payload: '{' }, {}]));
        const page = await reportOf(path);
        expect(texts(page, 'h2 .badge')).to.deep.equal(['fail']);
        expect(page.words)
          .to.include('source_event_ts: 48 of 52 filled (92.3%)')
          .and.include('1 cells of source_event_ts are NULL though a value can be derived (keys 7)')
          .and.include('1 cells of source_event_ts are pending catch-up (keys 52)')
          .and.include('2 cells of source_event_ts have no value to derive (keys 1, 51)')
          .and.include(`umzug-backfill backfill --db-path ${path} ${name} --rescan`)
          .and.include(': 48 rows, p50 1 s, p95 1 s, p99 1 s, max 1 s');
      },
      [{ payload: '{"a' }],
    ));

  it('takes the verification that `up` has just made, and makes none of its own then', () =>
    withPlainStore(async (path) => {
      const file = join(path, '../report.html');
      const changed = after(1, 'verified', () =>
        change(path, `UPDATE task_audits SET source_event_ts = NULL WHERE audit_id = 7`),
      );
      await run(project, { path }, ['up', '--report', file], changed);
      expect(texts(readPage(file), 'h2 .badge')).to.deep.equal(['pass']);
      expect(texts(await reportOf(path), 'h2 .badge')).to.deep.equal(['fail']);
    }));

  it('is told in Chinese as well, without a word in English', () =>
    withGeneratedStore({ audits: 200, rareShare: 0.05 }, async (path) => {
      const english = new Set<string>();
      const compare = async (): Promise<Page> => {
        for (const text of toldBy(await reportOf(path))) if (/^[a-z ,’.]{4,}$/i.test(text)) english.add(text);
        const page = await reportOf(path, { lang: 'zh' });
        expect(page.document.documentElement.getAttribute('lang')).to.equal('zh-Hans');
        const told = toldBy(page).join('\n');
        expectChinese({ stdout: told, stderr: '' });
        // `up` and `backfill` are names of commands.
        for (const word of english)
          if (word !== 'backfill') expect(told).not.to.match(new RegExp(`\\b${word}\\b`));
        return page;
      };
      await compare();
      await up(path, stoppedAfter(3));
      await compare();
      await up(path);
      change(path, `UPDATE task_audits SET source_event_ts = NULL WHERE audit_id % 5 = 0`);
      asAgentOs(path, (db) => insertAudits(db, [{ payload: '{' }, {}]));
      const page = await compare();
      expect(english.size).to.be.greaterThan(60);
      expect(page.words)
        .to.include('回填报告')
        .and.include('首次')
        .and.match(/source_event_ts：\d+ 行中已填充 \d+ 行（[\d.]+%）/);
    }));
});

/** All that a page tells: its texts, one by one, its title, and what is read out of its charts. */
const toldBy = ({ document }: Page): string[] => {
  const told: string[] = [document.title];
  for (const element of document.querySelectorAll('body, body *:not(style)')) {
    // Parts of a chart have labels of the library's, which nobody is read.
    const label = element.parentElement.closest('svg') ? null : element.getAttribute('aria-label');
    const own = [...element.childNodes].filter(({ nodeType }) => nodeType === 3);
    told.push(...[label, ...own.map(({ textContent }) => textContent.trim())].filter(Boolean));
  }
  return told;
};

describe('the report of any project', () => {
  const lane = backfillOf('001-lane', 'lane');
  const when = backfillOf('002-when', 'seen', { timestamps: true, groupBy: 'kind' });

  /** Makes a store of these rows, applies, and reports. */
  const reportOn = (rows: number, ...steps: readonly Step[]) =>
    withFolder(async (folder) => {
      const path = join(folder, 'store.db');
      const project = projectOf(steps);
      makeEvents(path, ['lane', 'seen'], rows);
      await apply(path, project);
      return reportOf(path, { project });
    });

  it('does without groups, timestamps and lags', async () => {
    const page = await reportOn(20, lane);
    expect(texts(page, 'h2 .badge')).to.deep.equal(['pass']);
    expect(texts(page, 'figcaption strong')).to.deep.equal([
      'Coverage',
      'Throughput',
      'Batch size',
      'Timeline',
    ]);
    expect(page.words).to.include('lane: 20 of 20 filled (100%)').and.include('Nothing was skipped.');
  });

  it('names each kind of step', async () => {
    const page = await reportOn(5, lane, named('002-required', requireBackfill('001-lane')));
    expect(page.words)
      .to.match(/001-lane ?backfill/)
      .and.match(/002-required ?requirement/);
  });

  it('tells of several backfills, each by itself', async () => {
    const page = await reportOn(20, lane, when);
    expect(texts(page, 'h2')).to.deep.equal(['001-lane pass', '002-when pass', 'Timeline']);
    expect(texts(page, 'figcaption strong').filter((title) => title === 'Throughput')).to.have.length(2);
    expect(page.words).to.include('Coverage by kind').and.include('kind 2');
  });

  it('does without a row', async () => {
    const page = await reportOn(0, when);
    expect(texts(page, 'header dd .badge')).to.deep.equal(['pass']);
    expect(page.words).to.include('No row is in scope.');
  });

  it('does without a backfill', async () => {
    const page = await reportOn(3);
    expect(page.words)
      .to.include('The project has no backfill.')
      .and.include('No command has changed this store yet.');
  });

  it('tells of a store on which nothing was done yet', () =>
    withGeneratedStore({ audits: 50 }, async (path) => {
      const page = await reportOf(path);
      expect(texts(page, '.badge')).to.deep.equal(['unverified', 'unverified']);
      expect(page.words).to.include('No run is recorded on this store.').and.include('pending');
    }));

  it('tells of a backfill that was stopped half way, and of one that was taken back', () =>
    withGeneratedStore({ audits: 200 }, async (path) => {
      await up(path, stoppedAfter(3));
      const stopped = await reportOf(path);
      expect(texts(stopped, 'h2 .badge')).to.deep.equal(['unverified']);
      expect(stopped.words).to.include('running').and.include('applying');
      expect(texts(stopped, 'figcaption strong')).to.include('Throughput');
      await up(path);
      await down(path);
      expect((await reportOf(path)).words).to.include('No run is recorded on this store.');
    }));

  it('says why a backfill can not be verified', () =>
    withGeneratedStore({ audits: 50 }, async (path) => {
      await up(path);
      change(
        path,
        `DROP INDEX idx_task_audits_decision_lag; DROP INDEX idx_task_audits_source_event_ts;
        DROP INDEX idx_task_audits_event_source_ts; ALTER TABLE task_audits DROP COLUMN source_event_ts`,
      );
      const page = await reportOf(path);
      expect(texts(page, 'h2 .badge')).to.deep.equal(['unverified']);
      expect(page.words).to.include('COLUMN_MISSING').and.include('source_event_ts');
    }));
});
