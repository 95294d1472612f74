import { copyFileSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type Database from 'better-sqlite3';
import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { generateStore } from '../../demo/store-generator.js';
import { expectRefusal, runCli, snapshotFiles, useFolder } from '../support/cli.js';
import { asAgentOs } from '../support/stores.js';

/** Each way in which a command comes to the store, in both forms of output. */
const commands: readonly (readonly string[])[] = [
  ['up'],
  ['up', '--json'],
  ['up', '--dry-run', '--json'],
  ['down', '--yes'],
  ['status', '--json'],
  ['verify'],
  ['backfill', '--rescan'],
  ['skips', '--json'],
];

/** Puts something at the path of the store; returns another path to give, if it is not this one. */
// biome-ignore lint/suspicious/noConfusingVoidType: most do something and return nothing
type Make = (path: string, template: string) => string | void;

/** A store that is good but for what `statements` did to it. */
const sql =
  (...statements: readonly string[]): Make =>
  (path, template) => {
    copyFileSync(template, path);
    asAgentOs(path, (db: Database.Database) => {
      for (const statement of statements) db.exec(statement);
    });
  };

/** A store whose audit table has `column` by another name only. */
const without = (column: string): Make =>
  sql(
    'CREATE TABLE kept AS SELECT * FROM task_audits',
    'DROP TABLE task_audits',
    `ALTER TABLE kept RENAME COLUMN ${column} TO other`,
    'ALTER TABLE kept RENAME TO task_audits',
  );

const stores: readonly (readonly [title: string, code: string, says: RegExp, make: Make])[] = [
  ['a missing file', 'STORE_MISSING', /There is no store at \//, () => undefined],
  ['a missing folder', 'STORE_MISSING', /There is no store/, (path) => join(path, 'no', 'store.db')],
  ['a link to nowhere', 'STORE_MISSING', /There is no store/, (path) => symlinkSync(`${path}.gone`, path)],
  [
    'a path through a file',
    'STORE_MISSING',
    /There is no store/,
    (path, template) => {
      copyFileSync(template, path);
      return join(path, 'store.db');
    },
  ],
  [
    'a path that is too long',
    'STORE_MISSING',
    /There is no store/,
    (path) => join(dirname(path), 'a'.repeat(300)),
  ],
  ['a directory', 'STORE_NOT_A_FILE', /is not a file/, (path) => void mkdirSync(path)],
  [
    'a file that is no database',
    'STORE_NOT_A_DATABASE',
    /not an SQLite database/,
    (path) => writeFileSync(path, 'decision_id,reason\n'.repeat(1_000)),
  ],
  [
    'a file that is too short for a database',
    'STORE_NOT_A_DATABASE',
    /not an SQLite database/,
    (path) => writeFileSync(path, 'SQLite format 3'),
  ],
  [
    'a store that was cut short',
    'STORE_CORRUPT',
    /damaged/,
    (path, template) => writeFileSync(path, readFileSync(template).subarray(0, 10_000)),
  ],
  ['an empty file', 'STORE_EMPTY', /is an empty file/, (path) => writeFileSync(path, '')],
  [
    'a store below 0.20.0',
    'VERSION_TOO_OLD',
    /at version 0\.19\.0; at least 0\.20\.0/,
    sql("DELETE FROM schema_version WHERE version = '0.20.0'"),
  ],
  [
    'a version that is great only as text',
    'VERSION_TOO_OLD',
    /at version 0\.9\.0/,
    sql("DELETE FROM schema_version WHERE version NOT IN ('0.6.0', '0.9.0')"),
  ],
  [
    'an unreadable version',
    'VERSION_UNREADABLE',
    /schema_version contains a row that is not a version/,
    sql("INSERT INTO schema_version (version) VALUES ('latest')"),
  ],
  ['no schema_version', 'VERSION_MISSING', /no table schema_version/, sql('DROP TABLE schema_version')],
  [
    'an empty schema_version',
    'VERSION_MISSING',
    /schema_version is empty/,
    sql('DELETE FROM schema_version'),
  ],
  ['no task_audits', 'TABLE_MISSING', /no table task_audits/, sql('DROP TABLE task_audits')],
  ...(['audit_id', 'event_type', 'payload', 'created_at'] as const).map(
    (column) =>
      [
        `no column ${column}`,
        'COLUMN_MISSING',
        new RegExp(`task_audits has no column ${column}$`),
        without(column),
      ] as const,
  ),
];

describe('bad input: the store', () => {
  const folder = useFolder();
  const template = () => folder.file('template.db');

  before(() => generateStore({ path: template(), audits: 100 }));

  for (const [title, code, says, make] of stores) {
    it(`refuses ${title} with ${code}`, async () => {
      for (const command of commands) {
        // Each command has a store of its own, so that what is left behind is known to be its doing.
        const own = folder.file(`${title} ${command.join(' ')}`);
        mkdirSync(own);
        const path = join(own, 'store.db');
        const given = make(path, template()) ?? path;
        const [store, files] = [snapshotFiles(path), readdirSync(own)];
        const result = await runCli([...command, '--db-path', given]);
        expect(expectRefusal(result, code, 1).message).to.match(says);
        if (!command.includes('--json')) expect(result.stdout).to.equal('');
        expect(snapshotFiles(path), command.join(' ')).to.deep.equal(store);
        expect(readdirSync(own), 'files in the folder').to.deep.equal(files);
      }
    });
  }

  it('looks at the path that the environment names, and at --db-path first', async () => {
    const missing = folder.file('from-env.db');
    const env = { AGENTOS_DB_PATH: missing };
    const fromEnv = await runCli(['status'], { env });
    const given = await runCli(['status', '--db-path', template()], { env });
    expect(expectRefusal(fromEnv, 'STORE_MISSING', 1).message).to.include(missing);
    expect(given.code).to.equal(0);
  });

  it('takes SQLITE_PATH before AGENTOS_DB_PATH, and that before OCTOPUSOS_DB_PATH, as AgentOS does', async () => {
    const all = ['SQLITE_PATH', 'AGENTOS_DB_PATH', 'OCTOPUSOS_DB_PATH'];
    for (const [i, first] of all.entries()) {
      const env = Object.fromEntries(all.slice(i).map((name) => [name, folder.file(`${name}.db`)]));
      const { message } = expectRefusal(await runCli(['status'], { env }), 'STORE_MISSING', 1);
      expect(message).to.include(`${first}.db`);
    }
  });

  it('looks for the default store in the home folder, and creates none there', async () => {
    const error = expectRefusal(await runCli(['up']), 'STORE_MISSING', 1);
    expect(error.message).to.match(/\/\.agentos\/store\.db$/);
  });
});

/** Arguments, STORE standing for a good store's path, and what is said about them. */
const words: readonly (readonly [code: string, says: RegExp, ...args: string[]])[] = [
  ['STEP_UNKNOWN', /no step named v022-nothing/, 'up', '--to', 'v022-nothing'],
  ['STEP_UNKNOWN', /no step named v021-1-decision-columns\.js/, 'up', '--to', 'v021-1-decision-columns.js'],
  ['STEP_UNKNOWN', /no step named v022-nothing/, 'up', '--dry-run', '--to', 'v022-nothing'],
  ['STEP_UNKNOWN', /no step named v022-nothing/, 'down', '--to', 'v022-nothing'],
  ['STEP_UNKNOWN', /no step named v022-nothing/, 'down', '--dry-run', '--to', 'v022-nothing'],
  ['BACKFILL_UNKNOWN', /no backfill named v022-nothing/, 'backfill', 'v022-nothing'],
  ['BACKFILL_UNKNOWN', /no backfill named v022-nothing/, 'skips', 'v022-nothing'],
  ...['0', '-1', 'abc', '1.5', '', '1e3', '99999999999999999999'].map(
    (size) => ['USAGE', /--batch-size/, 'up', '--batch-size', size] as const,
  ),
  ['USAGE', /--batch-size/, 'up', '--batch-size=0'],
  ['USAGE', /--batch-size/, 'up', '--batch-size'],
  ['USAGE', /--step/, 'up', '--step', '0'],
  ['USAGE', /--step/, 'down', '--step', 'two'],
  ['USAGE', /--min-coverage/, 'verify', '--min-coverage', '101'],
  ['USAGE', /--min-coverage/, 'verify', '--min-coverage', '-1'],
  ['USAGE', /--min-coverage/, 'verify', '--min-coverage', 'all'],
  ['USAGE', /--log-level/, 'up', '--log-level', 'loud'],
  ['USAGE', /--bogus/, 'up', '--bogus'],
  ['USAGE', /--check/, 'up', '--check'],
  ['USAGE', /--dry-ru\b/, 'up', '--dry-ru'],
  ['USAGE', /-x/, 'status', '-x'],
  ['USAGE', /\bup\b/, 'up', 'stray'],
  ['USAGE', /\bstatus\b/, 'status', 'stray', 'words'],
  ['USAGE', /\bbackfill\b/, 'backfill', 'v021-2-decision-fields', 'stray'],
  ['USAGE', /--to.*--step|--step.*--to/, 'down', '--step', '1', '--to', '0'],
  ['USAGE', /white space/, 'up', '--db-path', ' STORE'],
  ['USAGE', /white space/, 'up', '--db-path', 'STORE '],
  ['USAGE', /white space/, 'status', '--db-path', 'STORE\n'],
  ['USAGE', /is empty/, 'up', '--db-path='],
  ['USAGE', /bogus/, 'bogus'],
  ['USAGE', /command/],
  ['USAGE', /bogus/, 'help', 'bogus'],
];

describe('bad input: the words', () => {
  const folder = useFolder();
  const store = () => folder.file('store.db');

  before(() => generateStore({ path: store(), audits: 100 }));

  for (const [code, says, ...args] of words) {
    it(`refuses ${JSON.stringify(args)} with ${code}`, async () => {
      const before = snapshotFiles(store());
      const given = args.map((word) => word.replace('STORE', store()));
      const env = { AGENTOS_DB_PATH: store() };
      const [command, ...rest] = given;
      const hasJson = command !== undefined && command !== 'help';
      const told = expectRefusal(await runCli(given, { env }), code, 2);
      const json = hasJson ? await runCli([command, '--json', ...rest], { env }) : undefined;
      expect(told.message).to.match(says);
      if (json) expect(expectRefusal(json, code, 2)).to.include(told);
      expect(snapshotFiles(store())).to.deep.equal(before);
      expect(readdirSync(folder.path)).to.deep.equal(['store.db']);
    });
  }
});

describe('bad input: the folder', () => {
  const folder = useFolder();

  it('refuses one without a config, says how to make one, and makes nothing', async () => {
    const store = folder.file('store.db');
    const elsewhere = folder.file('elsewhere');
    mkdirSync(elsewhere);
    generateStore({ path: store, audits: 10 });
    const before = snapshotFiles(store);
    for (const form of [[], ['--json']]) {
      const result = await runCli(['up', '--db-path', store, ...form], { cwd: elsewhere });
      expect(expectRefusal(result, 'CONFIG_MISSING', 2).hint).to.include('umzug-backfill init');
    }
    expect(snapshotFiles(store)).to.deep.equal(before);
    expect(readdirSync(elsewhere)).to.deep.equal([]);
  });
});
