import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { Umzug } from 'umzug';
import { generateStore } from '../demo/store-generator.js';
import { BackfillError, type ErrorCode } from '../src/index.js';
import { expectRefusal, root, runCli, useFolder } from './support/cli.js';
import { anError } from './support/errors.js';
import { after, up } from './support/migrate.js';
import { fromSent, toSent } from './support/pure.js';
import { asAgentOs, insertAudits, withGeneratedStore } from './support/stores.js';

const { SqliteError } = Database;
const SECRET = 'secret-of-a-payload';

/** What of SQLite's result codes must become which of ours. */
const meanings: readonly (readonly [result: string, code: ErrorCode])[] = [
  ['SQLITE_READONLY_ROLLBACK', 'STORE_HOT_JOURNAL'],
  ['SQLITE_READONLY_DIRECTORY', 'STORE_FOLDER_READONLY'],
  ['SQLITE_READONLY', 'STORE_READONLY'],
  ['SQLITE_READONLY_DBMOVED', 'STORE_IO'],
  ['SQLITE_PROTOCOL', 'STORE_BUSY'],
  ['SQLITE_CANTOPEN', 'STORE_FOLDER_READONLY'],
  ['SQLITE_BUSY', 'STORE_BUSY'],
  ['SQLITE_BUSY_SNAPSHOT', 'STORE_BUSY'],
  ['SQLITE_BUSY_RECOVERY', 'STORE_BUSY'],
  ['SQLITE_LOCKED', 'STORE_BUSY'],
  ['SQLITE_FULL', 'STORE_FULL'],
  ['SQLITE_IOERR', 'STORE_IO'],
  ['SQLITE_IOERR_FSYNC', 'STORE_IO'],
  ['SQLITE_NOTADB', 'STORE_NOT_A_DATABASE'],
  ['SQLITE_CORRUPT', 'STORE_CORRUPT'],
  ['SQLITE_CORRUPT_INDEX', 'STORE_CORRUPT'],
  ['SQLITE_CONSTRAINT_TRIGGER', 'STATEMENT_REJECTED'],
  ['SQLITE_ERROR', 'STATEMENT_REJECTED'],
  ['SQLITE_TOOBIG', 'STATEMENT_REJECTED'],
];

describe('what is thrown', () => {
  const folder = useFolder();
  before(() => generateStore({ path: folder.file('store.db'), audits: 5 }));

  /** What umzug rejects with when a migration throws. */
  const wrapped = async (up: () => Promise<unknown>): Promise<void> => {
    const storage = {
      logMigration: async () => undefined,
      unlogMigration: async () => undefined,
      executed: async () => [],
    };
    const umzug = new Umzug({ migrations: [{ name: 'one', up }], context: {}, storage, logger: undefined });
    await umzug.up();
  };

  /**
   * How a command ends when the program that it is part of throws: before there is a store, there from a migration of an Umzug of its
   * own, and in the middle of a run.
   */
  async function ends(act: () => unknown): Promise<readonly BackfillError[]> {
    const told: BackfillError[] = [];
    const acting = async (): Promise<unknown> => act();
    for (const loading of [acting, () => wrapped(acting)]) {
      const loadMigrator = async (): Promise<never> => {
        await loading();
        throw new Error('Expected it to throw');
      };
      const result = await runCli(['status'], {
        embedding: { program: 'umzug-backfill', loadMigrator },
        onError: (error) => told.push(error),
      });
      expectRefusal(result, told.at(-1)?.code ?? '', told.at(-1)?.exitCode ?? 0);
    }
    const outcome = await up(folder.file('store.db'), { ...after(1, 'step_started', act), backup: false });
    expect(outcome.applied).to.deep.equal([]);
    if (outcome.error) told.push(outcome.error);
    expect(told).to.have.length(3);
    for (const error of told) {
      expect(error).to.be.instanceOf(BackfillError);
      expect(`${error.message} ${error.hint}`).not.to.include(SECRET);
      expect(error.hint).to.match(/\S/);
    }
    return told;
  }
  const throwing = (thrown: unknown) => (): never => {
    throw thrown;
  };

  for (const [result, code] of meanings) {
    it(`is told as ${code} for ${result}, with the result code and not with SQLite's words`, async () => {
      const cause = new SqliteError(`${SECRET} at row 7`, result);
      for (const error of await ends(throwing(cause))) {
        expect(error.code).to.equal(code);
        expect(error.exitCode).to.equal(1);
        expect(error.message.endsWith(` (${result})`), error.message).to.equal(true);
        expect(error.cause).to.equal(cause);
      }
    });
  }

  it('is known where SQLite raised it', async () => {
    const db = new Database(':memory:');
    for (const error of await ends(() => db.exec('SELECT * FROM nowhere'))) {
      expect(error.code).to.equal('STATEMENT_REJECTED');
      expect(error.message).not.to.include('nowhere');
    }
    db.close();
  });

  it('is told as it is where it is an error of ours', async () => {
    const ours = anError('UPDATE_IGNORED', 'A trigger ignored an update', 'Drop it');
    for (const error of await ends(throwing(ours))) expect(error).to.equal(ours);
  });

  for (const [title, thrown] of [
    ['an error of JavaScript', new TypeError(SECRET)],
    ['an error of the system', Object.assign(new Error(SECRET), { code: 'EMFILE' })],
    ['a string', SECRET],
    ['nothing', undefined],
    ['null', null],
  ] as const) {
    it(`is told as INTERNAL where it is ${title}, without its words`, async () => {
      const told = await ends(throwing(thrown));
      for (const { code, exitCode } of told) expect([code, exitCode]).to.deep.equal(['INTERNAL', 1]);
      expect(told[0]?.cause).to.equal(thrown);
    });
  }
});

