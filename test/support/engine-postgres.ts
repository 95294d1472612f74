import { execFileSync } from 'node:child_process';
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import type pg from 'pg';
import { root } from './cli.js';
import { type EmptiedDatabase, withEmptiedDatabase } from './emptied-database.js';
import { generateTestStore, type TestEngine, type TestStore } from './engine-sqlite.js';
import { readPgLedger } from './ledger.js';
import { COLUMNS, derivedCells, oracle } from './oracle-words.js';
import { dumpPgStore } from './postgres-dump.js';
import { jsonbHasRead, numbersAreNumeric, timesAreIso } from './postgres-exceptions.js';
import { whyNoServer } from './postgres-server.js';
import { actualPgCells, deleteKeys, insertPgAudits, loadFromSqlite, type PgForm } from './postgres-stores.js';
import { actualCells, type Cells } from './reference.js';
import { type Audit, asAgentOs, insertAudits, withFolder } from './stores.js';

/** A program that runs SQL on a database while this thread waits for it. */
const RUN_SQL = `
  import pg from 'pg';
  const [connectionString, sql] = process.argv.slice(1);
  const client = new pg.Client({ connectionString });
  await client.connect();
  await client.query(sql);
  await client.end();`;

/** Runs SQL on a database from within a callback: it is done when this returns. */
export const runSqlNow = (url: string, sql: string): void =>
  void execFileSync(process.execPath, ['--input-type=module', '-e', RUN_SQL, url, sql], { cwd: root });

/** Stores that are databases of a server, where one can be started. */
export const postgresEngine: TestEngine = {
  name: 'PostgreSQL',
  whyNot: whyNoServer,
  knowsGrowingKeys: false,
  withStore: (options, act) =>
    withFolder((folder) =>
      withEmptiedDatabase(async (database) => {
        const generated = join(folder, 'generated.db');
        generateTestStore(generated, options);
        deleteKeys(generated, await loadFromSqlite(generated, database.client, options.form));
        return await act(postgresStore(database, folder, options.form ?? {}));
      }),
    ),
};

/** The twin of a database is the SQLite store that its rows came from, or, once they have been changed, a copy of them as text. */
function postgresStore({ client, url }: EmptiedDatabase, folder: string, form: PgForm): TestStore {
  let twins = 0;
  let isChanged = false;
  const makeTwin = async (): Promise<string> => {
    twins += 1;
    const twin = join(folder, `twin-${twins}.db`);
    if (isChanged) await copyRows(client, twin, form);
    else copyFileSync(join(folder, 'generated.db'), twin);
    await timesAreIso(twin, client, form);
    await jsonbHasRead(twin, client, form);
    return twin;
  };
  const inNumeric = (twin: string, cells: Map<string, Cells>, from = new Map<string, Cells>()) =>
    numbersAreNumeric(twin, client, cells, (key, i) => {
      const cell = cells.get(key)?.[i] ?? null;
      return cell !== null && cell !== (from.get(key)?.[i] ?? null);
    });
  return {
    address: { path: url, postgres: { url } },
    async change(sql) {
      isChanged = true;
      await client.query(sql);
    },
    changeNow(sql) {
      isChanged = true;
      runSqlNow(url, sql);
    },
    query: async (text) =>
      (await client.query({ text, rowMode: 'array' })).rows.map(([value]) =>
        value === null ? null : String(value),
      ),
    async insert(...audits) {
      isChanged = true;
      await insertPgAudits(client, audits);
    },
    cells: () => actualPgCells(client),
    dump: () => dumpPgStore(client),
    ledger: () => readPgLedger(client),
    traces: () => versionsOf(client),
    async expected() {
      const twin = await makeTwin();
      const { cells, skips } = oracle(twin);
      return { cells: await inNumeric(twin, cells, actualCells(twin)), skips };
    },
    async derived() {
      const twin = await makeTwin();
      return await inNumeric(twin, derivedCells(twin));
    },
    damages: async () => [],
  };
}

async function copyRows(client: pg.ClientBase, path: string, form: PgForm): Promise<void> {
  if ((form.payload ?? 'text') !== 'text' || (form.createdAt ?? 'text') !== 'text')
    throw new Error('Expected columns of text: what others hold by now can not be told from their texts');
  const cells = await actualPgCells(client);
  const text = 'SELECT audit_id::text, event_type, payload, created_at FROM task_audits';
  const { rows } = await client.query<[string, string, string | null, string | null]>({
    text,
    rowMode: 'array',
  });
  asAgentOs(path, (db) => {
    db.exec(
      `CREATE TABLE task_audits (audit_id INTEGER PRIMARY KEY, event_type TEXT, payload TEXT, created_at TEXT, ${COLUMNS.map((name) => `${name} TEXT`)})`,
    );
    const audits = rows.map(([key, eventType, payload, createdAt]): Audit => {
      const own = cells.get(key);
      return { key: BigInt(key), eventType, payload, createdAt, ...(own ? { cells: own } : {}) };
    });
    insertAudits(db, audits);
  });
}

/** Where each row of each table stands, and which transaction has written it; what is rolled back leaves nothing. */
async function versionsOf(client: pg.ClientBase): Promise<unknown> {
  const { schema, tables } = await dumpPgStore(client);
  const versions: unknown[] = [schema, tables];
  for (const name of Object.keys(tables)) {
    const text = `SELECT ctid::text, xmin::text FROM ${name} ORDER BY ctid`;
    versions.push((await client.query({ text, rowMode: 'array' })).rows);
  }
  return versions;
}
