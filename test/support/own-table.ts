import { join } from 'node:path';
import Database from 'better-sqlite3';
import { expect } from 'chai';
import type { BackfillDefinition } from '../../src/index.js';
import { type Ledger, readLedger } from './ledger.js';
import { commandsOf, type Extra, named, projectOf } from './project.js';
import { asAgentOs, change, withFolder } from './stores.js';

// A project that is not AgentOS: one table of its own, one backfill.

/** The name of its backfill. */
export const NAME = '001-own';

/** The commands of a project with one backfill on a store. */
function ownTable(path: string, definition: BackfillDefinition) {
  const step = named(NAME, definition);
  const commands = commandsOf(projectOf([step]), { path }, { backup: false });
  return {
    path,
    step,
    commands,
    up: (extra?: Extra) => commands.up({}, extra),
    down: (extra?: Extra) => commands.down({}, extra),
    verify: (extra?: Extra) => commands.verify(undefined, extra),
    rescan: () => commands.rescan(NAME),
    plan: () => commands.plan(['up']),
    status: () => commands.status(),
    /** Runs SQL, as the application would. */
    exec: (sql: string) => change(path, sql),
    /** The rows of a query, as arrays. */
    rows: (sql: string) => asAgentOs(path, (db) => db.prepare(sql).raw().all() as unknown[][]),
    ledger: <Result>(look: (ledger: Ledger) => Result) => look(readLedger(path)),
  };
}

/** A store with one table, and the commands on it. */
export type OwnTable = ReturnType<typeof ownTable>;

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
    await act(ownTable(path, definition));
  });

/** Insists that `up` fills and verifies, and that `down` then brings the table back to what it was. */
export async function expectRoundTrip(own: OwnTable, filled: readonly unknown[][], sql: string) {
  const before = own.rows(sql);
  const outcome = await own.up();
  expect(outcome.error?.message).to.equal(undefined);
  expect(own.rows(sql)).to.deep.equal(filled);
  expect(outcome.verifications.map(({ verdict }) => verdict)).to.not.include('fail');
  const idle = await own.up();
  expect(idle).to.deep.include({ applied: [], caughtUp: [] });
  expect(idle.size).to.equal(undefined);
  expect((await own.down()).error?.message).to.equal(undefined);
  expect(own.rows(sql)).to.deep.equal(before);
}
