import { expect } from 'chai';
import { describe, it } from 'mocha';
import { ledgerStorage } from '../src/index.js';
import { runCli } from './support/cli.js';
import { craft, ENDLESS, refusesStore, retext } from './support/crafted.js';
import { LEDGER_TABLES } from './support/ledger.js';
import { codeOf, down, stoppedAfter, up } from './support/migrate.js';
import { quick, withV20 } from './support/schema-step.js';
import { change, dumpSchema, dumpTable, failureOf, query } from './support/stores.js';

// The ledger is in the store, so that whoever wrote the file can put something else in its place: it would be read or written with the
// rights of whoever runs a command.

const LOOKS = [
  ['status'],
  ['verify'],
  ['skips'],
  ['pending'],
  ['up', '--dry-run'],
  ['down', '--dry-run', '--to', '0'],
];
const WRITES = [
  ['up', '--no-backup'],
  ['down', '--to', '0', '--yes', '--no-backup'],
  ['backfill', '--no-backup'],
];

describe('a ledger that is not this program’s work', () => {
  const withApplied = (act: (path: string) => Promise<void>): Promise<void> =>
    withV20(async (path) => {
      expect(codeOf(await up(path, quick))).to.equal(undefined);
      await act(path);
    });

  for (const table of LEDGER_TABLES) {
    it(`is refused where ${table} is a view`, () =>
      withApplied(async (path) => {
        const columns = query(path, `SELECT name FROM pragma_table_info('${table}')`);
        const view = `CREATE VIEW ${table} AS SELECT ${columns.map((name) => `1 AS "${name}"`).join(', ')} FROM (${ENDLESS})`;
        change(path, `DROP TABLE ${table}; ${view}`);
        for (const args of [['status'], ['up', '--no-backup']]) {
          const { message } = await refusesStore(path, args, 'LEDGER_UNTRUSTED');
          expect(message).to.include(`view ${table} `);
        }
      }));
  }

  const strange: readonly (readonly [what: string, object: string, sql: string])[] = [
    [
      'a trigger',
      'trigger mine',
      `CREATE TRIGGER mine AFTER INSERT ON umzug_backfill_commands BEGIN ${ENDLESS}; END`,
    ],
    [
      'a trigger on its other tables, in other letters',
      'trigger mine',
      `CREATE TRIGGER mine BEFORE DELETE ON "UMZUG_backfill_Batches" BEGIN ${ENDLESS}; END`,
    ],
    ['an index', 'index mine', `CREATE INDEX mine ON umzug_backfill_steps (printf('%.*c', 1000, name))`],
    [
      'a foreign key to it, whose actions fire triggers',
      'table mine',
      `CREATE TABLE mine (step REFERENCES [umzug_backfill_steps] (name) ON DELETE CASCADE ON UPDATE CASCADE);
      CREATE TRIGGER theirs AFTER DELETE ON mine BEGIN ${ENDLESS}; END`,
    ],
    [
      'a virtual table in its place',
      'table umzug_backfill_kept',
      'DROP TABLE umzug_backfill_kept; CREATE VIRTUAL TABLE umzug_backfill_kept USING fts5(backfill, reason, cells)',
    ],
    [
      'a generated column',
      'table umzug_backfill_format',
      `DROP TABLE umzug_backfill_format; CREATE TABLE umzug_backfill_format (x, version AS (length(printf('%.*c', 1000, 'x'))));
      INSERT INTO umzug_backfill_format VALUES (1)`,
    ],
    [
      'a check',
      'table umzug_backfill_tables',
      `DROP TABLE umzug_backfill_tables; CREATE TABLE umzug_backfill_tables (backfill TEXT PRIMARY KEY NOT NULL, identity TEXT NOT NULL,
        run INTEGER NOT NULL, watermark, probes TEXT NOT NULL CHECK (printf('%.*c', 1000, 'x') > probes))`,
    ],
    [
      'a table of an index’s',
      'index umzug_backfill_kept',
      'DROP TABLE umzug_backfill_kept; CREATE INDEX umzug_backfill_kept ON tasks (task_id)',
    ],
  ];
  for (const [what, object, sql] of strange) {
    it(`is refused by name, by every command and the API, and stays as it is: ${what}`, () =>
      withApplied(async (path) => {
        change(path, sql);
        for (const args of [...LOOKS, ...WRITES]) {
          const { message, hint } = await refusesStore(path, args, 'LEDGER_UNTRUSTED');
          expect(message).to.include(object);
          expect(hint).to.include('umzug-backfill restore');
        }
        await failureOf('LEDGER_UNTRUSTED', () => ledgerStorage(path).executed());
      }));
  }

  it('is refused where there is no ledger yet, too', () =>
    withV20(async (path) => {
      change(path, `CREATE VIEW umzug_backfill_steps AS ${ENDLESS}`);
      for (const args of [['status'], ['up', '--no-backup'], ['up', '--dry-run']])
        await refusesStore(path, args, 'LEDGER_UNTRUSTED');
      change(path, 'DROP VIEW umzug_backfill_steps');
      expect(codeOf(await up(path, quick))).to.equal(undefined);
    }));

  for (const by of [1, -1]) {
    it(`is refused where an open range ends ${by > 0 ? 'after' : 'before'} its run, and not read for ever`, () =>
      withV20(async (path) => {
        const half = await up(path, { ...quick, batchRows: 3, ...stoppedAfter(2) });
        expect(codeOf(half)).to.equal('TERMINATED');
        change(path, `UPDATE umzug_backfill_ranges SET end_key = end_key + ${by} WHERE is_done = 0`);
        const audits = dumpTable(path, 'task_audits');
        const { error } = await up(path, quick);
        expect(error).to.include({ code: 'LEDGER_DAMAGED' });
        expect(error?.message).to.include('end_key');
        expect(dumpTable(path, 'task_audits')).to.deep.equal(audits);
      }));
  }

  it('can be mended as the hint says: the trigger is dropped', () =>
    withApplied(async (path) => {
      change(path, 'CREATE TRIGGER "my trigger" AFTER DELETE ON umzug_backfill_steps BEGIN SELECT 1; END');
      const { hint } = await refusesStore(path, ['status'], 'LEDGER_UNTRUSTED');
      const [, sql = ''] = /'(DROP .*?)'/.exec(hint) ?? [];
      change(path, sql);
      expect(codeOf(await down(path, { to: 0 }, quick))).to.equal(undefined);
    }));

  it('can be gone back from: a backup is restored over it', () =>
    withV20(async (path) => {
      expect((await runCli(['up', '--db-path', path])).code).to.equal(0);
      change(path, `DROP TABLE umzug_backfill_runs; CREATE VIEW umzug_backfill_runs AS ${ENDLESS}`);
      const result = await runCli(['restore', '--db-path', path]);
      expect(result.code, result.stderr).to.equal(0);
      expect((await runCli(['status', '--db-path', path])).code).to.equal(0);
    }));

  it('is not one that only differs in layout', () =>
    withApplied(async (path) => {
      const [sql = ''] = query(path, `SELECT sql FROM sqlite_schema WHERE name = 'umzug_backfill_kept'`);
      retext(path, 'umzug_backfill_kept', sql.replace(/--.*/g, '').replace(/\s+/g, ' '));
      expect(codeOf(await down(path, { to: 0 }, quick))).to.equal(undefined);
    }));
});