describe('the error codes', () => {
  // As the declarations that users get have them.
  const declared = new Map(
    [
      ...readFileSync(join(root, 'dist/types/index.d.ts'), 'utf8').matchAll(
        /^ {2}readonly ([A-Z_]+): (\d+);$/gm,
      ),
    ].map(([, code, exit]) => [code as ErrorCode, Number(exit)]),
  );

  it('each end a command with a code of their kind', () => {
    for (const [code, exit] of declared)
      expect(anError(code, 'It failed', 'Mend it').exitCode, code)
        .to.equal(exit)
        .and.above(0);
    const usage = ['USAGE', 'NPM_KEPT_OPTION', 'CONFIG_MISSING', 'STEP_UNKNOWN', 'BACKFILL_UNKNOWN'] as const;
    for (const code of usage) expect(declared.get(code), code).to.equal(2);
    expect(declared.get('VERIFICATION_FAILED')).to.equal(5);
    expect(declared.get('INTERRUPTED')).to.equal(130);
    expect(declared.get('TERMINATED')).to.equal(143);
  });

  it('are each documented exactly once, and no other is', () => {
    const page = readFileSync(join(root, 'docs/troubleshooting.md'), 'utf8');
    const table = page.slice(page.indexOf('## Error codes'));
    const documented = [...table.matchAll(/^\| `([A-Z_]+)` \|/gm)].map(([, code]) => code);
    expect(documented.toSorted()).to.deep.equal([...declared.keys()].sort());
  });
});

