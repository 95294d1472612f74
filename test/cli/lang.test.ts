import { dirname, join } from 'node:path';
import Database from 'better-sqlite3';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { HAN } from '../support/chinese.js';
import { bin, runCli, runCommand, useFolder } from '../support/cli.js';
import { useNewProject } from '../support/new-project.js';
import { asAgentOs, withGeneratedStore } from '../support/stores.js';

/** Times and what they make of a text. */
const timeless = (text: string): string =>
  text
    .replace(/\d{4}-\d{2}-\d{2}T[\d:.]+Z/g, 'TIME')
    .replace(/\d{8}T\d{6}Z(?:-\d+)?/g, 'STAMP')
    .replace(/("(?:\w*[mM]s|\w*Seconds|pid|rowsPerSecond|percent|[bB]ytes|freeBytes)": ?)-?[\d.]+/g, '$1N')
    .replace(/[0-9a-f]{64}/g, 'SHA-256');

describe('the language', () => {
  const folder = useFolder();
  const missing = (): string[] => ['status', '--db-path', folder.file('none.db')];

  for (const [env, isChinese] of [
    [{ LANG: 'zh_CN.UTF-8' }, true],
    [{ LC_ALL: 'zh_CN.UTF-8', LANG: 'C' }, true],
    [{ LC_MESSAGES: 'zh_CN.UTF-8' }, true],
    [{ LC_ALL: 'C', LANG: 'zh_CN.UTF-8' }, false],
    [{}, false],
  ] as const) {
    it(`is ${isChinese ? 'Chinese' : 'English'} with ${JSON.stringify(env)}`, async () => {
      const { stderr, code } = await runCli(missing(), { env });
      expect(code).to.equal(1);
      expect(stderr).to.match(
        isChinese
          ? /^STORE_MISSING: .* 处没有存储。\n {2}→ 请/
          : /^STORE_MISSING: There is no store at .*\.\n {2}→ Pass /,
      );
    });

    it(`is the one that --lang asks for with ${JSON.stringify(env)}`, async () => {
      const other = isChinese ? 'en' : 'zh';
      const { stderr } = await runCli([...missing(), '--lang', other], { env });
      expect(HAN.test(stderr)).to.equal(!isChinese);
    });
  }

  it('is en or zh', async () => {
    const english = await runCli(['status', '--lang', 'fr']);
    expect(english.code).to.equal(2);
    expect(english.stderr).to.include('USAGE: Expected `--lang` to be one of en, zh, got `fr`.');
    const chinese = await runCli(['status', '--lang', 'fr'], { env: { LANG: 'zh_CN.UTF-8' } });
    expect(chinese.stderr).to.include('USAGE: `--lang` 应为 en、zh 之一，实际为 `fr`。');
  });

  it('is English in --help, whatever the locale', async () => {
    const english = await runCli(['up', '--help']);
    const chinese = await runCli(['up', '--help'], { env: { LANG: 'zh_CN.UTF-8' } });
    expect(chinese.stdout).to.equal(english.stdout);
  });

  it('of an English run does not load the other words', async () => {
    const loads = async (lang: string): Promise<boolean> => {
      const hook = `export async function load(url, context, next) {
        const result = await next(url, context);
        if (!url.includes('/node_modules/') && /\\p{Script=Han}/u.test(String(result.source))) console.error('LOADED');
        return result;
      }`;
      const script = `process.argv.splice(1, 0, 'node');
        require('node:module').register('data:text/javascript,' + encodeURIComponent(${JSON.stringify(hook)}));
        import(${JSON.stringify(bin)});`;
      const { stderr } = await runCommand([
        process.execPath,
        '-e',
        script,
        '--',
        ...missing(),
        '--lang',
        lang,
      ]);
      expect(stderr).to.include('STORE_MISSING');
      return stderr.includes('LOADED');
    };
    expect(await loads('zh')).to.equal(true);
    expect(await loads('en')).to.equal(false);
  });
});

describe('--json and the log', () => {
  const project = useNewProject();

  it('have the columns `text` and `values` of a table as others', async () => {
    new Database(join(project.path, 'store.db'))
      .exec(`CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT, "values" TEXT);
        INSERT INTO notes VALUES (1, NULL, NULL), (2, 'own', NULL)`)
      .close();
    project.declare({
      '001-notes': `defineBackfill({ table: 'notes', key: 'id', columns: { text: sql('id'), values: sql('id') } })`,
    });
    const own = ['--json', '--no-backup', '--db-path', 'store.db'];
    const plan = (await project.run('up', '--dry-run', ...own)).json();
    expect(plan.steps[0].fill.cellsToFill).to.deep.equal({ text: 1, values: 2 });
    expect(plan.steps[0].fill.samples[0].values).to.have.all.keys('text', 'values');
    const { valuesLeft } = (await project.run('up', ...own)).json();
    expect(valuesLeft).to.deep.equal([{ backfill: '001-notes', rows: 1, cells: { text: 1, values: 0 } }]);
  });

  it('are the same in both languages, and so are the exit codes', async () => {
    const run = (lang: string) =>
      withGeneratedStore({ audits: 200 }, async (path) => {
        const results: string[] = [];
        for (const args of [
          ['up', '--dry-run'],
          ['up'],
          ['verify', '--min-coverage', '100'],
          ['status'],
          ['skips'],
          ['verify'], // of an index that is gone
          ['up', '--to', 'nope'],
          ['down'],
          ['up', '--frobnicate'],
        ]) {
          if (args.join() === 'verify')
            asAgentOs(path, (db) => db.exec('DROP INDEX idx_task_audits_source_event_ts'));
          const { stdout, stderr, code } = await runCli([
            ...args,
            '--json',
            '--log-level',
            'debug',
            '--db-path',
            path,
            '--lang',
            lang,
          ]);
          results.push(
            timeless(`${args.join(' ')} ${code}\n${stdout}\n${stderr}`).replaceAll(dirname(path), 'FOLDER'),
          );
        }
        return results;
      });
    const [english, chinese] = [await run('en'), await run('zh')];
    expect(chinese.join('\n')).to.equal(english.join('\n'));
    expect(english.join(''))
      .to.match(/"event":"batch_committed"/)
      .and.match(/VERIFICATION_FAILED/);
    expect(english.join('')).not.to.match(HAN);
  });
});
