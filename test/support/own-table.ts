import { join } from 'node:path';
import Database from 'better-sqlite3';
import { expect } from 'chai';
import type { Backfill, BackfillDefinition } from '../../src/backfill/define.js';
import { defineConfig, type Project } from '../../src/config.js';
import { Ledger } from '../../src/ledger/ledger.js';
import { locateStore } from '../../src/store/path.js';
import { SqliteStore } from '../../src/store/sqlite/store.js';
import { asAgentOs, withFolder } from './stores.js';

const downCommand = await import('../../src/migrator/down.js');
const backfillCommand = await import('../../src/migrator/backfill.js');
const planCommand = await import('../../src/migrator/plan.js');
const upCommand = await import('../../src/migrator/up.js');
const verifyCommand = await import('../../src/migrator/verify.js');

// A project that is not AgentOS: one table of its own, one backfill.

/** The name of its backfill. */
export const NAME = '001-own';

/** A store with one table, and the commands on it. */
export interface OwnTable {
  readonly path: string;
  /** The backfill, with the name of its step. */
  readonly step: Backfill & { readonly path: string };
  readonly up: (extra?: object) => ReturnType<typeof upCommand.up>;
  readonly down: (extra?: object) => ReturnType<typeof downCommand.down>;
  readonly verify: () => ReturnType<typeof verifyCommand.verify>;
  readonly rescan: () => ReturnType<typeof backfillCommand.backfill>;
  readonly plan: () => ReturnType<typeof planCommand.planUp>;
  /** Runs SQL, as the application would. */
  readonly exec: (sql: string) => void;
  /** The rows of a query, as arrays. */
  readonly rows: (sql: string) => unknown[][];
  /** What the ledger holds. */
  readonly ledger: <Result>(look: (ledger: Ledger) => Result) => Result;
}

/** Makes a store by SQL, in WAL mode, and runs `act` on it. Batches have ten rows. */
export const withOwnTable = (
  ddl: string,
  definition: BackfillDefinition,
  act: (own: OwnTable) => Promise<void>,
): Promise<void> =>
  withFolder(async (folder) => {
    const path = join(folder, 'own.db');
    const db = new Database(path);
    db.exec(ddl);
    if (db.pragma('encoding', { simple: true }) === 'UTF-8') db.pragma('journal_mode = WAL');
    db.close();
    const step = { ...definition, name: NAME, path: `${NAME}.ts` };
    const config = defineConfig({ database: { path }, steps: ['.'] });
    const project: Project = { config, steps: [step] };
    const options = { project, path, batchRows: 10, backup: false } as const;
    await act({
      path,
      step,
      up: (extra) => upCommand.up({ ...options, ...extra }),
      down: (extra) => downCommand.down({ ...options, ...extra }),
      verify: () => verifyCommand.verify(options, {}),
      rescan: () => backfillCommand.backfill(options, { name: NAME, isRescan: true }),
      plan: () => planCommand.planUp(options),
      exec: (sql) => asAgentOs(path, (opened) => void opened.exec(sql)),
      rows: (sql) => asAgentOs(path, (opened) => opened.prepare(sql).raw().all() as unknown[][]),
      ledger: (look) => {
        const store = new SqliteStore(locateStore(path), { access: 'look' });
        try {
          return look(new Ledger(store));
        } finally {
          store.close();
        }
      },
    });
  });

/** Insists that `up` fills and verifies, and that `down` then brings the table back to what it was. */
export async function expectRoundTrip(
  own: OwnTable,
  filled: readonly unknown[][],
  sql: string,
): Promise<void> {
  const before = own.rows(sql);
  const outcome = await own.up();
  expect(outcome.error?.message).to.equal(undefined);
  expect(own.rows(sql)).to.deep.equal(filled);
  expect(outcome.verifications.map(({ verdict }) => verdict)).to.not.include('fail');
  const idle = await own.up();
  expect({ applied: idle.applied, caughtUp: idle.caughtUp, size: idle.size }).to.deep.equal({
    applied: [],
    caughtUp: [],
    size: undefined,
  });
  expect((await own.down()).error?.message).to.equal(undefined);
  expect(own.rows(sql)).to.deep.equal(before);
}