describe('what the command line tells of the contents of a store', () => {
  const talkative = ['--log-level', 'trace'];

  /** Runs commands on a store with secrets in it, and insists that none is told, on either stream. */
  async function tell(path: string, ...commands: readonly (readonly string[])[]) {
    const results = [];
    for (const command of commands) {
      for (const form of [[], ['--json']]) {
        const result = await runCli([...command, ...form, '--db-path', path, ...talkative]);
        expect(result.stdout + result.stderr, command.join(' ')).not.to.include(SECRET);
        results.push(result);
      }
    }
    return results;
  }

  it('holds nothing of what a trigger raises', async () => {
    await withGeneratedStore({ audits: 100 }, async (path) => {
      const trigger = `BEFORE UPDATE ON task_audits BEGIN SELECT RAISE(ABORT, '${SECRET}'); END`;
      asAgentOs(path, (db) => db.exec(`CREATE TRIGGER append_only ${trigger}`));
      const [plan] = await tell(path, ['up', '--dry-run']);
      expect(plan?.stdout).to.include('append_only');
      for (const result of await tell(path, ['up'])) {
        expect(expectRefusal(result, 'TRIGGERS_WOULD_FIRE', 1).message).to.include('append_only');
      }
      for (const result of await tell(path, ['up', '--allow-triggers'])) {
        const { message } = expectRefusal(result, 'ROW_REJECTED_REPEATEDLY', 1);
        expect(message).to.include('SQLITE_CONSTRAINT_TRIGGER');
      }
      const [skips] = await tell(path, ['skips']);
      expect(skips?.stdout).to.include('SQLITE_CONSTRAINT_TRIGGER');
      asAgentOs(path, (db) => db.exec('DROP TRIGGER append_only'));
      await tell(path, ['up']);
      asAgentOs(path, (db) => db.exec(`CREATE TRIGGER append_only ${trigger}`));
      for (const result of await tell(path, ['down'])) expectRefusal(result, 'TRIGGERS_WOULD_FIRE', 1);
      for (const result of await tell(path, ['down', '--allow-triggers'])) {
        expectRefusal(result, 'STATEMENT_REJECTED', 1);
      }
    });
  });

  it('holds the name of a view that is in the way, and nothing of what it says', async () => {
    await withGeneratedStore({ audits: 100 }, async (path) => {
      asAgentOs(path, (db) => db.exec(`CREATE VIEW late_audits AS SELECT '${SECRET}' FROM no_such_table`));
      const [up] = await tell(path, ['up']);
      expect(up?.stdout).to.include('warning: `down` will be blocked by view late_audits.');
      for (const result of await tell(path, ['down', '--to', '0', '--yes'])) {
        expect(expectRefusal(result, 'SCHEMA_BLOCKED', 1).message).to.include('late_audits');
      }
    });
  });

  it('holds nothing of a payload, whatever is looked at or goes wrong', async () => {
    await withGeneratedStore({ audits: 0 }, async (path) => {
      const payloads = [
        `{"source_ts":"${SECRET}","timestamp":"${SECRET} 2"}`,
        `{"reason":"${SECRET}","source_ts":`,
        `{"${SECRET}":1}`,
        SECRET,
        `{"source_ts":"2026-01-20T10:00:00Z ${SECRET}"}`,
      ];
      const write = (): void =>
        asAgentOs(path, (db) =>
          insertAudits(
            db,
            [...payloads, null].map((payload) => ({ payload, createdAt: payload === null ? SECRET : null })),
          ),
        );
      write();
      const [plan] = await tell(path, ['up', '--dry-run']);
      expect(plan?.stdout).to.include('‹not a timestamp, 19 characters›');
      const looks = [
        ['verify'],
        ['verify', '--min-coverage', '100'],
        ['skips'],
        ['status'],
        ['down', '--dry-run'],
      ];
      const [up] = await tell(path, ['up'], ...looks);
      expect(up?.code, up?.stderr).to.equal(0);
      write();
      await tell(path, ['backfill', '--dry-run'], ['backfill', '--rescan'], ['skips']);
      // A value that changed since, and one that is in the way of `down`.
      asAgentOs(path, (db) => db.exec(`UPDATE task_audits SET source_event_ts = '${SECRET} 3'`));
      await tell(path, ['verify'], ['down'], ['down']);
    });
  });
});

describe('an error for another process', () => {
  it('arrives with its causes, of which one may be its own', () => {
    const inner = Object.assign(new RangeError('inner'), { code: 'SQLITE_FULL' });
    inner.cause = inner;
    const { cause } = fromSent(structuredClone(toSent(inner)));
    expect(cause).to.include({ name: 'RangeError', message: 'inner', code: 'SQLITE_FULL' });
    expect((cause as Error).cause).to.include({ name: 'RangeError', message: 'inner' });
  });
});
