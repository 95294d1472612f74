import Database from 'better-sqlite3';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { defineBackfill, firstOf } from '../src/index.js';
import { expectChinese } from './support/chinese.js';
import { collector, runCli, useFolder } from './support/cli.js';
import { type Extra, named, projectOf } from './support/project.js';
import { screenOf } from './support/terminal.js';

const project = projectOf([
  named(
    '001-paid-at',
    defineBackfill({
      table: 'orders',
      key: 'id',
      columns: { paid_at: firstOf('details', ['ts'], 'created') },
    }),
  ),
]);

/** Makes a store of 1,200 rows, with a value in one of them and an unreadable document in another. */
function makeStore(path: string): string {
  new Database(path)
    .exec(`
      CREATE TABLE orders (id INTEGER PRIMARY KEY, details TEXT, created TEXT, paid_at TEXT);
      WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 1200)
      INSERT INTO orders (details) SELECT iif(i = 7, '{', '{"ts":"2026-01-20T10:00:00Z"}') FROM n;
      UPDATE orders SET paid_at = '2026-01-20T10:00:00Z' WHERE id = 3`)
    .close();
  return path;
}

describe('the log on a terminal', () => {
  const folder = useFolder();
  let count = 0;
  const fresh = (): string => {
    count += 1;
    return makeStore(folder.file(`${count}.db`));
  };

  /** The lines that a command logs on a terminal, without their times, and its result. */
  async function logged(path: string, args: readonly string[], extra: Extra = {}) {
    const stderr = Object.assign(collector(), { isTTY: true, columns: 100 });
    const loadMigrator = async () => ({ pace: 'full' as const, ...extra, project, path });
    const result = await runCli([...args, '--db-path', path], {
      stderr,
      env: { CI: '' },
      embedding: { program: 'umzug-backfill', loadMigrator },
    });
    expect(result.code, stderr.text).to.equal(0);
    const lines = screenOf(stderr.text).trimEnd().split('\n');
    return {
      stdout: result.stdout,
      lines: lines.map((line) => {
        const [, text] = /^\d\d:\d\d:\d\d {2}(\S.*)$/.exec(line) ?? [];
        expect(text, line).not.to.equal(undefined);
        return String(text).replace(/\d+(?:\.\d+)? (?:ms|s)$/, 'TIME');
      }),
    };
  }

  it('says in sentences what begins, and leaves to the result what that says', async () => {
    const path = fresh();
    const up = await logged(path, ['up']);
    expect(up.lines).to.deep.equal(['applying 001-paid-at', '001-paid-at: first run starts']);
    expect(up.stdout)
      .to.include('applied 001-paid-at')
      .and.include('Backup: ')
      .and.include('1 rows already have a value');
    expect((await logged(path, ['down', '--yes'])).lines).to.deep.equal(['reverting 001-paid-at']);
  });

  it('says everything at the level debug', async () => {
    const path = fresh();
    const { lines } = await logged(path, ['up', '--no-backup', '--log-level', 'debug']);
    expect(lines.filter((line) => !/pause of/.test(line))).to.deep.equal([
      'applying 001-paid-at',
      '001-paid-at: 1 rows already have a value and are left unchanged: 1 paid_at',
      '001-paid-at: batches start',
      '001-paid-at: first run starts',
      'batch 1 of 001-paid-at: 1,000 rows, 999 cells filled, 1 skipped, up to key 1001, TIME',
      '001-paid-at: row 7 skipped: DOCUMENT_UNREADABLE',
      'batch 2 of 001-paid-at: 199 rows, 199 cells filled, 0 skipped, up to key 1200, TIME',
      '001-paid-at: batches finished',
      'applied 001-paid-at',
      'verification of 001-paid-at: warn, TIME',
    ]);
    const down = await logged(path, ['down', '--yes', '--log-level', 'debug']);
    expect(down.lines.join('\n'))
      .to.match(/^backup: .*\.backup-\S+ \(\d.*B\)$/m)
      .and.match(/^batch 2 of 001-paid-at: 199 cells reverted, 0 kept$/m)
      .and.match(/^reverted 001-paid-at$/m);
  });

  it('is in Chinese where that is asked for', async () => {
    const { lines } = await logged(fresh(), ['up', '--lang', 'zh', '--log-level', 'debug']);
    expect(lines.length).to.be.above(8);
    for (const line of lines) expectChinese({ stdout: line, stderr: '' });
  });

  it('marks warnings, and has nothing else at the level warn', async () => {
    const path = fresh();
    new Database(path)
      .exec(
        `CREATE TRIGGER paid BEFORE UPDATE ON orders WHEN old.id = 9 BEGIN SELECT RAISE(ABORT, 'no'); END`,
      )
      .close();
    const { lines, stdout } = await logged(path, [
      'up',
      '--allow-triggers',
      '--no-backup',
      '--log-level',
      'warn',
    ]);
    expect(lines).to.deep.equal([
      'warning: Each update of orders fires the trigger paid.',
      'warning: 001-paid-at: the update of row 9 was rejected: SQLITE_CONSTRAINT_TRIGGER.',
    ]);
    expect(stdout).not.to.include('warning: ');
  });
});
