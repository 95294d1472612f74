import { expect } from 'chai';
import { describe, it } from 'mocha';
import { readLedger } from './support/ledger.js';
import { codeOf, down, up, withPlainStore } from './support/migrate.js';
import { asAgentOs, dumpSchema, schemaStep } from './support/stores.js';

// What the rehearsal refuses must be what SQLite refuses: every case here is applied and taken back for real.

/** Writes a row into the schema, as an application does that has the module. */
const virtualTable = (name: string, module: string): string => `PRAGMA writable_schema = ON;
  INSERT INTO sqlite_schema VALUES ('table', '${name}', '${name}', 0, 'CREATE VIRTUAL TABLE ${name} USING ${module}');
  PRAGMA writable_schema = OFF`;

const search = 'CREATE VIRTUAL TABLE search USING fts5(payload)';

const undisturbed: readonly (readonly [what: string, sql: string])[] = [
  ['a virtual table of a module that only the application has', virtualTable('vectors', 'vec0(e float[8])')],
  ['a virtual table that has lost its contents', `${search}; DROP TABLE search_config`],
  ['a view that calls a full-text table', `${search}; CREATE VIEW found AS SELECT * FROM search('blocked')`],
  [
    'a view that ranks what it finds',
    `${search};
    CREATE VIEW found AS SELECT rowid, bm25(search) AS score FROM search WHERE search MATCH 'blocked' ORDER BY rank`,
  ],
  [
    'a trigger that calls a full-text table',
    `${search}; CREATE TABLE hits (score);
    CREATE TRIGGER seen AFTER UPDATE ON task_audits
      BEGIN INSERT INTO hits SELECT rank FROM search('blocked'); END`,
  ],
  [
    'a trigger that writes to a full-text table',
    `${search};
    CREATE TRIGGER indexed AFTER UPDATE ON task_audits
      BEGIN INSERT INTO search (payload) VALUES (new.payload); END`,
  ],
  [
    'a trigger that writes to a tree of ranges',
    `CREATE VIRTUAL TABLE spans USING rtree(id, low, high);
    CREATE TRIGGER spanned AFTER UPDATE ON task_audits BEGIN INSERT INTO spans VALUES (NULL, 1, 2); END`,
  ],
];

describe('rehearsal', () => {
  for (const [what, sql] of undisturbed) {
    // After VACUUM the tables in which a module keeps its contents stand before the virtual table itself.
    for (const isVacuumed of [false, true]) {
      if (isVacuumed && (!sql.startsWith(search) || sql.includes('DROP'))) continue;
      it(`is not disturbed by ${what}${isVacuumed ? ', after VACUUM' : ''}`, () =>
        withPlainStore(async (path) => {
          asAgentOs(path, (db) => {
            db.unsafeMode(true);
            db.exec(sql);
            if (isVacuumed) db.exec('VACUUM');
          });
          const before = dumpSchema(path);
          const extra = { backup: false, allowTriggers: true } as const;
          const outcome = await up(path, extra);
          expect(outcome).to.deep.include({ warnings: [] });
          expect(codeOf(outcome)).to.equal(undefined);
          expect(readLedger(path).objects(schemaStep.name)).to.have.length(6);
          expect(codeOf(await down(path, { to: 0 }, extra))).to.equal(undefined);
          expect(dumpSchema(path)).to.deep.equal(before);
        }));
    }
  }
});

describe('`down` of a schema step', () => {
  it('leaves an index alone that somebody has made under one of its names', () =>
    withPlainStore(async (path) => {
      expect(codeOf(await up(path, {}, { to: schemaStep.name }))).to.equal(undefined);
      const sql = 'CREATE INDEX idx_task_audits_decision_lag ON task_audits (level, payload)';
      asAgentOs(path, (db) => db.exec(`DROP INDEX idx_task_audits_decision_lag; ${sql}`));
      expect(codeOf(await down(path))).to.equal(undefined);
      expect(dumpSchema(path)).to.deep.include({
        type: 'index',
        name: 'idx_task_audits_decision_lag',
        tbl_name: 'task_audits',
        sql,
      });
    }));
});
