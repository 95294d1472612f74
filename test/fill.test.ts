import { join } from 'node:path';
import Database from 'better-sqlite3';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { generateStore, hostilePayloads } from '../demo/store-generator.js';
import { defineBackfill, sql } from '../src/index.js';
import { fill, fillAndCompare, recordedSkips } from './support/compare-fill.js';
import { numbers } from './support/customers.js';
import { sqliteEngine, sqliteStore } from './support/engine-sqlite.js';
import { COLUMNS } from './support/oracle-words.js';
import { expectRoundTrip, withOwnTable } from './support/own-table.js';
import { asAgentOs, withFolder, withGeneratedStore } from './support/stores.js';

// What only SQLite's stores have; the rest is in acceptance.fill.test.ts.

const read = (path: string, sql: string): unknown[] =>
  asAgentOs(path, (db) => db.prepare(sql).pluck().safeIntegers().all());

describe('up', () => {
  for (const journalMode of ['wal', 'delete'] as const) {
    it(`fills a store in journal mode ${journalMode} as the rules say, and leaves it there`, () =>
      sqliteEngine.withStore({ audits: 600, rareShare: 0.2, journalMode }, async (store) => {
        await fillAndCompare(store, 100);
        expect(await store.query('PRAGMA journal_mode')).to.deep.equal([journalMode]);
      }));
  }

  it('meets every payload form there is in the store of rare payloads', async () => {
    await withGeneratedStore({ audits: 3000, rareShare: 1, supervisorShare: 1 }, (path) => {
      const stored = new Set(read(path, 'SELECT hex(payload) FROM task_audits'));
      const missing = hostilePayloads.filter(
        ({ payload }) =>
          !stored.has((payload === null ? '' : Buffer.from(payload as string).toString('hex')).toUpperCase()),
      );
      expect(missing.map(({ name }) => name)).to.deep.equal([]);
    });
  });

  it('does not mind foreign keys that were violated before', async () => {
    await withGeneratedStore({ audits: 300, rareShare: 0.2 }, async (path) => {
      asAgentOs(path, (db) => db.exec(`UPDATE task_audits SET task_id = 'gone' WHERE audit_id % 2 = 0`));
      const violated = read(path, 'SELECT count(*) FROM pragma_foreign_key_check');
      expect(violated).to.deep.equal([150n]);
      await fillAndCompare(sqliteStore(path));
      expect(read(path, 'SELECT count(*) FROM pragma_foreign_key_check')).to.deep.equal(violated);
    });
  });

  it('goes on where the next row to fill is more than 100,000 rows behind the last', () =>
    withOwnTable(
      `CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, a TEXT, b TEXT);
      ${numbers(110_000)} INSERT INTO t (a) SELECT CASE WHEN i IN (1, 110000) THEN 'x' END FROM n`,
      defineBackfill({ table: 't', key: 'id', scope: 'a IS NOT NULL', columns: { b: sql('a') } }),
      (own) => expectRoundTrip(own, [['x'], ['x']], 'SELECT b FROM t WHERE a IS NOT NULL'),
    ));

  it('takes no name for another that goes on with bytes that are no UTF-8', async () => {
    // With an escape in the name SQLite decodes it, and ends the comparison where a byte decodes to zero.
    const names = ['\xff', '\xc0\x80', '\xe0', '\xf0', '\xfe'].flatMap((bytes) =>
      ['\\n', '\\"', '\\/', '\\u4e8c'].map((escaped) => `source_ts${bytes}${escaped}`),
    );
    await withGeneratedStore({ audits: 0, smallSchema: true }, async (path) => {
      asAgentOs(path, (db) => {
        const insert = db.prepare(
          `INSERT INTO task_audits VALUES (?, 'SUPERVISOR_ERROR', CAST(? AS TEXT), '2026-01-20')`,
        );
        names.forEach((name, i) => {
          insert.run(i, Buffer.from(`{"${name}":"other","timestamp":"t"}`, 'latin1'));
        });
      });
      await fillAndCompare(sqliteStore(path));
      expect(read(path, 'SELECT DISTINCT source_event_ts FROM task_audits')).to.deep.equal(['2026-01-20']);
    });
  });

  for (const encoding of ['UTF-16le', 'UTF-16be']) {
    it(`reads a store in ${encoding}`, async () => {
      const C = '2026-01-20 10:00:00';
      // By hand: the oracle reads UTF-8 only.
      const rows: readonly (readonly [
        payload: string | null,
        source: string | null,
        processed: string | null,
      ])[] = [
        [null, C, C],
        ['', C, C],
        ['{"source_ts":"2026-01-20T10:00:00Z","timestamp":1768903200}', '2026-01-20T10:00:00Z', '1768903200'],
        ['{"reason":"暂停：需要确认","source_ts":"二〇二六年","timestamp":"😀"}', '二〇二六年', '😀'],
        [String.raw`{"\u0073ource_ts":"\u4e8c\ud83d\ude00\n","timestamp":"年"}`, '二😀\n', '年'],
        ['{"source_ts":NaN,"event_timestamp":"年","processed_at":Infinity}', '年', C],
        [String.raw`{"source_ts":"\ud800","event_timestamp":"\u0000","task_created_at":7}`, '7', C],
        ['{"source_ts":"年",}', null, null],
        ["{'source_ts':'年'}", null, null],
        ['{"source_ts":"年"}\0', null, null],
        ['\ufeff{"source_ts":"年"}', null, null],
      ];
      await withFolder(async (folder) => {
        const [path, utf8] = [join(folder, 'store.db'), join(folder, 'utf8.db')];
        // The schema comes from the generator; an encoding can only be chosen before the first table.
        generateStore({ path: utf8, audits: 0, smallSchema: true });
        const schema = read(utf8, 'SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL') as string[];
        const db = new Database(path);
        db.pragma(`encoding = '${encoding}'`);
        for (const sql of schema) db.exec(sql);
        db.exec(`INSERT INTO schema_version (version) VALUES ('0.20.0')`);
        const insert = db.prepare(`INSERT INTO task_audits VALUES (?, 'SUPERVISOR_决定', ?, ?)`);
        rows.forEach(([payload], i) => {
          insert.run(i, payload, C);
        });
        db.close();

        const skips = recordedSkips(await fill(sqliteStore(path), { batchRows: 4 }));
        const sql = `SELECT json_array(${COLUMNS}) FROM task_audits ORDER BY audit_id`;
        const filled = (read(path, sql) as string[]).map((json): unknown => JSON.parse(json));
        expect(filled).to.deep.equal(rows.map(([, source, processed]) => [source, processed]));
        expect([...skips.keys()]).to.deep.equal(['7', '8', '9', '10']);
        expect(read(path, 'PRAGMA integrity_check')).to.deep.equal(['ok']);
        expect(read(path, 'PRAGMA encoding')).to.deep.equal([encoding]);
      });
    });
  }
});
