import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import Database from 'better-sqlite3';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { commandsIn, expectAligned, expectChinese, expectSameCommands, places } from '../support/chinese.js';
import { type CliResult, runCli, useFolder } from '../support/cli.js';
import { useNewProject } from '../support/new-project.js';
import { asAgentOs, withGeneratedStore } from '../support/stores.js';
import { hasTerminal, onTerminal, screenOf } from '../support/terminal.js';

/** A store in which each command has something to say, with backups beside it. */
async function onStore(
  act: (path: string, run: (args: readonly string[]) => Promise<CliResult>) => Promise<void>,
): Promise<void> {
  await withGeneratedStore({ audits: 400 }, (path) =>
    act(path, (args) => runCli([...args, '--db-path', path, '--lang', 'zh'])),
  );
}

describe('in Chinese', () => {
  it('each command tells what it would do and what it did, in aligned tables', () =>
    onStore(async (path, run) => {
      for (const [args, code] of [
        [['status', '--check'], 3],
        [['deploy', '--check'], 3],
        [['deploy', '--dry-run'], 0],
        [['up', '--dry-run'], 0],
        [['up'], 0],
        [['up'], 0],
        [['deploy', '--check'], 0],
        [['status'], 0],
        [['verify'], 0],
        [['skips'], 0],
        [['report', '--dry-run', '--out', `${path}.html`], 0],
        [['report', '--out', `${path}.html`], 0],
        [['backfill'], 0],
        [['backfill', '--rescan', '--dry-run'], 0],
        [['backfill', '--rescan'], 0],
        [['down', '--dry-run'], 0],
        [['down'], 0],
        [['restore', '--dry-run'], 0],
        [['restore'], 0],
        [['down', '--to', '0', '--yes'], 0],
        [['down'], 0],
        [['skips'], 0],
      ] as const) {
        const result = await run(args);
        expect(result.code, `${args.join(' ')}\n${result.stderr}`).to.equal(code);
        expectChinese(result);
        if (result.stdout.includes('┌')) expectAligned(result.stdout);
      }
      expect(readFileSync(`${path}.html`, 'utf8')).to.include('<html lang="zh-Hans">');
    }));

  it('a verification that failed and its hint', () =>
    onStore(async (path, run) => {
      await run(['up', '--no-backup']);
      asAgentOs(path, (db) =>
        db.exec(`UPDATE task_audits SET source_event_ts = NULL WHERE audit_id IN (1, 2);
          UPDATE task_audits SET supervisor_processed_at = 'changed' WHERE audit_id = 4;
          DROP INDEX idx_task_audits_source_event_ts; DELETE FROM umzug_backfill_batches`),
      );
      const result = await run(['verify', '--min-coverage', '99.9']);
      expect(result.code).to.equal(5);
      expectChinese(result);
      expectAligned(result.stdout);
      expect(result.stderr).to.match(
        /^VERIFICATION_FAILED: .* 的校验失败：覆盖率、.*索引使用、.*完整性。\n {2}→ 请运行：umzug-backfill backfill /m,
      );
      const english = await runCli(['verify', '--min-coverage', '99.9', '--db-path', path]);
      expectSameCommands(result.stderr, english.stderr);
      expectSameCommands(result.stdout, english.stdout);
    }));

  const project = useNewProject();

  it('a step whose file is gone', async () => {
    new Database(join(project.path, 'store.db')).exec('CREATE TABLE t (id INTEGER PRIMARY KEY)').close();
    const own = ['--db-path', 'store.db', '--lang', 'zh'];
    project.declare({ '001-a': `defineSchemaStep({ table: 't', columns: { a: 'TEXT' } })` });
    await project.run('up', '--no-backup', ...own);
    rmSync(join(project.path, 'steps/001-a.mjs'));
    for (const args of [['status'], ['up', '--dry-run']]) {
      const result = await project.run(...args, ...own);
      expect(result.stdout).to.match(/^警告：.*001-a.*。$/m);
      expectChinese(result);
    }
  });

  it('fits what a terminal leaves, between any two characters', function () {
    if (!hasTerminal()) this.skip();
    return onStore(async (path, run) => {
      await run(['up', '--no-backup']);
      const home = join(dirname(path), 'home');
      mkdirSync(home);
      for (const command of ['verify', 'status']) {
        const { output } = onTerminal([command, '--db-path', path, '--lang', 'zh'], home, { columns: 80 });
        const screen = screenOf(output);
        expectAligned(screen);
        for (const line of screen.split('\n'))
          if (/^[┌├│└]/.test(line)) expect(places(line)).to.be.at.most(80);
      }
    });
  });

  it('asks on a terminal', async function () {
    if (!hasTerminal()) this.skip();
    await onStore(async (path, run) => {
      await run(['up', '--no-backup']);
      await run(['down', '--no-backup']);
      asAgentOs(path, (db) => db.exec(`UPDATE task_audits SET source_event_ts = 'own' WHERE audit_id = 1`));
      const home = join(dirname(path), 'home');
      mkdirSync(home);
      const { output, code } = onTerminal(['down', '--no-backup', '--db-path', path], home, {
        answer: 'y\n',
        env: { LANG: 'zh_CN.UTF-8' },
      });
      expect(screenOf(output)).to.match(
        /COLUMN_HAS_VALUES: .*会丢失其中的值.*\n.*--yes.*\n+仍要继续吗？\[y\/N\]/,
      );
      expect(code).to.equal(0);
    });
  });

  const folder = useFolder();
  for (const [code, args] of [
    ['STORE_MISSING', ['status', '--db-path', 'none.db']],
    ['STORE_NOT_A_FILE', ['up', '--db-path', '.']],
    ['STORE_NOT_A_DATABASE', ['up', '--db-path', 'package.json']],
    ['USAGE', ['up', '--frobnicate']],
    ['USAGE', ['up', '--batch-size', '0']],
    ['STEP_UNKNOWN', ['up', '--to', 'nope']],
    ['BACKFILL_UNKNOWN', ['skips', 'nope']],
    ['STEP_NOT_APPLIED', ['verify']],
    ['OUTPUT_UNWRITABLE', ['report', '--out', '/nowhere/at/all.html']],
    ['BACKUP_MISSING', ['restore']],
    ['BACKUP_UNUSABLE', ['restore', 'package.json']],
    ['BACKUP_FOLDER_UNUSABLE', ['up', '--backup-dir', 'nowhere']],
  ] as const) {
    it(`${code} of ${args.join(' ')}: the same exit code, the same commands`, () =>
      withGeneratedStore({ audits: 30 }, async (path) => {
        const all = args.includes('--db-path' as never) ? args : [...args, '--db-path', path];
        const [english, chinese] = [await runCli(all), await runCli([...all, '--lang', 'zh'])];
        expect(english.stderr).to.include(`${code}: `);
        expect(chinese.stderr).to.match(new RegExp(`^${code}: .*。\n  → .*\n$`));
        expectChinese(chinese);
        expect(chinese.code).to.equal(english.code);
        expectSameCommands(chinese.stderr, english.stderr);
      }));
  }

  it('a hint can be run as it stands', () =>
    onStore(async (path) => {
      const { stderr } = await runCli(['verify', '--db-path', path, '--lang', 'zh']);
      const [command = ''] = commandsIn(stderr);
      expect(command).to.equal(`umzug-backfill up --db-path ${path}`);
      const [, ...args] = command.split(' ');
      expect((await runCli(args)).code).to.equal(0);
    }));

  it('what npm kept', async () => {
    const env = {
      npm_lifecycle_event: 'migrate',
      npm_command: 'run-script',
      npm_config_dry_run: 'true',
      LANG: 'zh_CN',
    };
    const { stderr, code } = await runCli(['up'], { env });
    expect(code).to.equal(2);
    expect(stderr).to.equal(
      'NPM_KEPT_OPTION: npm 把 --dry-run 留给了自己，没有传给本命令。\n  → 请在参数之前加上 --： npm run migrate -- up --dry-run\n',
    );
  });

  it('a config that is not there', async () => {
    const { stderr } = await runCli(['status', '--lang', 'zh'], { cwd: folder.path });
    expect(stderr).to.match(/^CONFIG_MISSING: .*配置文件。\n {2}→ 请/);
  });
});
