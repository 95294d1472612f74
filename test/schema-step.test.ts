import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { Ledger } from '../src/ledger/ledger.js';
import { planSchemaStep } from '../src/schema/plan.js';
import { applySchemaStep, checkRevertible, revertSchemaStep } from '../src/schema/run.js';
import { fingerprint } from '../src/steps/step.js';
import { locateStore } from '../src/store/path.js';
import { rehearseUp } from '../src/store/sqlite/rehearse.js';
import { SqliteStore } from '../src/store/sqlite/store.js';
import { snapshotFiles } from './support/cli.js';
import { agentOs, type Connected, empty, fill, refusal, withV20 } from './support/run-up.js';
import { dumpSchema, dumpTable, failureOf, schemaStep, withFolder } from './support/stores.js';

const options = { audits: 30 };
const [source, lag, event] = [
  'idx_task_audits_source_event_ts',
  'idx_task_audits_decision_lag',
  'idx_task_audits_event_source_ts',
] as const;
const index = (name: string) => ({ kind: 'index', name }) as const;
const column = (name: string) => ({ kind: 'column', name }) as const;
const version = { kind: 'version', name: '0.21.0' } as const;
const columns = [column('source_event_ts'), column('supervisor_processed_at')];
const everything = [...columns, index(lag), index(event), index(source), version];

const write = (path: string, sql: string): unknown => agentOs(path, (db) => db.exec(sql));
const apply = ({ store, ledger }: Connected): void => applySchemaStep(store, ledger, schemaStep);
const revert = ({ store, ledger }: Connected): void =>
  revertSchemaStep(store, ledger, schemaStep, { isConfirmed: true });
const made = ({ ledger }: Connected) => ledger.objects(schemaStep.name);
const rehearse = ({ store, ledger }: Pick<Connected, 'store' | 'ledger'>): string[] =>
  rehearseUp(store, schemaStep, planSchemaStep(store, schemaStep), ledger.objects(schemaStep.name));
const versions = (path: string): unknown[] =>
  agentOs(path, (db) => db.prepare('SELECT version FROM schema_version ORDER BY rowid').pluck().all());
const state = ({ path }: Connected) => ({
  schema: dumpSchema(path),
  versions: versions(path),
  audits: dumpTable(path, 'task_audits'),
});

/** Schema and versions of a fresh store after the step; the ledger's tables have the same schema always. */
const applied = (): Promise<unknown> =>
  withV20(options, (at) => {
    apply(at);
    return { ...state(at), made: made(at) };
  });

