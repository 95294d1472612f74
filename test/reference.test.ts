import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import { generateStore, hostilePayloads } from '../demo/store-generator.js';
import {
  actualCells,
  type Cell,
  deriveRow,
  expectedCells,
  expectedSkips,
  storedValue,
} from './support/reference.js';

const raw = String.raw;
const C = '2026-01-20 10:00:00';

type Expected = readonly [string, string] | 'unreadable' | 'no-value';

function derived(payload: string | Buffer | null, asText = false, createdAt: string | null = C): Expected {
  const cells = deriveRow({ payload: storedValue(payload, asText), createdAt: storedValue(createdAt) });
  const show = (cell: Cell) => (cell.kind === 'text' ? cell.text : cell.reason);
  const [source, processed] = cells.map(show) as [string, string];
  return source === processed && (source === 'unreadable' || source === 'no-value')
    ? source
    : [source, processed];
}

/** Payload and what it must give, with `created_at` as C. Worked out by hand from the rules, not from the code. */
const cases: readonly (readonly [payload: string | null, expected: Expected])[] = [
  [null, [C, C]],
  ['', [C, C]],
  [' ', 'unreadable'],
  ['null', [C, C]],
  ['"source_ts"', [C, C]],
  ['[{"source_ts":"s"}]', [C, C]],
  ['NaN', [C, C]],
  ['nan', 'unreadable'],
  ['{"source_event_ts":"s","processed_at":"p"}', ['s', 'p']],
  [' {"timestamp":"t",\r\n\t"task_created_at":"c"} ', ['c', 't']],
  ['{"timestamp":"t","processed_at":"p","source_ts":"2","source_event_ts":"1"}', ['1', 'p']],
  ['{"source_event_ts":null,"source_ts":"","event_timestamp":false,"task_created_at":"c"}', ['c', C]],
  ['{"source_ts":0,"event_timestamp":-0.0e3,"task_created_at":1e-400,"timestamp":1e400}', [C, C]],
  ['{"source_ts":NaN,"event_timestamp":-Infinity,"task_created_at":7}', ['7', C]],
  ['{"source_ts":[1],"event_timestamp":{},"task_created_at":"c","timestamp":true}', ['c', C]],
  ['{"source_ts":1768903200,"timestamp":1768903200.25}', ['1768903200', '1768903200.25']],
  ['{"source_ts":1e3,"timestamp":-1.50}', ['1000.0', '-1.5']],
  [
    '{"source_ts":9223372036854775807,"timestamp":-9223372036854775808}',
    ['9223372036854775807', '-9223372036854775808'],
  ],
  ['{"source_ts":9223372036854775808}', ['9.2233720368547758e+18', C]],
  ['{"source_ts":" ","timestamp":"0"}', [' ', '0']],
  ['{"source_ts":"[1]","timestamp":"{}"}', ['[1]', '{}']],
  ['{"source_ts":["s"],"event_timestamp":"c","timestamp":"now"}', ['c', 'now']],
  ['{"source_ts":true,"event_timestamp":"s","processed_at":{"a":1},"timestamp":1}', ['s', '1']],
  ['{"source_ts":1e300,"timestamp":1.1e300}', ['1.0e+300', '1.1e+300']],
  [raw`{"reason":"\u4e2d\u00fc","source_ts":"s\u00fc","timestamp":"t"}`, ['sü', 't']],
  [raw`{"source_ts":"\u0032\n\"\/\ud83d\ude00"}`, ['2\n"/😀', C]],
  [raw`{"source_ts":"\ud800","event_timestamp":"\ude00\ud83d","task_created_at":"c"}`, ['c', C]],
  [raw`{"timestamp":"a\u0000b"}`, [C, C]],
  [raw`{"source\u005Fts":"first","source_ts":"second"}`, ['first', C]],
  ['{"source_ts":null,"source_ts":"second"}', [C, C]],
  [raw`{"source_ts\u0000":"x","timestamp\u0000y":"x"}`, [C, C]],
  ['{"SOURCE_TS":"x","a":{"source_ts":"x"}}', [C, C]],
  ['{"source_ts":"s",}', 'unreadable'],
  ["{'source_ts':'s'}", 'unreadable'],
  ['{source_ts:"s"}', 'unreadable'],
  ['{"source_ts":"s"}//', 'unreadable'],
  ['{"source_ts":0x1F}', 'unreadable'],
  ['{"source_ts":01}', 'unreadable'],
  ['{"source_ts":+1}', 'unreadable'],
  ['{"source_ts":-NaN}', 'unreadable'],
  ['{"source_ts":"a\tb"}', 'unreadable'],
  [raw`{"source_ts":"\x41"}`, 'unreadable'],
  ['{"source_ts":"s"', 'unreadable'],
  ['{"source_ts":"s"}}', 'unreadable'],
  ['\ufeff{"source_ts":"s"}', 'unreadable'],
  ['{"source_ts":"s"}\0', 'unreadable'],
  ['{"source_ts":"s"}\u00a0', 'unreadable'],
];

