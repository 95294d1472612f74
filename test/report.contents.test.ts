import { mkdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { bytesOf } from './support/cli.js';
import { up, withPlainStore } from './support/migrate.js';
import { reportOf, texts } from './support/report.js';
import { type Audit, asAgentOs, change, insertAudits, withGeneratedStore } from './support/stores.js';

const SCRIPT = '<script>alert(1)</script>';

describe('what the report tells of a store’s contents', () => {
  const types = [
    `SUPERVISOR_${SCRIPT}`,
    `SUPERVISOR_" onload="alert(1)`,
    `SUPERVISOR_' --> ]]> &lt; &`,
    `supervisor </title></style></svg><img src=x onerror=alert(1)>`,
    `SUPERVISOR_<b title="x">'&amp;</b>`,
    `SUPERVISOR_\n\u0000\u202e\ud83d\ude00`,
  ];
  const audits: Audit[] = types.map((eventType, i) => ({
    eventType,
    payload: JSON.stringify({ source_ts: '2026-01-20T10:00:00Z', timestamp: `2026-01-20T10:00:0${i}Z` }),
  }));

  it('is text, whatever stands in it', () =>
    withPlainStore(async (plain) => {
      // A slash ends a folder's name: the path as a whole holds the closing tag.
      const folder = join(plain, '..', `a "b" 'c' ${SCRIPT.split('/')[0]}`);
      mkdirSync(folder);
      const path = join(folder, 'script> & store.db');
      renameSync(plain, path);
      await up(path, { backup: false });
      for (const lang of ['en', 'zh'] as const) {
        const page = await reportOf(path, { lang });
        expect(page.text).not.to.match(/<script|<img/i);
        expect(page.document.querySelectorAll('script, img')).to.have.length(0);
        const attributes = [...page.document.querySelectorAll('*')].flatMap((element) => [
          ...element.attributes,
        ]);
        expect(attributes.filter(({ name }: { name: string }) => name.startsWith('on'))).to.deep.equal([]);
        expect(page.words).to.include(path);
        const named = texts(page, 'bdi');
        // HTML has no place for a NUL, an override would hide how the rest reads, and a line break is no break of ours.
        const shown = (type: string): string =>
          type.replace('\n', '\\n').replace('\u0000', '\\u0000').replace('\u202e', '\\u202e');
        for (const type of types) expect(named).to.include(shown(type));
        // In the chart as well, as far as there is room.
        expect(texts(page, 'svg.wide text').join('\n')).to.include(`SUPERVISOR_${SCRIPT}`.slice(0, 30));
      }
    }, audits));

  it('is nothing of a payload, and of a column only what is a timestamp', () => {
    const secret = 'hunter2';
    return withPlainStore(
      async (path) => {
        await up(path);
        change(
          path,
          `UPDATE task_audits SET supervisor_processed_at = '${secret} changed' WHERE audit_id = 20`,
        );
        const { text } = await reportOf(path);
        expect(text).not.to.include(secret);
        expect(text).to.include('2026-01-29T10:00:00Z');
      },
      [
        { payload: `{"source_ts":"${secret} a","timestamp":"2026-${secret}"}` },
        { payload: `{"source_ts":"0000${secret}","timestamp":"9999${secret}"}` },
        { payload: `{"source_ts":"${secret}"`, createdAt: `${secret} c` },
        { payload: `{"reason":"${secret}","timestamp":"2026-01-29T10:00:00Z"}` },
      ],
    );
  });

  it('has so many keys of each reason for skips at most, and says how many there are', () =>
    withGeneratedStore({ audits: 0 }, async (path) => {
      const bad = 300 + 1234;
      asAgentOs(path, (db) => insertAudits(db, [...Array<Audit>(bad).fill({ payload: '{' }), {}]));
      await up(path, { batchRows: 500 });
      const page = await reportOf(path);
      const [keys = ''] = texts(page, '.keys');
      expect(keys).to.match(
        /^1, 2, 3, .*, 300, and 1,234 more, listed by: umzug-backfill skips --db-path \S+$/,
      );
      expect(page.words).to.include('1,534');
    }));
});

describe('making a report', () => {
  for (const journalMode of ['wal', 'delete'] as const) {
    it(`leaves the store byte for byte as it was (journal mode ${journalMode})`, () =>
      withGeneratedStore({ audits: 500, journalMode }, async (path) => {
        const untouched = bytesOf(path);
        await reportOf(path);
        expect(bytesOf(path)).to.deep.equal(untouched);
        await up(path);
        const filled = bytesOf(path);
        await reportOf(path);
        expect(bytesOf(path)).to.deep.equal(filled);
      }));
  }

  it('leaves what waits in the WAL where it is', () =>
    withGeneratedStore({ audits: 100 }, async (path) => {
      await up(path);
      const db = new Database(path);
      try {
        db.exec(`UPDATE task_audits SET level = 'x' WHERE audit_id = 1`);
        const rows = (): unknown => db.prepare('PRAGMA wal_checkpoint(NOOP)').all();
        const before = rows();
        const page = await reportOf(path);
        expect(texts(page, 'h2 .badge')).to.have.length(1);
        expect(rows()).to.deep.equal(before);
      } finally {
        db.close();
      }
    }));
});
