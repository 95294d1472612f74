import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import type pg from 'pg';
import { dumpPgSchema, dumpPgStore, dumpPgTable } from './support/postgres-dump.js';
import { needServer, withDatabase } from './support/postgres-server.js';
import {
  actualPgCells,
  deleteKeys,
  insertPgAudits,
  type LeftOut,
  loadFromSqlite,
  type PgForm,
} from './support/postgres-stores.js';
import { actualCells, targets } from './support/reference.js';
import { type Audit, asAgentOs, insertAudits, withGeneratedStore } from './support/stores.js';

type Rows = (string | null)[][];

const sqliteRows = (path: string, table: string, columns: string): Rows =>
  asAgentOs(path, (db) => {
    const texts = columns.split(' ').map((column) => `CAST(${column} AS TEXT)`);
    const sql = `SELECT ${texts} FROM ${table} ORDER BY ${table}.${columns.split(' ')[0]}`;
    return db.prepare(sql).raw().all() as Rows;
  });

async function pgRows(client: pg.ClientBase, table: string, columns: string): Promise<Rows> {
  const [key, ...others] = columns.split(' ');
  const texts = [key, ...others].map((column) => `${column}::text`);
  const text = `SELECT ${texts} FROM ${table} ORDER BY ${table}.${key}`;
  return (await client.query({ text, rowMode: 'array' })).rows;
}

/** Whole seconds, since PostgreSQL writes fewer digits of a fraction: a time without an offset is UTC in the generated stores. */
function secondsOf(time: string | null | undefined): number | null {
  if (time == null) return null;
  const iso = time.replace(' ', 'T').replace(/([+-]\d\d)$/, '$1:00');
  return Math.floor(Date.parse(/(Z|[+-]\d\d:\d\d)$/.test(iso) ? iso : `${iso}Z`) / 1_000);
}

/** The beginnings of why rows were left out, by column. */
const reasonsOf = (leftOut: readonly LeftOut[]): string[] =>
  [
    ...new Set(leftOut.map(({ column, reason }) => `${column}: ${reason.replace(/(type \w+).*/, '$1')}`)),
  ].sort();

const notText = ['payload: a BLOB', 'payload: text that is not UTF-8', 'payload: text with NUL'];
const hostile = { audits: 3_000, rareShare: 0.3 };

/** Runs `act` with a SQLite store and a database that both hold the rows that PostgreSQL can hold. */
const withBoth = (
  form: PgForm,
  act: (path: string, client: pg.Client, leftOut: LeftOut[]) => Promise<void>,
  options: Partial<Parameters<typeof withGeneratedStore>[0]> = {},
): Promise<void> =>
  withGeneratedStore({ ...hostile, ...options }, (path) =>
    withDatabase(async ({ client }) => {
      const leftOut = await loadFromSqlite(path, client, form);
      deleteKeys(path, leftOut);
      await act(path, client, leftOut);
    }),
  );

