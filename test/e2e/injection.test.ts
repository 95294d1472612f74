import {
  copyFileSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import Database from 'better-sqlite3';
import { expect } from 'chai';
import { beforeEach, describe, it } from 'mocha';
import { bin, type CliResult, expectRefusal, root, runCli, runCommand, useFolder } from '../support/cli.js';
import { asAgentOs, dumpSchema, dumpTable } from '../support/stores.js';

// Names are data: in SQL, in a shell that a hint is pasted into, on disk.

const api = JSON.stringify(pathToFileURL(join(root, 'dist/src/index.js')).href);

const TABLE = `ev"e'n;ts( -- $& \`x\` [y] $(touch pwned) ☃`;
const KEY = `i"d; --`;
const KIND = `kind\n.shell touch pwned\nDROP TABLE bystander; --`;
const BODY = `bo'dy "x"`;
const FALLBACK = 'created ]at';
const COLUMNS = [`ordered"at'; DROP TABLE bystander; --`, '..'] as const;
const INDEX = `idx"'; DROP TABLE bystander; --\n.shell touch pwned\n`;
/** Of one column of the two: the other index serves every query better. */
const LESSER_INDEX = `lesser (" $& [`;
const MEMBERS = [`it's; --`, 'a.b[0]', '$', '*'];

/** What steps are named, in their order. */
const [SCHEMA, BACKFILL, VIEW] = [
  '..',
  `.0'; DROP TABLE bystander; -- "$(touch pwned)" ; touch pwned #`,
  `001 $(touch pwned) ☃ --yes`,
];

const name = (text: string): string => `"${text.replaceAll('"', '""')}"`;
const code = JSON.stringify;

const QUERY = `SELECT 1 FROM ${name(TABLE)} WHERE ${COLUMNS.map((column) => `${name(column)} = '2026'`).join(' AND ')}`;

const steps: Readonly<Record<string, string>> = {
  [SCHEMA as string]: `defineSchemaStep({
    table: ${code(TABLE)},
    columns: { ${COLUMNS.map((column) => `${code(column)}: 'TEXT'`).join(', ')} },
    indexes: { ${code(INDEX)}: { columns: ${code(COLUMNS)} }, ${code(LESSER_INDEX)}: { columns: ['..'] } },
  })`,
  [BACKFILL as string]: `defineBackfill({
    table: ${code(TABLE)}, key: ${code(KEY)}, scope: ${code(`${name(KIND)} = 'it''s; --'`)},
    columns: {
      ${code(COLUMNS[0])}: firstOf(${code(BODY)}, ${code(MEMBERS)}, ${code(FALLBACK)}),
      ${code(COLUMNS[1])}: firstOf(${code(BODY)}, ['ts'], ${code(FALLBACK)}),
    },
    checks: {
      groupBy: ${code(KIND)}, areTimestamps: true, lag: { from: ${code(COLUMNS[0])}, to: '..' },
      indexes: ${code([INDEX, LESSER_INDEX])}.map((index) => ({ index, query: ${code(QUERY)} })),
    },
  })`,
  [VIEW as string]: `defineSqlStep({ up: [${code(`CREATE VIEW ${name(`v'"; --`)} AS SELECT 1`)}], down: [${code(`DROP VIEW ${name(`v'"; --`)}`)}] })`,
};

describe('names that would mean something elsewhere', () => {
  const folder = useFolder();
  let project = '';
  let count = 0;

  beforeEach(() => {
    count += 1;
    project = folder.file(`project-${count}`);
    mkdirSync(join(project, 'steps'), { recursive: true });
    writeFileSync(join(project, 'package.json'), '{ "type": "module" }');
    writeFileSync(
      join(project, 'umzug-backfill.config.js'),
      `import { defineConfig } from ${api};
      export default defineConfig({ database: { path: 'shop.db' }, steps: ['steps'] });`,
    );
    for (const [step, text] of Object.entries(steps)) {
      writeFileSync(
        join(project, 'steps', `${step}.js`),
        `import { defineBackfill, defineSchemaStep, defineSqlStep, firstOf } from ${api};\nexport default ${text};`,
      );
    }
    const db = new Database(store());
    db.exec(`CREATE TABLE bystander (x); INSERT INTO bystander VALUES (1);
      CREATE TABLE ${name(TABLE)} (${name(KEY)} INTEGER PRIMARY KEY, ${[KIND, BODY, FALLBACK].map((column) => `${name(column)} TEXT`).join(', ')})`);
    const insert = db.prepare(`INSERT INTO ${name(TABLE)} VALUES (NULL, ?, ?, '2026-01-01')`);
    for (const body of [
      { [MEMBERS[0] as string]: '2026-01-02', ts: '2026-01-03' },
      { [MEMBERS[1] as string]: '2026-01-04' },
      { a: { b: ['2026-01-05'] }, $: '2026-01-06' },
    ])
      insert.run(`it's; --`, JSON.stringify(body));
    insert.run('other', '{"$":"2026"}');
    insert.run(`it's; --`, '{');
    db.close();
  });

  const store = (): string => join(project, 'shop.db');
  const cells = (): unknown[] =>
    asAgentOs(store(), (db) =>
      db
        .prepare(`SELECT ${COLUMNS.map(name).join(', ')} FROM ${name(TABLE)} ORDER BY 1, 2`)
        .raw()
        .all(),
    );
  const theirs = (): unknown => {
    const schema = (dumpSchema(store()) as { tbl_name: string }[]).filter(
      ({ tbl_name: table }) => !table.startsWith('umzug_backfill'),
    );
    return { schema, rows: asAgentOs(store(), (db) => db.prepare(`SELECT * FROM ${name(TABLE)}`).all()) };
  };
  const filled = [
    [null, null],
    [null, null],
    ['2026-01-02', '2026-01-03'],
    ['2026-01-04', '2026-01-01'],
    ['2026-01-06', '2026-01-01'],
  ];

  async function run(...args: readonly string[]): Promise<CliResult> {
    const result = await runCli(args, { cwd: project });
    expect(result.code, `${args.join(' ')}\n${result.stdout}${result.stderr}`).to.equal(0);
    return result;
  }

  /** Runs what a person would paste into a shell, in the project's folder, with the command on the path. */
  async function paste(command: string, code = 0): Promise<CliResult> {
    const path = folder.file('bin');
    mkdirSync(path, { recursive: true });
    rmSync(join(path, 'umzug-backfill'), { force: true });
    symlinkSync(bin, join(path, 'umzug-backfill'));
    const result = await runCommand(['sh', '-c', command], {
      cwd: project,
      env: { PATH: `${path}:${process.env.PATH}` },
    });
    expect(result.code, `${command}\n${result.stdout}${result.stderr}`).to.equal(code);
    return result;
  }

  /** Nothing was made but what belongs there, and nothing is gone. */
  function expectContained(): void {
    const isOurs = (file: string): boolean => !/^shop\.db(?:$|\.lock$|\.backup-)/.test(file);
    expect(readdirSync(project).filter(isOurs)).to.deep.equal([
      'package.json',
      'steps',
      'umzug-backfill.config.js',
    ]);
    expect(readdirSync(join(project, 'steps')).sort()).to.deep.equal(
      Object.keys(steps)
        .map((step) => `${step}.js`)
        .sort(),
    );
    expect(readdirSync(folder.path)).not.to.include('pwned');
    expect(dumpTable(store(), 'bystander')).to.have.length(1);
  }

  it('are applied, looked at and reverted as names', async () => {
    const before = theirs();
    await run('up', '--dry-run');
    const { checks } = (await run('up', '--json')).json().verifications[0];
    expect(checks[3].findings.map(({ verdict }: { verdict: string }) => verdict)).to.deep.equal([
      'pass',
      'warn',
    ]);
    expect(cells()).to.deep.equal(filled);
    expect((await run('executed', '--json')).json().steps).to.deep.equal(Object.keys(steps));
    await run('status', '--check');
    await run('skips', BACKFILL as string);
    await run('backfill', BACKFILL as string, '--rescan');
    await run('down', '--to', VIEW as string);
    await run('down', '--to', BACKFILL as string);
    expect(cells()).to.deep.equal(filled.map(() => [null, null]));
    await run('down', '--to', SCHEMA as string, '--yes');
    expect(theirs()).to.deep.equal(before);
    expectContained();
  });

  it('stay names in the printed SQL', async function () {
    await run('up');
    const { stdout } = await run('verify', '--print-sql');
    writeFileSync(folder.file('checks.sql'), stdout);
    const command = `sqlite3 -bail shop.db < ${folder.file('checks.sql')}`;
    if ((await runCommand(['sh', '-c', 'command -v sqlite3'])).code !== 0) {
      console.log('    skipped: there is no sqlite3 on the path');
      this.skip();
    }
    expect((await paste(command)).stderr).to.equal('');
    expectContained();
  });

  it('stay names in the command that a failed check gives', async () => {
    await run('up');
    asAgentOs(store(), (db) => db.exec(`UPDATE ${name(TABLE)} SET ".." = NULL`));
    const result = await runCli(['verify', '--json'], { cwd: project });
    expect(result.code).to.equal(5);
    const { hint } = result.json().verifications[0].checks[0];
    await paste(hint);
    expect(cells()).to.deep.equal(filled);
    expectContained();
  });

  it('are refused for steps where they are more than one line', async () => {
    const [step = ''] = Object.keys(steps);
    for (const bad of ['two\nlines', 'a\u0007bell', 'back\rwards']) {
      copyFileSync(join(project, `steps/${step}.js`), join(project, `steps/${bad}.js`));
      expectRefusal(await runCli(['status'], { cwd: project }), 'STEP_INVALID', 1);
      rmSync(join(project, `steps/${bad}.js`));
    }
  });

  it('stay names in the commands that refusals give', async () => {
    const version = { table: TABLE, column: KIND, atLeast: '1.0.0' };
    for (const requires of [
      { version },
      { version: { ...version, column: 'none' } },
      { tables: { [TABLE]: ['none'] } },
    ]) {
      writeFileSync(
        join(project, 'umzug-backfill.config.js'),
        `import { defineConfig } from ${api};
        export default defineConfig({ database: { path: 'shop.db' }, steps: ['steps'], requires: ${code(requires)} });`,
      );
      const result = await runCli(['status', '--json'], { cwd: project });
      const { code: told, hint } = result.json().error;
      expect(told).to.match(/^(?:VERSION_UNREADABLE|COLUMN_MISSING)$/);
      const command = hint.replace(/.*: (?=sqlite3)/, '').replace('STORE', 'shop.db');
      await paste(command, command.includes('.schema') ? 1 : 0); // the shell takes `--` for an option
      expectContained();
    }
  });

  it('stay part of the store’s path in the commands that are told', async () => {
    const odd = folder.file(`it's; touch pwned; $(touch pwned) umzug-backfill restore; touch pwned #`);
    mkdirSync(odd);
    const path = join(odd, 'store.db; touch x.db');
    renameSync(store(), path);
    const pasted = async (args: readonly string[], exitCode: number, hint: RegExp): Promise<void> => {
      const { code: ended, stdout, stderr } = await runCli([...args, '--db-path', path], { cwd: project });
      expect(ended, stdout + stderr).to.equal(exitCode);
      const [, command = ''] = hint.exec(stdout + stderr) ?? [];
      await paste(command);
    };
    await pasted(['up'], 0, /To go back to it: (.*)$/m);
    await pasted(['restore'], 0, /To go back to that: (.*)$/m);
    await pasted(['up', '--backup-dir', join(odd, 'a; touch pwned')], 1, /→ .*: (mkdir -p .*)$/m);
    writeFileSync(`${path}.lock`, 'no database');
    await pasted(['up'], 1, /→ .*: (rm .*)$/m);
    await pasted(['up'], 0, /To go back to it: (.*)$/m);
    expect(readdirSync(odd).filter((file) => !file.startsWith('store.db; touch x.db'))).to.deep.equal([
      'a; touch pwned',
    ]);
    renameSync(path, store());
    expectContained();
  });
});
