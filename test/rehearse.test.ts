import { expect } from 'chai';
import { describe, it } from 'mocha';
import { planSchemaStep } from '../src/schema/plan.js';
import { applySchemaStep, checkRevertible, revertSchemaStep } from '../src/schema/run.js';
import { rehearseUp } from '../src/store/sqlite/rehearse.js';
import { asAgentOs, dumpSchema, schemaStep, withStore } from './support/stores.js';

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
      BEGIN INSERT INTO hits SELECT bm25(search) FROM search('blocked'); END`,
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
        withStore(
          {
            audits: 20,
            prepare: (db) => {
              db.unsafeMode(true);
              db.exec(sql);
              if (isVacuumed) db.exec('VACUUM');
            },
          },
          ({ path, store, ledger }) => {
            const before = dumpSchema(path);
            expect(rehearseUp(store, schemaStep, planSchemaStep(store, schemaStep), [])).to.deep.equal([]);
            applySchemaStep(store, ledger, schemaStep);
            // What the batches do to the table, as far as triggers go.
            store.write(() =>
              store.run('UPDATE task_audits SET source_event_ts = source_event_ts WHERE audit_id < 9'),
            );
            checkRevertible(store, ledger, schemaStep);
            revertSchemaStep(store, ledger, schemaStep, { isConfirmed: true });
            expect(dumpSchema(path)).to.deep.equal(before);
          },
        ));
    }
  }
});

describe('revertSchemaStep', () => {
  it('leaves an index alone that somebody has made under one of its names', () =>
    withStore({ audits: 5 }, ({ path, store, ledger }) => {
      applySchemaStep(store, ledger, schemaStep);
      const sql = 'CREATE INDEX idx_task_audits_decision_lag ON task_audits (level, payload)';
      asAgentOs(path, (db) => db.exec(`DROP INDEX idx_task_audits_decision_lag; ${sql}`));
      checkRevertible(store, ledger, schemaStep);
      revertSchemaStep(store, ledger, schemaStep, { isConfirmed: true });
      expect(dumpSchema(path)).to.deep.include({
        type: 'index',
        name: 'idx_task_audits_decision_lag',
        tbl_name: 'task_audits',
        sql,
      });
    }));
});
