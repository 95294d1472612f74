import { join } from 'node:path';
import Database from 'better-sqlite3';
import { main } from '../../src/cli/main.js';
import { cleanEnv, collector, root } from './cli.js';
import { type Ledger, readLedger } from './ledger.js';
import { whyNoServer } from './postgres-server.js';
import { withPgTables } from './postgres-tables.js';
import {
  type Address,
  commandsOf,
  type Definition,
  type Extra,
  named,
  projectOf,
  type Step,
} from './project.js';
import { asAgentOs, change, withFolder } from './stores.js';

// Tables of a test's own on either engine, made by SQL that both take, and the commands of a project on them.

/** How the tables of a store are read and changed, as the application would. */
interface Tables {
  exec(sql: string): Promise<unknown>;
  /** The rows of a query, as arrays. */
  rows(sql: string): Promise<unknown[][]>;
  ledger(): Promise<Ledger>;
}

const isList = <Item>(items: readonly Item[] | object): items is readonly Item[] => Array.isArray(items);

const onTables = (address: Address, tables: Tables) => ({
  ...tables,
  /** The rows of a query, as arrays of texts and NULLs. */
  texts: async (sql: string): Promise<(string | null)[][]> =>
    (await tables.rows(sql)).map((row) => row.map((cell) => (cell === null ? null : String(cell)))),
  /** The commands of a project of these steps, which may be given by name. */
  of: (steps: readonly Step[] | Readonly<Record<string, Definition>>, extra: Extra = {}) => {
    const project = projectOf(
      isList(steps) ? steps : Object.entries(steps).map(([name, step]) => named(name, step)),
    );
    const usual = { backup: false, ...extra } as const;
    return {
      ...commandsOf(project, address, usual),
      /** What a command prints for a person, and its exit code. */
      async text(...args: readonly string[]) {
        const [stdout, stderr] = [collector(), collector()];
        const target = address.postgres
          ? ['--database-url', address.postgres.url]
          : ['--db-path', address.path];
        const code = await main([...args, '--log-level', 'warn', ...target], {
          env: cleanEnv('/nonexistent', { CI: 'test' }),
          folder: root,
          stdout,
          stderr,
          embedding: {
            program: 'umzug-backfill',
            loadMigrator: async () => ({
              batchRows: 10,
              pace: 'full',
              ...usual,
              project,
              path: address.path,
            }),
          },
        });
        return { code, stdout: stdout.text, stderr: stderr.text };
      },
    };
  },
});

/** Tables of a test's own, and the commands on them. */
export type OwnTables = ReturnType<typeof onTables>;

/** One engine. */
export interface OwnEngine {
  readonly name: 'SQLite' | 'PostgreSQL';
  /** Why there is none here; undefined when there is. */
  whyNot(): string | undefined;
  /** Runs `act` with tables that `ddl` makes in a store that is empty else. Batches have ten rows. */
  withTables(ddl: string, act: (tables: OwnTables) => Promise<void>): Promise<void>;
}

/** The engines: the same tests run on each. */
export const OWN_ENGINES: readonly OwnEngine[] = [
  {
    name: 'SQLite',
    whyNot: () => undefined,
    withTables: (ddl, act) =>
      withFolder(async (folder) => {
        const path = join(folder, 'own.db');
        const db = new Database(path);
        db.pragma('journal_mode = WAL');
        db.exec(ddl);
        db.close();
        await act(
          onTables(
            { path },
            {
              exec: async (sql) => change(path, sql),
              rows: async (sql) => asAgentOs(path, (open) => open.prepare(sql).raw().all() as unknown[][]),
              ledger: async () => readLedger(path),
            },
          ),
        );
      }),
  },
  {
    name: 'PostgreSQL',
    whyNot: whyNoServer,
    withTables: (ddl, act) =>
      withPgTables(ddl, ({ url, exec, rows, ledger }) =>
        act(onTables({ path: url, postgres: { url } }, { exec, rows: (sql) => rows(sql), ledger })),
      ),
  },
];

/** SQL that makes a table `t` of so many rows: `id` from 1 on, `a` a text of it, and `b`, NULL. */
export const numbered = (rows: number): string => `CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b TEXT);
  INSERT INTO t (id, a) WITH RECURSIVE g(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM g WHERE i < ${rows})
    SELECT i, 'a' || i FROM g`;
