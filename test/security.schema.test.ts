import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { globSync } from 'tinyglobby';
import { generateStore } from '../demo/store-generator.js';
import { defineBackfill, sql } from '../src/index.js';
import { expectRefusal, root, runCli } from './support/cli.js';
import { craft, ENDLESS, refusesStore, retext } from './support/crafted.js';
import { codeOf, down, up } from './support/migrate.js';
import { commandsOf, projectOf } from './support/project.js';
import { apply, quick, withV20 } from './support/schema-step.js';
import { change, dumpSchema, failureOf, query, withFolder } from './support/stores.js';

// A store's schema is text that whoever wrote the file has chosen. SQLite compiles the first statement of each and runs none.

/** Statements that make a file, behind a text. */
const making = (file: string): string => `;ATTACH '${file}' AS e;CREATE TABLE e.k(x);DETACH e`;

describe('a schema text with more than one statement', () => {
  const crafted = [
    ['a_note', 'table', 'CREATE TABLE a_note(x)'],
    ['a_index', 'index', 'CREATE INDEX a_index ON a_note(x)'],
    ['a_view', 'view', 'CREATE VIEW a_view AS SELECT 1 AS one'],
    ['a_trigger', 'trigger', 'CREATE TRIGGER a_trigger AFTER DELETE ON a_note BEGIN SELECT 1; END'],
    ['a_search', 'table', 'CREATE VIRTUAL TABLE a_search USING fts5(x)'],
  ] as const;
  const objects = crafted.map(([, , sql]) => sql).join(';\n');

  for (const [name, type, sql] of crafted) {
    it(`is refused by name, and nothing of it runs: ${sql.split(' ', 3).join(' ')}`, () =>
      withV20(async (path) => {
        const file = `${path}-made`;
        retext(path, name, sql + making(file));
        for (const args of [['up', '--dry-run'], ['up']]) {
          const { message, hint } = await refusesStore(path, args, 'SCHEMA_TAMPERED');
          expect(message).to.include(`${type} ${name}`);
          expect(hint).to.include(`WHERE name = '\\''${name}'\\''`);
        }
        for (const args of [['status'], ['pending'], ['skips'], ['lint']])
          await runCli([...args, '--db-path', path]);
        expect(existsSync(file), 'a file that the schema names').to.equal(false);
      }, objects));
  }

  // SQLite compiles these as it does texts, while `tbl_name = 'tasks'` is false of a BLOB: a trigger would be missed.
  for (const [what, entry] of [
    ['the table of a trigger on the ledger', ["'trigger'", "'evil'", "CAST('umzug_backfill_steps' AS BLOB)"]],
    ['the type of a trigger on the ledger', ["CAST('trigger' AS BLOB)", "'evil'", "'umzug_backfill_steps'"]],
    ['the table of a trigger on a table', ["'trigger'", "'evil'", "CAST('task_audits' AS BLOB)"]],
    ['the type of a trigger on a table', ["CAST('trigger' AS BLOB)", "'evil'", "'task_audits'"]],
  ] as const) {
    it(`is refused where it hides an entry in a BLOB: ${what}`, () =>
      withV20(async (path) => {
        expect(codeOf(await apply(path))).to.equal(undefined);
        const table = /(\w+)'/.exec(entry[2])?.[1];
        craft(path, (db) => {
          db.exec(`INSERT INTO sqlite_schema VALUES (${entry.join()}, 0,
            'CREATE TRIGGER evil AFTER UPDATE ON ${table} BEGIN UPDATE task_audits SET payload = NULL; END')`);
        });
        const commands = [
          ['up', '--dry-run'],
          ['up', '--no-backup'],
          ['down', '--no-backup', '--yes'],
          ['status'],
        ];
        for (const args of commands) {
          const { message, hint } = await refusesStore(path, args, 'SCHEMA_TAMPERED');
          expect(message).to.include('evil');
          const [, sql = ''] = /-safe \S+ '(.+)'; then/.exec(hint) ?? [];
          expect(query(path, `SELECT name FROM (${sql.replaceAll(`'\\''`, "'")})`)).to.deep.equal(['evil']);
        }
      }));
  }

  it('is refused by `down` too, and its dry run', () =>
    withV20(async (path) => {
      expect(codeOf(await up(path, quick))).to.equal(undefined);
      const file = `${path}-made`;
      retext(path, 'a_note', `CREATE TABLE a_note(x)${making(file)}`);
      for (const more of [['--dry-run'], ['--no-backup', '--yes']]) {
        const { message } = await refusesStore(path, ['down', '--to', '0', ...more], 'SCHEMA_TAMPERED');
        expect(message).to.include('table a_note');
      }
      expect(existsSync(file)).to.equal(false);
    }, objects));

  it('is refused where a comment, a quote or a bracket seems to hide it, or seems to end it', () =>
    withV20(async (path) => {
      const file = `${path}-made`;
      for (const sql of [
        `CREATE TABLE a_note(x, "x;")${making(file)}`,
        `CREATE TABLE a_note(x /* ; */)--\n${making(file)}`,
        `CREATE TABLE a_note(x, [x'])${making(file)}--']`,
        `CREATE TABLE a_note(x);;/**/;${making(file)};`,
      ]) {
        retext(path, 'a_note', sql);
        await refusesStore(path, ['up', '--dry-run'], 'SCHEMA_TAMPERED');
      }
      retext(path, 'a_note', `create/**/table a_note(x,"x;",[;] default ';' --;\n)`);
      expect((await runCli(['up', '--dry-run', '--db-path', path])).code).to.equal(0);
      expect(existsSync(file)).to.equal(false);
    }, objects));

  it('does not keep a fleet from its other stores', () =>
    withFolder(async (folder) => {
      const [bad, good] = ['bad', 'good'].map((tenant) => {
        mkdirSync(join(folder, tenant));
        const path = join(folder, tenant, 'store.db');
        generateStore({ path, audits: 5 });
        change(path, objects);
        return path;
      }) as [string, string];
      const file = join(folder, 'made');
      retext(bad, 'a_note', `CREATE TABLE a_note(x)${making(file)}`);
      const result = await runCli(['up', '--no-backup', '--db-path', join(folder, '*/store.db')]);
      expect(result.code).to.equal(1);
      expect(result.stdout + result.stderr).to.include('SCHEMA_TAMPERED');
      expect(existsSync(file)).to.equal(false);
      const made = `SELECT count(*) FROM schema_version WHERE version = '0.21.0'`;
      expect([good, bad].map((path) => query(path, made))).to.deep.equal([[1], [0]]);
    }));
});

describe('a schema that is not trusted', () => {
  it('is not by any connection to SQLite that this package opens', () => {
    const opening = globSync('src/**/*.ts', { cwd: root }).filter((file) =>
      /^(?!\s*\*|.*').*\bnew Database\(/m.test(readFileSync(join(root, file), 'utf8')),
    );
    // The run lock has a file of its own, in which nothing but its own table is read.
    expect(opening.filter((file) => file !== 'src/safety/lock-file.ts')).to.deep.equal([
      'src/db/sqlite/connection.ts',
    ]);
  });

  const search = 'CREATE VIRTUAL TABLE search USING fts5(payload)';
  for (const [used, sql] of [
    [
      'MATCH()',
      `${search}; CREATE TRIGGER seen AFTER UPDATE ON task_audits
        BEGIN SELECT rowid FROM search WHERE search MATCH new.event_type; END`,
    ],
    [
      'bm25()',
      `${search}; CREATE TRIGGER seen AFTER UPDATE ON task_audits BEGIN SELECT bm25(search) FROM search('a'); END`,
    ],
    [
      'the virtual table pragma_table_info',
      `CREATE TRIGGER seen AFTER UPDATE ON task_audits BEGIN SELECT name FROM pragma_table_info('tasks'); END`,
    ],
  ] as const) {
    it(`may have no trigger that fires and uses ${used}: told by name, before and after the columns are made`, () =>
      withV20(async (path) => {
        const args = ['up', '--no-backup', '--allow-triggers'];
        const { message, hint } = await refusesStore(path, args, 'SCHEMA_BLOCKED');
        expect(message).to.include('trigger seen').and.include(`it uses ${used}`);
        expect(hint).to.include('Drop trigger seen');
        const [trigger = ''] = query(path, `SELECT sql FROM sqlite_schema WHERE name = 'seen'`);
        change(path, 'DROP TRIGGER seen');
        expect(codeOf(await up(path, quick, { to: 'v021-1-decision-columns' }))).to.equal(undefined);
        change(path, trigger);
        const again = await refusesStore(path, args, 'SCHEMA_BLOCKED');
        expect(again.message).to.include('trigger seen').and.include(`it uses ${used}`);
        change(path, 'DROP TRIGGER seen');
        expect(codeOf(await up(path, quick))).to.equal(undefined);
      }, sql));
  }

  for (const [what, sql] of [
    [
      'pragma tables',
      `CREATE VIEW v AS SELECT m.name, i.name AS c FROM sqlite_schema m, pragma_table_info(m.name) i`,
    ],
    [
      'words of a full-text index',
      `${search}; CREATE VIRTUAL TABLE words USING fts5vocab(search, row); CREATE VIEW v AS SELECT term FROM words`,
    ],
    [
      'MATCH and bm25()',
      `${search}; CREATE VIEW v AS SELECT rowid, bm25(search) AS score FROM search WHERE search MATCH 'a'`,
    ],
    [
      'a table-valued JSON function',
      `CREATE VIEW v AS SELECT audit_id, j.value FROM task_audits, json_each(payload) j`,
    ],
  ] as const) {
    it(`may have views that use ${what}: a step is applied and taken back beside them`, () =>
      withV20(async (path) => {
        const before = dumpSchema(path);
        const outcome = await up(path, quick);
        expect(outcome.warnings).to.deep.equal([]);
        expect(codeOf(outcome)).to.equal(undefined);
        expect(codeOf(await down(path, { to: 0 }, quick))).to.equal(undefined);
        expect(dumpSchema(path)).to.deep.equal(before);
      }, sql));
  }

  it('is named where SQLite then can not read it at all', () =>
    withV20(async (path) => {
      for (const args of [['status'], ['up', '--dry-run'], ['up', '--no-backup']]) {
        const { message } = await refusesStore(path, args, 'SCHEMA_BLOCKED');
        expect(message).to.include('it is used by marks').and.include('match()');
      }
    }, `CREATE TABLE marks (x CHECK (match('a', x)))`));

  it('tells what stands in the way of a SELECT of the project', () =>
    withV20(async (path) => {
      const bySearch = defineBackfill({
        table: 'task_audits',
        key: 'audit_id',
        columns: { level: sql('(SELECT max(score) FROM found)') },
      });
      const project = projectOf([{ ...bySearch, name: '001-found', path: '001-found.ts' }]);
      const { message } = await failureOf('SCHEMA_BLOCKED', () => commandsOf(project, { path }).plan(['up']));
      expect(message).to.equal('SQLite rejects bm25() in the schema of a file, and it is used by view found');
    }, `${search}; CREATE VIEW found AS SELECT bm25(search) AS score FROM search('a')`));

  it('may have full-text tables kept by triggers, of each module and with contents of their own or not', () =>
    withV20(
      async (path) => {
        const outcome = await up(path, { backup: false, allowTriggers: true });
        expect(codeOf(outcome)).to.equal(undefined);
        expect(query(path, `SELECT count(*) FROM f5 WHERE f5 MATCH 'rewritten'`)).to.deep.equal([30]);
        expect(query(path, `SELECT count(*) FROM f4 WHERE f4 MATCH 'rewritten'`)).to.deep.equal([30]);
        expect(codeOf(await down(path, { to: 0 }, quick))).to.equal(undefined);
        expect(query(path, 'PRAGMA integrity_check')).to.deep.equal(['ok']);
      },
      `UPDATE task_audits SET event_type = 'SUPERVISOR_BLOCKED';
      CREATE VIRTUAL TABLE f5 USING fts5(level, content='task_audits', content_rowid='audit_id');
      CREATE VIRTUAL TABLE f4 USING fts4(level);
      CREATE VIRTUAL TABLE f3 USING fts3(level);
      CREATE VIRTUAL TABLE r USING rtree(id, low, high);
      INSERT INTO f5 (f5) VALUES ('rebuild');
      CREATE TRIGGER old5 BEFORE UPDATE ON task_audits BEGIN
        INSERT INTO f5 (f5, rowid, level) VALUES ('delete', old.audit_id, old.level); END;
      CREATE TRIGGER new5 AFTER UPDATE ON task_audits BEGIN
        INSERT INTO f5 (rowid, level) VALUES (new.audit_id, 'rewritten'); END;
      CREATE TRIGGER new4 AFTER UPDATE ON task_audits BEGIN
        DELETE FROM f4 WHERE docid = old.audit_id; INSERT INTO f4 (docid, level) VALUES (new.audit_id, 'rewritten');
        DELETE FROM f3 WHERE docid = old.audit_id; INSERT INTO f3 (docid, level) VALUES (new.audit_id, new.level);
        INSERT OR REPLACE INTO r VALUES (new.audit_id, 1, 2); END`,
    ));

  it('may have what only the application has, in tables that triggers read', () =>
    withV20(async (path) => {
      craft(path, (db) => {
        db.function('app_ok', { deterministic: true }, (_) => 1);
        db.exec(`CREATE TABLE marks (x CHECK (app_ok(x)), y AS (app_ok(x)), z DEFAULT (app_ok(1)));
          CREATE INDEX by_mark ON marks (x);
          CREATE TRIGGER marked AFTER INSERT ON marks BEGIN SELECT app_ok(new.x); END;
          CREATE VIEW ok AS SELECT app_ok(x) AS is_ok FROM marks;
          CREATE TRIGGER seen AFTER UPDATE ON task_audits BEGIN SELECT x FROM marks; END`);
      });
      const before = dumpSchema(path);
      expect(codeOf(await up(path, quick))).to.equal(undefined);
      expect(codeOf(await down(path, { to: 0 }, quick))).to.equal(undefined);
      expect(dumpSchema(path)).to.deep.equal(before);
    }));

  it('may have no view in the place of what a virtual table keeps: it would be read when that is opened', () =>
    withV20(async (path) => {
      craft(path, (db) => {
        db.exec(`${search}; CREATE TRIGGER seen AFTER UPDATE ON task_audits
          BEGIN INSERT INTO search (payload) VALUES (new.payload); END;
          DROP TABLE search_config;
          INSERT INTO sqlite_schema VALUES ('view', 'search_config', 'search_config', 0,
            'CREATE VIEW search_config AS SELECT k, v FROM (SELECT ''version'' AS k, 4 AS v), (${ENDLESS})')`);
      });
      for (const args of [
        ['up', '--dry-run'],
        ['up', '--allow-triggers', '--no-backup'],
      ]) {
        const { message } = await refusesStore(path, args, 'SCHEMA_TAMPERED');
        expect(message).to.include('view search_config');
      }
    }));
});

describe('a schema text of half a megabyte', () => {
  const many = (text: string, count = 500_000 / text.length): string => text.repeat(count);
  const update = 'CREATE TRIGGER tt AFTER UPDATE';
  const table = 'CREATE TABLE tt (x)';
  // Times grew with the square of the length: minutes. The bound is the test's own.
  for (const [what, sql] of [
    ['a list of columns', `${update} OF ${many('payload,')}level ON task_audits BEGIN SELECT 1; END`],
    ['statements of a trigger', `${update} ON task_audits BEGIN ${many('SELECT 1; ')} END`],
    ['quotes', `CREATE TABLE tt (x DEFAULT '${many("''")}')`],
    ['comments', `CREATE TABLE tt (x ${many('/**/')})`],
    ['a partial index', `CREATE INDEX tt ON task_audits (level) WHERE level IN (${many("'a',")}'b')`],
    ['parentheses', `CREATE INDEX tt ON task_audits (level) WHERE ${many('(', 900)}level${many(')', 900)}`],
  ] as const) {
    it(`is read in a time in proportion to its length: ${what}`, () =>
      withV20(async (path) => {
        const result = await runCli(['up', '--dry-run', '--db-path', path]);
        expect(result.code, result.stderr).to.equal(0);
      }, sql));
  }
  for (const rest of ['[', '`', '"', "'", '/* ', ';', '--', '(', '-', "x'", '\\u00e9 ']) {
    it(`is refused in a time in proportion to its length: what stands behind its statement is ${rest} again and again`, () =>
      withV20(async (path) => {
        retext(path, 'tt', `${table};${many(rest)}x`);
        const result = await runCli(['up', '--dry-run', '--db-path', path]);
        if (/^(?:\/\* |--?)$/.test(rest)) expect(result.code, result.stderr).to.equal(0);
        else expectRefusal(result, 'SCHEMA_TAMPERED', 1);
      }, table));
  }
});
