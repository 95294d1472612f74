import { expect } from 'chai';
import { describe, it } from 'mocha';
import { runCli } from './support/cli.js';
import { LEDGER_TABLES } from './support/ledger.js';
import {
  type Extra,
  name,
  project,
  stoppedAfter,
  withAppliedStore,
  withPlainStore,
} from './support/migrate.js';
import { type Audit, asAgentOs, change, insertAudits, query } from './support/stores.js';

describe('verification, contents', () => {
  const secret = 'hunter2';
  const secretive: readonly Audit[] = [
    { payload: `{"source_ts":"${secret} a","timestamp":"2026-${secret}"}` },
    { payload: `{"source_ts":"","reason":"${secret}"}`, createdAt: `${secret} c` },
    { payload: `{"source_ts":"${secret}"` },
    { payload: Buffer.from(`{"timestamp":"${secret}"}`) },
    { payload: `{"timestamp":"${secret}"}`, createdAt: null },
    // The widest range of times, so that a careless minimum or maximum would be one of these.
    { payload: `{"source_ts":"0000${secret}","timestamp":"9999${secret}"}` },
  ];

  for (const form of [[], ['--json']]) {
    it(`never tells a payload’s contents, but timestamps (${form[0] ?? 'text'})`, () =>
      withPlainStore(async (path) => {
        const [told, codes]: [unknown[], (string | undefined)[]] = [[], []];
        /** Runs a command as a person would, with all that the log can tell. */
        const run = async (args: readonly string[], extra: Extra = {}): Promise<void> => {
          let code: string | undefined;
          const { stdout, stderr } = await runCli(
            [...args, ...form, '--log-level', 'debug', '--db-path', path],
            {
              onError: (error) => {
                code = error.code;
                told.push({ ...error, message: error.message });
              },
              embedding: {
                program: 'umzug-backfill',
                loadMigrator: async () => ({
                  ...{ project, path, batchRows: 10, ...extra },
                  onEvent: (event) => {
                    told.push(event);
                    extra.onEvent?.(event);
                  },
                }),
              },
            },
          );
          told.push(stdout, stderr);
          codes.push(code);
        };
        await run(['up', '--dry-run']);
        await run(['up'], stoppedAfter(2));
        change(path, `UPDATE task_audits SET source_event_ts = '${secret} again' WHERE audit_id IN (1, 9)`);
        await run(['up']);
        await run(['backfill', name, '--rescan']);
        asAgentOs(path, (db) => insertAudits(db, secretive));
        await run(['verify', '--min-coverage', '100']);
        await run(['backfill', name, '--rescan', '--dry-run']);
        await run(['up']);
        await run(['down']);
        expect(codes).to.deep.equal([
          ...[undefined, 'TERMINATED', 'VERIFICATION_FAILED', undefined, 'VERIFICATION_FAILED'],
          ...[undefined, undefined, undefined],
        ]);
        expect(JSON.stringify(told)).to.include('not a timestamp').and.include('row_skipped');
        expect(JSON.stringify(told)).not.to.include(secret);
      }, secretive));
  }

  it('leaves none of it in the ledger', () =>
    withAppliedStore(async (path) => {
      expect(query<string>(path, 'SELECT payload FROM task_audits').join()).to.include(secret);
      for (const table of LEDGER_TABLES) {
        const rows = asAgentOs(path, (db) => db.prepare(`SELECT * FROM ${table}`).all());
        const mayBeEmpty = ['umzug_backfill_kept', 'umzug_backfill_recorded']; // of a `down` in progress; not written yet
        if (!mayBeEmpty.includes(table)) expect(rows, table).not.to.have.length(0);
        expect(JSON.stringify(rows), table).not.to.include(secret);
        // Packed keys, byte by byte.
        expect(rows.flatMap((row) => Object.values(row as object)).join(), table).not.to.include(secret);
      }
    }, secretive));
});
