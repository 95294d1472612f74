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
import { expect } from 'chai';
import { beforeEach, describe, it } from 'mocha';
import { bin, type CliResult, expectRefusal, runCli, runCommand, useFolder } from '../support/cli.js';
import { copiesOf } from '../support/copies.js';
import {
  BACKFILL,
  COLUMNS,
  FILLED,
  KIND,
  makeHostileProject,
  name,
  SCHEMA,
  steps,
  TABLE,
  VIEW,
  writeConfig,
} from '../support/hostile-project.js';
import { asAgentOs, dumpSchema, dumpTable } from '../support/stores.js';

// Names are data: in SQL, in a shell that a hint is pasted into, on disk.

describe('names that would mean something elsewhere', () => {
  const folder = useFolder();
  let project = '';
  let count = 0;

  beforeEach(() => {
    count += 1;
    project = folder.file(`project-${count}`);
    makeHostileProject(project);
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
    expect(
      readdirSync(folder.path).filter((file) => !/^(?:project-\d|bin|checks\.sql|it's.*)$/.test(file)),
    ).to.deep.equal([]);
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
    expect(cells()).to.deep.equal(FILLED);
    expect((await run('executed', '--json')).json().steps).to.deep.equal(Object.keys(steps));
    await run('status', '--check');
    await run('skips', BACKFILL);
    await run('backfill', BACKFILL, '--rescan');
    await run('down', '--to', VIEW);
    await run('down', '--to', BACKFILL);
    expect(cells()).to.deep.equal(FILLED.map(() => [null, null]));
    await run('down', '--to', SCHEMA, '--yes');
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
    await paste(hint.replace(/^Run: /, ''));
    expect(cells()).to.deep.equal(FILLED);
    expectContained();
  });

  it('are refused for steps where they are more than one line', async () => {
    for (const bad of ['two\nlines', 'a\u0007bell', 'back\rwards']) {
      copyFileSync(join(project, `steps/${SCHEMA}.js`), join(project, `steps/${bad}.js`));
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
      writeConfig(project, requires);
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
    await pasted(['up'], 0, /To restore it: (.*)$/m);
    await pasted(['restore'], 1, /pass it: (.*)$/m);
    const [backup = ''] = copiesOf(path).sort().reverse();
    await pasted(['restore', backup], 0, /To restore that: (.*)$/m);
    await pasted(['up', '--backup-dir', join(odd, 'a; touch pwned')], 1, /→ .*: (mkdir -p .*)$/m);
    writeFileSync(`${path}.lock`, 'no database');
    await pasted(['up'], 1, /→ .*: (rm .*)$/m);
    await pasted(['up'], 0, /To restore it: (.*)$/m);
    expect(readdirSync(odd).filter((file) => !file.startsWith('store.db; touch x.db'))).to.deep.equal([
      'a; touch pwned',
    ]);
    renameSync(path, store());
    expectContained();
  });
});