describe('the AgentOS store on PostgreSQL', () => {
  before(function () {
    needServer(this);
  });

  it('holds every cell of the SQLite store as text', async () => {
    await withBoth({}, async (path, client, leftOut) => {
      expect(reasonsOf(leftOut)).to.deep.equal(notText);
      for (const [table, columns] of [
        ['schema_version', 'version applied_at'],
        ['tasks', 'task_id title status created_at'],
        [
          'task_audits',
          'audit_id task_id level event_type payload created_at decision_id verdict_id repo_id',
        ],
      ] as const) {
        const expected = sqliteRows(path, table, columns);
        expect(expected).not.to.have.lengthOf(0);
        expect(await pgRows(client, table, columns)).to.deep.equal(expected);
      }
      expect(Number((await insertPgAudits(client, [{}]))[0])).to.equal(hostile.audits + 1);
    });
  });

  it('holds them in a small schema, too', async () => {
    const columns = 'audit_id event_type payload created_at';
    await withBoth(
      {},
      async (path, client) => {
        expect(await pgRows(client, 'task_audits', columns)).to.deep.equal(
          sqliteRows(path, 'task_audits', columns),
        );
        expect(await insertPgAudits(client, [{}])).to.deep.equal([String(hostile.audits + 1)]);
      },
      { smallSchema: true },
    );
  });

  it('holds json as it was written, and the same instants', async () => {
    await withBoth({ payload: 'json', createdAt: 'timestamptz' }, async (path, client, leftOut) => {
      expect(reasonsOf(leftOut)).to.deep.equal([
        'created_at: invalid input syntax for type timestamp',
        ...notText.slice(0, 1),
        'payload: invalid input syntax for type json',
        ...notText.slice(1),
      ]);
      const columns = 'audit_id payload';
      expect(await pgRows(client, 'task_audits', columns)).to.deep.equal(
        sqliteRows(path, 'task_audits', columns),
      );
      const times = (rows: Rows) => rows.map(([key, time]) => [key, secondsOf(time)]);
      expect(times(await pgRows(client, 'task_audits', 'audit_id created_at'))).to.deep.equal(
        times(sqliteRows(path, 'task_audits', 'audit_id created_at')),
      );
    });
  });

  it('leaves out what jsonb alone refuses', async () => {
    await withBoth({ payload: 'jsonb', createdAt: 'timestamp' }, async (path, client, leftOut) => {
      expect(reasonsOf(leftOut)).to.include('payload: unsupported Unicode escape sequence');
      expect(await pgRows(client, 'task_audits', 'audit_id')).to.deep.equal(
        sqliteRows(path, 'task_audits', 'audit_id'),
      );
    });
  });

  it('takes the same audits as the SQLite store, under the same keys', async () => {
    const audits: Audit[] = [
      { payload: `{"a":"it's \\ back"}`, cells: ['2026', null] },
      { key: 40, payload: null, createdAt: null },
      { key: -3, eventType: 'TASK_STARTED', createdAt: 7 },
      { payload: Buffer.from('{}'), asText: true, cells: [null, ''] },
    ];
    await withBoth(
      {},
      async (path, client) => {
        for (const { column } of targets) {
          asAgentOs(path, (db) => db.exec(`ALTER TABLE task_audits ADD COLUMN ${column} TEXT`));
          await client.query(`ALTER TABLE task_audits ADD COLUMN ${column} text`);
        }
        asAgentOs(path, (db) => insertAudits(db, audits));
        expect(await insertPgAudits(client, audits)).to.deep.equal(['1', '40', '-3', '41']);
        expect(await actualPgCells(client)).to.deep.equal(actualCells(path));
        const columns = 'audit_id event_type payload created_at task_id';
        expect(await pgRows(client, 'task_audits', columns)).to.deep.equal(
          sqliteRows(path, 'task_audits', columns),
        );
        const blob = await insertPgAudits(client, [{ payload: Buffer.from('{}') }]).catch(String);
        expect(blob).to.match(/a BLOB/);
      },
      { audits: 0 },
    );
  });
});

describe('dumps of a PostgreSQL database', () => {
  before(function () {
    needServer(this);
  });

  it('have every cell as text, by key', async () => {
    await withDatabase(async ({ client }) => {
      await client.query(`CREATE TABLE things (name text, "A b" double precision, id integer PRIMARY KEY)`);
      await client.query(
        `INSERT INTO things VALUES (NULL, 0.1, 10), ('it''s', 1e300, 9), ('NULL', NULL, 11)`,
      );
      expect(await dumpPgTable(client, 'things')).to.deep.equal([
        `name='it''s' A b='1e+300' id='9'`,
        `name=NULL A b='0.1' id='10'`,
        `name='NULL' A b=NULL id='11'`,
      ]);
    });
  });

  it('are the same once a change of the schema is taken back, and another by every kind of change', async () => {
    await withBoth({}, async (_path, client) => {
      const before = await dumpPgStore(client);
      expect(Object.keys(before.tables)).to.deep.equal(['schema_version', 'task_audits', 'tasks']);
      const indexes = before.schema.filter(
        (line) => line.startsWith('index ') && line.includes(' ON public.task_audits '),
      );
      expect(indexes).to.have.lengthOf(13);
      const touch = 'CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$';
      for (const [change, back] of [
        ['ALTER TABLE task_audits ADD COLUMN more text', 'ALTER TABLE task_audits DROP COLUMN more'],
        ['CREATE INDEX more ON tasks (title)', 'DROP INDEX more'],
        [touch, 'DROP FUNCTION touch'],
        [
          `${touch}; CREATE TRIGGER more BEFORE UPDATE ON tasks FOR EACH ROW EXECUTE FUNCTION touch()`,
          'DROP FUNCTION touch CASCADE',
        ],
        ['CREATE VIEW more AS SELECT title FROM tasks', 'DROP VIEW more'],
        ['CREATE SEQUENCE more', 'DROP SEQUENCE more'],
        ['CREATE SCHEMA more', 'DROP SCHEMA more'],
        ['ALTER TABLE tasks ADD CONSTRAINT more CHECK (true)', 'ALTER TABLE tasks DROP CONSTRAINT more'],
        [`ALTER TABLE tasks ALTER title SET DEFAULT ''`, 'ALTER TABLE tasks ALTER title DROP DEFAULT'],
      ] as const) {
        await client.query(change);
        expect(await dumpPgSchema(client), change).not.to.deep.equal(before.schema);
        await client.query(back);
        expect(await dumpPgSchema(client), back).to.deep.equal(before.schema);
      }
      expect(await dumpPgStore(client)).to.deep.equal(before);
      await client.query(`UPDATE tasks SET title = NULL WHERE task_id = 'task_000000'`);
      expect(await dumpPgStore(client)).not.to.deep.equal(before);
    });
  });
});