describe('a table that is none', () => {
  const audits = `ALTER TABLE task_audits RENAME TO t2;`;
  for (const [what, code, sql] of [
    [
      'a view as the version table',
      'VERSION_MISSING',
      `DROP TABLE schema_version; CREATE VIEW schema_version AS SELECT 'x' AS version, * FROM (${ENDLESS})`,
    ],
    [
      'a view as a table of the project',
      'TABLE_MISSING',
      `${audits} CREATE VIEW task_audits AS SELECT * FROM t2, (${ENDLESS})`,
    ],
    [
      'a virtual table as the version table',
      'VERSION_MISSING',
      'DROP TABLE schema_version; CREATE VIRTUAL TABLE schema_version USING fts5(version)',
    ],
    [
      'a virtual table as a table of the project',
      'TABLE_MISSING',
      `${audits} CREATE VIRTUAL TABLE task_audits USING fts5(audit_id, event_type, payload, created_at)`,
    ],
    [
      'a generated column as the version',
      'VERSION_UNREADABLE',
      `DROP TABLE schema_version; CREATE TABLE schema_version (x, version TEXT AS (printf('%.*c', 1000, 'x')));
      INSERT INTO schema_version VALUES (1)`,
    ],
  ] as const) {
    it(`is refused before it is read: ${what}`, () =>
      withV20(async (path) => {
        if (sql.includes('VIRTUAL'))
          craft(path, (db) => {
            const name = code === 'TABLE_MISSING' ? 'task_audits' : 'schema_version';
            db.exec(`DROP TABLE ${name}_config; INSERT INTO sqlite_schema VALUES ('view', '${name}_config', '${name}_config', 0,
              'CREATE VIEW ${name}_config AS ${ENDLESS.replace('count(*)', 'count(*) AS k, 1 AS v')}')`);
          });
        for (const args of [...LOOKS.slice(0, 5), ['up', '--no-backup']]) {
          const { message } = await refusesStore(path, args, code);
          if (code === 'VERSION_UNREADABLE') expect(message).to.include('is generated');
        }
      }, sql));
  }

  it('fires no trigger of the version table that nobody has agreed to', () =>
    withV20(async (path) => {
      const before = dumpSchema(path);
      const { message } = await refusesStore(path, ['up', '--no-backup'], 'TRIGGERS_WOULD_FIRE');
      expect(message).to.include('schema_version').and.include('the trigger noted');
      const result = await runCli(['up', '--no-backup', '--allow-triggers', '--db-path', path]);
      expect(result.code, result.stderr).to.equal(0);
      const args = ['down', '--to', '0', '--yes', '--no-backup'];
      expect((await refusesStore(path, args, 'TRIGGERS_WOULD_FIRE')).message).to.include('the trigger noted');
      expect((await runCli([...args, '--allow-triggers', '--db-path', path])).code).to.equal(0);
      expect(dumpSchema(path)).to.deep.equal(before);
    }, 'CREATE TABLE notes (x); CREATE TRIGGER noted AFTER INSERT ON schema_version BEGIN INSERT INTO notes VALUES (new.version); END'));
});
