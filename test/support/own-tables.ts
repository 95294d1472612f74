import { join } from 'node:path';
import Database from 'better-sqlite3';
import { type Ledger, readLedger } from './ledger.js';
import { whyNoServer } from './postgres-server.js';
import { withPgTables } from './postgres-tables.js';
import { commandsOf, type Extra, projectOf, type Step } from './project.js';
import { asAgentOs, change, withFolder } from './stores.js';

// Tables of a test's own, made by SQL that both engines read, and the commands of a project on them.

/** A store with such tables. */
export interface OwnTables {
  /** Runs SQL, as the application would. */
  exec(sql: string): Promise<void>;
  /** The rows of a query, as arrays of texts and NULLs. */
  rows(sql: string): Promise<(string | null)[][]>;
  ledger(): Promise<Ledger>;
  /** The commands of a project of these steps. */
  of(steps: readonly Step[], extra?: Extra): ReturnType<typeof commandsOf>;
}

/** An engine that such tables can be of. */
export interface OwnEngine {
  readonly name: string;
  /** Why there is none, or undefined. */
  readonly whyNot: () => string | undefined;
  readonly withTables: (ddl: string, act: (own: OwnTables) => Promise<void>) => Promise<void>;
}

const texts = (rows: readonly unknown[][]): (string | null)[][] =>
  rows.map((row) => row.map((cell) => (cell === null ? null : String(cell))));

const withSqliteTables: OwnEngine['withTables'] = (ddl, act) =>
  withFolder(async (folder) => {
    const path = join(folder, 'own.db');
    const db = new Database(path);
    db.exec(ddl);
    db.close();
    await act({
      exec: async (sql) => change(path, sql),
      rows: async (sql) => texts(asAgentOs(path, (open) => open.prepare(sql).raw().all() as unknown[][])),
      ledger: async () => readLedger(path),
      of: (steps, extra) => commandsOf(projectOf(steps), { path }, { backup: false, ...extra }),
    });
  });

/** Both, for `for (const engine of OWN_ENGINES)`. */
export const OWN_ENGINES: readonly OwnEngine[] = [
  { name: 'SQLite', whyNot: () => undefined, withTables: withSqliteTables },
  {
    name: 'PostgreSQL',
    whyNot: whyNoServer,
    withTables: (ddl, act) =>
      withPgTables(ddl, ({ exec, rows, ledger, of }) =>
        act({
          exec: async (sql) => void (await exec(sql)),
          rows: async (sql) => texts(await rows(sql)),
          ledger,
          of: (steps, extra) => of(steps, undefined, extra),
        }),
      ),
  },
];
