import { copyFileSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { expect } from 'chai';
import { beforeEach, describe, it } from 'mocha';
import { generateStore } from '../../demo/store-generator.js';
import { type CliResult, runCli, useFolder } from '../support/cli.js';
import { copiesOf } from '../support/copies.js';
import { type Audit, asAgentOs, dumpTable, insertAudits, query } from '../support/stores.js';

// What a store holds stays in it: every command, in every form of its output, at the most talkative level of the log.

const SECRET = 'hunter2-of-a-row';
/** A number can be a secret, too: this one is no time. */
const NUMBER = 424242424242424;
/** The verification counts by type, and may name this one; logs and errors may not. */
const TYPE = 'SUPERVISOR_OF_HUNTER3';

const audits: readonly Audit[] = [
  { payload: `{"source_ts":"${SECRET}","timestamp":"${SECRET}"}` },
  { payload: `{"source_ts":${NUMBER},"timestamp":-${NUMBER}.5}` },
  { payload: `{"source_ts":"2026-01-20T10:00:00.${SECRET}Z","timestamp":"2026-01-20T10:00:00+${SECRET}"}` },
  { payload: `{"source_ts":"0000-${SECRET}","timestamp":"9999-${SECRET}"}`, createdAt: SECRET },
  {
    payload: `{"decision_id":"${SECRET}","source_ts":"2026-01-20T10:00:00Z","timestamp":"2026-01-29T10:00:00Z"}`,
  },
  { payload: `{"${SECRET}":"${SECRET}"}`, createdAt: SECRET },
  { payload: `${SECRET}{`, createdAt: SECRET },
  { payload: Buffer.from(SECRET) },
  { payload: null, createdAt: Buffer.from(SECRET) },
  { payload: '{}', createdAt: NUMBER },
];

const plain: Audit = { payload: '{"source_ts":"2026-01-20T10:00:00Z","timestamp":"2026-01-20T10:00:01Z"}' };

/** What an application may have in its schema: it tells, or tries to, what it sees. */
const SCHEMA = `
  CREATE VIEW audits_of_today AS SELECT '${SECRET}' AS secret, payload FROM task_audits;
  CREATE TRIGGER keep_ends BEFORE UPDATE ON task_audits WHEN OLD.audit_id IN (10, 20)
  BEGIN SELECT RAISE(ABORT, OLD.payload) FROM (SELECT '${SECRET}'); END;
  CREATE TRIGGER keep_others BEFORE UPDATE ON task_audits WHEN OLD.audit_id IN (9, 19)
  BEGIN SELECT RAISE(ABORT, '${SECRET}'); END;`;

describe('what a store holds', () => {
  const folder = useFolder();
  let count = 0;
  let calls = 0;
  let store = '';

  beforeEach(() => {
    count += 1;
    store = folder.file(`store-${count}.db`);
    generateStore({ path: store, audits: 0 });
    asAgentOs(store, (db) => {
      const typed = audits.map((audit) => ({ ...audit, eventType: TYPE }));
      insertAudits(db, [...audits, ...typed, ...Array<Audit>(40).fill(plain)]);
      db.exec(`UPDATE task_audits SET decision_id = '${SECRET}', level = '${SECRET}'; ${SCHEMA}`);
    });
  });

  /**
   * Runs a command in each form, and insists that none tells a secret. The first has something to do, and must end so: it
   * is the other form each time.
   */
  async function tell(exitCode: number, ...args: readonly string[]): Promise<CliResult> {
    calls += 1;
    const forms = calls % 2 === 0 ? [['--json'], []] : [[], ['--json']];
    const results: CliResult[] = [];
    for (const form of forms) {
      const result = await runCli([...args, ...form, '--log-level', 'trace', '--db-path', store]);
      const told = `${args.join(' ')}\n${result.stdout}${result.stderr}`;
      expect(told).not.to.include(SECRET).and.not.to.include(String(NUMBER));
      expect(result.stderr).not.to.include(TYPE);
      if (form.length > 0) expect(JSON.stringify(result.json().error ?? {})).not.to.include(TYPE);
      if (results.length === 0) expect(result.code, told).to.equal(exitCode);
      results.push(result);
    }
    return results[0] as CliResult;
  }

  /** Neither the ledger nor a file's name nor the lock holds a secret. */
  function expectKept(): void {
    const hex = (text: string): string => Buffer.from(text).toString('hex').toUpperCase();
    const tables = query<string>(
      store,
      `SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE 'umzug_backfill%'`,
    );
    expect(tables).to.have.length.above(5);
    for (const table of tables) {
      const rows = dumpTable(store, table).join('\n');
      for (const secret of [SECRET, String(NUMBER)]) expect(rows, table).not.to.include(hex(secret));
    }
    expect(readdirSync(folder.path).join()).not.to.include(SECRET);
    expect(readFileSync(`${store}.lock`, 'latin1')).not.to.include(SECRET);
  }

  it('is not told by commands that fill, look and take back', async () => {
    await tell(0, 'up', '--dry-run');
    await tell(1, 'up'); // the triggers
    await tell(0, 'up', '--allow-triggers', '--batch-size', '7');
    const { stdout } = await tell(0, 'verify');
    expect(stdout).to.include('2026-01-29T10:00:00Z').and.to.include(TYPE);
    expect((await tell(0, 'skips')).stdout).to.include('SQLITE_CONSTRAINT_TRIGGER');
    await tell(0, 'status');
    await tell(5, 'verify', '--min-coverage', '100');
    expectKept();
    asAgentOs(store, (db) => insertAudits(db, audits));
    await tell(0, 'backfill', '--dry-run');
    await tell(0, 'backfill', '--allow-triggers');
    await tell(0, 'backfill', '--rescan', '--allow-triggers');
    await tell(0, 'down', '--dry-run');
    expectKept();
    const change = (sql: string): void => asAgentOs(store, (db) => void db.exec(sql));
    change(`DROP TRIGGER keep_ends; DROP TRIGGER keep_others;
      UPDATE task_audits SET source_event_ts = '${SECRET}' WHERE audit_id % 4 = 0`);
    await tell(0, 'verify');
    const raise = `SELECT RAISE(ABORT, OLD.payload || '${SECRET}')`;
    change(`CREATE TRIGGER keep_all BEFORE UPDATE ON task_audits BEGIN ${raise}; END`);
    await tell(1, 'down');
    await tell(1, 'down', '--allow-triggers');
    change('DROP TRIGGER keep_all');
    await tell(0, 'down');
    await tell(1, 'down'); // values would be lost
    expectKept();
  });

  it('is not told by restore, whatever it is given', async () => {
    await tell(0, 'up', '--allow-triggers');
    const [backup = ''] = copiesOf(store);
    await tell(0, 'restore', '--dry-run');
    const noDatabase = folder.file('no-database');
    writeFileSync(noDatabase, `${SECRET} `.repeat(1000));
    await tell(1, 'restore', noDatabase);
    const damaged = folder.file('damaged');
    copyFileSync(backup, damaged);
    const bytes = readFileSync(damaged);
    bytes.write(SECRET.repeat(200), 4096);
    writeFileSync(damaged, bytes);
    await tell(1, 'restore', damaged);
    await tell(0, 'restore');
    await tell(1, 'restore'); // it has no ledger any more
    // The store itself, damaged in a page of it, then as a whole.
    writeFileSync(store, bytes);
    await tell(1, 'up', '--allow-triggers');
    await tell(0, 'restore', backup);
    writeFileSync(store, `${SECRET} `.repeat(1000));
    await tell(1, 'status');
    await tell(1, 'up');
    await tell(0, 'restore', backup);
    expect(readdirSync(folder.path).join()).not.to.include(SECRET);
  });
});
