import { copyFileSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import Database from 'better-sqlite3';
import { expect } from 'chai';
import { beforeEach, describe, it } from 'mocha';
import {
  type CliResult,
  type ErrorJson,
  expectRefusal,
  root,
  runCli,
  snapshotFiles,
  spawnCli,
  useFolder,
} from '../support/cli.js';
import { asAgentOs } from '../support/stores.js';

// A project that is not AgentOS: a config and steps of its own, and no line of ours changed.

const api = JSON.stringify(pathToFileURL(join(root, 'dist/src/index.js')).href);

const config = `import { defineConfig } from ${api};
export default defineConfig({ database: { path: 'shop.db', env: 'SHOP_DB' }, steps: ['steps'] });`;

/** A step of SQL: makes a view of this name. */
const view = (name: string, { down = true, select = 'SELECT 1 AS one' } = {}): string =>
  `import { defineSqlStep } from ${api};
export default defineSqlStep({ up: ['CREATE VIEW ${name} AS ${select}']${down ? `, down: ['DROP VIEW ${name}']` : ''} });`;

const backfill = `import { defineBackfill, firstOf } from ${api};
export default defineBackfill({
  table: 'events', key: 'id', scope: "kind = 'order'",
  columns: { ordered_at: firstOf('body', ['ordered_at', 'ts'], 'created_at') },
});`;

describe('a project of its own', () => {
  const folder = useFolder();
  let count = 0;
  let project = '';

  /** Begins another project. */
  function begin(): void {
    count += 1;
    project = folder.file(`project-${count}`);
    mkdirSync(join(project, 'steps'), { recursive: true });
    writeFileSync(join(project, 'package.json'), '{ "type": "module" }');
    writeFileSync(join(project, 'umzug-backfill.config.js'), config);
    const db = new Database(store());
    db.exec(`
      CREATE TABLE events (id INTEGER PRIMARY KEY, kind TEXT, body TEXT, created_at TEXT, ordered_at TEXT);
      INSERT INTO events (kind, body, created_at) VALUES
        ('order', '{"ts":"2026-01-20T10:00:00Z"}', '2026-01-21'), ('visit', '{"ts":"2026"}', '2026-01-21'),
        ('order', '{"price":', '2026-01-21'), ('order', NULL, '2026-01-21');`);
    db.close();
  }
  beforeEach(begin);

  const store = (): string => join(project, 'shop.db');
  const write = (name: string, text: string): void => writeFileSync(join(project, 'steps', name), text);
  const cli = (...args: readonly string[]): Promise<CliResult> => runCli(args, { cwd: project });
  function expectDone(result: CliResult): CliResult {
    expect(result.code, `${result.stdout}${result.stderr}`).to.equal(0);
    return result;
  }
  const run = async (...args: readonly string[]): Promise<CliResult> => expectDone(await cli(...args));
  /** In a process of its own, as before a step is written again: one process loads a file once. */
  const runApart = async (...args: readonly string[]): Promise<CliResult> =>
    expectDone(await spawnCli(args, { cwd: project }));

  /** A command that must be refused, with the store as it was. */
  async function refused(code: string, ...args: readonly string[]): Promise<ErrorJson> {
    const before = snapshotFiles(store());
    const error = expectRefusal(await cli(...args), code, 1);
    expect(snapshotFiles(store())).to.deep.equal(before);
    return error;
  }

  const executed = async (): Promise<string[]> => (await run('executed', '--json')).json().steps;
  const views = (): unknown[] =>
    asAgentOs(store(), (db) =>
      db.prepare(`SELECT name FROM sqlite_schema WHERE type = 'view' ORDER BY 1`).pluck().all(),
    );
  const kinds = async (...args: readonly string[]): Promise<string[]> =>
    (await run(...args, '--json'))
      .json()
      .drifts.map(({ step, kind }: { step: string; kind: string }) => `${step} ${kind}`);

  it('finds its store by its config and by its environment variable, and fills it', async () => {
    write('001-order-times.js', backfill);
    await run('up');
    const cells = (): unknown[] =>
      asAgentOs(store(), (db) => db.prepare('SELECT ordered_at FROM events ORDER BY id').pluck().all());
    expect(cells()).to.deep.equal(['2026-01-20T10:00:00Z', null, null, '2026-01-21']);
    const elsewhere = folder.file('elsewhere.db');
    const env = { SHOP_DB: elsewhere };
    expectRefusal(await runCli(['status'], { cwd: project, env }), 'STORE_MISSING', 1);
    copyFileSync(store(), elsewhere);
    expect((await runCli(['status', '--check'], { cwd: project, env })).code).to.equal(0);
    await run('down');
    expect(cells()).to.deep.equal([null, null, null, null]);
  });

  it('refuses to revert a step without `down`, and reverts nothing, however far back it lies', async () => {
    write('001-one.js', view('one', { down: false }));
    write('002-two.js', view('two'));
    await run('up');
    for (const args of [
      ['--to', '0'],
      ['--to', '001-one'],
      ['--step', '2'],
      ['--to', '0', '--dry-run'],
    ]) {
      const { message, hint } = await refused('STEP_IRREVERSIBLE', 'down', '--yes', ...args);
      expect(message).to.include('001-one');
      expect(hint).to.include('--to');
    }
    expect(await executed()).to.deep.equal(['001-one', '002-two']);
    await run('down');
    await refused('STEP_IRREVERSIBLE', 'down', '--yes');
    expect(views()).to.deep.equal(['one']);
    expect(await executed()).to.deep.equal(['001-one']);
  });

  it('warns of a step that has changed since it was applied, and refuses it with --strict', async () => {
    write('001-one.js', view('one'));
    await runApart('up');
    write('001-one.js', view('one', { select: 'SELECT 2 AS one' }));
    const result = await run('up');
    expect(result.stdout).to.include('warning: The step 001-one has changed since it was applied.');
    for (const command of ['up', 'status', 'down', 'backfill']) {
      await refused('STEP_DRIFTED', command, '--strict');
      if (command !== 'down') expect(await kinds(command)).to.deep.equal(['001-one changed']);
    }
    expect(await kinds('up', '--dry-run')).to.deep.equal(['001-one changed']);
    await refused('STEP_DRIFTED', 'up', '--dry-run', '--strict');
    expect(await kinds('down')).to.deep.equal(['001-one changed']);
  });

  it('takes no other layout, and no other extension, for a change', async () => {
    write('001-one.js', view('one', { select: 'SELECT 1 AS one' }));
    await runApart('up');
    write('001-one.js', `// Why it is so.\n${view('one', { select: ' SELECT  1   AS one ' })}`);
    expect(await kinds('up', '--strict')).to.deep.equal([]);
    renameSync(join(project, 'steps/001-one.js'), join(project, 'steps/001-one.mjs'));
    expect(await kinds('up', '--strict')).to.deep.equal([]);
    await run('status', '--check');
  });

  it('warns of a new step before an applied one, applies it, and refuses it with --strict', async () => {
    write('002-two.js', view('two'));
    await run('up');
    write('001-one.js', view('one'));
    await refused('STEP_DRIFTED', 'up', '--strict');
    expect(await kinds('status')).to.deep.equal(['001-one inserted']);
    const { stdout } = await run('up');
    expect(stdout).to.include(
      'warning: The step 001-one is new, but sorts before 002-two, which is applied.',
    );
    expect(await executed()).to.deep.equal(['001-one', '002-two']);
    expect(await kinds('up', '--strict')).to.deep.equal([]);
  });

  it('warns on up of an applied step whose file is gone, and refuses to revert it', async () => {
    write('001-one.js', view('one'));
    write('002-two.js', view('two'));
    await run('up');
    rmSync(join(project, 'steps/002-two.js'));
    expect((await run('up')).stdout).to.include(
      'warning: The step 002-two is applied, but its file is missing.',
    );
    expect(await kinds('status')).to.deep.equal(['002-two gone']);
    await refused('STEP_DRIFTED', 'up', '--strict');
    for (const args of [[], ['--to', '0'], ['--to', '001-one'], ['--dry-run']])
      expect((await refused('STEP_FILE_MISSING', 'down', ...args)).message).to.include('002-two');
    expect(views()).to.deep.equal(['one', 'two']);
  });

  it('refuses a project that does not hold together, before it opens the store', async () => {
    const bad: readonly (readonly [code: string, name: string, text: string])[] = [
      ['STEP_INVALID', 'steps/001-one.js', 'export const nothing = 1;'],
      ['STEP_INVALID', 'steps/001-one.js', 'export default {'],
      ['STEP_INVALID', 'steps/001-one.js', `throw new Error('no')`],
      ['STEP_INVALID', 'steps/001-one.js', view('one').replace('up:', 'upp:')],
      ['CONFIG_INVALID', 'umzug-backfill.config.js', config.replace('steps:', 'stepps:')],
      ['CONFIG_INVALID', 'umzug-backfill.config.js', config.replace(`'steps'`, `'no-such-folder'`)],
      ['CONFIG_INVALID', 'umzug-backfill.config.js', 'export default {};'],
      ['CONFIG_INVALID', 'umzug-backfill.config.js', 'export default (;'],
    ];
    for (const [code, name, text] of bad) {
      writeFileSync(join(project, name), text);
      await refused(code, 'up');
      await refused(code, 'status', '--json');
      begin();
    }
    write('001-one.js', view('one'));
    write('001-one.mjs', view('two'));
    expect((await refused('STEP_INVALID', 'up')).message).to.include('001-one');
  });

  it('takes nothing back of a step whose SQL fails', async () => {
    write('001-one.js', view('one'));
    write('002-two.js', view('two').replace(`'CREATE VIEW`, `'CREATE TABLE half (x)', 'CREATE VIEWW`));
    const result = await cli('up');
    expectRefusal(result, 'STATEMENT_REJECTED', 1);
    expect(result.stdout).to.include('applied 001-one').and.not.include('002-two');
    expect(await executed()).to.deep.equal(['001-one']);
    expect(views()).to.deep.equal(['one']);
    expect(
      asAgentOs(store(), (db) => db.prepare(`SELECT 1 FROM sqlite_schema WHERE name = 'half'`).all()),
    ).to.deep.equal([]);
  });
});
