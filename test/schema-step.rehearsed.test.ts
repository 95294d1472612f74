import { execFileSync } from 'node:child_process';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { generateStore } from '../demo/store-generator.js';
import { runCli, type StoreSnapshot, snapshotFiles } from './support/cli.js';
import { codeOf, up } from './support/migrate.js';
import { apply, plan, quick, revert, state, withV20 } from './support/schema-step.js';
import { asAgentOs, change, dumpTable, failureOf, query, withFolder } from './support/stores.js';

const [source, lag] = ['idx_task_audits_source_event_ts', 'idx_task_audits_decision_lag'] as const;

/** What of a store's files must stay as it is: `-shm` comes and goes. */
const filesOf = (path: string): Omit<StoreSnapshot, 'sidecars'> => {
  const { sidecars: _, ...files } = snapshotFiles(path);
  return files;
};

describe('a schema step, rehearsed', () => {
  const refused = [
    [
      'a generated column of the same name',
      'ALTER TABLE task_audits ADD COLUMN Source_Event_TS TEXT GENERATED ALWAYS AS (created_at) VIRTUAL',
      'generated column Source_Event_TS',
    ],
    [
      'a trigger that refers to a table that is gone',
      `CREATE TRIGGER fine AFTER UPDATE ON task_audits BEGIN SELECT 1; END;
      CREATE TRIGGER "note ""the"" change" AFTER UPDATE ON task_audits BEGIN INSERT INTO gone VALUES (1); END`,
      'trigger note "the" change',
    ],
    [
      'an index of our name with another definition',
      `CREATE INDEX ${lag} ON task_audits (level)`,
      `another index named ${lag}`,
    ],
    ['a table of our index’s name', `CREATE TABLE ${source} (x)`, `another table named ${source}`],
  ] as const;
  for (const [what, sql, object] of refused) {
    it(`is refused for ${what}, by name`, () =>
      withV20(async (path) => {
        const before = state(path);
        for (const command of [plan, apply]) {
          const { message } = await failureOf('SCHEMA_BLOCKED', () => command(path));
          expect(message)
            .to.include(' task_audits is blocked by ')
            .and.satisfy((text: string) => text.endsWith(object));
        }
        expect(state(path)).to.deep.equal(before);
      }, sql));
  }

  it('warns of a broken view, which blocks `down`, by name', () =>
    withV20(async (path) => {
      for (const { warnings } of [await plan(path), await apply(path)]) {
        expect(warnings).to.have.length(1);
        expect(warnings[0]).to.include('view late "audits"').and.include('`down` will be blocked');
      }
      const { message } = await failureOf('SCHEMA_BLOCKED', () => revert(path));
      expect(message).to.include('view late "audits"');
      change(path, 'DROP VIEW "late ""audits"""');
      expect(codeOf(await revert(path))).to.equal(undefined);
    }, 'CREATE VIEW "late ""audits""" AS SELECT gone FROM task_audits'));

  it('warns of an index with double-quoted text, which blocks `down`, by name', () =>
    withV20(async (path) => {
      // Python's SQLite takes "info" for a text; ours does so in a schema that stands, and refuses to change it.
      asAgentOs(path, (db) => {
        db.unsafeMode(true);
        db.pragma('writable_schema = ON');
        db.exec(`UPDATE sqlite_schema SET sql = replace(sql, '''', '"') WHERE name = 'by_info'`);
      });
      for (const { warnings } of [await plan(path), await apply(path)]) {
        expect(warnings).to.have.length(1);
        expect(warnings[0]).to.include('index by_info');
      }
      const { message } = await failureOf('SCHEMA_BLOCKED', () => revert(path));
      expect(message).to.include('index by_info');
    }, `CREATE INDEX by_info ON task_audits (created_at) WHERE level = 'info'`));

  const undisturbed = [
    ['a full-text table', 'CREATE VIRTUAL TABLE notes USING fts5(body)'],
    [
      'a full-text index kept by triggers',
      `CREATE VIRTUAL TABLE audits_fts USING fts5(payload, content='task_audits', content_rowid='audit_id');
      CREATE TRIGGER audits_fts_update AFTER UPDATE OF payload ON task_audits BEGIN
        INSERT INTO audits_fts (audits_fts, rowid, payload) VALUES ('delete', old.audit_id, old.payload);
        INSERT INTO audits_fts (rowid, payload) VALUES (new.audit_id, new.payload);
      END;
      CREATE TRIGGER audits_fts_any AFTER UPDATE ON task_audits BEGIN
        INSERT INTO audits_fts (audits_fts, rowid, payload) VALUES ('delete', old.audit_id, old.payload);
        INSERT INTO audits_fts (rowid, payload) VALUES (new.audit_id, new.payload);
      END;
      INSERT INTO audits_fts (audits_fts) VALUES ('rebuild')`,
    ],
    ['a tree of ranges', 'CREATE VIRTUAL TABLE spans USING rtree(id, low, high)'],
    [
      'views, also with triggers',
      `CREATE VIEW blocked AS SELECT * FROM task_audits WHERE event_type LIKE '%BLOCKED%';
      CREATE VIEW twice AS SELECT b.audit_id FROM blocked AS b JOIN task_audits USING (audit_id);
      CREATE TRIGGER blocked_insert INSTEAD OF INSERT ON blocked BEGIN SELECT 1; END`,
    ],
    [
      'quoted and odd names',
      `CREATE TABLE "odd ""table"" [x] 'y'" ("a b" TEXT, \`c"d\` INTEGER, [e.f] REAL, "" TEXT);
      CREATE INDEX "idx ""odd""" ON "odd ""table"" [x] 'y'" ("a b", \`c"d\`);
      CREATE VIEW "übersicht; --" AS SELECT "a b" AS "select" FROM "odd ""table"" [x] 'y'";
      CREATE TABLE sqliteish (x); CREATE TABLE "group" ("order" PRIMARY KEY) WITHOUT ROWID; CREATE TABLE s (x TEXT) STRICT`,
    ],
    [
      'expression indexes, generated columns, checks',
      `CREATE INDEX by_type ON task_audits (lower(event_type), length(payload)) WHERE length(payload) > 10;
      CREATE INDEX by_decision ON task_audits (json_extract(decision_id, '$')) WHERE decision_id IS NULL;
      ALTER TABLE task_audits ADD COLUMN size INT GENERATED ALWAYS AS (length(payload)) VIRTUAL;
      ALTER TABLE task_audits ADD COLUMN score INT DEFAULT 0 CHECK (score >= 0)`,
    ],
    [
      'foreign keys, kept or not',
      `UPDATE task_audits SET task_id = 'gone' WHERE audit_id = 2;
      CREATE TABLE verdicts (audit_id INTEGER REFERENCES task_audits(audit_id) ON DELETE CASCADE ON UPDATE CASCADE);
      INSERT INTO verdicts SELECT audit_id FROM task_audits; INSERT INTO verdicts VALUES (9999);
      CREATE TABLE orphans (x REFERENCES nowhere(y))`,
    ],
  ] as const;
  for (const [what, sql] of undisturbed) {
    it(`is not disturbed by ${what}`, () =>
      withV20(async (path) => {
        const names = query<string>(
          path,
          `SELECT name FROM sqlite_schema WHERE type = 'table' AND name IN ('verdicts', 'audits_fts_data', 'orphans') ORDER BY 1`,
        );
        const whole = () => ({ ...state(path), others: names.map((table) => dumpTable(path, table)) });
        const before = whole();
        const outcome = await up(path, quick);
        expect(codeOf(outcome)).to.equal(undefined);
        expect(outcome.warnings).to.deep.equal([]);
        expect(codeOf(await revert(path))).to.equal(undefined);
        const after = whole();
        // The full-text index has been written anew by its triggers: the same words in other pages.
        if (what.startsWith('a full-text index')) after.others = before.others;
        expect(after).to.deep.equal(before);
        asAgentOs(path, (db) => expect(db.pragma('integrity_check', { simple: true })).to.equal('ok'));
      }, sql));
  }

  for (const sidecar of ['nothing', 'frames'] as const) {
    it(`is rehearsed with the store byte for byte as it was, with ${sidecar} in its -wal`, () =>
      withFolder(async (folder) => {
        const [path, copy] = [join(folder, 'store.db'), join(folder, 'copy.db')];
        generateStore({ path, audits: 30 });
        asAgentOs(path, (db) => {
          if (sidecar === 'frames') db.exec('CREATE VIEW broken AS SELECT gone FROM task_audits');
          // By another process: to close a file that SQLite has open drops its locks.
          for (const part of sidecar === 'frames' ? ['', '-wal'] : [''])
            execFileSync('cp', [path + part, copy + part]);
        });
        if (sidecar === 'frames') expect(statSync(`${copy}-wal`).size).to.be.above(0);
        const before = filesOf(copy);
        const result = await runCli(['up', '--dry-run', '--json', '--db-path', copy]);
        expect(result.code, result.stderr).to.equal(0);
        expect(result.json().warnings).to.have.length(sidecar === 'nothing' ? 0 : 1);
        expect(filesOf(copy)).to.deep.equal(before);
      }));
  }
});

describe('a schema step that is applied', () => {
  const blocking = [
    ['index', 'CREATE INDEX mine ON task_audits (level, supervisor_processed_at)', 'index mine'],
    ['index on an expression', 'CREATE INDEX mine ON task_audits (lower(source_event_ts))', 'index mine'],
    ['view', 'CREATE VIEW slow AS SELECT source_event_ts FROM task_audits', 'view slow'],
    [
      'trigger',
      'CREATE TRIGGER watch AFTER UPDATE OF source_event_ts ON task_audits BEGIN SELECT new.source_event_ts; END',
      'trigger watch',
    ],
  ] as const;
  for (const [what, sql, object] of blocking) {
    it(`does not come back where a user’s ${what} uses one of its columns, by name`, () =>
      withV20(async (path) => {
        expect(codeOf(await apply(path))).to.equal(undefined);
        change(path, sql);
        const before = state(path);
        const { message } = await failureOf('SCHEMA_BLOCKED', () => revert(path));
        expect(message).to.include(object);
        expect(state(path)).to.deep.equal(before);
      }));
  }
});