describe('applySchemaStep', () => {
  it('brings a v20 store to v21, and revertSchemaStep brings it back', () =>
    withV20(options, (at) => {
      const before = state(at);
      apply(at);
      const sql = dumpSchema(at.path) as { name: string; sql: string }[];
      expect(
        sql
          .filter(({ name }) => name.startsWith('idx_') && made(at).some((o) => o.name === name))
          .map((o) => o.sql),
      ).to.have.members([
        'CREATE INDEX "idx_task_audits_source_event_ts" ON "task_audits" ("source_event_ts") WHERE source_event_ts IS NOT NULL',
        'CREATE INDEX "idx_task_audits_decision_lag" ON "task_audits" ("source_event_ts", "supervisor_processed_at") WHERE source_event_ts IS NOT NULL AND supervisor_processed_at IS NOT NULL',
        'CREATE INDEX "idx_task_audits_event_source_ts" ON "task_audits" ("event_type", "source_event_ts") WHERE source_event_ts IS NOT NULL',
      ]);
      expect(
        at.store
          .all(`SELECT name, type, "notnull", dflt_value FROM pragma_table_info('task_audits')`)
          .slice(-2),
      ).to.deep.equal(columns.map(({ name }) => ({ name, type: 'TEXT', notnull: 0, dflt_value: null })));
      expect(versions(at.path)).to.deep.equal([...before.versions, '0.21.0']);
      expect(made(at)).to.deep.equal(everything);
      expect(at.ledger.step(schemaStep.name)?.status).to.equal('applied');

      revert(at);
      expect(state(at)).to.deep.equal(before);
    }));

  const ours = `ALTER TABLE task_audits ADD COLUMN SOURCE_Event_TS text;
    ALTER TABLE task_audits ADD COLUMN "Supervisor_Processed_At" TEXT;`;
  const indexes = `CREATE INDEX by_source ON Task_Audits ( [source_event_ts] ) WHERE Source_Event_TS is not null;
    CREATE INDEX by_lag ON task_audits (source_event_ts, supervisor_processed_at)
      WHERE source_event_ts IS NOT NULL /* both */ AND supervisor_processed_at IS NOT NULL;
    CREATE INDEX by_event ON task_audits (event_type COLLATE BINARY, source_event_ts ASC) WHERE source_event_ts IS NOT NULL;`;
  const atVersion = (text: string): string => `INSERT INTO schema_version (version) VALUES ('${text}');`;
  const adopted = [
    ['columns and indexes under other names, v0.21.0', ours + indexes + atVersion('v0.21.0'), []],
    ['columns and indexes, 0.21.0-rc1', ours + indexes + atVersion('0.21.0-rc1'), []],
    ['columns and indexes, 0.22.0', ours + indexes + atVersion('0.22.0'), []],
    ['columns, 0.21', ours + atVersion('0.21'), [index(lag), index(event), index(source)]],
    ['columns and indexes, 0.20.9', ours + indexes + atVersion('0.20.9'), [version]],
    ['a version alone', atVersion('0.21.0'), everything.slice(0, -1)],
    [
      'one column, and the index on it',
      'ALTER TABLE task_audits ADD COLUMN source_event_ts TEXT; CREATE INDEX mine ON task_audits (source_event_ts) WHERE source_event_ts IS NOT NULL',
      [column('supervisor_processed_at'), index(lag), index(event), version],
    ],
    [
      // A full index is another definition, and so is one in another order or of unique values.
      'indexes that look alike',
      `${ours}CREATE INDEX full_one ON task_audits (source_event_ts);
      CREATE INDEX falling ON task_audits (event_type, source_event_ts DESC) WHERE source_event_ts IS NOT NULL;
      CREATE INDEX folded ON task_audits (source_event_ts COLLATE NOCASE) WHERE source_event_ts IS NOT NULL;
      CREATE INDEX idx_task_audits_lag ON task_audits (source_event_ts, supervisor_processed_at)`,
      [index(lag), index(event), index(source), version],
    ],
  ] as const;
  for (const [what, sql, missing] of adopted) {
    it(`makes only what is missing, and takes back only that: ${what}`, () =>
      withV20(
        options,
        async (at) => {
          const before = state(at);
          expect(rehearse(at)).to.deep.equal([]);
          apply(at);
          expect(made(at)).to.deep.equal(missing);
          expect(planSchemaStep(at.store, schemaStep)).to.deep.equal({ first: [], indexes: [] });
          // It can be filled under the other names.
          await fill(at);
          await empty(at);
          if (what.endsWith('0.22.0')) {
            // A version above ours may build on the columns, whoever made them.
            await failureOf('VERSION_TOO_NEW', () => revert(at));
            return;
          }
          revert(at);
          expect(state(at)).to.deep.equal(before);
        },
        sql,
      ));
  }

  for (const count of [0, 1, 2]) {
    it(`goes on behind the columns and ${count} indexes`, async () => {
      const whole = await applied();
      await withV20(options, (at) => {
        const before = state(at);
        const plan = planSchemaStep(at.store, schemaStep);
        // What is durable when the process dies between two of its transactions.
        at.store.write(() => {
          at.ledger.beginStep({ ...schemaStep, fingerprint: fingerprint(schemaStep) });
          for (const { sql, makes } of [...plan.first, ...plan.indexes.slice(0, count)]) {
            at.store.exec(sql);
            at.ledger.addObject(schemaStep.name, makes);
          }
        });
        // What it has made already is tried on the way back, too.
        write(at.path, 'CREATE INDEX mine ON task_audits (supervisor_processed_at)');
        expect(rehearse(at).join()).to.include('index mine');
        write(at.path, 'DROP INDEX mine');
        expect(rehearse(at)).to.deep.equal([]);
        apply(at);
        expect({ ...state(at), made: made(at) }).to.deep.equal(whole);
        revert(at);
        expect(state(at)).to.deep.equal(before);
      });
    });

    it(`goes on, down or up again, behind ${count + 1} dropped indexes`, async () => {
      const whole = await applied();
      for (const isDown of [true, false]) {
        await withV20(options, (at) => {
          const before = state(at);
          apply(at);
          at.store.write(() => {
            at.ledger.beginRevert(schemaStep.name);
            for (const object of made(at)
              .filter(({ kind }) => kind === 'index')
              .slice(0, count + 1)) {
              at.store.exec(`DROP INDEX ${object.name}`);
              at.ledger.removeObject(schemaStep.name, object);
            }
          });
          if (!isDown) {
            apply(at);
            expect({ ...state(at), made: made(at) }).to.deep.equal(whole);
          }
          revert(at);
          expect(state(at)).to.deep.equal(before);
        });
      }
    });
  }
});

