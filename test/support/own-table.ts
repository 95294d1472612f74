import { join } from 'node:path';
import Database from 'better-sqlite3';
import { expect } from 'chai';
import type { BackfillDefinition, BackfillOutcome, Status, Verification } from '../../src/index.js';
import { type Ledger, readLedger } from './ledger.js';
import {
  commandsOf,
  type DownOutcome,
  type Extra,
  named,
  type PlanJson,
  projectOf,
  type UpOutcome,
} from './project.js';
import { asAgentOs, withFolder } from './stores.js';

// A project that is not AgentOS: one table of its own, one backfill.

/** The name of its backfill. */
export const NAME = '001-own';

/** A store with one table, and the commands on it. */
export interface OwnTable {
  readonly path: string;
  /** The backfill, with the name of its step. */
  readonly step: BackfillDefinition & { readonly name: string; readonly path: string };
  readonly up: (extra?: Extra) => Promise<UpOutcome>;
  readonly down: (extra?: Extra) => Promise<DownOutcome>;
  readonly verify: (extra?: Extra) => Promise<readonly Verification[]>;
  readonly rescan: () => Promise<BackfillOutcome>;
  readonly plan: () => Promise<PlanJson>;
  readonly status: () => Promise<Status>;
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
    const step = named(NAME, definition);
    const commands = commandsOf(projectOf([step]), { path }, { backup: false });
    await act({
      path,
      step,
      up: (extra) => commands.up({}, extra),
      down: (extra) => commands.down({}, extra),
      verify: (extra) => commands.verify(undefined, extra),
      rescan: () => commands.rescan(NAME),
      plan: () => commands.plan(['up']),
      status: () => commands.status(),
      exec: (sql) => asAgentOs(path, (opened) => void opened.exec(sql)),
      rows: (sql) => asAgentOs(path, (opened) => opened.prepare(sql).raw().all() as unknown[][]),
      ledger: (look) => look(readLedger(path)),
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