describe('reference', () => {
  describe('deriveRow', () => {
    for (const [payload, expected] of cases) {
      it(`derives ${JSON.stringify(expected)} from ${JSON.stringify(payload)}`, () => {
        expect(derived(payload)).to.deep.equal(expected);
      });
    }

    it('counts containers for the depth, and reads 1,000 of them', () => {
      const arrays = (depth: number) => '['.repeat(depth) + ']'.repeat(depth);
      expect(derived(arrays(1_000))).to.deep.equal([C, C]);
      expect(derived(arrays(1_001))).to.equal('unreadable');
      expect(derived(`{"timestamp":"t","a":${arrays(999)}}`)).to.deep.equal([C, 't']);
      expect(derived(`{"timestamp":"t","a":${arrays(1_000)}}`)).to.equal('unreadable');
    });

    it('passes over bytes that are not UTF-8 inside a string, and refuses them outside', () => {
      const text = (hex: string) => Buffer.from(`{"source_ts":"${hex}","task_created_at":"c"}`, 'latin1');
      for (const bytes of ['\xff', '\xc0\x80', '\xed\xa0\x80', '\xe2\x82', '\xf4\x90\x80\x80', '2026\x80']) {
        expect(derived(text(bytes), true)).to.deep.equal(['c', C]);
      }
      expect(derived(text('\xc3\xbc'), true)).to.deep.equal(['ü', C]);
      expect(derived(Buffer.from('{}\xff', 'latin1'), true)).to.equal('unreadable');
    });

    it('never reads a BLOB', () => {
      expect(derived(Buffer.from('{"source_ts":"s"}'))).to.equal('unreadable');
      expect(derived(Buffer.alloc(0))).to.equal('unreadable');
    });

    it('skips a column without a value when created_at is NULL or empty', () => {
      expect(derived(null, false, null)).to.equal('no-value');
      expect(derived('{"timestamp":"t"}', false, '')).to.deep.equal(['no-value', 't']);
      expect(derived('{', false, null)).to.equal('unreadable');
    });
  });

  describe('with a store', () => {
    let folder = '';
    let store = '';

    before(() => {
      folder = mkdtempSync(join(tmpdir(), 'reference-'));
      store = join(folder, 'store.db');
      generateStore({ path: store, audits: 3_000, rareShare: 0.2 });
    });
    after(() => rmSync(folder, { recursive: true }));

    const read = (path: string, sql: string): unknown[] => {
      const database = new Database(path, { fileMustExist: true });
      try {
        return database.prepare(sql).pluck().all();
      } finally {
        database.close();
      }
    };

    it('yields every hostile form, byte for byte', () => {
      const sql =
        "SELECT typeof(payload) || hex(payload) FROM task_audits WHERE event_type LIKE '%SUPERVISOR%'";
      const stored = new Set(read(store, sql));
      for (const { name, payload, asText } of hostilePayloads) {
        const { type, bytes } = storedValue(payload, asText);
        expect(stored.has(type + bytes.toString('hex').toUpperCase()), name).to.equal(true);
      }
      expect(new Set(hostilePayloads.map(({ name }) => name)).size).to.equal(hostilePayloads.length);
    });

    it('yields the columns of v20 in order, valid foreign keys and the version', () => {
      expect(read(store, "SELECT group_concat(name) FROM pragma_table_xinfo('task_audits')")).to.deep.equal([
        'audit_id,task_id,level,event_type,payload,created_at,decision_id,verdict_id,repo_id',
      ]);
      expect(read(store, 'SELECT count(*) FROM pragma_foreign_key_check')).to.deep.equal([0]);
      expect(read(store, "SELECT version FROM schema_version WHERE version = '0.20.0'")).to.deep.equal([
        '0.20.0',
      ]);
      expect(read(store, 'PRAGMA integrity_check')).to.deep.equal(['ok']);
    });

    it('yields all seven names and the three forms of created_at, rising', () => {
      const found = read(
        store,
        'SELECT DISTINCT key FROM task_audits, json_each(payload) WHERE json_valid(payload)',
      );
      expect(found).to.include.members([
        'source_event_ts',
        'source_ts',
        'event_timestamp',
        'task_created_at',
      ]);
      expect(found).to.include.members(['supervisor_processed_at', 'processed_at', 'timestamp']);
      const times = read(
        store,
        "SELECT created_at FROM task_audits WHERE created_at <> '' ORDER BY audit_id",
      ).map(String);
      for (const form of [/^\S{26}$/, /Z$/, /\+02:00$/, /^\S{10} \S{8}$/]) {
        expect(
          times.some((time) => form.test(time)),
          String(form),
        ).to.equal(true);
      }
      const utc = times.map((time) => Date.parse(/Z$|\+/.test(time) ? time : `${time}Z`));
      // SQLite's form has whole seconds only, hence the slack.
      expect(utc.every((time, index) => index === 0 || time > (utc[index - 1] ?? 0) - 1_000)).to.equal(true);
    });

    it('makes the same rows from the same seed, and others from another', () => {
      const digest = (name: string, seed: number) => {
        const path = join(folder, name);
        generateStore({ path, audits: 300, seed, journalMode: 'delete' });
        return createHash('sha256').update(readFileSync(path)).digest('hex');
      };
      expect(digest('a.db', 5)).to.equal(digest('b.db', 5));
      expect(digest('c.db', 6)).not.to.equal(digest('d.db', 5));
    });

    it('makes the small schema in the journal mode asked for', () => {
      const path = join(folder, 'small.db');
      generateStore({ path, audits: 50, smallSchema: true, journalMode: 'delete' });
      expect(read(path, "SELECT group_concat(name) FROM pragma_table_xinfo('task_audits')")).to.deep.equal([
        'audit_id,event_type,payload,created_at',
      ]);
      expect(read(path, 'PRAGMA journal_mode')).to.deep.equal(['delete']);
      expect(read(store, 'PRAGMA journal_mode')).to.deep.equal(['wal']);
      expect(expectedCells(path).size).to.equal(50);
    });

    it('refuses a path that exists and leaves the file alone', () => {
      const path = join(folder, 'taken.db');
      writeFileSync(path, 'mine');
      expect(() => generateStore({ path, audits: 1 })).to.throw('Expected no file at');
      expect(readFileSync(path, 'utf8')).to.equal('mine');
    });

    it('refuses a share out of range before it makes a file', () => {
      const path = join(folder, 'none.db');
      expect(() => generateStore({ path, audits: 1, rareShare: 1.5 })).to.throw('Expected `rareShare`');
      expect(readdirSync(folder)).not.to.include('none.db');
    });

    it('expects what stands, fills what is NULL in scope, and leaves no trace by looking', () => {
      const path = join(folder, 'mixed.db');
      const database = new Database(path);
      database.exec(`
        CREATE TABLE task_audits (audit_id INTEGER PRIMARY KEY, event_type TEXT, payload TEXT,
          created_at TIMESTAMP, Source_Event_TS TEXT, supervisor_processed_at TEXT);
        INSERT INTO task_audits VALUES
          (1, 'SUPERVISOR_DECISION', '{"source_ts":"s"}', '2026', NULL, NULL),
          (2, 'x_supervisor', '{"source_ts":"s"}', 'c', 'mine', NULL),
          (3, 'TASK_CREATED', '{"source_ts":"s"}', 'c', NULL, NULL),
          (4, 'SUPERVISOR_ERROR', '{', 'c', NULL, 'mine'),
          (5, 'SUPERVISOR_ERROR', '{', 'c', '', 'mine'),
          (6, 'SUPERVISOR_ERROR', '{"timestamp":"t"}', NULL, NULL, NULL),
          (7, 'SUPERVISOR_ERROR', NULL, '', NULL, NULL),
          (9007199254740993, 'SUPERVISOR_ERROR', '{}', 'c', NULL, NULL),
          (-1, CAST(x'53555045525649534F52' AS BLOB), '{}', 'c', NULL, NULL);
      `);
      database.close();
      expect([...expectedCells(path)]).to.deep.equal([
        ['-1', [null, null]],
        ['1', ['s', '2026']],
        ['2', ['mine', 'c']],
        ['3', [null, null]],
        ['4', [null, 'mine']],
        ['5', ['', 'mine']],
        ['6', [null, 't']],
        ['7', [null, null]],
        ['9007199254740993', ['c', 'c']],
      ]);
      expect([...expectedSkips(path)]).to.deep.equal([
        ['4', [{ column: null, kind: 'unreadable' }]],
        ['6', [{ column: 'source_event_ts', kind: 'no-value' }]],
        [
          '7',
          [
            { column: 'source_event_ts', kind: 'no-value' },
            { column: 'supervisor_processed_at', kind: 'no-value' },
          ],
        ],
      ]);
      expect(actualCells(path).get('2')).to.deep.equal(['mine', null]);
      expect(readdirSync(folder).filter((name) => name.startsWith('mixed.db'))).to.deep.equal(['mixed.db']);
    });
  });
});