describe('rehearseUp', () => {
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
    it(`refuses ${what}, by name`, () =>
      withV20(
        options,
        async (at) => {
          const before = state(at);
          const text = await refusal(() => rehearse(at));
          expect(text)
            .to.match(/^SCHEMA_BLOCKED: .* task_audits is blocked by /)
            .and.satisfy((t: string) => t.endsWith(object));
          expect(state(at)).to.deep.equal(before);
        },
        sql,
      ));
  }

  it('warns of a broken view, which blocks down, by name', () =>
    withV20(
      options,
      async (at) => {
        const warnings = rehearse(at);
        expect(warnings).to.have.length(1);
        expect(warnings[0]).to.include('view late "audits"').and.include('`down` will be blocked');
        apply(at);
        const error = await refusal(() => checkRevertible(at.store, at.ledger, schemaStep));
        expect(error).to.match(/^SCHEMA_BLOCKED: .*view late "audits"/);
        write(at.path, 'DROP VIEW "late ""audits"""');
        expect(checkRevertible(at.store, at.ledger, schemaStep)).to.equal(undefined);
      },
      'CREATE VIEW "late ""audits""" AS SELECT gone FROM task_audits',
    ));

  it('warns of an index with double-quoted text, which blocks down, by name', () =>
    withV20(
      options,
      async (at) => {
        // Python's SQLite takes "info" for a text; ours does so in a schema that stands, and refuses to change it.
        agentOs(at.path, (db) => {
          db.unsafeMode(true);
          db.pragma('writable_schema = ON');
          db.exec(`UPDATE sqlite_schema SET sql = replace(sql, '''', '"') WHERE name = 'by_info'`);
        });
        const warnings = rehearse(at);
        expect(warnings).to.have.length(1);
        expect(warnings[0]).to.include('index by_info');
        apply(at);
        const error = await refusal(() => checkRevertible(at.store, at.ledger, schemaStep));
        expect(error).to.match(/^SCHEMA_BLOCKED: .*index by_info/);
      },
      `CREATE INDEX by_info ON task_audits (created_at) WHERE level = 'info'`,
    ));

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
      withV20(
        options,
        async (at) => {
          const others = () =>
            agentOs(
              at.path,
              (db) =>
                db
                  .prepare(
                    `SELECT name FROM sqlite_schema WHERE type = 'table' AND name IN ('verdicts', 'audits_fts_data', 'orphans') ORDER BY 1`,
                  )
                  .pluck()
                  .all() as string[],
            ).map((table) => dumpTable(at.path, table));
          const before = { ...state(at), others: others() };
          expect(rehearse(at)).to.deep.equal([]);
          apply(at);
          await fill(at);
          await empty(at);
          checkRevertible(at.store, at.ledger, schemaStep);
          revert(at);
          const after = { ...state(at), others: others() };
          // The full-text index has been written anew by its triggers: the same words in other pages.
          if (what.startsWith('a full-text index')) after.others = before.others;
          expect(after).to.deep.equal(before);
          agentOs(at.path, (db) => expect(db.pragma('integrity_check', { simple: true })).to.equal('ok'));
        },
        sql,
      ));
  }

  for (const sidecar of ['nothing', 'frames'] as const) {
    it(`leaves the store byte for byte as it was, with ${sidecar} in its -wal`, () =>
      withFolder(async (folder) => {
        const copy = join(folder, 'copy.db');
        await withV20(options, ({ path, store }) => {
          if (sidecar === 'nothing') store.close();
          else write(path, 'CREATE VIEW broken AS SELECT gone FROM task_audits'); // stays in -wal: ours is still open
          // By another process: to close a file that SQLite has open drops its locks.
          const parts = sidecar === 'nothing' ? [''] : ['', '-wal'];
          for (const part of parts) execFileSync('cp', [path + part, copy + part]);
        });
        const before = snapshotFiles(copy);
        const store = new SqliteStore(locateStore(copy), { access: 'look' });
        try {
          expect(rehearse({ store, ledger: new Ledger(store) })).to.have.length(
            sidecar === 'nothing' ? 0 : 1,
          );
        } finally {
          store.close();
        }
        const { main, wal, journal } = snapshotFiles(copy);
        expect({ main, wal, journal }).to.deep.equal({
          main: before.main,
          wal: before.wal,
          journal: before.journal,
        });
      }));
  }
});

describe('checkRevertible', () => {
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
    it(`refuses when a user’s ${what} uses one of our columns, by name`, () =>
      withV20(options, async (at) => {
        apply(at);
        write(at.path, sql);
        const before = state(at);
        const text = await refusal(() => checkRevertible(at.store, at.ledger, schemaStep));
        expect(text)
          .to.match(/^SCHEMA_BLOCKED: /)
          .and.include(object);
        expect(state(at)).to.deep.equal(before);
      }));
  }
});
